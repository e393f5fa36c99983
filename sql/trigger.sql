-- trigger: INSERT and COPY are appends, and nothing else can be done to events.
\set SHOW_CONTEXT never

-- A plain INSERT fills what it leaves out.
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-1', 'Created', '{"n": 1}');
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-1', 'Changed', '{"n": 2}')
  RETURNING stream_id, version, schema_version, metadata, tenant_id, tx > 0 AS has_tx, ordinal,
            event_id::text LIKE '________-____-7%' AS is_version_7, recorded_at >= now() AS is_now;
-- NULL for what it may leave out is the same.
INSERT INTO es_events (stream_id, event_type, data, version, event_id, schema_version, metadata, recorded_at, tx, ordinal)
  VALUES ('trg-1', 'Changed', '{"n": 3}', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
-- All that an event can bring.
INSERT INTO es_events (tenant_id, stream_id, version, event_id, event_type, schema_version, data, metadata)
  VALUES ('', 'trg-1', 4, 'eeeeeeee-0000-4000-8000-000000000004', 'Closed', 2, '{"n": 4}', '{"user_id": "u1"}');
SELECT version, event_type, schema_version, data, metadata FROM es_read_stream('trg-1');

-- Several rows: to several streams, from VALUES and from a SELECT.
INSERT INTO es_events (stream_id, event_type, data)
  VALUES ('trg-2', 'A', '1'), ('trg-3', 'A', '2'), ('trg-2', 'B', '3'), ('trg-3', 'B', '4'), ('trg-2', 'C', '5')
  RETURNING stream_id, version, ordinal;
INSERT INTO es_events (stream_id, event_type, data)
  SELECT 'trg-select-' || n % 7, 'T', to_jsonb(n) FROM generate_series(0, 6999) n;
SELECT count(DISTINCT stream_id) AS streams, count(*), min(version), max(version), count(DISTINCT tx) AS transactions,
       bool_and(version = (data::int / 7) + 1 AND ordinal = data::int) AS in_order
  FROM es_events WHERE stream_id LIKE 'trg-select-%';
-- From the table itself: a stream copied to another one.
INSERT INTO es_events (stream_id, event_type, schema_version, data, metadata)
  SELECT 'trg-copied', event_type, schema_version, data, metadata FROM es_read_stream('trg-1');
SELECT version, event_type, schema_version, data, metadata FROM es_read_stream('trg-copied');

-- COPY, of some columns or all of an event.
COPY es_events (stream_id, event_type, data) FROM stdin;
trg-copy	A	{"n": 1}
trg-copy-2	A	{"n": 2}
trg-copy	B	{"n": 3}
\.
COPY es_events (tenant_id, stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal) FROM stdin;
	trg-copy	3	\N	C	\N	null	\N	\N	\N	\N
	trg-copy	4	eeeeeeee-0000-4000-8000-0000000000c4	D	5	[]	{"user_id": "u2"}	\N	\N	\N
\.
COPY es_events (stream_id, event_type, data, version) FROM stdin (FORMAT csv, FORCE_NULL (version));
trg-copy,E,"{""n"": 5}",5
trg-copy,F,"{""n"": 6}",
\.
SELECT version, event_type, schema_version, data, metadata FROM es_read_stream('trg-copy');

-- A version that is stated must continue the stream.
INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('trg-version', 'A', '{}', 1), ('trg-version', 'B', '{}', 2);
INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('trg-version', 'C', '{}', 2);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('trg-version', 'C', '{}', 4);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('trg-version', 'C', '{}', 3), ('trg-version', 'D', '{}', 5);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('trg-none', 'C', '{}', 2);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('trg-version', 'C', '{}', 0);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('trg-version', 'C', '{}', -1);
\echo :LAST_ERROR_SQLSTATE
COPY es_events (stream_id, event_type, data, version) FROM stdin;
trg-version	C	{}	3
trg-version	D	{}	3
\.
INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('trg-version', 'C', '{}', 3), ('trg-version', 'D', '{}', NULL), ('trg-version', 'E', '{}', 5);
SELECT version, event_type FROM es_read_stream('trg-version');

-- An id that the stream has already: an INSERT is no retry.
INSERT INTO es_events (stream_id, event_type, data, event_id) VALUES ('trg-id', 'A', '{}', 'eeeeeeee-0000-4000-8000-000000000001');
INSERT INTO es_events (stream_id, event_type, data, event_id) VALUES ('trg-id', 'A', '{}', 'eeeeeeee-0000-4000-8000-000000000001');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data, event_id)
  VALUES ('trg-id', 'B', '{}', 'eeeeeeee-0000-4000-8000-000000000002'), ('trg-id', 'B', '{}', 'eeeeeeee-0000-4000-8000-000000000002');
