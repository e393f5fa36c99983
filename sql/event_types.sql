-- The registry of event types: versions, life cycle, compatibility, owners, and
-- what cannot be registered.
-- In a database of its own: types concern all events.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_es_types;
\c regress_es_types
\set SHOW_CONTEXT always
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE EXTENSION event_store;
CREATE ROLE regress_es_types_a;
CREATE ROLE regress_es_types_b;
SELECT es_grant('regress_es_types_a', 'admin'), es_grant('regress_es_types_b', 'admin');
GRANT CREATE ON SCHEMA public TO regress_es_types_a, regress_es_types_b;

-- Versions are numbered one after the other; the first may be any.
SELECT es_register_event_type('OrderCreated');
SELECT es_register_event_type('OrderCreated', description => 'now with a quantity', upcaster => $$ data || '{"quantity": 1}' $$,
                              json_schema => '{"type": "object"}', check_expression => $$ (data->>'quantity')::int > 0 $$,
                              published => true, topic => 'orders');
SELECT es_register_event_type('OrderCreated', 3);
SELECT es_register_event_type('OrderCreated', 5);
SELECT es_register_event_type('OrderCreated', 2);
SELECT es_register_event_type('OrderCreated', 0);
SELECT es_register_event_type('Imported', 7);
SELECT es_register_event_type('Imported');
SELECT event_type, schema_version, status, description, published, topic, json_schema, check_expression, upcaster, compatibility, owner = current_user
  FROM es_event_types ORDER BY 1, 2;
SELECT DISTINCT split_part(s, '=', 1), CASE WHEN s LIKE 'search_path%' THEN s END FROM es_event_types, unnest(settings) s WHERE event_type = 'OrderCreated' AND schema_version = 2 ORDER BY 1;

-- Arguments.
SELECT es_register_event_type(NULL);
SELECT es_register_event_type('');
SELECT es_register_event_type(E'a\nb');
SELECT es_register_event_type(repeat('x', 256));
SELECT es_register_event_type('X', status => NULL);
SELECT es_register_event_type('X', status => 'Active');
SELECT es_register_event_type('X', published => NULL);
SELECT es_register_event_type('X', compatibility => NULL);
SELECT es_register_event_type('X', compatibility => 'sideways');
SELECT es_register_event_type('X', json_schema => '5');
SELECT es_register_event_type('X', json_schema => '{"type": "objekt"}');
SELECT es_register_event_type('X', json_schema => '{"$ref": "https://example.com/no-such-document"}');
SELECT es_register_event_type('X', json_schema => '{"pattern": "("}');
BEGIN READ ONLY;
SELECT es_register_event_type('X');
ROLLBACK;
SELECT count(*) FROM es_event_types WHERE event_type LIKE 'X%';

-- Drafts: replaced, dropped, and at the end.
SELECT es_register_event_type('Draft', status => 'draft', description => 'first thoughts');
SELECT es_register_event_type('Draft', 1, status => 'draft', description => 'second thoughts', json_schema => 'true');
SELECT es_register_event_type('Draft', 2);
SELECT es_register_event_type('Draft', 2, status => 'draft', upcaster => 'data');
SELECT es_set_event_type_status('Draft', 2, 'active');
SELECT es_drop_event_type('Draft', 1);
SELECT es_drop_event_type('Draft', 2);
SELECT es_register_event_type('Draft', 1, description => 'in force');
SELECT status, description, json_schema FROM es_event_types WHERE event_type = 'Draft';
SELECT es_register_event_type('Draft', 1, status => 'draft');
SELECT es_drop_event_type('Draft', 1);
SELECT es_drop_event_type('Draft', 2);
SELECT es_drop_event_type('Nothing', 1);

-- The life of a version has one direction.
SELECT es_set_event_type_status('Draft', 1, 'draft');
SELECT es_set_event_type_status('Draft', 1, 'active');
SELECT es_set_event_type_status('Draft', 1, 'deprecated');
SELECT es_set_event_type_status('Draft', 1, 'active');
SELECT es_set_event_type_status('Draft', 1, 'retired');
SELECT es_set_event_type_status('Draft', 1, 'deprecated');
SELECT es_set_event_type_status('Draft', 1, 'gone');
SELECT es_set_event_type_status('Draft', 1, NULL);
SELECT es_set_event_type_status('Draft', 9, 'active');
SELECT es_set_event_type_status('Imported', 7, 'retired');

