# Handlers, one SQL statement for each event, against a PL/pgSQL loop with the same.
#
# An upsert into 10,000 rows for each event; both take 10,000 events a transaction,
# and keep a checkpoint. The projections are paused before the events are appended,
# as in catch_up; the loop reads es_log.

handlers_base() {
	slice_calls=$handlers_events
	projection_time sql -c "CALL handlers_base(10000)"
}

handlers_ours() {
	handlers_used=$((handlers_used + 1))
	slice_cpu_before=$(server_cpu)
	projection_work_off "$handlers_events" "handled_$handlers_used"
}

workload_handlers() {
	local rounds=$(((rounds + 1) / 2)) handlers_used=0 handlers_events=$((bulk_events / 5)) clients=1 protocol=SQL sync=off different

	sequencer_begin
	report_heading "Handlers: $handlers_events events, an upsert for each; figures per event"
	report_table
	sequencer_database bench_empty
	sql -v count=$((rounds + 1)) -f handlers/prepare.sql >/dev/null
	projection_fill "$handlers_events"
	compare "SQL handlers of two event types" 2 1 handlers_base handlers_ours
	different=$(sql -c "SELECT count(*) FROM (TABLE account_base EXCEPT TABLE account_1) AS d")
	[ "$different" -eq 0 ] || die "$different rows are not those of the baseline"
	projection_check
	sequencer_end
}
