# shellcheck shell=bash
#
# package_log.sh: the second half of the demo. It imports dpkg's log into the
# store and compares what the events say with what dpkg says.
#
# To be sourced by demo/run, which sets $work and psql_demo.

dpkg_log=${EVENT_STORE_DPKG_LOG:-/var/log/dpkg.log}

# Print a log file, whatever logrotate has made of it.
read_log_file() {
	case $1 in
		*.gz) gzip -dc "$1" ;;
		*.xz) xz -dc "$1" ;;
		*.bz2) bzip2 -dc "$1" ;;
		*.zst) zstd -dcq "$1" ;;
		*) cat "$1" ;;
	esac
}

# The files of the log, oldest first. The first time in each of them decides,
# not its name: logrotate has several schemes. Equal times fall back to the
# rotation's number.
log_files() {
	local file first
	printf '%s\n' "$dpkg_log"* | sort -Vr | while read -r file; do
		[ -s "$file" ] || continue
		if [ ! -r "$file" ]; then
			say "$file cannot be read by $(id -un): left out"
			continue
		fi
		first=$(read_log_file "$file" |
			LC_ALL=C awk '/^[0-9-]+ [0-9:]+ / && !n++ { print $1, $2 }')
		[ -z "$first" ] || printf '%s\t%s\n' "$first" "$file"
	done | sort -s -t $'\t' -k 1,1 | cut -f 2
}

# The whole log as text that PostgreSQL takes: a crash can leave NUL bytes, a
# file name of another encoding bytes that are not UTF-8.
read_log() {
	local file
	while read -r file; do
		read_log_file "$file"
	done <"$work/log_files" | tr -d '\000\r' | { iconv -c -f UTF-8 -t UTF-8 || true; }
}

# Take the log, dpkg's own database and the times of its file lists. If dpkg
# is at work meanwhile, take them again: they must show the same moment.
take_evidence() {
	local attempt
	for attempt in 1 2 3 4 5; do
		log_files >"$work/log_files"
		read_log >"$work/log"
		dpkg-query -W -f='${Package}\t${Architecture}\t${Version}\t${db:Status-Status}\n' \
			>"$work/dpkg"
		find /var/lib/dpkg/info -name '*.list' \
			-printf '%f\t%TY-%Tm-%Td %TH:%TM:%.2TS\n' >"$work/lists"
		find /var/lib/dpkg/status -printf '%TY-%Tm-%Td %TH:%TM:%.2TS\n' >"$work/status_time"
		read_log | cmp -s - "$work/log" && return
		say "dpkg is at work: reading its log again ($attempt)"
	done
	die "dpkg does not come to rest: try again when it is done"
}

# What the log says at its end, found without the store: the last status line
# of every package. The store must come to the same.
last_status_lines() {
	LC_ALL=C awk -v OFS='\t' -v here=":(all|<none>|$(dpkg --print-architecture))$" '
		$3 == "status" && NF == 6 { p = $5; sub(here, "", p); status[p] = $4; version[p] = $6 }
		END { for (p in status) print p, version[p], status[p] }' "$work/log"
}

load() {
	psql_demo -v ON_ERROR_STOP=1 -c "\\copy $1 FROM STDIN"
}

# Every line, in the form of COPY's text format.
load_log() {
	local loaded
	sed 's/\\/\\\\/g; s/\t/\\t/g' "$work/log" | load 'demo.log_line (raw)'
	loaded=$(psql_demo -At -c 'SELECT count(*) FROM demo.log_line')
	[ "$loaded" -eq "$(awk 'END { print NR }' "$work/log")" ] ||
		die "only $loaded lines of the log came into the database"
}

# psql marks what a procedure says; the reader does not need to know.
progress() {
	sed -u 's/^INFO:  //'
}

import_package_log() {
	if ! command -v dpkg-query >/dev/null; then
		echo "No dpkg on this machine, so there is no package log to import."
		return
	fi
	take_evidence
	if [ ! -s "$work/log" ]; then
		echo "No lines to be read in $dpkg_log*: nothing to import, nothing to compare."
		echo "(Image builders like to delete it. Any apt-get install writes a new one.)"
		return
	fi
	echo "files, oldest first: $(xargs <"$work/log_files")"

	psql_demo -v ON_ERROR_STOP=1 -v native="$(dpkg --print-architecture)" \
		<"$checkout/demo/import.sql"
	load_log
	load demo.dpkg_line <"$work/dpkg"
	load demo.list_file <"$work/lists"
	load demo.status_file <"$work/status_time"
	last_status_lines | load demo.last_status_line
	psql_demo -v ON_ERROR_STOP=1 -c 'CALL demo.read_log()' 2>&1 | progress
	psql_demo -v ON_ERROR_STOP=1 -c 'CALL demo.append_log()' 2>&1 | progress
	psql_demo -v ON_ERROR_STOP=1 -c 'CALL demo.append_log_again()' 2>&1 | progress

	title "What is installed? A read model of the log (demo/packages.sql)"
	psql_demo -v ON_ERROR_STOP=1 -a <"$checkout/demo/packages.sql" | readable

	title "It follows: the last lines of the log arrive (demo/follow.sql)"
	follow_log

	title "Is that true? Compared with the log, and with dpkg-query"
	psql_demo -v ON_ERROR_STOP=1 -f "$checkout/demo/compare.sql"
	compare_with_dpkg
}

# The lines that the import has left, in three portions. The first shows how it
# is done, of the others only what has changed.
follow_log() {
	local portion first last end head
	read -r first end < <(psql_demo -At -F ' ' -v ON_ERROR_STOP=1 \
		-c 'SELECT demo.import_end() + 1, max(line) FROM demo.log_event')
	for portion in 1 2 3; do
		last=$((portion == 3 ? end : first + (end - first) / (4 - portion)))
		head=$(psql_demo -At -v ON_ERROR_STOP=1 -c 'SELECT es_head_position()')
		psql_demo -v ON_ERROR_STOP=1 -v first="$first" -v last="$last" -v head="$head" -a \
			<"$checkout/demo/follow.sql" >"$work/follow.$portion" 2>&1 ||
			{ cat "$work/follow.$portion"; die "the read model does not follow"; }
		grep -q '^ t$' "$work/follow.$portion" || die "the read model has not followed within a minute"
		if [ "$portion" -eq 1 ]; then
			readable <"$work/follow.$portion"
		else
			sed -n '/^ position /,$p' "$work/follow.$portion"
		fi
		first=$((last + 1))
	done
	psql_demo -v ON_ERROR_STOP=1 -c "SELECT name, kind, mode, state, position, lag_events, events, batches FROM es_projections"
}

# Print every difference with its explanation; fail if one has none.
compare_with_dpkg() {
	local unexplained
	psql_demo -v ON_ERROR_STOP=1 -At -c 'SELECT line FROM demo.report' |
		fold -s -w 100 | sed 's/ *$//'
	unexplained=$(psql_demo -v ON_ERROR_STOP=1 -At \
		-c 'SELECT count(*) FROM demo.difference WHERE explanation IS NULL')
	if [ "$unexplained" -ne 0 ]; then
		psql_demo -c 'SELECT package, dpkg_version, dpkg_status, store_version, store_status,
			files_at, last_line_at FROM demo.difference WHERE explanation IS NULL'
		die "$unexplained differences have no explanation"
	fi
}
