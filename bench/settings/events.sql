-- A large transaction of events.
-- psql variables: rows, data, metadata.
INSERT INTO es_events (stream_id, event_type, data, metadata)
SELECT 'import-' || i % 100, 'OrderPlaced', :'data'::jsonb, :'metadata'::jsonb FROM generate_series(1, :rows) AS i;
