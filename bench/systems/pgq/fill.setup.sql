-- Events for the streams prefix-1 ... prefix-streams: ten of each stream, then the next ten,
-- with a tick after every 1,000, so that a batch is 1,000 events. Straight into the queue's
-- current table: pgq.current_event_table() is documented for this.
CREATE PROCEDURE bench_fill(prefix text, streams bigint, events bigint, type text, data text, metadata text)
LANGUAGE plpgsql AS $$
DECLARE
	done bigint := 0;
	inserted bigint;
	pending bigint := 0;
BEGIN
	WHILE done < events LOOP
		FOR head IN 1..streams BY 100 LOOP
			EXECUTE format('INSERT INTO %s (ev_time, ev_type, ev_data, ev_extra1, ev_extra2)
				SELECT now(), $1, $2, $3 || s, $4 FROM generate_series($5, $6) AS s, generate_series($7, $8)',
				pgq.current_event_table('bench'))
				USING type, data, prefix || '-', metadata, head, least(head + 99, streams), done + 1, least(done + 10, events);
			GET DIAGNOSTICS inserted = ROW_COUNT;
			COMMIT;
			pending := pending + inserted;
			IF pending >= 1000 THEN
				PERFORM pgq.ticker('bench');
				COMMIT;
				pending := 0;
			END IF;
		END LOOP;
		done := done + 10;
	END LOOP;
	PERFORM pgq.ticker('bench');
END $$;
