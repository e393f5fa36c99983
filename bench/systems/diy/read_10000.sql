\set stream random(1, 10)
SELECT stream, version, type, data, metadata, event_id FROM diy_events WHERE stream = 'large-' || :stream ORDER BY version;
