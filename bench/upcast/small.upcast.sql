\set stream random(1, 10000)
SELECT * FROM es_read_stream('order-' || :stream);
