-- What becomes of batches that fail: retries, stop, skip, dead letters; and
-- materialized views that are refreshed.
-- In a database of its own: the log is sequenced and projected by hand.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_es_failures;
\c regress_es_failures
\set SHOW_CONTEXT always
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION event_store;

-- What there is to see of a projection.
CREATE VIEW failures AS
  SELECT d.name, f.attempts, f.failed, f.retry_at > now() AS waits, f.error_code, f.error_message, f.first_position AS first, f.last_position AS last
    FROM es_projection_failures f JOIN es_projection_definitions d ON d.id = f.projection_id ORDER BY d.id;
CREATE VIEW letters AS
  SELECT d.name, l.position, l.partition, l.stream_id, l.version, l.event_type, l.attempts, l.error_code, l.error_message, l.error_detail
    FROM es_dead_letters l JOIN es_projection_definitions d ON d.id = l.projection_id ORDER BY d.id, l.position;
CREATE VIEW checkpoints AS
  SELECT DISTINCT ON (d.id) d.name, c.position, c.events
    FROM es_checkpoints c JOIN es_projection_definitions d ON d.id = c.projection_id ORDER BY d.id, c.position DESC;

-- Appends n events; what those at some places say is an error.
CREATE FUNCTION fill(stream text, n int, bad int[], error text DEFAULT 'division') RETURNS bigint LANGUAGE sql AS
  $$ SELECT count(es_append(stream || '-' || i, 'E', jsonb_build_object('i', i, 'error', CASE WHEN i = ANY (bad) THEN error END))) FROM generate_series(1, n) i $$;
