#!/bin/bash
#
# psql.sh: event_store from psql, with its variables and prepared statements, and
# with \bind where psql has it.
#
set -euo pipefail

if ! command -v psql >/dev/null; then
	echo '1..0 # SKIP psql is not installed'
	exit 0
fi

database=client_psql
documents=$(dirname "$0")/documents.jsonl
count=$(wc -l <"$documents")
number=0
failed=0

run() {
	psql -X -A -t -q -d "$database" -v ON_ERROR_STOP=0 "$@"
}

# is NAME EXPECTED GOT
is() {
	number=$((number + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $number - $1"
	else
		failed=1
		echo "not ok $number - $1"
		printf 'expected:\n%s\ngot:\n%s\n' "$2" "$3" | sed 's/^/# /'
	fi
}

# Lines as the text of an array.
array() {
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&"/' | paste -s -d , | sed 's/.*/{&}/'
}

psql -X -q -v ON_ERROR_STOP=1 -c "DROP DATABASE IF EXISTS $database" -c "CREATE DATABASE $database" 2>/dev/null
run -c 'CREATE EXTENSION event_store'

types=$(seq "$count" | sed 's/^/Document/' | array)
data=$(array <"$documents")
ids=$(seq -f '00000000-0000-4000-8000-%012.0f' "$count" | array)

is 'es_append_batch with the parameters of a prepared statement' "$count" "$(run \
	-v types="$types" -v data="$data" -v ids="$ids" <<'SQL'
PREPARE append(text, text[], jsonb[], bigint, uuid[]) AS
	SELECT es_append_batch($1, $2, $3, expected_version => $4, event_ids => $5);
EXECUTE append('batch-1', :'types', :'data', 0, :'ids');
SQL
)"

is 'the same JSON comes back' "$(cat "$documents")" "$(run -c "SELECT data FROM es_read_stream('batch-1')")"

is 'es_append with variables' "1
2" "$(run -v stream="o'rder-1" -v data="$(tail -n 1 "$documents")" <<'SQL'
SELECT es_append(:'stream', 'Placed', :'data');
SELECT es_append(:'stream', 'Paid', :'data', '{"user_id": 1}', 1);
SQL
)"

is 'es_append_json with a variable' "$count" "$(run \
	-v events="[$(sed 's/.*/{"type": "E", "data": &}/' "$documents" | paste -s -d ,)]" <<'SQL'
SELECT es_append_json('json-1', :'events', 0);
SQL
)"

is 'the same JSON comes back from es_append_json' "$(cat "$documents")" "$(run -c "SELECT data FROM es_read_stream('json-1')")"

is 'a conflict is known by its SQLSTATE, and psql goes on' "PE001
wrong version of stream \"batch-1\": expected 1, found $count
$count" "$(run 2>/dev/null <<'SQL'
SELECT es_append('batch-1', 'E', '1', expected_version => 1);
\if :ERROR
\echo :SQLSTATE
\echo :LAST_ERROR_MESSAGE
\endif
SELECT es_stream_version('batch-1');
SQL
)"

is 'a retry gets the version of the first time' "$count
$count" "$(run -v types="$types" -v data="$data" -v ids="$ids" <<'SQL'
SELECT es_append_batch('batch-1', :'types', :'data', NULL, 0, :'ids');
SELECT es_stream_version('batch-1');
SQL
)"

is 'COPY from a file of JSON' "$count" "$(
	{
		echo "COPY es_events (stream_id, event_type, data) FROM stdin WITH (FORMAT csv);"
		sed -e 's/"/""/g' -e 's/.*/copy-1,Copied,"&"/' "$documents"
		echo '\.'
		echo "SELECT es_stream_version('copy-1');"
	} | run
)"

is 'the same JSON comes back from COPY' "$(cat "$documents")" "$(run -c "SELECT data FROM es_read_stream('copy-1')")"

if [ "$(psql --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')" -ge 16 ]; then
	is 'es_append_batch with parameters without a type' "$count" "$(run \
		-v types="$types" -v data="$data" -v ids="$ids" <<'SQL'
SELECT es_append_batch($1, $2, $3, expected_version => $4, event_ids => $5) \bind bind-1 :types :data 0 :ids \g
SQL
)"
	is 'the same JSON comes back from it' "$(cat "$documents")" "$(run -c "SELECT data FROM es_read_stream('bind-1')")"
fi

echo "1..$number"
exit "$failed"
