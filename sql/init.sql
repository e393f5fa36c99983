-- init: CREATE EXTENSION, and what the other files share.
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- Only a superuser creates it: it is written in C.
CREATE ROLE regress_es_nobody;
SET ROLE regress_es_nobody;
CREATE EXTENSION event_store;
RESET ROLE;
DROP ROLE regress_es_nobody;

-- Any schema will do, also one whose name needs quotes.
CREATE SCHEMA "Some ""Schema";
CREATE EXTENSION event_store SCHEMA "Some ""Schema";
CREATE EXTENSION event_store;
ALTER EXTENSION event_store SET SCHEMA public;

SELECT "Some ""Schema".es_append('init-1', 'Created', '{}');
INSERT INTO "Some ""Schema".es_events (stream_id, event_type, data) VALUES ('init-1', 'Changed', '{}');
SELECT "Some ""Schema".es_save_snapshot('init-1', 2, '{}');
SELECT version, event_type FROM "Some ""Schema".es_read_stream('init-1');
SELECT version FROM "Some ""Schema".es_load_snapshot('init-1');

-- An append that goes the long way, because of a constraint of the user's,
-- finds its table there too.
ALTER TABLE "Some ""Schema".es_events ADD CONSTRAINT no_secrets CHECK (NOT data ? 'password');
SELECT "Some ""Schema".es_append('init-1', 'Changed', '{}');
\set VERBOSITY terse
SELECT "Some ""Schema".es_append('init-1', 'Changed', '{"password": "x"}');
\set VERBOSITY default

-- es_grant opens the schema to a role that could not use it.
CREATE ROLE "regress_es ""writer";
SELECT has_schema_privilege('regress_es "writer', 'Some "Schema', 'USAGE');
SELECT "Some ""Schema".es_grant('regress_es "writer', 'writer');
SELECT has_schema_privilege('regress_es "writer', 'Some "Schema', 'USAGE');
SET ROLE "regress_es ""writer";
SELECT "Some ""Schema".es_append('init-1', 'Closed', '{}');
SELECT count(*) FROM "Some ""Schema".es_events;
RESET ROLE;
SELECT "Some ""Schema".es_revoke('regress_es "writer', 'writer');
REVOKE ALL ON SCHEMA "Some ""Schema" FROM "regress_es ""writer";
DROP ROLE "regress_es ""writer";

-- All that belongs to the extension is in that schema, and goes with it. A
-- foreign server and its wrapper have none.
SELECT DISTINCT object.schema
  FROM pg_depend, pg_identify_object(classid, objid, objsubid) object
 WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
   AND object.type NOT IN ('foreign-data wrapper', 'server')
   AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'event_store');
DROP EXTENSION event_store;
DROP SCHEMA "Some ""Schema";

-- What somebody made there beforehand, to be called in place of what we call.
CREATE SCHEMA regress_trap;
SET search_path = regress_trap;
CREATE FUNCTION trap(arguments text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
DO $$
DECLARE
  signature text;
BEGIN
  FOREACH signature IN ARRAY ARRAY[
    'format(text, bigint)', 'format(text, bigint, bigint)', 'format(text, bigint, bigint, bigint)', 'format(text, bigint, integer, bigint, integer)',
    'format(text, uuid, bigint)', 'coalesce(bigint, integer)', 'coalesce(bigint, bigint)', 'es_tenant(text)', 'es_stream_version(name)', 'es_stream_version(varchar)',
    'es_check_read(text, bigint, integer)', 'es_check_version(bigint, integer)', 'split_part(text, text, bigint)'] LOOP
    EXECUTE format('CREATE FUNCTION %s RETURNS text LANGUAGE sql AS ''SELECT regress_trap.trap(null)''',
                   regexp_replace(signature, '^coalesce', '"coalesce"'));
  END LOOP;
END $$;
CREATE FUNCTION trap_step(timestamptz, timestamptz) RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE AGGREGATE lag(timestamptz) (SFUNC = trap_step, STYPE = timestamptz);
RESET search_path;
CREATE EXTENSION event_store SCHEMA regress_trap;
SELECT regress_trap.es_append('trap-1', 'T', '1'), regress_trap.es_append_batch('trap-1', '{T,T}', '{1,2}'), regress_trap.es_append_json('trap-1', '[]');
INSERT INTO regress_trap.es_events (stream_id, event_type, data) VALUES ('trap-1', 'T', '1');
SELECT regress_trap.es_save_snapshot('trap-1', 2, '1');
INSERT INTO regress_trap.es_snapshots (stream_id, version, state, created_at) VALUES ('trap-1', 7, '1', now());
SELECT count(*) FROM regress_trap.es_load_snapshot('trap-1', 3) s, regress_trap.es_read_stream('trap-1', 1, 2) f, regress_trap.es_read_stream('trap-1', 3, 2, true) b;
INSERT INTO regress_trap.es_events SELECT '', 'trap-2', v, '99999999-0000-4000-8000-000000000000', 'T', 1, '1', '{}', timestamptz '2020-01-01' - v * interval '1 day', 1000, v FROM generate_series(2, 3) v;
SELECT tenant_id = '' AS of_stream, count(*) AS problems FROM regress_trap.es_check() GROUP BY 1 ORDER BY 1;
SELECT regress_trap.es_delete_snapshots('trap-1', 9), regress_trap.es_category('trap-1');
DROP EXTENSION event_store;
-- Where a function of ours has been made already, the extension is not.
CREATE FUNCTION regress_trap.es_tenant() RETURNS text LANGUAGE sql AS 'SELECT regress_trap.trap(null)';
CREATE EXTENSION event_store SCHEMA regress_trap;
DROP SCHEMA regress_trap CASCADE;

-- The schema that is used from here on.  This session remembers nothing of the
-- store that it used before.
CREATE EXTENSION event_store;
SELECT es_stream_version('init-1');
SELECT es_append('init-1', 'Created', '{}');
SELECT version, event_type FROM es_read_stream('init-1');

-- Library and SQL are of the same version.
SELECT extversion = es_version() AS fit FROM pg_extension WHERE extname = 'event_store';

-- What the other files use.
CREATE SCHEMA regress;

CREATE FUNCTION regress.error_of(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message text;
  detail  text;
  hint    text;
  context text;
BEGIN
  EXECUTE command;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                          hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
  RETURN concat_ws(E'\n', SQLSTATE || ': ' || message,
                   'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''),
                   'CONTEXT: ' || substring(context FROM '^event \d+ of [^\n]*'));
END $$;
COMMENT ON FUNCTION regress.error_of(text) IS
  'SQLSTATE, message, detail, hint, and which event it is about, of the error that a command ends with';

-- Places of events in their transactions, the transactions numbered from 1.
CREATE FUNCTION regress.places(streams text)
RETURNS TABLE (tx bigint, ordinal integer, stream_id text, version bigint) LANGUAGE sql AS $$
  SELECT dense_rank() OVER (ORDER BY e.tx), e.ordinal, e.stream_id, e.version
    FROM es_events e WHERE e.stream_id LIKE streams ORDER BY e.tx, e.ordinal
$$;
COMMENT ON FUNCTION regress.places(text) IS
  'tx, counted from 1, and ordinal of the events of some streams';
