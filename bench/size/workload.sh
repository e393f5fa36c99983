# Bytes per event, table and indexes, against the table that users make themselves.
#
# Events are appended one by one, each in its own transaction, by 4 clients to
# 10,000 streams; then VACUUM, then the sizes that PostgreSQL reports.

size_fill() {
	slice=$1
	slice_calls_wanted=$((bulk_events / clients))
	progress "appending $bulk_events events, $2"
	pgbench_slice "$2"
	[ "$slice_calls" -eq "$bulk_events" ] || die "$2: $slice_calls of $bulk_events calls succeeded"
}

workload_size() {
	local sync=off clients=4 slice_calls_wanted ours theirs line

	report_heading "Bytes per event after $bulk_events appends, one by one, over 10,000 streams"
	database_fresh bench_empty
	sql -f size/diy.sql
	size_fill 1 append/any.ours.sql
	size_fill 2 size/diy.insert.sql
	sql -c 'VACUUM ANALYZE es_events, diy_events'
	printf '| relation | bytes per event |\n|---|--:|\n'
	sql -v events="$bulk_events" -f size/relations.sql
	ours=$(sql -c "SELECT pg_total_relation_size('es_events')")
	theirs=$(sql -c "SELECT pg_total_relation_size('diy_events')")
	printf '\n| work | event_store | DIY table | ratio | to reach | reached |\n|---|--:|--:|--:|--:|---|\n'
	line=$(awk -v o="$ours" -v t="$theirs" -v n="$bulk_events" 'BEGIN {
		r = sprintf("%.2f", o / t)
		printf "| bytes per event, table and indexes | %.1f | %.1f | %s | ≤ 1.10 | %s |",
			o / n, t / n, r, r <= 1.10 ? "yes" : "**no**" }')
	echo "$line"
	report_count "$line"
}
