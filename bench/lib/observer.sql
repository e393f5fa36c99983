-- When each position comes, as a session sees it that does nothing but look.
--
-- The procedure looks at es_head_position(), each time with a new snapshot, until the
-- log has got so many positions more, and returns when it has seen each of them (seconds
-- since 1970). It needs a CPU. The appender is another process, which waits for its next
-- turn meanwhile, as a client does: the CPU on which it has woken the sequencer is free.
CREATE PROCEDURE bench_observe(count integer, INOUT seen float8[] DEFAULT '{}')
LANGUAGE plpgsql AS $$
DECLARE
  first bigint := es_head_position();
  head  bigint := first;
  now_at bigint;
BEGIN
  WHILE head < first + count LOOP
    COMMIT;
    now_at := es_head_position();
    WHILE head < now_at LOOP
      head := head + 1;
      seen[head - first] := extract(epoch FROM clock_timestamp());
    END LOOP;
  END LOOP;
END $$;
