-- The next n events of the log behind a position.
CREATE FUNCTION bench_consume(after text, n integer) RETURNS TABLE (n_events bigint, new_after text)
LANGUAGE plpgsql AS $$
DECLARE
  event record;
BEGIN
  n_events := 0;
  new_after := after;
  FOR event IN SELECT * FROM es_read_all(coalesce(nullif(after, ''), '0')::bigint, n) LOOP
    n_events := n_events + 1;
    new_after := event.position;
  END LOOP;
  RETURN NEXT;
END $$;

-- Sleeps until there is something behind it.
CREATE FUNCTION bench_wait(after text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM es_wait_for_position(coalesce(nullif(after, ''), '0')::bigint + 1, '1 s');
END $$;

-- Behind the last one.
CREATE FUNCTION bench_consume_end() RETURNS text RETURN es_head_position()::text;
