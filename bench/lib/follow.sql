-- What consumers and watchers are made of. They look again and again, each time with a
-- new snapshot, and sleep for nap milliseconds where there was nothing: looking without a
-- break would take a CPU from those who are measured.
CREATE TABLE bench_follow_stop (at timestamptz);

-- A consumer of the log from a place on ('': its beginning): bench_consume(after, n) gets it the next n events behind a
-- place and says how many they were and where to go on. It notes when it got each event
-- (seconds since 1970).
--
-- It ends when it has count events; or, once bench_follow_stop has a row, when
-- nothing has come for patience seconds: the rest never will.
--
-- how = 'listen': it sleeps in bench_wait(after), if the system can wake its consumers.
CREATE PROCEDURE bench_follow(
  after text, count bigint, nap integer, how text, patience integer, INOUT seen float8[] DEFAULT '{}'
) LANGUAGE plpgsql AS $$
DECLARE
  got   bigint;
  n     bigint := 0;
  now   float8;
  last  float8 := extract(epoch FROM clock_timestamp());
BEGIN
  WHILE n < count LOOP
    COMMIT;
    SELECT n_events, new_after INTO got, after FROM bench_consume(after, 1000);
    now := extract(epoch FROM clock_timestamp());
    IF got > 0 THEN
      FOR i IN 1 .. got LOOP
        n := n + 1;
        seen[n] := now;
      END LOOP;
      last := now;
    ELSIF now > last + patience AND EXISTS (SELECT FROM bench_follow_stop) THEN
      EXIT;
    ELSIF how = 'listen' THEN
      PERFORM bench_wait(after);
    ELSE
      PERFORM pg_sleep(nap / 1000.0);
    END IF;
  END LOOP;
END $$;

-- A watcher of bench_head(), a number that each event makes greater by one: notes when
-- it sees each of the numbers first + 1 to first + count.
CREATE PROCEDURE bench_watch(first bigint, count integer, nap integer, INOUT seen float8[] DEFAULT '{}')
LANGUAGE plpgsql AS $$
DECLARE
  head   bigint := first;
  now_at bigint;
  last   timestamptz := clock_timestamp();
BEGIN
  WHILE head < first + count LOOP
    COMMIT;
    now_at := bench_head();
    IF now_at > head THEN
      last := clock_timestamp();
      WHILE head < now_at LOOP
        head := head + 1;
        seen[head - first] := extract(epoch FROM last);
      END LOOP;
    ELSIF clock_timestamp() > last + interval '5 min' THEN
      RAISE 'nothing seen for 5 minutes';
    ELSE
      PERFORM pg_sleep(nap / 1000.0);
    END IF;
  END LOOP;
END $$;

-- Waits until a read model has as many events as there are: how many it lacks after
-- nothing has come for patience seconds, and after how many seconds the last one came. It
-- asks more and more seldom: an answer takes a millisecond or two of a CPU.
CREATE PROCEDURE bench_caught_up(patience integer, INOUT lost bigint DEFAULT 0, INOUT seconds float8 DEFAULT 0)
LANGUAGE plpgsql AS $$
DECLARE
  wanted bigint := bench_count();
  began  timestamptz := clock_timestamp();
  shown  bigint;
  before bigint := -1;
  past   float8;
BEGIN
  LOOP
    COMMIT;
    shown := coalesce((SELECT sum(events) FROM bench_model), 0);
    past := extract(epoch FROM clock_timestamp() - began);
    IF shown <> before THEN
      before := shown;
      seconds := past;
    END IF;
    EXIT WHEN shown >= wanted OR past > seconds + patience;
    PERFORM pg_sleep(greatest(0.005, least(0.5, past / 50)));
  END LOOP;
  lost := wanted - shown;
END $$;
