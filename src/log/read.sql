-- Reading streams.
--
-- es_read_stream is a SQL function that the planner inlines, so that it costs
-- what the SELECT in it costs, conditions on its result reach the scan, and
-- the caller's own privileges count.  Its LIMIT clause checks the arguments.

CREATE FUNCTION es_check_read(stream_id text, version bigint, max_count bigint) RETURNS bigint
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_check_read';
COMMENT ON FUNCTION es_check_read(text, bigint, bigint) IS
  'returns max_count, or raises the error for an argument that cannot be (used by the reading functions)';

CREATE FUNCTION es_stream_version(stream_id text) RETURNS bigint
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_stream_version';
COMMENT ON FUNCTION es_stream_version(text) IS
  'version of a stream, that of its newest event; 0 when there is none';

CREATE FUNCTION es_read_forwards(stream_id text, from_version bigint, max_count bigint)
RETURNS SETOF es_event
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
  SELECT NULL::bigint, e.stream_id, e.version, e.event_type, e.schema_version,
         e.data, e.metadata, e.event_id, e.recorded_at, e.tenant_id
    FROM es_events e
   WHERE e.tenant_id = es_tenant()
     AND e.stream_id = $1
     AND e.version >= coalesce($2, 1)
   ORDER BY e.version
   LIMIT es_check_read($1, $2, $3);
END;
COMMENT ON FUNCTION es_read_forwards(text, bigint, bigint) IS
  'the events of a stream in order (what es_read_stream is planned as)';

-- A whole stream. A Limit node, where the arguments are checked otherwise, and a
-- bound that bounds nothing are a tenth of the cost of reading ten events.
CREATE FUNCTION es_stream_to_read(stream_id text) RETURNS text
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_stream_to_read';
COMMENT ON FUNCTION es_stream_to_read(text) IS
  'returns stream_id, or raises the error for one that cannot be (used by the reading functions)';

CREATE FUNCTION es_read_whole(stream_id text)
RETURNS SETOF es_event
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
  SELECT NULL::bigint, e.stream_id, e.version, e.event_type, e.schema_version,
         e.data, e.metadata, e.event_id, e.recorded_at, e.tenant_id
    FROM es_events e
   WHERE e.tenant_id = es_tenant()
     AND e.stream_id = es_stream_to_read($1)
   ORDER BY e.version;
END;
COMMENT ON FUNCTION es_read_whole(text) IS
  'all events of a stream in order, as they are stored (what es_read_stream is planned as)';

-- The same where the planner knows the stream. Without the subquery it would plan for that stream,
-- a little cheaper than for any, and so plan a prepared statement anew at each call, which takes
-- longer than reading ten events.
CREATE FUNCTION es_read_whole_known(stream_id text)
RETURNS SETOF es_event
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
  SELECT NULL::bigint, e.stream_id, e.version, e.event_type, e.schema_version,
         e.data, e.metadata, e.event_id, e.recorded_at, e.tenant_id
    FROM es_events e
   WHERE e.tenant_id = es_tenant()
     AND e.stream_id = (SELECT es_stream_to_read($1))
   ORDER BY e.version;
END;
COMMENT ON FUNCTION es_read_whole_known(text) IS
  'all events of a stream in order, as they are stored (what es_read_stream is planned as where the stream is a constant)';

CREATE FUNCTION es_read_backwards(stream_id text, from_version bigint, max_count bigint)
RETURNS SETOF es_event
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
  SELECT NULL::bigint, e.stream_id, e.version, e.event_type, e.schema_version,
         e.data, e.metadata, e.event_id, e.recorded_at, e.tenant_id
    FROM es_events e
   WHERE e.tenant_id = es_tenant()
     AND e.stream_id = $1
     AND e.version <= coalesce($2, 9223372036854775807)
   ORDER BY e.version DESC
   LIMIT es_check_read($1, $2, $3);
END;
COMMENT ON FUNCTION es_read_backwards(text, bigint, bigint) IS
  'the events of a stream in reverse order (what es_read_stream is planned as)';

CREATE FUNCTION es_version_at(stream_id text, as_of timestamptz) RETURNS bigint
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_version_at';
COMMENT ON FUNCTION es_version_at(text, timestamptz) IS
  'version of a stream at a time: that of its newest event recorded then or before; 0 when there is none';

