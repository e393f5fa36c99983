# shellcheck shell=bash disable=SC2034,SC2154
#
# systems.sh: the systems that are compared, each on a throw-away server of its
# own with the same settings, and slices of work in alternation.
#
# A server per system: what one leaves behind (a sequencer that reads WAL, dirty
# pages, a ticker) is not paid for by the next. All of them run all the time, and
# do nothing while another one works; that is checked before each slice.

systems_settings=(
	"shared_buffers = 1GB"
	"wal_level = logical"
	"max_wal_size = 16GB"
	"min_wal_size = 512MB"
	"checkpoint_timeout = 1h"
	"autovacuum = off"
	"jit = off"
	"max_connections = 100"
)

# Below the checkout, so that a second run need not download anything.
node_dir=$checkout/tmp_bench/node

declare -A system_pids=() system_helper_counts=()
current=

# Packages of Debian that a system needs, installed where they are missing.
apt_install() {
	local package missing=()

	for package in "$@"; do
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			missing+=("$package")
	done
	[ "${#missing[@]}" -gt 0 ] || return 0
	[ "${EVENT_STORE_APT:-yes}" != no ] || { say "missing: ${missing[*]}"; return 1; }
	quietly "installing ${missing[*]}" as_root env DEBIAN_FRONTEND=noninteractive apt-get -y \
		-o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}"
}

# Packages of npm that a system needs.
npm_install() {
	local package missing=()

	for package in "$@"; do
		[ -d "$node_dir/node_modules/${package%@[0-9]*}" ] || missing+=("$package")
	done
	[ "${#missing[@]}" -gt 0 ] || return 0
	command -v npm >/dev/null || { say "npm is not installed"; return 1; }
	mkdir -p "$node_dir"
	quietly "installing ${missing[*]} with npm" npm install --no-audit --no-fund --fetch-retries=1 --fetch-retry-mintimeout=1000 --prefix "$node_dir" "${missing[@]}"
}

# Makes one data directory, of which every system gets a copy.
systems_begin() {
	systems_root=$(mktemp -d "${TMPDIR:-/tmp}/event_store_bench.XXXXXX")
	trap systems_end EXIT
	trap 'exit 130' INT TERM
	[ "$(id -u)" -ne 0 ] || chown postgres: "$systems_root"
	(cd / && as_server_user "$pg_bin/initdb" -D "$systems_root/template" -U postgres -A trust \
		-E UTF8 --locale=C.UTF-8 --no-sync) >"$systems_root/initdb.out" 2>&1 ||
		die "initdb failed: $(cat "$systems_root/initdb.out")"
	printf '%s\n' "${systems_settings[@]}" "listen_addresses = ''" >>"$systems_root/template/postgresql.conf"
	export PGPORT=5432 PGUSER=postgres PGDATABASE=bench
	database=bench
}

# Ends every process that this run has started, and removes everything.
systems_end() {
	local system

	for system in "${!system_pids[@]}"; do
		server_pid=${system_pids[$system]} server_dir=$systems_root/$system
		server_stop 2>/dev/null || true
	done
	rm -rf "${systems_root:?}"
}

# Says why a system cannot be measured here; nothing if it can.
system_why_not() (
	. "systems/$1/system.sh"
	system_missing
)

# Starts the server of a system with an empty database.
system_start() {
	local system=$1

	server_dir=$systems_root/$system
	as_server_user mkdir "$server_dir"
	as_server_user cp -a "$systems_root/template" "$server_dir/data"
	system_settings=()
	. "systems/$system/system.sh"
	{
		echo "unix_socket_directories = '$server_dir'"
		system_settings
	} >>"$server_dir/data/postgresql.conf"
	export PGHOST=$server_dir
	server_start 2>>"$systems_root/starts" || die "the server of $system did not start: $(tail -n 5 "$server_dir/log")"
	system_pids[$system]=$server_pid
	database=postgres sql -c 'CREATE DATABASE bench'
	system_helper_counts[$system]=$server_helpers
}

system_stop() {
	system_use "$1"
	server_stop 2>>"$systems_root/starts"
	unset "system_pids[$1]"
	rm -rf "${systems_root:?}/$1"
	current=
}

# From now on sql(), server_cpu() and all the rest speak to this system's server.
system_use() {
	[ "$current" != "$1" ] || return 0
	current=$1
	server_dir=$systems_root/$1
	server_pid=${system_pids[$1]}
	server_helpers=${system_helper_counts[$1]}
	system_dir=systems/$1
	export PGHOST=$server_dir
	system_idle() { :; }
	. "$system_dir/system.sh"
}

# The processes of a server at rest: workers of the system's own included.
system_count_helpers() {
	server_count_helpers
	system_helper_counts[$current]=$server_helpers
}

# Jiffies that all CPUs have been busy, the hypervisor's theft included.
machine_busy() {
	awk '/^cpu / { print $2 + $3 + $4 + $9; exit }' /proc/stat
}

# CPU time of this program and the clients it has waited for, in jiffies.
own_busy() {
	awk '{ sub(/^.*\) /, ""); print $12 + $13 + $14 + $15 }' "/proc/$$/stat"
}

