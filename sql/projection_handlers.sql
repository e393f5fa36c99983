-- Handlers: SQL or a function for each event type.
-- In a database of its own: the log is sequenced and projected by hand.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_es_handlers;
\c regress_es_handlers
\set SHOW_CONTEXT always
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE EXTENSION event_store;

-- Everything that a handler can do: parameters by name, several statements,
-- functions, arrays of statements.
CREATE TABLE orders (id text PRIMARY KEY, total numeric, status text, changes int DEFAULT 0);
CREATE TABLE seen (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION note_event(e es_event) RETURNS void LANGUAGE sql AS
  $$ INSERT INTO public.seen (what) VALUES (format('%s %s/%s %s %s', e.position, e.stream_id, e.version, e.event_type, e.data)) $$;
SELECT es_create_projection('orders', handlers => '{
  "OrderPlaced": "INSERT INTO orders (id, total, status) VALUES (stream_id, (data->>''total'')::numeric, ''placed'')",
  "OrderPaid": ["UPDATE orders SET status = ''paid'' WHERE id = stream_id",
                "UPDATE orders SET changes = changes + 1 WHERE id = stream_id; UPDATE orders SET changes = changes * 2 WHERE id = stream_id"],
  "OrderCancelled": "DELETE FROM orders o WHERE o.id = event.stream_id",
  "Ignored": "",
  "*": "note_event"}');
SELECT es_append('order-1', 'OrderPlaced', '{"total": 10.50}');
SELECT es_append('order-2', 'OrderPlaced', '{"total": 7}');
SELECT es_append('order-1', 'OrderPaid', '{}');
SELECT es_append('order-2', 'OrderCancelled', '{}');
SELECT es_append('order-2', 'Ignored', '{}');
SELECT es_append('order-1', 'OrderShipped', '{"by": "ship"}');
SELECT es_append('order-1', 'OrderPaid', '{}');
SELECT es_sequence();
SELECT es_run_projections();
SELECT * FROM orders ORDER BY id;
SELECT what FROM seen ORDER BY n;
SELECT es_run_projections();

-- Only events that have a handler are read; the checkpoint moves on.
CREATE TABLE few (p bigint, everything text);
SELECT es_create_projection('few', handlers => '{"OrderPaid": "INSERT INTO few VALUES (position, concat_ws('' '', position, committed_at > ''2020-01-01'', tenant_id, stream_id, version, event_id IS NOT NULL, event_type, schema_version, data, metadata, recorded_at > ''2020-01-01'', tx, ordinal))"}');
SELECT es_run_projections('few');
SELECT * FROM few;

-- Names: a column of a table comes first, event.<column> never is one.
CREATE TABLE names (stream_id text, data jsonb, event text, k int PRIMARY KEY);
SELECT es_create_projection('names', handlers => '{"OrderPaid": "INSERT INTO names SELECT ''of the table'', data, ''column'', 1 ON CONFLICT (k) DO UPDATE SET stream_id = names.stream_id || '' '' || event.stream_id || '' '' || event.version WHERE names.event = ''column''"}');
SELECT es_run_projections('names');
SELECT * FROM names;
SELECT es_create_projection('names2', handlers => '{"A": "UPDATE names SET k = k WHERE stream_id = stream"}');
SELECT es_create_projection('names2', handlers => '{"A": "UPDATE names SET k = event.nothing"}');
SELECT es_create_projection('names2', handlers => '{"A": "SELECT event.data, names.data, (event).version, ((event).*)  FROM names"}');
SELECT es_create_projection('names2', handlers => '{"A": "SELECT 1 FROM pg_class event WHERE event.relname = event.stream_id AND (event.data).x IS NULL"}');
SELECT es_create_projection('names2', handlers => '{"A": "UPDATE names SET k = k + 1 WHERE names.stream_id = event.stream_id AND data[''x''] = event.data[''y'']"}');

-- What cannot be a handler.
SELECT es_create_projection('bad', handlers => '{"A": "no_such_function"}');
SELECT es_create_projection('bad', handlers => '{"A": "public.\"No such\""}');
SELECT es_create_projection('bad', handlers => '{"A": "count"}');
SELECT es_create_projection('bad', handlers => '{"A": "lower"}');
SELECT es_create_projection('bad', handlers => '{"A": "INSERT INTO no_such_table VALUES (1)"}');
SELECT es_create_projection('bad', handlers => '{"A": "INSERT INTO orders VALUES (stream_id); INSERT INTO"}');
SELECT es_create_projection('bad', handlers => '{"A": "SELEC 1"}');
SELECT es_create_projection('bad', handlers => '{"A": "COMMIT"}');
SELECT es_create_projection('bad', handlers => '{"A": "SELECT 1; COMMIT"}');
SELECT es_create_projection('bad', handlers => '{"A": "SAVEPOINT x"}');
SELECT es_create_projection('bad', handlers => '{}');
SELECT es_create_projection('bad', handlers => '{"A": 1}');
SELECT es_create_projection('bad', handlers => '{"A": "SELECT $1"}');

-- Rights: those of the owner, asked for when it is made and when it runs.
CREATE ROLE regress_es_handler_owner;
GRANT CREATE ON SCHEMA public TO regress_es_handler_owner;
SELECT es_grant('regress_es_handler_owner', 'reader');
GRANT EXECUTE ON FUNCTION es_create_projection, es_run_projections, es_drop_projection, es_pause_projection TO regress_es_handler_owner;
REVOKE EXECUTE ON FUNCTION note_event FROM PUBLIC;
SET ROLE regress_es_handler_owner;
SELECT es_create_projection('mine', handlers => '{"A": "SELECT 1", "B": "INSERT INTO orders (id) VALUES (stream_id)"}');
SELECT es_create_projection('mine', handlers => '{"A": "note_event"}');
CREATE TABLE mine (who text, in_effect text, schemas text, tenant text);
CREATE FUNCTION try(command text) RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN EXECUTE command; RETURN 'done'; EXCEPTION WHEN others THEN RETURN SQLERRM; END $$;
SELECT es_create_projection('mine', handlers => '{"Hostile": [
  "INSERT INTO public.mine VALUES (current_user, try(data->>''command''), current_setting(''search_path''), current_setting(''event_store.tenant_id''))",
  "INSERT INTO public.mine VALUES (current_user, ''then'', current_setting(''search_path''), current_setting(''event_store.tenant_id''))"],
  "Peaceful": "INSERT INTO public.mine VALUES (current_user, ''peaceful'', current_setting(''search_path''), current_setting(''event_store.tenant_id''))"}');
