-- projection_inline: projections in the transaction that appends.
-- In a database of its own; positions come from es_sequence() where a mode
-- changes, and are of no use otherwise.
\set SHOW_CONTEXT never
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_projection_inline;
\c regress_projection_inline
SET client_min_messages = warning;
CREATE EXTENSION event_store;
CREATE SCHEMA regress;
CREATE FUNCTION regress.error_of(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message text; detail text; hint text;
BEGIN
  EXECUTE command;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n', SQLSTATE || ': ' || message, 'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''));
END $$;
\pset format unaligned
\pset null '-'
\pset tuples_only on

-- Each event that a projection gets, in the order in which it gets them, and
-- which batch it came in.
CREATE TABLE seen (id int GENERATED ALWAYS AS IDENTITY, projection text, batch int,
                   "position" bigint, stream_id text, version bigint, event_type text, data jsonb);
CREATE SEQUENCE batches;
CREATE FUNCTION regress.seen() RETURNS SETOF text LANGUAGE sql AS $$
  WITH gone AS (DELETE FROM public.seen RETURNING *)
  SELECT concat_ws(' ', projection, 'batch ' || dense_rank() OVER (ORDER BY batch), position, stream_id, version, event_type)
    FROM gone ORDER BY id
$$;
SELECT es_create_projection('one', $$
  INSERT INTO seen (projection, batch, position, stream_id, version, event_type, data)
  SELECT 'one', b, position, stream_id, version, event_type, data FROM es_log, (SELECT nextval('batches') AS b) b$$,
  mode => 'inline');
SELECT name, mode FROM es_projection_definitions;

-- Every way of appending.
SELECT es_append('a-1', 'Opened', '1');
SELECT * FROM regress.seen();
SELECT es_append_batch('a-1', '{Paid,Sent}', '{2,3}');
SELECT * FROM regress.seen();
SELECT es_append_json('a-2', '[{"type": "Opened", "data": 1}, {"type": "Paid", "data": 2}]');
SELECT * FROM regress.seen();
INSERT INTO es_events (stream_id, event_type, data) VALUES ('a-1', 'Lost', '4'), ('a-3', 'Opened', '1');
SELECT * FROM regress.seen();
COPY es_events (stream_id, event_type, data) FROM stdin;
a-3	Copied	2
a-4	Copied	1
a-3	Copied	3
\.
SELECT * FROM regress.seen();
SELECT sum(es_append('a-5', 'Many', to_jsonb(i))) FROM generate_series(1, 3) i;
SELECT * FROM regress.seen();
WITH i AS (INSERT INTO es_events (stream_id, event_type, data) VALUES ('a-6', 'CTE', '1') RETURNING version)
INSERT INTO es_events (stream_id, event_type, data) SELECT 'a-7', 'Main', to_jsonb(version) FROM i;
SELECT * FROM regress.seen();
PREPARE append AS SELECT es_append($1, $2, '1');
EXECUTE append ('a-8', 'Prepared');
SELECT * FROM regress.seen();
-- INSERT of an event while another one is appended
INSERT INTO es_events (stream_id, event_type, data)
  SELECT 'a-9', 'Outer', to_jsonb(es_append('a-10', 'Inner', to_jsonb(i))) FROM generate_series(1, 2) i;
SELECT * FROM regress.seen();

-- Nothing is appended, nothing is seen: a retry, no events, no rows.
SELECT es_append('a-1', 'Retried', '1', event_id => '00000000-0000-4000-8000-000000000001');
SELECT * FROM regress.seen();
SELECT es_append('a-1', 'Retried', '1', event_id => '00000000-0000-4000-8000-000000000001');
SELECT es_append_batch('a-1', '{}', '{}');
INSERT INTO es_events (stream_id, event_type, data) SELECT 'a-1', 'None', '1' WHERE false;
SELECT * FROM regress.seen();

-- Copies of recorded events are not seen.
INSERT INTO es_events SELECT '', 'copied-1', 1, '00000000-0000-4000-8000-000000000009', 'Copied', 1, '1', '{}', '2020-01-01', 100000, 0;
SELECT * FROM regress.seen();

