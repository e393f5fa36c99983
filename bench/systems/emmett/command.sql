-- \x3a is a colon: pgbench would take it for a variable, in strings too.
-- What its command handler sends: read the stream, decide, append at the version read; the client's own
-- work is not in it. No two clients share a stream, so that nobody has to try again. \aset keeps the last row.
\set stream random(0, :streams / 16 - 1) * 16 + :client_id + 1
SELECT stream_id, stream_position, global_position, message_data, message_metadata, message_schema_version, message_type, message_id
	FROM emt_messages
	WHERE stream_id = 'order-' || :stream AND partition = E'emt\x3adefault' AND is_archived = FALSE
	ORDER BY stream_position ASC \aset
SELECT success FROM emt_append_to_stream(ARRAY[gen_random_uuid()::text], ARRAY[:data::jsonb], ARRAY[:metadata::jsonb],
	'{1}', ARRAY[:type::text], '{E}', 'order-' || :stream, 'order', :stream_position, E'emt\x3adefault');
