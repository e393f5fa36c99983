-- lock: what a transaction locks, and for how long.
\set SHOW_CONTEXT never
SELECT es_version() IS NOT NULL AS loaded;
SHOW event_store.max_stream_locks;

CREATE VIEW regress.locks AS
  SELECT CASE WHEN locktype = 'relation' THEN relation::regclass::text
              WHEN objsubid = 229 THEN 'stream'
              WHEN objsubid = 230 THEN 'turn to lock the table'
         END AS object, mode, count(*)
    FROM pg_locks
   WHERE pid = pg_backend_pid() AND granted
     AND (locktype = 'advisory' AND objsubid <> 231 OR relation = 'es_events'::regclass AND mode <> 'AccessShareLock')
   GROUP BY 1, 2;

-- One lock for each stream that the transaction appends to, however often, and
-- one that every writer of the table takes.
BEGIN;
SELECT es_append('lock-1', 'T', '1');
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
SELECT es_append('lock-1', 'T', '2'), es_append_batch('lock-1', '{T,T}', '{3,4}');
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
INSERT INTO es_events (stream_id, event_type, data) VALUES ('lock-1', 'T', '5'), ('lock-2', 'T', '1'), ('lock-2', 'T', '2');
COPY es_events (stream_id, event_type, data) FROM stdin;
lock-3	T	1
lock-1	T	6
\.
SELECT es_append_json('lock-3', '[{"type": "T", "data": 2}]');
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
-- The stream of that name of another tenant is another one.
SET LOCAL event_store.tenant_id = 'lock';
SELECT es_append('lock-1', 'T', '1');
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
COMMIT;
SELECT * FROM regress.locks;

-- Reading locks no stream.
BEGIN;
SELECT es_stream_version('lock-1'), (SELECT count(*) FROM es_read_stream('lock-2'));
SELECT count(*) FROM es_load_snapshot('lock-1');
SELECT es_save_snapshot('lock-1', 1, '{}');
SELECT * FROM regress.locks;
COMMIT;

-- An empty batch and a retry do, in so far as they look at the version.
BEGIN;
SELECT es_append_batch('lock-1', '{}', '{}');
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
ROLLBACK;

-- A copy of a recorded event locks its stream; one whose tx the sequence has
-- not reached locks out all other writers, until the sequence has been moved.
BEGIN;
INSERT INTO es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal)
  SELECT 'lock-copied', 1, es_uuid_v7(), 'T', 1, '1', '{}', now(), last_value, 1000 FROM es_tx_seq;
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
INSERT INTO es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal)
  SELECT 'lock-copied', 2, es_uuid_v7(), 'T', 1, '1', '{}', now(), last_value + 10, 0 FROM es_tx_seq;
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
SELECT es_append('lock-copied', 'T', '3', expected_version => 2), es_append('lock-copied-2', 'T', '1');
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
ROLLBACK;

-- The lock is that of the savepoint in which it was taken.
BEGIN;
SELECT es_append('lock-1', 'T', '7');
SAVEPOINT a;
SELECT es_append('lock-2', 'T', '3');
SAVEPOINT b;
SELECT es_append('lock-1', 'T', '8'), es_append('lock-3', 'T', '3');
SELECT * FROM regress.locks WHERE object = 'stream';
ROLLBACK TO b;
SELECT * FROM regress.locks WHERE object = 'stream';
SELECT es_append('lock-3', 'T', '3', expected_version => 2);
RELEASE b;
SELECT * FROM regress.locks WHERE object = 'stream';
ROLLBACK TO a;
SELECT * FROM regress.locks WHERE object = 'stream';
SELECT es_append('lock-2', 'T', '3', expected_version => 2);
SELECT * FROM regress.locks WHERE object = 'stream';
ROLLBACK;
SELECT * FROM regress.locks;

-- After max_stream_locks streams the table is locked against other writers.
SET event_store.max_stream_locks = 2;
BEGIN;
SELECT es_append('lock-1', 'T', '7'), es_append('lock-2', 'T', '3'), es_append('lock-1', 'T', '8');
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
SAVEPOINT a;
SELECT es_append('lock-4', 'T', '1'), es_append('lock-5', 'T', '1'), es_append('lock-6', 'T', '1');
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
-- It goes with the savepoint, and comes again when it is needed again.
ROLLBACK TO a;
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
SELECT es_append('lock-2', 'T', '4', expected_version => 3);
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
SAVEPOINT b;
SELECT es_append('lock-6', 'T', '1', expected_version => 0);
RELEASE b;
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
SELECT es_append('lock-4', 'T', '1', expected_version => 0);
COMMIT;
SELECT * FROM regress.locks;
SELECT es_stream_version('lock-' || n) FROM generate_series(1, 6) n;

-- The same by INSERT and COPY.
BEGIN;
INSERT INTO es_events (stream_id, event_type, data) SELECT 'lock-many-' || n, 'T', to_jsonb(n) FROM generate_series(1, 1000) n;
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
COMMIT;
BEGIN;
COPY es_events (stream_id, event_type, data) FROM stdin;
lock-many-1	T	2
lock-many-2	T	2
lock-many-3	T	2
\.
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
COMMIT;
SELECT count(*), sum(version) FROM es_events WHERE stream_id LIKE 'lock-many-%';
-- A limit that is raised in the middle of a transaction is too late.
BEGIN;
SELECT count(es_append('lock-many-' || n, 'T', '3')) FROM generate_series(1, 10) n;
SET LOCAL event_store.max_stream_locks = 100;
SELECT count(es_append('lock-many-' || n, 'T', '3')) FROM generate_series(11, 20) n;
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
ROLLBACK;
RESET event_store.max_stream_locks;
-- As delivered.
BEGIN;
SELECT count(es_append('lock-many-' || n, 'T', '3')) FROM generate_series(1, 512) n;
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
SELECT es_append('lock-many-513', 'T', '3');
SELECT * FROM regress.locks ORDER BY object COLLATE "C", mode;
ROLLBACK;

-- Limits of the setting.
SET event_store.max_stream_locks = 0;
\echo :LAST_ERROR_SQLSTATE
SET event_store.max_stream_locks = -1;
\echo :LAST_ERROR_SQLSTATE
SET event_store.max_stream_locks = 'many';
\echo :LAST_ERROR_SQLSTATE
SET event_store.max_stream_locks = 1;
SELECT es_append('lock-1', 'T', '9'), es_append('lock-2', 'T', '9');
RESET event_store.max_stream_locks;

-- The advisory locks that applications take are others.
BEGIN;
SELECT es_append('lock-1', 'T', '10');
SELECT pg_advisory_unlock_all();
SELECT * FROM regress.locks WHERE object = 'stream';
ROLLBACK;

DROP VIEW regress.locks;
SELECT * FROM es_check();
