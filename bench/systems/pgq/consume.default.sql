-- The settings of a new queue, a consumer that waits for others to make ticks, and who
-- makes them.
SELECT pgq.set_queue_config('bench', 'ticker_max_count', '500'),
       pgq.set_queue_config('bench', 'ticker_max_lag', '3 seconds'),
       pgq.set_queue_config('bench', 'ticker_idle_period', '1 minute');

CREATE OR REPLACE FUNCTION bench_consume(after text, n integer) RETURNS TABLE (n_events bigint, new_after text)
LANGUAGE plpgsql AS $$
DECLARE
  batch bigint := pgq.next_batch('bench', 'bench');
  event record;
BEGIN
  n_events := 0;
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

CREATE PROCEDURE bench_ticker() LANGUAGE plpgsql AS $$
BEGIN
  LOOP
    PERFORM pgq.ticker();
    COMMIT;
    PERFORM pg_sleep(1);
    COMMIT;
  END LOOP;
END $$;
