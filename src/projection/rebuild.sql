-- Projections: made anew from the log, and compared with it.

CREATE FUNCTION es_rebuild(name text, workers integer DEFAULT NULL) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_rebuild';
COMMENT ON FUNCTION es_rebuild(text, integer) IS
  'makes the contents of a projection anew from the log, while it is in use; returns the number of events';
