-- A flow of events over all streams, as a tree.

-- A cause is older than what it causes.  A link that says otherwise is none, so
-- that there are no cycles.
CREATE FUNCTION es_trace(correlation_id text) RETURNS TABLE (
  depth integer, tree text, stream_id text, version bigint, event_type text, data jsonb, metadata jsonb,
  event_id uuid, caused_by uuid, recorded_at timestamptz)
LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 100
SET enable_nestloop = off       -- how large a flow is cannot be known from statistics,
SET jit = off                   -- and what this setting does to costs means nothing
BEGIN ATOMIC
  WITH RECURSIVE flow AS MATERIALIZED (
    SELECT f.*, pg_catalog.row_number() OVER (ORDER BY f.recorded_at, f.tx, f.ordinal) AS n
      FROM (SELECT e.* FROM es_events e
             WHERE e.tenant_id = es_tenant() AND e.metadata ->> 'correlation_id'::text = $1
             UNION ALL
            -- what has no correlation id is known to what it causes by its own
            SELECT e.* FROM es_events e
             WHERE e.tenant_id = es_tenant()
               AND e.event_id = CASE WHEN $1 ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'::text THEN $1::uuid END
               AND (e.metadata ->> 'correlation_id'::text = $1) IS NOT TRUE) f
  ), causes AS (
    SELECT f.event_id::text AS id, pg_catalog.min(f.n) AS n FROM flow f GROUP BY f.event_id
  ), links AS MATERIALIZED (
    SELECT f.n, c.n AS cause,
           pg_catalog.row_number() OVER (PARTITION BY c.n ORDER BY f.n DESC) = 1::bigint AS is_last
      FROM flow f LEFT JOIN causes c ON c.id = pg_catalog.lower(f.metadata ->> 'causation_id'::text) AND c.n < f.n
  ), marks AS MATERIALIZED (
    -- box-drawing characters, where the encoding has them
    SELECT pg_catalog.chr(CASE WHEN x.drawn THEN 9500 ELSE 124 END) || x.dash || ' '::text AS child,
           pg_catalog.chr(CASE WHEN x.drawn THEN 9492 ELSE 96 END) || x.dash || ' '::text AS last_child,
           pg_catalog.chr(CASE WHEN x.drawn THEN 9474 ELSE 124 END) || '  '::text AS beside
      FROM (SELECT y.drawn, pg_catalog.chr(CASE WHEN y.drawn THEN 9472 ELSE 45 END) AS dash
              FROM (SELECT pg_catalog.getdatabaseencoding() = 'UTF8'::name AS drawn) y) x
  ), found AS (
    SELECT l.n, l.cause, ARRAY[l.n] AS path, 0 AS depth, ''::text AS mark, ''::text AS indent
      FROM links l WHERE l.cause IS NULL
     UNION ALL
    SELECT l.n, l.cause, pg_catalog.array_append(p.path, l.n), p.depth + 1,
           p.indent || CASE WHEN l.is_last THEN (SELECT m.last_child FROM marks m) ELSE (SELECT m.child FROM marks m) END,
           p.indent || CASE WHEN l.is_last THEN '   '::text ELSE (SELECT m.beside FROM marks m) END
      FROM found p JOIN links l ON l.cause = p.n
  )
  SELECT t.depth, t.mark || u.event_type || ' '::text || f.stream_id, f.stream_id, f.version, u.event_type, u.data,
         f.metadata, f.event_id, c.event_id, f.recorded_at
    FROM found t JOIN flow f ON f.n = t.n LEFT JOIN flow c ON c.n = t.cause
         CROSS JOIN LATERAL es_upcast(f.event_type, f.schema_version, f.data, f.metadata, f.stream_id, f.version)
         WITH ORDINALITY AS u (event_type, schema_version, data, piece)
   ORDER BY t.path, u.piece;
END;
COMMENT ON FUNCTION es_trace(text) IS
  'the events of all streams with a correlation id, as a tree: below each event those that it has caused';
