-- feed: what consumers of a slot with our output plugin read.
-- A server that has no logical decoding, or no prepared transactions, gets
-- away with the output in feed_1.out.
SELECT current_setting('wal_level') <> 'logical' OR current_setting('max_prepared_transactions')::int < 2 AS skip \gset
\if :skip
\quit
\endif
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SELECT current_database() AS regress_database \gset

-- In a database of its own, for what is done to es_events here.
CREATE DATABASE regress_es_feed TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';
\c regress_es_feed
SET client_min_messages = warning;
CREATE EXTENSION event_store;

-- Minor releases since August 2026 have a list of plugins that may be used.
SELECT count(*) > 0 AS has_list FROM pg_settings WHERE name = 'output_plugin_libraries' \gset
\if :has_list
SET output_plugin_libraries = event_store, pgoutput, test_decoding;
\endif

-- What the slot has to say, with what no two runs have in common masked.
CREATE FUNCTION feed(VARIADIC options text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
  SELECT regexp_replace(regexp_replace(regexp_replace(data,
           '("(recorded_at|committed_at|time|committedat)": )"2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"', '\1"TIME"', 'g'),
           '("(lsn|id)": )"[0-9A-F]+/[0-9A-F]+(-begin|-commit)?"', '\1"LSN\3"', 'g'),
           '("(begin|commit)": )[0-9]+', '\1XID', 'g')
    FROM pg_logical_slot_peek_changes('regress_es_feed', NULL, NULL, VARIADIC options)
$$;

-- The same in short: which events.
CREATE FUNCTION events(VARIADIC options text[] DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', o->>'tenant_id', (o->>'stream_id') || ':' || (o->>'version'), o->>'event_type',
                              'commit of ' || (o->>'events'), CASE WHEN o ? 'begin' THEN 'begin' END), ', ')
    FROM (SELECT data::jsonb AS o FROM pg_logical_slot_peek_changes('regress_es_feed', NULL, NULL, VARIADIC options)) f
$$;

-- Reads on to the end, for what comes next.
CREATE FUNCTION skip() RETURNS void LANGUAGE sql AS $$
  SELECT FROM pg_replication_slot_advance('regress_es_feed', pg_current_wal_lsn())
$$;

-- Events that the feed and the table do not agree about.
CREATE FUNCTION differences(streams text) RETURNS TABLE (stream_id text, version bigint) LANGUAGE sql AS $$
  WITH feed AS (
    SELECT data::jsonb AS o FROM pg_logical_slot_peek_changes('regress_es_feed', NULL, NULL))
  SELECT coalesce(e.stream_id, o->>'stream_id'), coalesce(e.version, (o->>'version')::bigint)
    FROM (SELECT * FROM es_events WHERE es_events.stream_id LIKE streams) e
    FULL JOIN (SELECT * FROM feed WHERE o->>'stream_id' LIKE streams) f
      ON o->>'tenant_id' = e.tenant_id AND o->>'stream_id' = e.stream_id AND (o->>'version')::bigint = e.version
   WHERE (o->>'event_type', (o->>'schema_version')::int, (o->>'event_id')::uuid, (o->>'recorded_at')::timestamptz, (o->>'tx')::bigint, (o->>'ordinal')::int, o->'data', o->'metadata')
         IS DISTINCT FROM (e.event_type, e.schema_version, e.event_id, e.recorded_at, e.tx, e.ordinal, e.data, e.metadata)
$$;

SELECT slot_name FROM pg_create_logical_replication_slot('regress_es_feed', 'event_store');

-- An event, an object.
SELECT es_append('order-1', 'Placed', '{"total": 7.50, "b": [1, null, "x"]}', '{"correlation_id": "c-1"}', 0, 'aaaaaaaa-0000-4000-8000-000000000001', 3);
BEGIN;
SELECT es_append('order-1', 'Paid "quoted"', '"a \"string\" with \\ and \n and ü and 😀"', event_id => 'aaaaaaaa-0000-4000-8000-000000000002');
SET LOCAL event_store.tenant_id = 'acme/ü';
SELECT es_append('a b%/ü"\-1', 'Ünïcode', 'null', '{"correlation_id": "", "causation_id": "k\nk", "user_id": 7, "traceparent": "00-1-2-01", "tracestate": "ü\"x\\"}', NULL, 'aaaaaaaa-0000-4000-8000-000000000003');
COMMIT;
SELECT feed();
SELECT feed('format', 'json', 'transactions', 'on');
SELECT replace(feed('format', 'cloudevents', 'transactions', 'true'), current_database(), 'DATABASE');
SELECT count(*), count(DISTINCT data::jsonb->>'lsn') FROM pg_logical_slot_peek_changes('regress_es_feed', NULL, NULL);
SELECT * FROM differences('%');

