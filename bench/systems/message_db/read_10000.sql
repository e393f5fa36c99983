\set stream random(1, 10)
SELECT * FROM get_stream_messages('large-' || :stream, 0, -1);
