# 16 clients on one stream, any version.
#
# The baseline computes max(version) + 1 and tries again whenever another client
# took that version first. Afterwards the store must hold exactly one event for
# each call that a client saw succeed, and no client may have met an error.

workload_hot() {
	local sync clients=16 version hot_notes=()

	report_heading "16 clients, one stream, any version"
	report_table
	for sync in on off; do
		database_fresh bench_empty
		sql -f hot/prepare.sql
		compare "one hot stream" 2 1 "pgbench_slice hot/base.sql" "pgbench_slice hot/ours.sql"
		version=$(sql -c "SELECT es_stream_version('order-1')")
		[ "$version" = "$ours_calls" ] ||
			die "the stream is at version $version after $ours_calls acknowledged appends"
		hot_notes+=("synchronous_commit $sync: $ours_calls appends of event_store, errors seen by its clients: $ours_errors; \
tries of the baseline for each event: $(sql -c "SELECT round(last_value::numeric / (SELECT count(*) FROM bare_events), 2) FROM bare_tx_seq")")
	done
	echo
	printf -- '- %s\n' "${hot_notes[@]}"
}