\echo :LAST_ERROR_SQLSTATE
COPY es_events (stream_id, event_type, data, event_id) FROM stdin;
trg-id	B	{}	eeeeeeee-0000-4000-8000-000000000003
trg-id	C	{}	eeeeeeee-0000-4000-8000-000000000001
\.
INSERT INTO es_events (stream_id, event_type, data, event_id) VALUES ('trg-id-2', 'A', '{}', 'eeeeeeee-0000-4000-8000-000000000001');
SELECT es_stream_version('trg-id'), es_stream_version('trg-id-2');

-- A time that is stated may not go back within the stream.
INSERT INTO es_events (stream_id, event_type, data, recorded_at) VALUES ('trg-time', 'A', '{}', '2020-01-01 00:00:00+00');
INSERT INTO es_events (stream_id, event_type, data, recorded_at)
  VALUES ('trg-time', 'B', '{}', '2020-01-01 00:00:00+00'), ('trg-time', 'C', '{}', '2020-01-02 00:00:00+00');
SET timezone = 'UTC';
SET datestyle = 'ISO';
INSERT INTO es_events (stream_id, event_type, data, recorded_at) VALUES ('trg-time', 'D', '{}', '2020-01-01 12:00:00+00');
\echo :LAST_ERROR_SQLSTATE
SELECT es_append('trg-time', 'D', '{}');
SELECT version, CASE WHEN version < 4 THEN recorded_at END AS recorded_at, recorded_at >= now() - interval '1 hour' AS is_new FROM es_read_stream('trg-time');
\set VERBOSITY terse
INSERT INTO es_events (stream_id, event_type, data, recorded_at) VALUES ('trg-time', 'E', '{}', '2020-01-03 00:00:00+00');
\set VERBOSITY default
RESET timezone;
RESET datestyle;

-- Nor lie in the future, to which every later event of the stream would have to follow it.
\set VERBOSITY terse
INSERT INTO es_events (stream_id, event_type, data, recorded_at) VALUES ('trg-ahead', 'A', '{}', now() + interval '1 day');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data, recorded_at) VALUES ('trg-ahead', 'A', '{}', 'infinity');
INSERT INTO es_events (stream_id, event_type, data, recorded_at) VALUES ('trg-ahead', 'A', '{}', '-infinity');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default
-- A stream that came from a machine whose clock was ahead: time stands still.
BEGIN;
INSERT INTO es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal)
  SELECT 'trg-ahead', 1, es_uuid_v7(), 'A', 1, '1', '{}', now() + interval '1 day', last_value, 1000 FROM es_tx_seq;
SELECT es_append('trg-ahead', 'B', '{}'), es_append_batch('trg-ahead', '{C,D}', '{1,2}');
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-ahead', 'E', '{}');
SELECT version, recorded_at = now() + interval '1 day' AS same FROM es_read_stream('trg-ahead');
ROLLBACK;

-- tx and ordinal: one does not go without the other.
INSERT INTO es_events (stream_id, event_type, data, tx) VALUES ('trg-tx', 'A', '{}', 1);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data, ordinal) VALUES ('trg-tx', 'A', '{}', 1);
\echo :LAST_ERROR_SQLSTATE
SELECT es_stream_version('trg-tx');

--
-- Rows with tx and ordinal are copies of recorded events: a dump is restored.
--
CREATE TEMP TABLE dumped (LIKE es_events);
INSERT INTO dumped
  SELECT '', 'trg-dump-' || s, v, ('eeeeeeee-0000-4000-8000-0000000' || s || '000' || v)::uuid, 'T' || v, v, to_jsonb(v), '{}',
         timestamptz '2020-01-01' + v * interval '1 hour', 1000000 + v, s
    FROM generate_series(0, 2) s, generate_series(1, 5) v;
