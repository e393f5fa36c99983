\set stream random(1, 1000)
SELECT * FROM get_stream_messages('small-' || :stream, 0, -1);
