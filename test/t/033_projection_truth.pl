# The truth about views: while clients append in every way there is, while views are
# made, changed and rebuilt, and while workers, the sequencer and the server are
# killed, every view ends up with what its query gives: es_verify says so, and so
# does a query written by hand over the table of events and the ledger.
#
# ES_ROUNDS (4), ES_WRITERS (4) and ES_SEED make it longer, wider, and another one.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds  = $ENV{ES_ROUNDS}  // 4;
my $writers = $ENV{ES_WRITERS} // 4;
my $seed    = $ENV{ES_SEED}    // 1;
my $dir     = PostgreSQL::Test::Utils::tempdir;
diag("ES_SEED=$seed ES_ROUNDS=$rounds ES_WRITERS=$writers");

my $node = new_log_node('truth', conf => <<'CONF');
fsync = off
max_connections = 60
max_prepared_transactions = 60
event_store.projection_retry_time = '20ms'
event_store.projection_max_retries = 20
CONF
install_load_functions($node, 'postgres');
install_truth_functions($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA reporting;
CREATE SCHEMA "Odd ""Schema""";

-- What views look up. (One customer is not known, one has no segment.)
CREATE TABLE customers (id text PRIMARY KEY, city text, segment text);
INSERT INTO customers VALUES ('c1', 'Wien', 'big'), ('c2', 'Wien', 'small'), ('c3', 'Graz', NULL), ('c4', 'Linz', 'small'), ('c5', NULL, 'big');
CREATE TABLE articles (sku text, color text, weight numeric);
INSERT INTO articles VALUES ('s1', 'red', 1.5), ('s1', 'blue', 2), ('s2', 'red', 0.5), ('s3', NULL, 10), ('s4', 'green', NULL);

CREATE TYPE grade AS ENUM ('poor', 'fair', 'good');
CREATE FUNCTION grade_of(rating int) RETURNS grade LANGUAGE sql IMMUTABLE AS
	$$ SELECT CASE WHEN rating <= 2 THEN 'poor' WHEN rating <= 4 THEN 'fair' WHEN rating = 5 THEN 'good' END::grade $$;
SQL
log_is_caught_up($node, 'postgres', 'there is a sequencer');

# ---------------------------------------------------------------------------
# The views: a name, the query, other arguments of es_create_view, and the truth by
# hand over "log". Made at first unless "made" says otherwise: quiet (no client is
# there), during (while clients append), last.
# ---------------------------------------------------------------------------
my @views = (
	# ---- aggregates, by stream
	{
		name  => 'balance',
		query => <<'SQL',
SELECT stream_id AS account, sum((data->>'amount')::numeric) AS balance, count(*) AS entries
FROM es_log WHERE event_type IN ('MoneyDeposited', 'MoneyWithdrawn') GROUP BY stream_id
SQL
		truth => <<'SQL',
SELECT DISTINCT stream_id AS account, sum((data->>'amount')::numeric) OVER s AS balance, count(*) OVER s AS entries
FROM log WHERE event_type ~ '^Money' WINDOW s AS (PARTITION BY stream_id)
SQL
		mutant => 'balance = balance + 0.01',
	},
	{
		name  => 'flow',
		query => <<'SQL',
SELECT tenant_id, stream_id,
	sum((data->>'amount')::numeric) FILTER (WHERE event_type = 'MoneyDeposited') AS paid_in,
	sum((data->>'amount')::numeric) FILTER (WHERE event_type = 'MoneyWithdrawn') AS paid_out,
	coalesce(sum((data->>'amount')::numeric) FILTER (WHERE event_type = 'MoneyDeposited'), 0)
		- coalesce(sum((data->>'amount')::numeric) FILTER (WHERE event_type = 'MoneyWithdrawn'), 0) AS balance,
	count(*) FILTER (WHERE event_type = 'AccountRenamed') AS renamed,
	count(data->>'channel') AS with_channel
FROM es_log WHERE stream_id LIKE 'account-%' GROUP BY tenant_id, stream_id
SQL
		truth => <<'SQL',
SELECT tenant_id, stream_id, paid_in, paid_out, coalesce(paid_in, 0) - coalesce(paid_out, 0) AS balance, renamed, with_channel
FROM (SELECT tenant_id, stream_id,
		sum(CASE WHEN event_type = 'MoneyDeposited' THEN (data->>'amount')::numeric END) AS paid_in,
		sum(CASE WHEN event_type = 'MoneyWithdrawn' THEN (data->>'amount')::numeric END) AS paid_out,
		sum((event_type = 'AccountRenamed')::int) AS renamed,
		sum((data->>'channel' IS NOT NULL)::int) AS with_channel
	FROM log WHERE split_part(stream_id, '-', 1) = 'account' GROUP BY 1, 2) s
SQL
		mutant => 'renamed = renamed + 1',
	},

	# ---- keys that are NULL, several keys, averages
	{
		name  => 'regions',
		with  => 'partitions => 3',
		query => <<'SQL',
SELECT data->>'region' AS region, avg((data->>'fare')::numeric) AS fare, count(data->>'rating') AS ratings, count(*) AS trips,
	sum((data->>'rating')::int) AS stars, min((data->>'fare')::numeric) AS least, max((data->>'fare')::numeric) AS most,
	es_count_if(event_type = 'TripCancelled') AS cancelled, es_count_if((data->>'rating')::int > 3) AS good
FROM es_log WHERE event_type LIKE 'Trip%' GROUP BY data->>'region'
SQL
		truth => <<'SQL',
SELECT region, sum(fare) / nullif(count(fare), 0) AS fare, count(*) - count(*) FILTER (WHERE rating IS NULL) AS ratings, count(*) AS trips,
	sum(rating) AS stars, (array_agg(fare ORDER BY fare))[1] AS least, (array_agg(fare ORDER BY fare DESC NULLS LAST))[1] AS most,
	count(*) FILTER (WHERE event_type = 'TripCancelled') AS cancelled, count(*) FILTER (WHERE rating IN (4, 5)) AS good
FROM (SELECT *, data->>'region' AS region, (data->>'fare')::numeric AS fare, (data->>'rating')::int AS rating FROM log) l
WHERE event_type IN ('TripCompleted', 'TripCancelled') GROUP BY region
SQL
		mutant => 'fare = fare + 1',
	},
	{
		name  => 'drivers',
		query => <<'SQL',
SELECT data->>'driver' AS driver, data->>'region' AS region,
	avg((data->>'km')::numeric) AS mean_km, sum((data->>'km')::numeric) AS km, min((data->>'km')::float8) AS least, max((data->>'km')::float4) AS most,
	avg((data->>'seconds')::int) AS mean_seconds, sum((data->>'seconds')::bigint) AS seconds, avg((data->>'rating')::smallint) AS rating, sum((data->>'rating')::smallint) AS stars,
	sum(make_interval(secs => (data->>'seconds')::int)) AS duration, max(make_interval(secs => (data->>'seconds')::int)) AS longest
FROM es_log WHERE event_type = 'TripCompleted' GROUP BY data->>'driver', data->>'region'
SQL
		truth => <<'SQL',
SELECT d->>'driver' AS driver, d->>'region' AS region,
	sum(km) / count(km) AS mean_km, sum(km) AS km, min(km)::float8 AS least, max(km)::float4 AS most,
	sum((d->>'seconds')::numeric) / count(*) AS mean_seconds, sum((d->>'seconds')::numeric) AS seconds,
	sum((d->>'rating')::numeric) / nullif(count(d->>'rating'), 0) AS rating, sum((d->>'rating')::int) AS stars,
	make_interval(secs => sum((d->>'seconds')::int)) AS duration, make_interval(secs => max((d->>'seconds')::int)) AS longest
FROM (SELECT data AS d, (data->>'km')::numeric AS km FROM log WHERE event_type = 'TripCompleted') l GROUP BY 1, 2
SQL
		mutant => 'km = km + 0.25',
	},
	{
		name  => 'jsonb_key',
		query => <<'SQL',
SELECT data->'customer' AS customer, (data->>'express')::boolean AS express, count(*) AS orders, avg((data->>'total')::numeric)::numeric(12,2) AS mean
FROM es_log WHERE event_type = 'OrderPlaced' GROUP BY data->'customer', (data->>'express')::boolean
SQL
		truth => <<'SQL',
SELECT customer, express, count(*) AS orders, round(sum(total) / count(total), 2)::numeric(12,2) AS mean
FROM (SELECT data->'customer' AS customer, CASE data->>'express' WHEN 'true' THEN true WHEN 'false' THEN false END AS express, (data->>'total')::numeric AS total
	FROM log WHERE event_type = 'OrderPlaced') o GROUP BY 1, 2
SQL
	},
	{
		name  => 'numeric_key',
		query => <<'SQL',
SELECT (data->>'rating')::numeric + 0.50 AS r, (data->>'region')::varchar(3) AS short, count(*) AS n FROM es_log GROUP BY 1, 2
SQL
		truth => <<'SQL',
SELECT ((data->>'rating')::int + 1.5) - 1 AS r, left(data->>'region', 3)::varchar(3) AS short, count(position) AS n FROM log GROUP BY 1, 2
SQL
		mutant => 'n = n - 1',
	},

	# ---- min and max of other types, booleans, the first and the last
	{
		name  => 'extremes',
		query => <<'SQL',
SELECT event_type, min(stream_id) AS first_stream, max(data->>'by') AS by, min((data->>'due')::timestamptz) AS due_first, max((data->>'due')::timestamptz) AS due_last,
	max((data->>'due')::timestamptz::date) AS due_day, min(recorded_at) AS since, max(grade_of((data->>'rating')::int)) AS grade, min(version) AS version,
	max((data->>'due')::timestamptz) - min((data->>'due')::timestamptz) AS span, greatest(max(version), 10) AS ten
FROM es_log GROUP BY event_type
SQL
		truth => <<'SQL',
SELECT event_type, (array_agg(stream_id ORDER BY stream_id))[1] AS first_stream, (array_agg(data->>'by' ORDER BY (data->>'by') COLLATE "C" DESC NULLS LAST))[1] AS by,
	(array_agg(due ORDER BY due NULLS LAST))[1] AS due_first, (array_agg(due ORDER BY due DESC NULLS LAST))[1] AS due_last, max(due)::date AS due_day,
	(array_agg(recorded_at ORDER BY recorded_at))[1] AS since, max(grade_of((data->>'rating')::int)) AS grade, min(version) AS version,
	max(due) - min(due) AS span, CASE WHEN max(version) > 10 THEN max(version) ELSE 10 END AS ten
FROM (SELECT *, (data->>'due')::timestamptz AS due FROM log) l GROUP BY event_type
SQL
	},
	{
		name  => 'booleans',
		query => <<'SQL',
SELECT data->>'customer' AS customer, bool_and((data->>'express')::boolean) AS all_express, bool_or((data->>'express')::boolean) AS any_express,
	every((data->>'total')::numeric > 1) AS not_cheap, bool_or(version > 5) FILTER (WHERE data->>'express' = 'true') AS late_express,
	bool_and((data->>'express')::boolean) IS NOT FALSE AND count(*) > 3 AS loved
FROM es_log WHERE event_type = 'OrderPlaced' GROUP BY data->>'customer'
SQL
		truth => <<'SQL',
SELECT customer, CASE WHEN no > 0 THEN false WHEN yes > 0 THEN true END AS all_express, CASE WHEN yes > 0 THEN true WHEN no > 0 THEN false END AS any_express,
	cheap = 0 AS not_cheap, late AS late_express, no = 0 AND n > 3 AS loved
FROM (SELECT data->>'customer' AS customer, count(*) FILTER (WHERE data->'express' = 'true') AS yes, count(*) FILTER (WHERE data->'express' = 'false') AS no,
		count(*) FILTER (WHERE (data->>'total')::numeric <= 1) AS cheap, max((version > 5)::int) FILTER (WHERE data->'express' = 'true')::boolean AS late, count(*) AS n
	FROM log WHERE event_type = 'OrderPlaced' GROUP BY 1) c
SQL
		mutant => 'not_cheap = NOT not_cheap',
	},
	{
		name  => 'order_state',
		query => <<'SQL',
SELECT tenant_id, stream_id, es_last(event_type) AS state, es_first(data->>'customer') AS first_customer, es_last(data->>'customer') AS last_customer,
	es_last(data->>'reason') AS reason, es_first(version) FILTER (WHERE event_type = 'OrderPaid') AS paid_at, es_last((data->>'total')::numeric) AS total,
	CASE es_last(event_type) WHEN 'OrderCancelled' THEN 'closed' WHEN 'OrderShipped' THEN 'closed' ELSE 'open' END AS status
FROM es_log WHERE stream_id LIKE 'order-%' GROUP BY tenant_id, stream_id
SQL
		truth => <<'SQL',
SELECT tenant_id, stream_id,
	(array_agg(event_type ORDER BY position DESC))[1] AS state,
	(array_agg(data->>'customer' ORDER BY position) FILTER (WHERE data->>'customer' IS NOT NULL))[1] AS first_customer,
	(array_agg(data->>'customer' ORDER BY position DESC) FILTER (WHERE data->>'customer' IS NOT NULL))[1] AS last_customer,
	(array_agg(data->>'reason' ORDER BY position DESC) FILTER (WHERE data->>'reason' IS NOT NULL))[1] AS reason,
	min(version) FILTER (WHERE event_type = 'OrderPaid') AS paid_at,
	(array_agg((data->>'total')::numeric ORDER BY position DESC) FILTER (WHERE data->>'total' IS NOT NULL))[1] AS total,
	CASE WHEN (array_agg(event_type ORDER BY position DESC))[1] IN ('OrderCancelled', 'OrderShipped') THEN 'closed' ELSE 'open' END AS status
FROM log WHERE stream_id LIKE 'order-%' GROUP BY tenant_id, stream_id
SQL
	},
	{
		name  => 'first_and_last',
		with  => 'batch_size => 17',
		query => <<'SQL',
SELECT event_type, es_first(stream_id, position) AS first, es_last(data->>'by', position) AS last_by, es_last(stream_id) AS latest, es_first(recorded_at) AS since, es_count_if(version = 1) AS openings
FROM es_log GROUP BY event_type
SQL
		truth => <<'SQL',
SELECT event_type, (array_agg(stream_id ORDER BY position))[1] AS first,
	(array_agg(data->>'by' ORDER BY position DESC) FILTER (WHERE data->>'by' IS NOT NULL))[1] AS last_by,
	(array_agg(stream_id ORDER BY position DESC))[1] AS latest, (array_agg(recorded_at ORDER BY position))[1] AS since, count(*) FILTER (WHERE version = 1) AS openings
FROM log GROUP BY event_type
SQL
	},

	# ---- collecting aggregates
	{
		name  => 'history',
		with  => 'partitions => 3',
		query => <<'SQL',
SELECT tenant_id, stream_id, array_agg(version) AS versions, array_agg(data->>'channel') AS channels, array_agg(event_type) FILTER (WHERE version % 2 = 0) AS even,
	string_agg(left(event_type, 1), '') AS letters, string_agg(data->>'name', ', ') AS names
FROM es_log WHERE es_category(stream_id) = 'account' GROUP BY tenant_id, stream_id
SQL
		truth => <<'SQL',
SELECT tenant_id, stream_id, array_agg(version ORDER BY version) AS versions, array_agg(data->>'channel' ORDER BY version) AS channels,
	array_agg(event_type ORDER BY version) FILTER (WHERE version % 2 = 0) AS even,
	string_agg(left(event_type, 1), '' ORDER BY version) AS letters, string_agg(data->>'name', ', ' ORDER BY version) AS names
FROM log WHERE stream_id LIKE 'account-%' GROUP BY tenant_id, stream_id
SQL
		mutant => "letters = letters || '!'",
	},
	{
		name  => 'documents',
		query => <<'SQL',
SELECT data->>'region' AS region, jsonb_agg(data->'rating') AS ratings, jsonb_object_agg(coalesce(data->>'driver', '?'), data->'km') AS last_km,
	jsonb_agg(jsonb_build_object('s', stream_id, 'v', version)) FILTER (WHERE data->>'rating' = '5') AS best,
	jsonb_array_length(jsonb_agg(data->'rating')) AS n
FROM es_log WHERE event_type = 'TripCompleted' GROUP BY data->>'region'
SQL
		truth => <<'SQL',
SELECT region, jsonb_agg(data->'rating' ORDER BY position) AS ratings,
	(SELECT jsonb_object_agg(driver, km) FROM (
		SELECT DISTINCT ON (coalesce(k.data->>'driver', '?')) coalesce(k.data->>'driver', '?') AS driver, k.data->'km' AS km
		FROM log k WHERE k.event_type = 'TripCompleted' AND k.data->>'region' IS NOT DISTINCT FROM l.region
		ORDER BY coalesce(k.data->>'driver', '?'), k.position DESC) d) AS last_km,
	jsonb_agg(jsonb_build_object('s', stream_id, 'v', version) ORDER BY position) FILTER (WHERE data->>'rating' = '5') AS best,
	count(*)::int AS n
FROM (SELECT *, data->>'region' AS region FROM log WHERE event_type = 'TripCompleted') l GROUP BY region
SQL
	},

	# ---- the lines of an order
	{
		name  => 'order_lines',
		query => <<'SQL',
SELECT stream_id AS order_id, version, n AS line, line->>'sku' AS sku, (line->>'qty')::int AS qty, (line->>'price')::numeric AS price
FROM es_log, LATERAL jsonb_array_elements(data->'lines') WITH ORDINALITY AS lines(line, n) WHERE event_type = 'OrderPlaced'
SQL
		truth => <<'SQL',
SELECT stream_id AS order_id, version, n AS line, data #>> ARRAY['lines', (n - 1)::text, 'sku'] AS sku,
	(data #>> ARRAY['lines', (n - 1)::text, 'qty'])::int AS qty, (data #>> ARRAY['lines', (n - 1)::text, 'price'])::numeric AS price
FROM log, generate_series(1::bigint, 3) n WHERE event_type = 'OrderPlaced' AND jsonb_array_length(data->'lines') >= n
SQL
		mutant => 'qty = qty + 1',
	},
	{
		name  => 'sku_sales',
		with  => 'partitions => 3',
		query => <<'SQL',
SELECT l.sku, sum(l.qty * l.price) AS revenue, sum(l.qty) AS pieces, count(*) FILTER (WHERE l.gift) AS gifts, count(*) AS lines, sum(l.qty * l.price) / sum(l.qty) AS mean_price
FROM es_log e CROSS JOIN LATERAL jsonb_to_recordset(e.data->'lines') AS l(sku text, qty int, price numeric, gift boolean)
WHERE e.event_type = 'OrderPlaced' GROUP BY l.sku
SQL
		truth => <<'SQL',
SELECT sku, revenue, pieces, gifts, lines, revenue / pieces AS mean_price
FROM (SELECT line->>'sku' AS sku, sum((line->>'qty')::int * (line->>'price')::numeric) AS revenue, sum((line->>'qty')::int) AS pieces,
		count(*) FILTER (WHERE line->>'gift' = 'true') AS gifts, count(*) AS lines
	FROM log, jsonb_path_query(data, '$.lines[*]') line GROUP BY 1) s
SQL
		mutant => 'revenue = -revenue',
	},
	{
		name  => 'order_skus',
		query => <<'SQL',
SELECT stream_id, array_agg(line->>'sku') AS skus, max((line->>'qty')::int) AS most, count(line) AS lines, count(*) AS rows
FROM es_log LEFT JOIN LATERAL jsonb_array_elements(data->'lines') AS line ON true WHERE event_type = 'OrderPlaced' GROUP BY stream_id
SQL
		truth => <<'SQL',
SELECT stream_id, array_agg(line->>'sku' ORDER BY position, n) AS skus, max((line->>'qty')::int) AS most, count(line) AS lines, count(*) AS rows
FROM log LEFT JOIN jsonb_array_elements(data->'lines') WITH ORDINALITY AS l(line, n) ON true WHERE event_type = 'OrderPlaced' GROUP BY stream_id
SQL
	},
	{
		name  => 'records',
		query => <<'SQL',
SELECT e.stream_id, e.version, t.fare, t.region, t.rating FROM es_log e, jsonb_to_record(e.data) AS t(fare numeric(8,2), region text, rating int) WHERE e.event_type = 'TripCompleted'
SQL
		truth => <<'SQL',
SELECT stream_id, version, (data->>'fare')::numeric(8,2) AS fare, data->>'region' AS region, (data->>'rating')::int AS rating FROM log WHERE event_type = 'TripCompleted'
SQL
	},

	# ---- looking things up
	{
		name  => 'city_sales',
		query => <<'SQL',
SELECT c.city, sum((e.data->>'total')::numeric) AS total, count(*) AS orders FROM es_log e JOIN customers c ON c.id = e.data->>'customer'
WHERE e.event_type = 'OrderPlaced' GROUP BY c.city
SQL
		truth => <<'SQL',
SELECT city, sum(total) AS total, count(total) AS orders
FROM (SELECT (SELECT city FROM customers WHERE id = data->>'customer') AS city, (data->>'total')::numeric AS total FROM log
	WHERE event_type = 'OrderPlaced' AND data->>'customer' IN ('c1', 'c2', 'c3', 'c4', 'c5')) o GROUP BY city
SQL
	},
	{
		name  => 'segment_sales',
		query => <<'SQL',
SELECT coalesce(c.segment, '(none)') AS segment, c.id IS NULL AS unknown, count(*) AS orders, count(c.city) AS with_city, max(c.city) AS city
FROM es_log e LEFT JOIN customers c ON c.id = e.data->>'customer' WHERE e.event_type = 'OrderPlaced' GROUP BY coalesce(c.segment, '(none)'), c.id IS NULL
SQL
		truth => <<'SQL',
SELECT CASE WHEN k IN ('c1', 'c5') THEN 'big' WHEN k IN ('c2', 'c4') THEN 'small' ELSE '(none)' END AS segment, coalesce(k NOT IN ('c1', 'c2', 'c3', 'c4', 'c5'), true) AS unknown,
	count(*) AS orders, count(*) FILTER (WHERE k IN ('c1', 'c2', 'c3', 'c4')) AS with_city,
	max(CASE k WHEN 'c1' THEN 'Wien' WHEN 'c2' THEN 'Wien' WHEN 'c3' THEN 'Graz' WHEN 'c4' THEN 'Linz' END) AS city
FROM (SELECT data->>'customer' AS k FROM log WHERE event_type = 'OrderPlaced') o GROUP BY 1, 2
SQL
	},
	{
		name  => 'line_colors',
		query => <<'SQL',
SELECT e.stream_id, e.version, l.sku, a.color, l.qty * a.weight AS weight
FROM es_log e CROSS JOIN LATERAL jsonb_to_recordset(e.data->'lines') AS l(sku text, qty int) LEFT JOIN articles a USING (sku) WHERE e.event_type = 'OrderPlaced'
SQL
		truth => <<'SQL',
SELECT stream_id, version, line->>'sku' AS sku, color, (line->>'qty')::int * weight AS weight
FROM log, jsonb_path_query(data, '$.lines[*]') line LEFT JOIN articles ON sku = line->>'sku' WHERE event_type = 'OrderPlaced'
SQL
	},

	# ---- days
	{
		name  => 'days',
		with  => 'partitions => 3',
		query => <<'SQL',
SELECT date_trunc('day', (data->>'due')::timestamptz) AS day, date_part('hour', (data->>'due')::timestamptz)::int / 6 AS quarter, event_type,
	count(*) AS events, sum(coalesce((data->>'amount')::numeric, 0)) AS amount
FROM es_log WHERE data ? 'due' GROUP BY 1, 2, 3
SQL
		truth => <<'SQL',
SELECT due::date::timestamptz AS day, extract(hour FROM due)::int / 6 AS quarter, event_type, count(*) AS events, coalesce(sum(amount), 0) AS amount
FROM (SELECT (data->>'due')::timestamptz AS due, event_type, (data->>'amount')::numeric AS amount FROM log) l WHERE due IS NOT NULL GROUP BY 1, 2, 3
SQL
		mutant => 'amount = amount + 1',
	},
	{
		name  => 'recorded',
		query => q{SELECT date_trunc('minute', recorded_at) AS minute, date_trunc('hour', committed_at) AS hour, count(*) AS n FROM es_log GROUP BY 1, 2},
		truth => q{SELECT to_timestamp(floor(extract(epoch FROM recorded_at) / 60) * 60) AS minute, date_trunc('hour', committed_at) AS hour, count(*) AS n FROM log GROUP BY 1, 2},
	},

	# ---- without aggregates, without GROUP BY
	{
		name  => 'plain',
		query => q{SELECT stream_id, version, event_type AS "type", data->>'by' AS by FROM es_log WHERE event_type <> 'Cursor'},
		truth => q{SELECT stream_id, version, event_type AS "type", data->>'by' AS by FROM log WHERE NOT event_type = 'Cursor'},
		mutant => q{by = 'nobody'},
	},
	{
		name  => 'whole_rows',
		query => 'SELECT * FROM es_log',
		truth => 'SELECT position, committed_at, tenant_id, stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal, piece FROM log',
	},
	{
		name  => 'doubles',
		query => q{SELECT event_type, data->>'customer' AS customer, version % 3 = 0 AS third FROM es_log WHERE stream_id LIKE 'order-%'},
		truth => q{SELECT event_type, data->>'customer' AS customer, version % 3 = 0 AS third FROM log WHERE stream_id ~ '^order-'},
	},
	{
		name  => 'total',
		query => <<'SQL',
SELECT count(*) AS events, sum((data->>'amount')::numeric) AS amount, avg((data->>'total')::numeric) AS mean, max(recorded_at) AS latest, bool_or(event_type = 'Never') AS never,
	es_last(stream_id) AS last_stream, max(position) AS last_position, 100 * count(*) FILTER (WHERE event_type = 'OrderPaid') / nullif(count(*), 0) AS paid
FROM es_log
SQL
		truth => <<'SQL',
SELECT max(n) AS events, sum((data->>'amount')::numeric) AS amount, sum((data->>'total')::numeric) / nullif(count(data->>'total'), 0) AS mean, max(recorded_at) AS latest,
	count(*) FILTER (WHERE event_type = 'Never') > 0 AS never, max(stream_id) FILTER (WHERE position = last) AS last_stream, max(last) AS last_position,
	100 * count(*) FILTER (WHERE event_type = 'OrderPaid') / nullif(count(*), 0) AS paid
FROM (SELECT *, count(*) OVER () AS n, max(position) OVER () AS last FROM log) l
SQL
		mutant  => 'events = events + 1',
	},
	{
		name  => 'nothing',
		query => q{SELECT count(*) AS n, sum(version) AS versions, max(stream_id) AS s FROM es_log WHERE event_type = 'Never'},
		truth => q{SELECT 0::bigint AS n, NULL::numeric AS versions, NULL::text COLLATE "C" AS s},
		mutant => 'n = 1',
	},
	{
		name  => 'buyers',
		query => q{SELECT data->>'customer' AS customer, es_category(stream_id) AS category FROM es_log GROUP BY data->>'customer', es_category(stream_id)},
		truth => q{SELECT DISTINCT data->>'customer' AS customer, split_part(stream_id, '-', 1) AS category FROM log},
	},

	# ---- expressions over aggregates
	{
		name  => 'expressions',
		query => <<'SQL',
SELECT upper(event_type) AS event_type, 'n=' || count(*)::text AS n, (sum(version) / count(*))::int AS mean,
	CASE WHEN count(*) > 100 THEN 'many' WHEN count(*) > 10 THEN 'some' ELSE 'few' END AS size,
	coalesce(round(avg((data->>'amount')::numeric), 2), -1) AS amount, jsonb_build_object('max', max(version), 'min', min(version)) AS doc,
	ARRAY[min(stream_id), max(stream_id)] AS streams, count(*) FILTER (WHERE version > 10)::numeric / count(*) AS late,
	length(upper(event_type)) + count(*) AS odd
FROM es_log GROUP BY upper(event_type)
SQL
		truth => <<'SQL',
SELECT t AS event_type, format('n=%s', n) AS n, (versions / n)::int AS mean, (ARRAY['few', 'some', 'many'])[1 + (n > 10)::int + (n > 100)::int] AS size,
	CASE WHEN amounts = 0 THEN -1 ELSE round(amount / amounts, 2) END AS amount, format('{"min": %s, "max": %s}', lowest, highest)::jsonb AS doc,
	ARRAY[a, z] AS streams, late::numeric / n AS late, char_length(t) + n AS odd
FROM (SELECT upper(event_type) AS t, count(*) AS n, sum(version) AS versions, sum((data->>'amount')::numeric) AS amount,
		count(data->>'amount') AS amounts, min(version) AS lowest, max(version) AS highest, min(stream_id) AS a, max(stream_id) AS z, sum((version > 10)::int) AS late
	FROM log GROUP BY 1) g
SQL
	},
	{
		name  => 'quota',
		query => <<'SQL',
SELECT stream_id, count(*) FILTER (WHERE event_type = 'OrderPaid') >= count(*) FILTER (WHERE event_type = 'OrderPlaced') AS settled,
	sum((data->>'total')::numeric) / nullif(count(data->>'total'), 0) AS mean, sum((data->>'amount')::numeric) IS NULL AS unpaid
FROM es_log WHERE es_category(stream_id) = 'order' GROUP BY stream_id
SQL
		truth => <<'SQL',
SELECT stream_id, sum(CASE event_type WHEN 'OrderPaid' THEN 1 WHEN 'OrderPlaced' THEN -1 ELSE 0 END) >= 0 AS settled, avg((data->>'total')::numeric) AS mean, count(data->'amount') = 0 AS unpaid
FROM log WHERE stream_id LIKE 'order-%' GROUP BY stream_id
SQL
		mutant => 'settled = NOT settled',
	},

	# ---- names
	{
		name  => 'reporting.by_type',
		query => 'SELECT tenant_id, event_type, count(*) AS n, max(version) AS version FROM es_log GROUP BY tenant_id, event_type',
		truth => 'SELECT tenant_id, event_type, count(*) AS n, max(version) AS version FROM log GROUP BY 1, 2',
		mutant => 'version = version + 1',
	},
	{
		name  => '"Odd ""Schema"""."My View"',
		query => q{SELECT data->>'region' AS "Region; --", count(*) AS "Number %", avg((data->>'fare')::numeric) AS "a ""mean""", 'it''s' || max(stream_id) AS "select" FROM es_log AS "Log" GROUP BY data->>'region'},
		truth => q{SELECT data->>'region' AS "Region; --", count(*) AS "Number %", avg((data->>'fare')::numeric) AS "a ""mean""", 'it''s' || max(stream_id) AS "select" FROM log GROUP BY 1},
		mutant => '"Number %" = 0',
	},

	# ---- filters
	{
		name  => 'of_category',
		with  => q{categories => '{account,trip}'},
		query => 'SELECT es_category(stream_id) AS category, count(*) AS n, sum(version) AS versions FROM es_log GROUP BY 1',
		truth => q{SELECT split_part(stream_id, '-', 1) AS category, count(*) AS n, sum(version) AS versions FROM log WHERE stream_id !~ '^order-' GROUP BY 1},
		mutant => 'n = n - 1',
	},
	{
		name  => 'of_type',
		with  => q{event_types => '{OrderPaid,Exceptions}'},
		query => q{SELECT stream_id, count(*) AS n, es_last(event_type) AS last FROM es_log GROUP BY stream_id},
		truth => q{SELECT stream_id, count(*) AS n, (array_agg(event_type ORDER BY position DESC))[1] AS last FROM log WHERE event_type IN ('OrderPaid', 'Exceptions') GROUP BY stream_id},
	},
	{
		name  => 'of_tenant',
		with  => q{tenants => '{acme}'},
		query => q{SELECT event_type, count(*) AS n FROM es_log GROUP BY event_type},
		truth => q{SELECT event_type, count(*) AS n FROM log WHERE tenant_id = 'acme' GROUP BY event_type},
		mutant => 'n = n + 1',
	},
	{
		name  => 'of_all',
		with  => q{categories => '{order,account}', event_types => '{OrderPlaced,MoneyDeposited,TripCompleted}', tenants => ARRAY['', 'other'], partitions => 3, batch_size => 50},
		query => q{SELECT event_type, count(*) AS n, sum((data->>'amount')::numeric) AS amount FROM es_log GROUP BY event_type},
		truth => q{SELECT event_type, count(*) AS n, sum((data->>'amount')::numeric) AS amount FROM log WHERE tenant_id = '' AND event_type IN ('OrderPlaced', 'MoneyDeposited') GROUP BY event_type},
	},

	# ---- in the transaction that appends
	{
		name  => 'inline_balance',
		with  => q{mode => 'inline'},
		query => <<'SQL',
SELECT tenant_id, stream_id, sum((data->>'amount')::numeric) AS amount, avg((data->>'amount')::numeric) AS mean, count(*) AS n, max(version) AS version, es_last(event_type) AS last
FROM es_log WHERE stream_id LIKE 'account-%' GROUP BY tenant_id, stream_id
SQL
		truth => <<'SQL',
SELECT tenant_id, stream_id, sum((data->>'amount')::numeric) AS amount, avg((data->>'amount')::numeric) AS mean, count(*) AS n, max(version) AS version,
	(array_agg(event_type ORDER BY version DESC))[1] AS last
FROM log WHERE stream_id LIKE 'account-%' GROUP BY tenant_id, stream_id
SQL
		mutant => 'n = n + 1',
	},
	{
		name  => 'inline_lines',
		with  => q{mode => 'inline', event_types => '{OrderPlaced}'},
		query => q{SELECT stream_id, version, line->>'sku' AS sku FROM es_log, jsonb_array_elements(data->'lines') line},
		truth => q{SELECT stream_id, version, line->>'sku' AS sku FROM log, jsonb_path_query(data, '$.lines[*]') line WHERE event_type = 'OrderPlaced'},
	},
	{
		name  => 'inline_total',
		with  => q{mode => 'inline', event_types => '{AccountRenamed}'},
		query => q{SELECT count(*) AS n, count(data->>'name') AS named FROM es_log},
		truth => q{SELECT count(*) AS n, count(data->>'name') AS named FROM log WHERE event_type = 'AccountRenamed'},
		mutant => 'named = -1',
	},

	# ---- made while clients append, and afterwards
	{
		name  => 'made_during',
		made  => 'during',
		query => q{SELECT stream_id, count(*) AS n, sum(version) AS versions, string_agg(event_type, ',') AS types FROM es_log GROUP BY stream_id},
		truth => q{SELECT stream_id, count(*) AS n, sum(version) AS versions, string_agg(event_type, ',' ORDER BY position) AS types FROM log GROUP BY stream_id},
		mutant => 'n = n + 1',
	},
	{
		name  => 'made_during_plain',
		made  => 'during',
		with  => 'partitions => 3',
		query => 'SELECT stream_id, version, position FROM es_log',
		truth => 'SELECT stream_id, version, position FROM log',
	},
	{
		name  => 'made_during_inline',
		made  => 'during',
		with  => q{mode => 'inline', categories => '{trip}'},
		query => q{SELECT tenant_id, stream_id, count(*) AS n, avg((data->>'fare')::numeric) AS fare FROM es_log GROUP BY tenant_id, stream_id},
		truth => q{SELECT tenant_id, stream_id, count(*) AS n, avg((data->>'fare')::numeric) AS fare FROM log WHERE stream_id LIKE 'trip-%' GROUP BY tenant_id, stream_id},
		mutant => 'fare = 0',
	},
	{
		name  => 'from_now',
		made  => 'during',
		with  => 'after_position => NULL',
		query => q{SELECT event_type, count(*) AS n, avg((data->>'fare')::numeric) AS fare FROM es_log GROUP BY event_type},
		truth => q{SELECT event_type, count(*) AS n, avg((data->>'fare')::numeric) AS fare FROM log GROUP BY event_type},
		mutant => 'n = n + 1',
	},
	{
		name  => 'from_the_middle',
		made  => 'quiet',
		with  => 'after_position => :middle',
		query => q{SELECT stream_id, array_agg(version) AS versions FROM es_log GROUP BY stream_id},
		truth => q{SELECT stream_id, array_agg(version ORDER BY position) AS versions FROM log GROUP BY stream_id},
	},
	{
		name  => 'from_the_middle_inline',
		made  => 'quiet',
		with  => q{after_position => :middle, mode => 'inline'},
		query => q{SELECT tenant_id, stream_id, count(*) AS n FROM es_log GROUP BY tenant_id, stream_id},
		truth => q{SELECT tenant_id, stream_id, count(*) AS n FROM log GROUP BY tenant_id, stream_id},
	},
	{
		name  => 'changing',
		query => q{SELECT tenant_id, stream_id, count(*) AS n, sum(version) AS versions, avg((data->>'amount')::numeric) AS mean FROM es_log GROUP BY tenant_id, stream_id},
		truth => q{SELECT tenant_id, stream_id, count(*) AS n, sum(version) AS versions, avg((data->>'amount')::numeric) AS mean FROM log GROUP BY tenant_id, stream_id},
		mutant => 'versions = versions + 1',
	},
	{
		name  => 'last_of_all',
		made  => 'last',
		query => q{SELECT es_category(stream_id) AS category, tenant_id, avg(version) AS mean, count(*) AS n, jsonb_object_agg(event_type, version) AS latest FROM es_log GROUP BY 1, 2},
		truth => <<'SQL',
SELECT category, tenant_id, sum(version) / count(*) AS mean, count(*) AS n,
	(SELECT jsonb_object_agg(event_type, version) FROM (SELECT DISTINCT ON (event_type) event_type, version FROM log k
		WHERE split_part(k.stream_id, '-', 1) = l.category AND k.tenant_id = l.tenant_id ORDER BY event_type, position DESC) d) AS latest
FROM (SELECT *, split_part(stream_id, '-', 1) AS category FROM log) l GROUP BY category, tenant_id
SQL
		mutant => 'n = n + 1',
	});

# ---------------------------------------------------------------------------
# Making them
# ---------------------------------------------------------------------------
my @made;

sub quoted
{
	my ($text) = @_;
	return "'" . $text =~ s/'/''/gr . "'";
}

# Makes a view; where it begins is what its first checkpoint says.
sub make
{
	my ($view) = @_;
	my $middle = $node->safe_psql('postgres', 'SELECT es_head_position() / 2');
	my $with   = ($view->{with} // '') =~ s/:middle/$middle/r;
	my $from_now = $with =~ /after_position => NULL/;

	$view->{after} = $middle if ($view->{with} // '') =~ /:middle/;
	my $outcome = outcome($node, 'postgres', sprintf("BEGIN; SELECT es_create_view(%s, %s%s); %s COMMIT",
			quoted($view->{name}), quoted($view->{query}), $with ? ", $with" : '',
			$from_now ? 'SELECT max(c.position) FROM es_checkpoints c JOIN es_projection_definitions d ON d.id = c.projection_id WHERE d.name = ' . quoted($view->{name}) . ';' : ''));
	like($outcome, qr/^ok /, "$view->{name} is made") or return;
	if ($from_now)
	{
		($view->{after}) = $outcome =~ /\n(\d+)$/ or die "no checkpoint: $outcome";
	}
	push @made, $view;
	return;
}

sub make_all
{
	my ($when) = @_;
	make($_) for grep { ($_->{made} // 'at first') eq $when } @views;
	return;
}

# ---------------------------------------------------------------------------
# What happens meanwhile. Nothing of it may fail, but for deadlocks.
# ---------------------------------------------------------------------------
my @refused;

sub calls
{
	my ($sql) = @_;
	my $outcome = outcome($node, 'postgres', $sql);
	push @refused, "$sql: $outcome" unless $outcome =~ /^(?:ok|40P01)/;
	return;
}

sub some_async
{
	my @async = map { quoted($_->{name}) } grep { ($_->{with} // '') !~ /inline/ && $_->{name} ne 'changing' } @made;
	return $async[ rand @async ];
}

sub set
{
	my (@settings) = @_;
	$node->append_conf('postgresql.conf', join("\n", @settings));
	$node->reload;
	return;
}

my @disturbances = (
	[ 'workers terminated'    => sub { kill 'TERM', $_ for projection_pids($node, 'postgres') } ],
	[ 'a worker terminated'   => sub { kill_process($node, 'TERM', 'event_store projection') } ],
	[ 'a worker cancelled'    => sub { kill_process($node, 'INT', 'event_store projection') } ],
	[ 'sequencer terminated'  => sub { kill_process($node, 'TERM', 'event_store sequencer') } ],
	[ 'launcher terminated'   => sub { kill_process($node, 'TERM', 'event_store launcher') } ],
	[ 'small batches'         => sub { set('event_store.projection_batch_size = 40') } ],
	[ 'large batches'         => sub { set('event_store.projection_batch_size = 100000') } ],
	[ 'one worker'            => sub { set('event_store.max_projection_workers = 1') } ],
	[ 'six workers'           => sub { set('event_store.max_projection_workers = 6') } ],
	[ 'off and on'            => sub {
			set('event_store.projections = off');
			$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE starts_with(backend_type, 'event_store projection')")
			  or push @refused, 'projections = off: workers stay';
			set('event_store.projections = on'); } ],
	[ 'run by hand'           => sub { calls('SELECT es_run_projections(' . some_async() . ')') } ],
	[ 'all run by hand'       => sub { calls('SELECT es_run_projections()') } ],
	[ 'paused and resumed'    => sub {
			my $name = some_async();
			calls("SELECT es_pause_projection($name)");
			calls("SELECT es_resume_projection($name)"); } ],
	[ 'rebuilt'               => sub { calls('SELECT es_rebuild(' . some_async() . ')') } ],
	[ 'rebuilt by two'        => sub { calls('SELECT es_rebuild(' . some_async() . ', 2)') } ],
	[ 'an inline one rebuilt' => sub { calls('SELECT es_rebuild(' . (qw('inline_balance' 'inline_lines' 'inline_total'))[ rand 3 ] . ')') } ],
	[ 'asked otherwise'       => sub {
			calls(q{SELECT es_alter_view('regions', } . quoted($views[2]{query} =~ s/avg\((\S+)\)/sum($1) \/ nullif(count($1), 0)/r) . ')');
			calls(q{SELECT es_alter_view('regions', } . quoted($views[2]{query}) . ')') if rand() < 0.5; } ],
	[ 'renamed'               => sub {
			calls(q{SELECT es_rename_projection('changing', 'renamed')});
			calls(q{SELECT es_rename_projection('renamed', 'changing')}); } ],
	[ 'verified'              => sub { calls('SELECT count(*) FROM es_verify(' . some_async() . ')') } ],
	[ 'changed to inline'     => sub { calls(q{SELECT es_alter_projection('changing', mode => 'inline', partitions => 1)}) } ],
	[ 'changed to async'      => sub { calls(q{SELECT es_alter_projection('changing', mode => 'async')}) } ],
	[ 'split'                 => sub { calls(q{SELECT es_alter_projection('changing', mode => 'async', partitions => 4)}) } ],
	[ 'put together'          => sub { calls(q{SELECT es_alter_projection('changing', mode => 'async', partitions => 1)}) } ],
	[ 'a view made and gone'  => sub {
			calls(q{SELECT es_create_view('gone', 'SELECT event_type, avg(version) AS mean FROM es_log GROUP BY event_type')});
			calls(q{SELECT es_drop_projection('gone')}); } ],
	[ 'vacuum'                => sub { calls('VACUUM') } ],
	[ 'checkpoint'            => sub { calls('SELECT pg_switch_wal(); CHECKPOINT') } ]);

my @crashes = (
	[ 'kill -9 of a projection worker' => sub { kill_process($node, 'KILL', 'event_store projection') } ],
	[ 'immediate stop'                 => sub { $node->stop('immediate'); $node->start } ],
	[ 'kill -9 of the sequencer'       => sub { kill_process($node, 'KILL', 'event_store sequencer') } ],
	[ 'fast restart'                   => sub { $node->restart } ],
	[ 'kill -9 of a client'            => sub { kill_process($node, 'KILL', 'client backend') } ],
	[ 'the clients end'                => sub { } ]);

# ---------------------------------------------------------------------------
# Rounds
# ---------------------------------------------------------------------------

# (The clients may have ended before that; so may the server, for a moment.)
sub wait_for_position
{
	my ($position) = @_;
	$node->poll_query_until('postgres',
		"SELECT es_head_position() >= $position OR NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())")
	  or die 'no events come';
	return;
}

make_all('at first');
for my $round (1 .. $rounds)
{
	my @scripts;

	for my $writer (1 .. $writers)
	{
		my $tenant = $writer % 3 == 2 ? 'acme' : '';
		push @scripts, "$dir/round$round.writer$writer.sql";
		write_client_script(
			$scripts[-1],
			client       => 100_000 * ($seed % 10_000) + 100 * $round + $writer,
			appends      => 3000,
			streams      => 15,
			transactions => 0.4,
			prepared     => 0.2,
			most         => 12,
			stream       => \&shop_stream,
			event        => \&shop_event,
			setup        => 'SET synchronous_commit = ' . ($writer % 3 == 0 ? 'off' : 'on') . ";\nSET event_store.tenant_id = '$tenant';\n"
			  . ($writer % 4 == 0 ? "SET default_transaction_isolation = 'repeatable read';\n" : ''));
	}
	srand($seed * 1000 + $round);
	my @actions = map { $disturbances[ rand @disturbances ] } 1 .. 6;
	my ($crash_name, $crash) = @{ $crashes[ ($round + $seed - 2) % @crashes ] };
	my $name = "round $round: " . join(', ', (map { $_->[0] } @actions), $crash_name);

	make_all('quiet') if $round == 2;
	my $head    = $node->safe_psql('postgres', 'SELECT es_head_position()');
	my @running = start_clients($node, 'postgres', @scripts);
	for my $action (@actions)
	{
		$head += 200 + int(rand(600));
		wait_for_position($head);
		$action->[1]->();
	}
	make_all('during') if $round == 2;
	wait_for_position($head + 200);
	$crash->();
	finish_clients(@running) if $crash_name eq 'the clients end';
	finish_after_crash($node, 'postgres', @running);
	make_all('last') if $round == $rounds;

	projections_are_caught_up($node, 'postgres', $name);
	log_is_whole($node, 'postgres', "round $round: the log is whole");
	views_are_true($node, 'postgres', \@made, "round $round");
}
is(join("\n", @refused), '', 'nothing that was done meanwhile has failed');

# ---------------------------------------------------------------------------
# Would a difference have been found? Rows are taken away, changed and added by hand.
# ---------------------------------------------------------------------------
my @mutants;
for my $view (@made)
{
	my $table = $view->{name};
	my $some  = "(SELECT ctid FROM $table ORDER BY random() LIMIT 1)";

	next if $node->safe_psql('postgres', "SELECT count(*) FROM $table") == 0;
	push @mutants, { %$view, what => 'a row is gone', before => "DELETE FROM $table WHERE ctid = $some" };
	push @mutants, { %$view, what => 'a value is another', before => "UPDATE $table SET $view->{mutant} WHERE ctid = $some" } if $view->{mutant};
	push @mutants, { %$view, what => 'a row is there twice', before => "INSERT INTO $table SELECT * FROM $table LIMIT 1" }
	  if $view->{name} =~ /^(?:doubles|plain|order_lines)$/;
}
my @found = view_problems($node, 'postgres', \@mutants);
for my $i (0 .. $#mutants)
{
	my ($verify, $truth) = @{ $found[$i] };
	ok($verify =~ /^(?:missing|unexpected|different)/ && $truth =~ /^(?:missing|unexpected)/, "$mutants[$i]{name}, $mutants[$i]{what}: found by both")
	  || diag("es_verify: $verify\ntruth: $truth");
}
log_is_clean($node);
$node->stop;
done_testing();
