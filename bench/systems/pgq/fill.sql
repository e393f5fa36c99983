-- Events for the streams prefix-1 ... prefix-streams, all streams' first ones before their second
-- ones, with a tick after every 1,000, so that a batch is 1,000 events. Straight into the queue's
-- current table: pgq.current_event_table() is documented for this.
CREATE PROCEDURE bench_fill(prefix text, streams bigint, events bigint, type text, data text, metadata text)
LANGUAGE plpgsql AS $$
BEGIN
	FOR done IN 0 .. streams * events - 1 BY 1000 LOOP
		EXECUTE format('INSERT INTO %s (ev_time, ev_type, ev_data, ev_extra1, ev_extra2)
			SELECT now(), $1, $2, $3 || (i %% $4 + 1), $5 FROM generate_series($6, $7) AS i',
			pgq.current_event_table('bench'))
			USING type, data, prefix || '-', streams, metadata, done, least(done + 1000, streams * events) - 1;
		COMMIT;
		PERFORM pgq.ticker('bench');
		COMMIT;
	END LOOP;
END $$;
