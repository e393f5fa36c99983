-- bad_input: what wrong input gets: a clear error, and everything is as it was.
--
-- Each answer is SQLSTATE, message, detail and hint.
\set SHOW_CONTEXT never
\pset tuples_only on
\pset format unaligned

SELECT es_append('bad-1', 'T', '1');

--
-- NULL where something is needed
--
SELECT regress.error_of('SELECT ' || call)
  FROM (VALUES ($$es_append(NULL, 'T', '1')$$),
               ($$es_append('bad-1', NULL, '1')$$),
               ($$es_append('bad-1', 'T', NULL)$$),
               ($$es_append_batch(NULL, '{T}', '{1}')$$),
               ($$es_append_batch('bad-1', NULL, '{1}')$$),
               ($$es_append_batch('bad-1', '{T}', NULL)$$),
               ($$es_append_batch('bad-1', '{T,NULL}', '{1,2}')$$),
               ($$es_append_batch('bad-1', '{T,T}', '{NULL,2}')$$),
               ($$es_append_batch('bad-1', '{T,T}', '{1,2}', event_ids => '{NULL,ffffffff-0000-4000-8000-000000000001}')$$),
               ($$es_append_json(NULL, '[]')$$),
               ($$es_append_json('bad-1', NULL)$$),
               ($$es_stream_version(NULL)$$),
               ($$es_read_stream(NULL)$$)) v(call);
SELECT regress.error_of('INSERT INTO es_events (stream_id, event_type, data) VALUES ' || row)
  FROM (VALUES ($$(NULL, 'T', '1')$$), ($$('bad-1', NULL, '1')$$), ($$('bad-1', 'T', NULL)$$)) v(row);
SELECT regress.error_of('INSERT INTO es_events DEFAULT VALUES');

--
-- Names: empty, too long (counted in bytes), with control characters
--
SELECT regress.error_of('SELECT ' || call)
  FROM (VALUES ($$es_append('', 'T', '1')$$),
               ($$es_append('bad-1', '', '1')$$),
               ($$es_append_batch('', '{T}', '{1}')$$),
               ($$es_append_batch('bad-1', '{T,""}', '{1,2}')$$),
               ($$es_append_json('', '[]')$$),
               ($$es_stream_version('')$$),
               ($$es_read_stream('')$$)) v(call);
SELECT regress.error_of('SELECT ' || call)
  FROM (VALUES ($$es_append(repeat('s', 513), 'T', '1')$$),
               ($$es_append(repeat('ä', 257), 'T', '1')$$),
               ($$es_append(repeat('s', 1000000), 'T', '1')$$),
               ($$es_append('bad-1', repeat('t', 256), '1')$$),
               ($$es_append('bad-1', repeat('ö', 128), '1')$$),
               ($$es_append_batch('bad-1', ARRAY['T', repeat('t', 256)], '{1,2}')$$),
               ($$es_stream_version(repeat('s', 513))$$),
               ($$es_read_stream(repeat('s', 513))$$)) v(call);
SELECT regress.error_of(format('SELECT es_append(%L, %L, %L)', stream, type, '1'))
  FROM (VALUES (E'a\nb', 'T'), (E'a\tb', 'T'), (E'\x1f', 'T'), (E'a\x7f', 'T'), (E'\u0085', 'T'), (E'a\u009fb', 'T'),
               ('bad-1', E'a\nb'), ('bad-1', E'\x01'), ('bad-1', E'\u0080')) v(stream, type);
SELECT regress.error_of(format('SELECT es_stream_version(%L)', E'a\rb'));
SELECT regress.error_of(format('SELECT es_read_stream(%L)', E'a\rb'));
-- Their neighbours are none: no-break space, soft hyphen, zero width joiner.
SELECT regress.error_of(format('SELECT es_append(%L, %L, %L)', stream, 'T', '1'))
  FROM (VALUES (E'a\u00a0b'), (E'a\u00adb'), (E'a\u200db'), ('a b'), ('Â'), ('~')) v(stream);
