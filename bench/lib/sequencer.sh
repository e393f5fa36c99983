# shellcheck shell=bash disable=SC2034,SC2154
#
# sequencer.sh: a server whose library is preloaded, its sequencer switched on
# and off, and the time from a commit to its position.
#
# Workloads of the sequencer stand between sequencer_begin and sequencer_end;
# the others run on a server that neither preloads nor writes logical WAL.

sequencer_settings=("wal_level = logical" "shared_preload_libraries = 'event_store'")

# The sequencer of the database under test is the only one: the templates admit
# nobody, so that none runs there. It is off at first.
sequencer_begin() {
	local template

	for template in bench_empty bench_filled; do
		database=postgres sql -c "ALTER DATABASE $template ALLOW_CONNECTIONS false"
	done
	database=postgres sql -c 'SET client_min_messages = warning' -c 'DROP DATABASE IF EXISTS bench'
	server_restart "${sequencer_settings[@]}" "event_store.sequencer = off"
	sequencer_is=off
}

# Slots have to go before wal_level does.
sequencer_end() {
	local template

	sequencer_off
	database=postgres sql -c 'SET client_min_messages = warning' -c 'DROP DATABASE IF EXISTS bench'
	database=postgres sql -c "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots" >/dev/null
	for template in bench_empty bench_filled; do
		database=postgres sql -c "ALTER DATABASE $template ALLOW_CONNECTIONS true"
	done
	server_restart
}

# A new database with a store, with its slot, so that the sequencer goes on from
# the WAL whenever it is switched on.
sequencer_database() {
	sequencer_off
	database_fresh "$1"
	sequencer_on
}

# Changes the setting, without waiting for anything.
sequencer_switch() {
	server_set "${sequencer_settings[@]}" "event_store.sequencer = $1"
	database=postgres sql -c 'SELECT pg_reload_conf()' >/dev/null
}

# Waits until all that was committed is sequenced. A sequencer that was switched
# on a moment ago may not be known yet, then waiting is refused.
sequencer_catch_up() {
	local tries=0 log=$server_dir/wait.out

	until [ "$(sql -c "SELECT es_wait_for_log('10 min')" 2>"$log")" = t ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 2000 ] || die "the sequencer does not catch up: $(cat "$log")"
		sleep 0.005
	done
}

# Switches it on, and waits until it has caught up: sequencer_caught_up says when.
sequencer_on() {
	[ "$sequencer_is" = off ] || return 0
	sequencer_switch on
	sequencer_catch_up
	sequencer_caught_up=$EPOCHREALTIME
	sequencer_is=on
	server_count_helpers
}

# Switches it off, and waits until its process has ended.
sequencer_off() {
	[ "$sequencer_is" = on ] || return 0
	sequencer_switch off
	while [ -n "$(sequencer_processes)" ]; do
		sleep 0.01
	done
	sequencer_is=off
	server_count_helpers
}

sequencer_processes() {
	database=postgres sql -c "SELECT pid FROM pg_stat_activity WHERE backend_type = 'event_store sequencer'"
}

# Runs one slice with the sequencer on, and one with it off: the CPU time of the
# first includes what the sequencer still had to do when the appends had ended.
# Notes in sequencer_late how long that took at most, in seconds.
sequencer_slice() {
	local state=$1 began
	shift

	"sequencer_$state"
	slice_cpu_before=$(server_cpu)
	"$@"
	if [ "$state" = on ]; then
		began=$EPOCHREALTIME
		sequencer_catch_up
		sequencer_late=$(awk -v a="$began" -v b="$EPOCHREALTIME" -v old="${sequencer_late:-0}" \
			'BEGIN { printf "%.3f", (b - a > old ? b - a : old) }')
	fi
}

# How long positions take, measured by one session of its own that appends
# (lib/probe.sql). latency_run FILE COUNT RATE NAP leaves COUNT times, in ms, one
# a line, in order.
latency_prepare() {
	sql -f lib/probe.sql
}

latency_run() {
	PGOPTIONS="-c synchronous_commit=$sync" sql -v count="$2" -v rate="$3" -v nap="$4" \
		-v data="$event_data" -v metadata="$event_metadata" <<-'END' | tr -d '{}' | tr ',' '\n' | sort -n >"$1"
			CALL bench_probe(:count, :rate, :nap, :'data', :'metadata');
		END
}

