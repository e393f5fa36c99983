# shellcheck shell=bash disable=SC2034,SC2154
#
# models.sh: read models. A row for each of 10,000 streams: how many events, and the sum
# of a number in their data; kept by each system's own means.
#
# A folder of models/ is a way to keep it: model.sh, whose first line describes it. It
# works on an empty server of the system that it names (lib/lab.sh), which stays until
# the last of these workloads. It defines
#
#   model_system    the folder in systems/ that it belongs to
#   model_kind      async (unless it says so): something keeps the read model in the background; or sync:
#                   the append does
#   model_most      events of the longest log that it is measured with (unless it says so: any)
#   model_missing, model_install, model_settings    as in a system.sh, where it needs more than its system
#   model_loses     yes: it may miss events of clients that append at the same time (unless it says so: no).
#                   They are counted, and model_mend puts them right
#   model_setup     makes it, in an empty database, and the views bench_model and bench_truth: (stream, events, total)
#                   as it is kept, and from the events; the function bench_count(): all events.
#                   Nothing keeps it yet
#   model_start, model_stop      begin and end to keep it
#   model_catch_up  waits until it shows all that was committed
#   model_work_off  the two at once, from a backlog to its end; it need not go on
#   model_rebuild   makes it anew from all events, where model_rebuilds is not "no"
. lib/lab.sh
. lib/consumers.sh
. lib/growth.sh

models=
model_streams=10000
declare -A model_events=() model_took=() model_cpu=() model_noise=()

model_load() {
	model_kind=async model_most=1000000000 model_loses=no model_rebuilds=yes
	model_missing() { :; }
	model_install() { :; }
	model_settings() { :; }
	model_start() { :; }
	model_stop() { :; }
	model_catch_up() { model_wait; }
	model_work_off() { model_start; model_catch_up; }
	. "models/$1/model.sh"
}

