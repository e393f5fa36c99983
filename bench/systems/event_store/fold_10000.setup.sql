-- The state of the large streams: the newest customer, the number of orders and their sum.
CREATE FUNCTION order_evolve(state jsonb, e es_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  CASE e.event_type
    WHEN 'OrderPlaced' THEN
      RETURN jsonb_build_object('customer', e.data->'customer', 'orders', coalesce((state->>'orders')::int, 0) + 1,
                                'total', coalesce((state->>'total')::numeric, 0) + (e.data->>'total')::numeric);
    WHEN 'OrderCancelled' THEN RETURN state || '{"cancelled": true}';
    ELSE RETURN state;
  END CASE;
END $$;
SELECT es_create_aggregate('large', 'large', 'order_evolve', snapshot_every => NULL);
