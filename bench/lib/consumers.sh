# shellcheck shell=bash disable=SC2034,SC2154
#
# consumers.sh: how soon a consumer of the log has an event, and what it has while
# somebody else's transaction is idle.
#
# A system that can be consumed has consume.setup.sql: the function
# bench_consume(after, n) (lib/follow.sql). It is consumed on an empty server of its own,
# with a pause of a millisecond where there was nothing. A system with a choice of its own
# defines, in consume.sh, consume_variants (prints names) and consume_variant NAME. Others
# are polled; and, where the function bench_wait(after) is there, waited for ("listen").

consume_systems() {
	local system

	for system in "${systems[@]}"; do
		if [ -f "systems/$system/consume.setup.sql" ]; then
			echo "$system"
		fi
	done
}

# An empty server of the system, and how it can be consumed.
consume_start() {
	consume_variants() {
		echo poll
		[ "$(sql -c "SELECT count(*) FROM pg_proc WHERE proname = 'bench_wait'")" -eq 0 ] || echo listen
	}
	consume_variant() { :; }
	lab_start "$1" "$1"
	if [ -f "$system_dir/consume.sh" ]; then
		. "$system_dir/consume.sh"
	fi
	system_idle
}

# A consumer of so many events behind a place, in the background.
# consume_follow COUNT HOW PATIENCE [AFTER]
consume_follow() {
	sql -c 'TRUNCATE bench_follow_stop'
	sql -c "CALL bench_follow('${4:-}', $1, 1, '$2', $3)" >"$server_dir/seen" 2>&1 &
	follow_pid=$!
	lab_child "$follow_pid"
	lab_called bench_follow "$follow_pid" "$server_dir/seen"
}

# Lets it end; when it got each event, in FILE.
consume_seen() {
	sql -c 'INSERT INTO bench_follow_stop VALUES (now())'
	lab_wait "$follow_pid" "consumer" "$server_dir/seen"
	tr -d '{}' <"$server_dir/seen" | tr ',' '\n' | grep . >"$1" || true
}

# From the commit of an append until a consumer has the event, 100 appends a second.
measure_latency_log() {
	local sync=on system variant began count=1000

	[ "$quick" = 0 ] || count=100
	for system in $(consume_systems); do
		consume_start "$system"
		began=no
		for variant in $(consume_variants); do
			# Each begins at the beginning of a log.
			[ "$began" = no ] || consume_start "$system"
			began=yes
			progress "latency_log, $system, $variant"
			consume_variant "$variant"
			latency_log latency_log "$system" "$variant" "$count" "$variant"
		done
		lab_stop "$system"
	done
}

# latency_log WORKLOAD SYSTEM VARIANT COUNT PARAMETER [AFTER]
latency_log() {
	local workload=$1 system=$2 variant=$3 count=$4 parameter=$5 after=${6:-} commits=$systems_root/commits seen=$systems_root/seen

	wait_quiet
	lab_begin
	consume_follow "$count" "$variant" 30 "$after"
	lab_append log 1 100 -t "$count" -f "$system_dir/append_new.sql"
	lab_committed log "$commits"
	consume_seen "$seen"
	lab_done
	[ "$(wc -l <"$commits")" -eq "$count" ] || die "$system: pgbench has logged $(wc -l <"$commits") of $count appends"
	[ "$(wc -l <"$seen")" -eq "$count" ] || die "$system: the consumer has got $(wc -l <"$seen") of $count events"
	paste "$commits" "$seen" | awk '{ ms = ($2 - $1) * 1000; printf "%.4f\n", (ms > 0 ? ms : 0) }' >"$systems_root/times"
	latency_rows "$systems_root/times" "$workload" "$system" 1 "$sync" "$parameter" 1
	noise_row "$workload" "$system" 1 "$sync" "$parameter" 1
}

