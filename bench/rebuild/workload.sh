# The first build and the rebuild of a view, against one INSERT … SELECT … GROUP BY.
#
# A build begins and ends with the call of es_create_view(). A rebuild fills a new
# table beside the old one, catches up and swaps them: the time is that of the
# call of es_rebuild(), alone and with one worker more.

rebuild_base() {
	projection_base_table
	slice_cpu_before=$(server_cpu)
	slice_calls=$bulk_events
	projection_time sql -c "INSERT INTO base $projection_query"
}

rebuild_create() {
	[ "$rebuild_made" -eq 0 ] || sql -c "SELECT es_drop_projection('built_$rebuild_made')" >/dev/null
	rebuild_made=$((rebuild_made + 1))
	slice_cpu_before=$(server_cpu)
	slice_calls=$bulk_events
	projection_time sql -c "SELECT es_create_view('built_$rebuild_made', \$\$$projection_query\$\$)"
}

rebuild_again() {
	slice_calls=$bulk_events
	projection_time sql -c "SELECT es_rebuild('built_$rebuild_made', $1)"
}

workload_rebuild() {
	local rounds=$(((rounds + 1) / 2)) rebuild_made=0 clients=1 protocol=SQL

	sequencer_begin
	report_heading "Building and rebuilding a view of $projection_streams groups from $bulk_events events; figures per event"
	report_table
	sequencer_database bench_empty
	projection_fill "$bulk_events"
	compare "first build" 0.8 1 rebuild_base rebuild_create
	compare "rebuild, no worker more" 0.8 1 rebuild_base "rebuild_again 0"
	compare "rebuild, one worker more" 1.2 1 rebuild_base "rebuild_again 1"
	projection_check
	sequencer_end
}
