# shellcheck shell=bash disable=SC2034,SC2154
#
# lab.sh: empty servers of their own for what the fixture's servers cannot be used
# for, processes in the background, and the machine's noise around what they do.

lab_children=()
lab_settings=

# A new server of a system, with the system's objects and no events: it is the current
# one from now on. lab_settings are further lines of its settings.
# lab_start NAME SYSTEM
lab_start() {
	local name=lab_$1 system=$2

	lab_stop "$1"
	server_dir=$systems_root/$name
	as_server_user mkdir "$server_dir"
	as_server_user cp -a "$systems_root/template" "$server_dir/data"
	system_dir=systems/$system
	system_idle() { :; }
	. "$system_dir/system.sh"
	{
		echo "unix_socket_directories = '$server_dir'"
		system_settings
		echo "$lab_settings"
	} >>"$server_dir/data/postgresql.conf"
	export PGHOST=$server_dir
	server_start 2>>"$systems_root/starts" || die "the server of $system did not start: $(tail -n 5 "$server_dir/log")"
	current=$name
	system_pids[$name]=$server_pid
	system_helper_counts[$name]=$server_helpers
	database=postgres sql -c 'CREATE DATABASE bench'
	system_setup
	# What setup has not made itself.
	if [ -f "$system_dir/consume.setup.sql" ] &&
		[ "$(sql -c "SELECT count(*) FROM pg_proc WHERE proname = 'bench_consume'")" -eq 0 ]; then
		sql -f "$system_dir/consume.setup.sql"
	fi
	sql -f lib/follow.sql
}

# From now on all speak to the server that was started for this name.
lab_use() {
	local name=lab_$1

	[ "$current" != "$name" ] || return 0
	current=$name
	server_dir=$systems_root/$name
	server_pid=${system_pids[$name]}
	server_helpers=${system_helper_counts[$name]}
	system_dir=systems/$2
	export PGHOST=$server_dir
	system_idle() { :; }
	. "$system_dir/system.sh"
}

lab_stop() {
	local name=lab_$1

	[ -n "${system_pids[$name]:-}" ] || return 0
	server_dir=$systems_root/$name
	server_pid=${system_pids[$name]}
	server_stop 2>>"$systems_root/starts"
	unset "system_pids[$name]"
	rm -rf "${systems_root:?}/$name"
	current=
}

# Notes a process that runs in the background, so that it is ended with the run; in a
# subshell, with that: the servers are not its own.
lab_child() {
	lab_children+=("$1")
	if [ "$BASHPID" = "$$" ]; then
		trap 'lab_end; systems_end' EXIT
	else
		trap lab_end EXIT
	fi
}

lab_end() {
	local pid

	for pid in "${lab_children[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
}

# Waits for it; what it says is in FILE. lab_wait PID WHAT FILE
lab_wait() {
	local pid left=()

	wait "$1" || die "$2: $(tail -n 30 "$3")"
	for pid in "${lab_children[@]}"; do
		[ "$pid" = "$1" ] || left+=("$pid")
	done
	lab_children=("${left[@]}")
}

# CPU time of this program, its clients that have ended and those that still run, in
# jiffies.
lab_own() {
	{ cat /proc/[0-9]*/stat 2>/dev/null || true; } |
		awk -v me="$$" '
			{ pid = $1; sub(/^.*\) /, "") }
			pid == me { t += $12 + $13 + $14 + $15 }
			$2 == me { t += $12 + $13 }
			END { print t + 0 }'
}

# Around what is measured: leaves the server's CPU time in lab_cpu (µs), and in
# lab_noise the part of the machine that others have used, in percent.
lab_begin() {
	lab_began=$EPOCHREALTIME lab_machine=$(machine_busy) lab_owned=$(lab_own) lab_server=$(server_cpu)
}

lab_done() {
	lab_cpu=$(($(server_cpu) - lab_server))
	lab_noise=$(awk -v m=$(($(machine_busy) - lab_machine)) -v s="$lab_cpu" -v o=$(($(lab_own) - lab_owned)) \
		-v a="$lab_began" -v b="$EPOCHREALTIME" -v c="$cores" -v hz="$(getconf CLK_TCK)" \
		'BEGIN { n = 100 * (m / hz - s / 1e6 - o / hz) / ((b - a) * c); printf "%.1f", (n > 0 ? n : 0) }')
}

# noise_row WORKLOAD SYSTEM CLIENTS SYNC PARAMETER ROUND: marks it, if it was noisy.
noise_row() {
	if awk -v n="$lab_noise" 'BEGIN { exit n <= 5 }'; then
		row "$@" noise 1
	fi
}

# quotient A B: A / B
quotient() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'
}

since() {
	awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.6f", b - a }'
}

# The times of FILE (ms, one a line) as rows.
# latency_rows FILE WORKLOAD SYSTEM CLIENTS SYNC PARAMETER ROUND
latency_rows() {
	local file=$1 metric value
	shift

	while read -r metric value; do
		row "$@" "$metric" "$value"
	done < <(sort -n "$file" | awk '
		{ a[NR] = $1 }
		function p(q,    i) { i = int(q * NR + 0.999999); return a[i < 1 ? 1 : i] }
		END { printf "p50 %.3f\np95 %.3f\np99 %.3f\nmax %.3f\n", p(0.5), p(0.95), p(0.99), a[NR] }')
}

# Appends by one client of SCRIPT, RATE a second, COUNT of them, in the background;
# lab_committed leaves in FILE when pgbench had the answer to each (seconds since
# 1970). lab_append NAME CLIENTS RATE pgbench's further arguments
lab_append() {
	local log=$server_dir/$1 clients=$2 rate=$3
	shift 3

	slice=$((slice + 1))
	rm -f "$log".[0-9]*
	PGOPTIONS="-c synchronous_commit=$sync" "$pg_bin/pgbench" -n -M prepared -c "$clients" -j 1 ${rate:+-R "$rate"} \
		--log --log-prefix="$log" --random-seed="$slice" -D slice="$slice" -D n=-1 -D type=OrderPlaced \
		-D data="$event_data" -D metadata="$event_metadata" "${pgbench_variables[@]}" "$@" "$database" >"$log.out" 2>&1 &
	append_pid=$!
	lab_child "$append_pid"
}

lab_committed() {
	local log=$server_dir/$1

	lab_wait "$append_pid" "pgbench" "$log.out"
	! grep -q 'aborted in command' "$log.out" || die "pgbench: $(grep -m 1 ERROR "$log.out")"
	awk '{ printf "%d.%06d\n", $5, $6 }' "$log".[0-9]* | sort -n >"$2"
}

# Waits until a procedure is called in the database.
lab_called() {
	until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL $1(%' AND state = 'active'")" -gt 0 ]; do
		kill -0 "$2" 2>/dev/null || die "$1: $(tail -n 30 "$3")"
	done
}