-- The lsn is that behind the commit: where a consumer goes on that has got so far.
SELECT data::jsonb->>'lsn' AS lsn FROM pg_logical_slot_peek_changes('regress_es_feed', NULL, 1) LIMIT 1 \gset
SELECT FROM pg_replication_slot_advance('regress_es_feed', :'lsn');
SELECT events('transactions', 'yes');

-- Which events: lists of names.
SELECT skip();
SELECT es_append_batch('order-1', '{A,B}', '{1,2}'), es_append_batch('order', '{A,"B, C"}', '{1,2}'), es_append('order2-1', 'A', '1'), es_append('-1', ' ', '1');
SET event_store.tenant_id = 'acme';
SELECT es_append_batch('order-1', '{A,B}', '{1,2}'), es_append('payment-1', '"A"', '1');
SET event_store.tenant_id = 'a, "b"';
SELECT es_append('payment-1', 'ordea', '1');
RESET event_store.tenant_id;
SELECT events();
SELECT name, value, events(name, value)
  FROM (VALUES ('categories', 'order'), ('categories', 'orde'), ('categories', 'order-1'), ('categories', ' order2 ,payment,order2'), ('categories', '""'), ('categories', 'ORDER'),
               ('event_types', 'A'), ('event_types', '"B, C",ordea'), ('event_types', 'B, C'), ('event_types', 'ordea,z,B,y,A,x,C'), ('event_types', '" ", """A"""'),
               ('tenants', ''), ('tenants', 'acme'), ('tenants', ',acme'), ('tenants', '"a, ""b"""'), ('tenants', '"",b'),
               ('transactions', 'false'), ('format', 'json')) o(name, value);
SELECT events('categories', 'order', 'event_types', 'A', 'tenants', 'acme', 'transactions', '1');
SELECT events('categories', 'nothing', 'transactions', '1');

-- What is refused.
SELECT format('SELECT feed(%L, %L)', name, value)
  FROM (VALUES ('category', 'order'), ('', ''), ('Format', 'json'), ('format', 'xml'), ('format', ''), ('format', 'JSON'), ('transactions', 'perhaps'), ('transactions', ''),
               ('categories', ''), ('categories', 'a,,b'), ('event_types', 'a,'), ('event_types', '"a'), ('event_types', '"a"b'), ('tenants', '"a" "b"'), ('tenants', '"a""')) o(name, value) \gexec
SELECT feed('tenants', 'a', 'format', 'json', 'tenants', 'b');
\echo :LAST_ERROR_SQLSTATE
SELECT feed('colour', 'red');
\echo :LAST_ERROR_SQLSTATE
-- And leaves the slot as it was.
SELECT events('tenants', 'acme');

-- Savepoints, transactions that abort, and prepared ones.
SELECT skip();
BEGIN;
SELECT es_append('saved-1', 'Kept', '1');
SAVEPOINT a;
SELECT es_append('saved-1', 'Gone', '1');
ROLLBACK TO a;
SAVEPOINT b;
SELECT es_append('saved-1', 'Kept too', '1');
RELEASE b;
SELECT es_append('saved-2', 'Kept', '1');
COMMIT;
BEGIN;
SELECT es_append('saved-1', 'Gone', '1');
ROLLBACK;
BEGIN;
SELECT es_append('prepared-1', 'Committed', '1');
PREPARE TRANSACTION 'regress_es_feed_1';
BEGIN;
SELECT es_append('prepared-2', 'Rolled back', '1');
PREPARE TRANSACTION 'regress_es_feed_2';
SELECT es_append('saved-3', 'Between', '1');
SELECT events('transactions', 'true');
ROLLBACK PREPARED 'regress_es_feed_2';
COMMIT PREPARED 'regress_es_feed_1';
SELECT events('transactions', 'true');
SELECT * FROM differences('saved%');

-- A slot that could have transactions when they are prepared gets them when
-- they are committed.
SELECT slot_name FROM pg_create_logical_replication_slot('regress_es_feed_2', 'event_store', false, true);
BEGIN;
SELECT es_append('prepared-1', 'Prepared', '1');
PREPARE TRANSACTION 'regress_es_feed_1';
SELECT count(*) FROM pg_logical_slot_get_changes('regress_es_feed_2', NULL, NULL);
COMMIT PREPARED 'regress_es_feed_1';
SELECT data::jsonb->>'event_type' FROM pg_logical_slot_get_changes('regress_es_feed_2', NULL, NULL);
SELECT pg_drop_replication_slot('regress_es_feed_2');

