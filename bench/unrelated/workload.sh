# Unrelated writes in the database of a store, against a database without one.
#
# Baseline: the same tables in a database without the extension, no sequencer
# anywhere, no appends. Ours: the sequencer is on, and 10 appends a second go on,
# by the session that measures how late their positions are, to 2 ms
# (lib/probe.sql). Both on the same server, with wal_level = logical.

# A slice of ours; what measures the positions begins and ends with it.
unrelated_ours() {
	sequencer_on
	latency_start 10 1
	slice_cpu_before=$(server_cpu)
	"$@"
	latency_stop "$unrelated_times"
}

unrelated_base() {
	local database=bench_plain

	sequencer_off
	slice_cpu_before=$(server_cpu)
	"$@"
}

unrelated_copy() {
	local start

	sql -c 'TRUNCATE plain'
	slice_cpu_before=$(server_cpu)
	start=$EPOCHREALTIME
	PGOPTIONS="-c synchronous_commit=$sync" sql -c "COPY plain FROM '$server_dir/plain.copy'"
	slice_seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.6f", b - a }')
	slice_calls=$bulk_events
}

unrelated_prepare() {
	local database

	for database in bench bench_plain; do
		"$pg_bin/pgbench" -i -q -s 20 "$database" >"$server_dir/pgbench.out" 2>&1
		sql -c 'CREATE TABLE plain (id bigint, customer integer, note text)'
	done
	database=bench_plain sql -c "COPY (SELECT i, i % 1000, repeat('x', 80) FROM generate_series(1, $bulk_events) AS i)
		TO '$server_dir/plain.copy'" -c CHECKPOINT
}

workload_unrelated() {
	local sync clients rounds_were=$rounds pgbench_variables=(-D scale=20)
	local unrelated_times=$server_dir/times unrelated_lines=()

	sequencer_begin
	report_heading "Unrelated writes beside a store with 10 appends a second"
	report_table
	sequencer_database bench_filled
	latency_prepare
	database=postgres sql -c 'CREATE DATABASE bench_plain TEMPLATE template0'
	progress "making pgbench's tables"
	unrelated_prepare
	for sync in on off; do
		: >"$unrelated_times"
		clients=8
		compare "pgbench's TPC-B, scale 20" 0.97 1 \
			"unrelated_base pgbench_slice unrelated/tpcb.sql" "unrelated_ours pgbench_slice unrelated/tpcb.sql"
		unrelated_lines+=("$(sync=on latency_report "beside TPC-B with synchronous_commit $sync" 10 "$unrelated_times" - -)")
	done
	: >"$unrelated_times"
	clients=1 sync=on protocol=COPY rounds=$(((rounds + 1) / 2))
	compare "COPY of $bulk_events rows of 100 bytes" 0.97 1 "unrelated_base unrelated_copy" "unrelated_ours unrelated_copy"
	unrelated_lines+=("$(latency_report "beside COPY" 10 "$unrelated_times" - -)")
	protocol=prepared rounds=$rounds_were

	report_heading "The positions of those 10 appends a second, to 2 ms"
	latency_table
	printf '%s\n' "${unrelated_lines[@]}"
	sequencer_on
	sequencer_check
	sequencer_off
	database=postgres sql -c 'DROP DATABASE bench_plain'
	sequencer_end
}
