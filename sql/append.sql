-- append: es_append, one event a call.
\set SHOW_CONTEXT never

-- Every default.
SELECT es_append('append-1', 'Created', '{"n": 1}');
SELECT position, stream_id, version, event_type, schema_version, data, metadata, tenant_id
  FROM es_read_stream('append-1');
SELECT event_id::text LIKE '________-____-7___-____-____________' AS is_version_7,
       recorded_at BETWEEN now() - interval '1 hour' AND clock_timestamp() AS is_recent
  FROM es_read_stream('append-1');

-- Every argument, in its place and by name.
SELECT es_append('append-1', 'Renamed', '{"n": 2}', '{"user_id": "u1"}', 1,
                 'aaaaaaaa-0000-4000-8000-000000000002', 3);
SELECT es_append(schema_version => 4, event_id => 'aaaaaaaa-0000-4000-8000-000000000003',
                 expected_version => 2, metadata => '{"user_id": "u2"}', data => '{"n": 3}',
                 event_type => 'Renamed', stream_id => 'append-1');
-- An explicit NULL is the default.
SELECT es_append('append-1', 'Closed', '{"n": 4}', NULL, NULL, NULL, NULL);
SELECT version, event_type, schema_version, data, metadata,
       CASE WHEN event_id::text LIKE 'aaaa%' THEN event_id END AS event_id
  FROM es_read_stream('append-1');

