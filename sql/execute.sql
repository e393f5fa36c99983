-- execute: commands, decided on the state of their stream and executed once.
-- In a database of its own, because of its aggregates.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_es_execute;
\c regress_es_execute
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION event_store;
CREATE FUNCTION error_of(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text; h text;
BEGIN
  EXECUTE command;
  RETURN 'no error';
EXCEPTION WHEN others THEN
  GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
  RETURN SQLSTATE || ' ' || SQLERRM || CASE WHEN d <> '' THEN E'\n  ' || d ELSE '' END || CASE WHEN h <> '' THEN E'\n  ' || h ELSE '' END;
END $$;

CREATE FUNCTION account_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object('balance', (state->>'balance')::int + CASE event.event_type WHEN 'In' THEN 1 WHEN 'Out' THEN -1 ELSE 0 END * coalesce((event.data->>'amount')::int, 0),
                          'events', (state->>'events')::int + 1);
CREATE FUNCTION account_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE amount int := command->>'amount';
BEGIN
  IF amount = 0 THEN
    RETURN NULL;
  ELSIF amount + (state->>'balance')::int < 0 THEN
    RAISE EXCEPTION 'the account has not enough money' USING ERRCODE = 'AC001', DETAIL = format('Its balance is %s.', state->>'balance'), HINT = 'Wait for your pay.',
      COLUMN = 'c', TABLE = 't';
  END IF;
  RETURN jsonb_build_object('type', CASE WHEN amount < 0 THEN 'Out' ELSE 'In' END, 'data', jsonb_build_object('amount', abs(amount)));
END $$;
SELECT es_create_aggregate('account', 'account', 'account_evolve', '{"balance": 0, "events": 0}', decide => 'account_decide', snapshot_every => 5);
-- What tells: without ids that are made anew each time.
CREATE FUNCTION run(stream text, command jsonb, command_id uuid DEFAULT NULL, expected_version bigint DEFAULT NULL, metadata jsonb DEFAULT NULL, aggregate text DEFAULT NULL,
                    OUT version bigint, OUT events text, OUT state jsonb, OUT repeated bool) LANGUAGE sql AS $$
  SELECT x.version, (SELECT string_agg(concat_ws(' ', e->>'version', e->>'type', e->>'schema_version', e->>'data', nullif(e->>'metadata', '{}')), ', ' ORDER BY n) FROM jsonb_array_elements(x.events) WITH ORDINALITY y(e, n)),
         x.state, x.repeated
    FROM es_execute($1, $2, $3, $4, $5, $6) x $$;

-- From the initial state on; nothing happened; a domain error.
SELECT * FROM run('account-1', '{"amount": 10}');
SELECT * FROM run('account-1', '{"amount": -3}');
SELECT * FROM run('account-1', '{"amount": 0}');
SELECT events, repeated FROM es_execute('account-1', '{"amount": 0}');
SELECT * FROM run('account-0', '{"amount": 0}');
SELECT es_stream_version('account-0');
DO $$
DECLARE c text; t text; l text;
BEGIN
  PERFORM es_execute('account-1', '{"amount": -8}');
EXCEPTION WHEN SQLSTATE 'AC001' THEN
  GET STACKED DIAGNOSTICS c = PG_EXCEPTION_CONTEXT, t = TABLE_NAME, l = COLUMN_NAME;
  RAISE WARNING USING MESSAGE = SQLERRM || ' ' || t || ' ' || l || E'\n' || c;
END $$;
SELECT es_execute('account-1', '{"amount": -8}');
SELECT es_state('account-1'), es_stream_version('account-1');
SELECT jsonb_object_keys(e) FROM es_execute('account-1', '{"amount": 1}') x, jsonb_array_elements(x.events) e ORDER BY 1;
SELECT version, events->0 AS event FROM es_execute('account-1', '{"amount": 1}') \gset
SELECT :'event'::jsonb->>'id' = event_id::text AS same_id, :'event'::jsonb->'data' = data AS same_data FROM es_read_stream('account-1', :version);

-- Once, by the id of the command; the first answer again, as it was then.
SELECT * FROM run('account-2', '{"amount": 10}', '0198f7a2-7b1e-7c55-8d0f-9e8f2f1f5a01');
SELECT * FROM run('account-2', '{"amount": 20}', '0198f7a2-7b1e-7c55-8d0f-9e8f2f1f5a02');
SELECT * FROM run('account-2', '{"amount": 10}', '0198f7a2-7b1e-7c55-8d0f-9e8f2f1f5a01');
SELECT * FROM run('account-2', '{"amount": 10}', '0198f7a2-7b1e-7c55-8d0f-9e8f2f1f5a01', expected_version => 0);
SELECT * FROM run('account-2', '{"amount": 5}', '0198f7a2-7b1e-7c55-8d0f-9e8f2f1f5a02');
-- In another stream, and for another tenant, it is another.
SELECT * FROM run('account-3', '{"amount": 10}', '0198f7a2-7b1e-7c55-8d0f-9e8f2f1f5a01');
SET event_store.tenant_id = 'blue';
SELECT * FROM run('account-2', '{"amount": 10}', '0198f7a2-7b1e-7c55-8d0f-9e8f2f1f5a01');
RESET event_store.tenant_id;
SELECT tenant_id, stream_id, version, event_id FROM es_events WHERE metadata ? 'causation_id' ORDER BY 1, 2, 3;
-- What appended nothing, or failed, is decided again.
SELECT * FROM run('account-2', '{"amount": 0}', '0198f7a2-7b1e-7c55-8d0f-9e8f2f1f5a03');
SELECT error_of($$ SELECT run('account-2', '{"amount": -100}', '0198f7a2-7b1e-7c55-8d0f-9e8f2f1f5a03') $$);
SELECT * FROM run('account-2', '{"amount": 3}', '0198f7a2-7b1e-7c55-8d0f-9e8f2f1f5a03');
SELECT * FROM run('account-2', '{"amount": -100}', '0198f7a2-7b1e-7c55-8d0f-9e8f2f1f5a03');

-- The version that is expected.
SELECT * FROM run('account-4', '{"amount": 1}', expected_version => 0);
SELECT * FROM run('account-4', '{"amount": 1}', expected_version => 1);
SELECT * FROM run('account-4', '{"amount": 1}', expected_version => -1);
\pset tuples_only on
\pset format unaligned
SELECT error_of(format('SELECT es_execute(%L, ''{"amount": 1}'', expected_version => %s)', s, v))
  FROM (VALUES ('account-4', 0), ('account-4', 2), ('account-4', 4), ('account-5', -1), ('account-5', 1), ('account-4', -2)) x(s, v);
-- It is looked at before anything is decided, also if nothing happens then.
SELECT error_of($$ SELECT es_execute('account-4', '{"amount": 0}', expected_version => 1) $$);

-- What is wrong with a call.
SELECT error_of(c) FROM unnest(ARRAY[
  $$ SELECT es_execute(NULL, '{}') $$, $$ SELECT es_execute('account-1', NULL) $$, $$ SELECT es_execute('', '{}') $$, $$ SELECT es_execute('nothing-1', '{}') $$,
  $$ SELECT es_execute('account-1', '{}', aggregate => 'nothing') $$, $$ SELECT es_execute('account-1', '{}', metadata => '[]') $$]) c;
SELECT es_create_aggregate('undecided', 'undecided', 'account_evolve', '{"balance": 0, "events": 0}');
SELECT error_of($$ SELECT es_execute('undecided-1', '{}') $$);
\pset tuples_only off
\pset format aligned
SELECT es_stream_version('account-4'), es_stream_version('account-5');

-- Metadata: the event's own, then the call's, then the command's id, then the
-- settings.
CREATE FUNCTION meta_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT command $$;
SELECT es_create_aggregate('meta', 'meta', 'account_evolve', '{"balance": 0, "events": 0}', decide => 'meta_decide');
SET event_store.correlation_id = 'flow';
SET event_store.causation_id = 'of the session';
SELECT * FROM run('meta-1', '[{"type": "A", "data": 1}, {"type": "B", "data": 2, "metadata": {"user_id": "own", "causation_id": null}}]');
SELECT * FROM run('meta-1', '[{"type": "A", "data": 1}, {"type": "B", "data": 2, "metadata": {"user_id": "own", "causation_id": null}}]', metadata => '{"user_id": "call", "x": 1}');
SELECT * FROM run('meta-1', '[{"type": "A", "data": 1}, {"type": "B", "data": 2, "metadata": {"user_id": "own", "causation_id": null}}]', '0198f7a2-7b1e-4c55-8d0f-9e8f2f1f5a01', metadata => '{"user_id": "call"}');
SELECT * FROM run('meta-1', '[{"type": "A", "data": 1}]', '0198f7a2-7b1e-4c55-8d0f-9e8f2f1f5a02', metadata => '{"causation_id": "call"}');
RESET event_store.correlation_id;
RESET event_store.causation_id;
-- Several events of one command are found again, however many.
SELECT version, jsonb_array_length(events) AS n, repeated FROM es_execute('meta-2', (SELECT jsonb_agg(jsonb_build_object('type', 'T', 'data', i)) FROM generate_series(1, 1000) i), '0198f7a2-7b1e-4c55-8d0f-9e8f2f1f5a03');
SELECT es_append('meta-2', 'Then', '{}');
SELECT version, jsonb_array_length(events) AS n, events->999->>'data' AS last, state, repeated FROM es_execute('meta-2', '{}', '0198f7a2-7b1e-4c55-8d0f-9e8f2f1f5a03');
SELECT count(DISTINCT event_id), count(DISTINCT left(event_id::text, 20)) FROM es_read_stream('meta-2') WHERE event_type = 'T';
SELECT * FROM run('meta-3', '[{"type": "T", "data": null, "schema_version": 3, "id": "00000000-0000-4000-8000-000000000001"}, {"type": "U", "data": [], "id": "00000000-0000-4000-8000-000000000002"}]');

-- What decide may return, and what not.
CREATE FUNCTION many_decide(state jsonb, command jsonb) RETURNS jsonb[] LANGUAGE sql AS $$ SELECT array_agg(e) FROM jsonb_array_elements(CASE WHEN jsonb_typeof(command) = 'array' THEN command END) e $$;
CREATE FUNCTION lone_decide(state jsonb, command jsonb) RETURNS jsonb[] LANGUAGE sql AS $$ SELECT ARRAY[NULL, command, NULL] $$;
CREATE FUNCTION set_decide(state jsonb, command jsonb) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY SELECT e FROM jsonb_array_elements(command) e;
  RETURN NEXT NULL;
END $$;
CREATE FUNCTION sql_set_decide(state jsonb, command jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT e FROM jsonb_array_elements(command) e $$;
CREATE FUNCTION internal_decide(state jsonb, command jsonb) RETURNS jsonb STRICT LANGUAGE internal AS 'jsonb_concat';
SELECT es_create_aggregate(n, n, 'account_evolve', '{"balance": 0, "events": 0}', decide => (n || '_decide')::regproc) FROM unnest('{many,lone,set,sql_set}'::text[]) n;
SELECT n, x.* FROM unnest('{many,set,sql_set}'::text[]) n, run(n || '-1', '[{"type": "A", "data": 1}, {"type": "B", "data": {"x": [2]}}]') x;
SELECT n, x.* FROM unnest('{many,set,sql_set,meta}'::text[]) n, run(n || '-1', '[]') x;
SELECT * FROM run('many-1', '{}');
SELECT * FROM run('lone-1', '{"type": "A", "data": 1}');
SELECT n, x.version, x.repeated FROM unnest('{many,set,sql_set,lone}'::text[]) n, run(n || '-2', CASE n WHEN 'lone' THEN '{"type": "A", "data": 1}' ELSE '[{"type": "A", "data": 1}, {"type": "A", "data": 1}]' END::jsonb, '0198f7a2-7b1e-4c55-8d0f-9e8f2f1f5a04') x;
SELECT n, x.version, x.repeated FROM unnest('{many,set,sql_set,lone}'::text[]) n, run(n || '-2', CASE n WHEN 'lone' THEN '{"type": "A", "data": 1}' ELSE '[{"type": "A", "data": 1}, {"type": "A", "data": 1}]' END::jsonb, '0198f7a2-7b1e-4c55-8d0f-9e8f2f1f5a04') x;
\pset tuples_only on
\pset format unaligned
SELECT c || E'\n' || error_of(format('SELECT es_execute(''meta-4'', %L)', c))
  FROM unnest('{"null","1","\"x\"","{}","{\"type\": 1, \"data\": 1}","{\"type\": \"T\"}","{\"type\": \"T\", \"data\": 1, \"metadata\": 1}","{\"type\": \"T\", \"data\": 1, \"extra\": 1}","[1]","[[]]","[null]","[{\"type\": \"T\", \"data\": 1}, null]","{\"type\": \"\", \"data\": 1}","{\"type\": \"T\", \"data\": 1, \"schema_version\": 0}","{\"type\": \"T\", \"data\": 1, \"id\": \"x\"}","[{\"type\": \"T\", \"data\": 1, \"id\": \"00000000-0000-4000-8000-000000000001\"}, {\"type\": \"T\", \"data\": 1}]"}'::text[]) c;
SELECT n || ' ' || error_of(format('SELECT es_execute(%L, ''[1]'')', n || '-3')) FROM unnest('{many,set,sql_set,lone}'::text[]) n;
SELECT error_of($$ SELECT es_execute('meta-4', '{"type": "T", "data": 1, "id": "00000000-0000-4000-8000-000000000001"}', '0198f7a2-7b1e-4c55-8d0f-9e8f2f1f5a05') $$);
SELECT error_of($$ SELECT es_execute('meta-3', '{"type": "T", "data": 1, "id": "00000000-0000-4000-8000-000000000001"}') $$);
\pset tuples_only off
\pset format aligned
SELECT es_stream_version('meta-4');

-- Without an initial state: NULL, which a STRICT function would never see.
CREATE FUNCTION lax_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE RETURN coalesce(state, '[]') || to_jsonb(event.event_type);
CREATE FUNCTION lax_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('type', coalesce(state::text, 'none'), 'data', command) $$;
SELECT es_create_aggregate('lax', 'lax', 'lax_evolve', decide => 'lax_decide');
SELECT * FROM run('lax-1', 'null');
SELECT * FROM run('lax-1', 'null');
ALTER FUNCTION lax_decide STRICT;
SELECT version, state FROM run('lax-1', 'null');
\pset tuples_only on
\pset format unaligned
SELECT error_of($$ SELECT es_execute('lax-2', 'null') $$);
\pset tuples_only off
\pset format aligned

-- Replaced, dropped, taken away; and what looks right and is not.
CREATE OR REPLACE FUNCTION lax_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN '{"type": "Replaced", "data": 1}'; END $$;
SELECT version, events FROM run('lax-1', 'null');
CREATE OR REPLACE FUNCTION lax_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"type": "Again", "data": 1}'::jsonb $$;
SELECT version, events FROM run('lax-1', 'null');
DROP FUNCTION lax_decide;
\pset tuples_only on
\pset format unaligned
SELECT regexp_replace(error_of($$ SELECT es_execute('lax-1', 'null') $$), '\d{4,}', 'NNNN');
CREATE FUNCTION lax_decide2(state jsonb, command jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"type": "Second", "data": 1}'::jsonb $$;
SELECT es_alter_aggregate('lax', decide => 'lax_decide2');
SELECT version, events FROM run('lax-1', 'null');
CREATE FUNCTION bad1(state jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT state $$;
CREATE FUNCTION bad2(state jsonb, command jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
CREATE FUNCTION bad3(state jsonb, command jsonb) RETURNS SETOF jsonb[] LANGUAGE sql AS $$ SELECT ARRAY[state] $$;
CREATE FUNCTION bad4(state jsonb, command text) RETURNS jsonb LANGUAGE sql AS $$ SELECT state $$;
SELECT error_of(format('SELECT es_alter_aggregate(''lax'', decide => %L)', f)) FROM unnest('{bad1,bad2,bad3,bad4,max,no_such}'::text[]) f;
UPDATE es_aggregates SET decide = 'bad2(jsonb,jsonb)' WHERE name = 'lax';
SELECT error_of($$ SELECT es_execute('lax-1', 'null') $$);
UPDATE es_aggregates SET decide = 'bad3(jsonb,jsonb)' WHERE name = 'lax';
SELECT error_of($$ SELECT es_execute('lax-1', 'null') $$);

-- What it must not do: write, append, execute, take rights, run for ever.
CREATE TABLE written (x int);
CREATE SEQUENCE counted;
CREATE FUNCTION any_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN EXECUTE command #>> '{}'; RETURN jsonb_build_object('type', 'Done', 'data', current_user); END $$;
SELECT es_create_aggregate('any', 'any', 'account_evolve', '{"balance": 0, "events": 0}', decide => 'any_decide');
SELECT c || E'\n' || error_of(format('SELECT es_execute(''any-1'', %L)', to_jsonb(c)))
  FROM unnest(ARRAY['INSERT INTO written VALUES (1)', 'CREATE TEMP TABLE x ()', 'SELECT nextval(''counted'')', 'SELECT es_append(''any-2'', ''T'', ''{}'')', 'INSERT INTO es_events (stream_id, event_type, data) VALUES (''any-2'', ''T'', ''{}'')',
                    'SELECT es_execute(''account-1'', ''{"amount": 1}'')', 'SELECT es_execute(''any-1'', ''"SELECT 1"'')', 'SELECT es_save_snapshot(''account-1'', 1, ''{}'')', 'SET transaction_read_only = off', 'SELECT set_config(''transaction_read_only'', ''off'', false)',
                    'RESET ROLE', 'SET ROLE postgres', 'COMMIT', 'NOTIFY x', 'SELECT pg_advisory_xact_lock(1)', 'SELECT es_state(''account-1'')', 'SET search_path = nowhere']) c;
BEGIN;
SET LOCAL statement_timeout = '200ms';
SELECT es_execute('any-1', to_jsonb('DO $x$ BEGIN LOOP END LOOP; END $x$'::text));
ROLLBACK;
SHOW search_path;
SELECT count(*) FROM written;
INSERT INTO written VALUES (1);
SELECT es_stream_version('any-1'), es_stream_version('any-2');
\pset tuples_only off
\pset format aligned

-- As the owner of the aggregate, whoever calls; a writer need not be a reader.
CREATE ROLE regress_es_owner;
CREATE ROLE regress_es_clerk;
GRANT CREATE ON SCHEMA public TO regress_es_owner;
CREATE TABLE limits (maximum int);
INSERT INTO limits VALUES (100);
GRANT SELECT ON limits TO regress_es_owner;
SELECT es_grant('regress_es_owner', 'admin'), es_grant('regress_es_clerk', 'writer');
SET ROLE regress_es_owner;
CREATE FUNCTION limited_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF (command->>'amount')::int > (SELECT maximum FROM limits) THEN
    RAISE EXCEPTION 'too much' USING ERRCODE = 'AC002';
  END IF;
  RETURN jsonb_build_object('type', 'In', 'data', command || jsonb_build_object('by', current_user));
END $$;
REVOKE EXECUTE ON FUNCTION limited_decide FROM PUBLIC;
SELECT es_create_aggregate('limited', 'limited', 'account_evolve', '{"balance": 0, "events": 0}', decide => 'limited_decide');
SET ROLE regress_es_clerk;
SELECT * FROM run('limited-1', '{"amount": 100}', '0198f7a2-7b1e-4c55-8d0f-9e8f2f1f5a05');
SELECT * FROM run('limited-1', '{"amount": 100}', '0198f7a2-7b1e-4c55-8d0f-9e8f2f1f5a05');
\pset tuples_only on
\pset format unaligned
SELECT error_of(c) FROM unnest(ARRAY[$$ SELECT es_execute('limited-1', '{"amount": 101}') $$, $$ SELECT * FROM limits $$, $$ SELECT limited_decide('{}', '{}') $$, $$ SELECT * FROM es_events $$, $$ SELECT es_state('limited-1') $$]) c;
SELECT current_user;
RESET ROLE;
REVOKE SELECT ON limits FROM regress_es_owner;
SELECT error_of($$ SELECT es_execute('limited-1', '{"amount": 1}') $$);
GRANT SELECT ON limits TO regress_es_owner;
ALTER FUNCTION limited_decide OWNER TO CURRENT_USER;
REVOKE ALL ON FUNCTION limited_decide FROM PUBLIC, regress_es_owner;
SELECT error_of($$ SELECT es_execute('limited-1', '{"amount": 1}') $$);
GRANT EXECUTE ON FUNCTION limited_decide TO regress_es_owner;
SELECT error_of($$ SELECT es_execute('limited-1', '{"amount": 1}') $$);
SELECT es_revoke('regress_es_clerk', 'writer');
SET ROLE regress_es_clerk;
SELECT error_of($$ SELECT es_execute('limited-1', '{"amount": 1}') $$);
RESET ROLE;
SET default_transaction_read_only = on;
SELECT error_of($$ SELECT es_execute('limited-1', '{"amount": 1}') $$);
RESET default_transaction_read_only;
\pset tuples_only off
\pset format aligned

-- Transactions: twice in a statement, savepoints, handlers of exceptions,
-- cursors, two-phase commit; and the state that is kept is never a wrong one.
SELECT x.version, x.state, y.version, y.state FROM es_execute('account-6', '{"amount": 1}') x, es_execute('account-6', '{"amount": 2}') y;
BEGIN;
SELECT version, state FROM es_execute('account-6', '{"amount": 10}');
SAVEPOINT a;
SELECT version, state FROM es_execute('account-6', '{"amount": 100}', '0198f7a2-7b1e-4c55-8d0f-9e8f2f1f5a06');
SELECT version, state FROM es_execute('account-6', '{"amount": 1000}');
ROLLBACK TO a;
SELECT version, state, repeated FROM es_execute('account-6', '{"amount": 20}', '0198f7a2-7b1e-4c55-8d0f-9e8f2f1f5a06');
SAVEPOINT b;
SELECT es_execute('account-6', '{"amount": -1000}');
ROLLBACK TO b;
SELECT version, state FROM es_execute('account-6', '{"amount": -1}');
ROLLBACK;
SELECT version, state FROM es_execute('account-6', '{"amount": 5}');
DO $$
DECLARE r record;
BEGIN
  FOR i IN 1..5 LOOP
    BEGIN
      SELECT * INTO r FROM es_execute('account-6', jsonb_build_object('amount', CASE i WHEN 4 THEN -1000 ELSE i END));
      IF i = 2 THEN
        RAISE division_by_zero;
      END IF;
    EXCEPTION
      WHEN division_by_zero THEN RAISE WARNING 'taken back: % %', r.version, r.state;
      WHEN SQLSTATE 'AC001' THEN RAISE WARNING 'refused: %', i;
    END;
  END LOOP;
END $$;
SELECT version, state FROM es_execute('account-6', '{"amount": 1}');
SELECT count(*), max(x.version), sum((x.state->>'balance')::int) FROM generate_series(1, 50) i, es_execute('account-7', jsonb_build_object('amount', 1 + 0 * i)) x;
BEGIN;
DECLARE c CURSOR FOR SELECT x.version, x.state FROM generate_series(1, 3) i, es_execute('account-8', jsonb_build_object('amount', i)) x;
FETCH 2 FROM c;
SELECT version, state FROM es_execute('account-8', '{"amount": 100}');
FETCH 2 FROM c;
COMMIT;
BEGIN;
SELECT version, state FROM es_execute('account-8', '{"amount": 1000}');
PREPARE TRANSACTION 'regress_es_execute';
ROLLBACK PREPARED 'regress_es_execute';
SELECT version, state FROM es_execute('account-8', '{"amount": 1}');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT version, state FROM es_execute('account-8', '{"amount": 1}');
SELECT version, state FROM es_execute('account-8', '{"amount": 1}');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT version, state FROM es_execute('account-8', '{"amount": 1}');
SELECT version, state FROM es_execute('account-8', '{"amount": 1}');
COMMIT;
-- The trap of (f()).*: once for each column. (With an id it is safe.)
SELECT (x).version, (x).state, (x).repeated FROM (SELECT es_execute('account-9', '{"amount": 1}') AS x OFFSET 0) y;
CREATE TABLE star AS SELECT (es_execute('account-9', '{"amount": 1}')).*;
SELECT version, es_stream_version('account-9') FROM star;
DROP TABLE star;
CREATE TABLE star AS SELECT (es_execute('account-9', '{"amount": 1}', '0198f7a2-7b1e-4c55-8d0f-9e8f2f1f5a07')).*;
SELECT version, repeated, es_stream_version('account-9') FROM star;

-- Among other ways to append, with triggers of the user's and the cache off.
SELECT es_append('account-10', 'In', '{"amount": 7}');
SELECT version, state FROM es_execute('account-10', '{"amount": -7}');
INSERT INTO es_events (stream_id, event_type, data) VALUES ('account-10', 'In', '{"amount": 2}');
SELECT version, state FROM es_execute('account-10', '{"amount": -2}');
CREATE FUNCTION double_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.data := jsonb_build_object('amount', 2 * (NEW.data->>'amount')::int); RETURN NEW; END $$;
CREATE TRIGGER double_it BEFORE INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION double_it();
SELECT * FROM run('account-10', '{"amount": 3}');
DROP TRIGGER double_it ON es_events;
SET event_store.state_cache_size = 0;
SELECT version, state FROM es_execute('account-10', '{"amount": -6}');
SELECT version, state FROM es_execute('account-10', '{"amount": 1}');
RESET event_store.state_cache_size;
SELECT version, state FROM es_execute('account-10', '{"amount": 1}');

-- Inline projections see the events; what they append behind them is not the
-- command's.
SELECT es_sequence() > 0 AS sequenced;
CREATE TABLE seen (stream_id text, version bigint);
SELECT es_create_projection('reply', mode => 'inline', after_position => NULL, event_types => '{Asked}', handlers => '{"Asked": ["INSERT INTO seen VALUES (stream_id, version)", "SELECT es_append(stream_id, ''Replied'', ''{}'')",
   "SELECT es_execute(''account-11'', ''{\"amount\": 1}'', event.event_id)"]}');
SELECT * FROM run('meta-5', '{"type": "Asked", "data": 1}');
SELECT stream_id, version, event_type, metadata->>'causation_id' = (SELECT event_id::text FROM es_read_stream('meta-5', 1, 1)) AS caused_by_it FROM es_events WHERE stream_id IN ('meta-5', 'account-11') ORDER BY 1, 2;
SELECT * FROM seen;

-- An aggregate function for a fold; the state that decide gets is its result.
CREATE FUNCTION total_step(numeric, es_event) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT $1 + ($2.data->>'amount')::numeric $$;
CREATE FUNCTION total_final(numeric) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT jsonb_build_object('total', $1) $$;
CREATE AGGREGATE total(es_event) (SFUNC = total_step, STYPE = numeric, INITCOND = '0', FINALFUNC = total_final);
CREATE FUNCTION total_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('type', 'Added', 'data', command || jsonb_build_object('before', state->'total')) $$;
SELECT es_create_aggregate('total', 'total', 'total', decide => 'total_decide');
SELECT * FROM run('total-1', '{"amount": 1.5}');
SELECT * FROM run('total-1', '{"amount": 2.5}');
-- Two aggregates of a category.
SELECT es_create_aggregate('account2', 'account', 'lax_evolve', decide => 'total_decide');
\pset tuples_only on
\pset format unaligned
SELECT error_of($$ SELECT es_execute('account-1', '{"amount": 1}') $$);
\pset tuples_only off
\pset format aligned
SELECT * FROM run('account-1', '{"amount": 1}', aggregate => 'account');
SELECT * FROM run('account-12', '{"amount": 1}', aggregate => 'account2');

-- The new events are folded as they were handed to the table: what comes of that
-- is what reading them would have given, to the last field, and so are the answer
-- and what is kept for the next command.
CREATE FUNCTION all_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN state || to_jsonb(event); END $$;
CREATE FUNCTION field_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE
RETURN state || jsonb_build_array(event.stream_id, event.version, event.event_type, event.schema_version, event.data, event.metadata, event.event_id, event.recorded_at, event.tenant_id, event.position);
CREATE FUNCTION data_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE RETURN event.data;
CREATE FUNCTION metadata_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE RETURN event.metadata;
SELECT es_create_aggregate(n, n, (n || '_evolve')::regproc, '[]', decide => 'meta_decide', snapshot_every => NULL) FROM unnest('{all,field,data,metadata}'::text[]) n;
CREATE FUNCTION state_read(stream text, version bigint) RETURNS jsonb LANGUAGE sql SET event_store.state_cache_size = 0 AS $$ SELECT es_state($1, $2) $$;
CREATE FUNCTION events_read(stream text, version bigint, n int) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_agg(jsonb_build_object('id', event_id, 'type', event_type, 'version', e.version, 'schema_version', schema_version, 'data', data, 'metadata', metadata) ORDER BY e.version)
    FROM es_events e WHERE stream_id = $1 AND tenant_id = current_setting('event_store.tenant_id') AND e.version > $2 - $3 AND e.version <= $2 $$;
CREATE FUNCTION check_execute(stream text, command jsonb, command_id uuid DEFAULT NULL, metadata jsonb DEFAULT NULL, OUT version bigint, OUT n int, OUT same_state bool, OUT same_events bool) LANGUAGE sql AS $$
  SELECT x.version, jsonb_array_length(x.events), x.state = state_read($1, x.version), x.events = events_read($1, x.version, jsonb_array_length(x.events))
    FROM (SELECT * FROM es_execute($1, $2, $3, metadata => $4)) x $$;
CREATE TABLE given AS SELECT jsonb_build_object('large', repeat('x', 50000), 'random', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 500) i)) AS metadata;
BEGIN;
SET LOCAL event_store.correlation_id = 'flow';
SET LOCAL event_store.tenant_id = 'blue';
SELECT a, x.* FROM unnest('{all,field,data,metadata}'::text[]) a, check_execute(a || '-1', '[{"type": "A", "data": {"a": 1.50}}, {"type": "B", "data": null, "schema_version": 7, "metadata": {"own": []}}, {"type": "C", "data": "c"}]') x;
SELECT a, x.* FROM unnest('{all,field,data,metadata}'::text[]) a, check_execute(a || '-1', '[{"type": "A", "data": [1, {"a": "b"}]}, {"type": "B", "data": {}}]', '0198f7a2-7b1e-4c55-8d0f-9e8f2f1f5a08', '{"call": true}') x;
SELECT a, x.* FROM unnest('{all,field,data,metadata}'::text[]) a, check_execute(a || '-1', '[{"type": "A", "data": 1, "id": "00000000-0000-4000-8000-000000000002"}]') x;
COMMIT;
SELECT a, x.* FROM given, unnest('{all,field,data,metadata}'::text[]) a, check_execute(a || '-2', jsonb_build_array(jsonb_build_object('type', 'A', 'data', given.metadata), '{"type": "B", "data": {}}'::jsonb), NULL, metadata) x;
SELECT a, x.* FROM given, unnest('{all,field,data,metadata}'::text[]) a, check_execute(a || '-2', jsonb_build_array(jsonb_build_object('type', 'A', 'data', given.metadata))) x;
-- A clock that stepped back; columns and triggers of the user's: what they make
-- of a row is what counts.
INSERT INTO es_events (stream_id, event_type, data, recorded_at, tx, ordinal, version, event_id, metadata, schema_version)
  VALUES ('all-3', 'Future', '{}', '2999-01-01', 1000000, 0, 1, gen_random_uuid(), '{}', 1);
