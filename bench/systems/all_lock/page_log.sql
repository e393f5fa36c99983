\set after random(0, :events - 1000)
SELECT e.stream_version AS position, v.event_type, v.data, v.metadata, v.event_id FROM stream_events AS e JOIN events AS v USING (event_id) WHERE e.stream_id = 0 AND e.stream_version > :after ORDER BY e.stream_version LIMIT 1000;
