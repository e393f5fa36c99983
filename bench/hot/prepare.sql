-- What an application does without the extension: look, insert, and look again
-- when somebody else was faster.
CREATE FUNCTION bare_append(p_stream text, p_type text, p_data jsonb, p_metadata jsonb) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	LOOP
		BEGIN
			INSERT INTO bare_events (stream_id, version, event_type, data, metadata)
			SELECT p_stream, coalesce(max(version), 0) + 1, p_type, p_data, p_metadata
			FROM bare_events
			WHERE tenant_id = '' AND stream_id = p_stream
			RETURNING version INTO result;
			RETURN result;
		EXCEPTION WHEN unique_violation THEN
			-- Another client appended this version: look again.
		END;
	END LOOP;
END
$$;
