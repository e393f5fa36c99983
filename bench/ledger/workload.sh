# Bytes per event that the ledger adds, for transactions of one event.
#
# The store without it: es_events with its indexes. The ledger: es_commits with
# its indexes and the room that VACUUM has freed. Under load the sequencer puts
# many transactions in a row. At 100 a second it writes a small row for each and
# joins them later, so that most of the table is room freed, which is used again: the
# first minute and the growth in the minute after a VACUUM, as autovacuum does it.

# Notes the sizes; what ledger_line prints is what came after that.
ledger_note() {
	sequencer_catch_up
	sequencer_check
	sql -c 'VACUUM es_events, es_commits'
	ledger_old=$ledger_new
	ledger_new=$(sql -F ' ' -c "SELECT count(*), pg_total_relation_size('es_events'), pg_total_relation_size('es_commits'),
			(SELECT count(*) FROM es_commits), (SELECT sum(pg_column_size(c.*)) FROM es_commits c) FROM es_events")
}

ledger_line() {
	local line

	ledger_note
	line=$(awk -v title="$1" '
		NR == 1 { for (i = 1; i <= 5; i++) old[i] = $i }
		NR == 2 {
			for (i = 1; i <= 5; i++) { all[i] = $i; $i -= old[i] }
			r = sprintf("%.1f", 100 * $3 / $2)
			printf "| %s | %d | %.1f | %.2f | %.2f | %.1f | %s %% | ≤ 10 %% | %s |\n",
				title, $1, $2 / $1, $3 / $1, $5 / $1, all[1] / all[4], r, r + 0 <= 10 ? "yes" : "**no**"
		}' <<<"$ledger_old"$'\n'"$ledger_new")
	echo "$line"
	report_count "$line"
}

workload_ledger() {
	local sync clients=8 slice_calls_wanted minute length=$((rounds * seconds * 4))
	local ledger_old ledger_new

	sequencer_begin
	report_heading "Bytes that the ledger adds to an event, in transactions of one"
	cat <<-END
		| appends | events | es_events, bytes per event | es_commits, bytes per event | its rows alone | events in a row | ratio | to reach | reached |
		|---|--:|--:|--:|--:|--:|--:|--:|---|
	END
	for sync in on off; do
		progress "ledger under load, synchronous_commit $sync"
		sequencer_database bench_empty
		ledger_new="0 0 0 0 0"
		slice_calls_wanted=$((bulk_events * 3 / 10 / clients))
		pgbench_slice append/new.ours.sql
		ledger_line "8 clients, all they can, synchronous_commit $sync"
	done
	sync=on
	sequencer_database bench_empty
	ledger_new="0 0 0 0 0"
	for minute in "the first" "the next"; do
		progress "ledger at 100 appends/s for $length s"
		background_append 100 "$length" 4
		background_wait
		ledger_line "100 a second, $minute $length s"
	done
	sequencer_end
}
