\set n :n + 1
\set version (:slice * 10000000 + :n) * 100 + :client_id
\set stream random(1, 10000)
SELECT es_append('order-' || :stream, :type, :data, :metadata);
