-- Appending.

CREATE FUNCTION es_append(
  stream_id        text,
  event_type       text,
  data             jsonb,
  metadata         jsonb   DEFAULT NULL,
  expected_version bigint  DEFAULT NULL,
  event_id         uuid    DEFAULT NULL,
  schema_version   integer DEFAULT NULL
) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_append';
COMMENT ON FUNCTION es_append(text, text, jsonb, jsonb, bigint, uuid, integer) IS
  'appends one event to a stream; returns the new version of the stream';

CREATE FUNCTION es_append_batch(
  stream_id        text,
  event_types      text[],
  data             jsonb[],
  metadata         jsonb[]   DEFAULT NULL,
  expected_version bigint    DEFAULT NULL,
  event_ids        uuid[]    DEFAULT NULL,
  schema_versions  integer[] DEFAULT NULL
) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_append_batch';
COMMENT ON FUNCTION es_append_batch(text, text[], jsonb[], jsonb[], bigint, uuid[], integer[]) IS
  'appends several events to a stream, all or nothing; returns the new version of the stream';

CREATE FUNCTION es_append_json(
  stream_id        text,
  events           jsonb,
  expected_version bigint DEFAULT NULL
) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_append_json';
COMMENT ON FUNCTION es_append_json(text, jsonb, bigint) IS
  'appends the events of a JSON array to a stream, all or nothing; returns the new version of the stream';
