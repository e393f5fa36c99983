# shellcheck shell=bash disable=SC2034,SC2154
#
# growth.sh: bytes and WAL of an event, and how costs grow with the log.

# Bytes in the database and in the WAL for each event: 10,000 single appends by one client to
# random ones of 10,000 streams, and 100 batches of 100 (quick: a fifth). What the system does afterwards
# (positions, ticks) is in it; VACUUM's own WAL is not.
measure_size() {
	local sync=off clients=1 system single=10000 batches=100 pgbench_variables=("${pgbench_variables[@]}" -D streams=10000)

	[ "$quick" = 0 ] || single=2000 batches=20
	for system in "${systems[@]}"; do
		[ -f "systems/$system/append_any.sql" ] || continue
		progress "size, $system"
		lab_start "$system" "$system"
		sql -c VACUUM -c CHECKPOINT
		system_idle
		size_slice "$system" append_any single "$single" 1
		if [ -f "systems/$system/append_100.sql" ]; then
			size_slice "$system" append_100 'batch 100' "$batches" 100
		fi
		lab_stop "$system"
	done
}

size_bytes() {
	sql -c VACUUM
	sql -c 'SELECT pg_database_size(current_database())'
}

size_wal() {
	sql -c "SELECT pg_current_wal_insert_lsn() - '0/0'"
}

# size_slice SYSTEM SCRIPT PARAMETER CALLS EVENTS-A-CALL
size_slice() {
	local system=$1 parameter=$3 slice_calls_wanted=$4 slice_length=$seconds events=$(($4 * $5)) bytes wal

	bytes=$(size_bytes)
	wal=$(size_wal)
	slice=$((slice + 1))
	pgbench_slice "$system_dir/$2.sql"
	[ "$slice_errors" -eq 0 ] && [ "$slice_calls" -eq "$slice_calls_wanted" ] ||
		die "size: $system: $slice_calls of $slice_calls_wanted calls succeeded"
	system_idle
	wal=$(($(size_wal) - wal))
	row size "$system" 1 "$sync" "$parameter" 1 wal "$(quotient "$wal" "$events")"
	row size "$system" 1 "$sync" "$parameter" 1 bytes "$(quotient $(($(size_bytes) - bytes)) "$events")"
}

# The main workloads with logs of more and more events in 10,000 streams. One server after the
# other: three with the longest log would not fit together.
measure_growth() {
	local sync=on clients=4 system sizes="100000 1000000 10000000" size name

	[ "$quick" = 0 ] || sizes="1000 10000"
	for size in $sizes; do
		# data, indexes, WAL until the next checkpoint, and what decoding spills
		if [ "$(df -P -B1 "$systems_root" | awk 'NR == 2 { print $4 }')" -lt $((size * 3500)) ]; then
			progress "growth: not enough space on the disk for $size events"
			fact "without growth" "$size events: not enough space on the disk"
			continue
		fi
		for system in event_store bare diy; do
			[[ " ${systems[*]} " = *" $system "* ]] || continue
			# Baselines for the two smaller sizes are enough.
			[ "$quick" = 0 ] && [ "$size" -le 1000000 ] || [ "$system" = event_store ] || continue
			progress "growth, $size events, $system"
			lab_start "growth" "$system"
			system_fill order 10000 $((size / 10000))
			system_fill small 1000 10
			system_fill large 10 1000
			if [ "$system" = event_store ]; then
				sql -f systems/event_store/fold_10000.setup.sql -f systems/event_store/fold_snapshot.setup.sql >/dev/null
			fi
			sql -c 'VACUUM ANALYZE' -c CHECKPOINT
			system_idle
			growth_system "$system" "$size"
			lab_stop growth
		done
	done
}

growth_system() {
	local system=$1 size=$2 round count=1000 after
	local pgbench_variables=("${pgbench_variables[@]}" -D streams=10000 -D events="$size" -D small=1000)

	[ "$quick" = 0 ] || count=100
	for ((round = warm_up; round <= (rounds + 1) / 2; round++)); do
		growth_slice append_any 1
		growth_slice append_100 100
		growth_slice read_10 10
		growth_slice page_log 1000
		growth_slice fold_snapshot 1
	done
	if [ -f "systems/$system/consume.setup.sql" ]; then
		system_idle
		after=$(sql -c 'SELECT bench_consume_end()')
		latency_log growth_latency_log "$system" poll "$count" "$size" "$after"
	fi
	if [ "$system" = event_store ]; then
		growth_model
	fi
}

growth_slice() {
	local workload=$1 units=$2 slice_length=$seconds

	[ -f "$system_dir/$workload.sql" ] || return 0
	slice=$((slice + 1))
	slice_errors=0
	wait_quiet
	lab_begin
	pgbench_slice "$system_dir/$workload.sql"
	system_idle
	lab_done
	count_errors "$system"
	[ "$round" -gt 0 ] || return 0
	row "growth_$workload" "$system" "$clients" "$sync" "$size" "$round" rate "$(quotient "$((slice_calls * units))" "$slice_seconds")"
	row "growth_$workload" "$system" "$clients" "$sync" "$size" "$round" cpu "$(quotient "$lab_cpu" "$((slice_calls * units))")"
	noise_row "growth_$workload" "$system" "$clients" "$sync" "$size" "$round"
}

# Appends with a read model of all this, and how soon it shows them.
growth_model() {
	local round slice_length=$seconds

	model_load event_store
	model_setup
	for ((round = warm_up; round <= (rounds + 1) / 2; round++)); do
		model_slice growth_append_view event_store "$round" "$size"
	done
	model_start
	model_catch_up
	pgbench_variables+=(-D streams=1)
	latency_view growth_latency_view event_store "$count" "$size"
	model_catch_up
	model_check event_store
}
