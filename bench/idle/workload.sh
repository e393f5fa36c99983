# An idle transaction that has a number, while 50 appends a second go on.
#
# Once a second two readers go on from where they were: ours with es_read_all,
# and beside it one that takes the messages before pg_snapshot_xmin(), as Emmett's
# does, from a table to which the same clients write. The plot shows how many of
# the committed events each has not got. A full run writes idle_transaction.svg.

# Samples to the end of the appends: a line "seconds, ours, theirs" each second.
idle_sample() {
	local start=$EPOCHREALTIME tick row log_position=0 log_read=0 xid_transaction=0 xid_position=0 xid_read=0 ours theirs

	for ((tick = 1; tick <= $1; tick++)); do
		sleep "$(awk -v a="$start" -v b="$EPOCHREALTIME" -v t="$tick" 'BEGIN { d = a + t - b; printf "%.3f", (d > 0 ? d : 0) }')"
		row=$(sql -F ' ' -v log_position="$log_position" -v log_read="$log_read" -v xid_transaction="$xid_transaction" \
			-v xid_position="$xid_position" -v xid_read="$xid_read" -f idle/sample.sql)
		read -r log_position log_read xid_transaction xid_position xid_read ours theirs <<<"$row"
		echo "$tick $ours $theirs"
	done
}

workload_idle() {
	local sync=on held=60 around=10 samples=$server_dir/idle line

	[ "$quick" = 1 ] && held=10 around=3
	sequencer_begin
	report_heading "An idle transaction with a number, held for $held s, while 50 appends a second go on"
	sequencer_database bench_empty
	sql -f idle/prepare.sql
	progress "an idle transaction for $held s"
	PGOPTIONS="-c synchronous_commit=$sync" "$pg_bin/pgbench" -n -M prepared -c 4 -j 1 -R 50 -T $((held + 2 * around + 1)) \
		-f idle/append.sql -D type=OrderPlaced -D data="$event_data" -D metadata="$event_metadata" \
		bench >"$server_dir/background.out" 2>&1 &
	background_pid=$!
	{
		sleep "$around"
		sql -c "BEGIN" -c "SELECT pg_current_xact_id()" -c "SELECT pg_sleep($held)" -c "COMMIT" >/dev/null
	} &
	idle_pid=$!
	idle_sample $((held + 2 * around)) >"$samples"
	wait "$idle_pid" || die "the idle transaction failed"
	background_wait
	sequencer_catch_up
	sequencer_check

	awk -v from="$around" -v to=$((around + held)) -f idle/text.awk "$samples"
	[ "$quick" = 1 ] || awk -v from="$around" -v to=$((around + held)) -f idle/svg.awk "$samples" >idle_transaction.svg
	line=$(awk -v from="$around" -v to=$((around + held)) '
		$1 > from && $1 <= to { held = $2 > held ? $2 : held; theirs = $3 > theirs ? $3 : theirs; next }
		{ free = $2 > free ? $2 : free; other = $1 <= from && $3 > other ? $3 : other }
		END {
			printf "| reader | most events behind, no idle transaction | most while it is held | to reach | reached |\n|---|--:|--:|---|---|\n"
			printf "| es_read_all | %d | %d | unchanged: at most 5, a tenth of a second | %s |\n", free, held, held <= 5 ? "yes" : "**no**"
			printf "| below pg_snapshot_xmin() | %d | %d | | |\n", other, theirs
		}' "$samples")
	printf '\n%s\n' "$line"
	report_count "$line"
	sequencer_end
}
