-- A consumer as message-db's users write them: get_category_messages from the position after the
-- last one, 1,000 messages at a time (its default), a handler for each message, and the position
-- stored with what the batch has changed. Theirs run outside the server; this one has no round trips.
CREATE TABLE public.order_totals (stream text PRIMARY KEY, events bigint NOT NULL, total numeric NOT NULL);
CREATE TABLE public.order_totals_position (global_position bigint NOT NULL);
INSERT INTO order_totals_position VALUES (0);
CREATE TABLE public.bench_model_stop (at timestamptz);

-- until_end: it ends when there is nothing more.
CREATE PROCEDURE public.bench_consumer(until_end boolean) LANGUAGE plpgsql AS $$
DECLARE
  message record;
  after   bigint := (SELECT global_position FROM order_totals_position);
  next    bigint;
BEGIN
  LOOP
    next := after;
    FOR message IN SELECT * FROM get_category_messages('order', after + 1, 1000) LOOP
      INSERT INTO order_totals AS t (stream, events, total)
      VALUES (message.stream_name, 1, (message.data::jsonb->>'total')::numeric)
      ON CONFLICT (stream) DO UPDATE SET events = t.events + 1, total = t.total + excluded.total;
      next := message.global_position;
    END LOOP;
    IF next > after THEN
      after := next;
      UPDATE order_totals_position SET global_position = after;
      COMMIT;
      CONTINUE;
    END IF;
    EXIT WHEN until_end;
    PERFORM pg_sleep(0.001);
    COMMIT;
    EXIT WHEN EXISTS (SELECT FROM bench_model_stop);
  END LOOP;
END $$;

CREATE VIEW public.bench_model AS SELECT stream, events, total FROM order_totals;
CREATE VIEW public.bench_truth AS
  SELECT stream_name::text AS stream, count(*) AS events, sum((data->>'total')::numeric) AS total
  FROM messages WHERE category(stream_name) = 'order' GROUP BY stream_name;
CREATE FUNCTION public.bench_count() RETURNS bigint STABLE RETURN (SELECT count(*) FROM messages);
