-- The state of a stream: a function of the state and an event, as an aggregate.
CREATE FUNCTION order_evolve(state jsonb, type text, data jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  CASE type
    WHEN 'OrderPlaced' THEN
      RETURN jsonb_build_object('customer', data->'customer', 'orders', coalesce((state->>'orders')::int, 0) + 1,
                                'total', coalesce((state->>'total')::numeric, 0) + (data->>'total')::numeric);
    WHEN 'OrderCancelled' THEN RETURN state || '{"cancelled": true}';
    ELSE RETURN state;
  END CASE;
END $$;
CREATE AGGREGATE order_fold(text, jsonb) (SFUNC = order_evolve, STYPE = jsonb);
