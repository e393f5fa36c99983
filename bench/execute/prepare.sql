-- An aggregate with a trivial decide, and every client's streams with some past.
CREATE FUNCTION account_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object('balance', (state->>'balance')::numeric + (event.data->>'amount')::numeric);
CREATE FUNCTION account_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF (state->>'balance')::numeric + (command->>'amount')::numeric < 0 THEN
		RAISE EXCEPTION 'not enough money' USING ERRCODE = 'AC001';
	END IF;
	RETURN jsonb_build_object('type', 'MoneyMoved', 'data', jsonb_build_object('amount', command->'amount'));
END $$;
SELECT es_create_aggregate('account', 'account', 'account_evolve', '{"balance": 0}', decide => 'account_decide');
