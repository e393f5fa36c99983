-- What bench/instructions.sh calls: streams of 10 and of 1,000 events, an aggregate
-- that decides, and views that have something to do. In three steps: the sequencer
-- works between them.
-- psql variables: step, data, metadata.
SELECT :step = 1 AS first, :step = 2 AS second, :step = 3 AS third \gset

\if :first
CREATE EXTENSION event_store;

CREATE FUNCTION account_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object('balance', (state->>'balance')::numeric + (event.data->>'total')::numeric);
CREATE FUNCTION account_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF (state->>'balance')::numeric < 0 THEN
		RAISE EXCEPTION 'not enough money' USING ERRCODE = 'AC001';
	END IF;
	RETURN jsonb_build_object('type', 'OrderPlaced', 'data', command);
END $$;
SELECT es_create_aggregate('account', 'account', 'account_evolve', '{"balance": 0}', decide => 'account_decide'),
       es_create_aggregate('large', 'large', 'account_evolve', '{"balance": 0}', snapshot_every => NULL);

-- The events of a stream lie apart, as in a store that has lived.
INSERT INTO es_events (stream_id, event_type, data, metadata)
SELECT 'small-' || s, 'OrderPlaced', :'data'::jsonb, :'metadata'::jsonb
FROM generate_series(1, 10) AS v, generate_series(1, 100) AS s ORDER BY v, s;
INSERT INTO es_events (stream_id, event_type, data, metadata)
SELECT 'large-' || s, 'OrderPlaced', :'data'::jsonb, :'metadata'::jsonb
FROM generate_series(1, 1000) AS v, generate_series(1, 2) AS s ORDER BY v, s;

CREATE PROCEDURE append_orders(first integer, last integer, data text, metadata text) LANGUAGE plpgsql AS $$
BEGIN
	FOR v IN first .. last LOOP
		FOR s IN 1 .. 1000 BY 10 LOOP
			INSERT INTO es_events (stream_id, event_type, data, metadata)
			SELECT 'order-' || i, 'OrderPlaced', append_orders.data::jsonb, append_orders.metadata::jsonb
			FROM generate_series(s, s + 9) AS i;
			COMMIT;
		END LOOP;
	END LOOP;
END $$;
\endif

-- Views whose backlog is six and three batches of 1,000 events, one of each of 1,000
-- streams: no worker runs here, and a view that is made at the head has nothing yet.
\set query 'SELECT stream_id, count(*) AS orders, sum((data->>\'total\')::numeric) AS total FROM es_log WHERE stream_id LIKE \'order-%\' GROUP BY stream_id'

\if :second
SELECT es_create_view('six', :'query', after_position => es_head_position());
SELECT es_alter_projection('six', batch_size => 1000);
CALL append_orders(1, 3, :'data', :'metadata');
\endif

\if :third
SELECT es_create_view('three', :'query', after_position => es_head_position());
SELECT es_alter_projection('three', batch_size => 1000);
CALL append_orders(4, 6, :'data', :'metadata');
VACUUM ANALYZE es_events, es_commits;
\endif
