-- The aggregate of the commands: how many orders a stream has and what they cost, and a decide
-- that lets the command's event through.
CREATE FUNCTION order_total_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object('orders', (state->>'orders')::bigint + 1,
	'total', (state->>'total')::numeric + (event.data->>'total')::numeric);

CREATE FUNCTION order_total_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF (state->>'total')::numeric < 0 THEN
		RETURN NULL;
	END IF;
	RETURN command;
END $$;

SELECT es_create_aggregate('order_total', 'order', 'order_total_evolve', '{"orders": 0, "total": 0}', decide => 'order_total_decide') \g /dev/null