-- Savepoints: ordinals that are given out again are seen again, and what was
-- seen before stays seen once.
BEGIN;
SELECT es_append('b-1', 'First', '1');
SAVEPOINT s1;
SELECT es_append('b-1', 'Undone', '1');
SAVEPOINT s2;
SELECT es_append('b-1', 'Undone', '1');
ROLLBACK TO s2;
SELECT es_append('b-1', 'Undone too', '1');
RELEASE s2;
ROLLBACK TO s1;
SELECT es_append('b-1', 'Second', '1');
RELEASE s1;
SELECT es_append('b-1', 'Third', '1');
COMMIT;
SELECT * FROM regress.seen();
BEGIN;
SELECT es_append('b-1', 'Nothing', '1');
ROLLBACK;
SELECT * FROM regress.seen();
DO $$
BEGIN
  FOR i IN 1..3 LOOP
    BEGIN
      PERFORM es_append('b-2', 'Try ' || i, '1');
      IF i = 2 THEN RAISE EXCEPTION 'undo'; END IF;
    EXCEPTION WHEN raise_exception THEN
      NULL;
    END;
  END LOOP;
END $$;
SELECT * FROM regress.seen();

-- A trigger of the user's on es_events appends in a block that is undone: what
-- had been seen in it is seen again.
CREATE FUNCTION regress.append_and_undo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.event_type = 'Row' THEN
    BEGIN
      PERFORM public.es_append('b-4', 'Undone', '1');
      RAISE EXCEPTION 'undo';
    EXCEPTION WHEN raise_exception THEN
      NULL;
    END;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER append_and_undo AFTER INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION regress.append_and_undo();
INSERT INTO es_events (stream_id, event_type, data) VALUES ('b-3', 'Row', '1'), ('b-3', 'Row', '2');
SELECT * FROM regress.seen();
SELECT es_append_batch('b-3', '{Row,Row}', '{3,4}');
SELECT * FROM regress.seen();
DROP TRIGGER append_and_undo ON es_events;

-- Two projections: in the order of their making; a filter.
SELECT es_sequence() > 0;
SELECT es_create_projection('two', $$
  INSERT INTO seen (projection, batch, position, stream_id, version, event_type, data)
  SELECT 'two', b, position, stream_id, version, event_type, data FROM es_log, (SELECT nextval('batches') AS b) b$$,
  mode => 'inline', after_position => NULL, event_types => '{Paid}', categories => '{c}');
SELECT es_append_batch('c-1', '{Opened,Paid}', '{1,2}');
SELECT es_append_batch('d-1', '{Opened,Paid}', '{1,2}');
SELECT * FROM regress.seen();

