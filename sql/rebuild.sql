-- rebuild: es_rebuild, es_verify and es_alter_view, where no worker runs.
-- In a database of its own, with a sequencer that is called.
\set SHOW_CONTEXT never
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_rebuild;
\c regress_rebuild
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
CREATE VIEW regress.checkpoints AS
  SELECT d.name, c.partition, max(c.position) AS position, max(c.events) AS events
    FROM es_projection_definitions d JOIN es_checkpoints c ON c.projection_id = d.id GROUP BY 1, 2;
-- What must stay: the table's OID and what hangs on it.
CREATE VIEW regress.objects AS
  SELECT relation::oid AS oid, (SELECT array_agg(indexrelid ORDER BY indexrelid) FROM pg_index WHERE indrelid = relation) AS indexes,
         (SELECT relacl FROM pg_class WHERE oid = relation) AS acl
    FROM es_projection_definitions WHERE name = 'balance';
\pset null '-'
\pset format unaligned
SET max_parallel_workers_per_gather = 0;

DO $$
BEGIN
  FOR i IN 1..200 LOOP
    PERFORM es_append('account-' || i % 10, CASE WHEN i % 3 = 0 THEN 'Withdrawn' ELSE 'Deposited' END, jsonb_build_object('n', i));
    COMMIT;
  END LOOP;
END $$;
SELECT es_sequence();

-- A view: the differences are found, and gone after a rebuild.
SELECT es_create_view('balance', $$SELECT stream_id, count(*) AS events, sum((data->>'n')::bigint) AS total, avg((data->>'n')::bigint) AS mean FROM es_log GROUP BY stream_id$$);
CREATE INDEX balance_total ON balance (total);
CREATE VIEW rich AS SELECT * FROM balance WHERE total > 2000;
GRANT SELECT ON balance TO PUBLIC;
CREATE TABLE note (stream_id text PRIMARY KEY REFERENCES balance, note text);
INSERT INTO note VALUES ('account-1', 'one');
CREATE TABLE objects AS SELECT * FROM regress.objects;
SELECT count(*), sum(events), sum(total) FROM balance;
SELECT * FROM es_verify('balance');
UPDATE balance SET events = 0 WHERE stream_id = 'account-2';
DELETE FROM balance WHERE stream_id = 'account-3';
INSERT INTO balance VALUES ('nobody', 1, 2, 3);
SELECT difference, expected->>'stream_id' AS expected, actual->>'stream_id' AS actual, actual->>'events' AS events FROM es_verify('balance') ORDER BY 1;
BEGIN READ ONLY;
SELECT count(*) FROM es_verify('balance');
COMMIT;
SELECT es_rebuild('balance');
SELECT * FROM es_verify('balance');
SELECT count(*), sum(events), sum(total) FROM balance;
SELECT count(*) FROM rich;
SELECT * FROM regress.checkpoints;
SELECT o = n AS kept FROM objects o, regress.objects n;

-- It also takes in what has come since, and goes on.
SELECT es_append_batch('account-1', '{Deposited,Deposited}', '{"{\"n\": 1000}","{\"n\": 2000}"}');
SELECT es_sequence();
SELECT regress.error_of($$SELECT es_rebuild('balance'), sum(total) FROM balance$$);
SELECT es_rebuild('balance', 1);
SELECT sum(total) FROM balance;
SELECT es_run_projections();
SELECT es_append('account-1', 'Deposited', '{"n": 1}');
SELECT es_sequence();
SELECT * FROM es_verify('balance');
SELECT es_run_projections();
SELECT * FROM es_verify('balance');
SELECT * FROM regress.checkpoints;

-- With parallel workers the same comes out.
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT es_rebuild('balance'), es_rebuild('balance', 0);
SELECT es_rebuild('balance');
SELECT * FROM es_verify('balance');
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SET max_parallel_workers_per_gather = 0;

-- Rolled back, all is as before.
UPDATE balance SET events = 0 WHERE stream_id = 'account-2';
BEGIN;
SELECT es_rebuild('balance');
SELECT count(*) FROM es_verify('balance');
ROLLBACK;
SELECT count(*) FROM es_verify('balance');
SELECT es_rebuild('balance');

