-- upcast_read: events read as what their types have become, and streams up to a time.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION event_store CASCADE;
CREATE EXTENSION event_store;
CREATE SCHEMA upread;

-- ---------- up to a time ----------

-- Random streams, many events at equal times: versions of a dump.
SELECT setseed(0.5);
INSERT INTO es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal)
SELECT stream_id, version, es_uuid_v7(), 'T', 1, to_jsonb(version), '{}',
       '2026-01-01 UTC'::timestamptz + sum(step) OVER (PARTITION BY stream_id ORDER BY version) * interval '1 s', row_number() OVER (), 0
  FROM (SELECT 'time-' || s AS stream_id, v AS version, floor(random() * random() * 4)::int AS step
          FROM generate_series(0, 24) s, generate_series(1, s * s / 4) v ORDER BY 1, 2) e;
SELECT count(*), count(DISTINCT (stream_id, recorded_at)) < count(*) AS equal_times FROM es_events;
-- At each time that there is, right before, right after; and beyond both ends.
CREATE VIEW upread.times AS
  SELECT s.stream_id, t.as_of FROM (SELECT 'time-' || s AS stream_id FROM generate_series(0, 24) s) s,
    LATERAL (SELECT e.recorded_at + d * interval '1 us' AS as_of FROM es_events e, generate_series(-1, 1) d WHERE e.stream_id = s.stream_id
             UNION SELECT unnest('{-infinity,infinity,1970-01-01 UTC,2999-01-01 UTC}'::timestamptz[])) t;
SELECT count(*) > 1500 AS enough,
       count(*) FILTER (WHERE es_version_at(stream_id, as_of) IS DISTINCT FROM
         (SELECT coalesce(max(e.version), 0) FROM es_events e WHERE e.stream_id = t.stream_id AND e.recorded_at <= t.as_of)) AS wrong
  FROM upread.times t;
-- The streams as they were: forwards, backwards, from a version on, some events.
CREATE FUNCTION upread.wrong(raw boolean) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*)
    FROM (SELECT * FROM upread.times ORDER BY hashtext(stream_id || as_of::text) LIMIT 60) t,
         (VALUES (NULL::bigint, NULL::bigint), (3, NULL), (NULL, 2), (5, 4), (1000, 1)) a(from_version, max_count), unnest('{f,t}'::boolean[]) backwards
   WHERE ARRAY(SELECT r.version FROM es_read_stream(t.stream_id, a.from_version, a.max_count, backwards, t.as_of, raw) r)
         IS DISTINCT FROM
         ARRAY(SELECT e.version FROM es_events e
                WHERE e.stream_id = t.stream_id AND e.recorded_at <= t.as_of
                  AND (a.from_version IS NULL OR CASE WHEN backwards THEN e.version <= a.from_version ELSE e.version >= a.from_version END)
                ORDER BY CASE WHEN backwards THEN -e.version ELSE e.version END LIMIT a.max_count)
$$;
SELECT upread.wrong(true), upread.wrong(false);
SELECT es_version_at('time-none', now());
SELECT es_version_at(NULL, now());
SELECT es_version_at('time-4', NULL);
SELECT es_version_at('', now());
SELECT es_read_stream('time-4', 0, until => now());
SELECT es_read_stream('time-4', max_count => 0, until => now());
SELECT es_read_stream(NULL, until => now());
-- What a snapshot shows.
BEGIN;
SELECT es_append('time-now', 'T', '1');
SELECT es_version_at('time-now', 'infinity'), es_version_at('time-now', clock_timestamp()), es_version_at('time-now', clock_timestamp() - interval '1 h');
SELECT count(*) FROM es_read_stream('time-now', until => 'infinity');
ROLLBACK;
SET event_store.tenant_id = 'other';
SELECT es_version_at('time-4', 'infinity'), count(*) FROM es_read_stream('time-4', until => 'infinity');
RESET event_store.tenant_id;

-- ---------- streams ----------

SELECT es_append_batch('order-1', '{Created,Note,Created,Paid}', ARRAY['{"n": 1}', '{"n": 2}', '{"n": 3}', '{"n": 4}']::jsonb[],
                       schema_versions => '{1,1,2,1}');
SELECT es_append_json('order-2', '[{"type": "Created", "data": {"n": 5}}, {"type": "Split", "data": {"n": 6}}, {"type": "Split", "schema_version": 2, "data": {"n": 7}}]');

