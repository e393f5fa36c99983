-- metadata: what events get by themselves, from settings and from their cause.
-- In a database of its own: the log is sequenced and projected by hand.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_es_metadata;
\c regress_es_metadata
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
  RETURN SQLSTATE || ' ' || SQLERRM || E'\n  ' || d || CASE WHEN h <> '' THEN E'\n  ' || h ELSE '' END;
END $$;

-- Nothing set, nothing in it.
SHOW event_store.correlation_id;
SELECT es_append('none-1', 'T', '{}');
SELECT metadata FROM es_read_stream('none-1');

-- Every way to append; what an event states itself wins, a null too.
SET event_store.correlation_id = 'flow-1';
SET event_store.causation_id = 'command-1';
SET event_store.user_id = 'ümit';
SET event_store.traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
SELECT es_append('every-1', 'Append', '1');
SELECT es_append('every-1', 'Append', '2', '{}');
SELECT es_append('every-1', 'Append', '3', '{"user_id": "me", "own": {"a": [1, null]}}');
SELECT es_append('every-1', 'Append', '4', '{"correlation_id": null, "causation_id": 7, "user_id": {}, "traceparent": []}');
SELECT es_append_batch('every-1', '{B,B,B}', '{1,2,3}', ARRAY[NULL, '{"user_id": null}', '{"z": 0}']::jsonb[]);
SELECT es_append_batch('every-1', '{B}', '{4}');
SELECT es_append_json('every-1', '[{"type": "J", "data": 1}, {"type": "J", "data": 2, "metadata": null}, {"type": "J", "data": 3, "metadata": {"user_id": "me"}}]');
INSERT INTO es_events (stream_id, event_type, data) VALUES ('every-1', 'Insert', '1');
INSERT INTO es_events (stream_id, event_type, data, metadata) VALUES ('every-1', 'Insert', '2', NULL), ('every-1', 'Insert', '3', '{"user_id": "me"}');
COPY es_events (stream_id, event_type, data) FROM stdin;
every-1	Copy	1
\.
COPY es_events (stream_id, event_type, data, metadata) FROM stdin;
every-1	Copy	2	{"user_id": "me"}
every-1	Copy	3	\N
\.
SELECT event_type, data, metadata FROM es_read_stream('every-1');

-- The long way, because of a constraint of the user's; a batch of many; a
-- large value.
ALTER TABLE es_events ADD CONSTRAINT has_user CHECK (stream_id NOT LIKE 'user-%' OR metadata ? 'user_id');
SELECT es_append('user-1', 'Append', '1'), es_append('user-1', 'Append', '2', '{"user_id": null, "x": 1}');
SELECT es_append_batch('user-1', '{B,B}', '{1,2}', ARRAY['{"x": 1}', NULL]::jsonb[]);
SELECT event_type, data, metadata FROM es_read_stream('user-1');
RESET event_store.user_id;
\set VERBOSITY terse
SELECT es_append('user-1', 'Append', '3');
\set VERBOSITY default
ALTER TABLE es_events DROP CONSTRAINT has_user;
SELECT es_append_batch('many-1', array_agg('T'::text), array_agg(to_jsonb(i)), array_agg(CASE WHEN i % 2 = 0 THEN jsonb_build_object('i', i, 'large', repeat('x', i)) END))
  FROM generate_series(1, 3000) i;
SELECT count(*), count(*) FILTER (WHERE metadata - 'i' - 'large' = '{"causation_id": "command-1", "correlation_id": "flow-1", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}')
  FROM es_read_stream('many-1');

-- Copies of recorded events stay as they are.
INSERT INTO es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal)
  VALUES ('copied-1', 1, es_uuid_v7(), 'Copied', 1, '{}', '{"was": "so"}', now(), 1000000, 0);
SELECT metadata FROM es_read_stream('copied-1');

-- A retry is one whatever is set now: its metadata is that of the first time.
SELECT es_append('retry-1', 'T', '{}', event_id => '00000000-0000-4000-8000-000000000001');
SET event_store.correlation_id = 'flow-2';
SELECT es_append('retry-1', 'T', '{}', event_id => '00000000-0000-4000-8000-000000000001');
SELECT version, metadata->>'correlation_id' AS correlation_id FROM es_read_stream('retry-1');

