-- es_log against a brute-force query: ranges, directions, limits, large and
-- small transactions, rolled-back savepoints, commits in another order than tx.
-- In a database of its own: positions are told by the test, not by a sequencer.
\set VERBOSITY default
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_es_log;
\c regress_es_log
SET client_min_messages = warning;
CREATE EXTENSION event_store;

-- An empty log.
SELECT count(*) FROM es_log;
SELECT es_head_position();

-- One transaction for each i; every third leaves events of a rolled-back
-- savepoint behind, every seventh is rolled back. The store is filled in an
-- order of its own; the ledger tells another one below.
CREATE PROCEDURE append_some(i int, n int) LANGUAGE plpgsql AS $$
BEGIN
  IF i % 3 = 0 THEN
    PERFORM es_append_batch('m-' || i, array_fill('Before'::text, ARRAY[n / 2 + 1]),
                            array_fill('{}'::jsonb, ARRAY[n / 2 + 1]));
    BEGIN
      PERFORM es_append_batch('m-' || i, array_fill('Undone'::text, ARRAY[n]),
                              array_fill('{}'::jsonb, ARRAY[n]));
      RAISE EXCEPTION 'undo';
    EXCEPTION WHEN raise_exception THEN
      NULL;
    END;
  END IF;
  PERFORM es_append_batch('m-' || i, array_fill(CASE i % 2 WHEN 0 THEN 'Even' ELSE 'Odd' END::text, ARRAY[n]),
                          array_fill('{"n": 1}'::jsonb, ARRAY[n]));
END $$;
DO $$
BEGIN
  FOR i IN 1..1200 LOOP
    CALL append_some(i, CASE WHEN i = 500 THEN 100000 WHEN i % 400 = 0 THEN 3000
                             WHEN i % 97 = 0 THEN 300 WHEN i % 31 = 0 THEN 100
                             WHEN i % 5 = 0 THEN 2 ELSE 1 END);
    IF i % 7 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
  END LOOP;
END $$;

-- The order of commits: about that of tx, with some that were open for long.
SELECT setseed(0.42);
CREATE TABLE commits AS
  SELECT row_number() OVER (ORDER BY tx + random() * 16 + CASE WHEN random() < 0.02 THEN 700 ELSE 0 END) AS n,
         tx, count(*)::int AS events
    FROM es_events GROUP BY tx;
CREATE TABLE model AS
  SELECT c.first + e.ordinal AS position, e.tx, e.ordinal, e.stream_id, e.version, e.event_type
    FROM es_events e
    JOIN (SELECT *, sum(events) OVER (ORDER BY n) - events + 1 AS first FROM commits) c USING (tx);
CREATE INDEX ON model (position);

-- Rows of 1, 2, 3 ... 40 transactions, again and again.
INSERT INTO es_commits
  SELECT min(first), max(first + events - 1), int8range(min(tx), max(tx), '[]'), '0/0',
         es_pack_entries(array_agg(tx ORDER BY n), array_agg(events ORDER BY n),
                         array_agg('2026-01-01 00:00+00'::timestamptz + n * interval '1 ms' ORDER BY n))
    FROM (SELECT *, sum(events) OVER (ORDER BY n) - events + 1 AS first,
                 n / 820 AS round, floor((sqrt(8 * (n % 820) + 1) - 1) / 2) AS row
            FROM commits) c
   GROUP BY round, row;
VACUUM ANALYZE es_events, es_commits, model;

SELECT count(*) = (SELECT count(*) FROM model) AS complete, es_head_position() = count(*) AS head FROM es_log;
SELECT * FROM es_check();
SELECT count(*) FROM es_log l FULL JOIN model m USING (position)
 WHERE (l.tx, l.ordinal, l.stream_id, l.version, l.event_type) IS DISTINCT FROM
       (m.tx, m.ordinal, m.stream_id, m.version, m.event_type);
SELECT bool_and(committed_at = '2026-01-01 00:00+00'::timestamptz + c.n * interval '1 ms')
  FROM es_log l JOIN commits c USING (tx);