SELECT last_value < 1000000 AS before FROM es_tx_seq;
-- In any order of the versions, in several statements.
INSERT INTO es_events SELECT * FROM dumped WHERE version IN (2, 4) ORDER BY version DESC, stream_id;
COPY es_events FROM stdin;
	trg-dump-1	1	eeeeeeee-0000-4000-8000-000000010001	T1	1	1	{}	2020-01-01 01:00:00-08	1000001	1
	trg-dump-1	5	eeeeeeee-0000-4000-8000-000000010005	T5	5	5	{}	2020-01-01 05:00:00-08	1000005	1
	trg-dump-1	3	eeeeeeee-0000-4000-8000-000000010003	T3	3	3	{}	2020-01-01 03:00:00-08	1000003	1
\.
INSERT INTO es_events SELECT * FROM dumped WHERE version IN (1, 3, 5) AND stream_id <> 'trg-dump-1' ORDER BY version DESC, stream_id DESC;
SELECT count(*) FROM (SELECT * FROM dumped EXCEPT SELECT * FROM es_events) missing;
SELECT count(*) FROM es_events WHERE stream_id LIKE 'trg-dump-%';
-- Whoever appends now comes behind them, in the stream and in the sequence.
SELECT last_value >= 1000005 AS moved_on FROM es_tx_seq;
SELECT es_append('trg-dump-1', 'New', '{}', expected_version => 5);
SELECT bool_and(tx > 1000005) AS behind FROM es_events WHERE stream_id = 'trg-dump-1' AND version = 6;
SELECT * FROM es_check();
-- Twice is an error of the primary key, or nothing, as one likes.
INSERT INTO es_events SELECT * FROM dumped WHERE version = 1 ORDER BY stream_id;
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events SELECT * FROM dumped ON CONFLICT DO NOTHING;
SELECT count(*) FROM es_events WHERE stream_id LIKE 'trg-dump-%';
-- In one transaction with appends; and both kinds of rows in one statement.
BEGIN;
SELECT es_append('trg-both', 'T', '{}');
INSERT INTO es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal) VALUES
  ('trg-both-2', 2, 'eeeeeeee-0000-4000-8000-0000000000b2', 'T', 1, '{}', '{}', '2020-01-01', 2000000, 1),
  ('trg-both', NULL, NULL, 'T', NULL, '{}', NULL, NULL, NULL, NULL),
  ('trg-both-2', 1, 'eeeeeeee-0000-4000-8000-0000000000b1', 'T', 1, '{}', '{}', '2020-01-01', 2000000, 0),
  ('trg-both-2', NULL, NULL, 'T', NULL, '{}', NULL, NULL, NULL, NULL);
SELECT es_append('trg-both-2', 'T', '{}', expected_version => 3);
COMMIT;
SELECT stream_id, version, tx = 2000000 AS is_copy, ordinal FROM es_events WHERE stream_id LIKE 'trg-both%' ORDER BY stream_id, version;
SELECT last_value >= 2000000 AS moved_on FROM es_tx_seq;
-- A copy does not pass for something that cannot have been recorded.
\pset tuples_only on
\pset format unaligned
SELECT regress.error_of(format('INSERT INTO es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal) VALUES (%s)', v))
  FROM (VALUES ($$'trg-bad', NULL, 'eeeeeeee-0000-4000-8000-00000000000a', 'T', 1, '{}', '{}', now(), 3000000, 0$$),
               ($$'trg-bad', 1, NULL, 'T', 1, '{}', '{}', now(), 3000000, 0$$),
               ($$'trg-bad', 1, 'eeeeeeee-0000-4000-8000-00000000000a', 'T', NULL, '{}', '{}', now(), 3000000, 0$$),
               ($$'trg-bad', 1, 'eeeeeeee-0000-4000-8000-00000000000a', 'T', 1, NULL, '{}', now(), 3000000, 0$$),
               ($$'trg-bad', 1, 'eeeeeeee-0000-4000-8000-00000000000a', 'T', 1, '{}', NULL, now(), 3000000, 0$$),
               ($$'trg-bad', 1, 'eeeeeeee-0000-4000-8000-00000000000a', 'T', 1, '{}', '{}', NULL, 3000000, 0$$),
               ($$'trg-bad', 0, 'eeeeeeee-0000-4000-8000-00000000000a', 'T', 1, '{}', '{}', now(), 3000000, 0$$),
               ($$'trg-bad', 1, 'eeeeeeee-0000-4000-8000-00000000000a', 'T', 1, '{}', '{}', now(), 0, 0$$),
               ($$'trg-bad', 1, 'eeeeeeee-0000-4000-8000-00000000000a', 'T', 1, '{}', '{}', now(), 3000000, -1$$),
               ($$'trg-bad', 1, 'eeeeeeee-0000-4000-8000-00000000000a', 'T', 0, '{}', '{}', now(), 3000000, 0$$),
               ($$'trg-bad', 1, 'eeeeeeee-0000-4000-8000-00000000000a', 'T', 1, '{}', '[]', now(), 3000000, 0$$),
               ($$'', 1, 'eeeeeeee-0000-4000-8000-00000000000a', 'T', 1, '{}', '{}', now(), 3000000, 0$$),
               ($$'trg-bad', 1, 'eeeeeeee-0000-4000-8000-00000000000a', '', 1, '{}', '{}', now(), 3000000, 0$$)) v(v);