-- Where the planner does not know the direction; one of the branches is empty.
CREATE FUNCTION es_read_either(stream_id text, from_version bigint, max_count bigint, backwards boolean)
RETURNS SETOF es_event
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
  SELECT * FROM (
    SELECT * FROM es_read_forwards($1, $2, $3) WHERE NOT coalesce($4, false)
    UNION ALL
    SELECT * FROM es_read_backwards($1, $2, $3) WHERE coalesce($4, false)
  ) events;
END;
COMMENT ON FUNCTION es_read_either(text, bigint, bigint, boolean) IS
  'the events of a stream in order or in reverse order, as they are stored (what es_read_stream is planned as)';

-- The same up to a time: versions up to that of the time, which is looked up
-- once.
CREATE FUNCTION es_read_forwards(stream_id text, from_version bigint, max_count bigint, until timestamptz)
RETURNS SETOF es_event
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
  SELECT NULL::bigint, e.stream_id, e.version, e.event_type, e.schema_version,
         e.data, e.metadata, e.event_id, e.recorded_at, e.tenant_id
    FROM es_events e
   WHERE e.tenant_id = es_tenant()
     AND e.stream_id = $1
     AND e.version >= coalesce($2, 1)
     AND e.version <= CASE WHEN $4 IS NULL THEN 9223372036854775807 ELSE es_version_at($1, $4) END
   ORDER BY e.version
   LIMIT es_check_read($1, $2, $3);
END;
COMMENT ON FUNCTION es_read_forwards(text, bigint, bigint, timestamptz) IS
  'the events of a stream up to a time, in order, as they are stored';

CREATE FUNCTION es_read_backwards(stream_id text, from_version bigint, max_count bigint, until timestamptz)
RETURNS SETOF es_event
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
  SELECT NULL::bigint, e.stream_id, e.version, e.event_type, e.schema_version,
         e.data, e.metadata, e.event_id, e.recorded_at, e.tenant_id
    FROM es_events e
   WHERE e.tenant_id = es_tenant()
     AND e.stream_id = $1
     AND e.version <= least($2, CASE WHEN $4 IS NULL THEN 9223372036854775807 ELSE es_version_at($1, $4) END)
   ORDER BY e.version DESC
   LIMIT es_check_read($1, $2, $3);
END;
COMMENT ON FUNCTION es_read_backwards(text, bigint, bigint, timestamptz) IS
  'the events of a stream up to a time, in reverse order, as they are stored';

-- Upcast events. es_upcast returns a set, so that the planner leaves the
-- subquery alone: each event is upcast once, whatever is asked of it, and after
-- the events are in order.
CREATE FUNCTION es_upcast_forwards(stream_id text, from_version bigint, max_count bigint, until timestamptz)
RETURNS SETOF es_event
LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 100
BEGIN ATOMIC
  SELECT NULL::bigint, u.stream_id, u.version, (u.piece).event_type, (u.piece).schema_version,
         (u.piece).data, u.metadata, u.event_id, u.recorded_at, u.tenant_id
    FROM (SELECT e.stream_id, e.version, e.metadata, e.event_id, e.recorded_at, e.tenant_id,
                 es_upcast(e.event_type, e.schema_version, e.data, e.metadata, e.stream_id, e.version) AS piece
            FROM es_read_forwards($1, $2, $3, $4) e
           ORDER BY e.version) u;
END;
COMMENT ON FUNCTION es_upcast_forwards(text, bigint, bigint, timestamptz) IS
  'the events of a stream in order, upcast (what es_read_stream is planned as)';

-- The pieces of an event are reversed, too.
CREATE FUNCTION es_upcast_backwards(stream_id text, from_version bigint, max_count bigint, until timestamptz)
RETURNS SETOF es_event
LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 100
BEGIN ATOMIC
  SELECT NULL::bigint, e.stream_id, e.version, u.event_type, u.schema_version,
         u.data, e.metadata, e.event_id, e.recorded_at, e.tenant_id
    FROM es_read_backwards($1, $2, $3, $4) e,
         LATERAL (SELECT p.event_type, p.schema_version, p.data
                    FROM es_upcast(e.event_type, e.schema_version, e.data, e.metadata, e.stream_id, e.version)
                         WITH ORDINALITY AS p(event_type, schema_version, data, n)
                   ORDER BY p.n DESC) u
   ORDER BY e.version DESC;
