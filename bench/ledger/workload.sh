# Bytes per event that the ledger adds, for transactions of one event.
#
# The store without it: es_events with its indexes. The ledger: es_commits with
# its index and what VACUUM leaves in it. Under load the sequencer puts many
# transactions in a row; at 100 a second it writes small rows, and joins them later.

ledger_line() {
	local line

	sequencer_catch_up
	sequencer_check
	sql -c 'VACUUM es_events, es_commits'
	line=$(sql -F ' ' -c "SELECT count(*), pg_total_relation_size('es_events'), pg_total_relation_size('es_commits'),
			(SELECT count(*) FROM es_commits), (SELECT sum(pg_column_size(c.*)) FROM es_commits c) FROM es_events" |
		awk -v title="$1" '{
			r = sprintf("%.1f", 100 * $3 / $2)
			printf "| %s | %d | %.1f | %.2f | %.2f | %.1f | %s %% | ≤ 10 %% | %s |\n",
				title, $1, $2 / $1, $3 / $1, $5 / $1, $1 / $4, r, r + 0 <= 10 ? "yes" : "**no**" }')
	echo "$line"
	report_count "$line"
}

workload_ledger() {
	local sync clients=8 slice_calls_wanted length=$((rounds * seconds * 4))

	sequencer_begin
	report_heading "Bytes that the ledger adds to an event, in transactions of one"
	cat <<-END
		| appends | events | es_events, bytes per event | es_commits, bytes per event | its rows alone | events in a row | ratio | to reach | reached |
		|---|--:|--:|--:|--:|--:|--:|--:|---|
	END
	for sync in on off; do
		progress "ledger under load, synchronous_commit $sync"
		sequencer_database bench_empty
		slice_calls_wanted=$((bulk_events * 3 / 10 / clients))
		pgbench_slice append/new.ours.sql
		ledger_line "8 clients, all they can, synchronous_commit $sync"
	done
	sync=on
	progress "ledger at 100 appends/s for $length s"
	sequencer_database bench_empty
	background_append 100 "$length" 4
	background_wait
	ledger_line "100 a second, $length s"
	sequencer_end
}
