# shellcheck shell=bash disable=SC2034,SC2154
#
# A hot stream: a call of emt_append_to_stream that meets a conflict is answered and done with,
# and its caller comes again. All clients call as often as they can; what was appended counts.

hot_position() {
	sql -c "SELECT stream_position FROM emt_streams WHERE stream_id = 'hot-1'"
}

slice_append_hot() {
	local before

	sql -v data="$event_data" -v metadata="$event_metadata" -f "$system_dir/append_hot.first.sql" >/dev/null
	before=$(hot_position)
	slice_cpu_before=$(server_cpu)
	pgbench_slice "$system_dir/append_hot.attempt.sql"
	slice_calls=$(($(hot_position) - before))
}
