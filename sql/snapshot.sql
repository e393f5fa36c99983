-- snapshot: es_save_snapshot, es_load_snapshot, es_delete_snapshots.
\set SHOW_CONTEXT never

SELECT es_append_batch('snap-1', '{A,B,C,D,E}', '{1,2,3,4,5}');
SELECT es_append('snap-2', 'A', '1');

-- Save, and load the newest.
SELECT count(*) FROM es_load_snapshot('snap-1');
SELECT es_save_snapshot('snap-1', 2, '{"sum": 3}');
SELECT tenant_id, stream_id, version, aggregate, state, created_at BETWEEN now() - interval '1 hour' AND clock_timestamp() AS is_new
  FROM es_load_snapshot('snap-1');
SELECT es_save_snapshot(aggregate => '', state => '{"sum": 10}', version => 4, stream_id => 'snap-1');
SELECT version, state FROM es_load_snapshot('snap-1');

-- At a version: the newest at or below it.
SELECT at, version, state FROM generate_series(1, 6) at LEFT JOIN LATERAL es_load_snapshot('snap-1', at) ON true ORDER BY at;
SELECT version FROM es_load_snapshot('snap-1', 9223372036854775807);
-- And the events after it: the state of now.
SELECT s.version + count(e.version) AS version, (s.state->>'sum')::int + coalesce(sum(e.data::int), 0) AS sum
  FROM es_load_snapshot('snap-1') s LEFT JOIN LATERAL es_read_stream('snap-1', s.version + 1) e ON true GROUP BY s.version, s.state;

-- The same version again: in place of the one before, with a new time.
SELECT created_at AS before FROM es_load_snapshot('snap-1', 2) \gset
SELECT es_save_snapshot('snap-1', 2, '{"sum": 3, "count": 2}');
SELECT version, state, created_at > :'before' AS is_newer FROM es_load_snapshot('snap-1', 2);
SELECT count(*) FROM es_snapshots WHERE stream_id = 'snap-1';
-- In one transaction too.
BEGIN;
SELECT es_save_snapshot('snap-2', 1, '1');
SELECT es_save_snapshot('snap-2', 1, '2');
SELECT state FROM es_load_snapshot('snap-2');
ROLLBACK;
SELECT count(*) FROM es_load_snapshot('snap-2');

-- Several folds of one stream.
SELECT es_save_snapshot('snap-1', 3, '{"max": 3}', 'maximum');
SELECT es_save_snapshot('snap-1', 4, '{"max": 4}', 'maximum');
SELECT es_save_snapshot('snap-1', 5, '{"min": 1}', 'minimum');
SELECT version, aggregate, state FROM es_load_snapshot('snap-1', aggregate => 'maximum');
SELECT version, aggregate, state FROM es_load_snapshot('snap-1', 3, 'maximum');
SELECT version, aggregate, state FROM es_load_snapshot('snap-1', 2, 'maximum');
SELECT version, aggregate, state FROM es_load_snapshot('snap-1', aggregate => '');
SELECT version, aggregate, state FROM es_load_snapshot('snap-1', aggregate => 'nothing');
SELECT version, aggregate, state FROM es_load_snapshot('snap-1');

-- Any JSON is a state, large ones too.
SELECT es_save_snapshot('snap-2', 1, 'null');
SELECT jsonb_typeof(state) FROM es_load_snapshot('snap-2');
SELECT es_save_snapshot('snap-2', 1, (SELECT jsonb_agg(md5(n::text)) FROM generate_series(1, 5000) n));
SELECT jsonb_array_length(state) FROM es_load_snapshot('snap-2');

-- Delete: before a version, of one fold, all.
SELECT version, aggregate FROM es_snapshots WHERE stream_id = 'snap-1' ORDER BY version, aggregate;
SELECT es_delete_snapshots('snap-1', 4, 'maximum');
SELECT es_delete_snapshots('snap-1', 4);
SELECT version, aggregate FROM es_snapshots WHERE stream_id = 'snap-1' ORDER BY version, aggregate;
SELECT es_delete_snapshots('snap-1', aggregate => '');
SELECT es_delete_snapshots('snap-1', 1);
SELECT es_delete_snapshots(before_version => NULL, stream_id => 'snap-1', aggregate => NULL);
SELECT es_delete_snapshots('snap-1'), es_delete_snapshots('snap-none');
SELECT count(*) FROM es_load_snapshot('snap-1');
SELECT count(*) FROM es_load_snapshot('snap-2');