# A transaction that has appended an event stays open, while others append 50 events
# a second to other streams of the same category. All systems at the same time, each
# on its own server: that load is a few percent of a CPU for each.
measure_stall() {
	local sync=on held=60 around=5 system pids=() pid i able=()

	[ "$quick" = 0 ] || held=5 around=2
	mapfile -t able < <(consume_systems)
	[ "${#able[@]}" -gt 0 ] || return 0
	for system in "${able[@]}"; do
		consume_start "$system"
	done
	progress "stall, ${able[*]}, $held s"
	fact stall "$around $((around + held)) $((held + 2 * around))"
	for system in "${able[@]}"; do
		(
			lab_children=()
			lab_use "$system" "$system"
			trap 'exit 130' INT TERM
			stall "$system"
		) &
		pids+=($!)
		lab_child $!
	done
	for i in "${!pids[@]}"; do
		wait "${pids[$i]}" || die "stall: ${able[$i]} failed"
	done
	lab_children=()
	for system in "${able[@]}"; do
		lab_use "$system" "$system"
		stall_rows "$system"
		lab_stop "$system"
	done
}

# BEGIN, an append, the pause and COMMIT, as one more client of pgbench.
stall_idle() {
	local script=$server_dir/idle.sql

	{
		echo 'BEGIN;'
		cat "$system_dir/append_new.sql"
		echo "\\sleep $held s"
		echo 'COMMIT;'
	} >"$script"
	lab_append idle 1 '' -t 1 -f "$script"
	idle_pid=$append_pid
	until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")" -gt 0 ]; do
		kill -0 "$idle_pid" 2>/dev/null || die "idle transaction: $(tail -n 3 "$server_dir/idle.out")"
	done
}

# Leaves times of commits, and of what the consumer got, as seconds since the start.
stall() {
	local began load_pid wanted

	consume_follow 1000000000 poll 5
	began=$EPOCHREALTIME
	lab_append load 4 50 -T $((held + 2 * around)) -f "$system_dir/append_new.sql"
	load_pid=$append_pid
	sleep "$(awk -v a="$began" -v b="$EPOCHREALTIME" -v t="$around" 'BEGIN { d = a + t - b; print (d > 0 ? d : 0) }')"
	stall_idle
	append_pid=$idle_pid
	lab_committed idle "$server_dir/idle.commits"
	append_pid=$load_pid
	lab_committed load "$server_dir/load.commits"
	# pgbench's time counts from the moment at which it meant to send the append
	awk '{ printf "%.6f\n", $5 + ($6 - $3) / 1e6 }' "$server_dir/load".[0-9]* | sort -n >"$server_dir/load.due"
	system_idle
	consume_seen "$server_dir/load.seen"
	for wanted in idle.commits load.commits load.due load.seen; do
		awk -v a="$began" '{ printf "%.6f\n", $1 - a }' "$server_dir/$wanted" >"$server_dir/$wanted.s"
	done
}

# Each second: appends that got through in it, and events due that the consumer has not got at its
# end, whether their appends had to wait or it did. In the end: events that it never got, and the most it was behind.
stall_rows() {
	local system=$1 second metric value

	while read -r metric second value; do
		row stall "$system" 4 "$sync" "$second" 1 "$metric" "$value"
	done < <(awk -v last=$((held + 2 * around)) '
		FNR == 1 { file++ }
		{ s = int($1); if (s < 0) s = 0 }
		file == 2 { appended[s]++ }
		file == 1 || file == 3 { due[s]++; all++ }
		file == 4 { got[s]++; all_got++ }
		END {
			for (s = 0; s < last; s++) {
				c += due[s]; g += got[s]
				behind = c > g ? c - g : 0
				if (behind > most) most = behind
				printf "appended %d %d\nbehind %d %d\n", s + 1, appended[s], s + 1, behind
			}
			printf "behind_max - %d\nlost - %d\n", most, (all > all_got ? all - all_got : 0)
		}' "$server_dir/idle.commits.s" "$server_dir/load.commits.s" "$server_dir/load.due.s" "$server_dir/load.seen.s")
}
