# From the commit of an append until an async read model shows it.
#
# As latency, but the probe looks for its stream's row in a view: 100 appends a
# second in all beside two views; then five views, while 8 clients append 80 % of
# what they can beside them. Meanwhile another session notes how many events the
# slowest view is behind: that must not grow.

projection_latency_database() {
	sequencer_database bench_filled
	latency_prepare
	sql -v five="$1" -f projection_latency/views.sql -f projection_latency/lag.sql >/dev/null
	projection_catch_up
}

# The median lag of the first and of the last third of the time. It grows if the
# last is more than the first by what comes in a tenth of a second.
projection_latency_lag() {
	local line

	line=$(tr -d '{}' <"$1" | tr ',' '\n' | awk -v title="$2" -v rate="$3" '
		{ a[NR] = $1 }
		function median(from, to,    b, i, j, n, t) {
			for (i = from; i <= to; i++) {
				for (j = ++n; j > 1 && b[j - 1] > a[i]; j--) b[j] = b[j - 1]
				b[j] = a[i]
			}
			return b[int((n + 1) / 2)]
		}
		END {
			first = median(1, int(NR / 3)); last = median(NR - int(NR / 3) + 1, NR)
			for (i = 1; i <= NR; i++) most = a[i] > most ? a[i] : most
			printf "| %s | %s | %d | %d | %d | %d | does not grow | %s |\n",
				title, rate, NR, first, last, most, last <= first + rate / 10 ? "yes" : "**no**"
		}')
	echo "$line"
	report_count "$line"
}

workload_projection_latency() {
	local sync=on clients=8 full load length=$((rounds * seconds * 2)) times=$server_dir/times lags=$server_dir/lags lag_pid

	sequencer_begin
	report_heading "From commit to a read model"
	latency_table
	projection_latency_database 0

	progress "latency of a view at 100 appends/s, $length s"
	background_append 50 $((length + 1)) 4
	latency_run "$times" $((length * 50)) 50 0
	background_wait
	latency_report "commit → visible in a view" 100 "$times" - 10

	progress "latency of a view at 100 appends/s, seen by another session"
	projection_catch_up
	latency_observe "$times" $((length * 100)) 100
	latency_report "commit → visible in a view, seen by another session" 100 "$times" - 10

	progress "full load beside five views"
	projection_latency_database 1
	pgbench_slice append/new.ours.sql
	projection_catch_up
	slice_length=$((rounds * seconds / 2))
	pgbench_slice append/new.ours.sql
	slice_length=$seconds
	full=$(awk -v n="$slice_calls" -v s="$slice_seconds" 'BEGIN { printf "%.0f", n / s }')
	projection_catch_up
	sql -c VACUUM

	load=$((full * 8 / 10))
	progress "latency of a view at $load of $full appends/s, five views, $length s"
	background_append "$load" $((length + 1)) 8
	sql -c 'CALL bench_lag()' >"$lags" 2>&1 &
	lag_pid=$!
	latency_run "$times" $((length * 20)) 20 0
	sql -c 'INSERT INTO bench_probe_stop VALUES (now())'
	wait "$lag_pid" || die "lag: $(cat "$lags")"
	background_wait
	latency_report "commit → visible in a view, five views, at 80 % of $full appends/s" "$background_rate" "$times" - 100
	cat <<-END

		| work | appends /s | measured | lag in events, first third | last third | most | to reach | reached |
		|---|--:|--:|--:|--:|--:|---|---|
	END
	projection_latency_lag "$lags" "five views, at 80 % of $full appends/s" "$background_rate"
	projection_catch_up
	projection_check
	sequencer_end
}