# Which read models can be had, event_store's first.
models_begin() {
	local name reason
	[ -z "$models" ] || return 0
	pg_major=${pg_major:-$("$pg_bin/pg_config" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')}
	if [ "$quick" = 0 ]; then
		model_backlog=1000000
	else
		model_backlog=10000 model_streams=2000
	fi
	for name in event_store $(cd models && printf '%s\n' */ | tr -d / | grep -vx event_store); do
		model_load "$name"
		[[ " ${systems[*]} " = *" $model_system "* ]] || continue
		reason=$(model_missing)
		if [ -z "$reason" ] && ! model_install >&2; then
			reason="could not be installed"
		fi
		if [ -n "$reason" ]; then
			progress "without $name: $reason"
			fact "without $name" "$reason"
			continue
		fi
		models+=" $name"
		fact "model $name" "$(sed -n '1s/^# *//p' "models/$name/model.sh")"
	done
}

# A new server with an empty read model that is not kept yet.
model_fresh() {
	local lab_settings

	model_load "$1"
	lab_settings=$(model_settings)
	lab_start "model_$1" "$model_system"
	model_setup
	system_idle
	model_events[$1]=0
}

# The backlog's events, appended while nobody keeps it if it is asynchronous.
model_fill() {
	local events=$((model_backlog < model_most ? model_backlog : model_most))

	system_fill order "$model_streams" $((events / model_streams))
	sql -c 'VACUUM ANALYZE' -c CHECKPOINT
	system_idle
	model_events[$1]=$events
}

# The server of a read model that shows a log of some length: for the first time, with the
# time that it takes to work that off.
model_ready() {
	local began

	if [ -n "${model_events[$1]:-}" ]; then
		model_load "$1"
		lab_use "model_$1" "$model_system"
	else
		progress "$1: server and events"
		model_fresh "$1"
		model_fill "$1"
		wait_quiet
		lab_begin
		began=$EPOCHREALTIME
		if [ "$model_kind" = async ]; then
			model_work_off
			model_took[$1]=$(since "$began")
		fi
		lab_done
		model_cpu[$1]=$lab_cpu model_noise[$1]=$lab_noise
		model_stop
		model_check "$1"
	fi
	system_count_helpers
}

# Waits until it has as many events as there are; leaves in model_late when the last of
# them came, and in model_lost how many never do.
model_wait() {
	local answer

	answer=$(sql -F ' ' -c "CALL bench_caught_up($([ "$model_loses" = yes ] && echo 5 || echo 120))")
	read -r model_lost model_late <<<"$answer"
	[ "$model_lost" -eq 0 ] || [ "$model_loses" = yes ] || die "the read model does not catch up: $model_lost events"
}

# Dies unless it is what the query over the events says.
model_check() {
	local different

	different=$(sql -c 'SELECT count(*) FROM ((TABLE bench_model EXCEPT TABLE bench_truth) UNION ALL (TABLE bench_truth EXCEPT TABLE bench_model)) AS d')
	[ "$different" -eq 0 ] || die "$1: $different rows of the read model are wrong"
}

# What a procedure of the database does in the background, until bench_model_stop has a
# row. model_background PROCEDURE [ARGUMENT]
model_background() {
	sql -c 'TRUNCATE bench_model_stop'
	sql -c "CALL $1(${2:-})" >"$server_dir/background" 2>&1 &
	model_pid=$!
	lab_child "$model_pid"
	lab_called "$1" "$model_pid" "$server_dir/background"
}

model_background_stop() {
	[ -n "${model_pid:-}" ] || return 0
	sql -c 'INSERT INTO bench_model_stop VALUES (now())'
	lab_wait "$model_pid" "read model" "$server_dir/background"
	model_pid=
}

# The read models in turn, beginning with another one in each round.
models_rotated() {
	local all i
	read -r -a all <<<"$models"

	for ((i = 0; i < ${#all[@]}; i++)); do
		echo "${all[$(((i + $1) % ${#all[@]}))]}"
	done
}

# append_any with the read model kept. The time ends when it shows everything.
measure_append_view() {
	local sync=on clients round model slice_length=$seconds pgbench_variables=("${pgbench_variables[@]}" -D streams="$model_streams")

	models_begin
	for clients in $client_counts; do
		progress "append_view, clients $clients"
		for ((round = warm_up; round <= rounds; round++)); do
			for model in $(models_rotated "$round"); do
				model_ready "$model"
				model_slice append_view "$model" "$round"
			done
		done
	done
	for model in $models; do
		model_ready "$model"
		model_check "$model"
	done
}

model_slice() {
	local workload=$1 model=$2 round=$3 parameter=${4:--} began late

	slice=$((slice + 1))
	slice_errors=0
	model_start
	model_catch_up
	wait_quiet
	lab_begin
	pgbench_slice "$system_dir/append_any.sql"
	began=$EPOCHREALTIME
	model_lost=0 model_late=
	[ "$model_kind" = sync ] || model_catch_up
	late=${model_late:-$(since "$began")}
	lab_done
	model_stop
	[ "$model_lost" -eq 0 ] || model_mend
	count_errors "$model"
	[ "$round" -gt 0 ] || return 0
	row "$workload" "$model" "$clients" "$sync" "$parameter" "$round" rate \
		"$(awk -v n="$slice_calls" -v s="$slice_seconds" -v l="$late" -v k="$model_kind" 'BEGIN { printf "%.2f", n / (k == "sync" ? s : s + l) }')"
	row "$workload" "$model" "$clients" "$sync" "$parameter" "$round" cpu "$(quotient "$lab_cpu" "$slice_calls")"
	[ "$model_kind" = sync ] ||
		row "$workload" "$model" "$clients" "$sync" "$parameter" "$round" late "$(awk -v l="$late" 'BEGIN { printf "%.1f", l * 1000 }')"
	[ "$model_loses" = no ] || row "$workload" "$model" "$clients" "$sync" "$parameter" "$round" lost "$model_lost"
	noise_row "$workload" "$model" "$clients" "$sync" "$parameter" "$round"
}

# From the commit of an append until the read model shows it: 100 appends a second, all to
# one of its 10,000 rows, which a watcher looks up each millisecond.
measure_latency_view() {
	local sync=on model count=1000 pgbench_variables=("${pgbench_variables[@]}" -D streams=1)

	models_begin
	[ "$quick" = 0 ] || count=100
	for model in $models; do
		model_ready "$model"
		progress "latency_view, $model"
		model_start
		model_catch_up
		latency_view latency_view "$model" "$count"
		model_catch_up
		model_check "$model"
		model_stop
	done
}

latency_view() {
	local workload=$1 model=$2 count=$3 parameter=${4:--} commits=$systems_root/commits seen=$systems_root/seen first watch_pid

	sql <<-'END'
		CREATE OR REPLACE FUNCTION bench_head() RETURNS bigint STABLE
		RETURN (SELECT events FROM bench_model WHERE stream = 'order-1');
	END
	first=$(sql -c 'SELECT bench_head()')
	wait_quiet
	lab_begin
	sql -c "CALL bench_watch($first, $count, 1)" >"$server_dir/watched" 2>&1 &
	watch_pid=$!
	lab_child "$watch_pid"
	lab_called bench_watch "$watch_pid" "$server_dir/watched"
	lab_append view 1 100 -t "$count" -f "$system_dir/append_any.sql"
	lab_committed view "$commits"
	lab_wait "$watch_pid" "watcher" "$server_dir/watched"
	lab_done
	tr -d '{}' <"$server_dir/watched" | tr ',' '\n' >"$seen"
	[ "$(wc -l <"$commits")" -eq "$count" ] || die "$model: pgbench has logged $(wc -l <"$commits") of $count appends"
	[ "$(wc -l <"$seen")" -eq "$count" ] || die "$model: the watcher has seen $(wc -l <"$seen") of $count events"
	paste "$commits" "$seen" | awk '{ ms = ($2 - $1) * 1000; printf "%.4f\n", (ms > 0 ? ms : 0) }' >"$systems_root/times"
	latency_rows "$systems_root/times" "$workload" "$model" 1 "$sync" "$parameter" 1
	noise_row "$workload" "$model" 1 "$sync" "$parameter" 1
}

# What a stopped read model has missed, worked off; asynchronous ones only. They are measured
# when their servers are made.
measure_catch_up() {
	local sync=on model lab_cpu lab_noise

	models_begin
	for model in $models; do
		model_ready "$model"
		[ "$model_kind" = async ] || continue
		lab_cpu=${model_cpu[$model]} lab_noise=${model_noise[$model]}
		model_rows catch_up "$model" 1 "${model_took[$model]}" "${model_events[$model]}"
	done
}

model_rows() {
	local workload=$1 model=$2 round=$3 took=$4 events=$5

	row "$workload" "$model" 1 "$sync" - "$round" rate "$(awk -v n="$events" -v s="$took" 'BEGIN { printf "%.0f", n / s }')"
	row "$workload" "$model" 1 "$sync" - "$round" cpu "$(quotient "$lab_cpu" "$events")"
	noise_row "$workload" "$model" 1 "$sync" - "$round"
}

# From scratch, nothing else going on. Marten's rate is the one that it publishes.
measure_rebuild() {
	local sync=on model round began took

	models_begin
	for ((round = 1; round <= (rounds + 1) / 2; round++)); do
		for model in $(models_rotated "$round"); do
			model_ready "$model"
			[ "$model_rebuilds" = yes ] || continue
			progress "rebuild, $model"
			wait_quiet
			lab_begin
			began=$EPOCHREALTIME
			model_rebuild
			took=$(since "$began")
			lab_done
			model_check "$model"
			model_rows rebuild "$model" "$round" "$took" "$(sql -c 'SELECT bench_count()')"
		done
	done
	row rebuild 'marten (published)' 1 on - 1 rate 8685
	for model in $models; do
		lab_stop "model_$model"
		unset "model_events[$model]"
	done
}
