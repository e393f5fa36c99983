-- Events for the streams prefix-1 ... prefix-streams by INSERT, 1,000 in a statement and a transaction.
CREATE OR REPLACE PROCEDURE bench_bulk(prefix text, streams bigint, events bigint, type text, data jsonb, metadata jsonb)
LANGUAGE plpgsql AS $$
BEGIN
	FOR done IN 0 .. streams - 1 BY 1000 / events LOOP
		INSERT INTO bare_events (stream_id, version, event_type, data, metadata, tx, ordinal)
			SELECT prefix || '-' || i, v, type, data, metadata, txs.tx, ((i - done - 1) * events + v - 1)::integer
			FROM (SELECT nextval('bare_tx_seq') AS tx) AS txs, generate_series(done + 1, least(done + 1000 / events, streams)) AS i, generate_series(1, events) AS v;
		COMMIT;
	END LOOP;
END $$;
CALL bench_bulk(:'prefix', :streams, :events, 'OrderPlaced', :'data', :'metadata');