-- Transactions, savepoints, functions: the setting that is in force counts.
RESET ALL;
SET client_min_messages = warning;
BEGIN;
SET LOCAL event_store.correlation_id = 'local';
SELECT es_append('scope-1', 'local', '{}');
SAVEPOINT s;
SET event_store.correlation_id = 'of the savepoint';
SET LOCAL event_store.user_id = 'somebody';
SELECT es_append('scope-1', 'of the savepoint, rolled back', '{}');
ROLLBACK TO s;
SELECT es_append('scope-1', 'local', '{}');
SAVEPOINT s;
SET event_store.correlation_id = 'session';
RELEASE s;
SELECT es_append('scope-1', 'session', '{}');
COMMIT;
SELECT es_append('scope-1', 'session', '{}');
BEGIN;
SET event_store.correlation_id = 'rolled back';
SELECT es_append('scope-1', 'rolled back', '{}');
ROLLBACK;
SELECT es_append('scope-1', 'session', '{}');
BEGIN;
SET LOCAL event_store.correlation_id = '';
SELECT es_append('scope-1', 'none', '{}');
COMMIT;
CREATE FUNCTION append_as(what text) RETURNS bigint LANGUAGE sql SET event_store.correlation_id = 'function' RETURN es_append('scope-1', what, '{}');
SELECT append_as('function');
SELECT es_append('scope-1', 'session', '{}');
SELECT set_config('event_store.correlation_id', c, false), es_append('scope-1', c, '{}') FROM unnest('{a,b}'::text[]) c;
DO $$
BEGIN
  PERFORM set_config('event_store.correlation_id', 'block', true);
  PERFORM es_append('scope-1', 'block', '{}');
  BEGIN
    PERFORM set_config('event_store.correlation_id', 'inner', true);
    PERFORM es_append('scope-1', 'inner', '{}');
    RAISE division_by_zero;
  EXCEPTION WHEN division_by_zero THEN
    PERFORM es_append('scope-1', 'block', '{}');
  END;
END $$;
SELECT es_append('scope-1', 'b', '{}');
SELECT event_type, metadata FROM es_read_stream('scope-1');
RESET event_store.correlation_id;

-- A trigger of the user's that changes it between the events of a call: all
-- have what was set when the call began.
CREATE FUNCTION change_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('event_store.user_id', NEW.version::text, false);
  RETURN NEW;
END $$;
CREATE TRIGGER change_it BEFORE INSERT ON es_events FOR EACH ROW WHEN (NEW.stream_id = 'changed-1') EXECUTE FUNCTION change_it();
SET event_store.user_id = 'before';
SELECT es_append_batch('changed-1', '{T,T,T}', '{1,2,3}');
SHOW event_store.user_id;
SELECT data, metadata FROM es_read_stream('changed-1');
DROP TRIGGER change_it ON es_events;
RESET event_store.user_id;

-- What is refused; and what is left alone then.
SET event_store.correlation_id = 'good';
\pset tuples_only on
\pset format unaligned
SELECT replace(error_of(format('SET event_store.%s = %L', s, v)), repeat('x', 256), 'xxx…')
  FROM (VALUES ('correlation_id', repeat('x', 256)), ('causation_id', E'a\tb'), ('user_id', E'a\nb'), 
               ('traceparent', 'x'), ('traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7'),
               ('traceparent', '00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01'), ('traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x'),
               ('traceparent', 'zz-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'), ('traceparent', '00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01')) x(s, v);
SELECT error_of(format('SET event_store.traceparent = %L', v))
  FROM (VALUES ('cc-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more'), ('')) x(v);
\pset tuples_only off
\pset format aligned
SELECT set_config('event_store.user_id', repeat('u', 255), false) = repeat('u', 255) AS longest;
SELECT es_append('good-1', 'T', '{}', '{"user_id": 1}');
SELECT metadata FROM es_read_stream('good-1');
RESET ALL;
SET client_min_messages = warning;

-- es_cause: the same by hand.
SELECT es_cause(m, '00000000-0000-4000-8000-000000000001')
  FROM unnest(ARRAY['{}', '{"correlation_id": "c", "causation_id": "not this", "user_id": "u", "traceparent": "t", "other": 1}',
                    '{"correlation_id": null, "user_id": null}', '{"correlation_id": 7}', '[]', '"correlation_id"', NULL]::jsonb[]) m;
SELECT es_cause('{}', NULL) IS NULL AS none;