-- Parts of the log: from a position on, some types, in partitions.
SELECT es_create_view('deposits', $$SELECT stream_id, count(*) AS events FROM es_log GROUP BY stream_id$$,
                      after_position => 100, partitions => 3, event_types => '{Deposited}', categories => '{account}');
SELECT es_append('account-2', 'Deposited', '{"n": 1}'), es_append('account-2', 'Withdrawn', '{"n": 1}');
SELECT es_sequence();
SELECT es_run_projections('deposits');
SELECT * FROM es_verify('deposits');
SELECT es_rebuild('deposits');
SELECT * FROM es_verify('deposits');
SELECT sum(events) = (SELECT count(*) FROM es_log WHERE position > 100 AND event_type = 'Deposited') FROM deposits;
SELECT * FROM regress.checkpoints WHERE name = 'deposits' ORDER BY 2;

-- Constraints of the table hold.
ALTER TABLE deposits ADD CONSTRAINT small CHECK (events < 100);
SELECT es_append_batch('account-3', array_fill('Deposited'::text, '{100}'), array_fill('{"n": 1}'::jsonb, '{100}'));
SELECT es_sequence();
SELECT regress.error_of($$SELECT es_rebuild('deposits')$$);
ALTER TABLE deposits DROP CONSTRAINT small;
ALTER TABLE deposits ADD remark text;
SELECT regress.error_of($$SELECT es_rebuild('deposits')$$);
ALTER TABLE deposits DROP remark;
SELECT es_rebuild('deposits');
SELECT * FROM es_verify('deposits');
ALTER TABLE deposits RENAME events TO number;
SELECT regress.error_of($$SELECT es_rebuild('deposits')$$);
SELECT es_drop_projection('deposits');
SELECT es_rebuild('balance');

-- Foreign keys, too.
SELECT regress.error_of($$SELECT es_alter_view('balance', 'SELECT stream_id, count(*) AS events, sum((data->>''n'')::bigint) AS total, avg((data->>''n'')::bigint) AS mean FROM es_log WHERE stream_id <> ''account-1'' GROUP BY stream_id')$$);

-- Another query, with the same columns.
SELECT es_alter_view('balance', $$SELECT stream_id, count(*) FILTER (WHERE event_type = 'Deposited') AS events, sum((data->>'n')::bigint) AS total, avg((data->>'n')::bigint) AS mean FROM es_log GROUP BY stream_id$$);
SELECT * FROM es_verify('balance');
SELECT sum(events) = (SELECT count(*) FROM es_log WHERE event_type = 'Deposited') FROM balance;
SELECT o = n AS kept FROM objects o, regress.objects n;

-- With other columns: a new table, which gets what the old one had.
SELECT regress.error_of($$SELECT es_alter_view('balance', 'SELECT stream_id, max(version) AS version FROM es_log GROUP BY stream_id')$$);
DROP TABLE note;
DROP VIEW rich;
SELECT regress.error_of($$SELECT es_alter_view('balance', 'SELECT stream_id, max(version) AS version FROM es_log GROUP BY stream_id')$$);
COMMENT ON COLUMN balance.total IS 'money';
COMMENT ON INDEX balance_total IS 'by money';
ALTER TABLE balance SET (autovacuum_enabled = false);
CREATE ROLE regress_rebuild_reader;
GRANT SELECT (total), UPDATE (total) ON balance TO regress_rebuild_reader;
GRANT INSERT ON balance TO regress_rebuild_reader WITH GRANT OPTION;
SELECT es_alter_view('balance', $$SELECT stream_id, max(version) AS version, sum((data->>'n')::bigint) AS total FROM es_log GROUP BY stream_id$$);
SELECT * FROM es_verify('balance');
SELECT * FROM balance ORDER BY 1 LIMIT 2;
SELECT indexdef, obj_description(format('%I', indexname)::regclass) FROM pg_indexes WHERE tablename = 'balance' ORDER BY 1;
SELECT has_table_privilege('regress_rebuild_reader', 'balance', 'INSERT WITH GRANT OPTION'),
       has_table_privilege('regress_rebuild_reader', 'balance', 'SELECT'),
       has_column_privilege('regress_rebuild_reader', 'balance', 'total', 'UPDATE'),
       has_column_privilege('regress_rebuild_reader', 'balance', 'version', 'UPDATE'),
       reloptions, col_description(oid, 3), obj_description(oid)
  FROM pg_class WHERE relname = 'balance';
