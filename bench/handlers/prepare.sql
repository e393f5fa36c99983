-- What both sides do with an event: one statement for each of two types.
-- psql variable: count, of the projections.
CREATE TABLE account_base (account text COLLATE "C" PRIMARY KEY, balance numeric NOT NULL, entries bigint NOT NULL);
CREATE TABLE checkpoint_base ("position" bigint NOT NULL);

-- The loop that people write: the events of a batch, a branch for each type, and
-- the checkpoint with the commit.
CREATE PROCEDURE handlers_base(batch_size bigint) LANGUAGE plpgsql AS $$
DECLARE
  done bigint := 0;
  head constant bigint := es_head_position();
  event record;
BEGIN
  TRUNCATE account_base, checkpoint_base;
  INSERT INTO checkpoint_base VALUES (0);
  COMMIT;
  WHILE done < head LOOP
    FOR event IN SELECT * FROM es_log WHERE position > done ORDER BY position LIMIT batch_size LOOP
      CASE event.event_type
        WHEN 'MoneyDeposited' THEN
          INSERT INTO account_base AS a VALUES (event.stream_id, (event.data->>'amount')::numeric, 1)
          ON CONFLICT (account) DO UPDATE SET balance = a.balance + excluded.balance, entries = a.entries + 1;
        WHEN 'MoneyWithdrawn' THEN
          INSERT INTO account_base AS a VALUES (event.stream_id, -(event.data->>'amount')::numeric, 1)
          ON CONFLICT (account) DO UPDATE SET balance = a.balance + excluded.balance, entries = a.entries + 1;
      END CASE;
      done := event.position;
    END LOOP;
    UPDATE checkpoint_base SET position = done;
    COMMIT;
  END LOOP;
END $$;

SELECT format($f$
  CREATE TABLE account_%1$s (account text COLLATE "C" PRIMARY KEY, balance numeric NOT NULL, entries bigint NOT NULL);
  SELECT es_create_projection('handled_%1$s', handlers => jsonb_build_object(
    'MoneyDeposited', $h$
      INSERT INTO account_%1$s AS a VALUES (event.stream_id, (event.data->>'amount')::numeric, 1)
      ON CONFLICT (account) DO UPDATE SET balance = a.balance + excluded.balance, entries = a.entries + 1 $h$,
    'MoneyWithdrawn', $h$
      INSERT INTO account_%1$s AS a VALUES (event.stream_id, -(event.data->>'amount')::numeric, 1)
      ON CONFLICT (account) DO UPDATE SET balance = a.balance + excluded.balance, entries = a.entries + 1 $h$));
  SELECT es_pause_projection('handled_%1$s');
$f$, i) FROM generate_series(1, :count) AS i \gexec
