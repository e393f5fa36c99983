\set stream random(1, 10)
SELECT order_fold(type, data::jsonb) FROM get_stream_messages('large-' || :stream, 0, -1);
