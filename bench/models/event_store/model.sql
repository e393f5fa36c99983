-- psql variables: mode.
SELECT es_create_view('order_totals', $$
  SELECT stream_id AS stream, count(*) AS events, sum((data->>'total')::numeric) AS total FROM es_log GROUP BY stream_id
  $$, mode => :'mode');
CREATE VIEW bench_model AS SELECT stream, events, total FROM order_totals;
CREATE VIEW bench_truth AS
  SELECT stream_id AS stream, count(*) AS events, sum((data->>'total')::numeric) AS total FROM es_events GROUP BY stream_id;
CREATE FUNCTION bench_count() RETURNS bigint STABLE RETURN (SELECT count(*) FROM es_events);
