-- Events are checked when they are appended: JSON Schema, check expressions,
-- retired versions, event_store.strict_types.
-- In a database of its own: types concern all events.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_es_check;
\c regress_es_check
\set SHOW_CONTEXT always
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION event_store;
CREATE ROLE regress_es_check_writer;
SELECT es_grant('regress_es_check_writer', 'writer');

SELECT es_register_event_type('OrderPlaced', json_schema => '{
  "type": "object", "required": ["quantity"],
  "properties": {"quantity": {"type": "integer", "minimum": 1}, "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]+$"},
                 "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}}, "a/b~c": {"type": "null"}},
  "$defs": {"line": {"type": "object", "required": ["price"], "properties": {"price": {"type": "number", "exclusiveMinimum": 0}}}}}');
SELECT es_register_event_type('OrderPlaced', check_expression => $$ data ? 'v2' AND stream_id LIKE 'order-%' AND metadata ? 'by' $$, upcaster => $$ data || '{"v2": true}' $$);

-- What is right is stored, by all ways.
SELECT es_append('order-1', 'OrderPlaced', '{"quantity": 1, "sku": "ABC-1", "lines": [{"price": 0.5}]}');
SELECT es_append_batch('order-1', '{OrderPlaced,Other,OrderPlaced}', ARRAY['{"quantity": 2}', '5', '{"v2": 1}']::jsonb[], ARRAY[NULL, NULL, '{"by": "me"}']::jsonb[], schema_versions => '{1,NULL,2}');
SELECT es_append_json('order-1', '[{"type": "OrderPlaced", "data": {"quantity": 3}}, {"type": "OrderPlaced", "data": {"v2": 2}, "metadata": {"by": "you"}, "schema_version": 2}]');
INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'OrderPlaced', '{"quantity": 4}');
COPY es_events (stream_id, event_type, schema_version, data, metadata) FROM stdin;
order-1	OrderPlaced	1	{"quantity": 5}	{}
order-1	OrderPlaced	2	{"v2": 3}	{"by": "copy"}
\.
SELECT version, event_type, schema_version, data FROM es_events WHERE stream_id = 'order-1' ORDER BY version;

-- What is not is refused, with the path and the rule, and nothing of the call is stored.
SELECT es_append('order-1', 'OrderPlaced', '{"quantity": -3}');
SELECT es_append('order-1', 'OrderPlaced', '{"quantity": 1.5}');
SELECT es_append('order-1', 'OrderPlaced', '{}');
SELECT es_append('order-1', 'OrderPlaced', '[]');
SELECT es_append('order-1', 'OrderPlaced', 'null');
SELECT es_append('order-1', 'OrderPlaced', '{"quantity": 1, "sku": "abc"}');
SELECT es_append('order-1', 'OrderPlaced', '{"quantity": 1, "lines": [{"price": 1}, {"price": 0}]}');
SELECT es_append('order-1', 'OrderPlaced', '{"quantity": 1, "a/b~c": 1}');
SELECT es_append('order-1', 'OrderPlaced', '{"v2": 1}', schema_version => 2);
SELECT es_append('other-1', 'OrderPlaced', '{"v2": 1}', '{"by": "me"}', schema_version => 2);
SELECT es_append_batch('order-1', '{Other,OrderPlaced,OrderPlaced}', ARRAY['5', '{"quantity": 2}', '{"quantity": 0}']::jsonb[]);
SELECT es_append_json('order-1', '[{"type": "Other", "data": 1}, {"type": "OrderPlaced", "data": {"quantity": "1"}}]');
INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'OrderPlaced', '{"quantity": 6}'), ('order-1', 'OrderPlaced', '{"quantity": 0}');
COPY es_events (stream_id, event_type, schema_version, data, metadata) FROM stdin;
order-1	OrderPlaced	1	{"quantity": 5}	{}
order-1	OrderPlaced	2	{"v2": 3}	{}
\.
SELECT es_stream_version('order-1'), es_stream_version('other-1');
-- A type and version that nobody registered is nobody's business.
SELECT es_append('order-2', 'OrderPlaced', '5', schema_version => 3), es_append('order-2', 'orderplaced', '5');
-- The schema version is 1 unless it is given, whatever is registered.
SELECT es_append('order-2', 'OrderPlaced', '{"v2": 1}', '{"by": "me"}');
-- The same without an append.
SELECT es_check_event('OrderPlaced', '{"quantity": 1}');
SELECT es_check_event('OrderPlaced', '{"quantity": 0}');
SELECT es_check_event('OrderPlaced', '{"v2": 0}', 2, '{"by": "me"}');
SELECT es_check_event('OrderPlaced', '{"v2": 0}', 2);
SELECT es_check_event('Unknown', '5', 17);
SELECT es_check_event(NULL, '5');
SELECT es_check_event('X', NULL);
SELECT es_check_event('X', '5', NULL);
SELECT es_check_event('X', '5', 0);
SELECT es_check_event('X', '5', 1, '5');
SELECT es_check_event('', '5');

