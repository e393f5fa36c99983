-- Waiting for projections.

CREATE FUNCTION es_wait(projection text DEFAULT NULL, timeout interval DEFAULT NULL) RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_wait';
COMMENT ON FUNCTION es_wait(text, interval) IS
  'waits until a projection, or all of them, has applied all events committed before the call; false at the timeout';
