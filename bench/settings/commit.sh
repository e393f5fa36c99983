# shellcheck shell=bash disable=SC2034,SC2154
#
# commit.sh: synchronous_commit and commit_delay. Appends of one event, any version, on
# 10,000 streams.

settings_sync() {
	local sync=$1

	pgbench_slice append/any.ours.sql
}

# The same at a rate, with how long a call takes on average. The CPU time has the start
# of the connections in it, most of all at 100 events a second.
settings_sync_rate() {
	settings_sync "$1"
	sequencer_catch_up
	settings_note=$(awk '/^latency average = / { print $4 }' "$server_dir/pgbench.out")
}

settings_rate() {
	local clients=8 slice_rate settings_unit="ms a call, on average"

	report_heading "synchronous_commit at a rate"
	settings_table events latency
	sequencer_database bench_filled
	for slice_rate in 100 1000 10000; do
		sync=- settings_values "synchronous_commit at $slice_rate events/s" "on off" settings_sync_rate
	done
}

settings_commit() {
	report_heading "Waiting for the disk: synchronous_commit, commit_delay"
	settings_table
	for clients in $client_counts; do
		sequencer_database bench_filled
		sync=- settings_values synchronous_commit "on off" settings_sync
	done
	for clients in 4 16; do
		sequencer_database bench_filled
		settings_values "commit_delay, µs" "0 20 100 500" settings_session commit_delay append/any.ours.sql
	done
}

# A busy session keeps the states that it has seen last.
settings_cache() {
	local clients=4 sync=off

	report_heading "event_store.state_cache_size: es_execute on streams of the session's own, a snapshot every 100 events"
	settings_table commands
	sequencer_database bench_empty
	sql -f execute/prepare.sql >/dev/null
	pgbench_slice execute/execute.sql
	settings_values "event_store.state_cache_size, kB" "4096 0" settings_session event_store.state_cache_size execute/execute.sql
}
