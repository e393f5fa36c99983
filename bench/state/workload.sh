# The state of a stream of 10,000 events, against the same fold as an SQL aggregate over the bare SELECT; with snapshots, against without.
#
# Both sides call the same function for each event: one in PL/pgSQL, which is
# called, and one in SQL, which es_state inlines. (A baseline that has the index sort
# the rows takes as long as this one.) Reads commit nothing, so
# synchronous_commit makes no difference. Sessions keep no states but in the last
# line.

workload_state() {
	local pgbench_variables

	report_heading "State of a stream (es_state); figures per call"
	database_fresh bench_filled
	progress "adding 10 streams of 10,000 events"
	sql -v data="$event_data" -v metadata="$event_metadata" -f state/prepare.sql
	report_table
	pgbench_variables=(-D aggregate=plpgsql)
	compare "fold 10,000 events, no snapshot, PL/pgSQL" 1.1 10000 "pgbench_slice state/fold_plpgsql.base.sql" "pgbench_slice state/state.sql"
	pgbench_variables=(-D aggregate=sql)
	compare "fold 10,000 events, no snapshot, SQL" 1.1 10000 "pgbench_slice state/fold_sql.base.sql" "pgbench_slice state/state.sql"
	pgbench_variables=(-D aggregate=total)
	compare "fold 10,000 events, no snapshot, an aggregate function" - 10000 "pgbench_slice state/fold_total.base.sql" "pgbench_slice state/state.sql"
	pgbench_variables=(-D aggregate=plpgsql -D saved=plpgsql_saved)
	compare "state with a snapshot and 50 events after it" 50 1 "pgbench_slice state/state.sql" "pgbench_slice state/saved.sql"
	state_latency "state with a snapshot and 50 events after it" state/saved.sql
	sql -c "ALTER DATABASE bench RESET event_store.state_cache_size"
	compare "state that the session has seen" - 1 "pgbench_slice state/saved_first.sql" "pgbench_slice state/saved.sql"
}

# Prints the 50th, 95th and 99th percentile of a script's calls.
state_latency() {
	local title=$1 script=$2 log=$server_dir/latency

	"$pg_bin/pgbench" -n -M prepared -c 1 -T "$seconds" -f "$script" "${pgbench_variables[@]}" \
		-l --log-prefix="$log" bench >/dev/null 2>&1 || die "$script: pgbench failed"
	cat "$log".* | awk '{ print $3 }' | sort -n | awk -v title="$title" '
		{ us[NR] = $1 }
		function p(part, i) { i = int(NR * part + 0.999999); return us[i < 1 ? 1 : i] / 1000 }
		END { printf "\n%s: p50 %.3f ms, p95 %.3f ms (to reach: 2), p99 %.3f ms, max %.3f ms, %d calls.\n", title, p(0.5), p(0.95), p(0.99), p(1), NR }'
	rm -f "$log".*
	report_table
}
