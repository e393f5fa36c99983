-- The upcaster engine, through es_upcast(): chains, renames, splits, errors, rights.
-- In a database of its own: types concern all events.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_es_upcast;
\c regress_es_upcast
\set SHOW_CONTEXT always
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET TimeZone = 'UTC';
-- Nothing is registered.
CREATE EXTENSION event_store;
SELECT * FROM es_upcast('A', 1, '{"a": 1}');
SELECT es_upcast_to('A', 2, '{}');
SELECT pg_typeof(es_upcast_to(NULL, NULL, NULL)), es_upcast_to(NULL, NULL, NULL);

-- A chain: data, metadata, names.
SELECT es_register_event_type('A'), es_register_event_type('A', 2, upcaster => $$ data || '{"b": 2}' $$),
       es_register_event_type('A', 3, upcaster => $$ data || jsonb_build_object('type', event_type, 'from', schema_version, 'by', metadata->'by') $$),
       es_register_event_type('A', 4, upcaster => $$ jsonb_set(data, '{c}', data->'b') - 'b' $$);
SELECT v, u.* FROM generate_series(1, 5) v, es_upcast('A', v, '{"a": 1, "b": 1}', '{"by": "me"}') u;
SELECT * FROM es_upcast('A', 1, '{"a": 1}');
SELECT * FROM es_upcast('A', 2147483647, '{"a": 1}');
-- A draft is not what events are read as; deprecated and retired versions are.
SELECT es_register_event_type('A', 5, upcaster => $$ '"draft"' $$, status => 'draft');
SELECT * FROM es_upcast('A', 4, '{}');
SELECT es_set_event_type_status('A', 5, 'active'), es_set_event_type_status('A', 4, 'retired'), es_set_event_type_status('A', 3, 'deprecated');
SELECT * FROM es_upcast('A', 1, '{}');
-- A version that nobody registered stays what it is, up to one with an upcaster.
SELECT es_register_event_type('From3', 3), es_register_event_type('From3', 4, upcaster => $$ '4' $$);
SELECT v, u.* FROM generate_series(1, 5) v, es_upcast('From3', v, to_jsonb(v)) u;

-- Renames, over several types; into a version that is not the first.
SELECT es_register_event_type('Old'), es_register_event_type('Old', 2, upcaster => $$ es_upcast_to('A', 4, data) $$);
SELECT * FROM es_upcast('Old', 1, '{}');
SELECT es_register_event_type('Older'), es_register_event_type('Older', 2, upcaster => $$ es_upcast_to('Old', 1, data) $$);
SELECT * FROM es_upcast('Older', 1, '{}');
-- Within a type versions can be skipped, and the type can be told by the data.
SELECT es_register_event_type('Skip'), es_register_event_type('Skip', 2, upcaster => $$ CASE WHEN data ? 'skip' THEN es_upcast_to(event_type, 4, data) ELSE es_upcast_to(event_type, 2, data) END $$),
       es_register_event_type('Skip', 3, upcaster => $$ data || '{"three": 3}' $$), es_register_event_type('Skip', 4, upcaster => $$ data || '{"four": 4}' $$);
SELECT * FROM es_upcast('Skip', 1, '{"skip": 1}');
SELECT * FROM es_upcast('Skip', 1, '{"do not": 1}');

-- Splits: an array, a set; each piece goes on by itself; order is kept.
SELECT es_register_event_type('Both'), es_register_event_type('Both', 2, upcaster => $$ ARRAY[es_upcast_to('Old', 1, '"first"'), es_upcast_to('Both', 2, data), es_upcast_to('From3', 3, '"third"')] $$);
SELECT * FROM es_upcast('Both', 1, '{"both": 1}');
CREATE FUNCTION lines(data jsonb) RETURNS SETOF es_upcast_event LANGUAGE sql STABLE AS $$
  SELECT es_upcast_to('Line', 1, line || jsonb_build_object('n', n)) FROM jsonb_array_elements(data->'lines') WITH ORDINALITY l(line, n) ORDER BY n $$;
CREATE FUNCTION lines_pl(data jsonb) RETURNS SETOF es_upcast_event LANGUAGE plpgsql STABLE AS $$
BEGIN
  FOR i IN 1 .. (data->>'n')::int LOOP RETURN NEXT es_upcast_to('Both', 1, to_jsonb(i)); END LOOP;
