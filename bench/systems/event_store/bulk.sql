-- Events for the streams prefix-1 ... prefix-streams by es_append_batch, a call for each stream, 1,000 events in a transaction.
CREATE OR REPLACE PROCEDURE bench_bulk(prefix text, streams bigint, events bigint, type text, data jsonb, metadata jsonb)
LANGUAGE plpgsql AS $$
DECLARE
	types text[] := array_fill(type, ARRAY[events::integer]);
	datas jsonb[] := array_fill(data, ARRAY[events::integer]);
	metadatas jsonb[] := array_fill(metadata, ARRAY[events::integer]);
BEGIN
	FOR done IN 0 .. streams - 1 BY 1000 / events LOOP
		PERFORM es_append_batch(prefix || '-' || i, types, datas, metadatas)
			FROM generate_series(done + 1, least(done + 1000 / events, streams)) AS i;
		COMMIT;
	END LOOP;
END $$;
CALL bench_bulk(:'prefix', :streams, :events, 'OrderPlaced', :'data', :'metadata');
