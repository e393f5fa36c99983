#!/bin/bash
#
# scripts.sh: do all scripts of the checkout parse? Programs that no test runs
# to their end (the benchmark, the preparation) would rot unseen otherwise.
#
set -euo pipefail
cd "$(dirname "$0")/.."

problems=0
scripts=0

check() {
	local file=$1
	shift
	scripts=$((scripts + 1))
	if ! "$@" "$file"; then
		echo "$file does not parse"
		problems=$((problems + 1))
	fi
}

python_parses() {
	python3 -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' "$1"
}

while read -r file; do
	case $file in
		*.sh) check "$file" bash -n ;;
		*.py) ! command -v python3 >/dev/null || check "$file" python_parses ;;
		*.js | *.mjs) ! command -v node >/dev/null || check "$file" node --check ;;
		*.sql | *.md | *.out | *.pl | *.pm) ;;
		*) case $(head -n 1 "$file" | tr -d '\000') in
			'#!'*bash* | '#!'*/sh*) check "$file" bash -n ;;
		   esac ;;
	esac
done < <(find .ci bench demo doc test -type f -not -path '*/node_modules/*' 2>/dev/null | sort)

[ "$problems" -eq 0 ] || exit 1
[ "$scripts" -gt 0 ]
echo "$scripts scripts parse"
