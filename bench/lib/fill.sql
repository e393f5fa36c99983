-- 10,000 streams of 10 events, each version of all streams before the next, so
-- that the events of a stream lie apart, as in a store that has lived.
-- psql variables: data, metadata.
INSERT INTO es_events (stream_id, event_type, data, metadata)
SELECT 'order-' || s, 'OrderPlaced', :'data'::jsonb, :'metadata'::jsonb
FROM generate_series(1, 10) AS v, generate_series(1, 10000) AS s
ORDER BY v, s;

INSERT INTO bare_events (stream_id, version, event_type, data, metadata)
SELECT 'order-' || s, v, 'OrderPlaced', :'data'::jsonb, :'metadata'::jsonb
FROM generate_series(1, 10) AS v, generate_series(1, 10000) AS s
ORDER BY v, s;

VACUUM ANALYZE es_events, bare_events;
