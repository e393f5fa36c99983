-- What makes es_events an insert-only table of versioned streams.
--
-- The triggers fire ALWAYS, also under session_replication_role = replica.

CREATE FUNCTION es_events_before_insert() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_events_before_insert';
COMMENT ON FUNCTION es_events_before_insert() IS
  'trigger function: gives an inserted event its version, tx and ordinal';

CREATE FUNCTION es_events_after_insert() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_events_after_insert';
COMMENT ON FUNCTION es_events_after_insert() IS
  'trigger function: makes sure that every event of an INSERT was stored';

CREATE FUNCTION es_events_immutable() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_events_immutable';
COMMENT ON FUNCTION es_events_immutable() IS
  'trigger function: refuses UPDATE, DELETE and TRUNCATE of events';

-- Triggers fire in the order of their names; this one must be the last to see
-- a row, hence the name.
CREATE TRIGGER zz_es_events_before_insert BEFORE INSERT ON es_events
  FOR EACH ROW EXECUTE FUNCTION es_events_before_insert();
CREATE TRIGGER es_events_after_insert AFTER INSERT ON es_events
  FOR EACH STATEMENT EXECUTE FUNCTION es_events_after_insert();
CREATE TRIGGER es_events_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON es_events
  FOR EACH STATEMENT EXECUTE FUNCTION es_events_immutable();
CREATE TRIGGER es_events_immutable_row BEFORE UPDATE OR DELETE ON es_events
  FOR EACH ROW EXECUTE FUNCTION es_events_immutable();

ALTER TABLE es_events ENABLE ALWAYS TRIGGER zz_es_events_before_insert;
ALTER TABLE es_events ENABLE ALWAYS TRIGGER es_events_after_insert;
ALTER TABLE es_events ENABLE ALWAYS TRIGGER es_events_immutable;
ALTER TABLE es_events ENABLE ALWAYS TRIGGER es_events_immutable_row;

COMMENT ON TRIGGER zz_es_events_before_insert ON es_events IS
  'gives an inserted event its version, tx and ordinal';
COMMENT ON TRIGGER es_events_after_insert ON es_events IS
  'makes sure that every event of an INSERT was stored';
COMMENT ON TRIGGER es_events_immutable ON es_events IS
  'refuses UPDATE, DELETE and TRUNCATE of events';
COMMENT ON TRIGGER es_events_immutable_row ON es_events IS
  'refuses UPDATE and DELETE of events that a subscription applies';