END $$;
SELECT es_register_event_type('Order'), es_register_event_type('Order', 2, upcaster => 'lines');
SELECT es_register_event_type('OrderPl'), es_register_event_type('OrderPl', 2, upcaster => 'lines_pl(data || ''{"x": 1}'')');
SELECT * FROM es_upcast('Order', 1, '{"lines": [{"a": 1}, {"b": 2}]}');
SELECT * FROM es_upcast('OrderPl', 1, '{"n": 2}');
SELECT count(*), count(DISTINCT data) FROM es_upcast('OrderPl', 1, '{"n": 20000}');
SELECT count(*) FROM es_upcast('OrderPl', 1, '{"n": 40000}', NULL, 'order-1', 3);
-- As a set in a SELECT list, unfinished ones too.
SELECT i, es_upcast('Order', 1, '{"lines": [{"a": 1}, {"b": 2}]}') FROM generate_series(1, 2) i;
SELECT i, (SELECT data FROM (SELECT (es_upcast('Order', 1, jsonb_build_object('lines', jsonb_build_array(i, -i)))).data OFFSET 0) x LIMIT 1) FROM generate_series(1, 3) i;
SELECT es_upcast('A', 4, '{}');
-- A domain of functions in other languages, and a strict one that gets no NULL.
CREATE FUNCTION strict_one(jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT $1 || '{"strict": true}'::jsonb $$;
SELECT es_register_event_type('Strict'), es_register_event_type('Strict', 2, upcaster => 'public.strict_one'), es_register_event_type('Strict', 3, upcaster => '"strict_one"');
SELECT * FROM es_upcast('Strict', 1, '{}');

-- Large data, toasted.
CREATE TABLE large (data jsonb);
INSERT INTO large SELECT jsonb_build_object('v', string_agg(md5(i::text), '')) FROM generate_series(1, 100000) i;
SELECT event_type, schema_version, length(u.data::text), u.data ? 'strict' FROM large l, es_upcast('Strict', 1, l.data) u;
SELECT es_upcast_to('X', 1, data) IS NOT NULL FROM large;

-- Errors name the type, the versions and the event.
CREATE FUNCTION fail(data jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'cannot: %', data; END $$;
CREATE FUNCTION loops(data jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN LOOP END LOOP; END $$;
CREATE FUNCTION run(command text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$ BEGIN EXECUTE command; END $$;
CREATE FUNCTION writes(data jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM run('DELETE FROM public.large'); RETURN data; END $$;
CREATE FUNCTION null_in_set(data jsonb) RETURNS SETOF es_upcast_event LANGUAGE sql STABLE AS $$ SELECT NULL::es_upcast_event $$;
CREATE FUNCTION reg(name text, code text) RETURNS void LANGUAGE sql AS $$ SELECT es_register_event_type(name), es_register_event_type(name, 2, upcaster => code) $$;
SELECT reg('Cast', $$ to_jsonb((data->>'n')::int) $$), reg('Fail', 'fail'), reg('Null', $$ data->'n' $$), reg('NullEvent', $$ CASE WHEN data ? 'x' THEN es_upcast_to('A', 1, data) END $$),
       reg('NullType', 'es_upcast_to(NULL, 1, data)'), reg('NullVersion', $$ es_upcast_to('A', NULL, data) $$), reg('NullData', $$ es_upcast_to('A', 1, NULL) $$),
       reg('NullPiece', $$ ARRAY[es_upcast_to('A', 1, data), NULL] $$), reg('NullSet', 'null_in_set'), reg('NullArray', 'NULL::es_upcast_event[]'),
       reg('Empty', 'ARRAY[]::es_upcast_event[]'), reg('Same', $$ es_upcast_to('Same', 1, data) $$), reg('NoName', $$ es_upcast_to('', 1, data) $$), reg('Zero', $$ es_upcast_to('A', 0, data) $$),
       reg('Ping', $$ es_upcast_to('Pong', 1, data) $$), reg('Pong', $$ es_upcast_to('Ping', 1, data) $$), reg('Double', $$ ARRAY[es_upcast_to('Twice', 1, data), es_upcast_to('Twice', 1, data)] $$), reg('Twice', $$ es_upcast_to('Double', 1, data) $$),
       reg('Loops', 'loops'), reg('Writes', 'writes');
SELECT * FROM es_upcast('Cast', 1, '{"n": "x"}', NULL, 'order-1', 5);
SELECT * FROM es_upcast('Cast', 1, '{"n": "x"}', NULL, 'order-1');
SELECT * FROM es_upcast('Cast', 1, '{"n": "x"}');
SELECT * FROM es_upcast('Fail', 1, '{"n": "x"}', NULL, 'order-1', 5);
SELECT * FROM es_upcast('Null', 1, '{"n": 1}');
SELECT * FROM es_upcast('Null', 1, '{}', NULL, 'order-1', 5);
SELECT * FROM es_upcast('NullEvent', 1, '{}', NULL, 'order-1', 5);
SELECT * FROM es_upcast('NullType', 1, '{}');
SELECT * FROM es_upcast('NullVersion', 1, '{}');
SELECT * FROM es_upcast('NullData', 1, '{}');
SELECT * FROM es_upcast('NullPiece', 1, '{}');
SELECT * FROM es_upcast('NullSet', 1, '{}');
SELECT * FROM es_upcast('NullArray', 1, '{}');
SELECT * FROM es_upcast('Empty', 1, '{}');
SELECT * FROM es_upcast('Same', 1, '{}');
SELECT * FROM es_upcast('NoName', 1, '{}');
SELECT * FROM es_upcast('Zero', 1, '{}');
SELECT * FROM es_upcast('Ping', 1, '{}', NULL, 'order-1', 5);
SELECT * FROM es_upcast('Double', 1, '{}', NULL, 'order-1', 5);
SET statement_timeout = 50;
SELECT * FROM es_upcast('Loops', 1, '{}', NULL, 'order-1', 5);
RESET statement_timeout;
SELECT * FROM es_upcast('Writes', 1, '{}', NULL, 'order-1', 5);
SELECT * FROM es_upcast(NULL, 1, '{}');
SELECT * FROM es_upcast('A', NULL, '{}');
SELECT * FROM es_upcast('A', 1, NULL);
-- After an error all is as it was: identity, settings, writing.
SELECT current_user = session_user, current_setting('transaction_read_only');
BEGIN;
SAVEPOINT s;
SELECT * FROM es_upcast('Fail', 1, '{}');
ROLLBACK TO s;
INSERT INTO large VALUES ('{}');
SELECT current_user = session_user;
ROLLBACK;

-- Whose rights count: an upcaster cannot use those of who reads.
CREATE ROLE regress_es_upcast_admin;
CREATE ROLE regress_es_upcast_reader;
SELECT es_grant('regress_es_upcast_admin', 'admin'), es_grant('regress_es_upcast_reader', 'reader');
GRANT CREATE ON SCHEMA public TO regress_es_upcast_admin;
CREATE TABLE secret AS SELECT 'secret'::text AS word;
SET ROLE regress_es_upcast_admin;
CREATE FUNCTION spy(data jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN SELECT to_jsonb(word) INTO data FROM public.secret; RETURN data; END $$;
CREATE FUNCTION who(data jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN jsonb_build_array(current_user, current_setting('search_path'), current_setting('TimeZone')); END $$;
CREATE FUNCTION escape(data jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM run('SET ROLE regress_es_upcast_reader'); RETURN data; END $$;
CREATE FUNCTION grants(data jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM run('ALTER ROLE regress_es_upcast_admin SUPERUSER'); RETURN data; END $$;
SET TimeZone = 'Asia/Tokyo';
SELECT es_register_event_type(n), es_register_event_type(n, 2, upcaster => c)
  FROM (VALUES ('Spy', 'spy'), ('Who', 'who'), ('Escape', 'escape'), ('Grants', 'grants'), ('Xml', 'to_jsonb(table_to_xml(''public.secret'', true, false, '''')::text)'),
               ('CurrentUser', 'to_jsonb(current_user)'), ('Time', 'to_jsonb((data->>''t'')::timestamptz)')) v(n, c);
SET TimeZone = 'UTC';
RESET ROLE;
SELECT * FROM es_upcast('Spy', 1, '{}');
SELECT * FROM es_upcast('Who', 1, '{}');
SELECT * FROM es_upcast('Escape', 1, '{}');
SELECT * FROM es_upcast('Grants', 1, '{}');
SELECT * FROM es_upcast('Xml', 1, '{}');
SELECT * FROM es_upcast('CurrentUser', 1, '{}');
SELECT * FROM es_upcast('Time', 1, '{"t": "2026-01-01 00:00:00"}');
-- What a search_path of the reader's names is not found.
CREATE SCHEMA planted;
CREATE FUNCTION planted.strict_one(jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT '"planted"'::jsonb $$;
CREATE FUNCTION planted.cat(jsonb, jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT '"planted"'::jsonb $$;
CREATE OPERATOR planted.|| (FUNCTION = planted.cat, LEFTARG = jsonb, RIGHTARG = jsonb);
SET search_path = planted, pg_catalog, public;
SELECT * FROM es_upcast('Strict', 1, '{}');
SELECT * FROM es_upcast('A', 1, '{}');
SET ROLE regress_es_upcast_reader;
SELECT * FROM public.es_upcast('Who', 1, '{}');
RESET ROLE;
RESET search_path;

-- A query goes on with what it began with; the next one has the new registry.
BEGIN;
DECLARE c CURSOR FOR SELECT u.* FROM generate_series(1, 3) i, es_upcast('Strict', 1, to_jsonb(ARRAY[i])) u;
FETCH c;
SELECT es_alter_event_type('Strict', 2, upcaster => $$ '"changed"' $$);
FETCH c;
SELECT * FROM es_upcast('Strict', 1, '[]');
ROLLBACK;
SELECT * FROM es_upcast('Strict', 1, '[]');
-- A function that changes is noticed.
PREPARE p AS SELECT * FROM es_upcast('Strict', 1, '{}');
EXECUTE p;
CREATE OR REPLACE FUNCTION strict_one(jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT $1 || '{"strict": "new"}'::jsonb $$;
EXECUTE p;

-- The types are restored with a dump: what an empty copy of the table gives.
CREATE TABLE saved AS SELECT * FROM es_event_types;
TRUNCATE es_event_types;
EXECUTE p;
INSERT INTO es_event_types SELECT * FROM saved;
EXECUTE p;

\c :old_database
DROP DATABASE regress_es_upcast;
DROP ROLE regress_es_upcast_admin, regress_es_upcast_reader;
