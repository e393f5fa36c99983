# Projections that fail, by themselves: each follows its policy, the others go
# on, nothing is lost and nothing is applied twice.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $db   = 'postgres';
my $node = new_log_node('main', conf => <<'CONF');
event_store.projection_retry_time = 10ms
event_store.projection_max_retries = 2
CONF

sub append
{
	my ($stream, $count, $bad) = @_;
	$node->safe_psql($db,
		"SELECT es_append('$stream-' || i, 'Happened', jsonb_build_object('i', i, 'poison', i IN ($bad))) FROM generate_series(1, $count) i");
	return;
}

sub value
{
	my ($sql) = @_;
	return $node->safe_psql($db, $sql);
}

sub becomes
{
	my ($sql, $expected, $test) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until($db, $sql, $expected), $test);
}

sub state_becomes
{
	my ($name, $state) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return becomes("SELECT state FROM es_projections WHERE name = '$name'", $state, "$name is $state");
}

sub catches_up
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return succeeds($node, $db, "SELECT es_wait('$name', '60 s')", 't', "$name has caught up");
}

log_is_caught_up($node, $db, 'the sequencer works');

# ---------------------------------------------------------------------------
# Poison events, in all places of batches, while others append.
# ---------------------------------------------------------------------------

$node->safe_psql($db, <<'SQL');
CREATE FUNCTION poison(data jsonb) RETURNS int LANGUAGE sql AS
  $$ SELECT 1 / (NOT (data->>'poison')::bool)::int $$;
CREATE TABLE good (n bigint);
INSERT INTO good VALUES (0);
CREATE TABLE done (name text, position bigint, PRIMARY KEY (name, position));
SELECT es_create_projection('good', 'UPDATE public.good SET n = n + (SELECT count(*) FROM es_log)');
SELECT es_create_projection('stop', handlers => '{"*": "INSERT INTO done SELECT ''stop'', position FROM poison(data)"}');
SELECT es_create_projection('skip', on_error => 'skip', handlers => '{"*": "INSERT INTO done SELECT ''skip'', position FROM poison(data)"}');
SELECT es_create_projection('small', on_error => 'skip', batch_size => 3, max_retries => 0, partitions => 2,
                            statement => 'INSERT INTO done SELECT ''small'', position FROM es_log WHERE poison(data) = 1');
SELECT es_create_view('rows', 'SELECT stream_id, version, 1 / CASE WHEN (data->>''poison'')::bool THEN 0 ELSE 1 END AS one FROM es_log', on_error => 'skip');
SQL

my $bad = '1, 17, 18, 200';
append('a', 200, $bad);
append($_, 10, '3') for 'b' .. 'f';
catches_up($_) for qw(good skip small rows);
state_becomes('stop', 'failed');

my $poisoned = "SELECT count(*) FROM es_log WHERE (data->>'poison')::bool";
is(value('SELECT n - (SELECT count(*) FROM es_events) FROM good'), '0', 'the one that is well has applied all');
for my $name (qw(skip small rows))
{
	my $applied = $name eq 'rows' ? 'rows' : "done WHERE name = '$name'";
	is(value("SELECT count(*) FROM $applied"), value("SELECT count(*) FROM es_log WHERE NOT (data->>'poison')::bool"), "$name has applied all that can be");
	is( value("SELECT array_agg(l.position ORDER BY l.position) FROM es_dead_letters l JOIN es_projection_definitions d ON d.id = l.projection_id WHERE d.name = '$name'"),
		value("SELECT array_agg(position ORDER BY position) FROM es_log WHERE (data->>'poison')::bool"),
		"$name: the others are its dead letters");
	is(value("SELECT state || ' ' || dead_letters FROM es_projections WHERE name = '$name'"), 'waiting ' . value($poisoned), "$name: es_projections counts them");
}
is( value("SELECT state, last_error, last_error_code, attempts, failed_position, retry_at IS NULL FROM es_projections WHERE name = 'stop'"),
	'failed|division by zero|22012|3|' . value("SELECT min(position) FROM es_log WHERE (data->>'poison')::bool") . '|t',
	'the one that stops says where, after its retries');
is( value("SELECT count(*), coalesce(max(position), 0) FROM done WHERE name = 'stop'"),
	value("SELECT p - 1, p - 1 FROM (SELECT min(position) AS p FROM es_log WHERE (data->>'poison')::bool) x"),
	'and has applied all before');
