\set n :n + 1
\set stream (:slice * 100 + :client_id) * 1000 + :n % 1000
\set version :n / 1000 + 1
INSERT INTO bare_events (stream_id, version, event_type, data, metadata) VALUES ('exact-' || :stream, :version, :type, :data, :metadata);
