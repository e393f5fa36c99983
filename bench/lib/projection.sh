# shellcheck shell=bash disable=SC2034,SC2154
#
# projection.sh: logs to project, and projections that work off a backlog.
#
# Workloads of projections stand between sequencer_begin and sequencer_end, too.
# A backlog is made by pausing a projection before the events are appended: as
# many projections as there will be slices, each for one of them.

# The view that most of them keep: 10,000 accounts, $projection_query over es_log.
projection_streams=10000
projection_query="SELECT stream_id AS account, count(*) AS entries, sum((data->>'amount')::numeric) AS amount,
	max((data->>'amount')::integer) AS largest, count(*) FILTER (WHERE event_type = 'MoneyWithdrawn') AS withdrawals
	FROM es_log WHERE event_type IN ('MoneyDeposited', 'MoneyWithdrawn') GROUP BY stream_id"
projection_table="(account text COLLATE \"C\" PRIMARY KEY, entries bigint, amount numeric, largest integer, withdrawals bigint)"

# A log of so many events in the database under test, all with positions.
projection_fill() {
	progress "appending $1 events"
	sql -f lib/projection.sql
	PGOPTIONS="-c synchronous_commit=off" sql -v events="$1" -v streams="$projection_streams" \
		-v data="$event_data" -v metadata="$event_metadata" <<-'END'
			CALL bench_log(:events, :streams, :'data', :'metadata');
		END
	sequencer_catch_up
	sql -c 'VACUUM (ANALYZE) es_events, es_commits' -c CHECKPOINT
}

# projection_views NAME COUNT: paused views NAME_1 ... of the query.
projection_views() {
	sql -v query="$projection_query" -v name="$1" -v count="$2" <<-'END' >/dev/null
		SELECT es_create_view(:'name' || '_' || i, :'query') FROM generate_series(1, :count) AS i;
		SELECT es_pause_projection(:'name' || '_' || i) FROM generate_series(1, :count) AS i;
	END
}

# The table of the baseline, empty.
projection_base_table() {
	sql -c 'SET client_min_messages = warning' -c 'DROP TABLE IF EXISTS base' -c "CREATE TABLE base $projection_table"
}

# Time of a command, as that of a slice.
projection_time() {
	local began=$EPOCHREALTIME

	"$@" >"$server_dir/projection.out" || die "$*: $(tail -n 3 "$server_dir/projection.out")"
	slice_seconds=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.6f", b - a }')
}

# Resumes projections and waits until they have worked off everything; a slice
# of so many calls. projection_work_off CALLS NAME...
projection_work_off() {
	local IFS=,

	slice_calls=$1
	shift
	projection_time sql -v names="{$*}" -f lib/projection_work_off.sql
}

# Waits until all projections have got all that is committed.
projection_catch_up() {
	[ "$(sql -c "SELECT es_wait(timeout => '10 min')")" = t ] || die "the projections do not catch up"
}

# Dies if a projection has failed, or a view is not what its query says.
projection_check() {
	local problems

	problems=$(sql -c "SELECT name, state, last_error FROM es_projections WHERE state IN ('failed', 'retrying') OR last_error IS NOT NULL" \
		-c "SELECT p.name, v.* FROM es_projections p, es_verify(p.name) v WHERE p.kind = 'view' AND p.name LIKE '${1:-%}' LIMIT 5")
	[ -z "$problems" ] || die "projections: $problems"
}
