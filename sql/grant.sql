-- grant: who may do what.
\set SHOW_CONTEXT never

CREATE ROLE regress_es_nobody;
CREATE ROLE regress_es_reader;
CREATE ROLE regress_es_writer;
CREATE ROLE regress_es_admin;
SELECT es_append_batch('grant-1', '{A,B,C}', '{1,2,3}'), es_save_snapshot('grant-1', 1, '1');
SELECT es_register_event_type('Grant', status => 'draft');
CREATE FUNCTION regress.grant_evolve(s jsonb, e es_event) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb((e).version) $$;
SELECT es_create_aggregate('grant', 'grant', 'regress.grant_evolve');

-- Everything that somebody could try, and who gets away with it.
CREATE TABLE regress.attempts (id int GENERATED ALWAYS AS IDENTITY, command text);
INSERT INTO regress.attempts (command) VALUES
  ($$SELECT es_append('grant-1', 'T', '1')$$),
  ($$SELECT es_append_batch('grant-1', '{T}', '{1}')$$),
  ($$SELECT es_append_json('grant-1', '[{"type": "T", "data": 1}]')$$),
  ($$SELECT es_read_stream('grant-1')$$),
  ($$SELECT * FROM es_read_stream('grant-1', 1, 2, true)$$),
  ($$SELECT es_stream_version('grant-1')$$),
  ($$SELECT es_category('grant-1')$$),
  ($$SELECT es_tenant()$$),
  ($$SELECT es_version()$$),
  ($$SELECT es_uuid_v7()$$),
  ($$SELECT es_json_schema_is_valid('true', '1')$$),
  ($$SELECT * FROM es_json_schema_problems('true', '1')$$),
  ($$SELECT es_json_schema_breaks('true', 'true')$$),
  ($$SELECT es_cause('{}', es_uuid_v7())$$),
  ($$SELECT es_trace('grant')$$),
  ($$SELECT es_execute('grant-1', '{}')$$),
  ($$SELECT es_register_event_type('GrantNew')$$),
  ($$SELECT es_alter_event_type('Grant', 1, description => 'x')$$),
  ($$SELECT es_set_event_type_status('Grant', 1, 'active')$$),
  ($$SELECT es_drop_event_type('Grant', 1)$$),
  ($$SELECT es_check_event('Grant', '1')$$),
  ($$SELECT es_upcast_to('Grant', 1, '1')$$),
  ($$SELECT * FROM es_upcast('Grant', 1, '1')$$),
  ($$SELECT count(*) FROM es_event_types$$),
  ($$INSERT INTO es_event_types (event_type, schema_version, owner) VALUES ('X', 1, 'x')$$),
  ($$UPDATE es_event_types SET description = 'x'$$),
  ($$DELETE FROM es_event_types$$),
  ($$SET event_store.strict_types = off$$),
  ($$SELECT es_state('grant-1')$$),
  ($$SELECT * FROM es_states('grant')$$),
  ($$SELECT * FROM es_history('grant-1')$$),
  ($$SELECT es_json_diff('1', '2')$$),
  ($$SELECT es_create_aggregate('grant2', 'grant2', 'regress.grant_evolve')$$),
  ($$SELECT es_alter_aggregate('grant', keep => 2)$$),
  ($$SELECT es_rebuild_snapshots('grant')$$),
  ($$SELECT es_drop_aggregate('grant')$$),
  ($$SELECT count(*) FROM es_aggregates$$),
  ($$INSERT INTO es_aggregates (name, category, evolve, owner) VALUES ('x', 'x', 'x', 'x')$$),
  ($$UPDATE es_aggregates SET evolve = 'x'$$),
  ($$DELETE FROM es_aggregates$$),
  ($$SELECT es_save_snapshot('grant-1', 2, '2')$$),
  ($$SELECT es_save_snapshot('grant-1', 1, '2')$$),
  ($$SELECT * FROM es_load_snapshot('grant-1')$$),
  ($$SELECT es_delete_snapshots('grant-1')$$),
  ($$SELECT * FROM es_check()$$),
  ($$SELECT es_grant('regress_es_nobody', 'reader')$$),
  ($$SELECT es_revoke('regress_es_nobody', 'reader')$$),
  ($$SELECT * FROM es_events$$),
  ($$COPY es_events TO '/dev/null'$$),
  ($$SELECT count(*) FROM es_events$$),
  ($$SELECT * FROM es_snapshots$$),
  ($$SELECT last_value FROM es_tx_seq$$),
  ($$SELECT nextval('es_tx_seq')$$),
  ($$SELECT setval('es_tx_seq', 1)$$),
  ($$INSERT INTO es_events (stream_id, event_type, data) VALUES ('grant-1', 'T', '1')$$),
  ($$INSERT INTO es_events (stream_id, event_type, data) VALUES ('grant-1', 'T', '1') RETURNING version$$),
  ($$INSERT INTO es_events SELECT tenant_id, stream_id, 4, event_id, event_type, schema_version, data, metadata, recorded_at, 9000000, 0 FROM regress.copied$$),
  ($$UPDATE es_events SET data = '1' WHERE false$$),
  ($$DELETE FROM es_events WHERE false$$),
  ($$TRUNCATE es_events$$),
  ($$INSERT INTO es_snapshots (stream_id, version, state) VALUES ('grant-1', 3, '3')$$),
  ($$UPDATE es_snapshots SET state = '3'$$),
  ($$DELETE FROM es_snapshots$$),
  ($$TRUNCATE es_snapshots$$),
  ($$LOCK es_events IN EXCLUSIVE MODE$$),
  ($$CREATE TRIGGER t AFTER INSERT ON es_events EXECUTE FUNCTION suppress_redundant_updates_trigger()$$),
  ($$ALTER TABLE es_events DISABLE TRIGGER ALL$$),
  ($$CREATE TABLE mine (e int, FOREIGN KEY (e) REFERENCES es_events)$$),
  ($$DROP EXTENSION event_store$$),
  ($$SET event_store.tenant_id = 'x'$$),
  ($$SET event_store.user_id = 'x'$$),
  ($$SET event_store.max_stream_locks = 10$$);
