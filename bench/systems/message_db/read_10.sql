\set stream random(1, :small)
SELECT * FROM get_stream_messages('small-' || :stream, 0, -1);