like(slurp_file($node->logfile), qr/WARNING: .*"skip" has skipped \d+ event/, 'the log tells of events that were skipped');

# The cause is removed: those that are left are applied, none twice.
$node->safe_psql($db, "CREATE OR REPLACE FUNCTION poison(data jsonb) RETURNS int LANGUAGE sql AS 'SELECT 1'");
$node->safe_psql($db, "SELECT es_resume_projection('stop')");
catches_up('stop');
is(value("SELECT es_retry_dead_letters('$_')"), value($poisoned), "$_: dead letters are applied") for qw(skip small);
is(value("SELECT es_retry_dead_letters('rows')"), '0', 'those of another cause are not');
is( value("SELECT name, count(*) = (SELECT count(*) FROM es_events) FROM done GROUP BY name ORDER BY name"),
	"skip|t\nsmall|t\nstop|t",
	'everything was applied once');
value("SELECT es_drop_projection('$_')") for qw(stop skip small rows);

# ---------------------------------------------------------------------------
# Locks: a timeout, and a deadlock.
# ---------------------------------------------------------------------------

$node->safe_psql($db, <<'SQL');
CREATE TABLE locked (position bigint PRIMARY KEY);
CREATE FUNCTION lock_it(e es_event) RETURNS void LANGUAGE sql SET lock_timeout = '10ms' AS 'INSERT INTO public.locked VALUES (e.position)';
SELECT es_create_projection('locked', on_error => 'skip', after_position => NULL, handlers => '{"*": "lock_it"}');
SQL
my $holder = holder($node, $db, 'LOCK TABLE locked');
append('locked', 20, '0');
state_becomes('locked', 'failed');
is( value("SELECT last_error_code, dead_letters, attempts FROM es_projections WHERE name = 'locked'"),
	'55P03|0|3', 'a lock that others hold is no reason to skip events');
catches_up('good');
let_go($holder);
value("SELECT es_resume_projection('locked')");
catches_up('locked');
is(value('SELECT count(*) FROM locked'), '20', 'nothing was lost');
value("SELECT es_drop_projection('locked')");

$node->safe_psql($db, <<'SQL');
CREATE TABLE pair (id int PRIMARY KEY, n int);
INSERT INTO pair VALUES (1, 0), (2, 0);
CREATE FUNCTION cross_over(e es_event) RETURNS void LANGUAGE plpgsql SET deadlock_timeout = '10ms' AS $$
BEGIN
  UPDATE public.pair SET n = n + 1 WHERE id = 2;
  PERFORM pg_advisory_xact_lock(7);
  UPDATE public.pair SET n = n + 1 WHERE id = 1;
END $$;
SELECT es_create_projection('cross', max_retries => 1000, after_position => NULL, handlers => '{"*": "cross_over"}');
SQL
my $gate = holder($node, $db, 'SELECT pg_advisory_xact_lock(7)');
my $other = holder($node, $db, "SET LOCAL deadlock_timeout = '1h'; UPDATE pair SET n = n + 100 WHERE id = 1");
append('cross', 1, '0');
my $waits = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'event_store projection' AND wait_event_type = 'Lock' AND wait_event = 'advisory'";
becomes($waits, '1', 'a projection holds a row and waits');
$other->{stdin} .= "UPDATE pair SET n = n + 100 WHERE id = 2; COMMIT;\n\\echo committed\n";
$other->{run}->pump_nb;
becomes("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND wait_event_type = 'Lock'", '1', 'a session waits for the row');
let_go($gate);
catches_up('cross');
like(slurp_file($node->logfile), qr/deadlock detected/, 'there was a deadlock');
$other->quit;
is(value('SELECT array_agg(n ORDER BY id) FROM pair'), '{101,101}', 'the session had its way, and the projection its turn');
is(value("SELECT attempts, dead_letters FROM es_projections WHERE name = 'cross'"), '0|0', 'and nothing is left of it');
value("SELECT es_drop_projection('cross')");

# ---------------------------------------------------------------------------
# Nothing of one projection is left behind for another.
# ---------------------------------------------------------------------------

