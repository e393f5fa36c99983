-- es_read_all and es_read_category: arguments, tenants, categories, types, who
-- may call them.
-- In a database of its own: positions are told by the test, not by a sequencer.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_es_read_all;
\c regress_es_read_all
SET client_min_messages = warning;
CREATE EXTENSION event_store;

SELECT * FROM es_read_all();
SELECT es_append_batch('order-1', '{Placed,Paid,Shipped}', '{1,2,3}');
SELECT es_append_batch('cart-1', '{Opened,Closed}', '{1,2}');
SET event_store.tenant_id = 'other';
SELECT es_append_batch('order-1', '{Placed,Paid}', '{1,2}');
RESET event_store.tenant_id;
SELECT es_append_batch('order-2-b', '{Placed}', '{4}');
SELECT es_append_batch('order', '{Odd}', '{5}');
SELECT es_append_batch('order-3', '{Late}', '{6}');
INSERT INTO es_commits VALUES (1, 9, '[1,6)', '0/0', es_pack_entries('{2,1,3,4,5}', '{2,3,2,1,1}', array_fill('2026-01-01'::timestamptz, '{5}')));
VACUUM ANALYZE es_events;

-- The session's tenant, in order; positions of others are left out, not renumbered.
SELECT position, stream_id, version, event_type, schema_version, data, metadata, event_id IS NOT NULL AS id, recorded_at IS NOT NULL AS time, tenant_id FROM es_read_all();
SELECT position, stream_id, version FROM es_read_all(2);
SELECT position, stream_id, version FROM es_read_all(2, 2);
SELECT position, stream_id, version FROM es_read_all(NULL, 2);
SELECT position, stream_id, version FROM es_read_all(9);
SELECT position, stream_id, version FROM es_read_all(9223372036854775807);
SELECT position, stream_id, version FROM es_read_all(categories => '{cart}');
SELECT position, stream_id, version FROM es_read_all(3, 3, '{order,cart}', '{Placed,Paid,Odd}');
SELECT position, stream_id, version FROM es_read_all(event_types => '{Nothing}');
SELECT position, stream_id, version FROM es_read_category('order');
SELECT position, stream_id, version FROM es_read_category('order', 3, 2);
SELECT position, stream_id, version FROM es_read_category('nothing');
SET event_store.tenant_id = 'other';
SELECT position, stream_id, version, tenant_id FROM es_read_all();
SELECT position, stream_id, version FROM es_read_category('order', max_count => 1);
RESET event_store.tenant_id;
SELECT position, tenant_id, stream_id, version FROM es_log ORDER BY position;
SELECT position, tenant_id, stream_id, version FROM es_log WHERE stream_id = 'order-1' ORDER BY position DESC;
SELECT position, tenant_id, stream_id, version FROM es_log WHERE stream_id = 'order-1' AND tenant_id = 'other' ORDER BY position DESC;
SELECT position, stream_id, version FROM es_log WHERE stream_id = 'order-1' AND tenant_id = '' AND position > 3 AND position < 5;

-- Plans: one ordered scan, bounded, stopped by the limit.
EXPLAIN (COSTS OFF) SELECT * FROM es_read_all(100, 1000);
EXPLAIN (COSTS OFF) SELECT * FROM es_read_all(100, 1000, '{order}', '{Placed}');
EXPLAIN (COSTS OFF) SELECT * FROM es_read_category('order', 5, 10);
SET plan_cache_mode = force_generic_plan;
PREPARE page(bigint, bigint, text[], text[]) AS SELECT * FROM es_read_all($1, $2, $3, $4);
EXPLAIN (COSTS OFF) EXECUTE page(0, 10, NULL, NULL);
PREPARE short(bigint, bigint, text[], text[]) AS SELECT position FROM es_read_all($1, $2, $3, $4);
EXECUTE short(0, 2, NULL, NULL);
EXECUTE short(2, 2, '{order}', NULL);
EXECUTE short(2, 0, '{order}', NULL);
RESET plan_cache_mode;
-- A reader's pages are not planned anew each time, wherever it is.
PREPARE next_page(bigint) AS SELECT count(*) FROM es_read_all($1, 1);
EXECUTE next_page(0);
EXECUTE next_page(1);
EXECUTE next_page(2);
EXECUTE next_page(0);
EXECUTE next_page(1);
EXECUTE next_page(2);
SELECT generic_plans FROM pg_prepared_statements WHERE name = 'next_page';

-- Arguments that cannot be, also when there is nothing to read.
SELECT * FROM es_read_all(-1);
SELECT * FROM es_read_all(100, 0);
SELECT * FROM es_read_all(100, -1);
SELECT * FROM es_read_all(categories => '{order,NULL}');
SELECT * FROM es_read_all(categories => '{}');
SELECT * FROM es_read_all(event_types => '{{a},{b}}');
SELECT * FROM es_read_all(event_types => '{NULL}');
SELECT * FROM es_read_category(NULL);
SELECT * FROM es_read_category('');
SELECT * FROM es_read_category('order', -1);
SELECT * FROM es_read_category('order', 0, 0);

-- Who may read: nobody, readers.
CREATE ROLE regress_es_log_reader;
SET ROLE regress_es_log_reader;
SELECT count(*) FROM es_log;
SELECT count(*) FROM es_log_events;
SELECT * FROM es_read_all();
SELECT es_head_position();
SELECT es_position('order-1', 1);
RESET ROLE;
SELECT es_grant('regress_es_log_reader', 'reader');
SET ROLE regress_es_log_reader;
SELECT count(*) FROM es_log;
SELECT count(*) FROM es_log_events;
SELECT count(*) FROM es_read_all();
SELECT count(*) FROM es_read_category('order');
SELECT es_head_position(), es_position('order-1', 1);
SELECT count(*) FROM es_commits c, es_commit_entries(c.first_position, c.entries);
SELECT es_pack_entries('{1}', '{1}', '{2026-01-01}');
CREATE TEMP TABLE t (a int);
RESET ROLE;

-- Under row security the log is refused: it would show what policies hide.
ALTER TABLE es_events ENABLE ROW LEVEL SECURITY;
SELECT count(*) FROM es_log;
SET ROLE regress_es_log_reader;
SELECT count(*) FROM es_log;
SELECT * FROM es_read_all();
RESET ROLE;
ALTER TABLE es_events DISABLE ROW LEVEL SECURITY;
SELECT es_revoke('regress_es_log_reader', 'reader');
SET ROLE regress_es_log_reader;
SELECT * FROM es_read_all();
RESET ROLE;
DROP OWNED BY regress_es_log_reader;
DROP ROLE regress_es_log_reader;

-- A table whose columns were changed is not read.
BEGIN;
ALTER FOREIGN TABLE es_log_events ADD extra int;
SELECT count(extra), count(*) FROM es_log_events;
ALTER FOREIGN TABLE es_log_events ALTER ordinal TYPE text;
ROLLBACK;

-- In a transaction that appends, with its own rows: they have no position.
BEGIN;
SELECT es_append('order-1', 'More', '1');
SELECT count(*) FROM es_log;
ROLLBACK;

\c :old_database
DROP DATABASE regress_es_read_all;