-- Handlers: what they append was caused by the event. The settings of who
-- runs them do not count; those that they make themselves do.
CREATE FUNCTION as_saga() RETURNS bigint LANGUAGE sql SET event_store.user_id = 'saga' RETURN es_append('caused-1', 'Saga', '{}');
SELECT es_create_projection('caused', handlers => '{
  "Began": ["SELECT es_append(''caused-1'', ''Plain'', data)",
            "SELECT es_append_batch(''caused-1'', ''{B,B}'', ''{1,2}'', ARRAY[''{\"correlation_id\": \"own\", \"x\": 1}'', NULL]::jsonb[])",
            "SELECT es_append_json(''caused-1'', ''[{\"type\": \"J\", \"data\": 1}]'')",
            "INSERT INTO es_events (stream_id, event_type, data, metadata) VALUES (''caused-1'', ''Insert'', ''1'', ''{\"causation_id\": null}'')",
            "SELECT as_saga()"],
  "*": ""}', after_position => NULL);
CREATE FUNCTION shown(metadata jsonb) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT string_agg(key || '=' || coalesce((SELECT stream_id || '/' || version FROM es_events WHERE event_id::text = value), value, 'null'), ' ' ORDER BY key)
    FROM jsonb_each_text(metadata) $$;
SELECT es_append('cause-1', 'Began', '1');
SELECT es_append('cause-1', 'Began', '2', '{"correlation_id": "given", "causation_id": "x", "user_id": "u", "traceparent": "t", "other": 1}');
SET event_store.correlation_id = 'of the session';
SET event_store.user_id = 'of the session';
SELECT es_sequence(), es_run_projections();
SELECT event_type, data, shown(metadata) FROM es_read_stream('caused-1');
-- When it has run, nothing is caused by it; nor when it has failed.
SELECT es_append('after-1', 'T', '{}');
SELECT es_create_projection('failing', handlers => '{"Failing": "SELECT es_append(''x-1'', ''T'', ''{}''), 1 / data::int"}', after_position => NULL, max_retries => 0);
SELECT es_append('cause-2', 'Failing', '0');
SELECT es_sequence(), es_run_projections();
SELECT es_append('after-1', 'T', '{}');
SELECT shown(metadata) FROM es_read_stream('after-1');

-- Inline, in rounds: each event was caused by the one before. What the session
-- has set is in those that do not say otherwise.
SELECT es_drop_projection('caused'), es_drop_projection('failing');
SELECT es_sequence();
SELECT es_create_projection('chain', mode => 'inline', handlers => '{
  "A": "SELECT es_append(''chain-2'', ''B'', ''{}'', ''{\"user_id\": null}''), es_append(''chain-3'', ''B'', ''{}'')", "B": "SELECT es_append(''chain-4'', ''C'', ''{}'', ''{\"own\": 1}'')",
  "Failing": "SELECT es_append(''chain-5'', ''A'', ''{}''), 1 / data::int"}', after_position => NULL);
SELECT es_create_projection('statement', mode => 'inline', event_types => '{C}', after_position => NULL,
  statement => 'SELECT es_append(''chain-6'', ''D'', ''{}'', es_cause(metadata, event_id)), es_append(''chain-6'', ''D'', ''{}'') FROM es_log');
RESET event_store.correlation_id;
SELECT es_append('chain-1', 'A', '{}');
SELECT es_append('chain-1', 'Other', '{}');
DO $$
BEGIN
  PERFORM es_append('chain-1', 'Failing', '0');
EXCEPTION WHEN division_by_zero THEN
  PERFORM es_append('chain-1', 'Other', '{}');
END $$;
SELECT stream_id, version, event_type, shown(metadata) FROM es_events WHERE stream_id LIKE 'chain-%' ORDER BY stream_id, version;
-- An inline projection within a handler that is run by hand: the same.
SELECT es_create_projection('outer', handlers => '{"Start": ["SELECT es_append(''outer-2'', ''A'', ''{}'')", "SELECT es_append(''outer-2'', ''Then'', ''{}'')"]}', after_position => NULL);
SELECT es_append('outer-1', 'Start', '{}');
SELECT es_sequence(), es_run_projections('outer');
SELECT stream_id, version, event_type, shown(metadata) FROM es_events WHERE stream_id = 'outer-2' OR (stream_id = 'chain-2' AND version = 2) ORDER BY stream_id, version;

-- A database's and a role's own; a session that sets it before the library is
-- loaded.
ALTER DATABASE regress_es_metadata SET event_store.user_id = 'of the database';
\c -
SET client_min_messages = warning;
SELECT es_append('session-1', 'T', '{}');
\c -
SET client_min_messages = warning;
SET event_store.correlation_id = 'early';
SELECT es_append('session-1', 'T', '{}');
SELECT metadata FROM es_read_stream('session-1');

SELECT * FROM es_check();
\c :old_database
DROP DATABASE regress_es_metadata;
