\set n :n + 1
\set version ((:slice * 1000000 + :n) * 100 + :client_id) * 100 + 1000000
\set stream random(1, :streams)
INSERT INTO bare_events (stream_id, version, event_type, data, metadata) VALUES ('order-' || :stream, :version, :type, :data, :metadata);