SELECT regress.error_of('INSERT INTO es_events (stream_id, event_type, data) VALUES ' || row)
  FROM (VALUES ($$('', 'T', '1')$$), ($$('bad-1', '', '1')$$), ($$(repeat('s', 513), 'T', '1')$$), ($$('bad-1', repeat('t', 256), '1')$$),
               ($$(E'a\nb', 'T', '1')$$), ($$('bad-1', E'a\nb', '1')$$)) v(row);

--
-- Versions and counts: negative, zero, too great
--
SELECT regress.error_of('SELECT ' || call)
  FROM (VALUES ($$es_append('bad-1', 'T', '1', expected_version => -2)$$),
               ($$es_append('bad-1', 'T', '1', expected_version => -9223372036854775808)$$),
               ($$es_append_batch('bad-1', '{T}', '{1}', expected_version => -2)$$),
               ($$es_append_batch('bad-1', '{}', '{}', expected_version => -2)$$),
               ($$es_append_json('bad-1', '[]', -2)$$),
               ($$es_append('bad-1', 'T', '1', schema_version => 0)$$),
               ($$es_append('bad-1', 'T', '1', schema_version => -1)$$),
               ($$es_append_batch('bad-1', '{T,T}', '{1,2}', schema_versions => '{1,0}')$$),
               ($$es_read_stream('bad-1', 0)$$),
               ($$es_read_stream('bad-1', -1)$$),
               ($$es_read_stream('bad-1', 0, backwards => true)$$),
               ($$es_read_stream('bad-1', 1, 0)$$),
               ($$es_read_stream('bad-1', 1, -1)$$),
               ($$es_read_stream('bad-none', 0)$$),
               ($$es_read_stream('bad-none', 1, 0)$$)) v(call);
SELECT regress.error_of('SELECT ' || call)
  FROM (VALUES ($$es_append('bad-1', 'T', '1', expected_version => 9223372036854775807)$$),
               ($$es_append('bad-1', 'T', '1', expected_version => 9223372036854775807, event_id => 'ffffffff-0000-4000-8000-000000000001')$$)) v(call);
SELECT regress.error_of('INSERT INTO es_events (stream_id, event_type, data, schema_version) VALUES (''bad-1'', ''T'', ''1'', 0)');

-- A version that overflows.
BEGIN;
INSERT INTO es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal)
  SELECT 'bad-full', v, ('ffffffff-0000-4000-8000-' || lpad(to_hex(v), 12, '0'))::uuid, 'T', 1, '1', '{}', now(), last_value, 1000 + v::int
    FROM es_tx_seq, generate_series(1, 3) v;
INSERT INTO es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal)
  SELECT 'bad-full', 9223372036854775806, 'ffffffff-0000-4000-8000-ffffffffffff', 'T', 1, '1', '{}', now(), last_value, 2000 FROM es_tx_seq;
SELECT regress.error_of('SELECT ' || call)
  FROM (VALUES ($$es_append_batch('bad-full', '{T,T}', '{1,2}')$$),
               ($$es_append_batch('bad-full', '{T,T}', '{1,2}', expected_version => 9223372036854775806)$$)) v(call);
SELECT es_append('bad-full', 'Last', '1', expected_version => 9223372036854775806);
SELECT regress.error_of('SELECT ' || call)
  FROM (VALUES ($$es_append('bad-full', 'T', '1')$$),
               ($$es_append('bad-full', 'T', '1', expected_version => 9223372036854775807)$$),
               ($$es_append('bad-full', 'T', '1', expected_version => 9223372036854775807, event_id => 'ffffffff-0000-4000-8000-000000000001')$$),
               ($$es_append_json('bad-full', '[{"type": "T", "data": 1}]')$$),
               ($$es_append_batch('bad-full', '{}', '{}', expected_version => 9223372036854775807)$$)) v(call);
