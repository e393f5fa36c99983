-- What becomes of a view's query: the statements, and what is refused.
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SCHEMA regress_view;
SET search_path = regress_view, public, regress;
CREATE TABLE lookup (id int PRIMARY KEY, name text, other text COLLATE "POSIX");
CREATE TABLE es_cases (n serial, query text);
CREATE FUNCTION explain(query text) RETURNS TABLE (statement text) LANGUAGE sql AS
  $$ SELECT step || ': ' || regexp_replace(statement, '\s+', ' ', 'g') FROM es_explain_view(query) WHERE step <> 'fill' AND statement NOT LIKE 'COMMENT%' $$;
\pset tuples_only on
\pset format unaligned

-- Columns that are merged one by one.
SELECT explain('SELECT stream_id AS account, sum((data->>''amount'')::numeric(12,2)) AS balance, count(*) AS entries FROM es_log WHERE event_type IN (''In'', ''Out'') GROUP BY stream_id');
-- Columns computed from aggregates; keys that may be NULL.
SELECT explain('SELECT data->>''region'' AS region, count(*) AS n, sum(version) AS s, sum(version) / count(*) AS mean FROM es_log GROUP BY 1');
-- The states of an aggregate.
SELECT explain('SELECT data->>''region'' AS region, avg(version) AS mean FROM es_log GROUP BY 1');
-- One row.
SELECT explain('SELECT count(*) AS n, max(data->>''x'') AS x FROM es_log e');
-- No key.
SELECT explain('SELECT "position", upper(data->>''x'') AS "Name" FROM es_log');
-- No aggregates.
SELECT explain('SELECT tenant_id, stream_id FROM es_log GROUP BY tenant_id, stream_id');
-- The order of the log.
SELECT explain('SELECT l->>''item'' AS item, es_last(event_type) AS t, array_agg(l.value) AS a FROM es_log JOIN LATERAL jsonb_array_elements(data->''lines'') l ON true GROUP BY 1');
SELECT explain('SELECT stream_id, es_last(event_type) AS t, es_first(data->>''x'') FILTER (WHERE version > 1) AS x FROM es_log GROUP BY 1');
-- Names are qualified, whatever the search_path.
SELECT explain('SELECT name, count(*) AS n FROM es_log JOIN lookup ON id = version GROUP BY name');

