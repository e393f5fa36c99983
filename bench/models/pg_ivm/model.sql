-- An incrementally maintainable materialized view of the DIY table: triggers of pg_ivm keep it.
SET client_min_messages = warning;
CREATE EXTENSION pg_ivm;
SELECT pgivm.create_immv('order_totals', $$
  SELECT stream, count(*) AS events, sum((data->>'total')::numeric) AS total FROM diy_events GROUP BY stream $$);
CREATE VIEW bench_model AS SELECT stream, events, total FROM order_totals;
\ir ../truth.diy.sql
