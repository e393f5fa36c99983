\set stream random(1, 10)
SELECT s.stream_uuid, e.stream_version, v.event_type, v.data, v.metadata, v.event_id FROM streams AS s JOIN stream_events AS e USING (stream_id) JOIN events AS v USING (event_id) WHERE s.stream_uuid = 'large-' || :stream ORDER BY e.stream_version;
