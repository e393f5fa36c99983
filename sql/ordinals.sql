-- ordinals: tx is one number for each appending transaction, and ordinal counts
-- its events 0, 1, 2 ... without a hole, whatever was rolled back in between.
\set SHOW_CONTEXT never

-- Each statement is a transaction; a batch is one.
SELECT es_append('ord-plain-1', 'T', '{}');
SELECT es_append_batch('ord-plain-2', '{T,T,T}', '{1,2,3}');
SELECT es_append_json('ord-plain-1', '[{"type": "T", "data": 1}, {"type": "T", "data": 2}]');
SELECT * FROM regress.places('ord-plain-%');

-- Everything together: es_append, batch, JSON, INSERT, INSERT ... SELECT, COPY.
BEGIN;
SELECT es_append('ord-mixed-1', 'T', '{}');
INSERT INTO es_events (stream_id, event_type, data) VALUES ('ord-mixed-2', 'T', '1'), ('ord-mixed-1', 'T', '2');
COPY es_events (stream_id, event_type, data) FROM stdin;
ord-mixed-1	T	{}
ord-mixed-3	T	{}
\.
SELECT es_append_batch('ord-mixed-2', '{T,T}', '{1,2}');
INSERT INTO es_events (stream_id, event_type, data) SELECT 'ord-mixed-' || n, 'T', to_jsonb(n) FROM generate_series(1, 3) n;
SELECT es_append_json('ord-mixed-3', '[{"type": "T", "data": 1}]');
SELECT es_append('ord-mixed-1', 'T', '{}'), es_append('ord-mixed-2', 'T', '{}');
COMMIT;
SELECT * FROM regress.places('ord-mixed-%');

-- One within the other: an INSERT whose rows come from appends.
BEGIN;
INSERT INTO es_events (stream_id, event_type, data)
  SELECT 'ord-within-1', 'T', jsonb_build_object('version', es_append('ord-within-2', 'T', '{}')) FROM generate_series(1, 3);
SELECT es_append('ord-within-1', 'T', '{}');
COMMIT;
SELECT * FROM regress.places('ord-within-%');

-- A failed statement ends the transaction, and a transaction that rolls back
-- leaves a hole among the numbers of transactions, nothing else.
BEGIN;
SELECT es_append('ord-aborted', 'T', '{}');
ROLLBACK;
SELECT es_append('ord-aborted', 'T', '{}');
SELECT * FROM regress.places('ord-aborted');

-- Savepoint rolled back: its ordinals are given out again.
BEGIN;
SELECT es_append('ord-sp-1', 'A', '{}');
SAVEPOINT s;
SELECT es_append('ord-sp-1', 'gone', '{}'), es_append('ord-sp-2', 'gone', '{}');
ROLLBACK TO s;
SELECT es_append('ord-sp-2', 'B', '{}');
ROLLBACK TO s;
SELECT es_append('ord-sp-1', 'C', '{}');
RELEASE s;
SELECT es_append('ord-sp-1', 'D', '{}');
COMMIT;
SELECT * FROM regress.places('ord-sp-%');

-- The first append of all rolled back: the transaction keeps its number.
BEGIN;
SAVEPOINT s;
SELECT es_append('ord-first', 'gone', '{}');
ROLLBACK TO s;
SELECT es_append('ord-first', 'A', '{}');
SAVEPOINT s;
SELECT es_append('ord-first', 'B', '{}');
COMMIT;
SELECT * FROM regress.places('ord-first');

-- Savepoint released: its events are the transaction's.
BEGIN;
SAVEPOINT a;
SELECT es_append('ord-released', 'A', '{}');
RELEASE a;
SAVEPOINT b;
SELECT es_append('ord-released', 'B', '{}');
RELEASE b;
SELECT es_append('ord-released', 'C', '{}');
COMMIT;
SELECT * FROM regress.places('ord-released');

-- Released into a savepoint that is rolled back: all of it goes.
BEGIN;
SELECT es_append('ord-nested', 'A', '{}');
SAVEPOINT a;
SELECT es_append('ord-nested', 'gone', '{}');
SAVEPOINT b;
SELECT es_append('ord-nested', 'gone', '{}');
SAVEPOINT c;
SELECT es_append('ord-nested', 'gone', '{}');
RELEASE c;
SELECT es_append('ord-nested-2', 'gone', '{}');
RELEASE b;
SELECT es_stream_version('ord-nested');
ROLLBACK TO a;
SELECT es_stream_version('ord-nested');
SELECT es_append('ord-nested', 'B', '{}', expected_version => 1);
SELECT es_append('ord-nested-2', 'C', '{}', expected_version => 0);
COMMIT;
SELECT * FROM regress.places('ord-nested%');