-- Upcasters without gaps.
SELECT es_register_event_type('Gap', upcaster => 'data');
SELECT es_register_event_type('Gap');
SELECT es_register_event_type('Gap', 2);
SELECT es_register_event_type('Gap', 3, upcaster => 'data');
SELECT es_alter_event_type('Gap', 2, upcaster => 'data');
SELECT es_register_event_type('Gap', 3, upcaster => 'data');
SELECT es_alter_event_type('Gap', 1, upcaster => 'data');

-- Changing what can be changed.
SELECT es_alter_event_type('Gap', 3, description => 'described', published => true, topic => 'gaps');
SELECT es_alter_event_type('Gap', 3);
SELECT es_alter_event_type('Gap', 3, upcaster => $$ jsonb_set(data, '{v}', '3') $$);
SELECT es_alter_event_type('Gap', 3, upcaster => 'nonsense(');
SELECT es_alter_event_type('Gap', 3, owner => 'regress_es_no_such_role');
SELECT es_alter_event_type('Gap', 4, description => 'x');
SELECT es_alter_event_type('Gap', NULL);
SELECT description, published, topic, upcaster FROM es_event_types WHERE event_type = 'Gap' AND schema_version = 3;
SELECT * FROM es_upcast('Gap', 1, '{}');

-- Compatibility.
SELECT es_register_event_type('Paid', json_schema => '{"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number", "minimum": 0}, "note": {"type": "string"}}}');
SELECT es_register_event_type('Paid', json_schema => '{"type": "object", "required": ["amount", "currency"], "properties": {"amount": {"type": "number", "minimum": 1}, "currency": {"type": "string"}}}');
SELECT es_register_event_type('Paid', json_schema => '{"type": "object", "required": ["amount", "currency"], "properties": {"amount": {"type": "number", "minimum": 1}}}', compatibility => 'full');
SELECT es_register_event_type('Paid', json_schema => '{"type": "object", "properties": {"amount": {"type": "number"}}}', compatibility => 'forward');
SELECT es_register_event_type('Paid', json_schema => '{"type": "object", "properties": {"amount": {"type": "number"}, "note": {"type": "string"}}}', compatibility => 'backward');
SELECT es_alter_event_type('Paid', 2, upcaster => 'data');
SELECT es_register_event_type('Paid', json_schema => '{"type": "object", "required": ["currency"], "properties": {"amount": {"type": "number"}, "note": {"type": "string"}}}', upcaster => $$ data || '{"currency": "EUR"}' $$);
SELECT es_register_event_type('Paid', json_schema => '{"type": "string"}', compatibility => 'none', upcaster => 'to_jsonb(data::text)');
SELECT schema_version, compatibility FROM es_event_types WHERE event_type = 'Paid' ORDER BY 1;