\pset format aligned
-- Refused
INSERT INTO es_cases (query) VALUES
  (''), ('SELECT 1; SELECT 2'), ('DELETE FROM lookup'), ('SELEC'), ('VALUES (1)'), ('SELECT 1 AS x'), ('SELECT nothing FROM es_log'), ('SELECT version INTO t FROM es_log'),
  ('SELECT stream_id, row_number() OVER (ORDER BY version) AS n FROM es_log'),
  ('SELECT DISTINCT stream_id FROM es_log'), ('SELECT DISTINCT ON (stream_id) stream_id FROM es_log'),
  ('SELECT stream_id FROM es_log ORDER BY 1'), ('SELECT stream_id FROM es_log LIMIT 1'), ('SELECT stream_id FROM es_log OFFSET 1'),
  ('SELECT stream_id, count(*) FROM es_log GROUP BY 1 HAVING count(*) > 1'),
  ('SELECT stream_id, count(*) FROM es_log GROUP BY GROUPING SETS ((stream_id), ())'), ('SELECT stream_id, count(*) FROM es_log GROUP BY ROLLUP (stream_id)'),
  ('SELECT stream_id FROM es_log UNION SELECT stream_id FROM es_log'), ('SELECT name FROM lookup UNION ALL SELECT stream_id FROM es_log'),
  ('SELECT stream_id FROM es_log FOR UPDATE'), ('SELECT stream_id FROM es_log, LATERAL (SELECT id FROM lookup WHERE id = version FOR SHARE) l'),
  ('WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT stream_id, n FROM es_log, r'),
  ('WITH d AS (DELETE FROM lookup RETURNING id) SELECT stream_id, id FROM es_log, d'),
  ('WITH d AS (INSERT INTO lookup SELECT version FROM es_log RETURNING id) SELECT id FROM d'),
  ('WITH es_log AS (SELECT 1 AS x) SELECT x FROM es_log'), ('WITH es_merged AS (SELECT 1 AS x) SELECT x, version FROM es_log, es_merged'),
  ('SELECT a.version FROM es_log a, es_log b'), ('SELECT version FROM public.es_log'), ('SELECT l.version FROM es_events, es_log l'), ('SELECT l.version FROM es_log l, es_log_events'),
  ('SELECT name, (SELECT max(version) FROM es_log) AS m FROM lookup'), ('SELECT stream_id FROM es_log WHERE version IN (SELECT version FROM es_log)'),
  ('SELECT name FROM lookup WHERE id IN (SELECT version FROM es_log)'),
  ('SELECT n, count(*) FROM (SELECT stream_id, count(*) AS n FROM es_log GROUP BY 1) q GROUP BY 1'), ('SELECT version FROM (SELECT version FROM es_log LIMIT 1) q'),
  ('WITH q AS (SELECT version FROM es_log) SELECT a.version FROM q a, q b'),
  ('SELECT name FROM lookup LEFT JOIN es_log ON id = version'), ('SELECT name FROM es_log RIGHT JOIN lookup ON id = version'), ('SELECT name FROM es_log FULL JOIN lookup ON id = version'),
  ('SELECT j.name FROM (es_log JOIN lookup ON id = version) AS j'), ('SELECT version FROM es_log, lookup TABLESAMPLE system (10)'),
  ('SELECT version, random() AS r FROM es_log'), ('SELECT version, clock_timestamp() AS t FROM es_log'), ('SELECT version FROM es_log WHERE nextval(''es_cases_n_seq'') > 0'),
  ('SELECT version, now() AS t FROM es_log'), ('SELECT version, CURRENT_TIMESTAMP AS t FROM es_log'), ('SELECT version FROM es_log WHERE recorded_at > CURRENT_DATE'),
  ('SELECT version FROM es_log WHERE recorded_at > ''yesterday'''), ('SELECT version FROM es_log WHERE recorded_at > timestamptz '' Now'''), ('SELECT version FROM es_log WHERE recorded_at > $$today$$::date'), ('SELECT version FROM es_log WHERE recorded_at < E''tomorrow 10:00'''),
  ('SELECT version, current_user AS u FROM es_log'), ('SELECT version, session_user AS u FROM es_log'), ('SELECT version, age(recorded_at) AS a FROM es_log'),
  ('SELECT version, current_setting(''x.y'') AS s FROM es_log'), ('SELECT version FROM es_log WHERE tenant_id = es_tenant()'), ('SELECT version, es_stream_version(stream_id) AS v FROM es_log'),
  ('SELECT e.version FROM es_log, es_read_stream(es_log.stream_id) e'),
  ('SELECT stream_id, count(DISTINCT event_type) FROM es_log GROUP BY 1'), ('SELECT stream_id, array_agg(DISTINCT event_type) FROM es_log GROUP BY 1'),
  ('SELECT stream_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY version) FROM es_log GROUP BY 1'), ('SELECT stream_id, mode() WITHIN GROUP (ORDER BY version) FROM es_log GROUP BY 1'),
  ('SELECT stream_id, array_agg(event_type ORDER BY event_type) FROM es_log GROUP BY 1'), ('SELECT stream_id, array_agg(event_type ORDER BY position DESC) FROM es_log GROUP BY 1'),
  ('SELECT stream_id, es_last(event_type, version) FROM es_log GROUP BY 1'),
  ('SELECT stream_id, stddev(version) FROM es_log GROUP BY 1'), ('SELECT stream_id, corr(version, version) FROM es_log GROUP BY 1'), ('SELECT stream_id, json_agg(version) FROM es_log GROUP BY 1'),
  ('SELECT stream_id, mine(version::int) FROM es_log GROUP BY 1'),
  ('SELECT stream_id, sum((data->>''x'')::float8) FROM es_log GROUP BY 1'), ('SELECT stream_id, avg((data->>''x'')::real) FROM es_log GROUP BY 1'),
  ('SELECT stream_id, string_agg(event_type, data->>''x'') FROM es_log GROUP BY 1'),
  ('SELECT count(*) FROM es_log GROUP BY stream_id'), ('SELECT stream_id, count(*), 1 FROM es_log GROUP BY 1'), ('SELECT stream_id, count(*), count(version) FROM es_log GROUP BY 1'),
  ('SELECT version, ROW(1, 2) AS r FROM es_log'), ('SELECT data::json AS j, count(*) FROM es_log GROUP BY 1'), ('SELECT metadata::json->''x'' AS j FROM es_log'),
  ('SELECT stream_id, es_last(ROW(1, version))::text AS r FROM es_log GROUP BY 1'),
  ('SELECT stream_id || other AS k FROM es_log, lookup'), ('SELECT version FROM es_log WHERE version = $1'), ('SELECT FROM es_log'),
  ('SELECT stream_id, generate_series(1, count(*)) AS g FROM es_log GROUP BY 1'),
  ('SELECT stream_id, (SELECT max(es_log.version) FROM lookup) AS m, count(*) FROM es_log GROUP BY 1'),
  ('SELECT event_type, array_agg(to_jsonb(l)) AS a FROM es_log, jsonb_to_recordset(data) AS l(a int) GROUP BY 1'),
  ('SELECT event_type, array_agg(l) AS a FROM (SELECT event_type, jsonb_array_elements(data) AS l FROM es_log) q GROUP BY 1'),
  ('SELECT name, count(*) FROM es_log JOIN by_now ON id = version GROUP BY 1'), ('SELECT name, count(*) FROM es_log JOIN of_log ON true GROUP BY 1');
CREATE AGGREGATE mine(int) (SFUNC = int4pl, STYPE = int);
CREATE VIEW by_now AS SELECT *, now() AS t FROM lookup;
CREATE VIEW of_log AS SELECT stream_id AS name FROM es_log;
DO $$
DECLARE
  c record;
BEGIN
  FOR c IN SELECT query FROM es_cases ORDER BY n LOOP
    RAISE WARNING E'%\n%', c.query, regress.error_of(format('SELECT * FROM es_explain_view(%L)', c.query));
  END LOOP;
END $$;

-- The place in the query is shown there.
SELECT es_explain_view('SELECT stream_id, count(DISTINCT event_type) FROM es_log GROUP BY 1');
SELECT es_explain_view('SELECT stream_id, nothing FROM es_log');
SELECT es_explain_view(NULL);

-- Not refused: DISTINCT and ORDER BY where they make no difference, any join of look-ups, subqueries.
SELECT count(*) FROM es_explain_view('SELECT stream_id, max(DISTINCT version), sum(version ORDER BY version) FROM es_log GROUP BY 1');
\pset tuples_only off
RESET search_path;
DROP SCHEMA regress_view CASCADE;
