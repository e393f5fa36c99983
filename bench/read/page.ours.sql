\set stream random(1, 10)
\set version random(1, 9990)
SELECT * FROM es_read_stream('large-' || :stream, :version, 10);