-- Other tables, one of the same name among them, are nothing to the feed, and
-- transactions without events leave no trace.
SELECT skip();
CREATE SCHEMA other;
CREATE TABLE other.es_events (LIKE es_events);
CREATE TABLE other.things (LIKE es_events INCLUDING ALL);
INSERT INTO other.es_events SELECT '', 'other-1', v, es_uuid_v7(), 'Other', 1, '1', '{}', now(), 1, v FROM generate_series(1, 300) v;
INSERT INTO other.things SELECT * FROM other.es_events;
UPDATE other.es_events SET data = '2';
DELETE FROM other.things;
TRUNCATE other.es_events;
SELECT es_save_snapshot('order-1', 1, '{}');
SELECT pg_logical_emit_message(true, 'event_store', 'es'), pg_logical_emit_message(false, 'event_store', 'es') IS NOT NULL AS emitted \g /dev/null
SELECT events('transactions', 'true');
SELECT es_append('alone-1', 'Alone', '1');
-- A table becomes the store's by its name and schema, and ceases to be.
BEGIN;
ALTER TABLE es_events RENAME TO es_events_kept;
ALTER TABLE other.es_events SET SCHEMA public;
INSERT INTO es_events SELECT '', 'moved-1', 1, es_uuid_v7(), 'Moved', 1, '1', '{}', now(), 1, 1;
SAVEPOINT a;
ALTER TABLE es_events SET SCHEMA other;
INSERT INTO other.es_events SELECT '', 'moved-1', 2, es_uuid_v7(), 'Moved away', 1, '1', '{}', now(), 1, 2;
ROLLBACK TO a;
INSERT INTO es_events SELECT '', 'moved-1', 3, es_uuid_v7(), 'Moved back', 1, '1', '{}', now(), 1, 3;
ALTER TABLE es_events SET SCHEMA other;
INSERT INTO other.es_events SELECT '', 'moved-1', 4, es_uuid_v7(), 'Moved away', 1, '1', '{}', now(), 1, 4;
ALTER TABLE es_events_kept RENAME TO es_events;
COMMIT;
INSERT INTO other.es_events SELECT '', 'moved-1', 5, es_uuid_v7(), 'Other', 1, '1', '{}', now(), 1, 5;
SELECT es_append('alone-2', 'Alone', '1');
SELECT events('transactions', 'true');
DROP SCHEMA other CASCADE;

-- Updates, deletions and truncations are none of the feed's business.
SELECT skip();
ALTER TABLE es_events DISABLE TRIGGER USER;
UPDATE es_events SET data = data WHERE stream_id = 'alone-2';
DELETE FROM es_events WHERE stream_id = 'alone-2';
TRUNCATE es_events;
ALTER TABLE es_events ENABLE TRIGGER USER;
SELECT es_append('after-1', 'After', '1');
SELECT events('transactions', 'true');

-- Documents of a megabyte, which stand elsewhere.
SELECT skip();
SELECT es_append_batch('big-1', '{Big,Big}', ARRAY[
         (SELECT jsonb_build_object('big', string_agg(md5(i::text), '')) FROM generate_series(1, 32768) i),
         (SELECT jsonb_agg(md5(i::text)) FROM generate_series(1, 32768) i)],
       ARRAY[jsonb_build_object('traceparent', repeat('0123456789abcdef', 20000)), (SELECT jsonb_object_agg(i, md5(i::text)) FROM generate_series(1, 3000) i)]);
SELECT es_append('big-1', 'Compressed', to_jsonb(repeat('ü', 1000000)));
SELECT length(feed) > 1000000 AS long FROM feed();
SELECT * FROM differences('big%');
SELECT length(data::jsonb->>'traceparent'), md5(data::jsonb->'data'->>'big') = (SELECT md5(data->>'big') FROM es_events WHERE stream_id = 'big-1' AND version = 1) AS same
  FROM pg_logical_slot_peek_changes('regress_es_feed', NULL, NULL, 'format', 'cloudevents') LIMIT 1;
SELECT events('categories', 'small');

