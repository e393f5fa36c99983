\set n :n + 1
\set version ((:slice * 1000000 + :n) * 100 + :client_id) * 100 + 1000000
\set stream random(1, :streams)
INSERT INTO bare_events (stream_id, version, event_type, data, metadata, tx, ordinal) SELECT 'order-' || :stream, :version + e.n, e.type, e.data, e.metadata, t.tx, e.n - 1 FROM (SELECT nextval('bare_tx_seq') AS tx) AS t, unnest(:types10::text[], :datas10::jsonb[], :metadatas10::jsonb[]) WITH ORDINALITY AS e (type, data, metadata, n);
