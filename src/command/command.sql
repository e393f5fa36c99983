-- Commands.

CREATE FUNCTION es_execute(
  stream_id        text,
  command          jsonb,
  command_id       uuid   DEFAULT NULL,
  expected_version bigint DEFAULT NULL,
  metadata         jsonb  DEFAULT NULL,
  aggregate        text   DEFAULT NULL,
  OUT version      bigint,
  OUT events       jsonb,
  OUT state        jsonb,
  OUT repeated     boolean
) RETURNS record
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_execute';
COMMENT ON FUNCTION es_execute(text, jsonb, uuid, bigint, jsonb, text) IS
  'lets the aggregate of a stream decide about a command and appends the events; returns the new version, the events and the state';