# The same seen by somebody else (lib/observer.sql): one client appends, at random
# times, and another session watches the log (or what bench_head() returns). The time of a commit is when
# pgbench has its answer. latency_observe FILE COUNT RATE
latency_observe() {
	local log=$server_dir/observed observer
	sql -f lib/observer.sql
	sql -c "CALL bench_observe($2)" >"$log.seen" 2>&1 &
	observer=$!
	until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL bench_observe%'")" -eq 1 ]; do :; done
	rm -f "$log".[0-9]*
	PGOPTIONS="-c synchronous_commit=$sync" "$pg_bin/pgbench" -n -M prepared -c 1 -R "$3" -t "$2" --log --log-prefix="$log" \
		--random-seed=1 -f append/new.ours.sql -D slice=observed -D n=-1 -D type=OrderPlaced \
		-D data="$event_data" -D metadata="$event_metadata" "${database:-bench}" >"$log.out" 2>&1 || die "pgbench: $(tail -n 3 "$log.out")"
	wait "$observer" || die "observer: $(cat "$log.seen")"
	tr -d '{}' <"$log.seen" | tr ',' '\n' >"$log.positions"
	awk '{ printf "%d.%06d\n", $5, $6 }' "$log".[0-9]* >"$log.commits"
	[ "$(wc -l <"$log.commits")" -eq "$2" ] || die "pgbench has logged $(wc -l <"$log.commits") of $2 appends"
	paste "$log.commits" "$log.positions" |
		awk '{ ms = ($2 - $1) * 1000; printf "%.4f\n", (ms > 0 ? ms : 0) }' | sort -n >"$1"
}

# The same in the background, to the end that latency_stop gives it; then its
# times are added to FILE.
latency_start() {
	PGOPTIONS="-c synchronous_commit=on" sql -v rate="$1" -v nap="$2" \
		-v data="$event_data" -v metadata="$event_metadata" <<-'END' >"$server_dir/probe.out" 2>&1 &
			CALL bench_probe(0, :rate, :nap, :'data', :'metadata');
		END
	latency_pid=$!
}

latency_stop() {
	sql -c 'INSERT INTO bench_probe_stop VALUES (now())'
	wait "$latency_pid" || die "probe: $(cat "$server_dir/probe.out")"
	sql -c 'TRUNCATE bench_probe_stop'
	tr -d '{}' <"$server_dir/probe.out" | tr ',' '\n' | grep . >"$1.new" || true
	sort -n "$1.new" "$1" -o "$1"
}

# Dies unless every event has a position, and the WAL gave it: a slot was made
# once for each database.
sequencer_check() {
	local found

	found=$(sql -c "SELECT head_position - (SELECT count(*) FROM es_events), heals FROM es_sequencer")
	[ "$found" = "0|1" ] || die "events without a position, or not from the WAL: $found"
}

# Head of the table for latency_report().
latency_table() {
	cat <<-END
		| work | sync | appends /s | measured | p50 ms | p95 ms | p99 ms | max ms | to reach | reached |
		|---|---|--:|--:|--:|--:|--:|--:|---|---|
	END
}

# latency_report TITLE RATE FILE P50 P95: the limits in ms, or "-".
latency_report() {
	local line

	line=$(awk -v title="$1" -v rate="$2" -v p50="$4" -v p95="$5" -v sync="$sync" '
		{ a[NR] = $1 }
		function p(q,    i) { i = int(q * NR + 0.999999); return a[i < 1 ? 1 : i] }
		END {
			target = reached = ""
			if (p50 != "-") target = "p50 ≤ " p50
			if (p95 != "-") target = target (target == "" ? "" : ", ") "p95 ≤ " p95
			if (target != "")
				reached = (p50 == "-" || p(0.5) <= p50) && (p95 == "-" || p(0.95) <= p95) ? "yes" : "**no**"
			printf "| %s | %s | %s | %d | %.2f | %.2f | %.2f | %.2f | %s | %s |\n",
				title, sync, rate, NR, p(0.5), p(0.95), p(0.99), a[NR], target, reached
		}' "$3")
	echo "$line"
	report_count "$line"
}

# Appends of one event to new streams in the background, of so many a second.
# background_append RATE SECONDS CLIENTS
background_append() {
	PGOPTIONS="-c synchronous_commit=$sync" "$pg_bin/pgbench" -n -M prepared -c "$3" -j 1 -R "$1" -T "$2" \
		-f append/new.ours.sql -D type=OrderPlaced -D data="$event_data" -D metadata="$event_metadata" \
		bench >"$server_dir/background.out" 2>&1 &
	background_pid=$!
}

# Waits for it to end; sets background_rate.
background_wait() {
	wait "$background_pid" || die "background appends: $(tail -n 3 "$server_dir/background.out")"
	background_rate=$(awk '/^tps = / { printf "%.0f", $3 }' "$server_dir/background.out")
}
