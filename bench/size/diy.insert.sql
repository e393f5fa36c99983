\set n :n + 1
\set version (:slice * 10000000 + :n) * 100 + :client_id
\set stream random(1, 10000)
INSERT INTO diy_events (stream, version, type, data, metadata) VALUES ('order-' || :stream, :version, :type, :data, :metadata);
