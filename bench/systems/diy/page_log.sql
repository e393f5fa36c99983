\set after random(0, :events - 1000)
SELECT position, stream, version, type, data, metadata, event_id FROM diy_events WHERE position > :after ORDER BY position LIMIT 1000;
