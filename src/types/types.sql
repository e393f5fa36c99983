-- Event types: registering them, checking events, upcasting.

CREATE FUNCTION es_event_types_changed() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_event_types_changed';
COMMENT ON FUNCTION es_event_types_changed() IS
  'trigger function: tells all sessions that event types have changed';

-- For each row, too: a subscription fires no others.
CREATE TRIGGER es_event_types_changed
  AFTER INSERT OR UPDATE OR DELETE ON es_event_types
  FOR EACH ROW EXECUTE FUNCTION es_event_types_changed();
ALTER TABLE es_event_types ENABLE ALWAYS TRIGGER es_event_types_changed;
COMMENT ON TRIGGER es_event_types_changed ON es_event_types IS
  'tells all sessions that event types have changed';
CREATE TRIGGER es_event_types_truncated
  AFTER TRUNCATE ON es_event_types
  FOR EACH STATEMENT EXECUTE FUNCTION es_event_types_changed();
ALTER TABLE es_event_types ENABLE ALWAYS TRIGGER es_event_types_truncated;
COMMENT ON TRIGGER es_event_types_truncated ON es_event_types IS
  'tells all sessions that there are no event types any more';

CREATE FUNCTION es_register_event_type(
  event_type       text,
  schema_version   integer DEFAULT NULL,
  description      text    DEFAULT NULL,
  json_schema      jsonb   DEFAULT NULL,
  check_expression text    DEFAULT NULL,
  upcaster         text    DEFAULT NULL,
  status           text    DEFAULT 'active',
  published        boolean DEFAULT false,
  topic            text    DEFAULT NULL,
  compatibility    text    DEFAULT 'backward'
) RETURNS integer
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_register_event_type';
COMMENT ON FUNCTION es_register_event_type(text, integer, text, jsonb, text, text, text, boolean, text, text) IS
  'registers a version of an event type: its JSON Schema, its check, and how events of the version before become one of this; returns the version';

CREATE FUNCTION es_alter_event_type(
  event_type     text,
  schema_version integer,
  description    text    DEFAULT NULL,
  upcaster       text    DEFAULT NULL,
  published      boolean DEFAULT NULL,
  topic          text    DEFAULT NULL,
  owner          name    DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_alter_event_type';
COMMENT ON FUNCTION es_alter_event_type(text, integer, text, text, boolean, text, name) IS
  'changes what can be changed of a version of an event type; NULL leaves it as it is';

CREATE FUNCTION es_set_event_type_status(event_type text, schema_version integer, status text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_set_event_type_status';
COMMENT ON FUNCTION es_set_event_type_status(text, integer, text) IS
  'moves a version of an event type on: draft, active, deprecated, retired';

CREATE FUNCTION es_drop_event_type(event_type text, schema_version integer) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_drop_event_type';
COMMENT ON FUNCTION es_drop_event_type(text, integer) IS
  'drops a draft of an event type';

CREATE FUNCTION es_check_event(
  event_type     text,
  data           jsonb,
  schema_version integer DEFAULT 1,
  metadata       jsonb   DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'es_check_event';
COMMENT ON FUNCTION es_check_event(text, jsonb, integer, jsonb) IS
  'raises the error that an append of this event would raise for what its type says';

CREATE FUNCTION es_upcast_to(event_type text, schema_version integer, data jsonb) RETURNS es_upcast_event
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ROW(event_type, schema_version, data)::es_upcast_event;
COMMENT ON FUNCTION es_upcast_to(text, integer, jsonb) IS
  'for upcasters: an event of another type, or one of several that an event is split into';

CREATE FUNCTION es_upcast(
  event_type     text,
  schema_version integer,
  data           jsonb,
  metadata       jsonb  DEFAULT NULL,
  stream_id      text   DEFAULT NULL,
  version        bigint DEFAULT NULL
) RETURNS SETOF es_upcast_event
LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 1
AS 'MODULE_PATHNAME', 'es_upcast';
COMMENT ON FUNCTION es_upcast(text, integer, jsonb, jsonb, text, bigint) IS
  'what an event of this type and version is read as; stream_id and version are for error messages';
