\set stream random(1, 10000)
\set version random(1, 10)
SELECT * FROM es_load_snapshot('order-' || :stream, :version);
