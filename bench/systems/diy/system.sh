# DIY table: the table that people make for themselves, and the usual append in PL/pgSQL
# shellcheck shell=bash disable=SC2154

system_missing() { :; }

system_install() { :; }

system_settings() { :; }

system_version() {
	echo "PostgreSQL $(sql -c 'SHOW server_version')"
}

system_setup() {
	sql -f size/diy.sql
	sql -f systems/diy/append.sql
}

system_fill() {
	events_rows "$1" "$2" "$3" with_versions |
		sql -c 'COPY diy_events (stream, version, type, data, metadata) FROM STDIN'
}
