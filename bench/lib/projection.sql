-- A log of :events events, as 100 at a time are inserted, over :streams streams: all of
-- them in turn, each time in the same jumbled order.
CREATE PROCEDURE bench_log(events bigint, streams bigint, data text, metadata text) LANGUAGE plpgsql AS $$
BEGIN
  FOR n IN 0 .. events - 1 BY 100 LOOP
    INSERT INTO es_events (stream_id, event_type, data, metadata)
    SELECT 'account-' || i * 7919 % streams,
           CASE WHEN (i * 31 / 7) % 3 = 0 THEN 'MoneyWithdrawn' ELSE 'MoneyDeposited' END,
           bench_log.data::jsonb || jsonb_build_object('amount', i % 1000), bench_log.metadata::jsonb
    FROM generate_series(n, least(n + 99, events - 1)) AS i;
    COMMIT;
  END LOOP;
END $$;
