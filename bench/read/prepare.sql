-- 10 streams of 10,000 events, interleaved.
-- psql variables: data, metadata.
INSERT INTO es_events (stream_id, event_type, data, metadata)
SELECT 'large-' || s, 'OrderPlaced', :'data'::jsonb, :'metadata'::jsonb
FROM generate_series(1, 10000) AS v, generate_series(1, 10) AS s
ORDER BY v, s;

VACUUM ANALYZE es_events;