SELECT regress.error_of($$INSERT INTO es_events (stream_id, event_type, data) VALUES ('bad-full', 'T', '1')$$);
SELECT version, event_type FROM es_read_stream('bad-full', NULL, 1, true);
SELECT version FROM es_read_stream('bad-full', 4);
ROLLBACK;

--
-- Arrays: of unequal length, multi-dimensional
--
SELECT regress.error_of('SELECT ' || call)
  FROM (VALUES ($$es_append_batch('bad-1', '{T,T}', '{1}')$$),
               ($$es_append_batch('bad-1', '{T}', '{1,2}')$$),
               ($$es_append_batch('bad-1', '{}', '{1}')$$),
               ($$es_append_batch('bad-1', '{T}', '{}')$$),
               ($$es_append_batch('bad-1', '{T,T}', '{1,2}', '{"{}"}')$$),
               ($$es_append_batch('bad-1', '{T}', '{1}', '{}')$$),
               ($$es_append_batch('bad-1', '{T,T}', '{1,2}', event_ids => '{ffffffff-0000-4000-8000-000000000001}')$$),
               ($$es_append_batch('bad-1', '{T,T}', '{1,2}', schema_versions => '{1,2,3}')$$),
               ($$es_append_batch('bad-1', '{{T,T},{T,T}}', '{1,2,3,4}')$$),
               ($$es_append_batch('bad-1', '{{T}}', '{{1}}')$$),
               ($$es_append_batch('bad-1', '{T,T}', '{{1,2}}')$$),
               ($$es_append_batch('bad-1', '{T,T}', '{1,2}', '{{"{}","{}"}}')$$),
               ($$es_append_batch('bad-1', '{T,T}', '{1,2}', event_ids => '{{ffffffff-0000-4000-8000-000000000001,ffffffff-0000-4000-8000-000000000002}}')$$),
               ($$es_append_batch('bad-1', '{T,T}', '{1,2}', schema_versions => '{{1},{2}}')$$)) v(call);

--
-- Metadata that are no object, ids that are used twice; the JSON of
-- es_append_json has a file of its own
--
SELECT regress.error_of('SELECT ' || call)
  FROM (VALUES ($$es_append('bad-1', 'T', '1', '[]')$$),
               ($$es_append('bad-1', 'T', '1', '"text"')$$),
               ($$es_append('bad-1', 'T', '1', 'null')$$),
               ($$es_append_batch('bad-1', '{T,T}', '{1,2}', '{"{}",1}')$$),
               ($$es_append_batch('bad-1', '{T,T}', '{1,2}', event_ids => '{ffffffff-0000-4000-8000-000000000001,ffffffff-0000-4000-8000-000000000001}')$$),
               ($$es_append('bad-1', 'T', '1', event_id => 'no uuid')$$),
               ($$es_append('bad-1', 'T', '{')$$),
               ($$es_append_json('bad-1', '{}')$$),
               ($$es_append_json('bad-1', '[{"type": "T", "data": 1, "unheard_of": 1}]')$$)) v(call);
SELECT regress.error_of($$INSERT INTO es_events (stream_id, event_type, data, metadata) VALUES ('bad-1', 'T', '1', '[]')$$);

--
-- Events over PostgreSQL's limits
--
SELECT regress.error_of($$SELECT es_append('bad-1', 'T', to_jsonb(repeat('x', 268435456)))$$);

--
-- Wrong version, and events that were there before: the codes of the contract
--
SELECT regress.error_of('SELECT ' || call)
  FROM (VALUES ($$es_append('bad-1', 'T', '1', expected_version => 0)$$),
               ($$es_append('bad-1', 'T', '1', expected_version => 7)$$),
               ($$es_append('bad-none', 'T', '1', expected_version => 7)$$),
               ($$es_append('bad-none', 'T', '1', expected_version => -1)$$)) v(call);
