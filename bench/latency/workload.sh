# From the commit of an append to its position (lib/probe.sql says what exactly).
#
# Half of the 100 appends a second are those that are measured. Under load, 8
# clients append 80 % of what they can, and 20 appends a second are measured.

workload_latency() {
	local sync=on clients=8 full load length=$((rounds * seconds * 2)) times=$server_dir/times

	sequencer_begin
	report_heading "From commit to position"
	latency_table
	sequencer_database bench_filled
	latency_prepare

	progress "latency at 1 append/s"
	latency_run "$times" $((length / 2)) 2 0
	latency_report "idle otherwise" 2 "$times" - -

	progress "latency at 100 appends/s, $length s"
	background_append 50 $((length + 1)) 4
	latency_run "$times" $((length * 50)) 50 0
	background_wait
	latency_report "commit → position" 100 "$times" 1 3

	progress "latency at 100 appends/s, seen by another session"
	latency_observe "$times" $((length * 100)) 100
	latency_report "commit → position, seen by another session" 100 "$times" 1 3

	progress "full load"
	pgbench_slice append/new.ours.sql
	slice_length=$((rounds * seconds / 2))
	pgbench_slice append/new.ours.sql
	slice_length=$seconds
	full=$(awk -v n="$slice_calls" -v s="$slice_seconds" 'BEGIN { printf "%.0f", n / s }')
	sequencer_catch_up

	load=$((full * 8 / 10))
	progress "latency at $load of $full appends/s, $length s"
	background_append "$load" $((length + 1)) 8
	latency_run "$times" $((length * 20)) 20 0
	background_wait
	latency_report "commit → position, at 80 % of $full appends/s" "$background_rate" "$times" - 10

	progress "latency at full load"
	background_append 1000000 $((length / 2 + 1)) 8
	latency_run "$times" $((length * 10)) 20 0
	background_wait
	latency_report "commit → position, at all that 8 clients can" "$background_rate" "$times" - -
	sequencer_end
}
