\set stream random(1, 10)
SELECT * FROM es_read_stream('large-' || :stream);