-- Nothing to be upcast: the plan is that of the bare SELECT.
EXPLAIN (COSTS OFF) SELECT * FROM es_read_stream('order-1', 1);
EXPLAIN (COSTS OFF) SELECT * FROM es_read_stream('order-1', backwards => true);
EXPLAIN (COSTS OFF) SELECT * FROM es_log;
-- Plans that are there already.
PREPARE of_table(text) AS SELECT version, event_type, schema_version, data FROM es_read_stream($1);
PREPARE of_list(text) AS SELECT (e).version, (e).event_type, (e).schema_version, (e).data FROM (SELECT es_read_stream($1) AS e) e;
PREPARE of_any(text, boolean) AS SELECT version, event_type, schema_version, data FROM es_read_stream($1, backwards => $2);
PREPARE of_log AS SELECT position, piece, stream_id, version, event_type, schema_version, data FROM es_log WHERE stream_id LIKE 'order-%' ORDER BY position;
SET plan_cache_mode = force_generic_plan;
EXECUTE of_table('order-1');
EXECUTE of_list('order-1');
EXECUTE of_any('order-1', true);
SELECT count(*) > 0 AS sequenced FROM (SELECT es_sequence()) s;
EXECUTE of_log;

-- Two steps, a new name, several pieces of which one goes on.
SELECT es_register_event_type('Created', 2, upcaster => $$data || '{"two": true}'$$);
SELECT es_register_event_type('Created', 3, upcaster => $$jsonb_build_object('n', data->'n', 'three', schema_version)$$);
SELECT es_register_event_type('Note', 2, upcaster => $$es_upcast_to('Remark', 1, data)$$);
SELECT es_register_event_type('Remark', 2, upcaster => $$data || jsonb_build_object('was', event_type)$$);
SELECT es_register_event_type('Split', 2, upcaster => $$ARRAY[es_upcast_to('First', 1, data), es_upcast_to('Remark', 1, data), es_upcast_to('Split', 2, data)]$$);
SELECT es_register_event_type('Split', 3, upcaster => $$ARRAY[es_upcast_to('Last', 7, data), es_upcast_to('Split', 9, data)]$$);
EXECUTE of_table('order-1');
EXECUTE of_list('order-1');
EXECUTE of_any('order-1', true);
EXECUTE of_any('order-2', NULL);
EXECUTE of_log;
DEALLOCATE ALL;
RESET plan_cache_mode;
EXPLAIN (COSTS OFF) SELECT * FROM es_read_stream('order-1');
EXPLAIN (COSTS OFF) SELECT * FROM es_read_stream('order-1', 1, raw => true);
EXPLAIN (COSTS OFF) SELECT * FROM es_read_stream('order-1') ORDER BY version;
EXPLAIN (COSTS OFF) SELECT * FROM es_log ORDER BY position DESC;

SELECT version, event_type, schema_version, data FROM es_read_stream('order-1', raw => true);
SELECT version, event_type, schema_version, data FROM es_read_stream('order-2', raw => NULL);
SELECT version, event_type, schema_version, data FROM es_read_stream('order-2', backwards => true);
-- max_count counts events as they are stored.
SELECT version, event_type FROM es_read_stream('order-2', 2, 1);
SELECT version, event_type FROM es_read_stream('order-2', 3, 2, true);
SELECT version, event_type FROM es_read_stream('order-2', 2, 2, until => 'infinity') LIMIT 4;
-- Conditions, joins and functions see what is read; each event is upcast once.
SELECT version, data FROM es_read_stream('order-2') WHERE event_type = 'Remark';
SELECT s.id, e.version, e.event_type, e.schema_version FROM (VALUES ('order-1'), ('order-0'), ('order-2')) s(id) LEFT JOIN LATERAL es_read_stream(s.id, backwards => s.id = 'order-2') e ON true;
SELECT count(*), count(*) FILTER (WHERE event_type = 'Split') FROM es_read_stream('order-2');
SELECT array_agg(e ORDER BY version) = (SELECT array_agg(e) FROM es_read_stream('order-2') e) FROM es_read_stream('order-2') e;
SELECT upread.wrong(true), upread.wrong(false);

-- ---------- the log ----------

SELECT position - (SELECT min(position) FROM es_log WHERE stream_id = 'order-1') AS n, piece, version, event_type, schema_version, data
  FROM es_log WHERE stream_id LIKE 'order-%' ORDER BY position DESC;
-- Neither the columns that are used nor the plan change the rows.
CREATE VIEW upread.truth AS
  SELECT e.stream_id, e.version, u.n AS piece, u.event_type, u.schema_version, u.data
    FROM es_events e, es_upcast(e.event_type, e.schema_version, e.data, e.metadata, e.stream_id, e.version) WITH ORDINALITY u(event_type, schema_version, data, n);
CREATE FUNCTION upread.differences() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM (
    (SELECT * FROM upread.truth EXCEPT ALL SELECT stream_id, version, piece, event_type, schema_version, data FROM es_log)
    UNION ALL
    (SELECT stream_id, version, piece, event_type, schema_version, data FROM es_log EXCEPT ALL SELECT * FROM upread.truth)) d
