\set stream random(1, :small)
SELECT * FROM es_read_stream('small-' || :stream);
