-- The next batch of the consumer "bench", whatever its size: PgQ keeps the consumer's place itself
-- and a batch is what lies between two ticks, so that after and n have no influence. Where no batch
-- is there, the ticker is called: pgqd would do it once a second (ticker_period), a consumer that
-- asks more often would find nothing new.
CREATE FUNCTION bench_consume(after text, n integer) RETURNS TABLE (n_events bigint, new_after text)
LANGUAGE plpgsql AS $$
DECLARE
	batch bigint := pgq.next_batch('bench', 'bench');
	event record;
BEGIN
	n_events := 0;
	IF batch IS NULL THEN
		PERFORM pgq.ticker('bench');
		batch := pgq.next_batch('bench', 'bench');
	END IF;
	new_after := after;
	IF batch IS NOT NULL THEN
		FOR event IN SELECT * FROM pgq.get_batch_events(batch) LOOP
			n_events := n_events + 1;
			new_after := event.ev_id;
		END LOOP;
		PERFORM pgq.finish_batch(batch);
	END IF;
	RETURN NEXT;
END $$;
