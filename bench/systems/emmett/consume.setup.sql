-- The next n events of a consumer behind a global position, as its consumers read them: what transactions
-- that still run, or were begun after one that still runs, have written is left for later.
CREATE FUNCTION bench_consume(after text, n integer) RETURNS TABLE (n_events bigint, new_after text)
LANGUAGE plpgsql AS $$
DECLARE
	message record;
BEGIN
	n_events := 0;
	new_after := after;
	FOR message IN
		SELECT stream_id, stream_position, global_position, message_data, message_metadata, message_schema_version, message_type, message_id
			FROM emt_messages
			WHERE partition = 'emt:default' AND is_archived = FALSE AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
				AND global_position >= coalesce(nullif(after, ''), '0')::bigint + 1
			ORDER BY transaction_id, global_position
			LIMIT n
	LOOP
		n_events := n_events + 1;
		new_after := message.global_position;
	END LOOP;
	RETURN NEXT;
END $$;
