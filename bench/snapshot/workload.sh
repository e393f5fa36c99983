# The newest snapshot of a stream, against the bare indexed SELECT.
#
# 10,000 streams with 10 snapshots each; both sides read the same table.

workload_snapshot() {
	local protocol

	report_heading "Newest snapshot (es_load_snapshot)"
	database_fresh bench_filled
	progress "saving 100,000 snapshots"
	sql -v state="$event_data" -f snapshot/prepare.sql
	report_table
	for protocol in prepared simple; do
		compare "newest snapshot" 0.9 1 "pgbench_slice snapshot/newest.base.sql" "pgbench_slice snapshot/newest.ours.sql"
	done
	protocol=prepared
	compare "newest snapshot at or below a version" 0.9 1 "pgbench_slice snapshot/at.base.sql" "pgbench_slice snapshot/at.ours.sql"
}
