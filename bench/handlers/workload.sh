# Handlers, one SQL statement for each event, against a PL/pgSQL loop with the same.
#
# An upsert into 10,000 rows for each event, by one worker and by two, and a new row for
# each; all take 10,000 events a transaction, and keep a checkpoint. The projections are paused before the
# events are appended, as in catch_up; the loop reads es_log.

handlers_base() {
	slice_calls=$handlers_events
	projection_time sql -c "CALL handlers_$1(10000)"
}

handlers_ours() {
	handlers_used=$((handlers_used + 1))
	slice_cpu_before=$(server_cpu)
	projection_work_off "$handlers_events" "$1_$handlers_used"
}

handlers_compare() {
	local handlers_used=0 different

	compare "$2" 2 1 "handlers_base $1" "handlers_ours $1"
	different=$(sql -c "SELECT count(*) FROM (TABLE $1_base EXCEPT TABLE $1_1) AS d")
	[ "$different" -eq 0 ] || die "$different rows are not those of the baseline"
}

workload_handlers() {
	local rounds=$(((rounds + 1) / 2)) handlers_events=$((bulk_events / 5)) clients=1 protocol=SQL sync=off

	sequencer_begin
	report_heading "Handlers of two event types, $handlers_events events; figures per event"
	report_table
	sequencer_database bench_empty
	sql -v count=$((rounds + 1)) -f handlers/prepare.sql >/dev/null
	projection_fill "$handlers_events"
	handlers_compare upsert "an upsert for each event"
	handlers_compare split "an upsert for each event, two partitions"
	handlers_compare insert "a row for each event"
	projection_check
	sequencer_end
}