\pset tuples_only off
\pset format aligned
-- Only the owner may copy, also where others may insert.
CREATE ROLE regress_es_insert;
GRANT INSERT, SELECT ON es_events TO regress_es_insert;
GRANT EXECUTE ON FUNCTION es_tenant() TO regress_es_insert;
GRANT SELECT ON dumped TO regress_es_insert;
SET ROLE regress_es_insert;
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-role', 'T', '{}') RETURNING version;
INSERT INTO es_events SELECT '', 'trg-role', 2, event_id, event_type, schema_version, data, metadata, recorded_at, 4000000, 0 FROM dumped LIMIT 1;
\echo :LAST_ERROR_SQLSTATE
COPY es_events FROM stdin;
	trg-role	2	eeeeeeee-0000-4000-8000-000000010001	T1	1	1	{}	2020-01-01 01:00:00-08	4000000	1
\.
RESET ROLE;
-- An owner that is no superuser may.
BEGIN;
GRANT CREATE ON SCHEMA public TO regress_es_insert;
ALTER TABLE es_events OWNER TO regress_es_insert;
ALTER SEQUENCE es_tx_seq OWNER TO regress_es_insert;
SET LOCAL ROLE regress_es_insert;
INSERT INTO es_events SELECT '', 'trg-role', 2, event_id, event_type, schema_version, data, metadata, recorded_at, 4000000, 0 FROM dumped LIMIT 1;
SELECT version FROM es_events WHERE stream_id = 'trg-role';
ROLLBACK;
DROP OWNED BY regress_es_insert;
DROP ROLE regress_es_insert;
SELECT es_stream_version('trg-role');

--
-- Events are immutable, for the owner and superusers too.
--
UPDATE es_events SET data = '{}' WHERE stream_id = 'trg-1';
\echo :LAST_ERROR_SQLSTATE
UPDATE es_events SET data = '{}' WHERE false;
\echo :LAST_ERROR_SQLSTATE
DELETE FROM es_events WHERE stream_id = 'trg-1';
\echo :LAST_ERROR_SQLSTATE
DELETE FROM es_events WHERE false;
\echo :LAST_ERROR_SQLSTATE
TRUNCATE es_events;
\echo :LAST_ERROR_SQLSTATE
TRUNCATE es_snapshots, es_events CASCADE;
\echo :LAST_ERROR_SQLSTATE
MERGE INTO es_events e USING (VALUES ('trg-1', 1)) v(s, n) ON e.stream_id = v.s AND e.version = v.n WHEN MATCHED THEN UPDATE SET data = '{}';
\echo :LAST_ERROR_SQLSTATE
MERGE INTO es_events e USING (VALUES ('trg-1', 1)) v(s, n) ON e.stream_id = v.s AND e.version = v.n WHEN MATCHED THEN DELETE;
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('trg-1', 'T', '{}', 5)
  ON CONFLICT ON CONSTRAINT es_events_pkey DO UPDATE SET data = EXCLUDED.data;
