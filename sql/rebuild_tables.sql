-- rebuild_tables: es_rebuild and es_alter_view with whatever the tables are like.
-- In a database of its own, with a sequencer that is called.
\set SHOW_CONTEXT never
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_rebuild_tables;
\c regress_rebuild_tables
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
\pset null '-'
\pset format unaligned
SELECT count(es_append('account-' || i % 10, CASE WHEN i % 3 = 0 THEN 'Withdrawn' ELSE 'Deposited' END, jsonb_build_object('n', i))) FROM generate_series(1, 200) i;
SELECT es_sequence();

-- A CHECK constraint whose function runs SQL, where plans are parallel.
CREATE TABLE least_count (n bigint);
INSERT INTO least_count VALUES (1);
CREATE FUNCTION enough(n bigint) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN n >= (SELECT l.n FROM public.least_count l); END';
SELECT es_create_view('balance', $$SELECT stream_id, count(*) AS events FROM es_log GROUP BY stream_id$$);
ALTER TABLE balance ADD CONSTRAINT enough CHECK (enough(events));
CREATE TABLE line (stream_id text, n int, CHECK (enough(n)));
SELECT es_create_projection('lines', 'INSERT INTO line SELECT stream_id, (data->>''n'')::int FROM es_log', tables => '{line}');
SELECT es_run_projections();
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT regress.error_of($$SELECT es_rebuild('balance')$$);
SELECT regress.error_of($$SELECT es_rebuild('lines')$$);
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
UPDATE least_count SET n = 5;
SELECT regress.error_of($$SELECT es_rebuild('lines')$$);
SELECT es_rebuild('balance');
SELECT count(*), sum(events) FROM balance;
SELECT count(*), sum(n) FROM line;
SELECT es_drop_projection('balance'), es_drop_projection('lines');
DROP TABLE line;