-- Transactions that do not fit into memory, with subtransactions of which each
-- third is undone.
SELECT skip();
SET logical_decoding_work_mem = '64kB';
DO $$
BEGIN
  FOR i IN 1 .. 1200 LOOP
    BEGIN
      PERFORM es_append_batch('spilled-' || i % 7, '{A,B}', ARRAY[to_jsonb(i), to_jsonb(md5(i::text))]);
      IF i % 3 = 0 THEN
        RAISE 'undone';
      END IF;
    EXCEPTION WHEN raise_exception THEN
      NULL;
    END;
  END LOOP;
END $$;
SELECT o->>'events', count(*) FROM (SELECT data::jsonb AS o FROM pg_logical_slot_peek_changes('regress_es_feed', NULL, NULL, 'transactions', 'true')) f GROUP BY 1 ORDER BY 1;
SELECT * FROM differences('spilled%');
-- In the order in which they were appended.
SELECT count(*) FROM (
  SELECT (o->>'ordinal')::int AS ordinal, lag((o->>'ordinal')::int, 1, -1) OVER (ORDER BY number) AS before
    FROM (SELECT data::jsonb, ordinality FROM pg_logical_slot_peek_changes('regress_es_feed', NULL, NULL) WITH ORDINALITY f(lsn, xid, data, ordinality)) f(o, number)) o
 WHERE ordinal <> before + 1;
SELECT spill_txns > 0 AS spilled, stream_txns FROM pg_stat_replication_slots WHERE slot_name = 'regress_es_feed';
RESET logical_decoding_work_mem;

-- DDL in the middle: columns of the user's, a rewrite.
SELECT skip();
SELECT es_append('ddl-1', 'A', '1');
ALTER TABLE es_events ADD COLUMN note text DEFAULT 'nothing';
SELECT es_append('ddl-1', 'B', '2');
VACUUM FULL es_events;
SELECT es_append('ddl-1', 'C', '3');
BEGIN;
SELECT es_append('ddl-1', 'D', '4');
ALTER TABLE es_events ADD COLUMN number int NOT NULL DEFAULT (random() * 100)::int;
SELECT es_append('ddl-1', 'E', '5');
ALTER TABLE es_events DROP COLUMN note;
COMMIT;
SELECT es_append('ddl-1', 'F', '6');
CREATE INDEX ON es_events (number);
CLUSTER es_events USING es_events_pkey;
ALTER TABLE es_events DROP COLUMN number;
SELECT es_append('ddl-1', 'G', '7');
SELECT events();
SELECT * FROM differences('ddl%');

-- A table that has lost a column has no events to show; the feed goes on
-- behind it.  (The warning comes with each reading.)
SELECT skip();
ALTER TABLE es_events DISABLE TRIGGER USER;
ALTER TABLE es_events RENAME COLUMN schema_version TO shape;
INSERT INTO es_events VALUES ('', 'ddl-2', 1, es_uuid_v7(), 'Unseen', 1, '1', '{}', now(), 0, 0);
ALTER TABLE es_events RENAME COLUMN shape TO schema_version;
ALTER TABLE es_events ALTER COLUMN data DROP NOT NULL, ALTER COLUMN stream_id SET STORAGE EXTERNAL;
INSERT INTO es_events VALUES ('', 'ddl-2', 2, es_uuid_v7(), 'Infinite', 1, NULL, '[]', 'infinity', 0, 1);
INSERT INTO es_events VALUES ('', 'ddl-2', 9007199254740993, es_uuid_v7(), 'Ancient', 1, '1', '{}', '0044-03-15 12:00:00+00 BC', 0, 2);
ALTER TABLE es_events ENABLE TRIGGER USER;
SELECT regexp_replace(feed, '"[0-9a-f]{8}-[^"]*"', '"UUID"') FROM feed();
SELECT regexp_replace(feed, '"[0-9a-f]{8}-[^"]*"', '"UUID"') FROM feed('format', 'cloudevents');

-- Partitions of es_events are es_events, at any level, in any schema, their
-- columns in any order.
SELECT skip();
CREATE SCHEMA parts;
BEGIN;
ALTER TABLE es_events RENAME TO es_events_kept;
CREATE TABLE es_events (LIKE es_events_kept) PARTITION BY LIST (tenant_id);
CREATE TABLE parts.acme PARTITION OF es_events FOR VALUES IN ('acme');
CREATE TABLE parts.others PARTITION OF es_events DEFAULT PARTITION BY HASH (stream_id);
CREATE TABLE parts.others_0 (ordinal int NOT NULL, gone text, tx bigint NOT NULL, recorded_at timestamptz NOT NULL, metadata jsonb NOT NULL, data jsonb, schema_version int NOT NULL,
  event_type text COLLATE "C" NOT NULL, event_id uuid NOT NULL, version bigint NOT NULL, stream_id text COLLATE "C" NOT NULL, tenant_id text COLLATE "C" NOT NULL);