-- Expected version, the stream is not there: any; none; some; a version.
SELECT es_append('append-any', 'T', '{}', expected_version => NULL);
SELECT es_append('append-new', 'T', '{}', expected_version => 0);
SELECT es_append('append-none', 'T', '{}', expected_version => -1);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append('append-none', 'T', '{}', expected_version => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT es_stream_version('append-none');

-- The same, the stream is at version 4: any; none; some; before, at and behind.
SELECT es_append('append-1', 'T', '{}', expected_version => 0);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append('append-1', 'T', '{}', expected_version => 3);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append('append-1', 'T', '{}', expected_version => 5);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append('append-1', 'T', '{}', expected_version => 9223372036854775807);
\echo :LAST_ERROR_SQLSTATE
SELECT es_stream_version('append-1');
SELECT es_append('append-1', 'T', '{}', expected_version => 4);
SELECT es_append('append-1', 'T', '{}', expected_version => -1);
SELECT es_append('append-1', 'T', '{}', expected_version => NULL);
SELECT es_stream_version('append-1');

-- A refused append leaves no trace, also in the middle of a transaction.
BEGIN;
SELECT es_append('append-refused', 'First', '{}');
SAVEPOINT s;
SELECT es_append('append-refused', 'Second', '{}', expected_version => 0);
ROLLBACK TO s;
SELECT es_append('append-refused', 'Second', '{}', expected_version => 1);
COMMIT;
SELECT version, event_type FROM es_read_stream('append-refused');

-- A transaction sees its own events; when it rolls back they are gone, and the
-- versions are given again.
BEGIN;
SELECT es_append('append-own', 'First', '{}');
SELECT es_stream_version('append-own');
SELECT es_append('append-own', 'Second', '{}', expected_version => 1);
SELECT version, event_type FROM es_read_stream('append-own');
SELECT count(*) FROM es_events WHERE stream_id = 'append-own';
ROLLBACK;
SELECT es_stream_version('append-own');
SELECT es_append('append-own', 'Other', '{}', expected_version => 0);
SELECT version, event_type FROM es_read_stream('append-own');

-- Many appends in one statement: each continues the one before.
SELECT es_append('append-many', 'Counted', jsonb_build_object('n', n), expected_version => n - 1)
  FROM generate_series(1, 5) n;
SELECT es_append('append-many', 'Counted', jsonb_build_object('n', n)) FROM generate_series(6, 1000) n OFFSET 993;
SELECT count(*), min(version), max(version), bool_and((data->>'n')::bigint = version) AS in_order
  FROM es_read_stream('append-many');
-- The second of one statement conflicts with the first.
SELECT es_append('append-twice', 'T', '{}', expected_version => 0),
       es_append('append-twice', 'T', '{}', expected_version => 0);
SELECT es_stream_version('append-twice');

-- Many streams in one transaction, to and fro.
BEGIN;
SELECT count(es_append('append-streams-' || n % 100, 'T', jsonb_build_object('n', n))) FROM generate_series(0, 999) n;
SELECT count(es_append('append-streams-' || n % 100, 'T', '{}', expected_version => 10)) FROM generate_series(0, 99) n;
COMMIT;
SELECT count(*) AS streams, sum(events) AS events, min(last) AS shortest, max(last) AS longest
  FROM (SELECT count(*) AS events, max(version) AS last FROM es_events
         WHERE stream_id LIKE 'append-streams-%' GROUP BY stream_id) s;

-- From a function, with variables; each statement of it sees what was before.
DO $$
DECLARE
  v bigint := 0;
BEGIN
  FOR i IN 1..3 LOOP
    v := es_append('append-function', 'Counted', jsonb_build_object('before', es_stream_version('append-function')),
                   expected_version => v);
    ASSERT v = i AND es_stream_version('append-function') = i;
  END LOOP;
END $$;
SELECT version, data FROM es_read_stream('append-function');

-- As drivers send it: parameters without types.
PREPARE append AS SELECT es_append($1, $2, $3, $4, $5, $6, $7);
EXECUTE append ('append-prepared', 'T', '{"by": "driver"}', NULL, '0', NULL, '2');
EXECUTE append ('append-prepared', 'T', '{"by": "driver"}', '{}', '1', NULL, NULL);
EXECUTE append ('append-prepared', 'T', '{"by": "driver"}', '{}', '1', NULL, NULL);
SELECT version, schema_version, data FROM es_read_stream('append-prepared');
DEALLOCATE append;

-- In a CTE, in a subquery, in an INSERT into another table.
WITH appended AS (SELECT es_append('append-cte', 'T', '{}') AS version)
SELECT version FROM appended;
SELECT (SELECT es_append('append-cte', 'T', '{}'));
CREATE TEMP TABLE orders (id int, version bigint);
INSERT INTO orders SELECT 1, es_append('append-cte', 'T', '{}', expected_version => 2) RETURNING version;

-- Any JSON is data, and comes back as it is.
SELECT es_append('append-json', 'T', d::jsonb)
  FROM (VALUES ('null'), ('true'), ('-0.10'), ('"text"'), ('[]'), ('{}'), ('[1, [2, {"a": null}]]'),
               ('123456789012345678901234567890.123456789012345678901234567890'), ('1e400'),
               ('{"\u00fc": "line\nbreak \"quoted\" \\ \ud83d\ude00", "": {"a": [{}]}}')) v(d);
\pset format unaligned
SELECT version, jsonb_typeof(data), left(data::text, 70) AS data FROM es_read_stream('append-json');
\pset format aligned

-- Names: any characters but control characters, up to their limits in bytes.
SELECT es_append('Größe /?"''%_\ 😀', 'Ereignis "é"', '{}');
\pset format unaligned
SELECT stream_id, event_type FROM es_read_stream('Größe /?"''%_\ 😀');
\pset format aligned
SELECT es_append(repeat('s', 512), repeat('t', 255), '{}');
SELECT es_append(repeat('ä', 256), repeat('ö', 127), '{}');
SELECT es_stream_version(repeat('s', 512)), es_stream_version(repeat('ä', 256)), es_stream_version(repeat('s', 511));
-- Case and trailing spaces count.
SELECT es_stream_version('APPEND-1'), es_stream_version('append-1 '), es_stream_version(' append-1');

-- Large data, in and out of line.
SELECT es_append('append-large', 'T', jsonb_build_object('text', string_agg(md5(n::text), '')),
                 jsonb_build_object('text', string_agg(md5((-n)::text), '')))
  FROM generate_series(1, 10000) n;
SELECT length(data->>'text') AS data, md5(data->>'text') = (SELECT md5(string_agg(md5(n::text), '')) FROM generate_series(1, 10000) n) AS same,
       length(metadata->>'text') AS metadata
  FROM es_read_stream('append-large');
-- Values that another table stores out of line do not stay there.
CREATE TABLE elsewhere AS SELECT data, metadata, repeat('x', 250) AS name FROM es_read_stream('append-large');
SELECT es_append('append-elsewhere', name, data, metadata) FROM elsewhere;
SELECT es_append_batch('append-elsewhere', array_agg(name), array_agg(data), array_agg(metadata))
  FROM (SELECT * FROM elsewhere UNION ALL SELECT * FROM elsewhere) twice;
INSERT INTO es_events (stream_id, event_type, data, metadata)
  SELECT 'append-elsewhere', name, data, metadata FROM elsewhere;
DROP TABLE elsewhere;
SELECT version, length(event_type), length(data->>'text'), length(metadata->>'text') FROM es_read_stream('append-elsewhere');

-- The time: that of the append, not of the transaction, and never backwards.
BEGIN;
SELECT count(es_append('append-time', 'T', '{}')) FROM generate_series(1, 100);
SELECT count(*) FILTER (WHERE recorded_at < previous) AS backwards, bool_and(recorded_at >= now()) AS later_than_begin
  FROM (SELECT recorded_at, lag(recorded_at) OVER (ORDER BY version) AS previous
          FROM es_read_stream('append-time')) e;
COMMIT;

-- Ids ascend with the versions.
SELECT count(*) FILTER (WHERE event_id <= previous) AS not_ascending
  FROM (SELECT event_id, lag(event_id) OVER (ORDER BY version) AS previous
          FROM es_read_stream('append-many')) e;

-- Categories.
\pset null (null)
SELECT name, es_category(name) FROM (VALUES ('order-42'), ('order'), ('order-42-7'), ('-42'), (''), (NULL)) v(name);
\pset null ''

SELECT * FROM es_check();