RESET ROLE;
SELECT count(es_append('h-' || n, t, jsonb_build_object('command', c)))
  FROM unnest(ARRAY['RESET ROLE', 'SET ROLE postgres', 'SET SESSION AUTHORIZATION postgres', 'SET search_path = evil',
                    'RESET ALL', 'COMMIT', 'CREATE TEMP TABLE x ()', 'LISTEN x', 'DECLARE c CURSOR WITH HOLD FOR SELECT 1',
                    'SET event_store.tenant_id = ''other''', 'ALTER TABLE mine ADD extra int', 'SELECT es_run_projections()',
                    'SELECT es_pause_projection(''few'')']) WITH ORDINALITY x (c, n),
       (VALUES ('Hostile'), ('Peaceful')) y (t);
SELECT es_sequence();
SELECT es_run_projections('mine');
SELECT * FROM mine;
SELECT current_user = session_user AS unchanged, current_setting('search_path'), current_setting('event_store.tenant_id');

-- A tenant's events are handled as the tenant.
SET event_store.tenant_id = 'blue';
SELECT es_append('h-1', 'Peaceful', '{}');
SET event_store.tenant_id = 'green';
SELECT es_append('h-1', 'Peaceful', '{}');
SELECT es_append('h-1', 'Hostile', '{"command": "SET event_store.tenant_id = ''red''"}');
SELECT es_append('h-1', 'Peaceful', '{}');
RESET event_store.tenant_id;
SELECT es_sequence();
TRUNCATE mine;
SELECT es_run_projections('mine');
SELECT in_effect, tenant FROM mine;

-- A saga: what it appends it appends once, to the stream's tenant, and sees it
-- as an event of a later batch.
CREATE TABLE saga (id text PRIMARY KEY, state text);
SELECT es_create_projection('saga', handlers => '{
  "CheckoutStarted": ["INSERT INTO saga VALUES (tenant_id || stream_id, ''paying'')",
                      "SELECT es_append(replace(stream_id, ''checkout'', ''payment''), ''PaymentRequested'', data)"],
  "PaymentRequested": "UPDATE saga SET state = ''requested'' WHERE id = tenant_id || replace(stream_id, ''payment'', ''checkout'')"}');