-- Beyond the stream: refused.
SELECT es_save_snapshot('snap-1', 6, '{}');
\echo :LAST_ERROR_SQLSTATE
SELECT es_save_snapshot('snap-none', 1, '{}');
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SELECT es_append('snap-1', 'F', '6');
SELECT es_save_snapshot('snap-1', 6, '{}');
SAVEPOINT s;
SELECT es_save_snapshot('snap-1', 7, '{}');
ROLLBACK TO s;
SELECT es_delete_snapshots('snap-1');
ROLLBACK;
-- In the statement that appends.
SELECT es_save_snapshot('snap-3', es_append('snap-3', 'A', '1'), '{}');
SELECT version FROM es_load_snapshot('snap-3');

-- The table itself: INSERT and UPDATE are checked too, DELETE is free.
INSERT INTO es_snapshots (stream_id, version, state) VALUES ('snap-1', 5, '{}') RETURNING tenant_id, aggregate, created_at >= now() AS is_new;
INSERT INTO es_snapshots (stream_id, version, state) VALUES ('snap-1', 6, '{}');
\echo :LAST_ERROR_SQLSTATE
UPDATE es_snapshots SET state = '1' WHERE stream_id = 'snap-1';
UPDATE es_snapshots SET version = 6 WHERE stream_id = 'snap-1';
\echo :LAST_ERROR_SQLSTATE
UPDATE es_snapshots SET stream_id = 'snap-none' WHERE stream_id = 'snap-1';
\echo :LAST_ERROR_SQLSTATE
DELETE FROM es_snapshots WHERE stream_id = 'snap-1' RETURNING version, state;
-- A row with its time, from the owner: one of a dump, which may come before its events.
BEGIN;
COPY es_snapshots (tenant_id, stream_id, version, aggregate, state, created_at) FROM stdin;
	snap-later	2		{}	2020-01-01 00:00:00+00
\.
SELECT version, state FROM es_load_snapshot('snap-later');
SELECT problem FROM es_check();
SELECT es_append_batch('snap-later', '{A,B}', '{1,2}');
SELECT problem FROM es_check();
ROLLBACK;

-- Each tenant has its own.
SELECT es_save_snapshot('snap-1', 5, '"none"');
SET event_store.tenant_id = 'snap';
SELECT count(*) FROM es_load_snapshot('snap-1');
SELECT es_save_snapshot('snap-1', 1, '{}');
\echo :LAST_ERROR_SQLSTATE
SELECT es_append('snap-1', 'A', '1'), es_append('snap-1', 'B', '2');
SELECT es_save_snapshot('snap-1', 2, '"snap"');
SELECT tenant_id, version, state FROM es_load_snapshot('snap-1');
SELECT es_delete_snapshots('snap-1');
RESET event_store.tenant_id;
SELECT tenant_id, version, state FROM es_load_snapshot('snap-1');

-- Names up to their limits; and what is refused.
SELECT es_append(repeat('n', 512), 'A', '1');
SELECT es_save_snapshot(repeat('n', 512), 1, '"long"', repeat('a', 255));
SELECT state FROM es_load_snapshot(repeat('n', 512), 1, repeat('a', 255));
\pset tuples_only on
\pset format unaligned
SELECT regress.error_of('SELECT es_save_snapshot(' || args || ')')
  FROM (VALUES ($$NULL, 1, '{}'$$), ($$'', 1, '{}'$$), ($$repeat('n', 513), 1, '{}'$$), ($$E'a\tb', 1, '{}'$$),
               ($$'snap-1', NULL, '{}'$$), ($$'snap-1', 0, '{}'$$), ($$'snap-1', -1, '{}'$$),
               ($$'snap-1', 9223372036854775807, '{}'$$), ($$'snap-1', 1, NULL$$), ($$'snap-1', 1, '{}', NULL$$),
               ($$'snap-1', 1, '{}', repeat('a', 256)$$), ($$'snap-1', 1, '{}', E'a\nb'$$)) v(args);
SELECT regress.error_of('SELECT * FROM es_load_snapshot(' || args || ')')
  FROM (VALUES ('NULL'), ($$''$$), ($$repeat('n', 513)$$), ($$E'a\tb'$$), ($$'snap-1', 0$$), ($$'snap-1', -1$$)) v(args);
SELECT regress.error_of('SELECT es_delete_snapshots(' || args || ')')
  FROM (VALUES ('NULL'), ($$''$$), ($$repeat('n', 513)$$), ($$E'a\tb'$$), ($$'snap-1', 0$$), ($$'snap-1', -1$$),
               ($$'snap-none', 0$$), ($$'snap-none', -1$$)) v(args);
\pset tuples_only off
\pset format aligned
\set VERBOSITY sqlstate
BEGIN READ ONLY;
SELECT es_save_snapshot('snap-1', 1, '{}');
ROLLBACK;
BEGIN READ ONLY;
SELECT es_delete_snapshots('snap-1');
ROLLBACK;
\set VERBOSITY default
SELECT tenant_id, version, state FROM es_load_snapshot('snap-1');

SELECT * FROM es_check();
