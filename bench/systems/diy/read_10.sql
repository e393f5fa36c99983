\set stream random(1, :small)
SELECT stream, version, type, data, metadata, event_id FROM diy_events WHERE stream = 'small-' || :stream ORDER BY version;
