-- The table of Emmett's projection, and what it is compared with.
CREATE TABLE order_totals (stream text PRIMARY KEY, events bigint NOT NULL, total numeric NOT NULL);
CREATE VIEW bench_model AS SELECT stream, events, total FROM order_totals;
CREATE VIEW bench_truth AS
  SELECT stream_id AS stream, count(*) AS events, sum((message_data->>'total')::numeric) AS total
  FROM emt_messages GROUP BY stream_id;
CREATE FUNCTION bench_count() RETURNS bigint STABLE RETURN (SELECT count(*) FROM emt_messages);
