-- What people write: look for the newest version, insert the next one; where no
-- version was expected, look again when somebody else was faster.
CREATE FUNCTION diy_append(
  p_stream text, p_type text, p_data jsonb, p_metadata jsonb, p_expected bigint DEFAULT NULL
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  head bigint;
BEGIN
  LOOP
    SELECT coalesce(max(version), 0) INTO head FROM diy_events WHERE stream = p_stream;
    IF p_expected IS NOT NULL AND p_expected <> head THEN
      RAISE EXCEPTION 'stream % is at version %, not %', p_stream, head, p_expected;
    END IF;
    BEGIN
      INSERT INTO diy_events (stream, version, type, data, metadata)
      VALUES (p_stream, head + 1, p_type, p_data, p_metadata);
      RETURN head + 1;
    EXCEPTION WHEN unique_violation THEN
      IF p_expected IS NOT NULL THEN
        RAISE;
      END IF;
    END;
  END LOOP;
END $$;

CREATE FUNCTION diy_append_batch(
  p_stream text, p_types text[], p_data jsonb[], p_metadata jsonb[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  head bigint;
BEGIN
  LOOP
    SELECT coalesce(max(version), 0) INTO head FROM diy_events WHERE stream = p_stream;
    BEGIN
      INSERT INTO diy_events (stream, version, type, data, metadata)
      SELECT p_stream, head + e.n, e.type, e.data, e.metadata
      FROM unnest(p_types, p_data, p_metadata) WITH ORDINALITY AS e (type, data, metadata, n);
      RETURN head + cardinality(p_types);
    EXCEPTION WHEN unique_violation THEN
      -- Another client appended to this stream: look again.
    END;
  END LOOP;
END $$;
