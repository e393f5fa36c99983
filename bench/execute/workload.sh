# Commands by es_execute, against es_append alone and against three round trips.
#
# Each client has a stream of its own. The baseline of the first lines appends the
# event that the command would come to, without asking anybody; that of the others
# is what a client does without es_execute: it reads the version and the state
# (es_state, which saves it the events), has the same function decide, and appends
# at that version. Latencies are those that 16 clients see.

# Runs a script with the given number of clients and reports the latencies.
execute_latency() {
	local title=$1 script=$2 clients=$3 log=$server_dir/latency line

	progress "latency, $title, clients $clients, synchronous_commit $sync"
	rm -f "$log".*
	PGOPTIONS="-c synchronous_commit=$sync" "$pg_bin/pgbench" -n -M prepared -c "$clients" -j "$cores" \
		-T "$((rounds * seconds))" -f "$script" --log --log-prefix="$log" bench >/dev/null 2>&1 ||
		die "$script failed"
	line=$(cat "$log".* | sort -n -k 3,3 | awk -v title="$title" -v sync="$sync" -v clients="$clients" '
		{ t[NR] = $3 }
		END {
			p50 = t[int(NR * 0.50) + 1] / 1000; p95 = t[int(NR * 0.95) + 1] / 1000; p99 = t[int(NR * 0.99) + 1] / 1000
			target = clients == 16 && sync == "on" && title ~ /es_execute/
			printf "| %s | %s | %d | %d | %.2f | %.2f | %.2f | %s | %s |\n", title, sync, clients, NR, p50, p95, p99,
				target ? "p95 < 20" : "", target ? (p95 < 20 ? "yes" : "**no**") : ""
		}')
	rm -f "$log".*
	echo "$line"
	report_count "$line"
}

workload_execute() {
	local sync clients

	report_heading "Commands: es_execute on own streams, a trivial decide in PL/pgSQL"
	report_table
	for sync in on off; do
		for clients in 1 8 16; do
			database_fresh bench_empty
			sql -f execute/prepare.sql >/dev/null
			compare "against es_append alone" "$([ "$clients" -eq 8 ] && echo 0.5 || echo -)" 1 \
				"pgbench_slice execute/append.sql" "pgbench_slice execute/execute.sql"
			compare "against three round trips" "$([ "$clients" -eq 8 ] && echo 2 || echo -)" 1 \
				"pgbench_slice execute/three.sql" "pgbench_slice execute/execute.sql"
		done
	done
	cat <<-END

		| work | sync | clients | commands | p50 ms | p95 ms | p99 ms | to reach | reached |
		|---|---|--:|--:|--:|--:|--:|---|---|
	END
	sync=on
	database_fresh bench_empty
	sql -f execute/prepare.sql >/dev/null
	for clients in 1 16; do
		execute_latency "es_append" execute/append.sql "$clients"
		execute_latency "es_execute" execute/execute.sql "$clients"
		execute_latency "three round trips" execute/three.sql "$clients"
	done
}
