-- es_check: finds each kind of damage.  The damage is made by copies of events
-- that never were so, and is rolled back each time.
\set SHOW_CONTEXT never

-- Nothing is wrong with what was appended.
SELECT es_append_batch('check-1', '{A,B,C}', '{1,2,3}'), es_append('check-2', 'A', '1'), es_save_snapshot('check-1', 2, '{}');
SELECT * FROM es_check();

-- Copied events get the tx 4000000, which the sequence has passed.
SELECT last_value AS tx_seq FROM es_tx_seq \gset
SELECT setval('es_tx_seq', 5000000);
CREATE FUNCTION pg_temp.copied(stream_id text, version bigint, tx bigint, ordinal int, id int DEFAULT NULL, at timestamptz DEFAULT '2020-01-01 00:00:00+00', tenant_id text DEFAULT '')
RETURNS void LANGUAGE sql AS $$
  INSERT INTO es_events VALUES (tenant_id, stream_id, version,
    ('99999999-0000-4000-8000-' || lpad(coalesce(id, ordinal)::text, 12, '0'))::uuid, 'T', 1, '1', '{}', at, tx, ordinal)
$$;

-- A hole in a stream; a beginning that is missing; both.
BEGIN;
SELECT pg_temp.copied('check-3', v, 4000000, o) FROM (VALUES (1, 0), (2, 1), (4, 2)) r(v, o);
SELECT * FROM es_check();
ROLLBACK;
BEGIN;
SELECT pg_temp.copied('check-3', v, 4000000, o) FROM (VALUES (2, 0), (3, 1)) r(v, o);
SELECT * FROM es_check();
ROLLBACK;
BEGIN;
SELECT pg_temp.copied('check-3', v, 4000000, o) FROM (VALUES (3, 0), (7, 1)) r(v, o);
SELECT pg_temp.copied('check-3', 2, 4000000, 2, tenant_id => 'acme');
SELECT * FROM es_check() ORDER BY tenant_id, stream_id;
ROLLBACK;

-- One id twice in a stream; in two streams is no damage.
BEGIN;
SELECT pg_temp.copied(s, v, 4000000, o, 7) FROM (VALUES ('check-3', 1, 0), ('check-3', 2, 1), ('check-4', 1, 2)) r(s, v, o);
SELECT * FROM es_check();
ROLLBACK;

-- A time that goes back.
BEGIN;
SELECT pg_temp.copied('check-3', v, 4000000, o, at => t) FROM (VALUES (1, 0, timestamptz '2020-01-02'), (2, 1, '2020-01-01'), (3, 2, '2020-01-01')) r(v, o, t);
SELECT * FROM es_check();
ROLLBACK;

-- Ordinals: a hole, and the first missing.
BEGIN;
SELECT pg_temp.copied('check-3', v, 4000000, o) FROM (VALUES (1, 0), (2, 2)) r(v, o);
SELECT * FROM es_check();
ROLLBACK;
BEGIN;
SELECT pg_temp.copied('check-3', v, 4000000, o) FROM (VALUES (1, 1), (2, 2)) r(v, o);
SELECT * FROM es_check();
ROLLBACK;

-- The sequence behind the events.
BEGIN;
SELECT pg_temp.copied('check-3', 1, 4000000, 0);
SELECT * FROM es_check();
SELECT setval('es_tx_seq', 3999999);
SELECT * FROM es_check();
SELECT setval('es_tx_seq', 4000000, false);
SELECT * FROM es_check();
SELECT setval('es_tx_seq', 4000000);
SELECT * FROM es_check();
ROLLBACK;
SELECT setval('es_tx_seq', 5000000);

-- A snapshot beyond its stream, and one of no stream.
BEGIN;
INSERT INTO es_snapshots VALUES ('', 'check-2', 2, '', '{}', now()), ('', 'check-5', 1, 'fold', '{}', now()), ('', 'check-1', 3, '', '{}', now());
SELECT * FROM es_check() ORDER BY stream_id;
ROLLBACK;

-- Triggers that are gone, off, or off while replicating.
BEGIN;
ALTER TABLE es_events DISABLE TRIGGER es_events_immutable;
SELECT * FROM es_check();
ALTER TABLE es_events ENABLE TRIGGER es_events_immutable;
SELECT * FROM es_check();
ALTER TABLE es_events ENABLE REPLICA TRIGGER es_events_immutable;
SELECT * FROM es_check();
ALTER TABLE es_events ENABLE ALWAYS TRIGGER es_events_immutable;
SELECT * FROM es_check();
DROP TRIGGER es_events_immutable_row ON es_events;
ALTER TABLE es_events DISABLE TRIGGER ALL;
SELECT problem FROM es_check() ORDER BY problem COLLATE "C";
ROLLBACK;

-- Everything at once.
BEGIN;
SELECT pg_temp.copied('check-3', v, 4000000, o, 7, t) FROM (VALUES (1, 3, timestamptz '2020-01-02'), (3, 1, '2020-01-01')) r(v, o, t);
INSERT INTO es_snapshots VALUES ('', 'check-3', 4, '', '{}', now());
SELECT setval('es_tx_seq', 1);
SELECT * FROM es_check() WHERE stream_id = 'check-3' OR stream_id IS NULL ORDER BY problem COLLATE "C";
ROLLBACK;
SELECT setval('es_tx_seq', :tx_seq) = :tx_seq AS as_before;

SELECT * FROM es_check();
