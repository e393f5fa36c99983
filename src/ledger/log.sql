-- Reading the log: es_log, and the functions over it.

CREATE FUNCTION es_log_handler() RETURNS fdw_handler
LANGUAGE C STRICT
AS 'MODULE_PATHNAME', 'es_log_handler';
COMMENT ON FUNCTION es_log_handler() IS
  'foreign-data wrapper handler: plans and runs the scans of es_log';

CREATE FUNCTION es_log_validator(options text[], catalog oid) RETURNS void
LANGUAGE C STRICT
AS 'MODULE_PATHNAME', 'es_log_validator';
COMMENT ON FUNCTION es_log_validator(text[], oid) IS
  'foreign-data wrapper validator: there are no options';

-- A foreign table because only a scan of its own can return the events in
-- order of position without sorting them.  It reads es_events and es_commits
-- of this database.
CREATE FOREIGN DATA WRAPPER event_store_log
  HANDLER es_log_handler VALIDATOR es_log_validator;
COMMENT ON FOREIGN DATA WRAPPER event_store_log IS
  'scans of the event store''s log; serves es_log_events and no other table';

CREATE SERVER event_store_log FOREIGN DATA WRAPPER event_store_log;
COMMENT ON SERVER event_store_log IS
  'the event store of this database';

CREATE FOREIGN TABLE es_log_events (
  "position"     bigint,
  committed_at   timestamptz,
  tenant_id      text COLLATE "C",
  stream_id      text COLLATE "C",
  version        bigint,
  event_id       uuid,
  event_type     text COLLATE "C",
  schema_version integer,
  data           jsonb,
  metadata       jsonb,
  recorded_at    timestamptz,
  tx             bigint,
  ordinal        integer,
  piece          bigint
) SERVER event_store_log;
COMMENT ON FOREIGN TABLE es_log_events IS
  'the log as a relation: what es_log and es_read_all read';
COMMENT ON COLUMN es_log_events."position" IS 'place of the event in the log';
COMMENT ON COLUMN es_log_events.committed_at IS 'when its transaction was committed';
COMMENT ON COLUMN es_log_events.tenant_id IS 'as in es_events';
COMMENT ON COLUMN es_log_events.stream_id IS 'as in es_events';
COMMENT ON COLUMN es_log_events.version IS 'as in es_events';
COMMENT ON COLUMN es_log_events.event_id IS 'as in es_events';
COMMENT ON COLUMN es_log_events.event_type IS 'as in es_events, upcast';
COMMENT ON COLUMN es_log_events.schema_version IS 'as in es_events, upcast';
COMMENT ON COLUMN es_log_events.data IS 'as in es_events, upcast';
COMMENT ON COLUMN es_log_events.metadata IS 'as in es_events';
COMMENT ON COLUMN es_log_events.recorded_at IS 'as in es_events';
COMMENT ON COLUMN es_log_events.tx IS 'as in es_events';
COMMENT ON COLUMN es_log_events.ordinal IS 'as in es_events';
COMMENT ON COLUMN es_log_events.piece IS 'number among the rows that the event is read as';

CREATE VIEW es_log AS
  SELECT l."position", l.committed_at, l.tenant_id, l.stream_id, l.version,
         l.event_id, l.event_type, l.schema_version, l.data, l.metadata,
         l.recorded_at, l.tx, l.ordinal, l.piece
    FROM es_log_events l;
COMMENT ON VIEW es_log IS
  'all events that have their position, of all tenants: es_events in one order, upcast to their newest versions';
COMMENT ON COLUMN es_log."position" IS
  'place of the event in the log: 1, 2, 3 ... without a hole, in the order of commits';
COMMENT ON COLUMN es_log.committed_at IS 'when the transaction of the event was committed';
COMMENT ON COLUMN es_log.tenant_id IS 'tenant that the stream belongs to';
COMMENT ON COLUMN es_log.stream_id IS 'stream of the event';
COMMENT ON COLUMN es_log.version IS 'place of the event in its stream';
COMMENT ON COLUMN es_log.event_id IS 'identity of the event';
COMMENT ON COLUMN es_log.event_type IS 'what happened';
COMMENT ON COLUMN es_log.schema_version IS 'version of the shape of data';
COMMENT ON COLUMN es_log.data IS 'what the event says';
COMMENT ON COLUMN es_log.metadata IS 'what is known about the event';
COMMENT ON COLUMN es_log.recorded_at IS 'when the event was appended';
COMMENT ON COLUMN es_log.tx IS 'number of the appending transaction';
COMMENT ON COLUMN es_log.ordinal IS 'place of the event in its transaction';
COMMENT ON COLUMN es_log.piece IS
  'number of the row among those that the event is read as: 1, unless an upcaster has split it into several';

CREATE FUNCTION es_check_read_all(
  after_position bigint, max_count bigint, categories text[], event_types text[]
) RETURNS bigint
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_check_read_all';
COMMENT ON FUNCTION es_check_read_all(bigint, bigint, text[], text[]) IS
  'returns max_count, or raises the error for an argument that cannot be (used by the reading functions)';

CREATE FUNCTION es_check_read_category(category text, after_position bigint, max_count bigint) RETURNS bigint
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_check_read_category';
COMMENT ON FUNCTION es_check_read_category(text, bigint, bigint) IS
  'returns max_count, or raises the error for an argument that cannot be (used by the reading functions)';

CREATE FUNCTION es_read_all(
  after_position bigint DEFAULT 0,
  max_count      bigint DEFAULT NULL,
  categories     text[] DEFAULT NULL,
  event_types    text[] DEFAULT NULL
) RETURNS SETOF es_event
LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 1000
BEGIN ATOMIC
  SELECT l."position", l.stream_id, l.version, l.event_type, l.schema_version,
         l.data, l.metadata, l.event_id, l.recorded_at, l.tenant_id
    FROM es_log_events l
   WHERE l.tenant_id = es_tenant()
     AND l."position" > coalesce($1, 0)
     AND ($3 IS NULL OR es_category(l.stream_id) = ANY ($3))
     AND ($4 IS NULL OR l.event_type = ANY ($4))
   ORDER BY l."position"
   FETCH FIRST (es_check_read_all($1, $2, $3, $4)) ROWS WITH TIES;  -- an event is not cut into pieces
END;
COMMENT ON FUNCTION es_read_all(bigint, bigint, text[], text[]) IS
  'the log of the session''s tenant: events behind a position in order, at most max_count, of some categories or types';

CREATE FUNCTION es_read_category(
  category       text,
  after_position bigint DEFAULT 0,
  max_count      bigint DEFAULT NULL
) RETURNS SETOF es_event
LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 1000
BEGIN ATOMIC
  SELECT l."position", l.stream_id, l.version, l.event_type, l.schema_version,
         l.data, l.metadata, l.event_id, l.recorded_at, l.tenant_id
    FROM es_log_events l
   WHERE l.tenant_id = es_tenant()
     AND l."position" > coalesce($2, 0)
     AND es_category(l.stream_id) = $1
   ORDER BY l."position"
   FETCH FIRST (es_check_read_category($1, $2, $3)) ROWS WITH TIES;
END;
COMMENT ON FUNCTION es_read_category(text, bigint, bigint) IS
  'the log of one category of streams of the session''s tenant: events behind a position in order, at most max_count';
