-- The same events three times, each file with more columns.
-- psql variables: events, data, metadata, dir.
SELECT setseed(0.5) \g /dev/null

CREATE UNLOGGED TABLE copy_events AS
SELECT n,
	'order-' || stream AS stream_id,
	row_number() OVER (PARTITION BY stream ORDER BY n) AS version
FROM (
	SELECT n, 1 + floor(random() * 10000)::int AS stream
	FROM generate_series(1, :events) AS n
) AS e;

SELECT format($$COPY (
	SELECT stream_id, 'OrderPlaced', %L::jsonb, %L::jsonb
	FROM copy_events ORDER BY n) TO %L$$,
	:'data', :'metadata', :'dir' || '/ours.copy') \gexec
SELECT format($$COPY (
	SELECT stream_id, version, 'OrderPlaced', %L::jsonb, %L::jsonb
	FROM copy_events ORDER BY n) TO %L$$,
	:'data', :'metadata', :'dir' || '/versions.copy') \gexec
SELECT format($$COPY (
	SELECT stream_id, version, es_uuid_v7(), 'OrderPlaced', %L::jsonb, %L::jsonb, 1, n - 1
	FROM (SELECT * FROM copy_events ORDER BY n) AS e) TO %L$$,
	:'data', :'metadata', :'dir' || '/all.copy') \gexec
