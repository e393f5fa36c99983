# shellcheck shell=bash disable=SC2034,SC2154
#
# memory.sh: shared_buffers, and logical_decoding_work_mem.

settings_shared_buffers() {
	sequencer_off
	server_restart "${sequencer_settings[@]}" "event_store.sequencer = off" "shared_buffers = $1"
	sequencer_settings+=("shared_buffers = $1")
	sequencer_on
	unset 'sequencer_settings[-1]'
	sql -c 'SET enable_seqscan = off' -c 'SET enable_bitmapscan = off' -c "SELECT count(*) FROM es_events WHERE tenant_id >= ''" >/dev/null
	pgbench_slice settings/any.sql
	sequencer_catch_up
	slice_cpu_before=$(server_cpu)
	pgbench_slice settings/any.sql
}

settings_buffers() {
	local clients=4 sync=off pgbench_variables=(-D streams="$settings_streams")

	settings_many_streams
	report_heading "shared_buffers: $bulk_events events over $settings_streams streams, $(sql -c "SELECT pg_size_pretty(pg_total_relation_size('es_events'))"); appends to random ones"
	settings_table
	settings_values shared_buffers "128MB 16MB 1GB" settings_shared_buffers
}

# Bytes that the sequencer's process has handed to the kernel so far: what it spills.
# (Its slot has no statistics; its own WAL is written by others, nearly all.)
settings_written() {
	awk '/^wchar/ { print $2 }' "/proc/$(sequencer_processes)/io"
}

# One transaction, then the time until the sequencer has read it. It reads what is
# none of its business when it likes; an event makes it.
settings_decode() {
	local began before

	settings_reload "logical_decoding_work_mem = $2"
	sql -c "SELECT es_append('mark-1', 'Marked', '{}')" >/dev/null
	sequencer_catch_up
	before=$(settings_written)
	sql -v rows="$settings_rows" -v data="$event_data" -v metadata="$event_metadata" -f "settings/$1.sql"
	began=$EPOCHREALTIME
	sql -c "SELECT es_append('mark-1', 'Marked', '{}')" >/dev/null
	sequencer_catch_up
	slice_seconds=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.6f", b - a }')
	slice_calls=$settings_rows
	settings_note=$((($(settings_written) - before) / 1024))
}

# The feed, read through SQL.
settings_feed() {
	local began=$EPOCHREALTIME spilled

	PGOPTIONS="-c logical_decoding_work_mem=$1" sql -c "SELECT count(*) FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'format', 'json')" >/dev/null
	slice_seconds=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.6f", b - a }')
	slice_calls=$settings_rows
	spilled=$(sql -c "SELECT spill_bytes / 1024 FROM pg_stat_replication_slots WHERE slot_name = 'feed'")
	settings_note=$((${spilled:-0} - settings_spilled))
	settings_spilled=${spilled:-0}
}

settings_decoding() {
	local sync=on settings_rows=$((bulk_events / 5)) settings_unit settings_spilled=0 values="64MB 64kB 1MB 4MB"

	sequencer_database bench_empty
	sql -c 'CREATE TABLE other (id bigint PRIMARY KEY, data jsonb, metadata jsonb)'
	report_heading "logical_decoding_work_mem: a transaction of $settings_rows rows, from its commit until it is decoded"
	settings_table rows written
	settings_unit="kB written by the sequencer"
	settings_values "the sequencer, a transaction of another table" "$values" settings_decode other
	settings_values "the sequencer, a transaction of events" "$values" settings_decode events
	sequencer_off
	if [ -n "$(sql -c "SELECT 1 FROM pg_settings WHERE name = 'output_plugin_libraries'")" ]; then
		settings_reload "output_plugin_libraries = 'event_store'"
	fi
	sql -c "SELECT pg_create_logical_replication_slot('feed', 'event_store')" >/dev/null
	sql -v rows="$settings_rows" -v data="$event_data" -v metadata="$event_metadata" -f settings/events.sql
	settings_unit="kB spilled"
	settings_values "a reader of the feed, a transaction of events" "$values" settings_feed
}
