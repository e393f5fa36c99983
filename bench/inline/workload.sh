# Appends with an inline view, against a hand-written trigger that does the same upsert.
#
# Each append of one event, or of 100 to one stream, updates the stream's row of
# 10,000. The trigger is AFTER INSERT FOR EACH ROW, on es_events; in the lines
# beside it on the bare table, which gives no versions. Two databases, both with
# the sequencer off: an inline view does not wait for positions.

inline_slice() {
	local database=$1
	shift

	pgbench_slice "$@"
}

inline_compare() {
	compare "$1, trigger on es_events" 1 "$2" "inline_slice bench_trigger $4" "inline_slice bench $4"
	compare "$1, trigger on the bare table" - "$2" "inline_slice bench_trigger $3" "inline_slice bench $4"
}

# The view is made on a log whose events have positions. The other database has
# never seen a sequencer.
inline_prepare() {
	database=postgres sql -c 'SET client_min_messages = warning' -c 'DROP DATABASE IF EXISTS bench_trigger'
	sequencer_database bench_filled
	sql -f inline/prepare.ours.sql >/dev/null
	sequencer_off
	database=postgres sql -c 'CREATE DATABASE bench_trigger TEMPLATE bench_filled' -c CHECKPOINT
	database=bench_trigger sql -f inline/prepare.base.sql
	server_settle
}

workload_inline() {
	local sync clients different pgbench_variables=()

	sequencer_begin
	report_heading "Appends with an inline view, against a trigger; figures per event"
	report_table
	for sync in on off; do
		for clients in 1 8; do
			inline_prepare
			inline_compare "one event a call" 1 append/any.base.sql append/any.ours.sql
		done
	done
	sync=off clients=1
	pgbench_variables=(-D types="$(array_of OrderPlaced)" -D datas="$(array_of "$event_data")" -D metadatas="$(array_of "$event_metadata")")
	inline_prepare
	inline_compare "100 events a call" 100 batch/any.base.sql batch/any.ours.sql
	different=$(sql -c "SELECT count(*) FROM (SELECT stream_id, count(*), sum((data->>'total')::numeric), max(version) FROM es_events GROUP BY 1
		EXCEPT TABLE account) AS d")
	[ "$different" -eq 0 ] || die "$different rows of the inline view are not what the events say"
	database=postgres sql -c 'DROP DATABASE bench_trigger'
	sequencer_end
}