CREATE TABLE regress.copied AS SELECT * FROM es_events WHERE stream_id = 'grant-1' AND version = 1;
GRANT USAGE ON SCHEMA regress TO PUBLIC;
GRANT SELECT ON regress.copied TO PUBLIC;

-- Tries a command as a role, and takes it back.
CREATE FUNCTION regress.try(role name, command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('role', role, true);
  EXECUTE command;
  RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
EXCEPTION
  WHEN SQLSTATE 'ZZZZZ' THEN RETURN 'yes';
  WHEN insufficient_privilege THEN RETURN '-';
  WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
CREATE FUNCTION regress.rights() RETURNS TABLE (command text, nobody text, reader text, writer text, admin text) LANGUAGE sql AS $$
  SELECT left(command, 60), regress.try('regress_es_nobody', command), regress.try('regress_es_reader', command),
         regress.try('regress_es_writer', command), regress.try('regress_es_admin', command)
    FROM regress.attempts ORDER BY id
$$;
-- What the catalogs say, of every object of the extension.
CREATE FUNCTION regress.acl(role name) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT "right"
    FROM (SELECT oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner))
            FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'es\_%'
          UNION ALL
          SELECT oid::regclass::text, coalesce(relacl, acldefault('r', relowner))
            FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname LIKE 'es\_%' AND relkind IN ('r', 'S', 'v', 'f')) o(object, acl),
         aclexplode(acl) a,
         concat_ws(' ', a.privilege_type, object) "right"
   WHERE a.grantee = CASE role WHEN 'public' THEN 0 ELSE to_regrole(role)::oid END
   ORDER BY "right" COLLATE "C"
$$;

-- Nobody has anything to begin with, but may set the settings.
SELECT * FROM regress.acl('public');
SELECT command, nobody FROM regress.rights() WHERE nobody <> '-';

-- Each gets what it needs, and no more.
SELECT es_grant('regress_es_reader', 'reader'), es_grant('regress_es_writer', 'writer'), es_grant('regress_es_admin', 'admin');
SELECT * FROM regress.rights();
SELECT * FROM regress.acl('public');
SELECT acl AS reader FROM regress.acl('regress_es_reader') acl;
SELECT acl AS writer FROM regress.acl('regress_es_writer') acl;
SELECT acl AS admin FROM regress.acl('regress_es_admin') acl
 WHERE acl NOT IN (SELECT regress.acl('regress_es_reader') UNION SELECT regress.acl('regress_es_writer')) ORDER BY acl COLLATE "C";
