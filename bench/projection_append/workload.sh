# Appends with an async view running, against the same with none.
#
# The view is resumed and paused; the sequencer is on for both. A slice with it
# begins when it has caught up; its CPU time ends when it has again. Appends of
# one event, any version, on 10,000 streams: as many rows of the view.

projection_append_slice() {
	local state=$1
	shift

	if [ "$state" = on ]; then
		projection_work_off 0 kept
		sql -c 'VACUUM kept'
	else
		sql -c "SELECT es_pause_projection('kept')" >/dev/null
	fi
	slice_cpu_before=$(server_cpu)
	"$@"
	[ "$state" = off ] || projection_catch_up
}

workload_projection_append() {
	local sync clients append="pgbench_slice append/any.ours.sql"

	sequencer_begin
	report_heading "Appends, one event a call: an async view running, against none"
	report_table
	for sync in on off; do
		for clients in 8 16; do
			sequencer_database bench_filled
			sql -c "SELECT es_create_view('kept', \$\$SELECT stream_id AS account, count(*) AS entries, sum((data->>'total')::numeric) AS total
				FROM es_log GROUP BY stream_id\$\$)" >/dev/null
			compare "appends beside a view" 0.85 1 "projection_append_slice off $append" "projection_append_slice on $append"
			projection_work_off 0 kept
			projection_check
		done
	done
	sequencer_end
}
