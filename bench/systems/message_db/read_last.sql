\set stream random(1, :streams)
SELECT * FROM get_last_stream_message('order-' || :stream);