SELECT regress.error_of(command)
  FROM (VALUES ('UPDATE es_events SET data = ''2'''), ('DELETE FROM es_events'), ('TRUNCATE es_events')) v(command);

--
-- A read-only transaction
--
BEGIN READ ONLY;
SELECT regress.error_of('SELECT ' || call)
  FROM (VALUES ($$es_append('bad-1', 'T', '1')$$),
               ($$es_append_batch('bad-1', '{T}', '{1}')$$),
               ($$es_append_batch('bad-1', '{}', '{}')$$),
               ($$es_append_json('bad-1', '[{"type": "T", "data": 1}]')$$),
               ($$es_append('', NULL, NULL)$$)) v(call);
SELECT regress.error_of($$INSERT INTO es_events (stream_id, event_type, data) VALUES ('bad-1', 'T', '1')$$);
SELECT es_stream_version('bad-1');
COMMIT;

--
-- A function that is called for what it was not made
--
SELECT regress.error_of('SELECT es_events_before_insert()');
CREATE TEMP TABLE other (LIKE es_events);
CREATE TRIGGER other BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION es_events_before_insert();
SELECT regress.error_of($$INSERT INTO other (tenant_id, stream_id, event_type, data) VALUES ('', 'bad-1', 'T', '1')$$);
DROP TRIGGER other ON other;
CREATE TRIGGER other AFTER INSERT ON other FOR EACH STATEMENT EXECUTE FUNCTION es_events_after_insert();
ALTER TABLE other ALTER version DROP NOT NULL, ALTER event_id DROP NOT NULL, ALTER schema_version DROP NOT NULL,
  ALTER metadata DROP NOT NULL, ALTER recorded_at DROP NOT NULL, ALTER tx DROP NOT NULL, ALTER ordinal DROP NOT NULL;
SELECT regress.error_of($$INSERT INTO other (tenant_id, stream_id, event_type, data) VALUES ('', 'bad-1', 'T', '1')$$);
DROP TABLE other;
BEGIN;
CREATE TRIGGER wrong AFTER INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION es_events_before_insert();
SELECT regress.error_of($$INSERT INTO es_events (stream_id, event_type, data) VALUES ('bad-1', 'T', '1')$$);
ROLLBACK;

