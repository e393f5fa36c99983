# Ten views that work off the same backlog, against one.
#
# A unit is an event of one view: at a ratio of 1, ten views cost ten times as
# much as one. The sequencer has decoded each event once, whatever reads it: its
# count of events is checked.

views_base() {
	views_used=$((views_used + 1))
	slice_cpu_before=$(server_cpu)
	projection_work_off "$views_events" "one_$views_used"
}

views_ours() {
	local names=() i

	for i in {1..10}; do
		views_ten=$((views_ten + 1))
		names+=("ten_$views_ten")
	done
	slice_cpu_before=$(server_cpu)
	projection_work_off $((views_events * 10)) "${names[@]}"
}

workload_views() {
	local rounds=$(((rounds + 1) / 2)) views_used=0 views_ten=0 views_events=$((bulk_events / 5)) clients=1 protocol=SQL sync=off decoded

	sequencer_begin
	report_heading "Ten views against one, a backlog of $views_events events; figures per event and view"
	report_table
	sequencer_database bench_empty
	projection_views one $((rounds + 1))
	projection_views ten $(((rounds + 1) * 10))
	projection_fill "$views_events"
	compare "ten views" 1 1 views_base views_ours
	decoded=$(sql -c "SELECT events FROM es_sequencer")
	[ "$decoded" -eq "$views_events" ] || die "the sequencer has decoded $decoded events of $views_events"
	projection_check 'ten__'
	sequencer_end
}