SELECT es_append('checkout-' || i, 'CheckoutStarted', jsonb_build_object('i', i)) FROM generate_series(1, 3) i \g /dev/null
SET event_store.tenant_id = 'blue';
SELECT es_append('checkout-1', 'CheckoutStarted', '{"i": 7}');
RESET event_store.tenant_id;
SELECT es_sequence();
SELECT es_run_projections('saga');
SELECT * FROM saga ORDER BY id;
SELECT es_sequence();
SELECT es_run_projections('saga');
SELECT * FROM saga ORDER BY id;
SELECT tenant_id, stream_id, version, event_type, data FROM es_log WHERE event_type = 'PaymentRequested' ORDER BY tenant_id, stream_id;

-- One that takes the events that it appends: one more for each batch.
SELECT es_create_projection('ping', after_position => NULL, handlers => '{"Ping": "SELECT es_append(''ping-1'', ''Ping'', ''{}'')"}');
SELECT es_append('ping-1', 'Ping', '{}');
SELECT es_sequence(), es_run_projections('ping');
SELECT es_sequence(), es_run_projections('ping');
SELECT es_sequence(), es_run_projections('ping');
SELECT es_drop_projection('ping');

-- The same statement again and again: each run sees those before, triggers and
-- foreign keys included, whatever the plan is.
CREATE TABLE parent (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE, n int);
CREATE TABLE split (id int, n int) PARTITION BY RANGE (id);
CREATE TABLE split_1 PARTITION OF split FOR VALUES FROM (0) TO (5);
CREATE TABLE split_2 PARTITION OF split DEFAULT;
CREATE TABLE audit (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE TABLE watched (id int, n int);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO audit (what) SELECT format('%s %s %s', TG_OP, TG_LEVEL, (SELECT count(*) FROM watched));
  RETURN NEW; END $$;
CREATE TRIGGER b BEFORE INSERT ON watched FOR EACH STATEMENT EXECUTE FUNCTION watch();
CREATE TRIGGER r AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION watch();
CREATE TRIGGER s AFTER INSERT ON watched FOR EACH STATEMENT EXECUTE FUNCTION watch();
CREATE VIEW through AS SELECT id, n FROM parent;
SELECT es_create_projection('mixed', after_position => NULL, handlers => '{
  "Parent": ["INSERT INTO parent VALUES ((data->>''id'')::int)",
             "UPDATE through SET n = (SELECT count(*) FROM parent) WHERE id = (data->>''id'')::int"],
  "Child": "INSERT INTO child SELECT (data->>''id'')::int, p.id, (SELECT count(*) FROM child) FROM parent p WHERE p.id = (data->>''parent'')::int",
  "Orphan": "DELETE FROM parent p WHERE p.id = (data->>''id'')::int",
  "Lines": "INSERT INTO split SELECT (l->>''id'')::int, (SELECT count(*) FROM split) FROM jsonb_array_elements(data->''lines'') l",
  "Move": "UPDATE split SET id = (data->>''to'')::int, n = split.n + 100 FROM parent p WHERE split.id = (data->>''from'')::int AND p.id = 1",
  "Watch": "INSERT INTO watched SELECT i, (SELECT count(*) FROM watched) FROM generate_series(1, (data->>''n'')::int) i",
  "Merge": "MERGE INTO parent p USING (SELECT (data->>''id'')::int AS id) s ON p.id = s.id WHEN MATCHED THEN UPDATE SET n = p.n + 1000 WHEN NOT MATCHED THEN INSERT VALUES (s.id, -1)",
  "With": "WITH gone AS (DELETE FROM child WHERE child.id = (data->>''id'')::int RETURNING child.id) INSERT INTO seen (what) SELECT ''gone '' || gone.id FROM gone"}');
SELECT count(es_append('m-1', t, d::jsonb)) FROM (VALUES
  ('Parent', '{"id": 1}'), ('Parent', '{"id": 2}'), ('Parent', '{"id": 3}'),
  ('Child', '{"id": 1, "parent": 1}'), ('Child', '{"id": 2, "parent": 1}'), ('Child', '{"id": 3, "parent": 2}'), ('Child', '{"id": 4, "parent": 9}'),
  ('Orphan', '{"id": 1}'), ('Parent', '{"id": 1}'), ('Child', '{"id": 5, "parent": 1}'),
  ('Lines', '{"lines": [{"id": 1}, {"id": 7}]}'), ('Lines', '{"lines": []}'), ('Lines', '{"lines": [{"id": 2}]}'),
  ('Move', '{"from": 1, "to": 8}'), ('Move', '{"from": 1, "to": 9}'), ('Move', '{"from": 7, "to": 3}'),
  ('Watch', '{"n": 2}'), ('Watch', '{"n": 0}'), ('Watch', '{"n": 1}'),
  ('Merge', '{"id": 1}'), ('Merge', '{"id": 4}'), ('Merge', '{"id": 4}'),
  ('With', '{"id": 3}'), ('With', '{"id": 3}'), ('With', '{"id": 99}')) e (t, d);
TRUNCATE seen;
SELECT es_sequence();
SELECT es_run_projections('mixed');
SELECT * FROM parent ORDER BY id;
SELECT * FROM child ORDER BY id;
SELECT tableoid::regclass, * FROM split ORDER BY id;
SELECT * FROM watched;
SELECT what FROM audit ORDER BY n;
SELECT what FROM seen ORDER BY n;

-- A foreign key that is broken is found behind its own event.
SELECT es_create_projection('keys', after_position => NULL, max_retries => 0, handlers => '{"Key": "INSERT INTO child VALUES ((data->>''id'')::int, (data->>''parent'')::int)"}');
SELECT count(es_append('k-1', 'Key', d::jsonb)) FROM (VALUES ('{"id": 11, "parent": 1}'), ('{"id": 12, "parent": 2}'), ('{"id": 13, "parent": 99}'), ('{"id": 14, "parent": 1}')) e (d);
SELECT es_sequence();
SELECT es_run_projections('keys');
SELECT p.name, f.error_message, f.error_context, l.data FROM es_projection_failures f JOIN es_projection_definitions p ON p.id = f.projection_id JOIN es_log l ON l.position = f.first_position;
SELECT * FROM child ORDER BY id;

-- Objects that change while they are in use: handlers that define and drop
-- them, between others that write to them.
CREATE TABLE changing (id int);
SELECT es_create_projection('changing', after_position => NULL, max_retries => 0, handlers => '{
  "Add": "INSERT INTO changing (id) VALUES ((data->>''id'')::int)",
  "Column": "ALTER TABLE changing ADD COLUMN extra int DEFAULT 5",
  "Key": "CREATE UNIQUE INDEX ON changing (id)",
  "New": "DROP TABLE changing; CREATE TABLE public.changing (id int, other text DEFAULT ''new'')",
  "Gone": "DROP TABLE changing"}');
SELECT count(es_append('c-1', t, d::jsonb)) FROM (VALUES ('Add', '{"id": 1}'), ('Column', '{}'), ('Add', '{"id": 2}'), ('Key', '{}'), ('Add', '{"id": 3}')) e (t, d);
SELECT es_sequence(), es_run_projections('changing');
SELECT * FROM changing;
SELECT count(es_append('c-1', t, d::jsonb)) FROM (VALUES ('Add', '{"id": 4}'), ('New', '{}'), ('Add', '{"id": 4}'), ('Add', '{"id": 4}')) e (t, d);
SELECT es_sequence(), es_run_projections('changing');
SELECT * FROM changing;
SELECT count(es_append('c-1', t, d::jsonb)) FROM (VALUES ('Add', '{"id": 5}'), ('Gone', '{}'), ('Add', '{"id": 6}')) e (t, d);
SELECT es_sequence(), es_run_projections('changing');
SELECT to_regclass('changing') IS NULL AS gone;
SELECT f.error_code, f.error_message, l.data FROM es_projection_failures f JOIN es_projection_definitions p ON p.id = f.projection_id JOIN es_log l ON l.position = f.first_position WHERE p.name = 'changing';

-- Projections that pause, rename and drop themselves.
SELECT es_create_projection('self ''quoted" 1', after_position => NULL, handlers => '{"Pause": "SELECT es_pause_projection(''self ''''quoted\" 1'')", "Drop": "SELECT es_drop_projection(''self ''''quoted\" 1'')", "Count": "INSERT INTO seen (what) VALUES (''counted'')"}');
TRUNCATE seen;
SELECT count(es_append('s-1', t, '{}')) FROM unnest(ARRAY['Count', 'Pause', 'Count']) t;
SELECT es_sequence(), es_run_projections('self ''quoted" 1');
SELECT count(es_append('s-1', t, '{}')) FROM unnest(ARRAY['Count', 'Drop', 'Count']) t;
SELECT es_sequence(), es_run_projections('self ''quoted" 1');
SELECT es_resume_projection('self ''quoted" 1');
SELECT es_run_projections('self ''quoted" 1');
SELECT es_run_projections('self ''quoted" 1');
SELECT what FROM seen ORDER BY n;
SELECT count(*) FROM es_checkpoints c WHERE NOT EXISTS (SELECT FROM es_projection_definitions d WHERE d.id = c.projection_id);

-- Event types are data.
SELECT es_create_projection('quotes', after_position => NULL, handlers => jsonb_build_object('it''s "x"; DROP TABLE seen; --', 'INSERT INTO seen (what) VALUES (event_type)', '', 'SELECT 1'));
SELECT es_append('q-1', 'it''s "x"; DROP TABLE seen; --', '{}');
TRUNCATE seen;
SELECT es_sequence(), es_run_projections('quotes');
SELECT what FROM seen;

-- A function named with quotes, in a schema that is not in the path; a
-- procedure; a function that returns a set.
CREATE SCHEMA "Odd schema";
CREATE FUNCTION "Odd schema"."odd "" name"(es_event) RETURNS SETOF int LANGUAGE sql AS $$ INSERT INTO public.seen (what) VALUES ('odd'), ($1.event_type) RETURNING 1 $$;
CREATE PROCEDURE proc(e es_event) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen (what) VALUES ('procedure ' || e.version); END $$;
CREATE PROCEDURE committing(e es_event) LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
SELECT es_create_projection('odd', after_position => NULL, max_retries => 0, handlers => '{"Odd": [" \"Odd schema\" . \"odd \"\" name\" ", "PUBLIC.Proc"], "Commit": "committing", "Rollback": "DO $$ BEGIN ROLLBACK; END $$"}');
SELECT es_append('o-1', 'Odd', '{}');
TRUNCATE seen;
SELECT es_sequence(), es_run_projections('odd');
SELECT what FROM seen ORDER BY n;
SELECT es_append('o-1', 'Commit', '{}');
SELECT es_append('o-1', 'Rollback', '{}');
SELECT es_sequence(), es_run_projections('odd');
SELECT f.error_code, f.error_message FROM es_projection_failures f JOIN es_projection_definitions p ON p.id = f.projection_id WHERE p.name = 'odd';

-- Values that are large: compressed, and out of line.
CREATE TABLE large (length int, whole int);
SELECT es_create_projection('large', after_position => NULL, handlers => '{"Large": "INSERT INTO large VALUES (length(data->>''x''), length((event).data::text))"}');
SELECT es_append('l-1', 'Large', jsonb_build_object('x', repeat('x', 100000)));
SELECT es_append('l-1', 'Large', (SELECT jsonb_build_object('x', string_agg(md5(i::text), '')) FROM generate_series(1, 3000) i));
SELECT es_sequence(), es_run_projections('large');
SELECT * FROM large;

-- Inline: the same, but positions are not known yet.
SELECT es_create_projection('inline bad', mode => 'inline', handlers => '{"A": "INSERT INTO few VALUES (position)"}');
SELECT es_create_projection('inline', mode => 'inline', after_position => NULL, handlers => '{"Inline": "INSERT INTO seen (what) VALUES (stream_id || version)", "*": "note_event"}');
TRUNCATE seen;
BEGIN;
SELECT es_append('i-1', 'Inline', '{}');
SELECT es_append('i-1', 'Other', '[1]');
SELECT what FROM seen ORDER BY n;
ROLLBACK;
SELECT count(*) FROM seen;
SELECT es_append('i-1', 'Inline', '{}');
SELECT what FROM seen;

SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database();
\c :old_database
DROP DATABASE regress_es_handlers;
DROP ROLE regress_es_handler_owner;
