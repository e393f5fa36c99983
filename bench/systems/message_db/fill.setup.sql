-- Events for the streams prefix-1 ... prefix-streams: ten of each stream, then the
-- next ten, by write_message, 1,000 in a transaction. Positions begin at 0.
CREATE PROCEDURE public.bench_fill(prefix text, streams bigint, events bigint, type text, data jsonb, metadata jsonb)
LANGUAGE plpgsql AS $$
DECLARE
	done bigint := 0;
BEGIN
	WHILE done < events LOOP
		FOR head IN 1..streams BY 100 LOOP
			PERFORM write_message(gen_random_uuid()::varchar, prefix || '-' || s, type, data, metadata)
				FROM generate_series(head, least(head + 99, streams)) AS s, generate_series(done + 1, least(done + 10, events));
			COMMIT;
		END LOOP;
		done := done + 10;
	END LOOP;
END $$;
