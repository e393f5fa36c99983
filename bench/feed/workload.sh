# The feed: decoding what is none of its business, and events.
#
# The WAL is written once; each slice reads all of it through a slot, in one
# session, and throws the output away. Units are transactions.

# Reads the slot with a plugin: pgoutput and test_decoding are the baselines.
# Sets slice_calls and slice_seconds.
feed_slice() {
	local slot=$1 function=$2 options=$3 start=$EPOCHREALTIME

	feed_output=$(sql -c "SELECT count(*) FROM $function('$slot', NULL, NULL$options)")
	slice_seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.6f", b - a }')
	slice_calls=$feed_transactions
}

feed_ours() {
	feed_slice ours pg_logical_slot_peek_changes ", 'format', '$1'"
}

feed_test_decoding() {
	feed_slice test_decoding pg_logical_slot_peek_changes ", 'skip-empty-xacts', '1'"
}

# Publishes es_events only, so that it passes over the rest as we do.
feed_pgoutput() {
	feed_slice pgoutput pg_logical_slot_peek_binary_changes ", 'proto_version', '1', 'publication_names', 'bench'"
}

# Slots for all, which see what is done from now on.
feed_make_slots() {
	sql -c "CREATE PUBLICATION bench FOR TABLE es_events"
	sql -c "SELECT set_config(name, setting || ', event_store', false) FROM pg_settings WHERE name = 'output_plugin_libraries' AND setting !~ 'event_store'" \
		-c "SELECT pg_create_logical_replication_slot('ours', 'event_store')" \
		-c "SELECT pg_create_logical_replication_slot('test_decoding', 'test_decoding')" \
		-c "SELECT pg_create_logical_replication_slot('pgoutput', 'pgoutput')" >/dev/null
}

feed_drop_slots() {
	sql -c "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots" >/dev/null
}

# Restarts the server with what decoding needs.
feed_restart() {
	local psql=("$pg_bin/psql" -X -q -A -t -d postgres -v ON_ERROR_STOP=1)

	"${psql[@]}" -c "ALTER SYSTEM SET wal_level = logical" -c "ALTER SYSTEM SET logical_decoding_work_mem = '64MB'"
	if [ -n "$("${psql[@]}" -c "SELECT 1 FROM pg_settings WHERE name = 'output_plugin_libraries'")" ]; then
		"${psql[@]}" -c "ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, event_store"
	fi
	server_stop
	server_start
}

workload_feed() {
	local feed_transactions=$((bulk_events / 20)) feed_output clients=4 slice_calls_wanted

	feed_restart
	report_heading "The feed: transactions decoded per second"
	report_table

	database_fresh bench_empty
	"$pg_bin/pgbench" -i -q -s 10 bench >"$server_dir/pgbench.out" 2>&1
	feed_make_slots
	"$pg_bin/pgbench" -n -c 4 -t $((feed_transactions / 4)) bench >"$server_dir/pgbench.out" 2>&1
	compare "pgbench's transactions, baseline pgoutput of es_events only" - 1 feed_pgoutput "feed_ours json"
	[ "$feed_output" -eq 0 ] || die "the feed has $feed_output objects for pgbench's transactions"
	compare "pgbench's transactions, baseline test_decoding" - 1 feed_test_decoding "feed_ours json"
	feed_drop_slots

	database_fresh bench_empty
	feed_make_slots
	slice_calls_wanted=$((feed_transactions / 4)) pgbench_slice append/any.ours.sql
	compare "events one by one, format json, baseline test_decoding" - 1 feed_test_decoding "feed_ours json"
	compare "events one by one, format cloudevents, baseline test_decoding" - 1 feed_test_decoding "feed_ours cloudevents"
	compare "events one by one, format json, baseline pgoutput" - 1 feed_pgoutput "feed_ours json"
	feed_drop_slots
}