$node->safe_psql($db, <<'SQL');
CREATE TABLE state (what text);
CREATE FUNCTION litter(e es_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_lock(4711), pg_advisory_lock_shared(4712);
  EXECUTE 'SET search_path = nowhere';
  EXECUTE 'SET work_mem = ''64kB''';
  PERFORM set_config('litter.x', 'y', false);
  EXECUTE 'DECLARE litter CURSOR FOR SELECT 1';
END $$;
CREATE FUNCTION look(e es_event) RETURNS void LANGUAGE sql AS $$
  INSERT INTO public.state
    SELECT concat_ws(' ', (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors WHERE name = 'litter'),
                     current_setting('search_path'), current_setting('work_mem'), coalesce(current_setting('litter.x', true), ''),
                     (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid IN (4711, 4712)))
$$;
SELECT es_create_projection('litter', batch_size => 1, after_position => NULL, handlers => '{"*": "litter"}');
SELECT es_create_projection('look', batch_size => 1, after_position => NULL, handlers => '{"*": "look"}');
SQL
append('litter', 5, '0');
catches_up($_) for qw(litter look);
append('litter', 1, '0');
catches_up($_) for qw(litter look);
is(value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid IN (4711, 4712)"), '0', 'no session lock outlives its batch');
is(value("SELECT count(*) FROM state WHERE what !~ '^0 0 public, pg_temp 4MB  ?[02]\$'"), '0', 'no setting, statement or cursor does')
  or diag(value('SELECT * FROM state'));
value("SELECT es_drop_projection('$_')") for qw(litter look);

# ---------------------------------------------------------------------------
# Sagas append exactly once, whatever happens to the server.
# ---------------------------------------------------------------------------

$node->safe_psql($db, <<'SQL');
SELECT es_create_projection('saga', on_error => 'skip', after_position => NULL, batch_size => 7, handlers => '{
  "Started": ["SELECT es_append(replace(stream_id, ''saga'', ''payment''), ''Requested'', data)",
              "SELECT 1 / (data->>''n'')::int"],
  "Requested": "SELECT es_append(stream_id, ''Received'', data)"}');
SQL
for my $round (1 .. 3)
{
	$node->safe_psql($db,
		"SELECT es_append('saga-$round-' || i, 'Started', jsonb_build_object('n', i % 10)) FROM generate_series(1, 100) i");
	$node->stop('immediate');
	$node->start;
}
log_is_caught_up($node, $db, 'the log goes on');
becomes("SELECT count(*) FROM es_events WHERE event_type = 'Received'", '270', 'the saga goes on');
catches_up('saga');
is( value("SELECT event_type, count(*), count(DISTINCT stream_id) FROM es_events WHERE event_type IN ('Started', 'Requested', 'Received') GROUP BY 1 ORDER BY 1"),
	"Received|270|270\nRequested|270|270\nStarted|300|300",
	'each of its events is there once');
is(value("SELECT dead_letters FROM es_projections WHERE name = 'saga'"), '30', 'those that failed have appended nothing');
value("SELECT es_drop_projection('saga')");

# ---------------------------------------------------------------------------
# Materialized views: refreshed soon, but not too often.
# ---------------------------------------------------------------------------

$node->safe_psql($db, <<'SQL');
CREATE MATERIALIZED VIEW total AS SELECT 1 AS one, count(*) AS n FROM es_log;
CREATE UNIQUE INDEX ON total (one);
CREATE MATERIALIZED VIEW rarely AS SELECT count(*) AS n FROM es_log;
SELECT es_create_projection('total', refresh => 'total', concurrently => true, refresh_every => '50 ms', after_position => NULL);
SELECT es_create_projection('rarely', refresh => 'rarely', refresh_every => '1 day', after_position => NULL);
SQL
append('refresh', 3, '0') for 1 .. 5;
becomes('SELECT n = (SELECT count(*) FROM es_events) FROM total', 't', 'a materialized view is refreshed');
append('refresh', 3, '0');
catches_up('total');
is(value('SELECT n = (SELECT count(*) FROM es_events) FROM total'), 't', 'and again, and can be waited for');
is(value("SELECT (SELECT count(*) FROM es_events) - n FROM rarely"), '18', 'one that rests is not');
is(value("SELECT attempts, last_error IS NULL, lag_events FROM es_projections WHERE name = 'rarely'"), '0|t|18', 'which is no failure');

catches_up('good');
is(value('SELECT n - (SELECT count(*) FROM es_events) FROM good'), '0', 'the one that is well has applied all, once');
store_is_sound($node, $db, 'at last');

done_testing();
