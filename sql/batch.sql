-- batch: es_append_batch, several events a call, all or nothing.
\set SHOW_CONTEXT never

-- The version returned is that of the last event.
SELECT es_append_batch('batch-1', ARRAY['Created', 'Renamed', 'Closed'],
                       ARRAY['{"n": 1}', '{"n": 2}', '{"n": 3}']::jsonb[]);
SELECT position, version, event_type, schema_version, data, metadata, tenant_id FROM es_read_stream('batch-1');
SELECT es_append_batch('batch-1', ARRAY['Reopened'], ARRAY['{"n": 4}']::jsonb[]);

-- Every argument; a NULL among metadata or schema versions is the default.
SELECT es_append_batch('batch-1', ARRAY['A', 'B', 'C'], ARRAY['[5]', '6', 'null']::jsonb[],
                       ARRAY['{"user_id": "u5"}', NULL, '{}']::jsonb[], 4,
                       ARRAY['bbbbbbbb-0000-4000-8000-000000000005', 'bbbbbbbb-0000-4000-8000-000000000006',
                             'bbbbbbbb-0000-4000-8000-000000000007']::uuid[],
                       ARRAY[2, NULL, 3]);
SELECT version, event_type, schema_version, data, metadata, event_id FROM es_read_stream('batch-1', 5);
SELECT es_append_batch(schema_versions => ARRAY[7], event_ids => NULL, expected_version => -1, metadata => NULL,
                       data => ARRAY['{"n": 8}']::jsonb[], event_types => ARRAY['D'], stream_id => 'batch-1');
SELECT version, event_type, schema_version, data, metadata FROM es_read_stream('batch-1', 8);

