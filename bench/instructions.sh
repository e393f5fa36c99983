#!/usr/bin/env bash
#
# Counts the instructions of the calls that matter, and compares them with those in
# instructions.tsv: a change of more than 5 % either way fails. `make bench-check`.
#
#   bench/instructions.sh               every case
#   bench/instructions.sh append_new    these cases
#
#   --update          write the numbers instead of comparing them (every case)
#   --numbers FILE    another file of numbers
#   --percent N       how much may change (5)
#   --keep DIR        keep the profiles, for callgrind_annotate or kcachegrind
#   PG_CONFIG=…       another PostgreSQL (environment)
#
# Builds and installs the extension first, as the tests do, and gets valgrind where it is
# missing (EVENT_STORE_APT=no forbids that). The library is preloaded and writes what
# the sequencer reads.
#
# A single-user server under callgrind makes the calls of a case: some to warm up,
# then N, then 2 N. The difference, divided by N, is one call; what single-user mode
# spends on the same EXECUTE of a statement that does nothing is taken off. Two runs
# differ by a few thousandths at most. Another compiler, C library or minor release of
# PostgreSQL makes other numbers: the file says which ones it was made with.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"

. lib/server.sh
. lib/measure.sh
. lib/sequencer.sh
. lib/callgrind.sh

all=(append_new append_any append_exact append_batch_100 read_10 read_1000 read_all_1000 view_batch_1000 state_1000 execute)

