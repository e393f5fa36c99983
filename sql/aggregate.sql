-- aggregate: es_create_aggregate, es_alter_aggregate, es_drop_aggregate: what may
-- be an aggregate, and what its functions may do.
\set SHOW_CONTEXT never

CREATE SCHEMA agg;
SET search_path = agg, public;
CREATE FUNCTION evolve(state jsonb, e es_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  CASE e.event_type
    WHEN 'Opened' THEN RETURN e.data || '{"balance": 0}';
    WHEN 'Paid' THEN RETURN jsonb_set(state, '{balance}', to_jsonb((state->>'balance')::int + (e.data->>'amount')::int));
    ELSE RETURN state;
  END CASE;
END $$;
CREATE FUNCTION evolve_strict(state jsonb, e es_event) RETURNS jsonb LANGUAGE sql STRICT AS $$ SELECT state || jsonb_build_object('n', (e).version) $$;
CREATE FUNCTION decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT NULL::jsonb $$;
CREATE FUNCTION decide_set(state jsonb, command jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT NULL::jsonb $$;
CREATE FUNCTION decide_array(state jsonb, command jsonb) RETURNS jsonb[] LANGUAGE sql AS $$ SELECT NULL::jsonb[] $$;
SELECT es_append_json('account-1', '[{"type": "Opened", "data": {"owner": "Ann"}}, {"type": "Paid", "data": {"amount": 5}}, {"type": "Seen", "data": {}}, {"type": "Paid", "data": {"amount": -2}}]');

SELECT es_create_aggregate('account', NULL, 'evolve', decide => 'decide');
SELECT name, category, evolve, initial_state, decide, snapshot_every, keep, owner = current_user AS mine,
       'search_path=agg, public, pg_temp' = ANY (settings) AS has_path, created_at > now() - interval '1 hour' AS is_new FROM es_aggregates;
SELECT es_state('account-1');

-- What cannot be one.
CREATE FUNCTION three(jsonb, es_event, int DEFAULT 1) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION set_of(jsonb, es_event) RETURNS SETOF jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION wrong_state(json, es_event) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
CREATE FUNCTION wrong_event(jsonb, jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION wrong_result(jsonb, es_event) RETURNS json LANGUAGE sql AS 'SELECT NULL::json';
CREATE FUNCTION poly(anyelement, es_event) RETURNS anyelement LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION twice(jsonb, es_event) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION twice(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE PROCEDURE proc(jsonb, es_event, INOUT r jsonb) LANGUAGE sql AS 'SELECT $1';
CREATE AGGREGATE collect(es_event) (SFUNC = array_agg_transfn, STYPE = internal, FINALFUNC = array_agg_finalfn, FINALFUNC_EXTRA);
CREATE FUNCTION two_step(jsonb, es_event, int) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE AGGREGATE two(es_event, int) (SFUNC = two_step, STYPE = jsonb);
CREATE FUNCTION many_step(jsonb, VARIADIC es_event[]) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE AGGREGATE many(VARIADIC es_event[]) (SFUNC = many_step, STYPE = jsonb);
CREATE FUNCTION final(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE AGGREGATE spoilt(es_event) (SFUNC = evolve, STYPE = jsonb, FINALFUNC = final, FINALFUNC_MODIFY = READ_WRITE);
CREATE AGGREGATE good(es_event) (SFUNC = evolve, STYPE = jsonb);
SELECT regress.error_of(format('SELECT es_create_aggregate(%s)', arguments)) FROM (VALUES
  (1, $$NULL, 'c', 'evolve'$$), (2, $$'', 'c', 'evolve'$$), (3, $$repeat('x', 256), 'c', 'evolve'$$), (4, $$'a', '', 'evolve'$$),
  (5, $$'a-b', NULL, 'evolve'$$), (6, $$'a', 'c', NULL$$), (7, $$'a', 'c', 'nothing'$$), (8, $$'a', 'c', 0$$),
  (9, $$'a', 'c', 'three'$$), (10, $$'a', 'c', 'set_of'$$), (11, $$'a', 'c', 'wrong_state'$$), (12, $$'a', 'c', 'wrong_event'$$),
  (13, $$'a', 'c', 'wrong_result'$$), (14, $$'a', 'c', 'poly'$$), (15, $$'a', 'c', 'twice'$$), (16, $$'a', 'c', 'proc'$$),
  (17, $$'a', 'c', 'collect'$$), (18, $$'a', 'c', 'two'$$), (19, $$'a', 'c', 'many'$$), (20, $$'a', 'c', 'spoilt'$$),
  (21, $$'a', 'c', 'mode(anyelement)'::regprocedure::oid::regproc$$),
  (22, $$'a', 'c', 'good', initial_state => '{}'$$), (23, $$'a', 'c', 'evolve_strict'$$),
  (24, $$'a', 'c', 'evolve', snapshot_every => 0$$), (25, $$'a', 'c', 'evolve', keep => -1$$), (26, $$'a', 'c', 'evolve', decide => 'evolve'$$),
  (27, $$'account', 'c', 'evolve'$$)) v(n, arguments) ORDER BY n;
SELECT es_create_aggregate('a', 'c', 'twice(jsonb,es_event)'::regprocedure::oid::regproc);
SELECT es_drop_aggregate('a');

-- Changing one. NULL changes nothing.
SELECT es_alter_aggregate('account');
SELECT es_alter_aggregate('account', snapshot_every => 7, keep => 3, decide => 'decide_set');
SELECT evolve, initial_state, decide, snapshot_every, keep FROM es_aggregates WHERE name = 'account';
SELECT es_alter_aggregate('account', 'evolve_strict', '{"from": "the beginning"}', 0, 0, 'decide_array');
SELECT evolve, initial_state, decide, snapshot_every, keep FROM es_aggregates WHERE name = 'account';
SELECT es_state('account-1');
SELECT regress.error_of(format('SELECT es_alter_aggregate(%s)', arguments)) FROM (VALUES
  (1, $$NULL$$), (2, $$'nothing'$$), (3, $$'account', 'nothing'$$), (4, $$'account', 'poly'$$), (5, $$'account', snapshot_every => -1$$),
  (6, $$'account', decide => 'evolve'$$), (7, $$'account', owner => 'regress_es_nobody'$$)) v(n, arguments) ORDER BY n;
SELECT regress.error_of($$SELECT es_drop_aggregate('nothing')$$), regress.error_of($$SELECT es_drop_aggregate(NULL)$$);
-- What was rolled back has not been.
BEGIN;
SELECT es_alter_aggregate('account', 'evolve', keep => 5);
SELECT es_state('account-1');
ROLLBACK;
SELECT es_state('account-1');
SELECT es_alter_aggregate('account', 'evolve');

-- Functions that are not there any more, or have become others.
BEGIN;
DROP AGGREGATE good(es_event), spoilt(es_event);
DROP FUNCTION evolve(jsonb, es_event);
SELECT regress.error_of($$SELECT es_state('account-1')$$);
CREATE FUNCTION evolve(state jsonb, e es_event) RETURNS jsonb LANGUAGE sql AS $$ SELECT '"anew"'::jsonb $$;
SELECT es_state('account-1');
DROP FUNCTION evolve(jsonb, es_event);
CREATE FUNCTION evolve(state jsonb, e es_event) RETURNS json LANGUAGE sql AS $$ SELECT '"json"'::json $$;
SELECT regress.error_of($$SELECT es_state('account-1')$$);
ROLLBACK;
SELECT es_state('account-1');
-- An aggregate that cannot run can be changed and dropped.
BEGIN;
ALTER FUNCTION evolve(jsonb, es_event) RENAME TO evolve_old;
SELECT regress.error_of($$SELECT es_state('account-1')$$), regress.error_of($$SELECT es_alter_aggregate('account', keep => 1)$$);
SELECT es_alter_aggregate('account', 'evolve_old');
SELECT es_state('account-1');
ALTER FUNCTION evolve_old(jsonb, es_event) RENAME TO evolve;
SELECT es_drop_aggregate('account');
ROLLBACK;

-- The functions run as the owner, with his settings, and cannot write.
CREATE ROLE regress_es_owner;
CREATE ROLE regress_es_user;
GRANT USAGE ON SCHEMA agg TO regress_es_owner;
SELECT es_grant('regress_es_user', 'reader');
CREATE TABLE written (by text);
CREATE FUNCTION helper(text) RETURNS text LANGUAGE sql AS $$ SELECT 'helped ' || $1 $$;
CREATE FUNCTION tells(state jsonb, e es_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN jsonb_build_object('user', current_user, 'zone', current_setting('TimeZone'), 'helper', helper(e.stream_id));
END $$;
SET TimeZone = 'Asia/Tokyo';
SELECT es_create_aggregate('told', 'account', 'tells');
SELECT es_alter_aggregate('told', owner => 'regress_es_owner');
RESET TimeZone;
SET search_path = public;
SET ROLE regress_es_user;
SELECT es_state('account-1', aggregate => 'told');
SHOW search_path;
RESET ROLE;
SET search_path = agg, public;
REVOKE EXECUTE ON FUNCTION tells(jsonb, es_event) FROM PUBLIC;
SELECT regress.error_of($$SELECT es_state('account-1', aggregate => 'told')$$);
GRANT EXECUTE ON FUNCTION tells(jsonb, es_event) TO regress_es_owner;
SELECT es_state('account-1', aggregate => 'told')->>'user' AS "user";
SELECT es_alter_aggregate('told', owner => current_user);
SELECT es_state('account-1', aggregate => 'told')->>'user' = current_user AS mine;
SELECT es_alter_aggregate('told', owner => 'regress_es_owner');
REVOKE ALL ON SCHEMA agg FROM regress_es_owner;
REVOKE ALL ON FUNCTION tells(jsonb, es_event) FROM regress_es_owner;
BEGIN;
DROP ROLE regress_es_owner;
SELECT regress.error_of($$SELECT es_state('account-1', aggregate => 'told')$$);
SELECT es_drop_aggregate('told');
COMMIT;

CREATE FUNCTION bad(state jsonb, e es_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  CASE current_setting('agg.bad')
    WHEN 'null' THEN RETURN NULL;
    WHEN 'raise' THEN RAISE EXCEPTION 'no such account' USING ERRCODE = 'P0404', DETAIL = 'A detail.', HINT = 'A hint.';
    WHEN 'insert' THEN INSERT INTO agg.written VALUES ('bad');
    WHEN 'append' THEN PERFORM es_append(e.stream_id, 'More', '{}');
    WHEN 'read write' THEN SET TRANSACTION READ WRITE;
    WHEN 'role' THEN SET ROLE regress_es_user;
    WHEN 'setting' THEN SET search_path = nowhere;
    WHEN 'drop' THEN DROP FUNCTION agg.bad(jsonb, es_event);
    WHEN 'alter' THEN PERFORM es_alter_aggregate('bad', keep => 9);
    WHEN 'temp' THEN CREATE TEMP TABLE t ();
    WHEN 'itself' THEN RETURN es_state(e.stream_id, aggregate => 'bad');
    WHEN 'caught' THEN BEGIN INSERT INTO agg.written VALUES ('bad'); EXCEPTION WHEN OTHERS THEN RETURN '"caught"'; END;
    WHEN 'loop' THEN LOOP END LOOP;
    WHEN 'large' THEN RETURN jsonb_build_object('a', repeat('x', 300000000));
    ELSE RETURN 'true';
  END CASE;
  RETURN 'false';
END $$;
SELECT es_create_aggregate('bad', 'account', 'bad');
CREATE FUNCTION agg.try(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('agg.bad', what, false);
  RETURN regress.error_of($q$SELECT es_state('account-1', aggregate => 'bad')$q$);
END $$;
SET event_store.state_cache_size = 0;
SET max_stack_depth = '200kB';
SELECT what, agg.try(what) FROM unnest('{"null",raise,insert,append,read write,role,setting,drop,alter,temp,itself,large}'::text[]) what;
RESET max_stack_depth;
-- Which event it is.
\set SHOW_CONTEXT always
SET agg.bad = 'raise';
SELECT es_state('account-1', aggregate => 'bad');
\set SHOW_CONTEXT never
SET agg.bad = 'caught';
SELECT es_state('account-1', aggregate => 'bad');
SET agg.bad = 'loop';
SET statement_timeout = 200;
SELECT es_state('account-1', aggregate => 'bad');
RESET statement_timeout;
SHOW search_path;
-- The transaction can write afterwards, also after an error that was caught.
SELECT current_user = session_user AS is_me, current_setting('transaction_read_only');
BEGIN;
SAVEPOINT a;
SET LOCAL agg.bad = 'insert';
SELECT es_state('account-1', aggregate => 'bad');
ROLLBACK TO a;
INSERT INTO written VALUES ('me');
COMMIT;
SELECT * FROM written;
-- Where the caller cannot write either, there is nothing to explain.
BEGIN READ ONLY;
SET LOCAL agg.bad = 'insert';
SELECT es_state('account-1', aggregate => 'bad');
ROLLBACK;
DROP FUNCTION bad(jsonb, es_event);

SELECT es_drop_aggregate('bad');
SELECT es_drop_aggregate('account');
SELECT * FROM es_aggregates;
SELECT es_revoke('regress_es_user', 'reader');
REVOKE ALL ON SCHEMA public FROM regress_es_user;
DROP ROLE regress_es_user;
RESET search_path;
RESET agg.bad;
RESET event_store.state_cache_size;
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA agg CASCADE;
