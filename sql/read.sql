-- read: es_read_stream, es_stream_version, and plain SELECT.
\set SHOW_CONTEXT never

SELECT es_append_batch('read-1', '{A,B,C,D,E,F,G}', '{1,2,3,4,5,6,7}');
SELECT es_append_batch('read-2', '{A,B}', '{1,2}');

-- The row type: what a stream read does not look up is NULL.
SELECT pg_typeof(e), pg_typeof(e.position), e.position, e.stream_id, e.version, e.event_type, e.schema_version, e.data, e.metadata, e.tenant_id
  FROM es_read_stream('read-2') e;
SELECT (e).event_type FROM (SELECT es_read_stream('read-2') AS e) s;

-- Forwards: all, from a version, with a limit.
SELECT version, event_type FROM es_read_stream('read-1');
SELECT version FROM es_read_stream('read-1', 5);
SELECT version FROM es_read_stream('read-1', 2, 3);
SELECT version FROM es_read_stream('read-1', max_count => 2);
SELECT version FROM es_read_stream('read-1', 7, 100);
SELECT version FROM es_read_stream('read-1', 8);
SELECT version FROM es_read_stream('read-1', 9223372036854775807, 9223372036854775807);

-- Backwards: from the end, from a version, with a limit.
SELECT version, event_type FROM es_read_stream('read-1', backwards => true);
SELECT version FROM es_read_stream('read-1', 3, backwards => true);
SELECT version FROM es_read_stream('read-1', NULL, 1, true);
SELECT version FROM es_read_stream('read-1', 5, 2, true);
SELECT version FROM es_read_stream('read-1', 1, 5, true);
SELECT version FROM es_read_stream('read-1', 100, 2, true);
-- NULL is the default of every argument but the first.
SELECT version FROM es_read_stream('read-2', NULL, NULL, NULL);

-- A stream that does not exist.
SELECT count(*) FROM es_read_stream('read-none');
SELECT count(*) FROM es_read_stream('read-none', 5, 10, true);
SELECT es_stream_version('read-none'), es_stream_version('read-1'), es_stream_version('read-2');

-- A page after the other, forwards and backwards.
WITH RECURSIVE page(n, versions, next) AS (
  SELECT 1, array_agg(version ORDER BY version), max(version) + 1 FROM es_read_stream('read-1', 1, 3)
  UNION ALL
  SELECT n + 1, (SELECT array_agg(version ORDER BY version) FROM es_read_stream('read-1', next, 3)), next + 3 FROM page WHERE n < 4)
SELECT n, versions FROM page;

-- Own events, not yet committed; those of a savepoint that was rolled back not.
BEGIN;
SELECT es_append('read-2', 'C', '3');
SELECT version, event_type FROM es_read_stream('read-2');
SAVEPOINT s;
INSERT INTO es_events (stream_id, event_type, data) VALUES ('read-2', 'D', '4');
SELECT version, event_type FROM es_read_stream('read-2', NULL, 2, true);
ROLLBACK TO s;
SELECT version, event_type FROM es_read_stream('read-2', 3);
SELECT es_stream_version('read-2');
ROLLBACK;
SELECT es_stream_version('read-2');

-- At every isolation level, and in a read-only transaction.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT es_append('read-3', 'A', '1');
SELECT version FROM es_read_stream('read-3');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SELECT count(*), es_stream_version('read-3') FROM es_read_stream('read-3');
SELECT count(*) FROM es_load_snapshot('read-3');
COMMIT;

-- A snapshot of the query: what the query itself appends it does not see.
SELECT es_append('read-4', 'A', '1') AS appended, es_stream_version('read-4') AS version, (SELECT count(*) FROM es_read_stream('read-4'));
SELECT es_stream_version('read-4');

-- Each stream of a list, with a lateral join.
SELECT s.id, e.version, e.event_type FROM (VALUES (1, 'read-2'), (2, 'read-none'), (3, 'read-1')) s(id, name)
  LEFT JOIN LATERAL es_read_stream(s.name, NULL, 2, s.id = 3) e ON true ORDER BY s.id, e.version;
SELECT s.name, count(e.version) FROM (VALUES ('read-1'), ('read-2'), ('read-none')) s(name)
  LEFT JOIN LATERAL es_read_stream(s.name) e ON true GROUP BY s.name ORDER BY s.name COLLATE "C";

-- Conditions, aggregates and joins on what is read.
SELECT event_type FROM es_read_stream('read-1') WHERE data::int % 2 = 0 AND version > 2;
SELECT sum(data::int) FROM es_read_stream('read-1', 2, 3);
SELECT a.version FROM es_read_stream('read-1') a JOIN es_read_stream('read-2') b USING (event_type) ORDER BY a.version;

-- Plain SELECT is as good.
SELECT version, event_type FROM es_events WHERE stream_id = 'read-2' ORDER BY version;
SELECT count(*) FROM es_read_stream('read-1') r JOIN es_events e ON e.stream_id = r.stream_id AND e.version = r.version
 WHERE (r.event_id, r.recorded_at, r.data, r.metadata, r.event_type, r.schema_version, r.tenant_id)
     = (e.event_id, e.recorded_at, e.data, e.metadata, e.event_type, e.schema_version, e.tenant_id);