-- Random ranges, mostly small, sometimes around the large transaction.
CREATE FUNCTION compare(rounds int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  head   bigint := es_head_position();
  wrong  bigint := 0;
  lo     bigint;
  hi     bigint;
  n      bigint;
  dir    text;
  ours   text;
  theirs text;
  query  text := 'SELECT string_agg(format(''%%s %%s %%s'', position, tx, ordinal), '','') FROM
                    (SELECT position, tx, ordinal FROM %s
                      WHERE position %s %s AND position %s %s %s ORDER BY position %s LIMIT %s) x';
  op1    text;
  op2    text;
  extra  text;
BEGIN
  FOR i IN 1..rounds LOOP
    lo := CASE WHEN random() < 0.1 THEN -5 ELSE (random() * head)::bigint END;
    hi := CASE WHEN random() < 0.1 THEN head + 10 ELSE lo + (random() ^ 4 * 20000)::bigint END;
    n := (ARRAY[1, 10, 100, 1000, 1500, 5000])[1 + floor(random() * 6)];
    dir := (ARRAY['ASC', 'DESC'])[1 + floor(random() * 2)];
    op1 := (ARRAY['>', '>='])[1 + floor(random() * 2)];
    op2 := (ARRAY['<', '<='])[1 + floor(random() * 2)];
    extra := (ARRAY['', '', ' AND event_type = ''Even''', ' AND stream_id = ''m-500''', ' AND stream_id = ''m-400'''])[1 + floor(random() * 5)];
    EXECUTE format(query, 'es_log', op1, lo, op2, hi, extra, dir, n) INTO ours;
    EXECUTE format(query, 'model', op1, lo, op2, hi, extra, dir, n) INTO theirs;
    IF ours IS DISTINCT FROM theirs THEN
      wrong := wrong + 1;
      RAISE WARNING 'lo % hi % n % % % % %', lo, hi, n, dir, op1, op2, extra;
    END IF;
  END LOOP;
  RETURN wrong;
END $$;
SELECT compare(400);

-- Every single position, one at a time.
SELECT count(*)
  FROM generate_series(1, 400) i, LATERAL (SELECT * FROM es_log WHERE position = i * 250) l
  LEFT JOIN model m USING (position)
 WHERE l.tx IS DISTINCT FROM m.tx OR l.ordinal IS DISTINCT FROM m.ordinal;

-- A cursor goes both ways.
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT position FROM es_log WHERE position > 998 ORDER BY position;
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
MOVE 2000 FROM c;
FETCH 1 FROM c;
COMMIT;

-- Plans. Nothing is sorted.
SET max_parallel_workers_per_gather = 0;
EXPLAIN (COSTS OFF) SELECT * FROM es_log WHERE position > 100 ORDER BY position LIMIT 10;
EXPLAIN (COSTS OFF) SELECT * FROM es_log WHERE 100 >= position ORDER BY position DESC LIMIT 10;
EXPLAIN (COSTS OFF) SELECT * FROM es_log WHERE position BETWEEN 5::smallint AND 100::bigint ORDER BY position;
EXPLAIN (COSTS OFF) SELECT * FROM es_log ORDER BY position DESC LIMIT 1;
EXPLAIN (COSTS OFF) SELECT * FROM es_log WHERE position > 5 AND event_type = 'Odd' ORDER BY position LIMIT 10;
EXPLAIN (COSTS OFF) SELECT count(*) FROM es_log;
EXPLAIN (COSTS OFF) SELECT * FROM es_log WHERE stream_id = 'm-4' AND tenant_id = '' ORDER BY position;
EXPLAIN (COSTS OFF) SELECT * FROM es_log WHERE stream_id = 'm-4';
EXPLAIN (COSTS OFF, VERBOSE) SELECT position, stream_id FROM es_log WHERE position > 3;
SET plan_cache_mode = force_generic_plan;
PREPARE page(bigint, bigint) AS SELECT position FROM es_log WHERE position > $1 ORDER BY position LIMIT $2;
EXPLAIN (COSTS OFF) EXECUTE page(5, 3);
EXECUTE page(5, 3);
EXECUTE page(NULL, 3);
EXECUTE page(9223372036854775807, 3);
EXECUTE page(-9223372036854775808, 3);
RESET plan_cache_mode;

-- Bounds are taken anew for each outer row.
SELECT x, (SELECT count(*) FROM es_log WHERE position > x AND position <= x + 3) FROM (VALUES (1), (500), (1000000), (NULL)) v (x);

-- What cannot be.
INSERT INTO es_log_events (position) VALUES (1);
UPDATE es_log SET version = 1;
DELETE FROM es_log_events;
CREATE FOREIGN TABLE other (position bigint) SERVER event_store_log;
SELECT * FROM other;
CREATE FOREIGN TABLE other2 (position bigint) SERVER event_store_log OPTIONS (a 'b');

-- An event that has no position yet is not in the log.
SELECT es_append('late-1', 'Late', '{}');
SELECT count(*) FROM es_log WHERE stream_id = 'late-1';
SELECT count(*) FROM es_log WHERE event_type = 'Late';

-- Parallel scans: pieces of the range, each read by one process; the workers
-- alone, and with the leader. What has no position yet is not in them either.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SET parallel_leader_participation = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM es_log;
EXPLAIN (COSTS OFF) SELECT event_type, count(*) FROM es_log WHERE position > 10 AND position <= 90000::bigint GROUP BY 1;
EXPLAIN (COSTS OFF) SELECT position FROM es_log ORDER BY position LIMIT 3;
EXPLAIN (COSTS OFF) SELECT position FROM es_log WHERE tenant_id = '' AND stream_id = 'm-4' ORDER BY position;
CREATE FUNCTION compare_ranges() RETURNS TABLE (lo bigint, hi bigint, same boolean) LANGUAGE plpgsql AS $$
DECLARE
  head   bigint := es_head_position();
  query  text := 'SELECT string_agg(x::text, '','' ORDER BY x) FROM
                    (SELECT event_type, count(*), sum(position), min(position), max(position), sum(tx), sum(ordinal)
                       FROM %I WHERE position >= $1 AND position <= $2 GROUP BY 1) x';
  ours   text;
  theirs text;
BEGIN
  FOREACH lo IN ARRAY ARRAY[-5, 1, 2, 4097, 50000, head - 4096, head, head + 1] LOOP
    FOREACH hi IN ARRAY ARRAY[-1, 1, 4096, 60000, head, head + 5, 9223372036854775807] LOOP
      EXECUTE format(query, 'es_log') INTO ours USING lo, hi;
      EXECUTE format(query, 'model') INTO theirs USING lo, hi;
      same := ours IS NOT DISTINCT FROM theirs;
      IF NOT same THEN RETURN NEXT; END IF;
    END LOOP;
  END LOOP;
END $$;
SELECT * FROM compare_ranges();
SET parallel_leader_participation = on;
SELECT * FROM compare_ranges();
SELECT count(*) FROM es_log l FULL JOIN model m USING (position)
 WHERE (l.tx, l.ordinal, l.stream_id, l.version, l.event_type) IS DISTINCT FROM
       (m.tx, m.ordinal, m.stream_id, m.version, m.event_type);
SELECT count(*) = (SELECT count(*) FROM model WHERE stream_id = 'm-500') FROM es_log WHERE stream_id || '' = 'm-500';
SELECT count(*) FROM (SELECT * FROM es_log WHERE position > 7 LIMIT 5000) x;
SELECT count(*) FROM es_log WHERE position > (SELECT 1000) AND position <= (SELECT 2000);
SELECT count(*) FROM es_log WHERE position > NULL::bigint;
EXECUTE page(5, 3);

-- The same scan again and again.
SELECT count(*) AS events FROM model \gset
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
EXPLAIN (COSTS OFF) SELECT x, c FROM generate_series(1, 4) x LEFT JOIN (SELECT count(*) c FROM es_log) l ON x < c;
SELECT x, c = :events AS complete FROM generate_series(1, 4) x LEFT JOIN (SELECT count(*) c FROM es_log) l ON x < c;
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;

-- Planned for workers, but run row by row, without them.
CREATE FUNCTION positions() RETURNS SETOF bigint LANGUAGE sql STABLE AS 'SELECT position FROM es_log WHERE position > 20';
SELECT positions() LIMIT 3;
SELECT count(*) = (SELECT count(*) - 20 FROM model) FROM (SELECT positions()) x;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM es_log;
MOVE 100000 FROM c;
CLOSE c;

-- What this transaction has put into the ledger is seen by its workers.
INSERT INTO es_commits
  SELECT h + 1, h + 1, int8range(e.tx, e.tx, '[]'), '0/0', es_pack_entries(ARRAY[e.tx], '{1}', '{2026-01-01}')
    FROM es_head_position() h, es_events e WHERE e.event_type = 'Late';
SELECT count(*) = (SELECT count(*) + 1 FROM model) FROM es_log;
ROLLBACK;
SELECT count(*) = (SELECT count(*) FROM model) FROM es_log;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SET max_parallel_workers_per_gather = 0;

-- An event that is missing, and a row of the ledger that cannot be. The owner
-- can do that.
INSERT INTO es_commits SELECT h + 1, h + 3, '[1000000,1000001)', '0/0', es_pack_entries('{1000000}', '{3}', '{2026-01-01}')
  FROM es_head_position() h;
SELECT count(*) FROM es_log WHERE position > 1000;
SELECT problem FROM es_check();
ALTER TABLE es_commits DISABLE TRIGGER zz_es_commits_before_insert;
INSERT INTO es_commits SELECT h + 1, h + 3, '[1000002,1000003)', '0/0', '\x01ffffffff' FROM es_head_position() h;
SELECT es_head_position() > 0;
SELECT count(*) FROM es_log WHERE position < 1000;
SELECT position FROM es_log ORDER BY position DESC LIMIT 1;
SELECT problem FROM es_check() ORDER BY 1;

\c :old_database
DROP DATABASE regress_es_log;