END;
COMMENT ON FUNCTION es_upcast_backwards(text, bigint, bigint, timestamptz) IS
  'the events of a stream in reverse order, upcast (what es_read_stream is planned as)';

CREATE FUNCTION es_read_stream_support(internal) RETURNS internal
LANGUAGE C STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_read_stream_support';
COMMENT ON FUNCTION es_read_stream_support(internal) IS
  'planner support function: puts the function for the case at hand in the place of es_read_stream';

-- The body counts only where there is a time, or an event can be read as
-- another and the planner does not know "backwards" or "raw"; all of the
-- branches but one are then empty.
CREATE FUNCTION es_read_stream(
  stream_id    text,
  from_version bigint      DEFAULT NULL,
  max_count    bigint      DEFAULT NULL,
  backwards    boolean     DEFAULT false,
  until        timestamptz DEFAULT NULL,
  raw          boolean     DEFAULT false
) RETURNS SETOF es_event
LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 100
SUPPORT es_read_stream_support
BEGIN ATOMIC
  SELECT * FROM (
    SELECT * FROM es_upcast_forwards($1, $2, $3, $5) WHERE NOT coalesce($4, false) AND NOT coalesce($6, false)
    UNION ALL
    SELECT * FROM es_upcast_backwards($1, $2, $3, $5) WHERE coalesce($4, false) AND NOT coalesce($6, false)
    UNION ALL
    SELECT * FROM es_read_forwards($1, $2, $3, $5) WHERE NOT coalesce($4, false) AND coalesce($6, false)
    UNION ALL
    SELECT * FROM es_read_backwards($1, $2, $3, $5) WHERE coalesce($4, false) AND coalesce($6, false)
  ) events;
END;
COMMENT ON FUNCTION es_read_stream(text, bigint, bigint, boolean, timestamptz, boolean) IS
  'the events of a stream in order, from a version on, at most max_count, or backwards, up to a time; upcast to their newest version, or raw';

