-- projection: the life cycle of projections, by hand: no worker runs here.
-- In a database of its own, with a sequencer that is called.
\set SHOW_CONTEXT never
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_projection;
\c regress_projection
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
CREATE VIEW regress.projections AS
  SELECT d.name, d.kind, d.mode, d.paused, d.partitions, d.on_error, d.max_retries, d.batch_size,
         d.categories, d.event_types, d.tenants,
         (SELECT string_agg(c.p, ' ' ORDER BY c.partition)
            FROM (SELECT partition, max(position) || '/' || max(events) AS p
                    FROM es_checkpoints WHERE projection_id = d.id GROUP BY partition) c) AS checkpoints
    FROM es_projection_definitions d;
\pset null '-'
\pset format unaligned

CREATE TABLE total (projection text PRIMARY KEY, events bigint NOT NULL);
INSERT INTO total SELECT 'p' || i, 0 FROM generate_series(1, 9) i;
SELECT es_append_batch('a-1', '{Opened,Paid}', ARRAY['{"n": 1}', '{"n": 2}']::jsonb[]);
SELECT es_append_batch('b-1', '{Opened,Paid}', ARRAY['{"n": 3}', '{"n": 4}']::jsonb[]);
SELECT es_sequence();

-- From the start, from now, from a position.
SELECT es_create_projection('p1', $$UPDATE total SET events = events + (SELECT count(*) FROM es_log) WHERE projection = 'p1'$$);
SELECT es_create_projection('p2', $$UPDATE total SET events = events + (SELECT count(*) FROM es_log) WHERE projection = 'p2'$$, after_position => NULL);
SELECT es_create_projection('p3', statements => ARRAY[
  $$UPDATE total SET events = events + (SELECT count(*) FROM es_log) WHERE projection = 'p3'$$,
  $$UPDATE total SET events = events + 100 WHERE projection = 'p3'$$], after_position => 3);
SELECT * FROM regress.projections ORDER BY name;
SELECT es_run_projections();
SELECT es_run_projections();
SELECT * FROM total WHERE events > 0 ORDER BY 1;
SELECT * FROM regress.projections ORDER BY name;

-- One of them.
SELECT es_append('a-2', 'Opened', '{"n": 5}');
SELECT es_sequence();
SELECT es_run_projections('p2');
SELECT * FROM total WHERE events > 0 ORDER BY 1;

-- Paused, it stays where it is; resumed, it misses nothing.
SELECT es_pause_projection('p1');
SELECT es_run_projections();
SELECT * FROM regress.projections ORDER BY name;
SELECT es_resume_projection('p1');
SELECT es_run_projections();
SELECT * FROM total WHERE events > 0 ORDER BY 1;

-- Another name.
SELECT es_rename_projection('p2', 'P 2');
SELECT es_rename_projection('P 2', 'p1');
SELECT es_rename_projection('p2', 'p4');
SELECT es_rename_projection('p1', '');
SELECT es_rename_projection('p1', NULL);

-- What it takes: from where it is.
SELECT es_append_batch('a-1', '{Opened,Paid}', ARRAY['{"n": 1}', '{"n": 2}']::jsonb[], expected_version => 2);
SELECT es_sequence();
SELECT es_run_projections('P 2');
SELECT es_alter_projection('P 2', categories => '{b,c}', event_types => '{Paid}');
SELECT es_append_batch('a-1', '{Opened,Paid}', ARRAY['{"n": 1}', '{"n": 2}']::jsonb[]);
SELECT es_append_batch('b-1', '{Opened,Paid}', ARRAY['{"n": 1}', '{"n": 2}']::jsonb[]);
SELECT es_sequence();
SELECT es_run_projections();
SELECT * FROM total WHERE events > 0 ORDER BY 1;
SELECT es_alter_projection('P 2', categories => '{}', event_types => '{}', tenants => '{""}', on_error => 'skip', max_retries => 0, batch_size => 2);
SELECT * FROM regress.projections WHERE name = 'P 2';
SELECT es_alter_projection('P 2', tenants => '{}', max_retries => -1, batch_size => 0, on_error => 'stop');
SELECT * FROM regress.projections WHERE name = 'P 2';

-- Partitions: all of them at one position when their number changes, however
-- far each was.
SELECT es_create_projection('p5', $$UPDATE total SET events = events + (SELECT count(*) FROM es_log) WHERE projection = 'p5'$$, partitions => 3);
SELECT * FROM regress.projections WHERE name = 'p5';
SELECT es_run_projections('p5');
SELECT events = es_head_position() AS all FROM total WHERE projection = 'p5';
SELECT es_append('s-' || i, 'Opened', '{}') FROM generate_series(1, 20) i;
SELECT es_sequence();
-- as if a crash had come between them
BEGIN;
SELECT es_run_projections('p5');
SAVEPOINT one_only;
DELETE FROM es_checkpoints WHERE partition > 0 AND position = (SELECT max(position) FROM es_checkpoints)
   AND projection_id = (SELECT id FROM es_projection_definitions WHERE name = 'p5');
