# shellcheck shell=bash disable=SC2034,SC2154
#
# callgrind.sh: a single-user server under valgrind, and what its profiles say.
#
# Instructions are the same however busy the machine is. The server runs on a copy
# of the data directory that server.sh has made, whose server is stopped.

# Runs the statements of $server_dir/input in a database. What follows the name of
# the database are options of callgrind; the profile is $1.
callgrind_run() {
	local out=$1 name=$2 copy=$server_dir/copy_of_data fixed=()
	shift 2

	rm -rf "$copy"
	cp -a "$server_dir/data" "$copy"
	# The same addresses in each run, where the machine lets us.
	! setarch -R true 2>/dev/null || fixed=(setarch -R)
	(cd "$server_dir" && as_server_user env -i PATH="$PATH" LC_ALL=C.UTF-8 TZ=UTC HOME="$server_dir" \
		"${fixed[@]}" valgrind -q --tool=callgrind --callgrind-out-file="$out" "$@" \
		"$pg_bin/postgres" --single -c shared_buffers=512MB -c full_page_writes=off -D "$copy" "$name") \
		<"$server_dir/input" >"$server_dir/output" 2>"$server_dir/errors" ||
		die "valgrind: $(tail -n 5 "$server_dir/errors")"
	! grep -qE '(ERROR|FATAL|PANIC):' "$server_dir/errors" ||
		die "$(grep -m 1 -E '(ERROR|FATAL|PANIC):' "$server_dir/errors" | cut -c 1-300)"
}

# Instructions of a whole profile.
callgrind_total() {
	awk '/^(summary|totals):/ { print $2; exit }' "$1"
}

# function <tab> instructions of a profile, inclusive ones or (no) its own.
callgrind_functions() {
	callgrind_annotate --inclusive="${2:-yes}" --threshold=100 --show-percs=no --auto=no "$1" 2>/dev/null |
		awk '/^ *[0-9,]+  / {
			count = $1
			gsub(/,/, "", count)
			sub(/^ *[0-9,]+ +/, "")
			sub(/ \[[^]]*\]$/, "")
			sub(/^.*:/, "")
			sum[$0] += count
		}
		END { delete sum["PROGRAM TOTALS"]; for (f in sum) printf "%s\t%.0f\n", f, sum[f] }'
}
