# shellcheck shell=bash
#
# lib.sh: what demo/run, test/prepare, test/run and test/versions share.
# To be sourced by bash with `set -euo pipefail`.
#
# Messages go to stderr: stdout belongs to the caller (test/prepare answers
# there).

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# make hands its own flags and variables down through the environment; the
# makes that we start must not inherit a jobserver or a stale PG_CONFIG.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES GNUMAKEFLAGS

# A user's PGHOST, PGPORT, PGDATABASE, PGSERVICE … would lead our clients to
# the user's own server.
for variable in $(compgen -e PG); do
	[ "$variable" = PG_CONFIG ] || unset "$variable"
done

say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "error: $*"
	exit 1
}

# Stop a child of ours, if it is still there.
stop_child() {
	if [ -n "${1:-}" ]; then
		kill "$1" 2>/dev/null || true
		wait "$1" 2>/dev/null || true
	fi
}

# Run a command without its output: one line with its label, a dot every two
# seconds and the time it took.  The output is shown if the command fails.
#
# The command is a background child because bash ignores `set -e` in a
# function that is tested (`if quietly …`), but not in a child of its own.
quietly() {
	local label=$1 log start=$SECONDS job ticker status=0
	shift
	log=$(mktemp)
	printf '%-62s ' "$label" >&2
	( while sleep 2; do printf '.' >&2; done ) &
	ticker=$!
	"$@" >"$log" 2>&1 </dev/null &
	job=$!
	trap 'stop_child "$job"; stop_child "$ticker"; exit 130' INT TERM
	wait "$job" || status=$?
	trap - INT TERM
	stop_child "$ticker"
	if [ "$status" -eq 0 ]; then
		say " $((SECONDS - start)) s"
	else
		say " failed"
		tail -n 40 "$log" >&2
	fi
	rm -f "$log"
	return "$status"
}

# Run a command as root: directly, or through sudo.  Without a terminal sudo
# must not wait for a password that nobody can type.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif ! command -v sudo >/dev/null; then
		die "this needs root, and there is no sudo: $*"
	elif [ -t 0 ] || [ -t 2 ]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

# Ask for the password before a quiet step would ask for it unseen.
may_become_root() {
	if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
		say "$1 needs root: sudo"
		as_root true || die "without root this cannot go on"
	fi
}

# The account that runs our servers: PostgreSQL refuses to run as root.
server_account() {
	local account
	if [ "$(id -u)" -ne 0 ]; then
		id -un
		return
	fi
	for account in postgres nobody; do
		if id "$account" >/dev/null 2>&1; then
			echo "$account"
			return
		fi
	done
	die "root cannot run a PostgreSQL server, and there is no account postgres or nobody"
}

# Run a command as that account, in a directory that it can enter.
as_account() {
	local account=$1
	shift
	if [ "$account" = "$(id -un)" ]; then
		"$@"
	else
		as_root runuser -u "$account" -- "$@"
	fi
}

# The version of the extension, from the one place that has it.
extension_version() {
	sed -n "s/^default_version *= *'\(.*\)'/\1/p" "$checkout/event_store.control"
}

# Compile the checkout for a PostgreSQL.  Bitcode for PostgreSQL's JIT is left
# out: it would double the time and is of no use to functions written in C.
build() {
	make -C "$checkout" --no-print-directory -j "$(nproc)" with_llvm=no PG_CONFIG="$1" all
}

# Is what this PostgreSQL would load what has just been built?  A copy that is
# already in place needs no root.
installed() {
	local libdir sharedir script
	libdir=$("$1" --pkglibdir)
	sharedir=$("$1" --sharedir)
	script=event_store--$(extension_version).sql
	cmp -s "$checkout/event_store.so" "$libdir/event_store.so" &&
		cmp -s "$checkout/event_store.control" "$sharedir/extension/event_store.control" &&
		cmp -s "$checkout/build/$script" "$sharedir/extension/$script"
}

build_and_install() {
	local pg_config=$1
	quietly "building for $("$pg_config" --version)" build "$pg_config"
	if ! installed "$pg_config"; then
		may_become_root "installing the extension"
		quietly "installing into $("$pg_config" --pkglibdir)" as_root \
			make -C "$checkout" --no-print-directory with_llvm=no PG_CONFIG="$pg_config" install
	fi
}

# Where node finds the client: Debian's package, or what npm has put here.
export NODE_PATH=/usr/share/nodejs:$checkout/tmp_node/node_modules

node_has_pg() {
	node -e 'require("pg")' 2>/dev/null
}

node_has_cloudevents() {
	node -e 'require("cloudevents")' 2>/dev/null
}