\echo :LAST_ERROR_SQLSTATE
WITH gone AS (DELETE FROM es_events RETURNING *) SELECT count(*) FROM gone;
\echo :LAST_ERROR_SQLSTATE
-- Whatever session_replication_role is.
SET session_replication_role = replica;
UPDATE es_events SET data = '{}';
\echo :LAST_ERROR_SQLSTATE
DELETE FROM es_events;
\echo :LAST_ERROR_SQLSTATE
TRUNCATE es_events;
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('trg-1', 'T', '{}', 7);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-1', 'T', '{}') RETURNING version;
SELECT es_append('trg-1', 'T', '{}');
RESET session_replication_role;
SELECT version, data FROM es_read_stream('trg-1');
-- MERGE that inserts is an append.
MERGE INTO es_events e USING (VALUES ('trg-merge', 'A'), ('trg-merge', 'B')) v(s, t) ON false
  WHEN NOT MATCHED THEN INSERT (stream_id, event_type, data) VALUES (v.s, v.t, '{}');
SELECT version, event_type FROM es_read_stream('trg-merge');
-- So is INSERT ... ON CONFLICT, where there is no conflict.
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-merge', 'C', '{}') ON CONFLICT DO NOTHING RETURNING version;
-- The trigger functions serve the tables of the store only.
CREATE TEMP TABLE other (a int);
CREATE TRIGGER other BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION es_events_before_insert();
INSERT INTO other VALUES (1);
\echo :LAST_ERROR_SQLSTATE
DROP TRIGGER other ON other;
CREATE TRIGGER other BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION es_snapshots_before_write();
INSERT INTO other VALUES (1);
\echo :LAST_ERROR_SQLSTATE
DROP TABLE other;

--
-- What the user adds to the table counts, whichever way an event comes.
--
CREATE TABLE regress.audit (who text, path text, stream_id text, version bigint, ordinal int);
CREATE FUNCTION regress.before_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.event_type = 'Suppressed' THEN
    RETURN NULL;
  END IF;
  IF NEW.event_type = 'Refused' THEN
    RAISE EXCEPTION 'refused by trigger' USING ERRCODE = 'P0042';
  END IF;
  NEW.metadata := coalesce(NEW.metadata, '{}') || jsonb_build_object('seen', TG_NAME);
  RETURN NEW;
END $$;
CREATE FUNCTION regress.after_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO regress.audit VALUES (current_user, current_setting('search_path'), NEW.stream_id, NEW.version, NEW.ordinal);
  RETURN NULL;
END $$;

-- A trigger before ours may change a row or drop it, and no version is lost.
CREATE TRIGGER before_event BEFORE INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION regress.before_event();
CREATE TRIGGER after_event AFTER INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION regress.after_event();
SELECT es_append('trg-user', 'A', '1', expected_version => 0);
SELECT es_append_batch('trg-user', '{B,C}', '{2,3}', ARRAY['{"user_id": "u1"}', NULL]::jsonb[], 1);
SELECT es_append_json('trg-user', '[{"type": "D", "data": 4, "schema_version": 2, "id": "eeeeeeee-0000-4000-8000-000000000009"}]', 3);
SELECT es_append('trg-user', 'D', '4', NULL, 3, 'eeeeeeee-0000-4000-8000-000000000009', 2);
SELECT es_append('trg-user', 'E', '5', expected_version => 3);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-user', 'E', '5'), ('trg-user', 'Suppressed', '6'), ('trg-user', 'F', '6');
COPY es_events (stream_id, event_type, data) FROM stdin;
trg-user	Suppressed	7
trg-user	G	7
trg-user	Suppressed	8
\.
SELECT version, event_type, schema_version, data, metadata FROM es_read_stream('trg-user');
SELECT stream_id, version, ordinal FROM regress.audit ORDER BY stream_id, version;
SELECT count(DISTINCT who) AS owners FROM regress.audit;
-- A function that appends says so when its event is dropped.
SELECT es_append('trg-user', 'Suppressed', '8');
\echo :LAST_ERROR_SQLSTATE
SELECT es_append_batch('trg-user', '{H,Suppressed}', '{8,9}');
\echo :LAST_ERROR_SQLSTATE
SELECT es_append('trg-user', 'Refused', '8');
\echo :LAST_ERROR_SQLSTATE
-- After an error the session is who it was.
DO $$
BEGIN
  PERFORM es_append('trg-user', 'Refused', '8');
