-- uuid: the ids that events get are UUIDs of version 7.
\set SHOW_CONTEXT never

-- Version 7, variant 10, and the time of now in milliseconds.
CREATE TEMP TABLE ids AS SELECT n, es_uuid_v7() AS id FROM generate_series(1, 10000) n;
SELECT count(*) FILTER (WHERE id::text !~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$') AS wrong FROM ids;
SELECT count(*) FILTER (WHERE abs(extract(epoch FROM clock_timestamp()) * 1000
                                  - ('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint) > 60 * 60 * 1000) AS not_now
  FROM ids;

-- Each is greater than the one before, and random behind the time.
SELECT count(*) FILTER (WHERE id <= previous) AS not_ascending, count(DISTINCT id) AS ids, count(DISTINCT right(id::text, 17)) AS random_parts
  FROM (SELECT id, lag(id) OVER (ORDER BY n) AS previous FROM ids) i;
-- Each random bit is set in about half of them.
SELECT count(*) FILTER (WHERE ones NOT BETWEEN 4600 AND 5400) AS bits_not_random
  FROM (SELECT bit, sum(get_bit(('x' || right(replace(id::text, '-', ''), 16))::bit(64), bit)) AS ones
          FROM ids, generate_series(2, 63) bit GROUP BY bit) b;

-- Events get them in their order, however they are appended.
BEGIN;
SELECT count(es_append('uuid-1', 'T', to_jsonb(n))) FROM generate_series(1, 500) n;
SELECT es_append_batch('uuid-1', array_agg('T'::text), array_agg(to_jsonb(n))) FROM generate_series(1, 500) n;
SELECT es_append_json('uuid-1', jsonb_agg(jsonb_build_object('type', 'T', 'data', n))) FROM generate_series(1, 500) n;
INSERT INTO es_events (stream_id, event_type, data) SELECT 'uuid-1', 'T', to_jsonb(n) FROM generate_series(1, 500) n;
COMMIT;
SELECT count(*) AS events, count(DISTINCT event_id) AS ids,
       count(*) FILTER (WHERE event_id <= previous) AS not_ascending,
       count(*) FILTER (WHERE event_id::text !~ '^.{14}7.{4}[89ab]') AS wrong
  FROM (SELECT event_id, lag(event_id) OVER (ORDER BY version) AS previous FROM es_read_stream('uuid-1')) e;
-- The time in an id is about that of the event.
SELECT count(*) FILTER (WHERE abs(extract(epoch FROM recorded_at) * 1000
                                  - ('x' || lpad(left(replace(event_id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint) > 60 * 60 * 1000) AS far
  FROM es_read_stream('uuid-1');

-- A savepoint that is rolled back does not turn time back.
BEGIN;
SELECT es_uuid_v7() AS first \gset
SAVEPOINT s;
SELECT es_uuid_v7() AS second \gset
ROLLBACK TO s;
SELECT :'first'::uuid < :'second'::uuid AND :'second'::uuid < es_uuid_v7() AS ascending;
COMMIT;
