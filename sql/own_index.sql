-- Indexes of the user's in the place of ours, under our names: what they have more than ours is filled
-- and enforced, though appends know only ours.
\set VERBOSITY terse
SET enable_seqscan = off;
SET enable_bitmapscan = off;

BEGIN;
DROP INDEX es_events_event_id_idx;
CREATE INDEX es_events_event_id_idx ON es_events (event_id) INCLUDE (stream_id, version);
SELECT es_append('own-index-1', 'A', '1', event_id => '0189aaaa-0000-7000-8000-000000000001');
SELECT es_append_batch('own-index-2', array_fill('B'::text, ARRAY[3]), array_fill('1'::jsonb, ARRAY[3]),
                       event_ids => ARRAY['0189aaaa-0000-7000-8000-000000000002', '0189aaaa-0000-7000-8000-000000000003', '0189aaaa-0000-7000-8000-000000000004']::uuid[]);
EXPLAIN (COSTS off) SELECT event_id, stream_id, version FROM es_events
 WHERE event_id BETWEEN '0189aaaa-0000-7000-8000-000000000000' AND '0189aaaa-0000-7000-8000-00000000ffff';
SELECT event_id, stream_id, version FROM es_events
 WHERE event_id BETWEEN '0189aaaa-0000-7000-8000-000000000000' AND '0189aaaa-0000-7000-8000-00000000ffff';
ROLLBACK;

-- In an empty store: this one has ids that are there twice.
BEGIN;
SET LOCAL client_min_messages = warning;
DROP EXTENSION event_store CASCADE;
CREATE EXTENSION event_store;
DROP INDEX es_events_event_id_idx;
CREATE UNIQUE INDEX es_events_event_id_idx ON es_events (event_id);
SELECT es_append('own-index-1', 'A', '1', event_id => '0189aaaa-0000-7000-8000-000000000001');
SELECT es_append('own-index-2', 'A', '1', event_id => '0189aaaa-0000-7000-8000-000000000001');
ROLLBACK;

-- Ours: the same id in two streams.
BEGIN;
SELECT es_append('own-index-1', 'A', '1', event_id => '0189aaaa-0000-7000-8000-000000000001');
SELECT es_append('own-index-2', 'A', '1', event_id => '0189aaaa-0000-7000-8000-000000000001');
ROLLBACK;