ALTER TABLE parts.others_0 DROP COLUMN gone;
INSERT INTO parts.others_0 (tenant_id, stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal)
  VALUES ('', 'part-0', 1, es_uuid_v7(), 'Not attached', 1, '1', '{}', now(), 0, 0);
ALTER TABLE parts.others ATTACH PARTITION parts.others_0 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
COMMIT;
INSERT INTO es_events VALUES ('acme', 'part-1', 1, es_uuid_v7(), 'A', 1, '1', '{}', now(), 1, 0), ('', 'part-2', 1, es_uuid_v7(), 'B', 2, '"b"', '{"b": 1}', now(), 1, 1);
INSERT INTO parts.others_0 SELECT 2, 1, recorded_at, metadata, data, schema_version, 'C', event_id, 2, stream_id, tenant_id FROM es_events WHERE stream_id = 'part-2';
SELECT events('transactions', 'true');
SELECT stream_id FROM differences('part%');
-- They cease to be when the table that they are partitions of is renamed, or
-- when they are detached.
ALTER TABLE es_events RENAME TO es_partitioned;
INSERT INTO es_partitioned VALUES ('acme', 'part-1', 2, es_uuid_v7(), 'Renamed', 1, '1', '{}', now(), 1, 0), ('', 'part-2', 3, es_uuid_v7(), 'Renamed', 2, '1', '{}', now(), 1, 1);
ALTER TABLE es_partitioned RENAME TO es_events;
INSERT INTO es_events VALUES ('acme', 'part-1', 3, es_uuid_v7(), 'Back', 1, '1', '{}', now(), 1, 0);
ALTER TABLE es_events DETACH PARTITION parts.acme;
INSERT INTO parts.acme VALUES ('acme', 'part-1', 4, es_uuid_v7(), 'Detached', 1, '1', '{}', now(), 1, 0);
SELECT events('event_types', 'Renamed,Back,Detached,Not attached');
DROP TABLE es_events, parts.acme;
ALTER TABLE es_events_kept RENAME TO es_events;
DROP SCHEMA parts;

-- Upcast as event types were when an event was written.
CREATE FUNCTION upcast(VARIADIC options text[] DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', (o->>'version') || coalesce('/' || (o->>'piece'), ''), o->>'event_type', o->>'schema_version', o->>'data', 'commit of ' || (o->>'events'),
                              CASE WHEN o ? 'begin' THEN 'begin' END), E'\n')
    FROM (SELECT data::jsonb AS o FROM pg_logical_slot_peek_changes('regress_es_feed', NULL, NULL, VARIADIC options)) f
$$;
SELECT skip();
SELECT es_append('up-1', 'Created', '{"n": 1}');
SELECT es_register_event_type('Created', 2, upcaster => $$data || '{"two": true}'$$);
SELECT es_append('up-1', 'Created', '{"n": 2}');
BEGIN;
SELECT es_append('up-1', 'Created', '{"n": 3}');
SELECT es_register_event_type('Created', 3, upcaster => $$ARRAY[es_upcast_to('A', 1, data), es_upcast_to('B', 7, '{}'), es_upcast_to('Old', 1, data || metadata)]$$);
SELECT es_append('up-1', 'Created', '{"n": 4}', '{"m": 4}');
SAVEPOINT a;
SELECT es_register_event_type('Old', 2, upcaster => $$es_upcast_to('New', 1, '1')$$);
SELECT es_append('up-1', 'Created', '{"n": "gone"}');
ROLLBACK TO a;
SELECT es_append('up-1', 'Created', '{"n": 5}');
COMMIT;
SELECT es_register_event_type('Old', 2, upcaster => $$es_upcast_to('New', schema_version, data || '{"was": "Old"}')$$, status => 'draft');
SELECT es_append('up-1', 'Created', '{"n": 6}', schema_version => 2);
SELECT es_set_event_type_status('Old', 2, 'active');
SELECT es_append('up-1', 'Old', '{"n": 7}');
SELECT upcast('transactions', 'on');
SELECT upcast('upcast', 'false');
SELECT upcast('event_types', 'B,New');
SELECT regexp_replace(data, '^.*"id": "[^"]*[0-9a-f]{12}(/[0-9])?".*"schemaversion": ([^"]*"piece": [0-9])?.*$', '\1 \2')
  FROM pg_logical_slot_peek_changes('regress_es_feed', NULL, NULL, 'format', 'cloudevents', 'event_types', 'A,B,Created') WITH ORDINALITY f(lsn, xid, data, n) WHERE n < 7;
