\set n :n + 1
\set version ((:slice * 10000000 + :n) * 100 + :client_id) * 100
\set stream random(1, 10000)
SELECT es_append_batch('order-' || :stream, b.types, b.datas, b.metadatas) FROM batch_arrays AS b;
