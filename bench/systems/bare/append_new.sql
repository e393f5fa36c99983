\set stream random(100000000000000000, 999999999999999999)
INSERT INTO bare_events (stream_id, version, event_type, data, metadata) VALUES ('order-' || :stream, 1, :type, :data, :metadata);