-- Wrong events come before wrong versions; nothing is locked.
BEGIN;
SELECT es_append('order-1', 'OrderPlaced', '{}', expected_version => 99);
ROLLBACK;
SELECT es_append('order-1', 'OrderPlaced', '{"quantity": 1}', expected_version => 99);

-- A retry gets its version, though its type was retired meanwhile.
SELECT es_register_event_type('Short');
SELECT es_append('retry-1', 'Short', '1', event_id => '00000000-0000-4000-8000-000000000001');
SELECT es_append_json('retry-1', '[{"type": "Short", "data": 2, "id": "00000000-0000-4000-8000-000000000002"}, {"type": "Short", "data": 3, "id": "00000000-0000-4000-8000-000000000003"}]');
SELECT es_set_event_type_status('Short', 1, 'deprecated');
SELECT es_append('retry-1', 'Short', '4');
SELECT es_set_event_type_status('Short', 1, 'retired');
SELECT es_append('retry-1', 'Short', '1', event_id => '00000000-0000-4000-8000-000000000001');
SELECT es_append_json('retry-1', '[{"type": "Short", "data": 2, "id": "00000000-0000-4000-8000-000000000002"}, {"type": "Short", "data": 3, "id": "00000000-0000-4000-8000-000000000003"}]');
SELECT es_append('retry-1', 'Short', '5', event_id => '00000000-0000-4000-8000-000000000004');
SELECT es_append('retry-1', 'Short', '5');
INSERT INTO es_events (stream_id, event_type, data) VALUES ('retry-1', 'Short', '5');
SELECT es_check_event('Short', '5');
SELECT count(*) FROM es_read_stream('retry-1');
-- Copies of recorded events are none of it: a restore brings retired ones.
INSERT INTO es_events SELECT tenant_id, 'retry-2', version, es_uuid_v7(), event_type, schema_version, data, metadata, recorded_at, tx + 1000, ordinal FROM es_events WHERE stream_id = 'retry-1' AND version = 1;
SELECT count(*) FROM es_read_stream('retry-2');