UPDATE total SET events = (SELECT sum(events) FROM (SELECT DISTINCT ON (partition) events FROM es_checkpoints
    WHERE projection_id = (SELECT id FROM es_projection_definitions WHERE name = 'p5')
    ORDER BY partition, position DESC) c) WHERE projection = 'p5';
COMMIT;
SELECT events < es_head_position() AS behind FROM total WHERE projection = 'p5';
SELECT es_alter_projection('p5', partitions => 5);
SELECT events = es_head_position() AS all FROM total WHERE projection = 'p5';
SELECT checkpoints FROM regress.projections WHERE name = 'p5';
SELECT es_append('s-' || i, 'Closed', '{}') FROM generate_series(1, 20) i;
SELECT es_sequence();
SELECT es_run_projections('p5');
SELECT es_alter_projection('p5', partitions => 1);
SELECT es_append('s-' || i, 'Closed', '{}') FROM generate_series(1, 20) i;
SELECT es_sequence();
SELECT es_run_projections('p5');
SELECT events = es_head_position() AS all FROM total WHERE projection = 'p5';
SELECT partitions, checkpoints FROM regress.projections WHERE name = 'p5';

-- A projection that fails; resuming tries at once.
SELECT es_create_projection('broken', $$INSERT INTO total SELECT 'broken', 1 / (n.n - n.n) FROM (SELECT count(*) AS n FROM es_log) n$$, max_retries => 0);
SELECT es_run_projections('broken');
SELECT error_code, error_message, attempts, failed FROM es_projection_failures;
SELECT es_run_projections('broken');
SELECT es_resume_projection('broken');
SELECT count(*) FROM es_projection_failures;
SELECT es_run_projections('broken');
SELECT attempts, failed FROM es_projection_failures;
SELECT es_alter_projection('broken', partitions => 2);
SELECT es_drop_projection('broken');
SELECT count(*) FROM es_projection_failures;

-- Views: table and state table follow the projection.
SELECT es_create_view('balance', $$SELECT stream_id, count(*) AS events, avg((data->>'n')::numeric)::numeric(10, 2) AS mean FROM es_log GROUP BY stream_id$$, categories => '{a,b}');
SELECT * FROM balance ORDER BY 1;
SELECT es_rename_projection('balance', 'mean');
SELECT to_regclass('balance'), to_regclass('mean'), to_regclass('mean_es_state');
SELECT es_rename_projection('mean', 'regress."The Mean"');
SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relname ~* 'mean' ORDER BY 1;
SELECT es_append('b-1', 'Paid', '{"n": 100}');
SELECT es_sequence();
SELECT es_run_projections('regress."The Mean"');
SELECT * FROM regress."The Mean" ORDER BY 1;
SET client_min_messages = notice;
SELECT es_alter_projection('regress."The Mean"', categories => '{b}');
SET client_min_messages = warning;
CREATE VIEW regress.means AS SELECT * FROM regress."The Mean";
\pset tuples_only on
SELECT regress.error_of($$SELECT es_drop_projection('regress."The Mean"')$$);
DROP VIEW regress.means;
SELECT es_drop_projection('regress."The Mean"', keep_table => true);
SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relname ~* 'mean' ORDER BY 1;
SELECT es_create_view('regress."The Mean"', 'SELECT stream_id, avg(version) AS v FROM es_log GROUP BY 1');
DROP TABLE regress."The Mean";
SELECT es_create_view('regress."The Mean"', 'SELECT stream_id, avg(version) AS v FROM es_log GROUP BY 1', partitions => 2);
SELECT es_drop_projection('regress."The Mean"');
SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relname ~* 'mean' ORDER BY 1;

-- Its table dropped by hand: it fails, and can be dropped.
SELECT es_create_view('gone', 'SELECT stream_id, version FROM es_log', max_retries => 0);
DROP TABLE gone;
SELECT es_append('b-1', 'Paid', '{"n": 100}');
SELECT es_sequence();
SELECT es_run_projections('gone');
SELECT failed, error_code, error_message FROM es_projection_failures;
SELECT es_drop_projection('gone');
SELECT count(*) FROM es_projection_failures;

