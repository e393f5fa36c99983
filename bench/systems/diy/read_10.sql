\set stream random(1, :small)
SELECT stream, version, event_id, type, data, metadata, created_at, position FROM diy_events WHERE stream = 'small-' || :stream ORDER BY version;
