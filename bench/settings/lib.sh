# shellcheck shell=bash disable=SC2034,SC2154
#
# lib.sh: several values of a setting against each other.

# Head of the table for settings_values(); the last column is what else was counted.
settings_table() {
	cat <<-END
		| setting | value | sync | clients | ${1:-events} /s | against the first | server µs CPU | against the first | ${2:-} |
		|---|---|---|--:|--:|--:|--:|--:|---|
	END
}

# settings_values NAME "VALUE VALUE …" COMMAND…: runs COMMAND VALUE as a slice of each
# value in turn, and reports a line of each. A slice says in settings_note what else it
# has counted: a number, and in settings_unit what of. "units" is those of a call.
settings_values() {
	local name=$1 values order round value i
	shift

	read -ra values <<<"$1"
	shift
	progress "$name: ${values[*]}; clients $clients, synchronous_commit $sync"
	slices=$server_dir/slices
	: >"$slices"
	base_errors=0
	for ((round = 1; round <= rounds; round++)); do
		for ((i = 0; i < ${#values[@]}; i++)); do
			value=${values[round % 2 ? i : ${#values[@]} - 1 - i]}
			settings_note=
			slice_run "$value" "$round" "$@" "$value"
			sed -i "\$ s/\$/ $settings_note/" "$slices"
		done
	done
	errors_met=$((errors_met + base_errors))
	awk -v name="$name" -v values="${values[*]}" -v units="$units" -v sync="$sync" -v clients="$clients" \
		-v unit="${settings_unit:-}" -f settings/values.awk "$slices"
}

# A value of a setting of the session.
settings_session() {
	local name=$1 script=$2 session_options="$session_options -c $1=$3"

	pgbench_slice "$script"
}

# Settings that the server takes without a restart.
settings_reload() {
	local line name value

	server_set "${sequencer_settings[@]}" "event_store.sequencer = $sequencer_is" "$@"
	database=postgres sql -c 'SELECT pg_reload_conf()' >/dev/null
	for line in "$@"; do
		name=${line%% = *}
		value=${line#* = }
		value=${value//\'/}
		until [ "$(database=postgres sql -c "SELECT count(*) FROM pg_file_settings WHERE name = '$name' AND setting = '$value' AND applied")" = 1 ] &&
			[ "$(database=postgres sql -c "SELECT source FROM pg_settings WHERE name = '$name'")" = 'configuration file' ]; do
			sleep 0.01
		done
	done
}

# A store of $bulk_events events over $settings_streams streams, all numbered.
settings_many_streams() {
	local projection_streams=$settings_streams

	sequencer_database bench_empty
	projection_fill "$bulk_events"
}

settings_lsn() {
	sql -c "SELECT pg_current_wal_insert_lsn() - '0/0'"
}