EXCEPTION WHEN SQLSTATE 'P0042' THEN
  RAISE NOTICE '% %', current_user = session_user, current_setting('search_path');
END $$;
SHOW search_path;
SELECT es_append('trg-user', 'H', '8', expected_version => 7);
SELECT * FROM regress.places('trg-user');
DROP TRIGGER before_event ON es_events;
DROP TRIGGER after_event ON es_events;

-- A trigger that sends a row elsewhere: an INSERT goes there, but an append was
-- checked against the stream that it names.
CREATE FUNCTION regress.redirect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.stream_id := 'trg-elsewhere';
  RETURN NEW;
END $$;
CREATE TRIGGER redirect BEFORE INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION regress.redirect();
\set VERBOSITY sqlstate
SELECT es_append('trg-here', 'A', '1');
\set VERBOSITY default
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-here', 'A', '1') RETURNING stream_id, version;
DROP TRIGGER redirect ON es_events;
DROP FUNCTION regress.redirect();
SELECT es_append('trg-elsewhere', 'B', '2', expected_version => 1);
SELECT es_stream_version('trg-here');

-- The functions append as the table's owner then: the caller needs no more rights.
CREATE ROLE regress_es_writer;
SELECT es_grant('regress_es_writer', 'writer');
CREATE TRIGGER after_event AFTER INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION regress.after_event();
TRUNCATE regress.audit;
SET ROLE regress_es_writer;
SELECT es_append('trg-writer', 'A', '1', expected_version => 0);
SELECT es_append_batch('trg-writer', '{B,C}', '{2,3}', expected_version => 1);
RESET ROLE;
SELECT who = (SELECT relowner::regrole::text FROM pg_class WHERE oid = 'es_events'::regclass) AS as_owner, path, version FROM regress.audit ORDER BY version;
DROP TRIGGER after_event ON es_events;
SELECT es_revoke('regress_es_writer', 'writer');
DROP ROLE regress_es_writer;

-- A trigger that fires after ours could drop a row that has its version: refused.
CREATE TRIGGER zzz_late BEFORE INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION regress.before_event();
SELECT es_append('trg-late', 'T', '{}');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-late', 'T', '{}');
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE es_events DISABLE TRIGGER zzz_late;
SELECT es_append('trg-late', 'T', '{}');
DROP TRIGGER zzz_late ON es_events;
SELECT version, metadata FROM es_read_stream('trg-late');

-- An AFTER trigger that appends to another stream.
CREATE FUNCTION regress.follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.stream_id LIKE 'trg-pair-leader%' THEN
    PERFORM public.es_append(replace(NEW.stream_id, 'leader', 'follower'), NEW.event_type || 'Seen', NEW.data);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER follow AFTER INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION regress.follow();
SELECT es_append('trg-pair-leader', 'A', '1'), es_append_batch('trg-pair-leader', '{B,C}', '{2,3}');
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-pair-leader', 'D', '4'), ('trg-pair-leader-2', 'E', '5'), ('trg-pair-leader', 'F', '6');
COPY es_events (stream_id, event_type, data) FROM stdin;
trg-pair-leader	G	7
trg-pair-leader-2	H	8
\.
DROP TRIGGER follow ON es_events;
SELECT e.version, e.event_type, f.version, f.event_type FROM es_read_stream('trg-pair-leader') e FULL JOIN es_read_stream('trg-pair-follower') f USING (version) ORDER BY 1;
SELECT version, event_type FROM es_read_stream('trg-pair-follower-2');
SELECT * FROM regress.places('trg-pair-%');

