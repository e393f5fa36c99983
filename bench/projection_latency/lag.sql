-- Samples, one each 100 ms, of the longest lag of a projection: in events that have
-- positions. Until bench_probe_stop has a row.
CREATE PROCEDURE bench_lag(INOUT lags bigint[] DEFAULT '{}') LANGUAGE plpgsql AS $$
BEGIN
  LOOP
    PERFORM pg_sleep(0.1);
    COMMIT;
    EXIT WHEN EXISTS (SELECT FROM bench_probe_stop);
    lags := lags || (SELECT max(lag_events) FROM es_projections);
  END LOOP;
END $$;