SELECT regress.acl('regress_es_reader') EXCEPT SELECT regress.acl('regress_es_admin');
SELECT regress.acl('regress_es_writer') EXCEPT SELECT regress.acl('regress_es_admin');
-- No more by granting it twice.
CREATE TEMP TABLE before AS SELECT * FROM regress.acl('regress_es_admin') acl;
SELECT es_grant('regress_es_admin', 'admin'), es_grant('regress_es_admin', 'reader');
SELECT acl FROM regress.acl('regress_es_admin') acl EXCEPT ALL SELECT acl FROM before;

-- At work.
SET ROLE regress_es_writer;
SELECT es_append('grant-2', 'A', '1', expected_version => 0), es_append_batch('grant-2', '{B,C}', '{2,3}', expected_version => 1);
SELECT es_append('grant-2', 'A', '1', expected_version => 0);
SELECT es_save_snapshot('grant-2', 3, '6'), es_stream_version('grant-2');
SELECT es_delete_snapshots('grant-2');
SELECT version FROM es_read_stream('grant-2');
SET ROLE regress_es_reader;
SELECT version, event_type FROM es_read_stream('grant-2', NULL, 2, true);
SELECT version FROM es_load_snapshot('grant-1');
SELECT es_append('grant-2', 'D', '4');
SET ROLE regress_es_admin;
INSERT INTO es_events (stream_id, event_type, data) VALUES ('grant-2', 'D', '4') RETURNING version;
COPY es_events (stream_id, event_type, data) FROM stdin;
grant-2	E	5
\.
SELECT version, event_type FROM es_read_stream('grant-2');
SELECT * FROM es_check();
-- An admin makes others readers, writers and admins.
SELECT es_grant('regress_es_nobody', 'writer');
SET ROLE regress_es_nobody;
SELECT es_append('grant-2', 'F', '6');
SELECT es_grant('regress_es_nobody', 'admin');
SET ROLE regress_es_admin;
SELECT es_revoke('regress_es_nobody', 'writer');
SET ROLE regress_es_nobody;
SELECT es_append('grant-2', 'G', '7');
RESET ROLE;
SELECT * FROM regress.acl('regress_es_nobody');

-- What is taken back is what the role does not need for something else.
SELECT es_grant('regress_es_nobody', 'reader'), es_grant('regress_es_nobody', 'writer');
SELECT es_revoke('regress_es_nobody', 'writer');
SELECT regress.acl('regress_es_nobody') EXCEPT SELECT regress.acl('regress_es_reader');
SELECT regress.acl('regress_es_reader') EXCEPT SELECT regress.acl('regress_es_nobody');
SELECT es_grant('regress_es_nobody', 'writer'), es_revoke('regress_es_nobody', 'reader');
SELECT regress.acl('regress_es_nobody') EXCEPT SELECT regress.acl('regress_es_writer');
SELECT regress.acl('regress_es_writer') EXCEPT SELECT regress.acl('regress_es_nobody');
SELECT es_revoke('regress_es_nobody', 'writer');
SELECT * FROM regress.acl('regress_es_nobody');
-- An admin needs both; who is one no longer is neither.
SELECT es_grant('regress_es_nobody', 'admin'), es_revoke('regress_es_nobody', 'reader'), es_revoke('regress_es_nobody', 'writer');
SELECT regress.acl('regress_es_admin') EXCEPT SELECT regress.acl('regress_es_nobody');
SELECT es_revoke('regress_es_nobody', 'admin');
SELECT * FROM regress.acl('regress_es_nobody');
-- Revoking what was not granted does nothing.
SELECT es_revoke('regress_es_nobody', 'admin'), es_revoke('regress_es_nobody', 'reader');

-- Through a group, and for everybody.
CREATE ROLE regress_es_member IN ROLE regress_es_writer;
SET ROLE regress_es_member;
SELECT es_append('grant-3', 'A', '1');
RESET ROLE;
SELECT es_grant('public', 'reader');
SELECT acl FROM regress.acl('public') acl EXCEPT SELECT regress.acl('regress_es_reader');
SET ROLE regress_es_nobody;
SELECT event_type FROM es_read_stream('grant-3');
RESET ROLE;
SELECT es_revoke('public', 'reader');
SELECT * FROM regress.acl('public');
SET ROLE regress_es_nobody;
SELECT event_type FROM es_read_stream('grant-3');
RESET ROLE;

