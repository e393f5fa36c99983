-- state_attacks: what functions of aggregates must not manage to do, and states that must not depend on the session.
-- In a database of its own, because of its aggregates.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_es_state_attacks;
\c regress_es_state_attacks
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION event_store;
CREATE TABLE written (by text);

-- The prohibition to write cannot be taken back, by those who compute states and those who decide.
CREATE FUNCTION reset_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE event.data->>'before';
  INSERT INTO written VALUES ('evolve');
  IF event.data ? 'after' THEN EXECUTE event.data->>'after'; END IF;
  RETURN '{}';
END $$;
CREATE FUNCTION reset_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE command->>'before';
  -- another one runs, which frees this one
  CREATE OR REPLACE FUNCTION reset_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $x$ BEGIN RETURN '{"type": "T", "data": 1}'; END $x$;
  PERFORM es_execute('other-1', '{}');
  INSERT INTO written VALUES ('decide');
  SET transaction_read_only = on;
  RETURN '{"type": "T", "data": 2}';
END $$;
CREATE FUNCTION plain_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('n', coalesce((state->>'n')::int, 0) + 1) $$;
SELECT es_create_aggregate('reset', 'reset', 'reset_evolve', decide => 'reset_decide');
SELECT es_create_aggregate('other', 'other', 'plain_evolve', decide => 'reset_decide');
SELECT es_append('reset-1', 'T', '{"before": "RESET transaction_read_only"}');
SELECT es_append('reset-2', 'T', '{"before": "SET LOCAL transaction_read_only TO DEFAULT", "after": "SET transaction_read_only = on"}');
SELECT es_append('reset-3', 'T', '{"before": "SET TRANSACTION READ WRITE"}');
CREATE FUNCTION code_of(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE command;
  RETURN 'no error';
EXCEPTION WHEN others THEN
  -- the message is another one where PostgreSQL refuses it by itself
  RETURN CASE WHEN SQLSTATE IN ('25006', '25001', '55P02', '0A000') THEN 'refused' ELSE SQLSTATE || ' ' || SQLERRM END;
END $$;
SELECT code_of('SELECT es_state(''reset-1'')'), code_of('SELECT es_state(''reset-2'')'), code_of('SELECT es_state(''reset-3'')');
SELECT code_of('SELECT es_execute(''reset-4'', ''{"before": "RESET transaction_read_only"}'')');
SELECT code_of('SELECT es_execute(''reset-5'', ''{"before": "SET LOCAL transaction_read_only TO DEFAULT"}'')');
SELECT * FROM written;
SELECT current_setting('transaction_read_only'), es_stream_version('reset-4'), es_stream_version('other-1');
-- What the caller writes is no offence.
CREATE FUNCTION plain_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN '{"type": "T", "data": 1}'; END $$;
SELECT es_create_aggregate('plain', 'plain', 'plain_evolve', decide => 'plain_decide');
WITH w AS (INSERT INTO written VALUES ('caller') RETURNING by)
  SELECT by, (es_execute('plain-1', '{}')).version, es_state('plain-1') FROM w;
CREATE TABLE states AS SELECT (es_execute('plain-1', '{}')).version, es_state('plain-1') FROM generate_series(1, 2);
SELECT * FROM states;

-- The text of a state in a snapshot: nothing is lost, or comes to mean another time, with formats that somebody likes.
CREATE FUNCTION sum_step(float8, es_event) RETURNS float8 LANGUAGE sql RETURN $1 + ($2.data #>> '{}')::float8;
CREATE FUNCTION time_step(timestamptz, es_event) RETURNS timestamptz LANGUAGE sql RETURN coalesce($1, '2026-07-01 12:00:00+00') + interval '1 day';
CREATE AGGREGATE sums(es_event) (SFUNC = sum_step, STYPE = float8, INITCOND = '0');
CREATE AGGREGATE times(es_event) (SFUNC = time_step, STYPE = timestamptz);
SET extra_float_digits = 0;
SET datestyle = 'SQL, DMY';
SET timezone = 'Asia/Kolkata';
SELECT es_create_aggregate('sums', 'formats', 'sums', snapshot_every => 2);
SELECT es_create_aggregate('times', 'formats', 'times', snapshot_every => 2);
SELECT count(es_append('formats-1', 'T', '0.1')) FROM generate_series(1, 3);
SELECT es_state('formats-1', aggregate => 'sums'), es_state('formats-1', aggregate => 'times');
SELECT aggregate, version, state FROM es_snapshots WHERE stream_id = 'formats-1' ORDER BY 1, 2;
\c
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SELECT count(es_append('formats-1', 'T', '0.1')) FROM generate_series(1, 3);
SELECT es_state('formats-1', aggregate => 'sums'), es_state('formats-1', aggregate => 'times');
SELECT aggregate, version, state FROM es_snapshots WHERE stream_id = 'formats-1' ORDER BY 1, 2;

-- Sessions with other settings use the same snapshots.
CREATE FUNCTION "Evolve"(state jsonb, event es_event) RETURNS jsonb
BEGIN ATOMIC
  SELECT CASE WHEN event.recorded_at > '2020-01-01 00:00:00+00'::timestamptz AND interval '1 day -2 hours' > '0' AND 0.1::float8 > 0
         THEN jsonb_build_object('version', event.version) ELSE state END;
END;
SELECT es_create_aggregate('session', 'session', '"Evolve"', snapshot_every => 1, keep => 10);
SELECT es_append('session-1', 'T', '1'), es_state('session-1') IS NOT NULL AS state;
SELECT es_state('session-1');
\c
SET client_min_messages = warning;
SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'; SET intervalstyle = 'iso_8601'; SET quote_all_identifiers = on; SET extra_float_digits = -3;
SELECT es_append('session-1', 'T', '2');
SELECT es_state('session-1');
SELECT version, count(*) OVER (PARTITION BY definition) AS of_the_same_definition FROM es_snapshots WHERE stream_id = 'session-1' ORDER BY 1;

-- A query over many streams saves a snapshot of each, and does not fill the shared table of locks.
SELECT es_create_aggregate('many', 'many', 'plain_evolve', snapshot_every => 1);
SELECT count(es_append('many-' || i, 'T', '1')) FROM generate_series(1, 300) i;
BEGIN;
SELECT count(es_state('many-' || i)) FROM generate_series(1, 300) i;
SELECT count(*) < 100 AS few, count(*) > 0 AS some FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory';
COMMIT;
SELECT count(*) FROM es_snapshots WHERE aggregate = 'many';

-- A composite type that changes below states that are kept, on its own and in an array.
CREATE TYPE pair AS (a int, b text);
CREATE FUNCTION pair_step(pair, es_event) RETURNS pair LANGUAGE sql AS $$ SELECT (coalesce($1.a::int, 0) + 1, 'x')::pair $$;
CREATE FUNCTION pairs_step(pair[], es_event) RETURNS pair[] LANGUAGE sql AS $$ SELECT $1 || ($2.version::int, 'x')::pair $$;
CREATE AGGREGATE pair_of(es_event) (SFUNC = pair_step, STYPE = pair);
CREATE AGGREGATE pairs_of(es_event) (SFUNC = pairs_step, STYPE = pair[], INITCOND = '{}');
SELECT es_create_aggregate('pair', 'pairs', 'pair_of', snapshot_every => 2);
SELECT es_create_aggregate('pairs', 'pairs', 'pairs_of', snapshot_every => 2);
SELECT count(es_append('pairs-1', 'T', '1')) FROM generate_series(1, 2);
SELECT es_state('pairs-1', aggregate => 'pair'), es_state('pairs-1', aggregate => 'pairs') FROM generate_series(1, 2);
SELECT es_state('pairs-1', aggregate => 'pair'), es_state('pairs-1', aggregate => 'pairs');
ALTER TYPE pair ALTER ATTRIBUTE a TYPE text;
DISCARD PLANS;      -- PostgreSQL 18 keeps those of SQL functions, and does not notice
SELECT es_state('pairs-1', aggregate => 'pair'), es_state('pairs-1', aggregate => 'pairs');
BEGIN;
ALTER TYPE pair ADD ATTRIBUTE c int;
CREATE OR REPLACE FUNCTION pair_step(pair, es_event) RETURNS pair LANGUAGE sql AS $$ SELECT (coalesce($1.a::int, 0) + 1, 'x', 3)::pair $$;
CREATE OR REPLACE FUNCTION pairs_step(pair[], es_event) RETURNS pair[] LANGUAGE sql AS $$ SELECT $1 || ($2.version::int, 'x', 3)::pair $$;
COMMIT;
SELECT es_append('pairs-1', 'T', '1');
SELECT es_state('pairs-1', aggregate => 'pair'), es_state('pairs-1', aggregate => 'pairs');

-- A session that reads its first state where the plan could be parallel; there functions must not begin commands.
CREATE FUNCTION stable_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN jsonb_build_object('version', event.version); END $$;
SELECT es_create_aggregate('stable', 'many', 'stable_evolve', snapshot_every => NULL);
CREATE TABLE ids AS SELECT 'many-' || i % 3 + 1 AS id FROM generate_series(1, 10000) i;
ANALYZE ids;
\c
SET client_min_messages = warning;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
CREATE TABLE of_ids AS SELECT id, n, es_state(id, aggregate => 'many') AS state, es_state(id, aggregate => 'stable') AS stable FROM (SELECT id, count(*) AS n FROM ids GROUP BY id) x;
SELECT * FROM of_ids ORDER BY id;

\c :old_database
DROP DATABASE regress_es_state_attacks;
