\set stream random(1, 10000)
SELECT * FROM es_load_snapshot('order-' || :stream);