-- A check constraint, a foreign key, a generated column, another column.
BEGIN;
ALTER TABLE es_events ADD CONSTRAINT has_amount CHECK (event_type <> 'Paid' OR data ? 'amount');
SELECT es_append('trg-check', 'Paid', '{"amount": 1}');
\set VERBOSITY terse
SAVEPOINT s;
SELECT es_append('trg-check', 'Paid', '{}');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO s;
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-check', 'Paid', '{"amount": 2}'), ('trg-check', 'Paid', '{}');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO s;
\set VERBOSITY default
SELECT es_append('trg-check', 'Paid', '{"amount": 2}', expected_version => 1);
ROLLBACK;
BEGIN;
CREATE TABLE regress.event_types (name text COLLATE "C" PRIMARY KEY);
INSERT INTO regress.event_types SELECT DISTINCT event_type FROM es_events;
ALTER TABLE es_events ADD FOREIGN KEY (event_type) REFERENCES regress.event_types;
SELECT es_append('trg-fk', 'A', '{}');
SAVEPOINT s;
SELECT es_append('trg-fk', 'NoSuchType', '{}');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO s;
SELECT es_append_batch('trg-fk', '{B,C}', '{1,2}', expected_version => 1);
ROLLBACK;
BEGIN;
ALTER TABLE es_events ADD COLUMN category text GENERATED ALWAYS AS (split_part(stream_id, '-', 1)) STORED;
ALTER TABLE es_events ADD COLUMN source text DEFAULT 'here';
SELECT es_append('trg-column', 'A', '{}'), es_append_batch('trg-column', '{B,C}', '{1,2}');
INSERT INTO es_events (stream_id, event_type, data, source) VALUES ('trg-column', 'D', '{}', 'there');
COPY es_events (stream_id, event_type, data) FROM stdin;
trg-column	E	{}
\.
SELECT version, event_type, category, source FROM es_events WHERE stream_id = 'trg-column';
SELECT version, event_type FROM es_read_stream('trg-column', 4);
ALTER TABLE es_events DROP COLUMN category;
SELECT es_append('trg-column', 'F', '{}', expected_version => 5);
SELECT version, source FROM es_events WHERE stream_id = 'trg-column' AND version > 5;
ROLLBACK;

-- A unique index: an error as in any table, and with ON CONFLICT DO NOTHING an
-- error too, because the row had its version already.
CREATE UNIQUE INDEX trg_unique ON es_events ((data->>'payment')) WHERE event_type = 'Paid';
SELECT es_append('trg-unique', 'Paid', '{"payment": "p1"}');
SELECT es_append('trg-unique', 'Paid', '{"payment": "p1"}');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-unique', 'Paid', '{"payment": "p1"}');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-unique', 'Paid', '{"payment": "p2"}') ON CONFLICT DO NOTHING;
INSERT INTO es_events (stream_id, event_type, data)
  VALUES ('trg-unique', 'Paid', '{"payment": "p3"}'), ('trg-unique', 'Paid', '{"payment": "p1"}'), ('trg-unique', 'Paid', '{"payment": "p4"}')
  ON CONFLICT DO NOTHING;
\echo :LAST_ERROR_SQLSTATE
SELECT version, data FROM es_read_stream('trg-unique');
-- The transaction can go on from the savepoint before it.
BEGIN;
SAVEPOINT s;
INSERT INTO es_events (stream_id, event_type, data) VALUES ('trg-unique', 'Paid', '{"payment": "p1"}') ON CONFLICT DO NOTHING;
ROLLBACK TO s;
SELECT es_append('trg-unique', 'Paid', '{"payment": "p5"}', expected_version => 2);
COMMIT;
SELECT * FROM regress.places('trg-unique');
DROP INDEX trg_unique;

-- Row-level security of the owner's making does not stop the functions, forced
-- or not, unless it is meant for the owner.
BEGIN;
CREATE ROLE regress_es_owner;
GRANT CREATE ON SCHEMA public TO regress_es_owner;
ALTER TABLE es_events OWNER TO regress_es_owner;
ALTER TABLE es_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible ON es_events FOR SELECT USING (true);
CREATE POLICY insertable ON es_events FOR INSERT WITH CHECK (event_type <> 'Forbidden');
SELECT es_append('trg-rls', 'Forbidden', '{}');
ALTER TABLE es_events FORCE ROW LEVEL SECURITY;
SELECT es_append('trg-rls', 'Allowed', '{}');
SAVEPOINT s;
SELECT es_append('trg-rls', 'Forbidden', '{}');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;

DROP TABLE regress.audit;
DROP FUNCTION regress.before_event(), regress.after_event(), regress.follow();
SELECT * FROM es_check();
