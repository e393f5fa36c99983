# shellcheck shell=bash disable=SC2034,SC2154
#
# workloads.sh: what is compared, in this order. A function measure_<name> each;
# those that are not slices of the same call are in lib/models.sh.

# What reads comes first, then commands: the streams have the same lengths everywhere then.
workloads=(read log state command client append batch hot bulk size latency_log stall append_view latency_view catch_up rebuild growth)

# Ratios that event_store has to reach, by workload and system; all others: to be ahead.
workload_targets() {
	local workload system

	for workload in append_new append_any append_exact; do
		target "$workload" message_db 4 4,16
		target "$workload" emmett 2
		target "$workload" bare 0.95
	done
	target append_100 message_db 4
	for workload in append_10 append_100; do
		target "$workload" emmett 1.1
	done
	target rebuild "marten (published)" 10
	for system in read_10 read_10000; do
		target "$system" bare 0.95
	done
}

# One event a call. Without a flush at each commit one kind is enough.
measure_append() {
	local sync clients kind

	for sync in on off; do
		for clients in $client_counts; do
			for kind in new any exact; do
				[ "$kind" = any ] || { [ "$sync" = on ] && [ "$quick" = 0 ]; } || continue
				compare_systems "append_$kind" 1
			done
		done
		[ "$quick" = 0 ] || break
	done
}

# 10 and 100 events a call; figures are per event.
measure_batch() {
	local sync=on clients events

	for clients in $client_counts; do
		for events in 10 100; do
			compare_systems "append_$events" "$events"
		done
	done
}

# 16 clients, one stream.
measure_hot() {
	local sync=on clients=16

	compare_systems append_hot 1
}

# Loading events into new streams, each system its own quickest way, of events that are in the server
# already: nobody parses JSON, and no client feeds them. bulk.sql where that is not system_fill.
measure_bulk() {
	local sync=on clients=1 system round began streams=1000 events=100

	[ "$quick" = 0 ] || events=10
	progress "bulk"
	for ((round = 1; round <= rounds; round++)); do
		for system in $(rotated "$round"); do
			system_use "$system"
			wait_quiet
			began=$EPOCHREALTIME
			if [ -f "$system_dir/bulk.sql" ]; then
				sql -v prefix="bulk$round" -v streams="$streams" -v events="$events" \
					-v data="$event_data" -v metadata="$event_metadata" -f "$system_dir/bulk.sql"
			else
				system_fill "bulk$round" "$streams" "$events"
			fi >/dev/null
			row bulk "$system" 1 on - "$round" rate \
				"$(awk -v a="$began" -v b="$EPOCHREALTIME" -v n=$((streams * events)) 'BEGIN { printf "%.0f", n / (b - a) }')"
			server_settle
			system_idle
		done
	done
}

# The systems, beginning with another one in each round.
rotated() {
	local i n=${#systems[@]}

	for ((i = 0; i < n; i++)); do
		echo "${systems[$(((i + $1) % n))]}"
	done
}

# A whole stream a call; figures are events.
measure_read() {
	local sync=on clients

	for clients in $client_counts; do
		compare_systems read_10 10
	done
	clients=1
	compare_systems read_10000 "$large_events"
}

# A page of 1,000 events of the log a call, from a random place; figures are events.
measure_log() {
	local sync=on clients

	for clients in $client_counts; do
		[ "$clients" != 16 ] || continue
		compare_systems page_log 1000
		compare_systems page_category 1000
	done
}

# The state of a stream, and a command.
measure_state() {
	local sync=on clients=1

	compare_systems fold_10000 1
	compare_systems fold_snapshot 1
}

measure_command() {
	local sync=on clients

	for clients in $client_counts; do
		compare_systems command 1
	done
}

# The same through Node.js, each system by the library that its users call.
measure_client() {
	local sync=on clients

	command -v node >/dev/null || { progress "no node: the client libraries are left out"; return 0; }
	for clients in $client_counts; do
		compare_systems client_command 1
	done
	for clients in $client_counts; do
		compare_systems client_append 1
	done
	clients=4
	compare_systems client_batch 100
	compare_systems client_read 10
}