-- Released into savepoints that appended nothing themselves.
BEGIN;
SELECT es_append('ord-empty', 'A', '{}');
SAVEPOINT a;
SAVEPOINT b;
SAVEPOINT c;
SELECT es_append('ord-empty', 'gone', '{}') FROM generate_series(1, 3);
RELEASE c;
RELEASE b;
SAVEPOINT d;
SELECT es_append('ord-empty-2', 'gone', '{}');
RELEASE d;
ROLLBACK TO a;
SELECT es_append('ord-empty', 'B', '{}', expected_version => 1);
SAVEPOINT b;
SAVEPOINT c;
SELECT es_append('ord-empty', 'gone', '{}', expected_version => 2);
RELEASE c;
ROLLBACK TO b;
RELEASE a;
SELECT es_append('ord-empty', 'C', '{}', expected_version => 2);
SELECT es_append('ord-empty-2', 'D', '{}', expected_version => 0);
COMMIT;
SELECT * FROM regress.places('ord-empty%');

-- Rolled back within a savepoint that is kept: only the inner part goes.
BEGIN;
SAVEPOINT a;
SELECT es_append('ord-inner', 'A', '{}');
SAVEPOINT b;
SELECT es_append('ord-inner', 'gone', '{}') FROM generate_series(1, 5);
SAVEPOINT c;
SELECT es_append('ord-inner', 'gone', '{}');
ROLLBACK TO b;
SELECT es_append('ord-inner', 'B', '{}', expected_version => 1);
SAVEPOINT d;
RELEASE d;
RELEASE a;
SELECT es_append('ord-inner', 'C', '{}', expected_version => 2);
COMMIT;
SELECT * FROM regress.places('ord-inner');

-- Levels that append nothing between levels that do.
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
SAVEPOINT c;
SELECT es_append('ord-levels', 'gone', '{}');
SAVEPOINT d;
SAVEPOINT e;
SELECT es_append('ord-levels', 'gone', '{}');
RELEASE d;
ROLLBACK TO c;
SELECT es_append('ord-levels', 'A', '{}', expected_version => 0);
RELEASE b;
SAVEPOINT f;
SELECT es_append('ord-levels', 'gone', '{}', expected_version => 1);
ROLLBACK TO f;
SELECT es_append('ord-levels', 'B', '{}', expected_version => 1);
ROLLBACK TO f;
RELEASE a;
SELECT es_append('ord-levels', 'C', '{}', expected_version => 1);
COMMIT;
SELECT * FROM regress.places('ord-levels');
SELECT version, event_type FROM es_read_stream('ord-levels');

-- A batch that fails after some of its events, INSERT and COPY likewise.
BEGIN;
SELECT es_append('ord-partial', 'A', '{}');
CREATE UNIQUE INDEX ord_unique ON es_events ((data->>'key')) WHERE event_type = 'Ord';
SAVEPOINT s;
SELECT es_append_batch('ord-partial', '{Ord,Ord,Ord,Ord}', '{"{\"key\": 1}","{\"key\": 2}","{\"key\": 3}","{\"key\": 2}"}');
ROLLBACK TO s;
SELECT es_append('ord-partial', 'B', '{}', expected_version => 1);
SAVEPOINT s;
INSERT INTO es_events (stream_id, event_type, data) SELECT 'ord-partial', 'Ord', jsonb_build_object('key', n % 3) FROM generate_series(1, 5) n;
ROLLBACK TO s;
INSERT INTO es_events (stream_id, event_type, data) VALUES ('ord-partial', 'C', '{}');
SAVEPOINT s;
COPY es_events (stream_id, event_type, data) FROM stdin;
ord-partial	Ord	{"key": 1}
ord-partial-2	Ord	{"key": 2}
ord-partial	Ord	{"key": 1}
\.
ROLLBACK TO s;
COPY es_events (stream_id, event_type, data) FROM stdin;
ord-partial-2	D	{}
\.
SELECT es_append('ord-partial-2', 'E', '{}', expected_version => 1);
DROP INDEX ord_unique;
COMMIT;
SELECT * FROM regress.places('ord-partial%');

-- PL/pgSQL: each block with EXCEPTION is a subtransaction.
DO $$
BEGIN
  FOR i IN 1..10 LOOP
    PERFORM es_append('ord-plpgsql', 'kept', to_jsonb(i));
    BEGIN
      PERFORM es_append('ord-plpgsql', 'maybe', to_jsonb(i));
      BEGIN
        PERFORM es_append('ord-plpgsql-2', 'gone', to_jsonb(i));
        PERFORM es_append('ord-plpgsql', 'gone', to_jsonb(i), expected_version => 0);
      EXCEPTION WHEN SQLSTATE 'PE001' THEN
        PERFORM es_append('ord-plpgsql-2', 'caught', to_jsonb(i));
      END;
      IF i % 3 = 0 THEN
        RAISE EXCEPTION 'third';
      END IF;
    EXCEPTION WHEN raise_exception THEN
      PERFORM es_append('ord-plpgsql-2', 'third', to_jsonb(i));
    END;
  END LOOP;
