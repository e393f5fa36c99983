-- The next n events behind an identity: what people write, and what skips events that are
-- committed after others with higher numbers.
CREATE FUNCTION bench_consume(after text, n integer) RETURNS TABLE (n_events bigint, new_after text)
LANGUAGE plpgsql AS $$
DECLARE
  event record;
BEGIN
  n_events := 0;
  new_after := after;
  FOR event IN
    SELECT stream, version, event_id, type, data, metadata, created_at, position
    FROM diy_events WHERE position > coalesce(nullif(after, ''), '0')::bigint ORDER BY position LIMIT n
  LOOP
    n_events := n_events + 1;
    new_after := event.position;
  END LOOP;
  RETURN NEXT;
END $$;

-- Behind the last one.
CREATE FUNCTION bench_consume_end() RETURNS text RETURN (SELECT max(position)::text FROM diy_events);
