-- Events for the streams prefix-1 ... prefix-streams by emt_append_to_stream, 1,000 in a transaction:
-- ten of each stream, then the next ten; of the streams that are read as a whole one by one, so
-- that they lie in the table as they do in the other systems. Bulk loads take whole streams.
CREATE PROCEDURE bench_fill(prefix text, streams bigint, events bigint, type text, data jsonb, metadata jsonb)
LANGUAGE plpgsql AS $$
DECLARE
	chunk bigint := CASE
		WHEN prefix IN ('small', 'large') THEN 1
		WHEN prefix LIKE 'bulk%' THEN events
		ELSE least(10, events)
	END;
	calls bigint := streams * (events / chunk);
	metadatas jsonb[] := array_fill(metadata, ARRAY[chunk::integer]);
	datas jsonb[] := array_fill(data, ARRAY[chunk::integer]);
	types text[] := array_fill(type, ARRAY[chunk::integer]);
	kinds text[] := array_fill('E'::text, ARRAY[chunk::integer]);
	versions text[] := array_fill('1'::text, ARRAY[chunk::integer]);
BEGIN
	ASSERT events % chunk = 0;
	FOR done IN 0 .. calls - 1 BY 1000 / chunk LOOP
		IF NOT (SELECT bool_and(appended.success)
				FROM generate_series(done, least(done + 1000 / chunk, calls) - 1) AS i,
					LATERAL (SELECT array_agg(gen_random_uuid()::text) AS ids FROM generate_series(i, i + chunk - 1)) AS messages,
					emt_append_to_stream(ids, datas, metadatas, versions, types, kinds,
						prefix || '-' || (i % streams + 1), prefix, (i / streams) * chunk, 'emt:default') AS appended) THEN
			RAISE EXCEPTION 'an event of % was not appended', prefix;
		END IF;
		COMMIT;
	END LOOP;
END $$;