-- Expressions that cannot be.
CREATE FUNCTION vol(jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS 'SELECT $1';
CREATE FUNCTION setof_jsonb(jsonb) RETURNS SETOF jsonb LANGUAGE sql STABLE AS 'SELECT $1';
CREATE FUNCTION pieces(jsonb) RETURNS SETOF es_upcast_event LANGUAGE sql STABLE AS $$ SELECT es_upcast_to('Piece', 1, $1) $$;
CREATE FUNCTION no_jsonb(jsonb) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION try_upcaster(code text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
  PERFORM es_register_event_type('Bad', 1, status => 'draft');
  PERFORM es_register_event_type('Bad', 2, upcaster => code, status => 'draft');
  RAISE WARNING 'taken: %', left(code, 60);
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RAISE WARNING '% => % % | % | %', left(code, 60), SQLSTATE, SQLERRM, detail, hint;
END $$;
CREATE FUNCTION try_check(code text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
  PERFORM es_register_event_type('Bad', 1, check_expression => code, status => 'draft');
  RAISE WARNING 'taken: %', left(code, 60);
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RAISE WARNING '% => % % | % | %', left(code, 60), SQLSTATE, SQLERRM, detail, hint;
END $$;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT count(try_upcaster(code)::text)
  FROM unnest(ARRAY['', ' ', 'data ||', 'no_such_function', 'no_such_schema.f', 'vol', 'vol(data)', 'random()::text::jsonb', 'clock_timestamp()::text::jsonb', 'no_jsonb', 'no_jsonb(data)',
                    'setof_jsonb', 'setof_jsonb(data)', 'data || setof_jsonb(data)', 'jsonb_array_elements(data)', 'count(data)', 'jsonb_agg(data)', 'lag(data) OVER ()',
                    '(SELECT data)', 'data FROM pg_class', 'data WHERE true', 'data, metadata', 'data; DROP TABLE es_events', 'data) UNION (SELECT 1', 'DISTINCT data',
                    'data LIMIT 1', 'data ORDER BY 1', 'data -- a comment', 'data /* a comment', '*', 'stream_id', 'version', 'es_events.data', '$1', 'NULL', '''{}''', '''nonsense''',
                    'ROW(''A'', 1, data)', 'es_upcast_to', 'es_upcast_to(''A'', 1)', 'es_upcast_to(''A'', 1, data)', 'ARRAY[es_upcast_to(''A'', 1, data)]', 'pieces', 'pieces(data)', 'coalesce(pieces(data), NULL)',
                    'data::json', 'data::text', 'to_json(data)', 'data', 'data || metadata || to_jsonb(event_type) || to_jsonb(schema_version)',
                    'set_config(''search_path'', ''x'', false)::jsonb', 'nextval(''es_tx_seq'')::text::jsonb', repeat('(', 100000)]) code;
SELECT count(try_check(code)::text)
  FROM unnest(ARRAY['', 'data', 'data IS NOT NULL AND', 'vol(data) IS NULL', 'count(*) > 0', 'EXISTS (SELECT 1)', 'stream_id LIKE ''order-%''', 'data ? ''a'' AND metadata ? ''b'' AND event_type <> '''' AND schema_version = 1',
                    'no_jsonb', 'setof_jsonb(data)', 'true', 'NULL', '1', 'current_user = ''x''', 'version > 1']) code;
-- Errors point into the expression.
\set VERBOSITY default
\set SHOW_CONTEXT always
SELECT es_register_event_type('Pointed', check_expression => $$ (data->>'a')::int > nothing $$);
-- A long one.
SELECT es_register_event_type('Long', check_expression => 'data IS NOT NULL' || repeat(' AND data IS NOT NULL', 5000));
SELECT length(check_expression) FROM es_event_types WHERE event_type = 'Long';
SELECT es_check_event('Long', '{}');
-- Names that look like SQL.
SELECT es_register_event_type($$'; DROP TABLE es_events; --$$, topic => $$'); DROP TABLE es_events; --$$);
SELECT es_check_event($$'; DROP TABLE es_events; --$$, '{}');

-- Whose it is.
SET ROLE regress_es_types_a;
CREATE FUNCTION a_only(jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN $1 || '{"by": "a"}'; END $$;
REVOKE ALL ON FUNCTION a_only(jsonb) FROM PUBLIC;
SELECT es_register_event_type('OfA');
SELECT es_register_event_type('OfA', upcaster => 'a_only');
SELECT * FROM es_upcast('OfA', 1, '{}');
SET ROLE regress_es_types_b;
-- B reads it without the right to call the function; but cannot use it or change A's.
SELECT * FROM es_upcast('OfA', 1, '{}');
SELECT es_register_event_type('OfB');
SELECT es_register_event_type('OfB', upcaster => 'a_only');
SELECT es_register_event_type('OfB', upcaster => 'a_only', check_expression => 'true');
SELECT es_alter_event_type('OfA', 2, upcaster => 'data');
SELECT es_set_event_type_status('OfA', 2, 'retired');
\set VERBOSITY sqlstate
SELECT es_alter_event_type('OfB', 1, owner => 'regress_es_types_a');
\set VERBOSITY default
SET ROLE regress_es_types_a;
SELECT es_register_event_type('OfADraft', status => 'draft');
SET ROLE regress_es_types_b;
SELECT es_register_event_type('OfADraft', 1);
SELECT es_drop_event_type('OfADraft', 1);
RESET ROLE;
SELECT es_alter_event_type('OfA', 2, owner => 'regress_es_types_b');
GRANT EXECUTE ON FUNCTION a_only(jsonb) TO regress_es_types_b;
SELECT es_alter_event_type('OfA', 2, owner => 'regress_es_types_b');
SELECT * FROM es_upcast('OfA', 1, '{}');
REVOKE EXECUTE ON FUNCTION a_only(jsonb) FROM regress_es_types_b;
SELECT * FROM es_upcast('OfA', 1, '{}');
GRANT EXECUTE ON FUNCTION a_only(jsonb) TO regress_es_types_b;
-- The search_path is that of the definition.
CREATE SCHEMA elsewhere;
CREATE FUNCTION elsewhere.a_only(jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT '"elsewhere"'::jsonb $$;
SET search_path = elsewhere, public;
SELECT * FROM es_upcast('OfA', 1, '{}');
RESET search_path;

-- What is gone later: a function, a role.
CREATE FUNCTION short_lived(jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT $1 || '{"short": true}'::jsonb $$;
SELECT es_register_event_type('Lost');
SELECT es_register_event_type('Lost', upcaster => 'short_lived', check_expression => 'short_lived(data) IS NOT NULL');
SELECT * FROM es_upcast('Lost', 1, '{}');
CREATE OR REPLACE FUNCTION short_lived(jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT $1 || '{"short": "changed"}'::jsonb $$;
SELECT * FROM es_upcast('Lost', 1, '{}');
DROP FUNCTION short_lived(jsonb);
SELECT * FROM es_upcast('Lost', 1, '{}');
SELECT es_check_event('Lost', '{}', 2);
SELECT es_check_event('Lost', '{}', 1);
-- Others are not concerned.
SELECT * FROM es_upcast('Gap', 1, '{}');
SELECT es_revoke('regress_es_types_b', 'admin');
UPDATE es_event_types SET owner = 'regress_es_types_gone' WHERE event_type = 'OfA';
SELECT * FROM es_upcast('OfA', 1, '{}');
SELECT es_set_event_type_status('OfA', 1, 'retired');
SELECT es_alter_event_type('OfA', 2, owner => 'regress_es_types_a');
SELECT * FROM es_upcast('OfA', 1, '{}');

-- Nonsense in the table, put there by its owner or a restore, is found when it is needed.
INSERT INTO es_event_types (event_type, schema_version, owner, json_schema) VALUES ('Nonsense', 1, current_user, '{"type": 5}');
INSERT INTO es_event_types (event_type, schema_version, owner, upcaster) VALUES ('Nonsense', 2, current_user, 'this is none');
INSERT INTO es_event_types (event_type, schema_version, owner, check_expression) VALUES ('Nonsense', 3, current_user, 'count(*)');
INSERT INTO es_event_types (event_type, schema_version, owner, upcaster, settings) VALUES ('Nonsense', 4, current_user, 'data', '{x}');
INSERT INTO es_event_types (event_type, schema_version, owner, upcaster, settings) VALUES ('Nonsense', 5, current_user, 'data', '{x.y=z,search_path=public,no_such_setting=1}');
INSERT INTO es_event_types (event_type, schema_version, owner, upcaster, settings) VALUES ('Nonsense', 6, current_user, 'vol', ARRAY[NULL, 'search_path=public']);
SELECT es_check_event('Nonsense', '{}', 1);
SELECT es_check_event('Nonsense', '{}', 3);
SELECT * FROM es_upcast('Nonsense', 1, '{}');
SELECT * FROM es_upcast('Nonsense', 3, '{}');
SELECT * FROM es_upcast('Nonsense', 4, '{}');
SELECT * FROM es_upcast('Nonsense', 5, '{}');
INSERT INTO es_event_types (event_type, schema_version, owner, upcaster, settings) VALUES ('Nonsense', 9, current_user, 'data', '{role=none}'), ('Nonsense', 11, current_user, 'data', '{Session_Authorization=default}');
SELECT * FROM es_upcast('Nonsense', 8, '{}');
SELECT * FROM es_upcast('Nonsense', 10, '{}');
\set VERBOSITY terse
INSERT INTO es_event_types (event_type, schema_version, owner) VALUES ('Nonsense', 0, current_user);
INSERT INTO es_event_types (event_type, schema_version, owner, status) VALUES ('Nonsense', 7, current_user, 'x');
\set VERBOSITY default
DELETE FROM es_event_types WHERE event_type = 'Nonsense';
SELECT * FROM es_upcast('Nonsense', 1, '{}');

-- Versions come to an end.
BEGIN;
SELECT es_register_event_type('Last', 2147483647);
SELECT es_register_event_type('Last');
ROLLBACK;

-- A rollback takes it back, in this session too.
BEGIN;
SELECT es_register_event_type('Fleeting', json_schema => 'false');
SELECT es_check_event('Fleeting', '{}');
ROLLBACK;
SELECT es_check_event('Fleeting', '{}');
BEGIN;
SAVEPOINT s;
SELECT es_register_event_type('Fleeting', json_schema => 'false');
ROLLBACK TO s;
SELECT es_check_event('Fleeting', '{}');
COMMIT;
TRUNCATE es_event_types;
SELECT es_check_event('Nonsense', '{}', 1);

\c :old_database
DROP DATABASE regress_es_types;
DROP ROLE regress_es_types_a, regress_es_types_b;
