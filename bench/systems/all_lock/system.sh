# $all row lock: one row of streams counts all events, as in Commanded's store; each append holds it until its commit
# shellcheck shell=bash disable=SC2154

system_missing() { :; }

system_install() { :; }

system_settings() { :; }

system_version() {
	echo "PostgreSQL $(sql -c 'SHOW server_version')"
}

system_setup() {
	sql -f systems/all_lock/setup.sql
}

# In one statement for all streams: it takes the row's lock once.
system_fill() {
	sql -v prefix="$1" -v streams="$2" -v events="$3" -v data="$event_data" -v metadata="$event_metadata" \
		-f systems/all_lock/fill.sql
}