-- What cannot be.
CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM es_events;
SELECT regress.error_of(command) FROM (VALUES
  ($$SELECT es_create_projection('p1', 'SELECT 1')$$),
  ($$SELECT es_create_projection(NULL, 'SELECT 1')$$),
  ($$SELECT es_create_projection('', 'SELECT 1')$$),
  ($$SELECT es_create_projection(repeat('x', 256), 'SELECT 1')$$),
  ($$SELECT es_create_projection('x')$$),
  ($$SELECT es_create_projection('x', 'SELECT 1', refresh => 'm')$$),
  ($$SELECT es_create_projection('x', 'SELECT 1', mode => 'later')$$),
  ($$SELECT es_create_projection('x', 'SELECT 1', on_error => 'ignore')$$),
  ($$SELECT es_create_projection('x', 'SELECT 1', partitions => 0)$$),
  ($$SELECT es_create_projection('x', 'SELECT 1', partitions => 65)$$),
  ($$SELECT es_create_projection('x', 'SELECT 1', batch_size => 0)$$),
  ($$SELECT es_create_projection('x', 'SELECT 1', max_retries => -1)$$),
  ($$SELECT es_create_projection('x', 'SELECT 1', categories => '{}')$$),
  ($$SELECT es_create_projection('x', 'SELECT 1', categories => '{a,NULL}')$$),
  ($$SELECT es_create_projection('x', 'SELECT 1', after_position => -1)$$),
  ($$SELECT es_create_projection('x', 'SELECT 1', after_position => 1000000)$$),
  ($$SELECT es_create_projection('x', 'SELECT nothing')$$),
  ($$SELECT es_create_projection('x', 'COMMIT')$$),
  ($$SELECT es_create_projection('x', 'SELECT 1', mode => 'inline', partitions => 2)$$),
  ($$SELECT es_create_projection('x', refresh => 'm', mode => 'inline')$$),
  ($$SELECT es_create_projection('x', refresh => 'total')$$),
  ($$SELECT es_create_view('x', 'SELECT position, stream_id FROM es_log', mode => 'inline')$$),
  ($$SELECT es_create_view('pg_temp.x', 'SELECT stream_id FROM es_log')$$),
  ($$SELECT es_alter_projection('x')$$),
  ($$SELECT es_alter_projection(NULL)$$),
  ($$SELECT es_alter_projection('p1', mode => 'x')$$),
  ($$SELECT es_alter_projection('p1', on_error => 'x')$$),
  ($$SELECT es_alter_projection('p1', partitions => 0)$$),
  ($$SELECT es_alter_projection('p1', partitions => 2, mode => 'inline')$$),
  ($$SELECT es_alter_projection('p1', batch_size => -1)$$),
  ($$SELECT es_alter_projection('p1', max_retries => -2)$$),
  ($$SELECT es_alter_projection('p1', categories => '{{a},{b}}')$$),
  ($$SELECT es_alter_projection('p1', tenants => '{a,NULL}')$$),
  ($$SELECT es_alter_projection('p1', owner => 'regress_es_missing')$$),
  ($$SELECT es_pause_projection('x')$$),
  ($$SELECT es_resume_projection('x')$$),
  ($$SELECT es_drop_projection('x')$$),
  ($$SELECT es_run_projections('x')$$)) c(command);

-- Not in a transaction that looks at an old state.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT regress.error_of($$SELECT es_run_projections('p1')$$);
SELECT regress.error_of($$SELECT es_drop_projection('p1')$$);
COMMIT;
BEGIN READ ONLY;
SELECT regress.error_of($$SELECT es_run_projections('p1')$$);
SELECT regress.error_of($$SELECT es_pause_projection('p1')$$);
COMMIT;
\pset tuples_only off

-- A transaction that rolls back has changed nothing.
BEGIN;
SELECT es_drop_projection('p1');
SELECT es_create_view('undone', 'SELECT stream_id FROM es_log');
SELECT es_rename_projection('P 2', 'p2');
ROLLBACK;
SELECT name FROM es_projection_definitions ORDER BY 1;
SELECT to_regclass('undone');

-- Who may: whoever may read the log makes projections, with his own rights.
CREATE ROLE regress_es_maker;
CREATE ROLE regress_es_other;
CREATE ROLE regress_es_plain;
GRANT regress_es_other TO regress_es_maker;
CREATE SCHEMA made AUTHORIZATION regress_es_maker;
SELECT es_grant('regress_es_maker', 'reader');
SELECT es_grant('regress_es_other', 'reader');
\pset tuples_only on
SET ROLE regress_es_plain;
SELECT has_function_privilege(p.oid, 'EXECUTE'), p.proname
  FROM pg_proc p WHERE p.proname IN ('es_create_view', 'es_create_projection', 'es_run_projections', 'es_pause_projection',
    'es_resume_projection', 'es_rename_projection', 'es_drop_projection', 'es_alter_projection') ORDER BY 2;