END $$;
SELECT stream_id, event_type, count(*), array_agg(version ORDER BY version) AS versions
  FROM es_events WHERE stream_id LIKE 'ord-plpgsql%' GROUP BY stream_id, event_type ORDER BY stream_id, min(version);
SELECT count(*), count(DISTINCT tx) AS transactions, min(ordinal), max(ordinal), count(DISTINCT ordinal) AS ordinals
  FROM es_events WHERE stream_id LIKE 'ord-plpgsql%';

-- Very many subtransactions, side by side and one in the other.
DO $$
BEGIN
  FOR i IN 1..1000 LOOP
    BEGIN
      PERFORM es_append('ord-many-' || i % 10, 'T', to_jsonb(i));
      IF i % 2 = 0 THEN
        RAISE EXCEPTION 'even';
      END IF;
    EXCEPTION WHEN raise_exception THEN
      NULL;
    END;
  END LOOP;
END $$;
CREATE FUNCTION pg_temp.deep(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    PERFORM es_append('ord-deep', 'before', to_jsonb(n));
    IF n > 1 THEN
      PERFORM pg_temp.deep(n - 1);
    END IF;
    PERFORM es_append('ord-deep', 'after', to_jsonb(n));
    IF n = 25 THEN
      RAISE EXCEPTION 'half of them';
    END IF;
  EXCEPTION WHEN raise_exception THEN
    PERFORM es_append('ord-deep', 'caught', to_jsonb(n));
  END;
END $$;
SELECT pg_temp.deep(50);
SELECT left(stream_id, 8) AS streams, count(*), count(DISTINCT tx) AS transactions, min(ordinal), max(ordinal), count(DISTINCT ordinal) AS ordinals
  FROM es_events WHERE stream_id LIKE 'ord-many-%' OR stream_id = 'ord-deep' GROUP BY 1 ORDER BY 1;
SELECT string_agg(left(event_type, 1), '' ORDER BY version) FROM es_read_stream('ord-deep');

-- Several functions in one transaction; one of them a procedure that commits.
CREATE PROCEDURE pg_temp.commits() LANGUAGE plpgsql AS $$
BEGIN
  PERFORM es_append('ord-procedure', 'A', '{}');
  PERFORM es_append('ord-procedure', 'B', '{}');
  COMMIT;
  PERFORM es_append('ord-procedure', 'gone', '{}');
  ROLLBACK;
  PERFORM es_append('ord-procedure', 'C', '{}');
END $$;
CALL pg_temp.commits();
SELECT * FROM regress.places('ord-procedure');

-- Transactions that are chained are several.
BEGIN;
SELECT es_append('ord-chain', 'A', '{}');
COMMIT AND CHAIN;
SELECT es_append('ord-chain', 'B', '{}');
ROLLBACK AND CHAIN;
SELECT es_append('ord-chain', 'C', '{}');
COMMIT;
SELECT * FROM regress.places('ord-chain');

-- Appends fetched from a cursor, some of them rolled back with a savepoint.
BEGIN;
DECLARE c CURSOR FOR SELECT es_append('ord-cursor', 'T', to_jsonb(n)) FROM generate_series(1, 10) n;
FETCH 2 FROM c;
SAVEPOINT s;
FETCH 3 FROM c;
ROLLBACK TO s;
FETCH 2 FROM c;
CLOSE c;
SELECT es_append('ord-cursor', 'T', 'null');
COMMIT;
SELECT version, ordinal, data FROM es_events WHERE stream_id = 'ord-cursor';

-- By a deferred trigger, at the commit.
CREATE TABLE regress.orders (id int);
CREATE FUNCTION regress.record_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM es_append('ord-deferred', 'Ordered', to_jsonb(NEW.id));
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER record_order AFTER INSERT ON regress.orders DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION regress.record_order();
BEGIN;
INSERT INTO regress.orders VALUES (1), (2);
SELECT es_append('ord-deferred', 'First', '0');
COMMIT;
SELECT version, ordinal, event_type, data FROM es_events WHERE stream_id = 'ord-deferred';
DROP TABLE regress.orders;
DROP FUNCTION regress.record_order();

-- A transaction that appends nothing takes no number.
SELECT last_value AS before FROM es_tx_seq \gset
BEGIN;
SELECT es_stream_version('ord-chain');
SELECT count(*) FROM es_read_stream('ord-chain');
SELECT es_append_batch('ord-chain', '{}', '{}');
INSERT INTO es_events (stream_id, event_type, data) SELECT 'ord-chain', 'T', '{}' WHERE false;
SAVEPOINT s;
SELECT es_append('ord-chain', 'T', '{}', expected_version => 9);
ROLLBACK TO s;
COMMIT;
SELECT last_value - :before AS taken FROM es_tx_seq;

SELECT * FROM es_check();