SELECT * FROM check_execute('all-3', '{"type": "A", "data": 1}');
SELECT state->1->>'recorded_at' LIKE '2999%' AS future FROM es_execute('all-3', '[]');
CREATE TRIGGER double_it BEFORE INSERT ON es_events FOR EACH ROW WHEN (NEW.data ? 'amount') EXECUTE FUNCTION double_it();
SELECT * FROM check_execute('all-4', '{"type": "A", "data": {"amount": 4}}');
SELECT state->0->'data' AS data FROM es_execute('all-4', '[]');
DROP TRIGGER double_it ON es_events;
CREATE FUNCTION echo_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.es_append(NEW.stream_id, 'Echo', '{}'); RETURN NULL; END $$;
CREATE TRIGGER echo_it AFTER INSERT ON es_events FOR EACH ROW WHEN (NEW.event_type = 'Shout') EXECUTE FUNCTION echo_it();
SELECT version, jsonb_array_length(state) AS folded, jsonb_array_length(events) AS events FROM es_execute('all-5', '{"type": "Shout", "data": 1}');
SELECT es_stream_version('all-5');
SELECT * FROM check_execute('all-5', '{"type": "A", "data": 1}');
DROP TRIGGER echo_it ON es_events;
-- Inline projections that append to the stream.
SELECT es_sequence() > 0 AS sequenced;
SELECT es_create_projection('echo', mode => 'inline', after_position => NULL, event_types => '{Cry}', handlers => '{"Cry": "SELECT es_append(stream_id, ''Echo'', ''{}'')"}');
SELECT version, jsonb_array_length(state) AS folded, jsonb_array_length(events) AS events FROM es_execute('all-6', '{"type": "Cry", "data": 1}');
SELECT es_stream_version('all-6');
SELECT * FROM check_execute('all-6', '[{"type": "Cry", "data": 1}, {"type": "A", "data": 1}]');
SELECT * FROM check_execute('all-6', '{"type": "A", "data": 1}');
SELECT es_drop_projection('echo');
-- What waits for its next use does not outlive a change of what it is made of:
-- functions, those that they call, types, rights.
CREATE FUNCTION plus(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x + 1; END $$;
CREATE TYPE shape AS (a int);
CREATE DOMAIN small AS int CHECK (VALUE < 1000);
CREATE FUNCTION waits_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE RETURN jsonb_build_object('n', plus((state->>'n')::int));
CREATE FUNCTION shape_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE RETURN to_jsonb(jsonb_populate_record(NULL::shape, event.data));
CREATE FUNCTION small_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE RETURN jsonb_build_object('n', (event.data->>'b')::small);
SELECT es_create_aggregate(n, n, (n || '_evolve')::regproc, '{"n": 0}', decide => 'meta_decide', snapshot_every => NULL) FROM unnest('{waits,shape,small}'::text[]) n;
SELECT n, version, state FROM unnest('{waits,shape,small,waits,shape,small}'::text[]) n, es_execute(n || '-1', '{"type": "A", "data": {"a": 1, "b": 2}}');
CREATE OR REPLACE FUNCTION plus(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x + 100; END $$;
ALTER TYPE shape ADD ATTRIBUTE b int;
SELECT n, version, state FROM unnest('{waits,shape}'::text[]) n, es_execute(n || '-1', '{"type": "A", "data": {"a": 1, "b": 2}}');
CREATE OR REPLACE FUNCTION waits_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE RETURN jsonb_build_object('m', coalesce((state->>'m')::int, 0) + 1);
SELECT version, state FROM es_execute('waits-1', '{"type": "A", "data": 1}');
ALTER DOMAIN small ADD CHECK (VALUE < 2) NOT VALID;
SELECT error_of($$ SELECT es_execute('small-1', '{"type": "A", "data": {"b": 2}}') $$);
-- (after an error, too)
SELECT error_of($$ SELECT es_execute('waits-1', '{"type": "A", "data": 1, "what": 2}') $$) ~ '^22023' AS refused;
CREATE OR REPLACE FUNCTION waits_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE RETURN jsonb_build_object('m', 1 / (4 - event.version)::int);
SELECT error_of($$ SELECT es_execute('waits-2', '[{"type": "A", "data": 1}, {"type": "A", "data": 1}, {"type": "A", "data": 1}, {"type": "A", "data": 1}]') $$);
SELECT version, state FROM es_execute('waits-2', '[{"type": "A", "data": 1}, {"type": "A", "data": 1}]');
-- The right to a function inside of another, through a role.
CREATE ROLE regress_es_group;
CREATE FUNCTION secret(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x + 1; END $$;
REVOKE ALL ON FUNCTION secret FROM PUBLIC;
GRANT EXECUTE ON FUNCTION secret TO regress_es_group;
GRANT regress_es_group TO regress_es_owner;
CREATE FUNCTION secret_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE RETURN jsonb_build_object('n', secret((state->>'n')::int));
SELECT es_create_aggregate('secret', 'secret', 'secret_evolve', '{"n": 0}', decide => 'meta_decide', snapshot_every => NULL);
SELECT es_alter_aggregate('secret', owner => 'regress_es_owner');
SELECT version, state FROM es_execute('secret-1', '{"type": "A", "data": 1}');
REVOKE regress_es_group FROM regress_es_owner;
SELECT error_of($$ SELECT es_execute('secret-1', '{"type": "A", "data": 1}') $$);
-- What is kept is not taken for the state of events that took the place of others.
BEGIN;
SELECT version FROM es_execute('data-3', '{"type": "A", "data": 1}');
SAVEPOINT a;
SELECT version, state FROM es_execute('data-3', '{"type": "A", "data": "taken back"}');
ROLLBACK TO a;
SELECT es_append('data-3', 'A', '"other"');
SELECT version, state FROM es_execute('data-3', '[]');
ROLLBACK TO a;
INSERT INTO es_events (stream_id, event_type, data) VALUES ('data-3', 'A', '"third"');
SELECT version, state FROM es_execute('data-3', '[]');
ROLLBACK;
SELECT es_append('data-3', 'A', '"fourth"'), es_append('data-3', 'A', '"fifth"');
SELECT version, state FROM es_execute('data-3', '[]');

-- Types that upcast.
SELECT es_register_event_type('Old', schema_version => 1);
SELECT es_register_event_type('Old', schema_version => 2, upcaster => 'data || jsonb_build_object(''up'', metadata)');
SELECT * FROM check_execute('all-7', '[{"type": "Old", "data": {"a": 1}}, {"type": "Old", "data": {"a": 2}, "schema_version": 2}]', NULL, '{"m": 1}');
SELECT state->0->'data' AS first, state->1->'data' AS second, state->0->'schema_version' AS schema_version FROM es_execute('all-7', '[]');

-- Old events come to the state of today; a large state; a long stream.

SELECT es_append_batch('account-13', array_agg('In'::text), array_agg('{"amount": 1}'::jsonb)) FROM generate_series(1, 1000);
SELECT version, state FROM run('account-13', '{"amount": -1000}', aggregate => 'account');
SELECT * FROM run('account-13', '{"amount": -1}', aggregate => 'account');

SELECT stream_id, es_state(stream_id, aggregate => 'account')->>'balance' AS state, sum(CASE event_type WHEN 'In' THEN 1 WHEN 'Out' THEN -1 ELSE 0 END * (data->>'amount')::int) AS truth
  FROM es_events WHERE stream_id LIKE 'account-%' AND tenant_id = '' GROUP BY stream_id
HAVING es_state(stream_id, aggregate => 'account')->>'balance' IS DISTINCT FROM sum(CASE event_type WHEN 'In' THEN 1 WHEN 'Out' THEN -1 ELSE 0 END * (data->>'amount')::int)::text;
SELECT * FROM es_check();
\c :old_database
DROP DATABASE regress_es_execute;
DROP ROLE regress_es_owner, regress_es_clerk, regress_es_group;