RESET ROLE;
GRANT USAGE ON SCHEMA regress TO regress_es_maker;
SET ROLE regress_es_maker;
SELECT split_part(regress.error_of(command), E'\n', 1) FROM (VALUES
  ($$SELECT es_create_projection('x', $q$UPDATE total SET events = 1$q$)$$),
  ($$SELECT es_create_projection('x', $q$SELECT count(*) FROM total$q$)$$),
  ($$SELECT es_create_view('made.x', 'SELECT stream_id FROM es_log', mode => 'inline')$$),
  ($$SELECT es_create_view('public.x', 'SELECT stream_id FROM es_log')$$),
  ($$SELECT es_run_projections('p1')$$),
  ($$SELECT es_pause_projection('p1')$$),
  ($$SELECT es_resume_projection('p1')$$),
  ($$SELECT es_rename_projection('p1', 'x')$$),
  ($$SELECT es_alter_projection('p1', mode => 'inline')$$),
  ($$SELECT es_drop_projection('p1')$$)) c(command);
SELECT es_create_view('made.mine', 'SELECT stream_id, count(*) AS n FROM es_log GROUP BY 1');
SELECT left(regress.error_of($$SELECT es_alter_projection('made.mine', owner => 'regress_es_plain')$$), 13);
SELECT regress.error_of($$SELECT es_alter_projection('made.mine', owner => 'regress_es_other')$$);
GRANT USAGE, CREATE ON SCHEMA made TO regress_es_other;
SELECT es_alter_projection('made.mine', owner => 'regress_es_other');
SELECT tableowner FROM pg_tables WHERE tablename = 'mine';
SELECT es_pause_projection('made.mine');
RESET ROLE;
REVOKE regress_es_other FROM regress_es_maker;
SET ROLE regress_es_maker;
SELECT regress.error_of($$SELECT es_drop_projection('made.mine')$$);
RESET ROLE;
-- The owner has lost what he needs, or is gone.
SELECT es_resume_projection('made.mine');
SELECT es_revoke('regress_es_other', 'reader');
SELECT es_append('b-1', 'Paid', '{"n": 100}');
SELECT es_sequence();
SELECT es_run_projections('made.mine');
SELECT error_code, error_message FROM es_projection_failures;
ALTER TABLE made.mine OWNER TO regress_es_maker;
DROP OWNED BY regress_es_other;
DROP ROLE regress_es_other;
SELECT es_resume_projection('made.mine');
SELECT es_run_projections('made.mine');
SELECT error_code, error_message FROM es_projection_failures;
SELECT es_alter_projection('made.mine', owner => 'regress_es_maker');
SELECT es_resume_projection('made.mine');
SELECT es_run_projections('made.mine');
SELECT sum(n) = es_head_position() FROM made.mine;

-- A new filter does not find events that were passed before.
CREATE TABLE passed (n bigint);
SELECT es_create_projection('passed', 'INSERT INTO passed SELECT count(*) FROM es_log', after_position => NULL, event_types => '{Passed}');
SELECT count(es_append('c-1', 'Other', '{}')) FROM generate_series(1, 15);
SELECT es_sequence();
SELECT es_run_projections('passed');
SELECT es_alter_projection('passed', event_types => '{Passed,Other}');
SELECT es_append('c-1', 'Other', '{}');
SELECT es_sequence();
SELECT es_run_projections('passed');
SELECT n FROM passed;

-- The settings of who runs projections by hand neither change what they do ...
CREATE TABLE literal (t text, n bigint);
SELECT es_create_projection('literal', $$INSERT INTO literal SELECT 'a\\b', count(*) FILTER (WHERE event_type = NULL) FROM es_log$$, after_position => NULL);
SELECT es_append('c-2', 'Other', '{}');
SELECT es_sequence();
\c -
SET client_min_messages = error;
SET standard_conforming_strings = off;
SET transform_null_equals = on;
SELECT es_run_projections('literal');
RESET standard_conforming_strings;
SELECT * FROM literal;
-- ... nor make them fail: he may cancel, but not refuse to wait.
BEGIN;
LOCK TABLE literal;
PREPARE TRANSACTION 'regress_es_literal';
SELECT es_append('c-2', 'Other', '{}');
SELECT es_sequence();
SET lock_timeout = '1ms';
SET statement_timeout = '100ms';
SELECT es_run_projections('literal');
RESET lock_timeout;
RESET statement_timeout;
ROLLBACK PREPARED 'regress_es_literal';
SELECT count(*) FROM es_projection_failures;
SELECT es_run_projections('literal');
SET client_min_messages = warning;

-- What dropping the extension leaves: the read models.
DROP VIEW regress.projections;
DROP MATERIALIZED VIEW m;
DROP EXTENSION event_store;
SELECT sum(n) > 0 FROM made.mine;
SELECT count(*) FROM total;
\pset tuples_only off

SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots WHERE database = current_database();
\c :old_database
DROP DATABASE regress_projection;
DROP ROLE regress_es_maker, regress_es_plain;
