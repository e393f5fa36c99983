# One event a call, against a prepared INSERT … VALUES that checks nothing.
#
# new:   each call makes a new stream with a random name
# any:   no expected version, on 10,000 streams of which all exist
# exact: each client owns 1,000 streams and states the version it knows
#
# The baseline's caller states the version. For `any` it is a number that no
# other call uses, greater than all before it, so that the primary key grows at
# the same places as ours.

workload_append() {
	local sync clients kind title

	report_heading "One event a call (es_append)"
	report_table
	for sync in on off; do
		for clients in $client_counts; do
			for kind in new any exact; do
				case $kind in
					new) title="new streams" ;;
					any) title="any version, 10,000 streams" ;;
					exact) title="exact version" ;;
				esac
				database_fresh bench_filled
				compare "$title" 0.95 1 "pgbench_slice append/$kind.base.sql" "pgbench_slice append/$kind.ours.sql"
			done
		done
	done
}
