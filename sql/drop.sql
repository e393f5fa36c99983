-- drop: DROP EXTENSION leaves nothing behind.
\set SHOW_CONTEXT never

-- What users built on the store is not dropped with it unasked.
CREATE VIEW regress.types AS SELECT DISTINCT event_type FROM es_events;
DROP EXTENSION event_store;
SELECT count(*) > 0 AS still_there FROM es_events;
DROP VIEW regress.types;

-- A function of the library that is no longer the extension's.
CREATE FUNCTION regress.append(text, text, jsonb, jsonb DEFAULT NULL, bigint DEFAULT NULL, uuid DEFAULT NULL, int DEFAULT NULL)
RETURNS bigint LANGUAGE c AS '$libdir/event_store', 'es_append';
SELECT regress.append('drop-1', 'T', '1');
BEGIN;
DROP EXTENSION event_store;
SELECT regress.error_of($$SELECT regress.append('drop-1', 'T', '1')$$);
ROLLBACK;
SELECT regress.append('drop-1', 'T', '2', NULL, 1);

-- In the transaction that appended, and taken back.
BEGIN;
SELECT es_append('drop-1', 'T', '3');
DROP EXTENSION event_store;
SELECT to_regclass('es_events'), to_regproc('es_append');
ROLLBACK;
SELECT es_stream_version('drop-1');

-- And created anew there: the tx of the one store is not that of the other.
BEGIN;
SELECT es_append('drop-1', 'T', '3');
DROP EXTENSION event_store;
CREATE EXTENSION event_store;
SELECT es_stream_version('drop-1');
SAVEPOINT s;
SELECT es_append('drop-1', 'T', '1', expected_version => 0);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN;
DROP EXTENSION event_store;
CREATE EXTENSION event_store;
SELECT es_append('drop-1', 'T', '1', expected_version => 0);
SELECT version, tx, ordinal FROM es_events WHERE stream_id = 'drop-1';
ROLLBACK;
SELECT es_append('drop-1', 'T', '3', expected_version => 2);

DROP EXTENSION event_store;
\pset tuples_only on
\pset format unaligned
SELECT regress.error_of($$SELECT regress.append('drop-1', 'T', '1')$$);
\pset tuples_only off
\pset format aligned
DROP FUNCTION regress.append(text, text, jsonb, jsonb, bigint, uuid, int);
DROP FUNCTION regress.error_of(text), regress.places(text);
DROP SCHEMA regress;

-- Nothing is left: in the schema, in any schema, of privileges, of roles.
SELECT object.type, object.identity
  FROM (SELECT 'pg_class'::regclass, oid FROM pg_class WHERE relnamespace = 'public'::regnamespace OR relname LIKE '%es\_%event%'
        UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace OR prosrc LIKE 'es\_%' AND probin IS NOT NULL
        UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typnamespace = 'public'::regnamespace
        UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oprnamespace = 'public'::regnamespace
        UNION ALL SELECT 'pg_trigger'::regclass, oid FROM pg_trigger
        UNION ALL SELECT 'pg_extension'::regclass, oid FROM pg_extension WHERE extname <> 'plpgsql') o(classid, objid),
       pg_identify_object(classid, objid, 0) object
 ORDER BY 1, 2;
SELECT rolname FROM pg_roles WHERE rolname LIKE 'regress\_es%';

-- And it can be created again, by this session too.
CREATE EXTENSION event_store;
SELECT es_append('drop-1', 'T', '1', expected_version => 0);
SELECT * FROM es_check();
DROP EXTENSION event_store;