-- Names of functions with "any" or polymorphic arguments are qualified: an
-- object of somebody who could create in this schema before the extension
-- might be a better match than that of pg_catalog.
CREATE FUNCTION es_check(
  OUT tenant_id text, OUT stream_id text, OUT problem text
) RETURNS SETOF record
LANGUAGE sql STABLE
BEGIN ATOMIC
  WITH commits AS (
    SELECT c.*, es_commit_problem(c.first_position, c.last_position, c.tx_range, c.entries) AS problem,
           coalesce(pg_catalog.lag(c.last_position) OVER (ORDER BY c.first_position), 0) AS previous
      FROM es_commits c
  ), entries AS (
    SELECT x."position", x.tx, x.events
      FROM commits c,
           es_commit_entries(c.first_position, CASE WHEN c.problem IS NULL THEN c.entries END) AS x
  )
  SELECT e.tenant_id, e.stream_id,
         pg_catalog.format('versions are not 1 to %s without a hole: %s events, the first at version %s',
                pg_catalog.max(e.version), pg_catalog.count(*), pg_catalog.min(e.version))
    FROM es_events e
   GROUP BY e.tenant_id, e.stream_id
  HAVING pg_catalog.count(*) <> pg_catalog.max(e.version) OR pg_catalog.min(e.version) <> 1
  UNION ALL
  SELECT e.tenant_id, e.stream_id,
         pg_catalog.format('event id %s is used %s times', e.event_id, pg_catalog.count(*))
    FROM es_events e
   GROUP BY e.tenant_id, e.stream_id, e.event_id
  HAVING pg_catalog.count(*) > 1
  UNION ALL
  SELECT e.tenant_id, e.stream_id,
         pg_catalog.format('recorded_at of version %s is before that of the version before', e.version)
    FROM (SELECT *, pg_catalog.lag(recorded_at) OVER (PARTITION BY tenant_id, stream_id ORDER BY version) AS previous
            FROM es_events) e
   WHERE e.recorded_at < e.previous
  UNION ALL
  SELECT NULL, NULL,
         pg_catalog.format('ordinals of tx %s are not 0 to %s without a hole: %s events, the first with ordinal %s',
                e.tx, pg_catalog.max(e.ordinal), pg_catalog.count(*), pg_catalog.min(e.ordinal))
    FROM es_events e
   GROUP BY e.tx
  HAVING pg_catalog.count(*) <> pg_catalog.max(e.ordinal) + 1 OR pg_catalog.min(e.ordinal) <> 0
  UNION ALL
  SELECT NULL, NULL,
         pg_catalog.format('sequence es_tx_seq is at %s, behind tx %s', s.last_value, e.tx)
    FROM es_tx_seq s, (SELECT pg_catalog.max(tx) AS tx FROM es_events) e
   WHERE e.tx > s.last_value OR (e.tx = s.last_value AND NOT s.is_called)
  UNION ALL
  SELECT NULL, NULL,
         pg_catalog.format('trigger %s of table %s is missing or not enabled ALWAYS', n.name, n.relation)
    FROM (VALUES ('zz_es_events_before_insert', 'es_events'::pg_catalog.regclass),
                 ('es_events_after_insert', 'es_events'::pg_catalog.regclass),
                 ('es_events_immutable', 'es_events'::pg_catalog.regclass),
                 ('es_events_immutable_row', 'es_events'::pg_catalog.regclass),
                 ('zz_es_commits_before_insert', 'es_commits'::pg_catalog.regclass),
                 ('es_commits_immutable', 'es_commits'::pg_catalog.regclass),
                 ('es_commits_immutable_row', 'es_commits'::pg_catalog.regclass)) AS n (name, relation)
   WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
                      WHERE t.tgrelid = n.relation::pg_catalog.oid
                        AND t.tgname = n.name::pg_catalog.name AND t.tgenabled = 'A')
  UNION ALL
  SELECT NULL, NULL,
         pg_catalog.format('ledger row at position %s is damaged: %s', c.first_position, c.problem)
    FROM commits c
   WHERE c.problem IS NOT NULL
  UNION ALL
  SELECT NULL, NULL,
         pg_catalog.format('positions are not dense: position %s of the ledger follows position %s',
                c.first_position, c.previous)
    FROM commits c
   WHERE c.first_position <> c.previous + 1::bigint
  UNION ALL
  SELECT NULL, NULL,
         pg_catalog.format('tx %s is in the ledger %s times, at positions %s',
                x.tx, pg_catalog.count(*), pg_catalog.string_agg(x."position"::text, ', '::text ORDER BY x."position"))
    FROM entries x
   GROUP BY x.tx
  HAVING pg_catalog.count(*) > 1
  UNION ALL
  SELECT NULL, NULL,
         pg_catalog.format('tx %s has %s events in the ledger, at position %s, and %s in es_events',
                x.tx, x.events, x."position", coalesce(e.events, 0))
    FROM entries x
    LEFT JOIN (SELECT tx, pg_catalog.count(*) AS events FROM es_events GROUP BY tx) e ON e.tx = x.tx
   WHERE x.events::bigint <> coalesce(e.events, 0)
  UNION ALL
  SELECT e.tenant_id, e.stream_id,
         pg_catalog.format('version %s has %s, but the version before has %s', e.version,
                coalesce('position ' || e."position"::text, 'no position'),
                coalesce('position ' || e.previous::text, 'none'))
    FROM (SELECT e.tenant_id, e.stream_id, e.version, x."position" + e.ordinal::bigint AS "position",
                 pg_catalog.lag(x."position" + e.ordinal::bigint) OVER w AS previous,
                 pg_catalog.row_number() OVER w AS n
            FROM es_events e LEFT JOIN entries x ON x.tx = e.tx
          WINDOW w AS (PARTITION BY e.tenant_id, e.stream_id ORDER BY e.version)) e
   WHERE e.n > 1::bigint AND e."position" IS NOT NULL
     AND (e.previous IS NULL OR e.previous >= e."position")
  UNION ALL
  SELECT s.tenant_id, s.stream_id,
         pg_catalog.format('snapshot of version %s is beyond the stream', s.version)
    FROM es_snapshots s
   WHERE NOT EXISTS (SELECT FROM es_events e
                      WHERE e.tenant_id = s.tenant_id AND e.stream_id = s.stream_id
                        AND e.version = s.version);
END;
COMMENT ON FUNCTION es_check() IS
  'reads the whole store and returns what is wrong with it; no row when all is well';
