# bare INSERT: the table of event_store without the extension's triggers; it checks nothing, and its callers know every version
# shellcheck shell=bash disable=SC2154

system_missing() { :; }

system_install() { :; }

system_settings() { :; }

system_version() {
	echo "PostgreSQL $(sql -c 'SHOW server_version')"
}

# The extension is there for its generator of event ids only, and is not preloaded.
system_setup() {
	sql -f lib/bare.sql
}

system_fill() {
	events_rows "$1" "$2" "$3" with_versions |
		sql -c 'COPY bare_events (stream_id, version, event_type, data, metadata) FROM STDIN'
}