-- SQL that raises the errors of a lock that is not to be had: the rebuild does not
-- take them for its own, which it would try again.
CREATE TABLE line (stream_id text);
CREATE TABLE code (code text);
INSERT INTO code VALUES (NULL);
CREATE FUNCTION fail(stream_id text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  code text := (SELECT c.code FROM public.code c);
BEGIN
  IF code IS NOT NULL THEN
    RAISE 'locked by somebody' USING ERRCODE = code;
  END IF;
  RETURN stream_id;
END $$;
SELECT es_create_projection('lines', 'INSERT INTO line SELECT fail(stream_id) FROM es_log', tables => '{line}');
SET statement_timeout = '60s';
UPDATE code SET code = '55P03';
SELECT regress.error_of($$SELECT es_rebuild('lines')$$);
UPDATE code SET code = '40P01';
SELECT regress.error_of($$SELECT es_rebuild('lines')$$);
RESET statement_timeout;
UPDATE code SET code = NULL;
SELECT es_rebuild('lines');
SELECT es_drop_projection('lines');
DROP TABLE line;

-- Identity columns go on behind their last number, in either direction.
CREATE TABLE numbered (up int GENERATED ALWAYS AS IDENTITY UNIQUE, down int GENERATED ALWAYS AS IDENTITY (INCREMENT -2) UNIQUE, stream_id text);
SELECT es_create_projection('numbers', 'INSERT INTO numbered (stream_id) SELECT stream_id FROM es_log', tables => '{numbered}');
SELECT es_run_projections('numbers');
SELECT count(es_append('more', 'More', '{}')) FROM generate_series(1, 100);
SELECT es_sequence();
SELECT es_rebuild('numbers');
INSERT INTO numbered (stream_id) VALUES ('by hand'), ('by hand');
SELECT * FROM (SELECT up, down, stream_id, up > lag(up) OVER n AND down < lag(down) OVER n AS on FROM numbered WINDOW n AS (ORDER BY up)) n ORDER BY up DESC LIMIT 3;
SELECT es_drop_projection('numbers');

-- Names: of a schema that is there already, of tables in different schemas, and a
-- search_path without schemas.
CREATE TABLE line (stream_id text);
SELECT es_create_projection('lines', 'INSERT INTO line SELECT stream_id FROM es_log', tables => '{line,line}');
SELECT format('CREATE SCHEMA es_rebuild_%s; CREATE SCHEMA es_rebuild_%s_2', id, id) AS create, format('DROP SCHEMA es_rebuild_%s, es_rebuild_%s_2', id, id) AS drop
  FROM es_projection_definitions WHERE name = 'lines' \gset
:create;
SELECT regress.error_of($$SELECT es_rebuild('lines')$$);
:drop;
SELECT count(*) FROM line;
SELECT nspname FROM pg_namespace WHERE nspname LIKE 'es_rebuild%';
SELECT es_drop_projection('lines');

CREATE TABLE regress.line (stream_id text);
SELECT es_create_projection('lines', statements => '{INSERT INTO line SELECT stream_id FROM es_log,INSERT INTO regress.line SELECT stream_id FROM es_log}', tables => '{line,regress.line}');
SELECT regress.error_of($$SELECT es_rebuild('lines')$$);
SELECT es_drop_projection('lines');

SELECT es_create_projection('lines', 'SELECT 1', tables => '{line}');
UPDATE es_projection_definitions SET settings = '{search_path=}', statements = '{INSERT INTO line SELECT ''x'' FROM es_log LIMIT 1}' WHERE name = 'lines';
SELECT regress.error_of($$SELECT es_rebuild('lines')$$);
TABLE line;
SELECT es_drop_projection('lines');
DROP TABLE line, regress.line;

-- Generated columns: stored, and virtual where PostgreSQL has them.
SELECT CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'VIRTUAL' ELSE 'STORED' END AS kind \gset
CREATE TABLE generated (a int CHECK (twice > a), padding text, twice int NOT NULL GENERATED ALWAYS AS (a * 2) STORED,
                        long text NOT NULL GENERATED ALWAYS AS (repeat(padding, 1000)) :kind CHECK (length(long) = 1000), b int);
SELECT es_create_projection('generated', 'INSERT INTO generated (a, padding, b) SELECT version, ''x'', -version FROM es_log', tables => '{generated}');
SELECT es_rebuild('generated');
SELECT count(*), bool_and(twice = 2 * a), bool_and(long = repeat('x', 1000)), bool_and(b = - a) FROM generated;
SELECT :'kind' = 'STORED' OR pg_relation_size('generated') <= 8 * 8192 AS "nothing is stored";
ALTER TABLE generated ADD CHECK (length(long) < 1000) NOT VALID;
SELECT regress.error_of($$SELECT es_rebuild('generated')$$) ~ '23514: .*generated_long_check1';
SELECT es_drop_projection('generated');
DROP TABLE generated;

-- A table of a view that is another role's, or is gone: found out before it is locked.
CREATE ROLE regress_rebuild_owner LOGIN;
GRANT CREATE ON SCHEMA public TO regress_rebuild_owner;
GRANT USAGE ON SCHEMA regress TO regress_rebuild_owner;
SELECT es_grant('regress_rebuild_owner', 'admin');
SET SESSION AUTHORIZATION regress_rebuild_owner;
SELECT es_create_view('mine', 'SELECT stream_id, avg(version) AS mean FROM es_log GROUP BY stream_id');
RESET SESSION AUTHORIZATION;
SELECT state_table AS state FROM es_projection_definitions WHERE name = 'mine' \gset
CREATE VIEW regress.alter AS SELECT regress.error_of($$SELECT es_alter_view('mine', 'SELECT event_type, avg(version) AS mean FROM es_log GROUP BY event_type')$$);
GRANT SELECT ON regress.alter TO regress_rebuild_owner;
ALTER TABLE mine OWNER TO CURRENT_USER;
SET SESSION AUTHORIZATION regress_rebuild_owner;
TABLE regress.alter;
RESET SESSION AUTHORIZATION;
ALTER TABLE mine OWNER TO regress_rebuild_owner;
ALTER TABLE :state OWNER TO CURRENT_USER;
SET SESSION AUTHORIZATION regress_rebuild_owner;
TABLE regress.alter;
RESET SESSION AUTHORIZATION;
DROP TABLE :state;
SET SESSION AUTHORIZATION regress_rebuild_owner;
TABLE regress.alter;
SELECT count(*) FROM es_verify('mine');
DROP TABLE mine;
TABLE regress.alter;
SELECT es_drop_projection('mine');
RESET SESSION AUTHORIZATION;
DROP OWNED BY regress_rebuild_owner;
DROP ROLE regress_rebuild_owner;

-- With other columns, es_alter_view makes again for the new table what the old one
-- had, or refuses by name.
SELECT es_create_view('last', 'SELECT stream_id, count(*) AS n, es_last(data) AS data FROM es_log GROUP BY stream_id');
ALTER TABLE last SET (toast.autovacuum_vacuum_threshold = 77, toast.autovacuum_enabled = false, fillfactor = 90);
ALTER TABLE last REPLICA IDENTITY FULL;
SELECT es_alter_view('last', 'SELECT stream_id, count(*) AS n, es_last(data) AS data, max(version) AS version FROM es_log GROUP BY stream_id');
CREATE VIEW regress.table AS
  SELECT c.relreplident, c.reloptions, t.reloptions AS toast, n.conname FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
    LEFT JOIN pg_constraint n ON n.conrelid = c.oid AND n.contype = 'p' WHERE c.relname = 'last';
TABLE regress.table;
ALTER TABLE last REPLICA IDENTITY NOTHING;
SELECT es_alter_view('last', 'SELECT stream_id, count(*) AS n, es_last(data) AS data FROM es_log GROUP BY stream_id');
TABLE regress.table;
ALTER TABLE last REPLICA IDENTITY USING INDEX last_pkey;
ALTER TABLE last ALTER n SET STATISTICS 5, ALTER stream_id SET (n_distinct = -1);
ALTER TABLE last ALTER stream_id SET STORAGE EXTERNAL, ALTER data SET COMPRESSION pglz;
ALTER TABLE last ALTER data SET NOT NULL;
SET allow_in_place_tablespaces = true;
CREATE TABLESPACE regress_rebuild_space LOCATION '';
ALTER TABLE last SET TABLESPACE regress_rebuild_space;
CREATE ACCESS METHOD regress_heap TYPE TABLE HANDLER heap_tableam_handler;
SET default_table_access_method = regress_heap;
SELECT regress.error_of($$SELECT es_alter_view('last', 'SELECT stream_id, max(version) AS version FROM es_log GROUP BY stream_id')$$);
RESET default_table_access_method;
DROP ACCESS METHOD regress_heap;
ALTER TABLE last SET TABLESPACE pg_default;
DROP TABLESPACE regress_rebuild_space;
ALTER TABLE last REPLICA IDENTITY DEFAULT;
ALTER TABLE last ALTER n SET STATISTICS -1, ALTER stream_id RESET (n_distinct);
ALTER TABLE last ALTER stream_id SET STORAGE EXTENDED, ALTER data SET COMPRESSION DEFAULT;
ALTER TABLE last ALTER data DROP NOT NULL;
SELECT es_alter_view('last', 'SELECT stream_id, max(version) AS version FROM es_log GROUP BY stream_id');
SELECT es_alter_view('last', 'SELECT position, stream_id FROM es_log');
ALTER TABLE last ALTER stream_id SET NOT NULL;
SELECT regress.error_of($$SELECT es_alter_view('last', 'SELECT position, stream_id, version FROM es_log')$$);
ALTER TABLE last ALTER stream_id DROP NOT NULL;
SELECT es_alter_view('last', 'SELECT position, stream_id, version FROM es_log');
SELECT es_alter_view('last', 'SELECT count(*) AS n FROM es_log');
SELECT es_alter_view('last', 'SELECT version, bool_or(false) AS none FROM es_log GROUP BY version');
SELECT count(*) FROM es_verify('last');
SELECT es_drop_projection('last');

\c :old_database
DROP DATABASE regress_rebuild_tables;
