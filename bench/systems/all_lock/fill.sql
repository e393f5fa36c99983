-- psql variables: prefix, streams, events, data, metadata.
BEGIN;
INSERT INTO streams (stream_uuid, stream_version)
SELECT :'prefix' || '-' || s, :events FROM generate_series(1, :streams) AS s;
CREATE TEMP TABLE filled ON COMMIT DROP AS
SELECT gen_random_uuid() AS event_id, s AS stream, v AS version, row_number() OVER (ORDER BY v, s) AS n
FROM generate_series(1, :events) AS v, generate_series(1, :streams) AS s;
INSERT INTO events (event_id, event_type, data, metadata)
SELECT event_id, 'OrderPlaced', :'data'::jsonb, :'metadata'::jsonb FROM filled ORDER BY n;
INSERT INTO stream_events (event_id, stream_id, stream_version)
SELECT f.event_id, t.stream_id, f.version FROM filled AS f JOIN streams AS t ON t.stream_uuid = :'prefix' || '-' || f.stream ORDER BY f.n;
INSERT INTO stream_events (event_id, stream_id, stream_version)
SELECT event_id, 0, n + (SELECT stream_version FROM streams WHERE stream_id = 0) FROM filled ORDER BY n;
UPDATE streams SET stream_version = stream_version + :streams::bigint * :events WHERE stream_id = 0;
COMMIT;
