# shellcheck shell=bash disable=SC2034,SC2154
#
# projection.sh: workers of projections, and how large their batches are.
#
# The views are there and paused before the events come; a slice resumes some.

# Resumes the next views of this name, and waits for them.
settings_catch_up() {
	local setting=$1 name=$2 count=$3 value=$4 names=() i

	settings_reload "event_store.$setting = $value"
	for ((i = 0; i < count; i++)); do
		settings_used=$((settings_used + 1))
		names+=("${name}_$settings_used")
	done
	slice_cpu_before=$(server_cpu)
	projection_work_off $((bulk_events / 5 * count)) "${names[@]}"
}

settings_workers() {
	local sync=off clients=1 settings_used=0

	report_heading "event_store.max_projection_workers: four views of $projection_streams groups work off $((bulk_events / 5)) events; figures per event and view"
	settings_table
	sequencer_database bench_empty
	projection_views four $((rounds * 3 * 4))
	projection_fill $((bulk_events / 5))
	settings_values event_store.max_projection_workers "4 1 2" settings_catch_up max_projection_workers four 4
	projection_check four__
}

# A batch is kept in work_mem, and beyond that in a file.
settings_batch() {
	local sync=off clients=1 settings_used=0 values="10000 100 1000 100000"

	report_heading "event_store.projection_batch_size: a view of $projection_streams groups works off $((bulk_events / 5)) events"
	settings_table
	sequencer_database bench_empty
	projection_views one $((rounds * 4 * 2))
	projection_fill $((bulk_events / 5))
	settings_values "event_store.projection_batch_size, work_mem = 4MB" "$values" settings_catch_up projection_batch_size one 1
	sequencer_settings+=("work_mem = 64MB")
	settings_values "event_store.projection_batch_size, work_mem = 64MB" "$values" settings_catch_up projection_batch_size one 1
	unset 'sequencer_settings[-1]'
	projection_check one__
}