-- Strict types.
SELECT es_register_event_type('Sketch', status => 'draft', json_schema => '{"type": "string"}');
SET event_store.strict_types = warn;
SELECT es_append('strict-1', 'Nobody', '1');
SELECT es_append('strict-1', 'OrderPlaced', '1', schema_version => 3);
SELECT es_append('strict-1', 'Sketch', '"s"');
SELECT es_append('strict-1', 'Sketch', '1');
SELECT es_append_batch('strict-1', '{Nobody,OrderPlaced}', ARRAY['1', '{"quantity": 1}']::jsonb[]);
SET event_store.strict_types = on;
SELECT es_append('strict-1', 'Nobody', '1');
SELECT es_append('strict-1', 'OrderPlaced', '1', schema_version => 3);
SELECT es_append('strict-1', 'Sketch', '"s"');
SELECT es_append_batch('strict-1', '{OrderPlaced,Nobody}', ARRAY['{"quantity": 1}', '1']::jsonb[]);
INSERT INTO es_events (stream_id, event_type, data) VALUES ('strict-1', 'Nobody', '1');
SELECT es_append('strict-1', 'OrderPlaced', '{"quantity": 1}');
SELECT es_check_event('Nobody', '1');
SET event_store.strict_types = off;
SELECT es_append('strict-1', 'Sketch', '"s"');
SELECT es_append('strict-1', 'Sketch', '1');
SELECT es_append('strict-1', 'Nobody', '1');
SET event_store.strict_types = maybe;
SELECT version, event_type FROM es_read_stream('strict-1');
-- Who appends cannot switch it off; who set it for him can.
ALTER ROLE regress_es_check_writer IN DATABASE regress_es_check SET event_store.strict_types = on;
SET ROLE regress_es_check_writer;
SET event_store.strict_types = off;
RESET ROLE;
SHOW event_store.strict_types;

-- Without a registered type it works as well.
BEGIN;
DELETE FROM es_event_types;
SET LOCAL event_store.strict_types = on;
SELECT es_append('strict-1', 'OrderPlaced', '{"quantity": 1}');
ROLLBACK;

