# Draining a backlog, against the rate at which 8 clients appended it.
#
# The sequencer has its slot and is switched off; 8 clients append; it is switched
# on, and the time is taken until everything has a position: the start of its
# process and the reading of all WAL since then are in it.

# Sets slice_calls and slice_seconds, as any slice.
backlog_drain() {
	local began

	slice_calls=$backlog_calls
	slice_cpu_before=$(server_cpu)
	began=$EPOCHREALTIME
	sequencer_on
	slice_seconds=$(awk -v a="$began" -v b="$sequencer_caught_up" 'BEGIN { printf "%.6f", b - a }')
}

backlog_append() {
	sequencer_off
	slice_calls_wanted=$((backlog_calls / clients))
	slice_cpu_before=$(server_cpu)
	pgbench_slice "$1"
	[ "$slice_calls" -eq "$backlog_calls" ] || die "$1: $slice_calls of $backlog_calls calls succeeded"
}

backlog_compare() {
	local title=$1 target=$2 units=$3 script=$4 backlog_calls=$5 round slice_calls_wanted

	progress "$title, synchronous_commit $sync"
	sequencer_database bench_empty
	slices=$server_dir/slices
	: >"$slices"
	ours_calls=0 ours_errors=0 base_errors=0
	for ((round = 1; round <= (rounds + 1) / 2; round++)); do
		slice_run base "$round" backlog_append "$script"
		slice_run ours "$round" backlog_drain
	done
	sequencer_check
	report_comparison "$title" "$target" "$units"
}

workload_backlog() {
	local sync clients=8

	sequencer_begin
	report_heading "Draining a backlog: events sequenced a second, against the rate of 8 clients that append; figures per event"
	report_table
	for sync in on off; do
		backlog_compare "$((bulk_events * 3 / 10)) transactions of 1 event" 3 1 append/new.ours.sql $((bulk_events * 3 / 10))
		backlog_compare "$((bulk_events / 2000)) transactions of 1,000 events" 5 1000 backlog/batch.sql $((bulk_events / 2000 / 8 * 8))
	done
	sequencer_end
}
