# Reading events through upcasters, against the same events raw.
#
# All events have 200 bytes of data and are of version 1; the newest is 3. A step
# is an expression, data || '{"quantity": 1}', or a function in PL/pgSQL that does
# the same. "by hand" is a SELECT that has the two expressions in its list: what
# they cost by themselves.

workload_upcast() {
	report_heading "Upcasting (es_read_stream, two steps); figures per call"
	report_table
	upcast_fresh OrderPlaced sql
	compare "10,000 events, two SQL expressions; against raw" 0.5 1 "pgbench_slice upcast/raw.sql" "pgbench_slice upcast/upcast.sql"
	compare "the same by hand; against raw" - 1 "pgbench_slice upcast/raw.sql" "pgbench_slice upcast/expression.sql"
	compare "10 events, two SQL expressions; against raw" - 1 "pgbench_slice upcast/small.raw.sql" "pgbench_slice upcast/small.upcast.sql"
	upcast_fresh OrderPlaced plpgsql
	compare "10,000 events, two PL/pgSQL functions; against raw" - 1 "pgbench_slice upcast/raw.sql" "pgbench_slice upcast/upcast.sql"
	upcast_fresh OrderShipped sql
	compare "10,000 events of a type without upcaster, while another has one; against raw" - 1 "pgbench_slice upcast/raw.sql" "pgbench_slice upcast/upcast.sql"
}

upcast_fresh() {
	database_fresh bench_filled
	sql -v data="$event_data" -v metadata="$event_metadata" -f read/prepare.sql
	sql -v type="$1" -v body="$2" -f upcast/types.sql >&2
}
