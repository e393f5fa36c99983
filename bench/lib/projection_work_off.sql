-- Resumes paused projections and waits for them. psql variable: names, an array.
--
-- It waits 50 ms at a time: a statement that waits for long has a snapshot for as
-- long, and keeps the dead rows of what it waits for from being pruned.
SELECT es_resume_projection(name) FROM unnest(:'names'::text[]) AS name;
SELECT set_config('bench.names', :'names', false);
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY current_setting('bench.names')::text[] LOOP
    WHILE NOT es_wait(name, '50 ms') LOOP
      COMMIT;
    END LOOP;
  END LOOP;
END $$;
