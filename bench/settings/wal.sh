# shellcheck shell=bash disable=SC2034,SC2154
#
# wal.sh: bytes of WAL an event, wal_compression, what a GB of kept WAL is worth, and
# fillfactor.
#
# The first change of a page after a checkpoint puts the whole page into the WAL. Where
# appends hit streams at random, each hits another page of the primary key: so
# the bytes depend on how many events come between two checkpoints, for each page.

# settings_append SCRIPT CALLS: so many calls right after a checkpoint; or, with no
# number, as many as fit into a slice. Notes the bytes of WAL an event.
settings_append() {
	local script=$1 slice_calls_wanted=${2:+$(($2 / clients))} before

	sql -c CHECKPOINT
	sequencer_catch_up
	slice_cpu_before=$(server_cpu)
	before=$(settings_lsn)
	pgbench_slice "$script"
	sequencer_catch_up
	settings_note=$((($(settings_lsn) - before) / (slice_calls * units)))
}

settings_compression() {
	local session_options="-c wal_compression=$3"

	settings_append "$1" "$2"
}

# Do sessions take the value?
settings_has_compression() {
	database=postgres sql -c "SET wal_compression = $1" 2>/dev/null
}

# settings_worth TITLE: a line of what a GB of WAL is worth, at the bytes of the last
# slices with the value that is named.
settings_worth() {
	awk -v title="$1" -v value="$2" '
		$1 == value { sum += $6; n++ }
		END {
			bytes = sum / n
			printf "| %s | %.0f | %.0f | %.0f | %.0f |\n", title, bytes, 2 ^ 30 / bytes / 100, 2 ^ 30 / bytes / 1000, 2 ^ 30 / bytes / 10000
		}' "$slices"
}

settings_wal() {
	local clients=4 sync=off values=off value worth=() pages pgbench_variables=(-D streams="$settings_streams")
	local settings_unit="B of WAL an event"

	settings_many_streams
	pages=$(sql -c "SELECT pg_relation_size('es_events_pkey') / 8192")
	for value in pglz lz4 zstd; do
		! settings_has_compression "$value" || values+=" $value"
	done
	report_heading "WAL: $bulk_events events over $settings_streams streams, appends to random ones"
	settings_table events "WAL"
	settings_values "wal_compression, few events between checkpoints ($((pages / 2)) on $pages pages)" "$values" \
		settings_compression settings/any.sql $((pages / 2))
	worth+=("$(settings_worth "one event a transaction, few between checkpoints, wal_compression off" off)")
	[[ $values != *lz4* ]] || worth+=("$(settings_worth "the same, lz4" lz4)")
	settings_values "wal_compression, many events between checkpoints" "$values" settings_compression settings/any.sql ''
	worth+=("$(settings_worth "one event a transaction, many between checkpoints, wal_compression off" off)")
	units=100
	pgbench_variables+=(-D types="$(array_of OrderPlaced)" -D datas="$(array_of "$event_data")" -D metadatas="$(array_of "$event_metadata")")
	settings_values "wal_compression, 100 events a call" "$values" settings_compression settings/batch.sql ''
	worth+=("$(settings_worth "100 events a transaction, wal_compression off" off)")
	units=1
	printf '\n| max_slot_wal_keep_size: 1 GB of WAL is worth | B of WAL an event | s at 100 events/s | s at 1,000 events/s | s at 10,000 events/s |\n|---|--:|--:|--:|--:|\n'
	printf '%s\n' "${worth[@]}"
}

# table/index: a new store of 10,000 streams of 10 events with these fillfactors, and appends.
# Notes how many pages of the primary key they have split.
settings_fill() {
	local table=${1%/*} index=${1#*/} before slice_calls_wanted=$((bulk_events / 10 / clients))

	sequencer_database bench_filled
	sql -c "ALTER TABLE es_events SET (fillfactor = $table)" -c "ALTER INDEX es_events_pkey SET (fillfactor = $index)" \
		-c "REINDEX INDEX es_events_pkey" -c "CHECKPOINT"
	before=$(sql -c "SELECT pg_relation_size('es_events_pkey') / 8192")
	slice_cpu_before=$(server_cpu)
	pgbench_slice append/any.ours.sql
	sequencer_catch_up
	settings_note="$(sql -c "SELECT round(pg_total_relation_size('es_events')::numeric / count(*)) FROM es_events")"
	settings_splits+="$1 $((($(sql -c "SELECT pg_relation_size('es_events_pkey') / 8192") - before))) $before"$'\n'
}

settings_fillfactor() {
	local clients=4 sync=off settings_unit="B an event, table and indexes" settings_splits=

	report_heading "fillfactor of es_events / of its primary key: $((bulk_events / 10)) appends to 10,000 streams of 10 events"
	settings_table events size
	settings_values "fillfactor" "100/90 90/90 100/100 100/70 100/50" settings_fill
	printf '\n| fillfactor | pages of the primary key before | pages that splits have added |\n|---|--:|--:|\n'
	awk 'NF && !seen[$1]++ { printf "| %s | %d | %d |\n", $1, $3, $2 }' <<<"$settings_splits"
}
