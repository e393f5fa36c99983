\set after random(0, :events - 1000)
SELECT stream, version, event_id, type, data, metadata, created_at, position FROM diy_events WHERE position > :after ORDER BY position LIMIT 1000;