-- What runs nowhere but in a query is refused, before it is run; and what fails.
CREATE FUNCTION reads(data jsonb) RETURNS jsonb IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN data || jsonb_build_object('n', (SELECT count(*) FROM es_events)); END $$;
SELECT es_register_event_type('Reads', 2, upcaster => 'reads');
SELECT es_register_event_type('Reads early', 2, upcaster => $$data || reads('{}')$$);
SELECT es_register_event_type('Settings', 2, upcaster => $$data || jsonb_build_object('at', now())$$);
SELECT es_register_event_type('Fails', 2, upcaster => $$data || jsonb_build_object('n', 1 / (data->>'n')::int)$$);
SELECT skip();
SELECT es_append('bad-1', 'Good', '{}'), es_append('bad-1', 'Reads', '{}');
\set SHOW_CONTEXT always
\set VERBOSITY terse
SELECT upcast();
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT upcast();
\echo :LAST_ERROR_SQLSTATE
SELECT upcast('upcast', 'false');
SELECT upcast('event_types', 'Good');
SELECT version, event_type, schema_version, data ? 'n' AS n FROM es_read_stream('bad-1');
SELECT skip();
SELECT es_append('bad-2', 'Reads early', '{}');
SELECT upcast();
SELECT skip();
SELECT es_append('bad-2', 'Settings', '{}');
SELECT upcast();
SELECT skip();
SELECT es_append('bad-2', 'Fails', '{"n": 0}');
SELECT upcast();
-- The session goes on, with the registry as it is.
SELECT event_type, schema_version FROM es_read_stream('up-1', 6);
SELECT es_alter_event_type('Fails', 2, upcaster => 'data');
SELECT data FROM es_read_stream('bad-2', 3);
SELECT es_append('bad-3', 'Fails', '{"n": 0}');
SELECT upcast('upcast', 'off');
SELECT skip();
SELECT es_append('bad-3', 'Fails', '{"n": 0}');
SELECT upcast();
DROP FUNCTION reads;
DELETE FROM es_event_types;
SELECT es_append('bad-3', 'Fails', '{"n": 0}');
SELECT upcast();

-- The extension dropped and made again: the old store's events are not looked
-- for in the new one, and the slot serves both.
SELECT skip();
SELECT es_append('old-1', 'Old', '1');
DROP EXTENSION event_store;
CREATE EXTENSION event_store;
SELECT es_append('new-1', 'New', '1');
DROP EXTENSION event_store;
CREATE SCHEMA store;
BEGIN;
CREATE EXTENSION event_store SCHEMA store;
SELECT store.es_append('new-1', 'Newest', '1');
COMMIT;
SELECT events('transactions', 'true');
DROP EXTENSION event_store;
SELECT events('transactions', 'true');

-- A database that is not in UTF-8: what is beyond ASCII is escaped, so that the
-- feed is JSON as everybody reads it.
SELECT pg_drop_replication_slot('regress_es_feed');
\c :regress_database
SET client_min_messages = warning;
DROP DATABASE regress_es_feed;
CREATE DATABASE "regress_es_feed ü" TEMPLATE template0 ENCODING 'EUC_JP' LOCALE 'C';
\c "regress_es_feed ü"
SET client_encoding = 'UTF8';
\if :has_list
SET output_plugin_libraries = event_store, pgoutput, test_decoding;
\endif
CREATE EXTENSION event_store;
SELECT slot_name FROM pg_create_logical_replication_slot('regress_es_feed', 'event_store');
SELECT es_append('注文-1', '発送', '{"場所": "東京 \"x\""}', event_id => 'aaaaaaaa-0000-4000-8000-000000000001');
SELECT es_append('注文-1', '取消', '1');
SELECT substring(data FOR 78), data::jsonb->'data' FROM pg_logical_slot_peek_changes('regress_es_feed', NULL, NULL, 'event_types', '発送', 'categories', '注文');
SELECT substring(data FROM 1 FOR 183) FROM pg_logical_slot_peek_changes('regress_es_feed', NULL, 1, 'format', 'cloudevents') LIMIT 1;
SELECT pg_drop_replication_slot('regress_es_feed');
\c :regress_database
DROP DATABASE "regress_es_feed ü";