-- What goes wrong in a check: it raises, it writes, it runs for long, it asks for itself.
CREATE TABLE scratch (n int);
CREATE TABLE limits (maximum int);
INSERT INTO limits VALUES (10);
CREATE FUNCTION raising(data jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF data ? 'boom' THEN RAISE EXCEPTION 'domain error' USING ERRCODE = 'XX123', DETAIL = data::text; END IF;
  RETURN (data->>'n')::int <= (SELECT maximum FROM limits);
END $$;
-- (what is not volatile cannot do it itself, but can call what is)
CREATE FUNCTION run(command text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$ BEGIN EXECUTE command; END $$;
CREATE FUNCTION writing(data jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM run('INSERT INTO public.scratch VALUES (1)'); RETURN true; END $$;
CREATE FUNCTION appending(data jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN es_append('evil-1', 'X', data) > 0; END $$;
CREATE FUNCTION unlocking(data jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM run('SET transaction_read_only = off; INSERT INTO public.scratch VALUES (1)'); RETURN true; END $$;
CREATE FUNCTION becoming(data jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM run('SET ROLE regress_es_check_writer'); RETURN true; END $$;
CREATE FUNCTION setting(data jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM set_config('search_path', 'nowhere', false); PERFORM set_config('event_store.tenant_id', 'evil', false); RETURN true; END $$;
CREATE FUNCTION looping(data jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN LOOP END LOOP; END $$;
CREATE FUNCTION deep(data jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN IF data = '0' THEN RETURN true; END IF; PERFORM es_check_event('deep', to_jsonb(data::int - 1)); RETURN true; END $$;
CREATE FUNCTION endless(data jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM es_check_event('endless', data); RETURN true; END $$;
CREATE FUNCTION catching(data jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN data->>'n' = '1' AND 1 / (data->>'d')::int > 0; EXCEPTION WHEN division_by_zero THEN RETURN true; END $$;
SELECT es_register_event_type(name, check_expression => name)
  FROM unnest('{raising,writing,appending,unlocking,becoming,setting,looping,deep,endless,catching}'::text[]) name;
SELECT es_append('check-1', 'raising', '{"n": 10}');
SELECT es_append('check-1', 'raising', '{"n": 11}');
SELECT es_append('check-1', 'raising', '{"boom": true}');
SELECT es_append('check-1', 'raising', '{}');
SELECT es_append('check-1', 'writing', '{}');
SELECT es_append('check-1', 'appending', '{}');
SELECT es_append('check-1', 'unlocking', '{}');
SELECT es_append('check-1', 'becoming', '{}');
SHOW search_path;
SELECT es_append('check-1', 'setting', '{}');
SHOW search_path;
SHOW event_store.tenant_id;
SET statement_timeout = 50;
SELECT es_append('check-1', 'looping', '{}');
RESET statement_timeout;
SELECT es_append('check-1', 'deep', '20');
SET max_stack_depth = '200kB';
\set VERBOSITY sqlstate
SELECT es_append('check-1', 'endless', '{}');
\set VERBOSITY default
RESET max_stack_depth;
SELECT es_append('check-1', 'catching', '{"n": 1, "d": 0}');
SELECT es_append('check-1', 'catching', '{"n": 2, "d": 0}');
-- After an error within a transaction the check works as before; so it does for a change of its function.
BEGIN;
SELECT es_append('check-1', 'raising', '{"n": 9}');
SAVEPOINT s;
SELECT es_append('check-1', 'raising', '{"boom": true}');
ROLLBACK TO s;
SELECT es_append('check-1', 'raising', '{"n": 8}');
SELECT es_append('check-1', 'raising', '{"boom": true}');
ROLLBACK TO s;
SELECT es_append('check-1', 'deep', '3');
SAVEPOINT t;
SELECT es_append('check-1', 'deep', '"x"');
ROLLBACK TO t;
SELECT es_append('check-1', 'deep', '2');
CREATE OR REPLACE FUNCTION raising(data jsonb) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT data ? 'new' $$;
SELECT es_append('check-1', 'raising', '{"new": true}');
SELECT es_append('check-1', 'raising', '{"n": 8}');
ROLLBACK;
DO $$
BEGIN
  FOR i IN 1 .. 2000 LOOP
    BEGIN
      PERFORM es_append('check-1', 'raising', CASE WHEN i % 2 = 0 THEN '{"boom": 1}' ELSE '{"n": 1}' END::jsonb);
    EXCEPTION WHEN SQLSTATE 'XX123' THEN NULL;
    END;
  END LOOP;
END $$;
SELECT count(*), min(data::text), max(data::text) FROM es_read_stream('check-1') WHERE event_type = 'raising';
SELECT count(*) FROM scratch;
-- What refused events leave behind does not add up.
DO $$
BEGIN
  FOR i IN 1 .. 2000 LOOP
    BEGIN
      PERFORM es_check_event('OrderPlaced', '{"quantity": 0}');
    EXCEPTION WHEN SQLSTATE 'PE004' THEN NULL;
    END;
  END LOOP;
END $$;
SELECT sum(total_bytes) < 100000 AS is_small FROM pg_backend_memory_contexts WHERE name = 'event_store type check';
-- The check runs as its owner: who may only append sees no table of his.
SET ROLE regress_es_check_writer;
SELECT es_append('check-2', 'raising', '{"n": 1}');
SELECT es_append('check-2', 'raising', '{"n": 11}');
RESET ROLE;

-- Where a constraint of the user's sends events through SQL they are checked, too, as triggers left them.
ALTER TABLE es_events ADD CONSTRAINT small CHECK (version < 1000000);
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.data ? 'zero' THEN NEW.data := '{"quantity": 0}'; END IF; RETURN NEW; END $$;
CREATE TRIGGER change BEFORE INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION change();
SELECT es_append('indirect-1', 'OrderPlaced', '{"quantity": 1}');
SELECT es_append('indirect-1', 'OrderPlaced', '{"quantity": 1, "zero": 1}');
SELECT es_append('indirect-1', 'OrderPlaced', '{"quantity": 0}');
SET event_store.strict_types = warn;
SELECT es_append('indirect-1', 'Nobody', '1');
SELECT * FROM es_check();

\c :old_database
DROP DATABASE regress_es_check;
DROP ROLE regress_es_check_writer;
