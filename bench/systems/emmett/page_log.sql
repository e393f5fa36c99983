-- \x3a is a colon: pgbench would take it for a variable, in strings too.
-- What its consumers send for a batch. There is no index for it.
\set after random(0, :events - 1000)
SELECT stream_id, stream_position, global_position, message_data, message_metadata, message_schema_version, message_type, message_id
	FROM emt_messages
	WHERE partition = E'emt\x3adefault' AND is_archived = FALSE AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
		AND global_position >= :after + 1
	ORDER BY transaction_id, global_position
	LIMIT 1000;
