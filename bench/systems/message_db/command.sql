-- What its clients do: read the stream, decide, write at the version read. No two clients share a
-- stream, so that nobody has to try again. \aset keeps the last row.
\set stream random(0, :streams / 16 - 1) * 16 + :client_id + 1
SELECT position AS version, data AS seen FROM get_stream_messages('order-' || :stream, 0, -1) \aset
SELECT write_message(gen_random_uuid()::varchar, 'order-' || :stream, :type, :data, :metadata, :version);
