#!/usr/bin/env bash
#
# Puts the result of `bench/run settings` into doc/operations.md, between its marks.
#
#   bench/run settings >result.md && bench/settings/doc.sh result.md
set -euo pipefail

result=$(realpath -- "${1:?usage: bench/settings/doc.sh RESULT}")
doc=$(dirname "${BASH_SOURCE[0]}")/../../doc/operations.md

grep -q '^## Waiting for the disk' "$result" || { echo "$result is no result of bench/run settings" >&2; exit 1; }
awk -v result="$result" '
	/^<!-- settings: end -->/ { inside = 0 }
	!inside { print }
	/^<!-- settings: begin -->/ {
		inside = 1
		print ""
		empty = 1
		while ((getline line < result) > 0) {
			if (line ~ /^# / || line ~ /^The ratio is that/ || line ~ /^its processes together/ || line ~ /lines reached/)
				continue
			sub(/^## /, "#### ", line)
			if (line != "" || !empty)
				print line
			empty = line == ""
		}
		if (!empty)
			print ""
	}' "$doc" >"$doc.new"
cat "$doc.new" >"$doc"
rm "$doc.new"
