\set stream random(1, 10)
SELECT stream, version, event_id, type, data, metadata, created_at, position FROM diy_events WHERE stream = 'large-' || :stream ORDER BY version;