-- Raises it.
CREATE FUNCTION fail(error text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  CASE error
    WHEN 'division' THEN PERFORM 1 / (length(error) - length(error));
    WHEN 'cast' THEN PERFORM error::int;
    WHEN 'constraint' THEN INSERT INTO public.checked VALUES (-1);
    WHEN 'table' THEN EXECUTE 'SELECT FROM nowhere';
    WHEN 'right' THEN RAISE insufficient_privilege USING MESSAGE = 'no right';
    WHEN 'lock' THEN RAISE lock_not_available USING MESSAGE = 'locked';
    WHEN 'deadlock' THEN RAISE deadlock_detected USING MESSAGE = 'deadlock';
    WHEN 'raise' THEN RAISE EXCEPTION 'raised' USING DETAIL = 'with a detail';
    WHEN 'memory' THEN PERFORM length(repeat('x', 2000000000));
    WHEN 'recursion' THEN PERFORM public.fail(error);
    WHEN 'commit' THEN EXECUTE 'COMMIT';
    WHEN 'assert' THEN ASSERT false;
    ELSE RETURN error;
  END CASE;
  RETURN error;
END $$;
CREATE TABLE checked (i int CHECK (i > 0));
CREATE TABLE done_stop (position bigint PRIMARY KEY);
CREATE TABLE done_skip (position bigint PRIMARY KEY, error text);
CREATE TABLE done_statement (n int GENERATED ALWAYS AS IDENTITY, position bigint PRIMARY KEY, error text);
SELECT es_create_projection('stop', max_retries => 0, categories => '{first,middle,last,all}', handlers => '{"*": "INSERT INTO done_stop SELECT position FROM fail(data->>''error'')"}');
SELECT es_create_projection('skip', max_retries => 0, on_error => 'skip', handlers => '{"*": "INSERT INTO done_skip SELECT position, fail(data->>''error'')"}');
SELECT es_create_projection('statement', max_retries => 0, on_error => 'skip', statement => 'INSERT INTO done_statement (position, error) SELECT position, fail(data->>''error'') FROM es_log ORDER BY position');
SELECT es_create_view('view', 'SELECT event_type, count(*) AS events, sum((data->>''i'')::int / CASE WHEN data->>''error'' IS NULL THEN 1 ELSE 0 END) AS total FROM es_log GROUP BY 1', max_retries => 0, on_error => 'skip');

-- In a middle place, the first, the last one.
SELECT fill('middle', 8, '{5}');
SELECT es_sequence();
SELECT es_run_projections();
SELECT * FROM failures;
SELECT * FROM letters;
SELECT * FROM checkpoints;
SELECT array_agg(position ORDER BY position) AS stop FROM done_stop;
SELECT array_agg(position ORDER BY position) AS skip FROM done_skip;
SELECT array_agg(position ORDER BY n) AS statement FROM done_statement;
SELECT * FROM view;

-- One that has stopped is not tried again; what is applied is applied once.
SELECT es_run_projections();
SELECT es_resume_projection('stop');
SELECT es_run_projections('stop');
SELECT * FROM failures;
-- The cause is removed.
CREATE OR REPLACE FUNCTION is_well(error text) RETURNS text LANGUAGE sql AS 'SELECT error';
ALTER FUNCTION fail RENAME TO really_fail;
ALTER FUNCTION is_well RENAME TO fail;
SELECT es_run_projections('stop');
SELECT es_resume_projection('stop');
SELECT es_run_projections('stop');
SELECT * FROM failures;
SELECT array_agg(position ORDER BY position) AS stop FROM done_stop;
-- And back.
ALTER FUNCTION fail RENAME TO is_well;
ALTER FUNCTION really_fail RENAME TO fail;

SELECT fill('first', 8, '{1}');
SELECT es_sequence();
SELECT es_run_projections();
SELECT * FROM failures;
SELECT * FROM letters;
SELECT fill('last', 8, '{8}');
SELECT es_sequence();
SELECT es_run_projections();
SELECT * FROM letters;
-- Several, and all.
SELECT fill('last', 9, '{1,2,5,8,9}', 'raise');
SELECT es_sequence();
SELECT es_run_projections();
SELECT * FROM letters WHERE position > 24;
SELECT fill('all', 3, '{1,2,3}', 'cast');
SELECT es_sequence();
SELECT es_run_projections();
SELECT * FROM letters WHERE position > 33;
SELECT * FROM checkpoints;
SELECT array_agg(position ORDER BY position) AS skip FROM done_skip;
SELECT array_agg(position ORDER BY n) AS statement FROM done_statement;
SELECT * FROM view;
SELECT es_drop_projection('stop');
SELECT es_drop_projection('view');

-- Dead letters are tried again: one, all; those that fail stay.
SELECT es_retry_dead_letters('skip', 5);
SELECT position, attempts FROM letters WHERE name = 'skip';
SELECT es_retry_dead_letters('skip', 6);
ALTER FUNCTION fail RENAME TO really_fail;
ALTER FUNCTION is_well RENAME TO fail;
SELECT es_retry_dead_letters('skip', 5);
SELECT es_retry_dead_letters('skip');
SELECT position, attempts FROM letters WHERE name = 'skip';
SELECT count(*), count(DISTINCT position), max(position) FROM done_skip;
SELECT es_discard_dead_letters('statement', 5);
SELECT es_discard_dead_letters('statement', 5);
SELECT es_discard_dead_letters('statement');
SELECT count(*) FROM es_dead_letters;
SELECT es_retry_dead_letters('nothing');
SELECT es_retry_dead_letters(NULL);
CREATE ROLE regress_es_stranger;
GRANT EXECUTE ON FUNCTION es_retry_dead_letters, es_discard_dead_letters TO regress_es_stranger;
SET ROLE regress_es_stranger;
SELECT es_retry_dead_letters('skip');
SELECT es_discard_dead_letters('skip');
RESET ROLE;
ALTER FUNCTION fail RENAME TO is_well;
ALTER FUNCTION really_fail RENAME TO fail;

-- Every kind of error, between events that are well.
SELECT fill('kinds', 1, '{}') + fill('a', 1, '{1}', 'division') + fill('b', 1, '{1}', 'cast') + fill('c', 1, '{1}', 'constraint') + fill('d', 1, '{1}', 'table')
     + fill('kinds', 1, '{}') + fill('e', 1, '{1}', 'right') + fill('f', 1, '{1}', 'lock') + fill('g', 1, '{1}', 'deadlock') + fill('h', 1, '{1}', 'memory')
     + fill('kinds', 1, '{}') + fill('i', 1, '{1}', 'recursion') + fill('j', 1, '{1}', 'commit') + fill('k', 1, '{1}', 'assert') + fill('l', 1, '{1}', 'raise') AS n;
SELECT es_sequence();
SELECT es_run_projections('skip');
SELECT stream_id, error_code, error_message, error_detail FROM letters WHERE name = 'skip';
SELECT count(*), max(position) FROM done_skip;
SELECT es_discard_dead_letters('skip');

-- Errors that no event is the cause of do not empty the log into the dead
-- letters: a table that is gone, a lock that others hold.
SELECT fill('gone', 40, '{}');
SELECT es_sequence();
ALTER TABLE done_skip RENAME TO done_skip_gone;
SELECT es_run_projections('skip');
SELECT * FROM failures;
SELECT count(*) FROM letters;
ALTER TABLE done_skip_gone RENAME TO done_skip;
SELECT es_resume_projection('skip'), es_run_projections('skip');
SELECT count(*), max(position) FROM done_skip;
SELECT fill('locked', 40, (SELECT array_agg(i) FROM generate_series(1, 40) i), 'lock');
SELECT es_sequence();
SELECT es_run_projections('skip');
SELECT * FROM failures;
-- One by one: the first is a dead letter, the second tells that it is not the
-- event.
SELECT es_alter_projection('skip', batch_size => 1);
SELECT es_resume_projection('skip'), es_run_projections('skip');
SELECT * FROM letters;
SELECT * FROM failures;
SELECT es_drop_projection('skip');

-- Retries, later and later. Nobody waits for them here.
CREATE TABLE done_retry (position bigint PRIMARY KEY);
SELECT es_create_projection('retry', max_retries => 2, after_position => NULL, handlers => '{"*": "INSERT INTO done_retry SELECT position FROM fail(data->>''error'')"}');
SELECT fill('retry', 4, '{3}');
SELECT es_sequence();
SELECT es_run_projections('retry');
SELECT * FROM failures;
SELECT es_run_projections('retry');
SELECT * FROM failures;
UPDATE es_projection_failures SET retry_at = now();
SELECT es_run_projections('retry');
SELECT * FROM failures;
SELECT count(*) FROM done_retry;
UPDATE es_projection_failures SET retry_at = now();
SELECT es_run_projections('retry');
SELECT * FROM failures;
SELECT count(*) FROM done_retry;
-- A success forgets it.
UPDATE es_projection_failures SET retry_at = now(), failed = false;
BEGIN;
ALTER FUNCTION fail RENAME TO really_fail;
ALTER FUNCTION is_well RENAME TO fail;
SELECT es_run_projections('retry');
SELECT * FROM failures;
SELECT count(*) FROM done_retry;
ROLLBACK;
SELECT count(*) FROM failures;
SELECT es_drop_projection('retry');

-- A view that is far behind takes a range of the log; what fails there is found
-- just so.
SELECT es_create_view('behind', 'SELECT event_type, count(*) AS events, sum(1 / CASE WHEN data->>''error'' IS NULL THEN 1 ELSE 0 END) AS total FROM es_log GROUP BY 1',
                      max_retries => 0, on_error => 'skip', batch_size => 10, after_position => NULL);
SELECT fill('behind', 55, '{7,34}');
SELECT es_sequence();
SELECT es_run_projections('behind');
SELECT stream_id, error_message FROM letters WHERE name = 'behind';
SELECT * FROM behind;
SELECT events FROM checkpoints WHERE name = 'behind';
SELECT es_drop_projection('behind');

-- A projection with partitions: the dead letter is its partition's.
CREATE TABLE done_split (position bigint PRIMARY KEY);
SELECT es_create_projection('split', max_retries => 0, on_error => 'skip', partitions => 3, after_position => NULL, handlers => '{"*": "INSERT INTO done_split SELECT position FROM fail(data->>''error'')"}');
SELECT fill('split', 12, '{4,9}');
SELECT es_sequence();
SELECT es_run_projections('split');
SELECT l.partition = es_stream_partition(l.stream_id, 3) AS right, l.stream_id FROM letters l WHERE name = 'split';
SELECT count(*) FROM done_split;
SELECT es_alter_projection('split', partitions => 2);
ALTER FUNCTION fail RENAME TO really_fail;
ALTER FUNCTION is_well RENAME TO fail;
SELECT es_retry_dead_letters('split');
SELECT count(*) FROM done_split;
ALTER FUNCTION fail RENAME TO is_well;
ALTER FUNCTION really_fail RENAME TO fail;
SELECT es_drop_projection('split');

-- The owner goes, and his rights.
CREATE ROLE regress_es_leaver;
SELECT es_grant('regress_es_leaver', 'reader');
GRANT INSERT ON done_retry TO regress_es_leaver;
SELECT es_create_projection('left', max_retries => 0, after_position => NULL, statement => 'INSERT INTO done_retry SELECT position FROM es_log');
UPDATE es_projection_definitions SET owner = 'regress_es_leaver' WHERE name = 'left';
REVOKE INSERT ON done_retry FROM regress_es_leaver;
SELECT fill('left', 3, '{}');
SELECT es_sequence();
SELECT es_run_projections('left');
SELECT * FROM failures;
SELECT es_revoke('regress_es_leaver', 'reader');
SELECT es_resume_projection('left'), es_run_projections('left');
SELECT * FROM failures;
DROP ROLE regress_es_leaver;
SELECT es_resume_projection('left'), es_run_projections('left');
SELECT * FROM failures;
SELECT es_drop_projection('left');
SELECT es_drop_projection('statement');

-- Materialized views.
CREATE MATERIALIZED VIEW per_type AS SELECT event_type, count(*) AS events FROM es_log GROUP BY 1 WITH NO DATA;
SELECT es_create_projection('per_type', refresh => 'no_such_view');
SELECT es_create_projection('per_type', refresh => 'checked');
SELECT es_create_projection('per_type', refresh => 'per_type', concurrently => true);
REFRESH MATERIALIZED VIEW per_type;
SELECT es_create_projection('per_type', refresh => 'per_type', concurrently => true);
CREATE UNIQUE INDEX ON per_type (event_type) WHERE event_type > 'a';
CREATE UNIQUE INDEX ON per_type (lower(event_type));
SELECT es_create_projection('per_type', refresh => 'per_type', concurrently => true);
SELECT es_create_projection('per_type', refresh => 'per_type', on_error => 'skip');
SELECT es_create_projection('per_type', refresh => 'per_type', mode => 'inline');
SET ROLE regress_es_stranger;
SELECT es_create_projection('per_type', refresh => 'per_type');
RESET ROLE;
CREATE UNIQUE INDEX ON per_type (event_type);
SELECT es_create_projection('per_type', refresh => 'per_type', concurrently => true, refresh_every => '0', after_position => NULL);
SELECT es_create_projection('seldom', refresh => 'per_type', refresh_every => '1 day', after_position => NULL);
SELECT es_create_projection('of type', refresh => 'per_type', refresh_every => '0', event_types => '{New}', after_position => NULL);
SELECT es_append('m-1', 'Other', '{}');
SELECT es_sequence(), es_run_projections('of type');
SELECT * FROM per_type WHERE event_type IN ('New', 'Other') ORDER BY 1;
SELECT es_run_projections('per_type');
SELECT * FROM per_type WHERE event_type IN ('New', 'Other') ORDER BY 1;
SELECT es_append('m-1', 'New', '{}');
SELECT es_append('m-1', 'Other', '{}');
SELECT es_sequence(), es_run_projections('of type');
SELECT * FROM per_type WHERE event_type IN ('New', 'Other') ORDER BY 1;
SELECT es_run_projections('per_type');
SELECT es_run_projections('seldom');
SELECT * FROM failures;
SELECT name, c.position = es_head_position() AS at_head FROM checkpoints c;
-- Gone.
SELECT es_drop_projection('seldom');
SELECT es_drop_projection('of type');
DROP MATERIALIZED VIEW per_type;
SELECT es_append('m-1', 'Other', '{}');
SELECT es_alter_projection('per_type', max_retries => 0);
SELECT es_sequence(), es_run_projections('per_type');
SELECT * FROM failures;

SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database();
\c :old_database
DROP DATABASE regress_es_failures;
DROP ROLE regress_es_stranger;
