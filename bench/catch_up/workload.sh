# A view works off a backlog, against one INSERT … SELECT … GROUP BY of the same.
#
# The views are made on an empty log and paused, then the events are appended.
# Each slice resumes one of them: the time ends when es_wait() says that it has
# all, the start of the worker is in it. The baseline reads es_log, too; the line
# beside it reads the table of events, as nobody could who wants positions.

catch_up_base() {
	projection_base_table
	slice_cpu_before=$(server_cpu)
	slice_calls=$bulk_events
	projection_time sql -c "INSERT INTO base ${projection_query/es_log/$1}"
}

catch_up_ours() {
	catch_up_used=$((catch_up_used + 1))
	slice_cpu_before=$(server_cpu)
	projection_work_off "$bulk_events" "caught_$catch_up_used"
}

workload_catch_up() {
	local rounds=$(((rounds + 1) / 2)) catch_up_used=0 clients=1 protocol=SQL different

	sequencer_begin
	report_heading "A view of $projection_streams groups catches up with $bulk_events events; figures per event"
	report_table
	sequencer_database bench_empty
	projection_views caught $((2 * rounds + 2))
	projection_fill "$bulk_events"
	compare "backlog, baseline: INSERT … SELECT … FROM es_log" 0.5 1 "catch_up_base es_log" catch_up_ours
	different=$(sql -c "SELECT count(*) FROM (TABLE base EXCEPT TABLE caught_1) AS d")
	[ "$different" -eq 0 ] || die "$different rows are not those of the baseline"
	compare "backlog, baseline: INSERT … SELECT … FROM es_events" - 1 "catch_up_base es_events" catch_up_ours
	projection_check "caught_1"
	sequencer_end
}
