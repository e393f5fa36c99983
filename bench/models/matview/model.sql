-- PostgreSQL's own: the whole query again, each time.
CREATE MATERIALIZED VIEW order_totals AS
  SELECT stream, count(*) AS events, sum((data->>'total')::numeric) AS total FROM diy_events GROUP BY stream;
CREATE UNIQUE INDEX ON order_totals (stream);

CREATE VIEW bench_model AS SELECT stream, events, total FROM order_totals;
\ir ../truth.diy.sql

-- One refresh after the other, until bench_model_stop has a row.
CREATE TABLE bench_model_stop (at timestamptz);
CREATE PROCEDURE bench_refresh() LANGUAGE plpgsql AS $$
BEGIN
  LOOP
    REFRESH MATERIALIZED VIEW CONCURRENTLY order_totals;
    COMMIT;
    EXIT WHEN EXISTS (SELECT FROM bench_model_stop);
  END LOOP;
END $$;
