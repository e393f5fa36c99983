-- Reads the stream, decides, appends; again from the beginning when somebody else was faster.
CREATE FUNCTION command_evolve(state jsonb, type text, data jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN jsonb_build_object('orders', (state->>'orders')::int + 1,
                            'total', (state->>'total')::numeric + (data->>'total')::numeric);
END $$;
CREATE AGGREGATE command_fold(text, jsonb) (SFUNC = command_evolve, STYPE = jsonb, INITCOND = '{"orders": 0, "total": 0}');
CREATE FUNCTION diy_command(p_stream text, p_command jsonb, p_metadata jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  head  bigint;
  state jsonb;
BEGIN
  LOOP
    SELECT coalesce(max(version), 0), command_fold(type, data) INTO head, state
    FROM (SELECT version, type, data FROM diy_events WHERE stream = p_stream ORDER BY version) AS e;
    IF (state->>'total')::numeric + (p_command->>'total')::numeric > 1000000000 THEN
      RAISE EXCEPTION 'the customer owes too much' USING ERRCODE = 'OR001';
    END IF;
    BEGIN
      INSERT INTO diy_events (stream, version, type, data, metadata)
      VALUES (p_stream, head + 1, 'OrderPlaced', p_command, p_metadata);
      RETURN head + 1;
    EXCEPTION WHEN unique_violation THEN
      -- Another client appended to this stream: look again.
    END;
  END LOOP;
END $$;
