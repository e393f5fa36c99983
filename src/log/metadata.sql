-- Metadata that events get from what has caused them.

CREATE FUNCTION es_cause(metadata jsonb, event_id uuid) RETURNS jsonb
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_cause';
COMMENT ON FUNCTION es_cause(jsonb, uuid) IS
  'metadata for events that are appended because of an event: its correlation id (or its id), its id as causation id, its user id and trace context';
