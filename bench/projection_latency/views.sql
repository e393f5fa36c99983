-- Five read models of the same events. The first has a row for each stream: what
-- the probe looks for. The second one row, which the observer watches.
SELECT es_create_view('by_stream', $$
  SELECT stream_id, count(*) AS events, es_last(event_type) AS last FROM es_log GROUP BY stream_id $$);
SELECT es_create_view('whole', $$ SELECT count(*) AS events FROM es_log $$);
\if :five
SELECT es_create_view('by_minute', $$
  SELECT date_trunc('minute', recorded_at) AS minute, event_type, count(*) AS events, sum((data->>'total')::numeric) AS total
  FROM es_log GROUP BY 1, 2 $$);
SELECT es_create_view('by_customer', $$
  SELECT data->>'customer' AS customer, count(*) AS orders, sum((data->>'total')::numeric) AS total, max((data->>'total')::numeric) AS largest
  FROM es_log GROUP BY 1 $$);
SELECT es_create_view('by_product', $$
  SELECT line.sku, sum(line.qty) AS sold, sum(line.qty * line.price) AS revenue
  FROM es_log, jsonb_to_recordset(data->'lines') AS line(sku text, qty integer, price numeric) GROUP BY 1 $$);
\endif

CREATE OR REPLACE FUNCTION bench_seen(stream text) RETURNS boolean STABLE
  RETURN EXISTS (SELECT FROM by_stream b WHERE b.stream_id = stream);

CREATE OR REPLACE FUNCTION bench_head() RETURNS bigint STABLE
  RETURN (SELECT w.events FROM whole w);
