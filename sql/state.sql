-- state: es_state and es_states, now and then, with and without snapshots.
\set SHOW_CONTEXT never

CREATE SCHEMA st;
SET search_path = st, public;
CREATE FUNCTION evolve(state jsonb, e es_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN jsonb_build_object('n', coalesce((state->>'n')::int, 0) + 1, 'sum', coalesce((state->>'sum')::int, 0) + (e.data->>'x')::int, 'last', e.event_type);
END $$;
CREATE FUNCTION evolve_sql(state jsonb, e es_event) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('n', coalesce((state->>'n')::int, 0) + 1, 'sum', coalesce((state->>'sum')::int, 0) + ((e).data->>'x')::int, 'last', (e).event_type)
$$;
CREATE AGGREGATE fold(es_event) (SFUNC = evolve, STYPE = jsonb);
CREATE FUNCTION total_step(numeric, es_event) RETURNS numeric LANGUAGE sql STRICT AS $$ SELECT $1 + ((e).data->>'x')::int FROM (SELECT $2 AS e) s $$;
CREATE FUNCTION total_final(numeric) RETURNS text LANGUAGE sql AS $$ SELECT 'total ' || $1 $$;
CREATE AGGREGATE total(es_event) (SFUNC = total_step, STYPE = numeric, INITCOND = '0.5', FINALFUNC = total_final);
CREATE AGGREGATE events(es_event) (SFUNC = array_append, STYPE = es_event[]);
CREATE FUNCTION types_final(text[], es_event) RETURNS text[] LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION types_step(text[], es_event) RETURNS text[] LANGUAGE plpgsql AS $$ BEGIN $1[cardinality($1) + 1] = $2.event_type; RETURN $1; END $$;
CREATE AGGREGATE types(es_event) (SFUNC = types_step, STYPE = text[], INITCOND = '{}', FINALFUNC = types_final, FINALFUNC_EXTRA);
CREATE FUNCTION larger(es_event, es_event) RETURNS es_event LANGUAGE sql STRICT AS $$ SELECT CASE WHEN ($2).version > 3 THEN $1 ELSE $2 END $$;
CREATE AGGREGATE early(es_event) (SFUNC = larger, STYPE = es_event);
CREATE VIEW st.snapshots AS SELECT tenant_id, stream_id, version, aggregate, state, definition IS NOT NULL AS automatic FROM es_snapshots WHERE stream_id ~ '^tally' ORDER BY 1, 2, 4, 3;

SELECT es_create_aggregate('plpgsql', 'tally', 'evolve', snapshot_every => NULL);
SELECT es_create_aggregate('sql', 'tally', 'evolve_sql', snapshot_every => NULL);
SELECT es_create_aggregate('fold', 'tally', 'fold', snapshot_every => NULL);
SELECT es_create_aggregate('total', 'tally', 'total', snapshot_every => NULL);
SELECT es_create_aggregate('events', 'tally', 'events', snapshot_every => NULL);
SELECT es_create_aggregate('types', 'tally', 'types', snapshot_every => NULL);
SELECT es_create_aggregate('early', 'tally', 'early', snapshot_every => NULL);
SELECT es_create_aggregate('count', 'tally', 'count("any")'::regprocedure::oid::regproc, snapshot_every => NULL);
SELECT count(es_append('tally-1', 'T' || n % 3, jsonb_build_object('x', n))) FROM generate_series(1, 10) n;

-- All ways of saying it give the same, and what PostgreSQL gives.
SELECT name, es_state('tally-1', aggregate => name) FROM unnest('{plpgsql,sql,fold,total,types,count}'::text[]) name;
SELECT fold(e ORDER BY version), total(e ORDER BY version), types(e ORDER BY version), count(e) FROM es_read_stream('tally-1') e;
SELECT es_state('tally-1', aggregate => 'events') = to_jsonb(events(e ORDER BY version)) AS events,
       es_state('tally-1', aggregate => 'early') = to_jsonb(early(e ORDER BY version)) AS early FROM es_read_stream('tally-1') e;
SELECT es_state('tally-1', aggregate => 'early')->'version' AS version;

-- A stream that is not there has no state.
SELECT es_state('tally-2', aggregate => name) IS NULL AS none FROM unnest('{plpgsql,sql,fold,total,types,count}'::text[]) name;
-- Which aggregate it is.
SELECT regress.error_of($$SELECT es_state('tally-1')$$), regress.error_of($$SELECT es_state('other-1')$$), regress.error_of($$SELECT es_state('tally-1', aggregate => 'x')$$);
SELECT es_state('tally-1', aggregate => name) FROM unnest('{plpgsql,sql}'::text[]) name;

-- Then.
SELECT v, es_state('tally-1', v, aggregate => 'sql') FROM unnest('{0,1,9,10,11,9223372036854775807}'::bigint[]) v;
SELECT recorded_at AS at_4 FROM es_read_stream('tally-1') WHERE version = 4 \gset
SELECT es_state('tally-1', as_of => :'at_4', aggregate => 'sql')->'n' AS at_4,
       es_state('tally-1', as_of => timestamptz :'at_4' - interval '1 microsecond', aggregate => 'sql')->'n' AS before,
       es_state('tally-1', as_of => 'infinity', aggregate => 'sql')->'n' AS infinity,
       es_state('tally-1', as_of => '-infinity', aggregate => 'sql')->'n' AS minus_infinity,
       es_state('tally-1', as_of => now(), aggregate => 'sql')->'n' AS now;
-- Of events of one time all count or none.
SELECT es_append_batch('tally-same', '{A,B,C}', '{"{\"x\": 1}","{\"x\": 2}","{\"x\": 3}"}');
SELECT es_state('tally-same', as_of => recorded_at, aggregate => 'sql')->'n' AS n, es_version_at('tally-same', recorded_at) FROM es_events WHERE stream_id = 'tally-same' AND version = 1;
-- Positions; an event without one comes after all others.
SELECT CASE WHEN es_head_position() IS NOT NULL THEN es_state('tally-1', at_position => 0, aggregate => 'sql') END AS nothing;
SELECT regress.error_of(format('SELECT es_state(%s)', arguments)) FROM (VALUES
  (1, $$NULL$$), (2, $$''$$), (3, $$'tally-1', -1, aggregate => 'sql'$$), (4, $$'tally-1', at_position => -1, aggregate => 'sql'$$),
  (5, $$'tally-1', 1, now(), aggregate => 'sql'$$), (6, $$'tally-1', 1, at_position => 1, aggregate => 'sql'$$),
  (7, $$'tally-1', as_of => now(), at_position => 1, aggregate => 'sql'$$)) v(n, arguments) ORDER BY n;

-- States that come from the event or are the state itself.
CREATE FUNCTION same(state jsonb, e es_event) RETURNS jsonb LANGUAGE sql AS $$ SELECT CASE (e).version WHEN 2 THEN (e).data WHEN 3 THEN (e).metadata WHEN 5 THEN '{"five": 5}' ELSE coalesce(state, '{}') END $$;
SELECT es_create_aggregate('same', 'tally', 'same', snapshot_every => NULL);
SELECT es_append('tally-same', 'D', '{"x": 4}', '{"who": "me"}'), es_append('tally-same', 'E', '{"x": 4}'), es_append('tally-same', 'F', '{"x": 4}');
SELECT v, es_state('tally-same', v, aggregate => 'same') FROM generate_series(1, 6) v;
-- Large ones too, compressed and not.
CREATE FUNCTION grow(state jsonb, e es_event) RETURNS jsonb LANGUAGE sql AS $$ SELECT CASE WHEN (e).version > 2 THEN state || jsonb_build_object((e).version::text, (e).data) ELSE (e).data END $$;
SELECT es_create_aggregate('grow', 'big', 'grow');
SELECT es_append('big-1', 'Grown', jsonb_build_object('a', repeat('x', 100000))), es_append('big-1', 'Grown', (SELECT jsonb_agg(md5(n::text)) FROM generate_series(1, 3000) n)), es_append('big-1', 'Grown', jsonb_build_object('a', repeat('y', 3000)));
SELECT v, length(es_state('big-1', v)::text) FROM generate_series(1, 3) v;
SELECT es_drop_aggregate('grow');

-- Without a state before the first event, with one, and functions that are strict.
CREATE FUNCTION evolve_strict(state jsonb, e es_event) RETURNS jsonb LANGUAGE sql STRICT AS $$ SELECT state || jsonb_build_object('v', (e).version) $$;
SELECT es_create_aggregate('strict', 'tally', 'evolve_strict', '{"first": true}', snapshot_every => NULL);
SELECT es_state('tally-1', aggregate => 'strict');
SELECT es_alter_aggregate('strict', 'evolve');
SELECT es_state('tally-1', aggregate => 'strict');
SELECT es_drop_aggregate('strict');

-- Snapshots: when so many events were read since the last one.
SELECT es_alter_aggregate('sql', snapshot_every => 4), es_alter_aggregate('total', snapshot_every => 4, keep => 2), es_alter_aggregate('events', snapshot_every => 10);
SELECT es_state('tally-1', aggregate => 'sql')->'n' AS sql, es_state('tally-1', aggregate => 'total') AS total, jsonb_array_length(es_state('tally-1', aggregate => 'events')) AS events;
SELECT version, aggregate, state, automatic FROM snapshots WHERE aggregate <> 'events';
SELECT version, aggregate, length(state #>> '{}') > 100 AS is_text, automatic FROM snapshots WHERE aggregate = 'events';
SELECT count(es_append('tally-1', 'T' || n % 3, jsonb_build_object('x', n))) FROM generate_series(11, 13) n;
SELECT es_state('tally-1', aggregate => 'sql')->'n' AS sql, es_state('tally-1', aggregate => 'total') AS total, jsonb_array_length(es_state('tally-1', aggregate => 'events')) AS events;
SELECT version, aggregate FROM snapshots;
SELECT es_append('tally-1', 'T2', '{"x": 14}');
SELECT es_state('tally-1', aggregate => 'sql')->'n' AS sql, es_state('tally-1', aggregate => 'total') AS total;
SELECT version, aggregate FROM snapshots;
-- They are used, by a session that has not seen the stream.
SET event_store.state_cache_size = 0;
SELECT es_state('tally-1', aggregate => 'sql') AS before;
UPDATE es_snapshots SET state = jsonb_set(state, '{sum}', '1000') WHERE stream_id = 'tally-1' AND aggregate = 'sql';
SELECT es_state('tally-1', aggregate => 'sql') AS used, es_state('tally-1', 13, aggregate => 'sql') AS not_used;
-- One that was saved by hand is not, and stays.
SELECT es_save_snapshot('tally-1', 14, '{"sum": 2000}', 'sql');
SELECT es_state('tally-1', aggregate => 'sql') AS now;
SELECT version, aggregate, state, automatic FROM snapshots WHERE aggregate = 'sql';
SELECT es_delete_snapshots('tally-1', aggregate => 'sql');
-- A state that is null is not saved.
CREATE FUNCTION to_null(state int, e es_event) RETURNS int LANGUAGE sql AS 'SELECT NULL::int';
CREATE AGGREGATE nullable(es_event) (SFUNC = to_null, STYPE = int, INITCOND = '1');
SELECT es_create_aggregate('nullable', 'tally', 'nullable', snapshot_every => 1);
SELECT es_state('tally-1', aggregate => 'nullable') IS NULL AS is_null, (SELECT count(*) FROM snapshots WHERE aggregate = 'nullable');
SELECT es_drop_aggregate('nullable');
-- Not by transactions that cannot, or that others could fail.
BEGIN READ ONLY;
SELECT es_state('tally-1', aggregate => 'sql')->'n' AS n;
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT es_state('tally-1', aggregate => 'sql')->'n' AS n;
COMMIT;
SELECT count(*) FROM snapshots WHERE aggregate = 'sql';
-- Not of the past.
SELECT es_state('tally-1', 8, aggregate => 'sql')->'n' AS n;
SELECT count(*) FROM snapshots WHERE aggregate = 'sql';
-- What fails is a warning; the state is right.
ALTER TABLE es_snapshots ADD CONSTRAINT no_sql CHECK (aggregate <> 'sql');
\set VERBOSITY terse
SELECT es_state('tally-1', aggregate => 'sql')->'n' AS n;
\set VERBOSITY default
ALTER TABLE es_snapshots DROP CONSTRAINT no_sql;
SELECT es_state('tally-1', aggregate => 'sql')->'n' AS n;
SELECT version FROM snapshots WHERE aggregate = 'sql';

-- The function changes: nothing of before is used, or kept.
RESET event_store.state_cache_size;
SELECT es_state('tally-1', aggregate => 'sql') AS before;
CREATE OR REPLACE FUNCTION evolve_sql(state jsonb, e es_event) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('m', coalesce((state->>'m')::int, 0) + 2)
$$;
SELECT es_state('tally-1', aggregate => 'sql') AS after;
SELECT version, state FROM snapshots WHERE aggregate = 'sql';
BEGIN;
CREATE OR REPLACE FUNCTION evolve_sql(state jsonb, e es_event) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"rolled back"'::jsonb $$;
SELECT es_state('tally-1', aggregate => 'sql') AS in_transaction;
ROLLBACK;
SELECT es_state('tally-1', aggregate => 'sql') AS after_rollback;
SELECT es_alter_aggregate('sql', initial_state => '{"m": 100}');
SELECT es_state('tally-1', aggregate => 'sql') AS from_100;
-- So does a part of an aggregate function.
SELECT es_state('tally-1', aggregate => 'total') AS before;
CREATE OR REPLACE FUNCTION total_step(numeric, es_event) RETURNS numeric LANGUAGE sql STRICT AS $$ SELECT $1 + 1 $$;
SELECT es_state('tally-1', aggregate => 'total') AS after;

-- What evolve calls is not looked at: es_rebuild_snapshots().
CREATE FUNCTION price() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION evolve_price(state jsonb, e es_event) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN to_jsonb(coalesce(state::int, 0) + price()); END $$;
SELECT es_create_aggregate('price', 'tally', 'evolve_price', snapshot_every => 3, keep => NULL);
SELECT es_state('tally-1', aggregate => 'price');
CREATE OR REPLACE FUNCTION price() RETURNS int LANGUAGE sql AS 'SELECT 10';
SELECT es_state('tally-1', aggregate => 'price');
SELECT es_rebuild_snapshots('price');
SELECT es_state('tally-1', aggregate => 'price');
SET event_store.tenant_id = 'other';
SELECT count(es_append('tally-1', 'T', jsonb_build_object('x', n))) FROM generate_series(1, 4) n;
SELECT es_state('tally-1', aggregate => 'price');
RESET event_store.tenant_id;
SELECT tenant_id, stream_id, version, state FROM snapshots WHERE aggregate = 'price';
SELECT es_alter_aggregate('price', keep => 2);
SELECT es_rebuild_snapshots('price');
SELECT tenant_id, stream_id, version, state FROM snapshots WHERE aggregate = 'price';
SELECT regress.error_of($$SELECT es_rebuild_snapshots('nothing')$$), regress.error_of($$SELECT es_rebuild_snapshots(NULL)$$);
SELECT es_alter_aggregate('price', snapshot_every => 0);
SELECT es_rebuild_snapshots('price');
SELECT count(*) FROM snapshots WHERE aggregate = 'price';

-- What this session keeps is not used where it is not true.
SELECT es_drop_aggregate('sql');
SELECT es_create_aggregate('sql', 'tally', 'same');
CREATE FUNCTION last_x(state jsonb, e es_event) RETURNS jsonb LANGUAGE sql AS $$ SELECT (e).data->'x' || coalesce(state, '[]') $$;
SELECT es_create_aggregate('last', 'tally', 'last_x', snapshot_every => NULL);
SELECT es_append('tally-kept', 'T', '{"x": 1}');
SELECT es_state('tally-kept', aggregate => 'last');
BEGIN;
SELECT es_append('tally-kept', 'T', '{"x": 2}', event_id => '11111111-1111-4111-8111-111111111111');
SELECT es_state('tally-kept', aggregate => 'last');
ROLLBACK;
SELECT es_state('tally-kept', aggregate => 'last');
SELECT es_append('tally-kept', 'T', '{"x": 3}', event_id => '11111111-1111-4111-8111-111111111111');
SELECT es_state('tally-kept', aggregate => 'last');
BEGIN;
SAVEPOINT a;
SELECT es_append('tally-kept', 'T', '{"x": 4}', event_id => '22222222-2222-4222-8222-222222222222');
SELECT es_state('tally-kept', aggregate => 'last');
ROLLBACK TO a;
SELECT es_append('tally-kept', 'T', '{"x": 5}', event_id => '22222222-2222-4222-8222-222222222222');
SELECT es_state('tally-kept', aggregate => 'last');
COMMIT;
SELECT es_state('tally-kept', aggregate => 'last'), es_state('tally-kept', 1, aggregate => 'last');
-- More states than there is room for.
SET event_store.state_cache_size = 1;
SELECT n, es_state('tally-' || CASE n % 2 WHEN 0 THEN 'kept' ELSE 'same' END, aggregate => 'last') FROM generate_series(1, 4) n;
RESET event_store.state_cache_size;

-- In a query with many streams, in a prepared statement, in a cursor, and in another query while that is open.
SELECT stream_id, es_state(stream_id, aggregate => 'last') FROM (VALUES ('tally-kept'), ('tally-same'), ('tally-none')) v(stream_id);
PREPARE p AS SELECT es_state($1, aggregate => 'last');
EXECUTE p('tally-kept');
SELECT es_append('tally-kept', 'T', '{"x": 6}');
EXECUTE p('tally-kept');
BEGIN;
DECLARE c CURSOR FOR SELECT es_state(s, aggregate => 'last') FROM unnest('{tally-kept,tally-kept,tally-kept}'::text[]) s;
FETCH 1 FROM c;
SELECT es_append('tally-kept', 'T', '{"x": 7}');
FETCH 1 FROM c;
SELECT es_drop_aggregate('last');
FETCH 1 FROM c;
ROLLBACK;

-- Of a category.
SELECT es_append('tally', 'T', '{"x": 1}'), es_append('tally+1', 'T', '{"x": 1}'), es_append('tally.1', 'T', '{"x": 1}'), es_append('tally-', 'T', '{"x": 1}'), es_append('tallyho-1', 'T', '{"x": 1}');
SELECT * FROM es_states('tally', 'count');
SELECT * FROM es_states('tally', 'count', max_count => 3);
SELECT * FROM es_states('tally', 'count', after_stream => 'tally-1', max_count => 2);
SELECT * FROM es_states('tally', 'count', after_stream => 'tally-same');
SELECT * FROM es_states('tally', 'count', after_stream => 'z');
SELECT * FROM es_states('tally', 'count', as_of => :'at_4');
SELECT * FROM es_states('tally', 'count', as_of => '-infinity');
SELECT * FROM es_states('tally', 'count', at_position => 0);
SELECT * FROM es_states('nothing', 'count');
SELECT stream_id, version, es_state(stream_id, aggregate => 'plpgsql') = state AS same FROM es_states('tally', 'plpgsql');
-- From snapshots, where there are any.
SELECT es_alter_aggregate('plpgsql', snapshot_every => 5);
SELECT es_rebuild_snapshots('plpgsql');
UPDATE es_snapshots SET state = '{"n": 1000, "sum": 0}' WHERE aggregate = 'plpgsql' AND tenant_id = '';
SELECT * FROM es_states('tally', 'plpgsql');
SELECT * FROM es_states('tally', 'plpgsql', as_of => :'at_4');
SELECT regress.error_of(format('SELECT * FROM es_states(%s)', arguments)) FROM (VALUES
  (1, $$NULL$$), (2, $$''$$), (3, $$'tally'$$), (4, $$'other'$$), (5, $$'tally', 'x'$$), (6, $$'tally', 'count', max_count => 0$$),
  (7, $$'tally', 'count', at_position => -1$$), (8, $$'tally', 'count', now(), 1$$)) v(n, arguments) ORDER BY n;

-- Who may not read events may not see states.
CREATE ROLE regress_es_blind;
GRANT EXECUTE ON FUNCTION es_state, es_states, es_history TO regress_es_blind;
SET ROLE regress_es_blind;
SELECT es_state('tally-1', aggregate => 'count');
SELECT * FROM es_states('tally', 'count');
SELECT * FROM es_history('tally-1', aggregate => 'count');
RESET ROLE;
SELECT es_grant('regress_es_blind', 'reader');
ALTER TABLE es_events ENABLE ROW LEVEL SECURITY;
SET ROLE regress_es_blind;
SELECT es_state('tally-1', aggregate => 'count');
RESET ROLE;
ALTER TABLE es_events DISABLE ROW LEVEL SECURITY;
SET ROLE regress_es_blind;
SELECT es_state('tally-1', aggregate => 'count');
RESET ROLE;
SELECT es_revoke('regress_es_blind', 'reader');
REVOKE ALL ON SCHEMA public FROM regress_es_blind;
DROP ROLE regress_es_blind;

-- Dropped with an aggregate are the snapshots that it has saved.
SELECT count(es_drop_aggregate(name)) FROM es_aggregates WHERE category = 'tally';
SELECT aggregate, count(*) FROM snapshots GROUP BY 1;
RESET search_path;
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA st CASCADE;
