-- The read model by hand, from the DIY table.
CREATE VIEW bench_truth AS
  SELECT stream, count(*) AS events, sum((data->>'total')::numeric) AS total FROM diy_events GROUP BY stream;
CREATE FUNCTION bench_count() RETURNS bigint STABLE RETURN (SELECT count(*) FROM diy_events);