-- Prepared, with plans that are made for any parameters.
SET plan_cache_mode = force_generic_plan;
PREPARE read(text, bigint, bigint, boolean) AS SELECT version FROM es_read_stream($1, $2, $3, $4);
EXECUTE read ('read-1', 2, 3, false);
EXECUTE read ('read-1', 5, 2, true);
EXECUTE read ('read-1', NULL, NULL, NULL);
EXECUTE read ('read-1', NULL, 2, true);
EXECUTE read ('read-none', 1, 1, false);
\set VERBOSITY terse
EXECUTE read (NULL, 1, 1, false);
EXECUTE read ('', 1, 1, false);
EXECUTE read ('read-1', 0, 1, false);
EXECUTE read ('read-1', -1, 1, true);
EXECUTE read ('read-1', 1, 0, false);
EXECUTE read ('read-1', 1, -1, true);
\set VERBOSITY default
PREPARE read_one(text) AS SELECT version FROM es_read_stream($1);
EXECUTE read_one ('read-2');
PREPARE version(text) AS SELECT es_stream_version($1);
EXECUTE version ('read-1');
EXECUTE version ('read-none');
-- The tenant is that of the execution, not that of the preparation.
SET event_store.tenant_id = 'read';
EXECUTE read_one ('read-2');
EXECUTE version ('read-1');
RESET event_store.tenant_id;
EXECUTE read_one ('read-2');

-- The plan: the function is inlined, the index finds the stream, from the
-- version asked for on, in order, and nothing that is read is sorted.
CREATE FUNCTION regress.scans_of(query text) RETURNS TABLE (scan text, index text, condition text, is_sorted boolean) LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT json, COSTS off) ' || query INTO plan;
  RETURN QUERY
    WITH RECURSIVE nodes(plan, below_sort) AS (
      SELECT plan->0->'Plan', false
      UNION ALL
      SELECT child, nodes.below_sort OR nodes.plan->>'Node Type' LIKE '%Sort'
        FROM nodes, json_array_elements(nodes.plan->'Plans') child)
    SELECT concat_ws(' ', nodes.plan->>'Node Type', nullif(nodes.plan->>'Scan Direction', 'Forward')),
           nodes.plan->>'Index Name', regexp_replace(nodes.plan->>'Index Cond', '\$0|\(InitPlan 1\)\.col1', '(a subquery)'), nodes.below_sort
      FROM nodes WHERE nodes.plan->>'Node Type' LIKE '% Scan' AND nodes.plan->>'Node Type' <> 'Subquery Scan';
END $$;
CREATE TEMP TABLE names AS SELECT 'read-1' AS name;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
\x on
SELECT * FROM regress.scans_of($$ SELECT * FROM es_read_stream('read-1') $$);
SELECT * FROM regress.scans_of($$ SELECT * FROM es_read_stream('read-1', 3, 2) $$);
SELECT * FROM regress.scans_of($$ SELECT * FROM es_read_stream('read-1', backwards => true) $$);
SELECT * FROM regress.scans_of($$ SELECT * FROM es_read_stream('read-1', 3, 2, true) $$);
SELECT * FROM regress.scans_of($$ SELECT e.* FROM names, es_read_stream(names.name) e $$) WHERE index IS NOT NULL;
SELECT * FROM regress.scans_of($$ SELECT * FROM es_load_snapshot('read-1', 5) $$);
PREPARE read_all(text, bigint, bigint, boolean) AS SELECT * FROM es_read_stream($1, $2, $3, $4);
SELECT * FROM regress.scans_of($$ EXECUTE read_all('read-1', 3, 2, false) $$);
\x off
RESET plan_cache_mode;
RESET enable_seqscan;
RESET enable_bitmapscan;
DROP FUNCTION regress.scans_of(text);

-- Streams of very different lengths: a prepared read is not planned anew for each of them.
INSERT INTO es_events (stream_id, event_type, data)
SELECT 'skew-' || CASE WHEN i <= 3000 THEN 0 ELSE i END, 'A', '1' FROM generate_series(1, 3300) AS i;
ANALYZE es_events;
PREPARE whole(text) AS SELECT count(*) FROM es_read_stream($1);
EXECUTE whole ('skew-3001');
EXECUTE whole ('skew-3002');
EXECUTE whole ('skew-3003');
EXECUTE whole ('skew-3004');
EXECUTE whole ('skew-3005');
EXECUTE whole ('skew-3006');
EXECUTE whole ('skew-0');
SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'whole';
DEALLOCATE ALL;

-- A cursor, to and fro.
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT version FROM es_read_stream('read-1');
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
SELECT es_append('read-1', 'H', '8');
FETCH ALL FROM c;
ROLLBACK;

SELECT * FROM es_check();