# A path as the caller meant it, who is somewhere else.
absolute() {
	[[ $1 = /* ]] || printf '%s/' "$OLDPWD"
	printf '%s\n' "$1"
}

numbers=instructions.tsv
update=no
percent=5
keep=
chosen=()
while [ $# -gt 0 ]; do
	case $1 in
		--update) update=yes ;;
		--numbers) numbers=$(absolute "${2:?--numbers needs a file}"); shift ;;
		--percent) percent=${2:?--percent needs a number}; shift ;;
		--keep) keep=$(absolute "${2:?--keep needs a folder}"); shift ;;
		-h | --help) sed -n '3,/^set/{/^set/d;s/^# \{0,1\}//;p}' instructions.sh; exit ;;
		-*) die "unknown option $1" ;;
		*)
			[[ " ${all[*]} " = *" $1 "* ]] || die "no case $1; there are: ${all[*]}"
			chosen+=("$1") ;;
	esac
	shift
done
[ "$update" = no ] || [ "${#chosen[@]}" -eq 0 ] || die "--update is for every case"
[ "${#chosen[@]}" -gt 0 ] || chosen=("${all[@]}")

# What a case is: parameter types and statement. What returns many rows is wrapped
# in a count, for single-user mode prints rows at greater cost than reading them.
statement() {
	case $1 in
		append_new | append_any) echo "(text, jsonb, jsonb) AS SELECT es_append(\$1, 'OrderPlaced', \$2, \$3)" ;;
		append_exact) echo "(text, bigint, jsonb, jsonb) AS SELECT es_append(\$1, 'OrderPlaced', \$3, \$4, \$2)" ;;
		append_batch_100) echo "(text, text[], jsonb[], jsonb[]) AS SELECT es_append_batch(\$1, \$2, \$3, \$4)" ;;
		read_10 | read_1000) echo "(text) AS SELECT count(e.data) FROM es_read_stream(\$1) AS e" ;;
		read_all_1000) echo "(bigint) AS SELECT count(e.data) FROM es_read_all(\$1, 1000) AS e" ;;
		state_1000) echo "(text) AS SELECT es_state(\$1)" ;;
		execute) echo "(text, jsonb) AS SELECT version, state FROM es_execute(\$1, \$2)" ;;
	esac
}

# N of a case, and its calls to warm up: of the first five PostgreSQL plans each.
calls_of() {
	case $1 in
		append_batch_100) echo 20 10 ;;
		read_1000 | read_all_1000 | state_1000) echo 5 7 ;;
		*) echo 500 20 ;;
	esac
}

# The calls first to last of a case, of a statement that was prepared under a name.
calls() {
	local case=$1 name=$2 arguments=

	case $case in
		append_new | append_any | append_exact) arguments=", '$event_data', '$event_metadata'" ;;
		append_batch_100) arguments=", '$(array_of OrderPlaced)', '$(array_of "$event_data")', '$(array_of "$event_metadata")'" ;;
		execute) arguments=", '$event_data'" ;;
	esac
	arguments=$arguments awk -v first="$3" -v last="$4" -v kind="$case" -v name="$name" 'BEGIN {
		for (i = first; i <= last; i++) {
			if (kind == "append_new")
				key = sprintf("\047new-%09d\047", (i * 48271) % 100000007)
			else if (kind == "append_exact")
				key = sprintf("\047exact-%d\047, %d", i % 20, int(i / 20))
			else if (kind == "append_any" || kind == "append_batch_100")
				key = sprintf("\047order-%d\047", (i * 37) % 1000 + 1)
			else if (kind == "read_10")
				key = sprintf("\047small-%d\047", (i * 37) % 100 + 1)
			else if (kind == "read_all_1000")
				key = (i * 641) % 7000
			else if (kind == "execute")
				key = sprintf("\047account-%d\047", i % 20)
			else
				key = sprintf("\047large-%d\047", i % 2 + 1)
			printf "EXECUTE %s (%s%s);\n", name, key, ENVIRON["arguments"]
		}
	}'
}

# callgrind begins a new profile at each call of this function.
marker() {
	echo "SELECT es_version();"
}

# The input of a case: it leaves the profiles "before", N, 2 N calls, and the same
# of nothing, but for the view.
input() {
	local case=$1 n warm name table

	echo "SET synchronous_commit = off;"
	for table in es_events es_commits; do
		echo "SELECT count(*) FROM $table;"
	done
	echo "SELECT count(data) FROM es_read_all(0);"
	if [ "$case" = view_batch_1000 ]; then
		marker
		echo "SELECT es_run_projections('three');"
		marker
		echo "SELECT es_run_projections('six');"
		marker
		return
	fi
	read -r n warm <<<"$(calls_of "$case")"
	[ "$case" != state_1000 ] || echo "SET event_store.state_cache_size = 0;"
	echo "PREPARE ours $(statement "$case");"
	echo "PREPARE none $(statement "$case" | sed 's/ AS SELECT.*/ AS SELECT 1/');"
	calls "$case" none 0 $((warm - 1))
	calls "$case" ours 0 $((warm - 1))
	for name in ours none; do
		marker
		calls "$case" "$name" "$warm" $((warm + n - 1))
		marker
		calls "$case" "$name" $((warm + n)) $((warm + 3 * n - 1))
	done
	marker
}

# Instructions of one call of a case.
count() {
	local case=$1 at=$profiles/$1 n difference

	progress "$case"
	input "$case" >"$server_dir/input"
	callgrind_run "$at" bench --dump-before=es_version --dump-line=no
	difference=$(($(callgrind_total "$at.3") - $(callgrind_total "$at.2")))
	if [ "$case" = view_batch_1000 ]; then
		echo $((difference / 3))
		return
	fi
	read -r n _ <<<"$(calls_of "$case")"
	echo $(((difference - ($(callgrind_total "$at.5") - $(callgrind_total "$at.4"))) / n))
}

# What the numbers depend on, beside our code.
facts() {
	printf '%s, %s, %s' "$("$pg_bin/postgres" --version)" "$({ gcc --version 2>/dev/null || echo "no gcc"; } | head -n 1)" "$(uname -m)"
}

# The numbers of this major release on this kind of processor, as we have just
# counted them, in the place of those that the file has.
write_numbers() {
	local old=$server_dir/numbers.old

	: >"$old"
	[ ! -f "$numbers" ] || cp "$numbers" "$old"
	{
		grep '^# [A-Z]' "$old" || cat <<-'END'
			# Instructions of one call, by bench/instructions.sh --update: compared by make bench-check.
			# PostgreSQL's major release, processor, case, instructions
		END
		{
			awk -F '\t' -v major="$major" -v processor="$processor" '/^#made/ && !($2 == major && $3 == processor)' "$old"
			printf '#made\t%s\t%s\t%s\n' "$major" "$processor" "$(facts)"
		} | sort -t "$(printf '\t')" -k 2,2n -k 3,3
		{
			awk -F '\t' -v major="$major" -v processor="$processor" '!/^#/ && !($1 == major && $2 == processor)' "$old"
			awk -v major="$major" -v processor="$processor" '{ printf "%s\t%s\t%s\n", major, processor, $0 }' "$server_dir/counted"
		} | sort -s -t "$(printf '\t')" -k 1,1n -k 2,2
	} >"$server_dir/numbers.new"
	cat "$server_dir/numbers.new" >"$numbers"
	progress "written: $numbers"
}

# Table of what we have counted beside the numbers in the file; fails if a change
# is too great.
compare_numbers() {
	local made

	made=$(awk -F '\t' -v major="$major" -v processor="$processor" '/^#made/ && $2 == major && $3 == processor { print $4 }' "$numbers")
	printf '# Instructions of one call\n\n- Here: %s\n- In %s: %s\n\n' "$(facts)" "${numbers##*/}" "$made"
	printf '| case | in the repository | now | change | |\n|---|--:|--:|--:|---|\n'
	awk -F '\t' -v major="$major" -v processor="$processor" -v percent="$percent" '
		NR == FNR { if (!/^#/ && $1 == major && $2 == processor) old[$3] = $4; next }
		!($1 in old) { printf "| %s | | %d | | **not in the file** |\n", $1, $2; changed++; next }
		{
			change = 100 * ($2 / old[$1] - 1)
			word = change > percent ? "**more**" : change < -percent ? "**less**" : "ok"
			changed += word != "ok"
			printf "| %s | %d | %d | %+.2f %% | %s |\n", $1, old[$1], $2, change, word
		}
		END {
			if (changed)
				printf "\n%d of %d cases changed by more than %s %%. If that is meant: bench/instructions.sh --update\n", changed, FNR, percent
			exit changed > 0
		}' "$numbers" "$server_dir/counted"
}

# The extension as it is now, where this PostgreSQL finds it.
prepare() {
	PG_CONFIG=$(../test/prepare callgrind)
	export PG_CONFIG
	command -v valgrind >/dev/null || die "valgrind is not installed"
	(. ../test/lib.sh && build_and_install "$PG_CONFIG") >&2
}

# A database with what the calls need, its log numbered, its server stopped. The
# sequencer is on between the steps only, so that it makes the same batches each time.
make_database() {
	local step

	sequencer_settings+=("event_store.projections = off")
	server_init
	server_set "${sequencer_settings[@]}" "event_store.sequencer = off"
	server_start
	sequencer_is=off
	database=postgres sql -c 'CREATE DATABASE bench'
	for step in 1 2 3; do
		sql -v step="$step" -v data="$event_data" -v metadata="$event_metadata" -f lib/instructions.sql >/dev/null
		sequencer_on
		sequencer_off
	done
	server_stop
}

cores=$(nproc)
prepare
server_find
major=$("$pg_bin/postgres" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
processor=$(uname -m)
if [ "$update" = no ] && ! grep -qsP "^$major\t$processor\t" "$numbers"; then
	echo "nothing to compare with: ${numbers##*/} has no numbers for PostgreSQL $major on $processor"
	exit
fi

make_database
profiles=$server_dir/profiles
as_server_user mkdir "$profiles"
for case in "${chosen[@]}"; do
	instructions=$(count "$case")
	printf '%s\t%d\n' "$case" "$instructions" >>"$server_dir/counted"
done
if [ -n "$keep" ]; then
	mkdir -p "$keep"
	cp "$profiles"/* "$server_dir/counted" "$keep"
fi
if [ "$update" = yes ]; then
	write_numbers
else
	compare_numbers
fi
