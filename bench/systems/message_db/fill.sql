-- Events for the streams prefix-1 ... prefix-streams, all streams' first ones before their
-- second ones, by write_message, 1,000 in a transaction.
CREATE PROCEDURE public.bench_fill(prefix text, streams bigint, events bigint, type text, data jsonb, metadata jsonb)
LANGUAGE plpgsql AS $$
BEGIN
	FOR done IN 0 .. streams * events - 1 BY 1000 LOOP
		PERFORM write_message(gen_random_uuid()::varchar, prefix || '-' || (i % streams + 1), type, data, metadata)
			FROM generate_series(done, least(done + 1000, streams * events) - 1) AS i;
		COMMIT;
	END LOOP;
END $$;