$$;
SELECT upread.differences();
SELECT count(*) = (SELECT count(*) FROM upread.truth) FROM es_log;
SELECT count(version) = (SELECT count(*) FROM upread.truth) FROM es_log;
SELECT count(*), sum(piece) FROM es_log WHERE stream_id = 'order-2' AND tenant_id = '';
SELECT version, piece FROM es_log WHERE stream_id = 'order-2' ORDER BY position DESC LIMIT 3;
SELECT event_type, count(*) FROM es_log WHERE event_type IN ('Created', 'Split', 'Note', 'Remark', 'First') GROUP BY 1 ORDER BY 1;
SELECT v, array_agg(l.event_type) FROM generate_series(1, 3) v, LATERAL (SELECT * FROM es_log l WHERE l.stream_id = 'order-2' AND l.version = v OFFSET 0) l GROUP BY v ORDER BY v;
SELECT (l).event_type, (l).piece FROM es_log_events l WHERE stream_id = 'order-2' AND version = 2;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT version, piece, event_type FROM es_log WHERE stream_id = 'order-2' ORDER BY position;
FETCH 2 FROM c;
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
-- An open query goes on as it began.
SELECT es_register_event_type('First', 2, upcaster => $$es_upcast_to('Later', 1, data)$$);
MOVE ABSOLUTE 0 FROM c;
FETCH ALL FROM c;
SELECT event_type FROM es_log WHERE stream_id = 'order-2' AND version = 2;
ROLLBACK;
-- Paging by position does not cut an event into pieces.
SELECT array_agg(version || event_type) FROM es_read_category('order', max_count => 1) e;
WITH RECURSIVE page(n, types, upto) AS (
  SELECT 0, '{}'::text COLLATE "C", (SELECT min(position) - 1 FROM es_log WHERE stream_id LIKE 'order-%')
  UNION ALL
  SELECT n + 1, p.types, p.upto FROM page, LATERAL (SELECT string_agg(e.event_type, ' ') AS types, max(e.position) AS upto FROM es_read_all(page.upto, 2) e) p WHERE p.upto IS NOT NULL)
SELECT n, types FROM page WHERE n > 0;
SELECT version, event_type FROM es_read_all(event_types => '{Remark,Split}');

-- ---------- what cannot be upcast ----------

SELECT es_register_event_type('Bad', 2, upcaster => $$data || jsonb_build_object('half', 1 / (data->>'n')::int)$$);
SELECT es_append_batch('bad-1', '{Good,Bad,Bad,Good}', ARRAY['{}', '{"n": 1}', '{"n": 0}', '{}']::jsonb[]);
SELECT es_sequence() > 0 AS sequenced;
\set SHOW_CONTEXT always
SELECT version, data FROM es_read_stream('bad-1');
SELECT count(*) FROM es_log WHERE stream_id = 'bad-1';
\set SHOW_CONTEXT never
SELECT version, data FROM es_read_stream('bad-1', max_count => 2);
SELECT version, event_type, data FROM es_read_stream('bad-1', raw => true);
-- What conditions leave out is not upcast, as far as they are about what upcasting does not change.
SELECT version, data FROM es_log WHERE stream_id = 'bad-1' AND version <> 3;
SELECT count(*) FROM es_log WHERE position <> ALL (ARRAY[es_position('bad-1', 3)]) AND event_type = 'Bad';
SELECT count(*) FROM es_read_category('order');
-- The type is, too, where no upcaster of it gives another one.
SELECT count(*) FROM es_log WHERE stream_id = 'bad-1' AND event_type = 'Good';
SELECT count(*) FROM es_read_all(event_types => '{Good,Last}');
SELECT es_register_event_type('Bad', 3, upcaster => $$es_upcast_to('Good', 1, data)$$);
SELECT count(*) FROM es_log WHERE stream_id = 'bad-1' AND event_type = 'Good';
SELECT es_set_event_type_status('Bad', 3, 'retired');
SELECT count(*) FROM es_log WHERE stream_id = 'bad-1' AND event_type = 'Good' AND version < 3;
-- Conditions keep their order where one hides rows from the other.
CREATE VIEW upread.barrier WITH (security_barrier) AS SELECT * FROM es_log WHERE data ? 'n' OR event_type = 'Good';
CREATE FUNCTION upread.leak(version bigint) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE WARNING 'version %', version; RETURN true; END $$;
SELECT version FROM upread.barrier WHERE upread.leak(version) AND stream_id = 'bad-1';
-- The store as such is well, and a dump is of what is stored.
SELECT * FROM es_check();
COPY (SELECT stream_id, version, event_type, data FROM es_events WHERE stream_id LIKE 'bad-%' ORDER BY 1, 2) TO stdout;

-- Without upcasters, everything is as before.
DELETE FROM es_event_types;
SELECT version, event_type, data FROM es_read_stream('bad-1');
EXPLAIN (COSTS OFF) SELECT * FROM es_read_stream('bad-1', 1);
SELECT count(*) = (SELECT count(*) FROM es_events) FROM es_log;

DROP SCHEMA upread CASCADE;
DROP EXTENSION event_store;
CREATE EXTENSION event_store;