-- Expected version, as for es_append.
SELECT es_append_batch('batch-none', '{T,T}', '{1,2}', expected_version => -1);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append_batch('batch-none', '{T,T}', '{1,2}', expected_version => 2);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append_batch('batch-new', '{T,T}', '{1,2}', expected_version => 0);
SELECT es_append_batch('batch-new', '{T,T}', '{1,2}', expected_version => 0);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append_batch('batch-new', '{T,T}', '{1,2}', expected_version => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append_batch('batch-new', '{T,T}', '{1,2}', expected_version => 4);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append_batch('batch-new', '{T,T}', '{3,4}', expected_version => 2);
SELECT es_append_batch('batch-new', '{T,T}', '{5,6}', expected_version => -1);
SELECT es_append_batch('batch-new', '{T,T}', '{7,8}', expected_version => NULL);
SELECT version, data FROM es_read_stream('batch-new');

-- An empty batch checks the version and appends nothing.
SELECT es_append_batch('batch-new', '{}', '{}');
SELECT es_append_batch('batch-new', '{}', '{}', '{}', -1, '{}', '{}');
SELECT es_append_batch('batch-new', '{}', '{}', expected_version => 8);
SELECT es_append_batch('batch-new', '{}', '{}', expected_version => 7);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append_batch('batch-new', '{}', '{}', expected_version => 0);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append_batch('batch-empty', '{}', '{}');
SELECT es_append_batch('batch-empty', '{}', '{}', expected_version => 0);
SELECT es_append_batch('batch-empty', '{}', '{}', expected_version => -1);
\echo :LAST_ERROR_SQLSTATE
SELECT es_stream_version('batch-new'), es_stream_version('batch-empty');

-- What is wrong with one event is wrong with the batch; the context says which.
\set SHOW_CONTEXT errors
SELECT es_append_batch('batch-bad', ARRAY['A', 'B', ''], '{1,2,3}');
SELECT es_append_batch('batch-bad', '{A,B,C}', ARRAY['1', '2', NULL]::jsonb[]);
SELECT es_append_batch('batch-bad', '{A,B,C}', '{1,2,3}', ARRAY['{}', '{}', '[]']::jsonb[]);
SELECT es_append_batch('batch-bad', '{A,B,C}', '{1,2,3}', schema_versions => '{1,1,0}');
\set SHOW_CONTEXT never
SELECT es_stream_version('batch-bad');

-- Also when only storing it shows: here the 700th row violates a constraint,
-- without and with a constraint that makes the append go another way.
CREATE UNIQUE INDEX batch_unique ON es_events ((data->>'key')) WHERE event_type = 'Keyed';
SELECT es_append_batch('batch-bad', array_agg('Keyed'::text),
                       array_agg(jsonb_build_object('key', 'k' || CASE n WHEN 700 THEN 10 ELSE n END) ORDER BY n))
  FROM generate_series(1, 1000) n;
\echo :LAST_ERROR_SQLSTATE
SELECT es_stream_version('batch-bad');
DROP INDEX batch_unique;
BEGIN;
SELECT es_append_batch('batch-bad', '{A}', '{1}');
ALTER TABLE es_events ADD CONSTRAINT batch_small CHECK (NOT data @> '700');
SAVEPOINT s;
\set VERBOSITY terse
SELECT es_append_batch('batch-bad', array_agg('T'::text), array_agg(to_jsonb(n))) FROM generate_series(1, 1000) n;
\set VERBOSITY default
ROLLBACK TO s;
SELECT es_stream_version('batch-bad');
SELECT es_append_batch('batch-bad', '{B,C}', '{1,2}', expected_version => 1);
ROLLBACK;
SELECT es_stream_version('batch-bad');

-- More events than are handed to the table at once, in the order of the call.
SELECT es_append_batch('batch-large', array_agg('T' || n ORDER BY n), array_agg(to_jsonb(n) ORDER BY n),
                       schema_versions => array_agg(n ORDER BY n))
  FROM generate_series(1, 1000) n;
SELECT es_append_batch('batch-large', array_agg('T' || n ORDER BY n), array_agg(to_jsonb(n) ORDER BY n),
                       array_agg(jsonb_build_object('n', n) ORDER BY n), 1000, NULL, array_agg(n ORDER BY n))
  FROM generate_series(1001, 1256) n;
SELECT es_append_batch('batch-large', array_agg('T' || n ORDER BY n), array_agg(to_jsonb(n) ORDER BY n),
                       schema_versions => array_agg(n ORDER BY n))
  FROM generate_series(1257, 1513) n;
SELECT count(*), max(version),
       bool_and(event_type = 'T' || version AND data = to_jsonb(version) AND schema_version = version) AS same,
       count(DISTINCT event_id) AS ids, count(DISTINCT tx) AS transactions, count(DISTINCT (tx, recorded_at)) AS times
  FROM es_events WHERE stream_id = 'batch-large';
SELECT count(*) FILTER (WHERE event_id <= previous) AS ids_not_ascending
  FROM (SELECT event_id, lag(event_id) OVER (ORDER BY version) AS previous
          FROM es_read_stream('batch-large')) e;
SELECT data FROM es_read_stream('batch-large', 1, 1000) WHERE metadata <> '{}';
SELECT count(*) FROM es_read_stream('batch-large', 1001) WHERE metadata = jsonb_build_object('n', version);
-- Every index has every row.
SET enable_seqscan = off;
SELECT count(*) FROM es_events e, generate_series(1, 1513) v WHERE stream_id = 'batch-large' AND version = v AND tenant_id = '';
SELECT count(*) FROM es_events a JOIN es_events b USING (tx, ordinal) WHERE a.stream_id = 'batch-large';
SELECT count(*) FROM es_events a WHERE a.stream_id = 'batch-large'
   AND EXISTS (SELECT FROM es_events b WHERE b.event_id = a.event_id AND b.version = a.version OFFSET 0);
RESET enable_seqscan;

-- Arrays of which the first element is not number 1.
SELECT es_append_batch('batch-bounds', '[5:6]={A,B}', '[-1:0]={1,2}', schema_versions => '[0:1]={3,4}');
SELECT version, event_type, schema_version, data FROM es_read_stream('batch-bounds');

-- Several batches in one transaction and one statement.
BEGIN;
SELECT es_append_batch('batch-several', '{A,B}', '{1,2}', expected_version => 0),
       es_append_batch('batch-several', '{C,D}', '{3,4}', expected_version => 2),
       es_append('batch-several', 'E', '5', expected_version => 4);
SELECT es_append_batch('batch-several', '{F}', '{6}', expected_version => 5);
SELECT es_stream_version('batch-several');
COMMIT;
SELECT string_agg(event_type, '' ORDER BY version) FROM es_read_stream('batch-several');

-- As drivers send it: parameters without types.
PREPARE append_batch AS SELECT es_append_batch($1, $2, $3, $4, $5, $6, $7);
EXECUTE append_batch ('batch-prepared', '{A,B}', '{"{\"n\": 1}","{\"n\": 2}"}', NULL, 0, NULL, NULL);
EXECUTE append_batch ('batch-prepared', '{A,B}', '{"{\"n\": 1}","{\"n\": 2}"}', NULL, 0, NULL, NULL);
DEALLOCATE append_batch;
SELECT version, event_type, data FROM es_read_stream('batch-prepared');

SELECT * FROM es_check();