# Waits until nobody uses the machine: less than a twentieth of it in a tenth of a
# second. After ten seconds (quick: five) it goes on; the slice is then likely to be marked.
wait_quiet() {
	local before after tries

	for ((tries = 0; tries < (quick ? 50 : 100); tries++)); do
		before=$(machine_busy)
		sleep 0.1
		after=$(machine_busy)
		# in a tenth of a second a CPU has ten jiffies
		[ $((after - before)) -gt $((cores / 2)) ] || return 0
	done
	progress "the machine is not quiet"
}

# One slice of a system: leaves slice_calls, slice_seconds, slice_cpu (µs) and
# slice_noise, the part of the machine that others used, in percent.
system_slice() {
	local workload=$1 began machine server own ended seconds

	slice=$((slice + 1))
	slice_errors=0
	wait_quiet
	machine=$(machine_busy) server=$(server_cpu) own=$(own_busy) began=$EPOCHREALTIME
	slice_cpu_before=
	if [ -f "$system_dir/$workload.sql" ]; then
		pgbench_slice "$system_dir/$workload.sql"
	elif [ -f "$system_dir/$workload.mjs" ]; then
		node_slice "$system_dir/$workload.mjs"
	else
		. "$system_dir/$workload.sh"
		"slice_$workload"
	fi
	ended=$EPOCHREALTIME
	server_settle
	system_idle
	server=$(($(server_cpu) - ${slice_cpu_before:-$server}))
	slice_cpu=$server
	machine=$(($(machine_busy) - machine)) own=$(($(own_busy) - own))
	seconds=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.6f", b - a }')
	slice_noise=$(awk -v m="$machine" -v s="$server" -v o="$own" -v t="$seconds" -v c="$cores" -v hz="$(getconf CLK_TCK)" \
		'BEGIN { n = 100 * (m / hz - s / 1e6 - o / hz) / (t * c); printf "%.1f", (n > 0 ? n : 0) }')
	count_errors "$current"
}

# Clients that met an error in a slice: in one of ours that fails the run at its end; a
# peer's are told.
count_errors() {
	[ "$slice_errors" -gt 0 ] || return 0
	case $1 in
		event_store* | bare) errors_met=$((errors_met + slice_errors)) ;;
		*)
			peer_errors=$((${peer_errors:-0} + slice_errors))
			fact 'errors of peers' "$peer_errors clients, the last one of $1" ;;
	esac
}

# Runs a client program for slice_length seconds (lib/node_slice.mjs).
node_slice() {
	local answer

	answer=$(BENCH_CLIENTS=$clients BENCH_SECONDS=$slice_length BENCH_SLICE=$slice BENCH_STREAMS=$fixture_streams BENCH_SMALL=$small_streams \
		BENCH_TYPE=OrderPlaced BENCH_DATA=$event_data BENCH_METADATA=$event_metadata BENCH_NODE=$node_dir \
		node lib/node_slice.mjs "$PWD/$1") || die "$1 failed"
	read -r slice_calls slice_seconds slice_errors _ <<<"$answer"
	[ "${slice_calls:-0}" -gt 0 ] || die "$1: no call succeeded"
}

# A line of the result: workload system clients sync parameter round metric value
row() {
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$@" >>"$rows"
}

fact() {
	printf '#%s\t%s\n' "$1" "$2" >>"$rows"
}

# target WORKLOAD SYSTEM RATIO [WHERE]: WHERE limits it to numbers of clients, metrics or parameters (4,16)
target() {
	printf '#target\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-}" >>"$rows"
}

has_workload() {
	[ -f "systems/$1/$2.sql" ] || [ -f "systems/$1/$2.sh" ] || [ -f "systems/$1/$2.mjs" ]
}

# Does one workload with every system that has it, clients as they are set: the
# systems take turns, each round begins with another one.
# compare_systems WORKLOAD UNITS [PARAMETER]
compare_systems() {
	local workload=$1 units=$2 parameter=${3:--} round i n system able=()

	for system in "${systems[@]}"; do
		if has_workload "$system" "$workload"; then
			able+=("$system")
		fi
	done
	n=${#able[@]}
	[ "$n" -gt 0 ] || return 0
	progress "$workload, clients $clients, synchronous_commit $sync"
	for ((round = warm_up; round <= rounds; round++)); do
		for ((i = 0; i < n; i++)); do
			system=${able[$(((i + round) % n))]}
			system_use "$system"
			slice_length=$((round == 0 ? 1 : seconds))
			system_slice "$workload"
			[ "$round" -gt 0 ] || continue
			row "$workload" "$system" "$clients" "$sync" "$parameter" "$round" rate \
				"$(awk -v n="$slice_calls" -v u="$units" -v s="$slice_seconds" 'BEGIN { printf "%.2f", n * u / s }')"
			row "$workload" "$system" "$clients" "$sync" "$parameter" "$round" cpu \
				"$(awk -v n="$slice_calls" -v u="$units" -v c="$slice_cpu" 'BEGIN { printf "%.2f", c / n / u }')"
			if awk -v n="$slice_noise" 'BEGIN { exit n <= 5 }'; then
				row "$workload" "$system" "$clients" "$sync" "$parameter" "$round" noise 1
			fi
		done
	done
}
