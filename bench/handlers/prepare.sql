-- What both sides do with an event: one statement for each of two types; an upsert of
-- the account's row, or a row for each event. Pages of the upsert's tables have room
-- for a second version of each row, so that the index does not grow with updates: what
-- that costs would hide everything else.
-- psql variable: count, of the projections of each kind.
CREATE TEMP TABLE work (kind text, columns text, deposited text, withdrawn text, partitions int DEFAULT 1);
INSERT INTO work VALUES
  ('upsert', '(account text COLLATE "C" PRIMARY KEY, balance numeric NOT NULL, entries bigint NOT NULL) WITH (fillfactor = 50)',
   $$INSERT INTO %I AS a VALUES (event.stream_id, (event.data->>'amount')::numeric, 1)
     ON CONFLICT (account) DO UPDATE SET balance = a.balance + excluded.balance, entries = a.entries + 1$$,
   $$INSERT INTO %I AS a VALUES (event.stream_id, -(event.data->>'amount')::numeric, 1)
     ON CONFLICT (account) DO UPDATE SET balance = a.balance + excluded.balance, entries = a.entries + 1$$),
  ('insert', '("position" bigint PRIMARY KEY, account text COLLATE "C" NOT NULL, amount numeric NOT NULL)',
   $$INSERT INTO %I VALUES (event.position, event.stream_id, (event.data->>'amount')::numeric)$$,
   $$INSERT INTO %I VALUES (event.position, event.stream_id, -(event.data->>'amount')::numeric)$$);

-- The upsert once more, by two workers; each account is one stream.
INSERT INTO work SELECT 'split', columns, deposited, withdrawn, 2 FROM work WHERE kind = 'upsert';

-- The loop that people write: the events of a batch, a branch for each type, and
-- the checkpoint with the commit.
CREATE TABLE checkpoint_base ("position" bigint NOT NULL);
SELECT format($f$
  CREATE TABLE %1$s_base %2$s;
  CREATE PROCEDURE handlers_%1$s(batch_size bigint) LANGUAGE plpgsql AS $p$
  DECLARE
    done bigint := 0;
    head constant bigint := es_head_position();
    event record;
  BEGIN
    TRUNCATE %1$s_base, checkpoint_base;
    INSERT INTO checkpoint_base VALUES (0);
    COMMIT;
    WHILE done < head LOOP
      FOR event IN SELECT * FROM es_log WHERE position > done ORDER BY position LIMIT batch_size LOOP
        CASE event.event_type
          WHEN 'MoneyDeposited' THEN
            %3$s;
          WHEN 'MoneyWithdrawn' THEN
            %4$s;
        END CASE;
        done := event.position;
      END LOOP;
      UPDATE checkpoint_base SET position = done;
      COMMIT;
    END LOOP;
  END $p$;
$f$, kind, columns, format(deposited, kind || '_base'), format(withdrawn, kind || '_base')) FROM work \gexec

SELECT format($f$
  CREATE TABLE %1$s %2$s;
  SELECT es_create_projection(%1$L, handlers => jsonb_build_object('MoneyDeposited', %3$L, 'MoneyWithdrawn', %4$L), partitions => %5$s);
  SELECT es_pause_projection(%1$L);
$f$, name, columns, format(deposited, name), format(withdrawn, name), partitions)
FROM work, generate_series(1, :count) AS i, concat(kind, '_', i) AS name \gexec
