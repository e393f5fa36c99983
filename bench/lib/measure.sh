# shellcheck shell=bash disable=SC2034,SC2154
#
# measure.sh: measures two ways of doing the same work against each other.
#
# A slice is one short measurement of one side. compare() runs slices in the
# order A B, B A, A B …, takes the ratio of each neighbouring pair, and reports
# the median of the ratios with the least and the greatest: slow drift of the
# machine touches both slices of a pair, so it cancels.

# One 200-byte payload and one 60-byte metadata for all events.
event_data='{"order_id":"7f3c2a91-5b0e-4d1e-9a46-0c2d8e5b1f77","customer":"c-204811773","currency":"EUR","total":149.90,"lines":[{"sku":"BK-10442","qty":2,"price":49.95},{"sku":"PN-00731","qty":1,"price":50.00}]}'
event_metadata='{"correlation_id":"tr-018f2b6e-77aa-7c31-9a51-5a2b6d1c0e4f"}'

# The same event 100 times, or as often as said, as array literals.
array_of() {
	local element=$1 count=${2:-100} i out=

	element=${element//\\/\\\\}
	element=${element//\"/\\\"}
	for ((i = 0; i < count; i++)); do
		out+=,\"$element\"
	done
	printf '{%s}' "${out:1}"
}

# What a workload may vary, with "local" variables of the same names:
sync=on                 # synchronous_commit of the sessions
clients=1
protocol=prepared       # of pgbench, or simple
pgbench_variables=()    # further -D name=value
session_options=        # further settings of the sessions: -c name=value
slice_calls_wanted=     # calls of each client, instead of a time
slice_rate=             # calls a second of all clients, instead of as many as they can
warm_up=yes             # one second of each side first, not counted

# Number of the slice in its comparison: the scripts build unique keys from it.
slice=0

# Runs one pgbench script for slice_length seconds, or slice_calls_wanted calls a
# client where that is set. Sets slice_calls and slice_seconds; slice_errors
# counts clients that met an error.
pgbench_slice() {
	local script=$1 out=$server_dir/pgbench.out threads length status=0

	threads=$((clients < cores ? clients : cores))
	length=(-T "$slice_length")
	[ -n "$slice_calls_wanted" ] && length=(-t "$slice_calls_wanted")
	[ -n "$slice_rate" ] && length+=(-R "$slice_rate")
	PGOPTIONS="-c synchronous_commit=$sync $session_options" "$pg_bin/pgbench" -n -M "$protocol" -c "$clients" -j "$threads" \
		"${length[@]}" --random-seed="$slice" -f "$script" \
		-D slice="$slice" -D n=-1 -D type=OrderPlaced -D data="$event_data" -D metadata="$event_metadata" \
		"${pgbench_variables[@]}" "${database:-bench}" >"$out" 2>&1 || status=$?
	slice_calls=$(awk -F': ' '/^number of transactions actually processed/ { sub(/\/.*/, "", $2); print $2 }' "$out")
	[ -n "$slice_calls" ] && [ "$slice_calls" -gt 0 ] || die "$script: $(grep -v '^pgbench (' "$out" | head -n 5)"
	slice_seconds=$(awk -v n="$slice_calls" '/^tps = / { printf "%.6f", n / $3 }' "$out")
	slice_errors=$(grep -c 'aborted in command' "$out" || true)
	[ "$status" -eq 0 ] || [ "$slice_errors" -gt 0 ] || die "$script: $(grep -m 1 'error' "$out")"
	[ "$slice_errors" -eq 0 ] || progress "$script: $(grep -m 1 'ERROR' "$out")"
}

# One slice with the server's CPU time around it; appends a line to the slices.
slice_run() {
	local side=$1 round=$2 cpu_before cpu_after
	shift 2

	slice=$((slice + 1))
	slice_errors=0
	cpu_before=$(server_cpu)
	"$@"
	server_settle
	cpu_after=$(server_cpu)
	# A slice that has to prepare something states its own starting point.
	cpu_before=${slice_cpu_before:-$cpu_before}
	slice_cpu_before=
	echo "$side $round $slice_calls $slice_seconds $((cpu_after - cpu_before))" >>"$slices"
	if [ "$side" = ours ]; then
		ours_calls=$((ours_calls + slice_calls))
		ours_errors=$((ours_errors + slice_errors))
	else
		base_errors=$((base_errors + slice_errors))
	fi
}

# compare TITLE TARGET UNITS BASELINE OURS: measures and reports one line of the
# table. UNITS is the number of units (events, say) of a call. BASELINE and OURS
# are commands that run one slice. TARGET is the ratio to reach, or "-".
# Leaves ours_calls, ours_errors and base_errors for the workload's own checks.
compare() {
	local title=$1 target=$2 units=$3 base=$4 ours=$5 round

	progress "$title, clients $clients, synchronous_commit $sync, $protocol"
	slices=$server_dir/slices
	: >"$slices"
	ours_calls=0 ours_errors=0 base_errors=0
	if [ "$warm_up" = yes ]; then
		slice_length=1
		slice_run base 0 $base
		slice_run ours 0 $ours
		slice_length=$seconds
	fi
	for ((round = 1; round <= rounds; round++)); do
		if ((round % 2)); then
			slice_run base "$round" $base
			slice_run ours "$round" $ours
		else
			slice_run ours "$round" $ours
			slice_run base "$round" $base
		fi
	done
	report_comparison "$title" "$target" "$units"
}