SELECT relation, state_table, query FROM es_projection_definitions;
SELECT regress.error_of($$SELECT es_alter_view('balance', 'SELECT count(*) AS events FROM es_log')$$);
SELECT regress.error_of($$SELECT es_alter_view('balance', 'SELECT random() FROM es_log')$$) ~ '^0A000';
REVOKE ALL ON balance FROM regress_rebuild_reader;
COMMENT ON COLUMN balance.total IS NULL;
DROP INDEX balance_total;
SELECT es_alter_view('balance', 'SELECT count(*) AS events, avg(version) AS mean FROM es_log');
SELECT * FROM es_verify('balance');
SELECT es_append('account-2', 'Deposited', '{"n": 1}');
SELECT es_sequence();
SELECT es_run_projections();
SELECT * FROM es_verify('balance');
SELECT events = es_head_position() AS complete FROM balance;
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'es_rebuild%';
DROP ROLE regress_rebuild_reader;
SELECT es_drop_projection('balance');

-- Statements: what they make of the whole log takes the place of what is there.
CREATE TABLE kind (event_type text PRIMARY KEY, events bigint NOT NULL);
CREATE TABLE line (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gone int, stream_id text, n int CHECK (n < 10000), event_type text REFERENCES kind DEFERRABLE);
ALTER TABLE line DROP gone;
CREATE VIEW lines AS SELECT count(*), sum(n) FROM line;
SELECT es_create_projection('lines', statements => ARRAY[
  $$INSERT INTO kind SELECT event_type, count(*) FROM es_log GROUP BY 1 ON CONFLICT (event_type) DO UPDATE SET events = kind.events + excluded.events$$,
  $$INSERT INTO line (stream_id, n, event_type) SELECT stream_id, (data->>'n')::int, event_type FROM es_log$$], tables => '{line,kind}');
SELECT es_run_projections() = es_head_position() AS all;
SELECT * FROM lines;
UPDATE line SET n = 0;
UPDATE kind SET events = 0;
SELECT es_rebuild('lines') = es_head_position() AS all;
SELECT * FROM lines;
SELECT * FROM kind ORDER BY 1;
SELECT count(DISTINCT id) = count(*) AS unique, min(id) AS first FROM line;
WITH new AS (INSERT INTO line (stream_id) VALUES ('by hand') RETURNING id) SELECT new.id > max(line.id) AS behind FROM new, line GROUP BY new.id;
SELECT es_append('account-1', 'Deposited', '{"n": 5}');
SELECT es_sequence();
SELECT es_run_projections();
SELECT * FROM lines;
SELECT regress.error_of($$SELECT * FROM es_verify('lines')$$);

-- What cannot be rebuilt.
SELECT es_create_projection('untold', statement => 'DELETE FROM kind WHERE false');
SELECT regress.error_of($$SELECT es_rebuild('untold')$$);
SELECT es_create_projection('qualified', statement => 'UPDATE public.kind SET events = events', tables => '{kind}');
SELECT regress.error_of($$SELECT es_rebuild('qualified')$$);
SELECT es_create_projection('reads', statement => 'INSERT INTO kind SELECT event_type, 1 FROM es_log l WHERE event_type NOT IN (SELECT event_type FROM public.kind)', tables => '{kind}');
SELECT regress.error_of($$SELECT es_rebuild('reads')$$);
CREATE FUNCTION regress.empty() RETURNS void LANGUAGE plpgsql SET search_path = public AS 'BEGIN TRUNCATE kind CASCADE; END';
SELECT es_create_projection('truncates', statement => 'SELECT regress.empty()', tables => '{kind}');
SELECT regress.error_of($$SELECT es_rebuild('truncates')$$);
SELECT es_create_projection('saga', statement => $$SELECT es_append('saga', 'Seen', '{}') FROM es_log LIMIT 1$$, tables => '{kind}');
SELECT regress.error_of($$SELECT es_rebuild('saga')$$);
SELECT es_append('saga', 'StillWorks', '{}');
SELECT * FROM lines;

