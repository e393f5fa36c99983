#!/bin/bash
#
# bench_report.sh: does bench/report make of fixed rows what it should?
#
# test/bench has rows of two runs, and the RESULTS.md that belongs to them: medians
# of odd and even numbers of rounds, ratios within rounds, noise, warm-up,
# metrics of which less is better, systems and rounds that are missing. The
# sentences about limits are the test's own, so that those of bench/ can change.
#
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
problems=0

problem() {
	echo "$*"
	problems=$((problems + 1))
}

mkdir -p "$scratch/bench/lib"
cp bench/report "$scratch/bench/"
cp bench/lib/*.awk "$scratch/bench/lib/"
cp test/bench/workloads.tsv "$scratch/bench/lib/"
cp test/bench/limits.txt "$scratch/bench/"

# Each awk that there is.
report() {
	AWK=$awk "$scratch/bench/report" --output "$scratch/$awk" "$@"
}

for awk in awk mawk gawk; do
	command -v "$awk" >/dev/null || continue
	report test/bench/rows.tsv test/bench/pg18.tsv
	diff -u test/bench/RESULTS.md "$scratch/$awk/RESULTS.md" || problem "$awk: RESULTS.md is not the expected one"
	(cd "$scratch/$awk/results" && ls) >"$scratch/plots"
	diff - "$scratch/plots" <<-'END' || problem "$awk: other plots than expected"
		batches.svg
		growth-pg18.svg
		growth.svg
		latency.svg
		rebuild-pg18.svg
		rebuild.svg
		stall.svg
		throughput.svg
	END
	diff -r "$scratch/awk/results" "$scratch/$awk/results" || problem "$awk: the plots depend on the awk"
done

# The plots are XML, and show the medians.
plot=$scratch/awk/results
if command -v python3 >/dev/null; then
	for file in "$plot"/*.svg; do
		python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$file" || problem "$file is not XML"
	done
fi
shows() {
	grep -qF ">$2</text>" "$plot/$1.svg" || problem "$1.svg does not show $2"
}
shows throughput 12,300
shows latency '2.00 / 3.00 / 5.00 / 30.0'
shows stall 'pgq: 203'
shows growth '1.3×'
shows rebuild-pg18 760,000

# One plot less than before is removed; --stdout writes nothing.
awk='awk'
report test/bench/pg18.tsv
[ "$(cd "$plot" && echo ./*)" = "./growth.svg ./rebuild.svg" ] || problem "old plots were left: $(ls "$plot")"
"$scratch/bench/report" --stdout test/bench/rows.tsv >"$scratch/printed"
grep -q '^## Summary' "$scratch/printed" || problem "--stdout prints no report"
[ ! -e "$scratch/bench/RESULTS.md" ] || problem "--stdout writes a file"

# A line that is no row is not passed over.
printf 'append_any\tpgq\t1\ton\t-\t1\trate\tfast\n' >"$scratch/wrong.tsv"
if report "$scratch/wrong.tsv" 2>"$scratch/errors"; then
	problem "a wrong row was accepted"
fi
grep -q 'wrong.tsv:1: not a row' "$scratch/errors" || problem "a wrong row is not named: $(cat "$scratch/errors")"

# Every workload has its sentence.
cut -f 1 bench/lib/workloads.tsv | grep -v '^#' | sort >"$scratch/known"
cut -f 1 bench/limits.txt | grep -v '^#' | sort >"$scratch/limits"
diff "$scratch/known" "$scratch/limits" || problem "bench/limits.txt and bench/lib/workloads.tsv name different workloads"

[ "$problems" -eq 0 ] || exit 1
echo "bench/report makes what it should"