-- What objects of a caller's, before ours in his search_path, can do: nothing.
CREATE SCHEMA regress_es_member AUTHORIZATION regress_es_member;
SET ROLE regress_es_member;
SET search_path = regress_es_member, public, pg_catalog;
CREATE FUNCTION es_tenant() RETURNS text LANGUAGE sql RETURN 'led astray';
CREATE FUNCTION es_check_stream_id(text) RETURNS text LANGUAGE sql RETURN 'led astray';
CREATE FUNCTION equal(text, text) RETURNS boolean LANGUAGE sql RETURN true;
CREATE OPERATOR = (LEFTARG = text, RIGHTARG = text, FUNCTION = equal);
CREATE TABLE es_events (tenant_id text, stream_id text, version bigint, event_type text, data jsonb);
CREATE TABLE es_snapshots (tenant_id text, stream_id text, version bigint, aggregate text, state jsonb, created_at timestamptz);
CREATE TEMP TABLE es_events (tenant_id text, stream_id text, version bigint, event_type text, data jsonb);
CREATE TEMP TABLE es_snapshots (tenant_id text, stream_id text, version bigint, aggregate text, state jsonb, created_at timestamptz);
SELECT es_append('grant-3', 'B', '2', expected_version => 1), es_save_snapshot('grant-3', 1, '{}');
SELECT es_stream_version('grant-3'), es_delete_snapshots('grant-1', 2, 'none');
SELECT (SELECT count(*) FROM pg_temp.es_events) + (SELECT count(*) FROM pg_temp.es_snapshots)
     + (SELECT count(*) FROM regress_es_member.es_events) + (SELECT count(*) FROM regress_es_member.es_snapshots) AS astray;
DROP TABLE pg_temp.es_events, pg_temp.es_snapshots;
RESET search_path;
RESET ROLE;
SELECT tenant_id = '' AS right_tenant, stream_id, version FROM es_snapshots WHERE stream_id LIKE 'grant-%' ORDER BY stream_id;
SELECT tenant_id = '' AS right_tenant, version, event_type FROM es_events WHERE stream_id = 'grant-3';
SET client_min_messages = warning;
DROP SCHEMA regress_es_member CASCADE;
RESET client_min_messages;

-- What is refused.
\pset tuples_only on
\pset format unaligned
SELECT regress.error_of(command)
  FROM (VALUES ($$SELECT es_grant(NULL, 'reader')$$), ($$SELECT es_grant('regress_es_nobody', NULL)$$),
               ($$SELECT es_grant('regress_es_nobody', 'owner')$$), ($$SELECT es_grant('regress_es_nobody', '')$$),
               ($$SELECT es_grant('regress_es_nobody', 'Reader')$$), ($$SELECT es_grant('regress_es_no_such_role', 'reader')$$),
               ($$SELECT es_grant('', 'reader')$$), ($$SELECT es_grant('regress_es_nobody; DROP ROLE postgres', 'reader')$$),
               ($$SELECT es_revoke(NULL, 'reader')$$), ($$SELECT es_revoke('regress_es_nobody', NULL)$$),
               ($$SELECT es_revoke('regress_es_nobody', 'all')$$), ($$SELECT es_revoke('regress_es_no_such_role', 'reader')$$)) v(command);
\pset tuples_only off
\pset format aligned

SELECT es_revoke('regress_es_reader', 'reader'), es_revoke('regress_es_writer', 'writer'), es_revoke('regress_es_admin', 'admin');
SELECT command, nobody, reader, writer, admin FROM regress.rights() WHERE nobody <> '-' OR reader <> '-' OR writer <> '-' OR admin <> '-';
SELECT es_drop_event_type('Grant', 1);
SELECT es_drop_aggregate('grant');
DROP FUNCTION regress.grant_evolve(jsonb, es_event);
DROP FUNCTION regress.rights(), regress.try(name, text), regress.acl(name);
DROP TABLE regress.attempts, regress.copied;
REVOKE ALL ON SCHEMA regress FROM PUBLIC;
DROP ROLE regress_es_member, regress_es_nobody, regress_es_reader, regress_es_writer, regress_es_admin;
SELECT * FROM es_check();
