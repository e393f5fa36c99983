-- Time from a commit to its position, or to what else bench_seen() looks for, as one
-- client sees it.
--
-- A session appends one event to a new stream and commits. The clock is read right
-- after the commit has returned: that is when a client's commit returns, less
-- the way to the client. Then the session looks whether bench_seen() knows the event,
-- each time with a new snapshot, until it does, and reads the clock again. It does not
-- wait in es_wait_for_log() or _position(): these wake the sequencer, and would
-- make it faster than it is for others.
--
-- nap = 0: it looks without a break, and has the time to some 0.02 ms; for that it
-- needs a CPU. nap = 1: it sleeps between, and has the time to 2 ms, for where it must
-- not disturb.
--
-- count = 0: it goes on until bench_probe_stop has a row.
--
-- The appends come at times as random as those of independent clients, rate a second
-- on average, if a position takes less than the pause between.
CREATE TABLE bench_probe_stop (at timestamptz);

CREATE FUNCTION bench_seen(stream text) RETURNS boolean STABLE
  RETURN es_position(stream, 1) IS NOT NULL;

-- What lib/observer.sql watches: a number that each event makes greater by one.
CREATE FUNCTION bench_head() RETURNS bigint STABLE
  RETURN es_head_position();

CREATE PROCEDURE bench_probe(
  count integer, rate float8, nap integer, data text, metadata text, INOUT result float8[] DEFAULT '{}'
) LANGUAGE plpgsql AS $$
DECLARE
  stream text;
  began  timestamptz;
  next   timestamptz := clock_timestamp();
  i      integer := 0;
BEGIN
  WHILE i < count OR count = 0 LOOP
    next := next - ln(1 - random()) / rate * interval '1 s';
    PERFORM pg_sleep(greatest(0, extract(epoch FROM next - clock_timestamp())));
    COMMIT;
    EXIT WHEN count = 0 AND EXISTS (SELECT FROM bench_probe_stop);
    stream := 'probe-' || gen_random_uuid();
    PERFORM es_append(stream, 'OrderPlaced', data::jsonb, metadata::jsonb);
    COMMIT;
    began := clock_timestamp();
    LOOP
      EXIT WHEN bench_seen(stream);
      IF clock_timestamp() > began + interval '60 s' THEN
        RAISE 'not seen after 60 s';
      END IF;
      IF nap > 0 THEN
        PERFORM pg_sleep(nap / 1000.0);
      END IF;
    END LOOP;
    i := i + 1;
    result[i] := extract(epoch FROM clock_timestamp() - began) * 1000;
  END LOOP;
END $$;
