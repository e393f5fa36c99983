-- The ledger: its packed rows, what keeps users from changing it, positions,
-- and what es_check finds.
-- In a database of its own: positions are told by the test, not by a sequencer.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_es_ledger;
\c regress_es_ledger
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE EXTENSION event_store;

-- What is packed comes out again.
SELECT * FROM es_commit_entries(7, es_pack_entries('{5,3,1000,999,1,4096}', '{1,2,127,128,2147483647,1}',
  '{2026-01-01,2026-01-01 00:00:00.000001,2025-12-31,2500-01-01,2000-01-01,4713-01-01 BC}'));
SELECT length(es_pack_entries(array_agg(i), array_agg(1), array_agg('2026-01-01'::timestamptz + i * interval '1 ms'))) FROM generate_series(1, 300) i;
SELECT es_pack_entries('{1}', '{1,2}', '{2026-01-01}');
SELECT es_pack_entries('{NULL}', '{1}', '{2026-01-01}');
SELECT es_pack_entries('{1,4096}', '{1,1}', '{2026-01-01,2026-01-01}') IS NOT NULL;
SELECT es_pack_entries('{1,4097}', '{1,1}', '{2026-01-01,2026-01-01}');
SELECT es_pack_entries(array_agg(i), array_agg(1), array_agg('2026-01-01'::timestamptz)) FROM generate_series(1, 401) i;

-- Rows that cannot be.
SELECT entries, es_commit_problem(1, 1, '[1,2)', entries)
  FROM (VALUES ('\x'::bytea), ('\x01'), ('\x0100'), ('\x0101'), ('\x010102'), ('\x01010201'), ('\x0101020100'), ('\x010102010000'),
               ('\x02'), ('\x01010200'), ('\x0101000100'), ('\x0101ffffffffffffffffffff0100'), ('\x0101feffffffffffffffff010100'),
               ('\x0101028080808008'), ('\x010102808080800800'), ('\x01010201ffffffffffffffffff01'), ('\x01ffff03')) v (entries);
SELECT es_commit_problem(a, b, r, es_pack_entries('{1}', '{2}', '{2026-01-01}'))
  FROM (VALUES (1, 2, int8range '[1,2)'), (0, 1, '[1,2)'), (5, 4, '[1,2)'), (1, 3, '[1,2)'), (1, 2, '[1,3)'), (1, 2, 'empty'), (1, 2, '(,)'), (1, 2, NULL),
               (9223372036854775806, 9223372036854775807, '[1,2)'), (-9223372036854775808, 9223372036854775807, '[1,2)')) v (a, b, r);
SELECT * FROM es_commit_entries(1, '\x0101');

-- Any bytes: there is an answer, and no crash.
SELECT setseed(0.1);
SELECT count(*) = 20000 AS answered
  FROM (SELECT es_commit_problem(1, 10, '[1,2)', '\x0103'::bytea || decode(md5(random()::text), 'hex') || substr(decode(md5(random()::text), 'hex'), 1, (random() * 16)::int))
          FROM generate_series(1, 10000)
        UNION ALL
        SELECT es_commit_problem(1, 3, '[5,8)', set_byte(es_pack_entries('{5,6,7}', '{1,1,1}', '{2026-01-01,2026-01-01,2026-01-01}'), floor(random() * 18)::int, floor(random() * 256)::int))
          FROM generate_series(1, 10000)) x;

-- Nobody changes it; who restores a dump inserts.
INSERT INTO es_commits VALUES (1, 2, '[1,2)', '0/0', es_pack_entries('{1}', '{2}', '{2026-01-01}'));
INSERT INTO es_commits VALUES (3, 5, '[2,3)', '0/0', es_pack_entries('{2}', '{2}', '{2026-01-01}'));
SET session_replication_role = replica;
INSERT INTO es_commits VALUES (3, 4, '[2,4)', '0/0', es_pack_entries('{2}', '{2}', '{2026-01-01}'));
\set VERBOSITY sqlstate
UPDATE es_commits SET last_position = 3;
\set VERBOSITY default
DELETE FROM es_commits;
RESET session_replication_role;
TRUNCATE es_commits;
UPDATE es_commits SET last_position = 3 WHERE false;
SELECT first_position, last_position, tx_range, end_lsn FROM es_commits;
CREATE TABLE elsewhere (LIKE es_commits);
CREATE TRIGGER t BEFORE INSERT ON elsewhere FOR EACH ROW EXECUTE FUNCTION es_commits_before_insert();
INSERT INTO elsewhere SELECT * FROM es_commits;

-- Positions.
SELECT es_head_position();
SELECT es_append_batch('a-1', '{A,B}', '{1,2}');
SELECT es_append('b-1', 'A', '1');
SELECT es_append('a-1', 'C', '3');
SELECT v AS version, es_position('a-1', v) FROM unnest('{0,1,2,3,4,NULL}'::bigint[]) v;
SELECT es_position('b-1', 1), es_position('c-1', 1);
SELECT es_position(NULL, 1);
SELECT es_position('', 1);
SELECT * FROM es_check();
INSERT INTO es_commits VALUES (3, 4, '[2,4)', '0/0', es_pack_entries('{2,3}', '{1,1}', '{2026-01-01,2026-01-02}'));
SELECT es_position('b-1', 1), es_position('a-1', 3), es_head_position();
SELECT * FROM es_check();
SET event_store.tenant_id = 'other';
SELECT es_position('a-1', 1);
RESET event_store.tenant_id;

-- What es_check finds.
SELECT es_append('a-1', 'D', '4'), es_append('b-1', 'D', '2');
SELECT es_append('a-1', 'E', '5');
INSERT INTO es_commits VALUES (5, 5, '[5,6)', '0/0', es_pack_entries('{5}', '{1}', '{2026-01-01}'));
SELECT * FROM es_check();
INSERT INTO es_commits VALUES (6, 6, '[4,5)', '0/0', es_pack_entries('{4}', '{1}', '{2026-01-01}'));
SELECT * FROM es_check() ORDER BY problem;
SELECT es_position('b-1', 2);
INSERT INTO es_commits VALUES (8, 8, '[3,4)', '0/0', es_pack_entries('{3}', '{1}', '{2026-01-01}'));
SELECT * FROM es_check() ORDER BY problem;
ALTER TABLE es_commits DISABLE TRIGGER es_commits_immutable;
SELECT * FROM es_check() ORDER BY problem;

-- Somebody changed the table.
ALTER INDEX es_commits_tx_range_idx RENAME TO x;
SELECT es_position('a-1', 1);
CREATE INDEX es_commits_tx_range_idx ON es_commits USING gist (tx_range) WHERE first_position > 1;
SELECT es_position('a-1', 1);
ALTER TABLE es_commits ALTER last_position TYPE numeric;

\c :old_database
DROP DATABASE regress_es_ledger;
