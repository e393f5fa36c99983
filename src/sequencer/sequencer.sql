-- Sequencing by hand, and waiting for the sequencer.

CREATE FUNCTION es_sequence() RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_sequence';
COMMENT ON FUNCTION es_sequence() IS
  'gives positions to all events committed so far, as the sequencer does, and returns their number; where a sequencer runs, waits for it';

CREATE FUNCTION es_wait_for_log(timeout interval DEFAULT NULL) RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_wait_for_log';
COMMENT ON FUNCTION es_wait_for_log(interval) IS
  'waits until all events committed before the call have positions; false at the timeout';

CREATE FUNCTION es_wait_for_position("position" bigint, timeout interval DEFAULT NULL) RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_wait_for_position';
COMMENT ON FUNCTION es_wait_for_position(bigint, interval) IS
  'waits until the log has reached a position; false at the timeout';
