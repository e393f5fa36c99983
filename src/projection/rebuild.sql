-- Projections: made anew from the log, and compared with it.

CREATE FUNCTION es_rebuild(name text, workers integer DEFAULT NULL) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_rebuild';
COMMENT ON FUNCTION es_rebuild(text, integer) IS
  'makes the contents of a projection anew from the log, while it is in use; returns the number of events';

CREATE FUNCTION es_verify(name text)
RETURNS TABLE (difference text, expected jsonb, actual jsonb)
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10
AS 'MODULE_PATHNAME', 'es_verify';
COMMENT ON FUNCTION es_verify(text) IS
  'compares the table of a view with its query over the log, and returns the rows that are missing, unexpected or different';

CREATE FUNCTION es_alter_view(name text, query text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_alter_view';
COMMENT ON FUNCTION es_alter_view(text, text) IS
  'gives a view another query, and makes its contents anew from the log while it is in use';
