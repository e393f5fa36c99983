# 100 events a call, against one prepared INSERT … SELECT FROM unnest of the same.
#
# Both get the same three array parameters as text, as from most drivers, and pay
# for parsing them: most of it is PostgreSQL's JSON parser. Two more lines show
# what is left without it. "from arrays in a table": the arrays are in a one-row
# table on the server, parsed already; both sides only fetch them. "parsing
# alone": the baseline against nothing but the parsing; no insert path can
# reach that ratio.

workload_batch() {
	local sync clients pgbench_variables

	report_heading "100 events a call (es_append_batch); figures per event"
	report_table
	pgbench_variables=(
		-D types="$(array_of OrderPlaced)"
		-D datas="$(array_of "$event_data")"
		-D metadatas="$(array_of "$event_metadata")"
	)
	for sync in on off; do
		for clients in 1 4; do
			database_fresh bench_filled
			compare "100 events a call" 1.4 100 "pgbench_slice batch/any.base.sql" "pgbench_slice batch/any.ours.sql"
		done
	done
	sync=off clients=1
	database_fresh bench_filled
	compare "parsing alone" - 100 "pgbench_slice batch/any.base.sql" "pgbench_slice batch/parse.sql"
	pgbench_variables=()
	database_fresh bench_filled
	sql -v data="$event_data" -v metadata="$event_metadata" -f batch/arrays.sql
	compare "from arrays in a table" - 100 "pgbench_slice batch/table.base.sql" "pgbench_slice batch/table.ours.sql"
}
