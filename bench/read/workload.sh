# Reading a stream, against the bare SELECT of the same columns.
#
# Both sides read the same rows of the same table. Reads commit nothing, so
# synchronous_commit makes no difference.
#
# Small streams are read first in a store of nothing but small streams, where
# PostgreSQL settles on generic plans for prepared statements. Among streams of
# very different lengths it may find a generic plan dear and plan each call anew:
# that is the line "among large ones". In the simple protocol it always does.

workload_read() {
	local protocol

	report_heading "Reading (es_read_stream); figures per call"
	database_fresh bench_filled
	report_table
	for protocol in prepared simple; do
		compare "read 10 events: a whole stream" 0.95 1 "pgbench_slice read/small.base.sql" "pgbench_slice read/small.ours.sql"
	done
	protocol=prepared
	progress "adding 10 streams of 10,000 events"
	sql -v data="$event_data" -v metadata="$event_metadata" -f read/prepare.sql
	for protocol in prepared simple; do
		compare "read 10,000 events: a whole stream" 0.95 1 "pgbench_slice read/large.base.sql" "pgbench_slice read/large.ours.sql"
	done
	protocol=prepared
	compare "read 10 events: a whole stream among large ones" - 1 "pgbench_slice read/small.base.sql" "pgbench_slice read/small.ours.sql"
	compare "read 10 events of 10,000, from a version" - 1 "pgbench_slice read/page.base.sql" "pgbench_slice read/page.ours.sql"
	compare "read the last 10 events of 10,000, backwards" - 1 "pgbench_slice read/last.base.sql" "pgbench_slice read/last.ours.sql"
}
