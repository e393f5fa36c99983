# shellcheck shell=bash disable=SC2034,SC2154
#
# sequencer.sh: how long the sequencer collects, how large its batches are, and NOTIFY.

# Appends, as many as the clients can or at a rate; before, the time from a commit to its
# position at 100 appends a second: the 95th percentile is noted.
settings_linger() {
	settings_reload "event_store.sequencer_linger = $1"
	slice_rate='' latency_run "$server_dir/times" $((seconds * 50)) 100 0
	settings_note=$(awk '{ a[NR] = $1 } END { printf "%.2f", a[int(NR * 0.95 + 0.999999)] }' "$server_dir/times")
	slice_cpu_before=$(server_cpu)
	pgbench_slice append/any.ours.sql
	sequencer_catch_up
}

settings_notify() {
	settings_reload "event_store.notify = $1"
	slice_cpu_before=$(server_cpu)
	pgbench_slice append/any.ours.sql
	sequencer_catch_up
}

settings_sequencer() {
	local slice_rate settings_unit="ms to the position, p95"

	report_heading "The sequencer: event_store.sequencer_linger, .notify"
	settings_table events latency
	sequencer_database bench_filled
	latency_prepare
	for slice_rate in 100 1000; do
		clients=4 settings_values "event_store.sequencer_linger at $slice_rate events/s" "1ms 0 10ms 100ms" settings_linger
	done
	slice_rate=
	for clients in 4 16; do
		settings_values "event_store.sequencer_linger, as many as they can" "1ms 0 10ms 100ms" settings_linger
	done
	settings_unit=
	sequencer_database bench_filled
	settings_values event_store.notify "on off" settings_notify
}

# Appends while the sequencer is off, and the time that it takes to read them then.
settings_drain() {
	local sync=off slice_calls_wanted=$((bulk_events / 5 / clients)) appended began

	sequencer_off
	pgbench_slice append/new.ours.sql
	appended=$slice_calls
	sequencer_settings+=("event_store.$1 = $2")
	slice_cpu_before=$(server_cpu)
	began=$EPOCHREALTIME
	sequencer_on
	slice_seconds=$(awk -v a="$began" -v b="$sequencer_caught_up" 'BEGIN { printf "%.6f", b - a }')
	slice_calls=$appended
	unset 'sequencer_settings[-1]'
}

settings_backlog() {
	local clients=8

	report_heading "A backlog of $((bulk_events / 5)) transactions of one event: event_store.sequencer_batch_transactions, .sequencer_batch_wal"
	settings_table
	sequencer_database bench_empty
	settings_values event_store.sequencer_batch_transactions "10000 100 1000 100000" settings_drain sequencer_batch_transactions
	settings_values event_store.sequencer_batch_wal "64MB 1MB 8MB 512MB" settings_drain sequencer_batch_wal
}
