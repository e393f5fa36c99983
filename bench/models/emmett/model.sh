# Emmett with a consumer: its projector with an upsert for each event, in Node.js
# shellcheck shell=bash disable=SC2034,SC2154

model_system=emmett
# It does some thousand a second: what it does with more is not worth the time.
model_most=100000
# It reads in the order of transactions and goes on behind the position of the last event that it
# has read: one with a lower position that comes after that is never read.
model_loses=yes
# rebuildPostgreSQLProjections() left something else than what the events say: not measured.
model_rebuilds=no

model_setup() {
	sql -f models/emmett/model.sql
}

model_start() {
	BENCH_NODE=$node_dir node models/emmett/model.mjs run >"$server_dir/background" 2>&1 &
	model_pid=$!
	lab_child "$model_pid"
	until grep -q ready "$server_dir/background"; do
		kill -0 "$model_pid" 2>/dev/null || die "Emmett's consumer: $(tail -n 30 "$server_dir/background")"
		sleep 0.01
	done
}

model_stop() {
	[ -n "${model_pid:-}" ] || return 0
	kill -USR2 "$model_pid"
	lab_wait "$model_pid" "Emmett's consumer" "$server_dir/background"
	model_pid=
}

model_work_off() {
	BENCH_NODE=$node_dir node models/emmett/model.mjs end >"$server_dir/background" 2>&1 || die "Emmett's consumer: $(tail -n 30 "$server_dir/background")"
}

model_mend() {
	sql -c 'BEGIN' -c 'TRUNCATE order_totals' -c 'INSERT INTO order_totals TABLE bench_truth' -c 'COMMIT'
}
