-- An order is placed unless the customer owes too much. Apart from fold_10000.setup.sql: its
-- streams are of another category.
CREATE FUNCTION command_evolve(state jsonb, e es_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN jsonb_build_object('orders', (state->>'orders')::int + 1,
                            'total', (state->>'total')::numeric + (e.data->>'total')::numeric);
END $$;
CREATE FUNCTION command_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF (state->>'total')::numeric + (command->>'total')::numeric > 1000000000 THEN
    RAISE EXCEPTION 'the customer owes too much' USING ERRCODE = 'OR001';
  END IF;
  RETURN jsonb_build_object('type', 'OrderPlaced', 'data', command);
END $$;
SELECT es_create_aggregate('order', 'order', 'command_evolve', '{"orders": 0, "total": 0}', decide => 'command_decide');
