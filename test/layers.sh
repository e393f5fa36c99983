#!/bin/bash
#
# layers.sh: is the house still in order?
#
#   1. A file includes headers of its own room and of lower floors only; rooms
#      of one floor do not know each other. A new room needs a floor here.
#   2. decode runs under a historic snapshot and must not meet our tables: it
#      includes core only.
#   3. Each .c begins with postgres.h; no header includes it.
#   4. Only core/compat.h asks for the version of PostgreSQL.
#   5. No file is longer than 900 lines, no function longer than 100.
#
# Usage: test/layers.sh [directory of the sources]
#
set -euo pipefail
cd "${1:-$(dirname "$0")/../src}"

max_file=900
max_function=100

declare -A floor=(
	[core]=0
	[catalog]=1 [decode]=1 [worker]=1 [jsonschema]=1
	[types]=2
	[log]=3 [ledger]=3 [snapshot]=3 [privilege]=3
	[sequencer]=4 [view]=4 [aggregate]=4
	[launcher]=5 [monitor]=5 [projection]=5 [command]=5
	[.]=6                           # event_store.c, which starts every room
)
problems=0

complain() {
	echo "src/$1: $2"
	problems=$((problems + 1))
}

# The header of an #include "…" line that belongs to us, whatever directory
# the name is relative to.
resolve() {
	local room=$1 name=$2
	if [ -e "$name" ]; then
		echo "$name"
	elif [ -e "$room/$name" ]; then
		echo "$room/$name"
	fi
}

check_include() {
	local file=$1 room=$2 line=$3 header other
	header=$(resolve "$room" "$4")
	[ -n "$header" ] || return 0
	other=$(dirname "$header")
	if [ "$other" = "$room" ]; then
		return
	elif [ -z "${floor[$other]:-}" ]; then
		complain "$file:$line" "room $other has no floor: add it to test/layers.sh"
	elif [ "${floor[$other]}" -ge "${floor[$room]}" ]; then
		complain "$file:$line" "$room (floor ${floor[$room]}) includes $header (floor ${floor[$other]})"
	elif [ "$room" = decode ] && [ "$other" != core ]; then
		complain "$file:$line" "decode includes $header: it may include core only"
	fi
}

check_includes() {
	local file=$1 room line name
	room=$(dirname "$file")
	if [ -z "${floor[$room]:-}" ]; then
		complain "$file" "room $room has no floor: add it to test/layers.sh"
		return
	fi
	while IFS=: read -r line name; do
		check_include "$file" "$room" "$line" "$name"
	done < <(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/;T;=;p' "$file" |
		paste -d : - -)
}

check_postgres_h() {
	local file=$1 first
	first=$(grep -m 1 '^[[:space:]]*#[[:space:]]*include' "$file" || true)
	case $file in
		*.h) ! grep -q '#[[:space:]]*include[[:space:]]*"postgres.h"' "$file" ||
			complain "$file" "a header includes postgres.h" ;;
		*) [ "$first" = '#include "postgres.h"' ] ||
			complain "$file" "the first include is not postgres.h" ;;
	esac
}

check_version_tests() {
	local file=$1
	[ "$file" = core/compat.h ] || ! grep -qn 'PG_VERSION_NUM' "$file" ||
		complain "$file" "PG_VERSION_NUM outside of core/compat.h"
}

# A function's body begins and ends with a brace in the first column.
check_lengths() {
	local file=$1 lines long
	lines=$(wc -l <"$file")
	[ "$lines" -le "$max_file" ] || complain "$file" "$lines lines (at most $max_file)"
	while read -r long; do
		complain "$file" "line $long lines (at most $max_function)"
	done < <(awk -v max="$max_function" '
		/^{/ { start = NR }
		/^}[[:space:]]*$/ && start { if (NR - start - 1 > max) print start ": function of " NR - start - 1; start = 0 }' "$file")
}

files=0
while read -r file; do
	files=$((files + 1))
	check_includes "$file"
	check_postgres_h "$file"
	check_version_tests "$file"
	check_lengths "$file"
done < <(find . -name '*.[ch]' -printf '%P\n' | sort)

[ "$files" -gt 0 ] || complain "" "no sources"
[ "$problems" -eq 0 ] || exit 1
echo "$files files in order"
