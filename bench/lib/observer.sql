-- When each position comes, as a session sees it that does nothing but look.
--
-- The procedure looks at bench_head() (lib/probe.sql), each time with a new snapshot,
-- until there are so many positions more, and returns when it has seen each of them
-- (seconds since 1970). It needs a CPU. The appender is another process, which waits for its next
-- turn meanwhile, as a client does: the CPU on which it has woken the sequencer is free.
CREATE PROCEDURE bench_observe(count integer, INOUT seen float8[] DEFAULT '{}')
LANGUAGE plpgsql AS $$
DECLARE
  first bigint := bench_head();
  head  bigint := first;
  now_at bigint;
BEGIN
  WHILE head < first + count LOOP
    COMMIT;
    now_at := bench_head();
    WHILE head < now_at LOOP
      head := head + 1;
      seen[head - first] := extract(epoch FROM clock_timestamp());
    END LOOP;
  END LOOP;
END $$;
