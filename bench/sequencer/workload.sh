# Appends with the sequencer on, against the same with it off.
#
# Both sides write the same WAL. A slice with the sequencer on begins when the
# backlog of the one before it is worked off; its CPU time ends when its own is.

workload_sequencer() {
	local sync clients sequencer_late sequencer_notes=()
	local append="pgbench_slice append/new.ours.sql"

	sequencer_begin
	report_heading "Appends, one event a call, new streams: sequencer on, against off"
	report_table
	for sync in on off; do
		for clients in 8 16; do
			sequencer_late=0
			sequencer_database bench_filled
			compare "appends beside the sequencer" 0.88 1 "sequencer_slice off $append" "sequencer_slice on $append"
			sequencer_on
			sequencer_check
			sequencer_notes+=("synchronous_commit $sync, $clients clients: after its slices the sequencer had caught up within $sequencer_late s (starting psql included)")
		done
	done
	echo
	printf -- '- %s\n' "${sequencer_notes[@]}"
	sequencer_end
}
