# shellcheck shell=bash disable=SC2034,SC2154
#
# server.sh: a throw-away PostgreSQL server for one run, and ways to talk to it.
#
# The server never runs as root: root starts it as the OS user postgres. It
# listens on a Unix socket in a directory of its own only, and the directory is
# removed when the program that sourced this file ends.

# Every setting that is not PostgreSQL's default. bench/run prints them.
# Checkpoints and vacuums happen between measurements and never in them.
server_settings=(
	"shared_buffers = 1GB"
	"max_wal_size = 16GB"
	"min_wal_size = 4GB"
	"checkpoint_timeout = 1h"
	"autovacuum = off"
	"jit = off"
	"max_connections = 100"
)

die() {
	echo "bench: $*" >&2
	exit 1
}

# Says what is going on; results go to standard output, this does not.
progress() {
	printf '%s %s\n' "$(date +%T)" "$*" >&2
}

# Runs a command as the user that owns the server's files.
as_server_user() {
	if [ "$(id -u)" -eq 0 ]; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

# Finds PostgreSQL's programs and checks that the extension is installed there.
server_find() {
	local pg_config=${PG_CONFIG:-pg_config}

	command -v "$pg_config" >/dev/null || die "pg_config not found; name one with PG_CONFIG"
	pg_bin=$("$pg_config" --bindir)
	[ -x "$pg_bin/initdb" ] || die "$pg_bin has no server programs"
	command -v "$pg_bin/pgbench" >/dev/null || die "$pg_bin has no pgbench"
	[ -f "$("$pg_config" --sharedir)/extension/event_store.control" ] ||
		die "the extension is not installed there; run: make && make install PG_CONFIG=$pg_config"
}

# Makes the data directory, without starting it.
server_init() {
	server_dir=$(mktemp -d "${TMPDIR:-/tmp}/event_store_bench.XXXXXX")
	trap server_remove EXIT
	trap 'exit 130' INT TERM
	if [ "$(id -u)" -eq 0 ]; then
		chown postgres: "$server_dir"
	fi
	(cd / && as_server_user "$pg_bin/initdb" -D "$server_dir/data" -U postgres -A trust \
		-E UTF8 --locale=C.UTF-8 --no-sync) >"$server_dir/initdb.out" 2>&1 ||
		die "initdb failed: $(cat "$server_dir/initdb.out")"
	printf '%s\n' "${server_settings[@]}" "listen_addresses = ''" \
		"unix_socket_directories = '$server_dir'" \
		"include_if_exists = 'workload.conf'" >>"$server_dir/data/postgresql.conf"
	export PGHOST=$server_dir PGPORT=5432 PGUSER=postgres
}

# Has this PostgreSQL such a setting? Newer minor releases have one that allows
# output plugins.
server_knows() {
	(cd / && as_server_user "$pg_bin/postgres" -D "$server_dir/data" -C "$1") >/dev/null 2>&1
}

server_start() {
	(cd / && as_server_user "$pg_bin/pg_ctl" -D "$server_dir/data" -l "$server_dir/log" -w -s start >&2) ||
		die "the server did not start: $(tail -n 5 "$server_dir/log")"
	server_pid=$(head -n 1 "$server_dir/data/postmaster.pid")
	server_helpers=$(server_children)
}

server_stop() {
	if [ -n "${server_pid:-}" ]; then
		(cd / && as_server_user "$pg_bin/pg_ctl" -D "$server_dir/data" -m fast -w -s stop >&2)
		server_pid=
	fi
}

server_remove() {
	server_stop || true
	if [ -n "${server_dir:-}" ]; then
		rm -rf "$server_dir"
	fi
}

# Settings of one workload, in place of those of the last one.
server_set() {
	printf '%s\n' "$@" >"$server_dir/data/workload.conf"
	chmod a+r "$server_dir/data/workload.conf"
}

# Runs the server with these settings from now on; without any, with
# server_settings alone.
server_restart() {
	server_set "$@"
	server_stop
	server_start
}

# Number of the postmaster's children, dead but unreaped ones included; without
# our workers, which come and go as they like.
server_children() {
	local pid command n=0

	for pid in $(cat /proc/[0-9]*/stat 2>/dev/null |
		awk -v pm="$server_pid" '{ pid = $1; sub(/^.*\) /, "") } $2 == pm { print pid }' || true); do
		command=$({ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null) || continue
		case $command in
			*': event_store '*) ;;
			*) n=$((n + 1)) ;;
		esac
	done
	echo "$n"
}

# How many processes a server at rest has now (see server_settle): the number
# that does not change for a while, least of what was seen.
server_count_helpers() {
	local n same=0

	server_helpers=$(server_children)
	while [ "$same" -lt 10 ]; do
		sleep 0.01
		n=$(server_children)
		if [ "$n" -eq "$server_helpers" ]; then
			same=$((same + 1))
		else
			same=0 server_helpers=$n
		fi
	done
}

# CPU time in microseconds that all processes of the server have used, including
# those that have ended: the postmaster inherits their times when it reaps them.
server_cpu() {
	{ cat /proc/[0-9]*/stat 2>/dev/null || true; } |
		awk -v pm="$server_pid" -v hz="$(getconf CLK_TCK)" '
			{ pid = $1; sub(/^.*\) /, "") }
			pid == pm { t += $12 + $13 + $14 + $15 }
			$2 == pm { t += $12 + $13 }
			END { printf "%.0f\n", t * 1000000 / hz }'
}

# Waits until the postmaster has reaped every backend, so that server_cpu() is
# complete and nothing of the last measurement runs into the next.
server_settle() {
	while [ "$(server_children)" -gt "$server_helpers" ]; do
		sleep 0.01
	done
}

# Runs SQL in the database under test; prints bare values.
sql() {
	"$pg_bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d "${database:-bench}" "$@"
}

# Makes the database under test anew from a template, with a clean start for
# checkpoints. The templates are those of templates_make().
database_fresh() {
	"$pg_bin/psql" -X -q -d postgres -v ON_ERROR_STOP=1 \
		-c 'SET client_min_messages = warning' \
		-c 'DROP DATABASE IF EXISTS bench' \
		-c "CREATE DATABASE bench TEMPLATE $1" \
		-c 'CHECKPOINT'
	server_settle
}

# bench_empty: the extension and the bare table. bench_filled: the same with
# 10,000 streams of 10 events in both.
templates_make() {
	progress "making the template databases"
	"$pg_bin/psql" -X -q -d postgres -v ON_ERROR_STOP=1 -c 'CREATE DATABASE bench_empty'
	database=bench_empty sql -f lib/bare.sql
	"$pg_bin/psql" -X -q -d postgres -v ON_ERROR_STOP=1 -c 'CREATE DATABASE bench_filled TEMPLATE bench_empty'
	database=bench_filled sql -v data="$event_data" -v metadata="$event_metadata" -f lib/fill.sql
}