--
-- A store that is damaged: each is taken back
--
CREATE FUNCTION pg_temp.damage(variadic commands text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  command text;
BEGIN
  FOREACH command IN ARRAY commands LOOP
    EXECUTE command;
  END LOOP;
  FOREACH command IN ARRAY ARRAY['SELECT es_append(''bad-1'', ''T'', ''1'', event_id => ''ffffffff-0000-4000-8000-00000000000a'')',
                                 'INSERT INTO es_events (stream_id, event_type, data) VALUES (''bad-1'', ''T'', ''1'')'] LOOP
    RETURN NEXT split_part(regress.error_of(command), E'\nHINT', 1);
  END LOOP;
  -- What was returned stays, what was done goes.
  RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
  RETURN;
END $$;
SELECT pg_temp.damage('ALTER SEQUENCE es_tx_seq RENAME TO gone');
SELECT pg_temp.damage('ALTER SEQUENCE es_tx_seq RENAME TO gone', 'CREATE TABLE es_tx_seq (last_value bigint)');
SELECT pg_temp.damage('ALTER TABLE es_events RENAME COLUMN tx TO transaction');
SELECT pg_temp.damage('ALTER EXTENSION event_store DROP FUNCTION es_events_before_insert()', 'ALTER FUNCTION es_events_before_insert() RENAME TO gone');
-- Our trigger is off: the functions do not need it, unless a constraint of the
-- user's makes them insert as everybody does.
SELECT pg_temp.damage('ALTER TABLE es_events DISABLE TRIGGER zz_es_events_before_insert');
SELECT pg_temp.damage('ALTER TABLE es_events DISABLE TRIGGER zz_es_events_before_insert', 'ALTER TABLE es_events ADD CONSTRAINT own CHECK (version > 0)');
SELECT pg_temp.damage('ALTER TABLE es_events ENABLE REPLICA TRIGGER zz_es_events_before_insert', 'ALTER TABLE es_events ADD CONSTRAINT own CHECK (version > 0)');
-- Indexes that are gone, or not what they were.
SELECT pg_temp.damage('DROP INDEX es_events_event_id_idx');
SELECT pg_temp.damage('DROP INDEX es_events_event_id_idx', 'CREATE INDEX es_events_event_id_idx ON es_events (stream_id)');
SELECT pg_temp.damage('DROP INDEX es_events_event_id_idx', 'CREATE INDEX es_events_event_id_idx ON es_events (event_id) WHERE version > 1');
SELECT pg_temp.damage('DROP INDEX es_events_event_id_idx', 'CREATE INDEX es_events_event_id_idx ON es_events USING hash (event_id)');
SELECT pg_temp.damage('DROP INDEX es_events_event_id_idx', 'CREATE TABLE regress.other (event_id uuid)', 'CREATE INDEX es_events_event_id_idx ON regress.other (event_id)',
                      'ALTER TABLE regress.other SET SCHEMA public');
SELECT pg_temp.damage('ALTER TABLE es_events DROP CONSTRAINT es_events_pkey');
SELECT pg_temp.damage('ALTER TABLE es_events DROP CONSTRAINT es_events_pkey', 'ALTER TABLE es_events ADD PRIMARY KEY (tx, ordinal)');
SELECT pg_temp.damage('ALTER TABLE es_events DROP CONSTRAINT es_events_pkey', 'ALTER TABLE es_events ADD PRIMARY KEY (stream_id, tenant_id, version)');
SELECT pg_temp.damage('ALTER TABLE es_events DROP CONSTRAINT es_events_tx_ordinal_key');
SELECT pg_temp.damage('ALTER TABLE es_events DROP CONSTRAINT es_events_tx_ordinal_key', 'CREATE INDEX es_events_tx_ordinal_key ON es_events (tx)');
-- What is there again is found again.
SELECT es_append('bad-1', 'T', '2', expected_version => 1);
BEGIN;
ALTER EXTENSION event_store DROP TABLE es_events;
ALTER TABLE es_events RENAME TO gone;
SELECT regress.error_of($$SELECT es_append('bad-1', 'T', '1')$$);
SELECT regress.error_of($$SELECT es_stream_version('bad-1')$$);
SELECT regress.error_of($$INSERT INTO gone (stream_id, event_type, data) VALUES ('bad-1', 'T', '1')$$);
ROLLBACK;
-- SQL objects of another version than the library's.
BEGIN;
UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'event_store';
ALTER TABLE es_events SET (fillfactor = 100);
SELECT regexp_replace(regress.error_of($$SELECT es_append('bad-1', 'T', '1')$$), 'library has version [0-9.]+', 'library has version (this)');
ROLLBACK;
SELECT es_append('bad-1', 'T', '3', expected_version => 2);

--
-- After all that: a transaction that met an error is as it was before it
--
\pset tuples_only off
\pset format aligned
BEGIN;
SELECT es_append('bad-2', 'A', '1');
SAVEPOINT s;
SELECT es_append('bad-2', '', '2');
ROLLBACK TO s;
SELECT es_append('bad-2', 'T', '2', expected_version => 0);
ROLLBACK TO s;
SELECT es_append_batch('bad-2', '{T,T}', '{1}');
ROLLBACK TO s;
SELECT es_append('bad-2', 'B', '2', expected_version => 1);
COMMIT;
SELECT * FROM regress.places('bad-2');
SELECT stream_id, version, data FROM es_events WHERE stream_id LIKE 'bad-%' ORDER BY stream_id, version;
SELECT * FROM es_check();
