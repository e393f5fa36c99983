# Reading the whole log in pages, against a plain table with an indexed position.
#
# The baseline is what a store looks like that pays for the position when it is
# written: a column of the row, and an index. Here the position is looked up in
# the ledger. Both sides read the same events, and commit nothing.

log_pages() {
	local size=$1 target=$2 title=$3 protocol
	local pgbench_variables=(-D after=0 -D events="$bulk_events")

	database_fresh bench_empty
	progress "making a log of $bulk_events events, $size in each transaction"
	sql -v events="$bulk_events" -v size="$size" -v data="$event_data" -v metadata="$event_metadata" -f log/prepare.sql >&2
	for protocol in prepared simple; do
		compare "page of 1,000 of the log: $title" "$target" 1000 "pgbench_slice log/base.sql" "pgbench_slice log/ours.sql"
	done
}

workload_log() {
	report_heading "Reading the log in pages of 1,000 (es_read_all); figures per event"
	report_table
	log_pages 1 0.65 "$bulk_events transactions of one event"
	log_pages 100 0.8 "transactions of 100 events"
}
