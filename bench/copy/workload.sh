# COPY of 1,000,000 events over 10,000 streams, against COPY into the bare table.
#
# The events of all streams come in random order. event_store gets the four
# columns that a caller has; versions, ids and the rest are the trigger's work.
# The bare table has nobody to make versions, so its file holds them. There are
# two baselines:
#
# ids in the file:  also event_id, tx and ordinal, all that a default would have
#                   to compute for each row. PostgreSQL then inserts many rows at
#                   once, which it cannot do with such a default or with a
#                   trigger: the hardest baseline there is, and the one to reach.
# ids by defaults:  the version only; event_id and tx come from the defaults. PostgreSQL
#                   then inserts row by row, as with a trigger.
#
# The file is on the server: no client is measured. One commit ends each COPY, so
# synchronous_commit makes no difference. Each COPY gets a new database.

copy_files() {
	progress "making files of $bulk_events events"
	database_fresh bench_empty
	sql -v data="$event_data" -v metadata="$event_metadata" -v events="$bulk_events" -v dir="$server_dir" \
		-f copy/files.sql
}

# copy_slice FILE TABLE COLUMNS
copy_slice() {
	local out=$server_dir/copy.out

	database_fresh bench_empty
	slice_cpu_before=$(server_cpu)
	sql -c '\timing on' -c "COPY $2 ($3) FROM '$server_dir/$1'" >"$out"
	slice_calls=$bulk_events
	slice_seconds=$(awk '/^Time:/ { print $2 / 1000 }' "$out")
}

workload_copy() {
	local ours="copy_slice ours.copy es_events stream_id,event_type,data,metadata"
	local rounds=$((rounds / 2)) protocol=COPY warm_up=no

	report_heading "COPY of $bulk_events events over 10,000 streams; figures per event"
	copy_files
	report_table
	compare "COPY, baseline: ids in the file" 0.6 1 \
		"copy_slice all.copy bare_events stream_id,version,event_id,event_type,data,metadata,tx,ordinal" "$ours"
	compare "COPY, baseline: ids by defaults" 0.6 1 \
		"copy_slice versions.copy bare_events stream_id,version,event_type,data,metadata" "$ours"
}