-- A projection that appends: its events are seen after those that it got, by
-- all of them, also if it is made from SQL that undoes a part.
SELECT es_sequence() > 0;
CREATE FUNCTION regress.reply(stream text, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM public.es_append('to-' || substr(stream, 1, 20), 'Asked', to_jsonb(n - 1)) WHERE n > 0;
  BEGIN
    PERFORM public.es_append('to-' || substr(stream, 1, 20), 'Undone', '1');
    RAISE EXCEPTION 'undo';
  EXCEPTION WHEN raise_exception THEN
    NULL;
  END;
END $$;
SELECT es_create_projection('saga', $$SELECT regress.reply(stream_id, data::int) FROM es_log$$,
  mode => 'inline', after_position => NULL, event_types => '{Asked}');
SELECT es_append_batch('c-2', '{Asked,Paid,Asked}', '{1,2,2}');
SELECT * FROM regress.seen();
-- Not without end.
SELECT regress.error_of($$SELECT es_append('x', 'Asked', '100000')$$);
SELECT * FROM regress.seen();
SELECT es_stream_version('x');

-- An error of a projection is the appender's, and he has appended nothing.
SELECT es_sequence() > 0;
SELECT es_create_projection('strict', $$SELECT 1 / (data::text)::int FROM es_log$$,
  mode => 'inline', after_position => NULL, categories => '{strict}');
SELECT regress.error_of($$SELECT es_append('strict-1', 'Paid', '0')$$);
SELECT regress.error_of($$INSERT INTO es_events (stream_id, event_type, data) VALUES ('strict-1', 'Paid', '1'), ('strict-1', 'Paid', '0')$$);
COPY es_events (stream_id, event_type, data) FROM stdin;
strict-1	Paid	1
strict-1	Paid	0
\.
SELECT es_stream_version('strict-1');
SELECT * FROM regress.seen();
BEGIN;
SELECT es_append('strict-1', 'Paid', '1');
SAVEPOINT s;
SELECT es_append('strict-1', 'Paid', '0');
ROLLBACK TO s;
SELECT es_append('strict-1', 'Paid', '2', expected_version => 1);
COMMIT;
SELECT * FROM regress.seen();
SELECT version, data FROM es_read_stream('strict-1');
-- fixed by hand: dropped
SELECT es_drop_projection('strict');
SELECT es_append('strict-1', 'Paid', '0');
SELECT * FROM regress.seen();
SELECT regress.error_of($$SELECT es_pause_projection('one')$$);

-- Old snapshots: what is inline is known as it is now.
\c
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only on
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT es_append('e-1', 'Repeatable', '1');
SELECT es_append('e-1', 'Repeatable', '2');
COMMIT;
SELECT * FROM regress.seen();
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT es_append('e-1', 'Serializable', '1');
COMMIT;
SELECT * FROM regress.seen();

-- Changes of mode: not in a transaction that has appended, not while events
-- have no position.
SELECT regress.error_of($$SELECT es_alter_projection('one', mode => 'async')$$);
SELECT es_sequence() > 0;
BEGIN;
SELECT es_append('f-1', 'Before', '1');
SELECT regress.error_of($$SELECT es_alter_projection('one', mode => 'async')$$);
ROLLBACK;
SELECT es_alter_projection('one', mode => 'async');
SELECT es_append('f-1', 'Async', '1');
SELECT * FROM regress.seen();
SELECT es_run_projections();
SELECT regress.error_of($$SELECT es_alter_projection('one', mode => 'inline')$$);
SELECT es_sequence() > 0;
BEGIN;
SELECT es_alter_projection('one', mode => 'inline');
SELECT stream_id, event_type FROM seen;
SELECT es_append('f-1', 'Inline', '1');
SELECT stream_id, event_type FROM seen;
ROLLBACK;
SELECT es_run_projections();
SELECT * FROM regress.seen();
SELECT es_pause_projection('one');
SELECT regress.error_of($$SELECT es_alter_projection('one', mode => 'inline')$$);
SELECT es_resume_projection('one');
SELECT es_alter_projection('one', mode => 'inline', event_types => '{Inline}');
SELECT es_append_batch('f-1', '{Inline,Other}', '{1,2}');
SELECT * FROM regress.seen();
SELECT es_run_projections();
SELECT es_alter_projection('one', event_types => '{}');
SELECT es_append_batch('f-1', '{Inline,Other}', '{1,2}');
SELECT * FROM regress.seen();

-- A saga that catches up appends; what it appends it gets itself.
SELECT es_sequence() > 0;
SELECT es_alter_projection('saga', mode => 'async');
SELECT es_append('g-1', 'Asked', '2');
SELECT * FROM regress.seen();
SELECT es_sequence();
SELECT es_alter_projection('saga', mode => 'inline');
SELECT * FROM regress.seen();
SELECT es_sequence();
SELECT es_run_projections();
SELECT es_append('g-1', 'Asked', '1');
SELECT * FROM regress.seen();

-- A view, with and without a state table, against its query.
SELECT es_sequence() > 0;
SELECT es_create_view('streams', 'SELECT stream_id, count(*) AS n, avg(version) AS v FROM es_log GROUP BY 1', mode => 'inline');
BEGIN;
SELECT es_append('h-1', 'A', '1'), es_append('h-2', 'A', '1'), es_append('h-1', 'A', '1');
SAVEPOINT s;
SELECT es_append('h-1', 'A', '1');
ROLLBACK TO s;
COMMIT;
SELECT * FROM streams WHERE stream_id ^@ 'h-' ORDER BY 1;
SELECT count(*) FROM streams FULL JOIN (SELECT stream_id, count(*) AS n, avg(version) AS v FROM es_events GROUP BY 1) e
 USING (stream_id, n, v) WHERE e.stream_id IS NULL OR streams.stream_id IS NULL;
-- renamed while inline
SELECT es_rename_projection('streams', 'regress.streams');
SELECT es_append('h-1', 'A', '1');
SELECT n FROM regress.streams WHERE stream_id = 'h-1';

-- by hand, and moved
ALTER TABLE regress.streams RENAME TO rivers;
SELECT es_append('h-1', 'A', '1');
ALTER TABLE regress.rivers SET SCHEMA public;
SELECT es_append('h-1', 'A', '1');
SELECT n FROM rivers WHERE stream_id = 'h-1';

-- Security: as the owner, in the session of somebody who may only append.
CREATE ROLE regress_es_owner;
CREATE ROLE regress_es_appender;
SELECT es_grant('regress_es_owner', 'admin'), es_grant('regress_es_appender', 'writer');
CREATE SCHEMA owned AUTHORIZATION regress_es_owner;
CREATE SCHEMA trap AUTHORIZATION regress_es_appender;
GRANT USAGE ON SCHEMA regress, trap TO regress_es_owner, regress_es_appender;
GRANT INSERT, SELECT, DELETE ON seen TO regress_es_appender;
SELECT es_sequence() > 0;
SELECT es_drop_projection(name) FROM es_projection_definitions;
SET ROLE regress_es_owner;
SET search_path = owned, public;
CREATE TABLE who (id int GENERATED ALWAYS AS IDENTITY, who name, session name, path text, stream_id text);
SELECT es_create_projection('who', $$INSERT INTO who (who, session, path, stream_id)
  SELECT current_user, session_user <> current_user, current_setting('search_path'), stream_id FROM es_log$$,
  mode => 'inline', after_position => NULL, categories => '{i}');
SELECT es_create_projection('evil', statements => ARRAY['SELECT 1'], mode => 'inline', after_position => NULL, categories => '{evil}');
CREATE FUNCTION escape(how text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE how; END $$;
SELECT es_create_projection('escape', $$SELECT escape(data->>'how') FROM es_log$$, mode => 'inline', after_position => NULL, categories => '{escape}');
RESET ROLE;
SET ROLE regress_es_appender;
SET search_path = trap, public;
CREATE FUNCTION trap.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'trapped' $$;
CREATE TABLE trap.who (who name, session name, path text, stream_id text);
SELECT es_append('i-1', 'A', '1');
SELECT current_user, current_setting('search_path');
SELECT regress.error_of(format('SELECT public.es_append(''escape-1'', ''A'', %L)', jsonb_build_object('how', how)))
  FROM (VALUES ('SET ROLE regress_es_appender'), ('RESET ROLE'), ('SET SESSION AUTHORIZATION DEFAULT'),
               ('CREATE TEMP TABLE t (i int)'), ('COMMIT'), ('DROP EXTENSION event_store'),
               ('DELETE FROM public.seen')) v(how);
SELECT public.es_append('escape-2', 'A', '{"how": "SET search_path = pg_catalog; SET event_store.tenant_id = ''x''"}');
SELECT current_user, pg_catalog.current_setting('search_path'), public.es_tenant();
RESET ROLE;
RESET search_path;
SELECT who, session, path, stream_id FROM owned.who ORDER BY id;
SELECT count(*) FROM trap.who;
-- The owner loses his rights.
REVOKE INSERT ON owned.who FROM regress_es_owner;
SELECT regress.error_of($$SELECT es_append('i-1', 'A', '1')$$);
SELECT es_revoke('regress_es_owner', 'admin');
SELECT regress.error_of($$SELECT es_append('i-1', 'A', '1')$$);
SELECT es_append('j-1', 'A', '1');

DROP EXTENSION event_store CASCADE;
DROP SCHEMA owned, trap CASCADE;
SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots WHERE database = current_database();
DROP OWNED BY regress_es_owner, regress_es_appender;
\pset tuples_only off
\c :old_database
DROP DATABASE regress_projection_inline;
DROP ROLE regress_es_owner, regress_es_appender;
