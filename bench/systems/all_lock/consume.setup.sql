-- The next n events of the stream "$all".
CREATE FUNCTION bench_consume(after text, n integer) RETURNS TABLE (n_events bigint, new_after text)
LANGUAGE plpgsql AS $$
DECLARE
  event record;
BEGIN
  n_events := 0;
  new_after := after;
  FOR event IN
    SELECT e.stream_version AS position, v.event_id, v.event_type, v.data, v.metadata, v.created_at
    FROM stream_events AS e JOIN events AS v USING (event_id)
    WHERE e.stream_id = 0 AND e.stream_version > coalesce(nullif(after, ''), '0')::bigint
    ORDER BY e.stream_version LIMIT n
  LOOP
    n_events := n_events + 1;
    new_after := event.position;
  END LOOP;
  RETURN NEXT;
END $$;
