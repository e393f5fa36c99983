-- \x3a is a colon: pgbench would take it for a variable, in strings too.
\set stream random(1, :small)
SELECT stream_id, stream_position, global_position, message_data, message_metadata, message_schema_version, message_type, message_id
	FROM emt_messages
	WHERE stream_id = 'small-' || :stream AND partition = E'emt\x3adefault' AND is_archived = FALSE
	ORDER BY stream_position ASC;
