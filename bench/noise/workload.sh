# The baselines against themselves: how far from 1.00 this machine's noise goes.
#
# A ratio elsewhere in the table says nothing finer than the spread seen here.

workload_noise() {
	local sync clients

	report_heading "Noise: the same work on both sides"
	report_table
	for sync in on off; do
		for clients in 1 16; do
			database_fresh bench_filled
			compare "INSERT against itself" - 1 "pgbench_slice append/any.base.sql" "pgbench_slice append/any.base.sql"
		done
	done
	sync=on clients=1
	compare "SELECT of 10 events against itself" - 1 "pgbench_slice read/small.base.sql" "pgbench_slice read/small.base.sql"
}