SELECT regress.error_of($$SELECT es_rebuild('nobody')$$);
SELECT regress.error_of($$SELECT es_rebuild(NULL)$$);
SELECT regress.error_of($$SELECT es_rebuild('lines', -1)$$);
SELECT regress.error_of($$SELECT es_alter_view('lines', 'SELECT 1')$$);
SELECT regress.error_of($$SELECT es_alter_view('lines', NULL)$$);
SELECT regress.error_of($$SELECT * FROM es_verify(NULL)$$);
SELECT regress.error_of($$SELECT * FROM es_verify('nobody')$$);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT regress.error_of($$SELECT es_rebuild('lines')$$);
COMMIT;
BEGIN READ ONLY;
SELECT regress.error_of($$SELECT es_rebuild('lines')$$);
COMMIT;
CREATE ROLE regress_rebuild_other;
GRANT USAGE ON SCHEMA regress, public TO regress_rebuild_other;
SELECT es_grant('regress_rebuild_other', 'reader');
SET ROLE regress_rebuild_other;
SELECT regress.error_of($$SELECT es_rebuild('lines')$$);
SELECT regress.error_of($$SELECT * FROM es_verify('lines')$$);
SELECT regress.error_of($$SELECT es_alter_view('lines', 'SELECT 1')$$);
RESET ROLE;
DROP OWNED BY regress_rebuild_other;
DROP ROLE regress_rebuild_other;

-- Skipped events stay skipped, in rebuilds and comparisons.
SELECT es_append_batch('bad-1', '{Good,Bad,Good}', '{"{\"n\": 1}","{\"n\": 0}","{\"n\": 2}"}');
SELECT es_sequence() > 0;
SELECT es_create_view('inverse', $$SELECT stream_id, sum(100 / (data->>'n')::bigint) AS sum FROM es_log GROUP BY stream_id$$, categories => '{bad}', on_error => 'skip', max_retries => 0, after_position => NULL);
UPDATE es_projection_definitions SET after_position = 0 WHERE name = 'inverse';
INSERT INTO es_dead_letters (projection_id, "position", partition, tenant_id, stream_id, version, event_type, attempts, error_code, error_message, failed_at)
  SELECT d.id, l.position, 0, '', l.stream_id, l.version, l.event_type, 1, '22012', 'division by zero', now()
    FROM es_log l, es_projection_definitions d WHERE l.event_type = 'Bad' AND d.name = 'inverse';
SELECT es_rebuild('inverse');
SELECT * FROM inverse;
SELECT * FROM es_verify('inverse');
SELECT event_type FROM es_dead_letters;
SELECT es_alter_projection('inverse', on_error => 'stop');
SELECT regress.error_of($$SELECT es_rebuild('inverse')$$);

-- A materialized view is refreshed.
CREATE MATERIALIZED VIEW streams AS SELECT DISTINCT stream_id FROM es_log;
SELECT es_create_projection('streams', refresh => 'streams');
SELECT es_append('new-1', 'New', '{}');
SELECT es_sequence();
SELECT es_rebuild('streams') = es_head_position() AS all;
SELECT count(*) FROM streams WHERE stream_id = 'new-1';

-- SQL that looks into the table itself by an index, and finds nothing there.
CREATE TABLE kinds (event_type text PRIMARY KEY, n bigint NOT NULL);
SELECT es_create_projection('kinds', 'UPDATE public.kinds SET n = n + 1 WHERE event_type = ''New''', tables => '{kinds}', after_position => NULL);
UPDATE es_projection_definitions SET after_position = 0 WHERE name = 'kinds';
SET enable_seqscan = off;
SELECT regress.error_of($$SELECT es_rebuild('kinds')$$);
RESET enable_seqscan;

-- A projection must not rebuild another one.
SELECT es_create_projection('outer', 'SELECT es_rebuild(''streams'') FROM es_log LIMIT 1', after_position => NULL);
SELECT es_append('new-2', 'New', '{}');
SELECT es_sequence();
SELECT es_run_projections('outer');
SELECT f.error_code, f.error_message FROM es_projection_failures f JOIN es_projection_definitions d ON d.id = f.projection_id WHERE d.name = 'outer';

\c :old_database
DROP DATABASE regress_rebuild;
