# event_store: this extension, preloaded, its sequencer at work
# shellcheck shell=bash disable=SC2154

system_missing() { :; }

system_install() { :; }

system_settings() {
	echo "shared_preload_libraries = 'event_store'"
	if server_knows output_plugin_libraries; then
		echo "output_plugin_libraries = 'event_store'"
	fi
}

system_version() {
	echo "event_store $(sql -c 'SELECT es_version()')"
}

# The sequencer starts with the extension: from then on it belongs to the server at rest.
system_setup() {
	sql -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION event_store'
	system_idle
	system_count_helpers
}

system_fill() {
	events_rows "$1" "$2" "$3" | sql -c 'COPY es_events (stream_id, event_type, data, metadata) FROM STDIN'
}

# All that was committed has its position. A sequencer that has just been started may
# not be known yet; then waiting is refused.
system_idle() {
	local tries=0

	until [ "$(sql -c "SELECT es_wait_for_log('10 min')" 2>"$server_dir/wait.out")" = t ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 2000 ] || die "the sequencer does not catch up: $(cat "$server_dir/wait.out")"
		sleep 0.005
	done
}
