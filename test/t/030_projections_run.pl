# Projections run by themselves: workers come, are woken, share the work, leave
# and come back; nobody who is slow delays another; es_wait tells the truth.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $db = 'postgres';

# A projection that counts events in a table of its own, and exactly once.
sub create_counter
{
	my ($node, $database, $name, $more) = @_;
	$more = defined $more ? ", $more" : '';
	$node->safe_psql($database, <<"SQL");
CREATE TABLE IF NOT EXISTS $name (n bigint);
INSERT INTO $name VALUES (0);
SELECT es_create_projection('$name', 'UPDATE public.$name SET n = n + (SELECT count(*) FROM es_log)'$more);
SQL
	return;
}

sub append
{
	my ($node, $database, $count) = @_;
	$node->safe_psql($database,
		"SELECT es_append('stream-' || i, 'Happened', '{}') FROM generate_series(1, $count) i");
	return;
}

# Every projection's table says how many events there are.
sub counts_are_exact
{
	my ($node, $database, $name, @projections) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	succeeds($node, $database, "SELECT es_wait('$_', '60 s')", 't', "$name: $_ has caught up") for @projections;
	my $sql = join ' UNION ALL ', map { "SELECT '$_', n - (SELECT count(*) FROM es_events) FROM $_" } @projections;
	return is($node->safe_psql($database, "SELECT * FROM ($sql) x (name, n) WHERE n <> 0"),
		'', "$name: each event was applied once");
}

sub log_count
{
	my ($node, $pattern, $offset) = @_;
	my $log = substr(slurp_file($node->logfile), $offset // 0);
	return scalar(() = $log =~ /$pattern/g);
}

sub state_is
{
	my ($node, $name, $state, $test) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until($db, "SELECT state FROM es_projections WHERE name = '$name'", $state), $test);
}

my $node = new_log_node('main', conf => "log_min_messages = debug1\n");

# ---------------------------------------------------------------------------
# They come when there is something to do.
# ---------------------------------------------------------------------------

log_is_caught_up($node, $db, 'the sequencer works');
is(log_count($node, 'projection worker \d+ of database \d+ has started'), 0, 'no projections, no worker');

create_counter($node, $db, 'first');
projection_workers_are($node, $db, 1, 'a projection brings a worker');
append($node, $db, 10);
counts_are_exact($node, $db, 'at first', 'first');
is( $node->safe_psql($db,
		"SELECT state, position, lag_events, lag_time, events, partitions, attempts, dead_letters, cardinality(pids), progress IS NULL"
		  . " FROM es_projections WHERE name = 'first'"),
	'waiting|10|0|00:00:00|10|1|0|0|1|t',
	'es_projections shows it');
is($node->safe_psql($db, "SELECT pids[1] FROM es_projections WHERE name = 'first'"),
	(projection_pids($node, $db))[0], 'and its worker');

my $wait_event = $node->safe_psql($db, "SELECT current_setting('server_version_num')::int >= 170000") eq 't' ? 'EventStoreProjectionMain' : 'Extension';
ok( $node->poll_query_until($db,
		"SELECT state || ' ' || wait_event FROM pg_stat_activity WHERE backend_type = 'event_store projection'",
		"idle $wait_event"),
	'an idle worker sleeps until it is woken');

# ---------------------------------------------------------------------------
# Nobody delays another.
# ---------------------------------------------------------------------------

create_counter($node, $db, $_) for qw(second third);
$node->safe_psql($db, <<'SQL');
CREATE TABLE slow (n bigint);
INSERT INTO slow VALUES (0);
SELECT es_create_projection('slow', 'WITH x AS MATERIALIZED (SELECT pg_advisory_xact_lock(4711)), y AS MATERIALIZED (SELECT count(*) FROM x)
	UPDATE public.slow SET n = n + (SELECT count(*) FROM es_log) FROM y');
SELECT es_create_projection('stuck', 'SELECT pg_advisory_xact_lock(4712) FROM es_log');
SQL
projection_workers_are($node, $db, 4, 'more projections bring more workers, as many as the setting allows');

my $lock  = holder($node, $db, 'SELECT pg_advisory_xact_lock(4711)');
my $stuck = holder($node, $db, 'SELECT pg_advisory_xact_lock(4712)');
append($node, $db, 10);
ok( $node->poll_query_until($db,
		"SELECT state FROM es_projections WHERE name = 'stuck' AND EXISTS (SELECT FROM pg_stat_activity WHERE query = 'stuck' AND wait_event = 'advisory')", 'running'),
	'one projection stands still');
for (1 .. 5)
{
	append($node, $db, 10);
	counts_are_exact($node, $db, "while two are slow, round $_", qw(first second third));
}
succeeds($node, $db, "SELECT es_wait('slow', '20 ms')", 'f', 'es_wait says false when the time is over');
is($node->safe_psql($db, "SELECT lag_events, lag_time > '0' FROM es_projections WHERE name = 'slow'"),
	'60|t', 'the slow one lags behind');
my $table = holder($node, $db, 'LOCK TABLE second IN ACCESS EXCLUSIVE MODE');
append($node, $db, 10);
counts_are_exact($node, $db, 'while a table is locked, too', qw(first third));
let_go($table);
let_go($lock);
counts_are_exact($node, $db, 'after the locks', qw(first second third slow));

# One that somebody runs by hand, in a transaction that goes on.
append($node, $db, 10);
counts_are_exact($node, $db, 'before one is run by hand', 'first');
my $by_hand = holder($node, $db, "SELECT es_run_projections('first')");
append($node, $db, 10);
succeeds($node, $db, "SELECT es_wait('first', '50 ms')", 'f', 'a task that a session has locked stands still');
counts_are_exact($node, $db, 'the others do not', qw(second third slow));
let_go($by_hand);
counts_are_exact($node, $db, 'when the session has let go', 'first');

# The one that stands still is stopped with its worker; the definition goes.
$node->safe_psql($db, "DELETE FROM es_projection_definitions WHERE name = 'stuck'");
is($node->safe_psql($db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'stuck'"), 't', 'a worker is terminated at its work');
append($node, $db, 10);
counts_are_exact($node, $db, 'after that', qw(first second third slow));
projection_workers_are($node, $db, 4, 'another worker takes its place');
let_go($stuck);

# ---------------------------------------------------------------------------
# Settings.
# ---------------------------------------------------------------------------

$node->safe_psql($db, 'ALTER SYSTEM SET event_store.max_projection_workers = 1; SELECT pg_reload_conf()');
projection_workers_are($node, $db, 1, 'surplus workers leave');
append($node, $db, 10);
counts_are_exact($node, $db, 'with one worker', qw(first second third slow));
$node->safe_psql($db, 'ALTER SYSTEM RESET event_store.max_projection_workers; SELECT pg_reload_conf()');
projection_workers_are($node, $db, 4, 'they come back');

$node->safe_psql($db, 'ALTER SYSTEM SET event_store.projections = off; SELECT pg_reload_conf()');
projection_workers_are($node, $db, 0, 'event_store.projections = off: they leave');
append($node, $db, 10);
fails_with($node, $db, "SELECT es_wait('first')", 'PE007', 'es_wait does not wait for nobody');
log_is_caught_up($node, $db, 'the log goes on');
is($node->safe_psql($db, "SELECT state FROM es_projections WHERE name = 'first'"), 'stopped', 'the state says so');
succeeds($node, $db, "SELECT es_run_projections('first')", '10', 'by hand it works');
succeeds($node, $db, "SELECT es_wait('first')", 't', 'and then there is nothing to wait for');
$node->safe_psql($db, 'ALTER SYSTEM RESET event_store.projections; SELECT pg_reload_conf()');
counts_are_exact($node, $db, 'switched on again', qw(first second third slow));

# ---------------------------------------------------------------------------
# es_wait.
# ---------------------------------------------------------------------------

fails_with($node, $db, "SELECT es_wait('nobody')", '42704', 'an unknown projection');
fails_with($node, $db, "SELECT es_wait('first', '-1 s')", '22023', 'a negative time');
succeeds($node, $db, 'SELECT es_wait()', 't', 'all of them');
fails_with($node, $db,
	"BEGIN; SELECT es_create_projection('mine', 'SELECT 1', after_position => 0); SELECT es_wait('mine')",
	qr/^55000: .*Commit first/s, 'one that is not committed');

$node->safe_psql($db, "UPDATE es_projection_definitions SET paused = true WHERE name = 'third'");
append($node, $db, 10);
fails_with($node, $db, "SELECT es_wait('third')", qr/^55000: .*paused.*es_resume_projection/s, 'a paused one');
fails_with($node, $db, 'SELECT es_wait()', qr/^55000: .*"third"/s, 'all, with a paused one among them');
is($node->safe_psql($db, "SELECT state FROM es_projections WHERE name = 'third'"), 'paused', 'its state');
$node->safe_psql($db, "UPDATE es_projection_definitions SET paused = false WHERE name = 'third'");
counts_are_exact($node, $db, 'after the pause', qw(first second third slow));

succeeds($node, $db,
	"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) > 0 FROM first; SELECT es_wait('first', '60 s'); COMMIT",
	"t\nt", 'in a transaction with a snapshot of its own');

# One that waits is woken.
$lock = holder($node, $db, 'SELECT pg_advisory_xact_lock(4711)');
append($node, $db, 1);
my $waiter = $node->background_psql($db, on_error_stop => 0);
$waiter->query_until(qr/waiting/, "\\echo waiting\nSELECT es_wait('slow');\n");
ok( $node->poll_query_until($db,
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^SELECT es_wait' AND wait_event IS NOT NULL AND state = 'active'"),
	'a session waits');
let_go($lock);
$waiter->query_safe('SELECT 1');
$waiter->quit;
counts_are_exact($node, $db, 'after the waiter', qw(slow));

# ---------------------------------------------------------------------------
# Failures.
# ---------------------------------------------------------------------------

my $offset = -s $node->logfile;
create_counter($node, $db, 'poor', 'max_retries => 0');
counts_are_exact($node, $db, 'before it fails', 'poor');
$node->safe_psql($db, 'ALTER TABLE poor ADD CHECK (n < 0) NOT VALID');
append($node, $db, 10);
state_is($node, 'poor', 'failed', 'a projection that fails stops');
fails_with($node, $db, "SELECT es_wait('poor')", qr/^55000: .*violates check constraint.*23514.*es_resume_projection/s,
	'es_wait says why');
counts_are_exact($node, $db, 'the others go on', qw(first second third slow));
is(log_count($node, 'WARNING:.*projection "poor" failed', $offset), 1, 'one line in the log');
$node->safe_psql($db, "DELETE FROM es_projection_definitions WHERE name = 'poor'");

$offset = -s $node->logfile;
create_counter($node, $db, 'broken');
counts_are_exact($node, $db, 'before it breaks', 'broken');
$node->safe_psql($db, "DELETE FROM es_checkpoints WHERE projection_id = (SELECT id FROM es_projection_definitions WHERE name = 'broken')");
append($node, $db, 10);
$node->wait_for_log(qr/WARNING:.*projection "broken" has no checkpoint/, $offset);
ok(1, 'an error that is not the SQL\'s is logged');
for (1 .. 3)
{
	append($node, $db, 10);
	counts_are_exact($node, $db, "the others go on, round $_", qw(first second third slow));
}
is(log_count($node, 'projection "broken" has no checkpoint', $offset), 1, 'once');
$node->safe_psql($db, "DELETE FROM es_projection_definitions WHERE name = 'broken'");

# Locks of the session that a projection has left behind are released.
$node->safe_psql($db, "SELECT es_create_projection('greedy', 'SELECT pg_advisory_lock(815)')");
append($node, $db, 1);
succeeds($node, $db, "SELECT es_wait('greedy', '60 s')", 't', 'a projection takes a session lock');
succeeds($node, $db, 'SELECT pg_try_advisory_lock(815)', 't', 'and does not keep it');
$node->safe_psql($db, "DELETE FROM es_projection_definitions WHERE name = 'greedy'");

# ---------------------------------------------------------------------------
# Who may see it.
# ---------------------------------------------------------------------------

$node->safe_psql($db, "CREATE ROLE nobody LOGIN; CREATE ROLE reads LOGIN; SELECT es_grant('reads', 'reader')");
succeeds($node, $db, "SELECT state FROM es_projections WHERE name = 'first'", 'waiting', 'a reader sees projections', 'reads');
succeeds($node, $db, "SELECT es_wait('first', '60 s')", 't', 'and waits for them', 'reads');
fails_with($node, $db, 'SELECT count(*) FROM es_projections', '42501', 'others do not', 'nobody');
fails_with($node, $db, "SELECT es_wait('first')", '42501', 'nor wait', 'nobody');

# ---------------------------------------------------------------------------
# In nobody's way.
# ---------------------------------------------------------------------------

$node->safe_psql($db, 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION event_store');
create_counter($node, 'other', $_) for qw(a b);
append($node, 'other', 5);
counts_are_exact($node, 'other', 'another database', qw(a b));
succeeds($node, $db, 'ALTER DATABASE other RENAME TO another', '', 'RENAME with workers running');
append($node, 'another', 5);
counts_are_exact($node, 'another', 'after RENAME', qw(a b));
succeeds($node, $db, 'CREATE DATABASE copy TEMPLATE another', '', 'CREATE DATABASE from it');
append($node, 'another', 5);
counts_are_exact($node, 'another', 'the template', qw(a b));
append($node, 'copy', 5);
counts_are_exact($node, 'copy', 'the copy', qw(a b));

# A worker that waits for a lock is no reason to wait for it.
$table = $node->background_psql('copy', on_error_stop => 0);
$table->query_safe('BEGIN; LOCK TABLE a IN ACCESS EXCLUSIVE MODE');
append($node, 'copy', 5);
$node->poll_query_until($db, "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'copy' AND backend_type = 'event_store projection' AND wait_event_type = 'Lock'")
  or die 'no worker waits for the lock';
succeeds($node, $db, 'DROP DATABASE copy WITH (FORCE)', '', 'DROP DATABASE while a worker is busy');
$table->{run}->finish;

$lock = holder($node, 'another', 'LOCK TABLE a IN ACCESS EXCLUSIVE MODE');
append($node, 'another', 5);
my $drop = $node->background_psql('another', on_error_stop => 0);
$drop->query_until(qr/dropping/, "\\echo dropping\nDROP EXTENSION event_store CASCADE;\n");
$node->poll_query_until($db, "SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^DROP EXTENSION' AND wait_event_type = 'Lock'")
  or die 'DROP EXTENSION does not wait';
let_go($lock);
$drop->query_safe('SELECT 1');
$drop->quit;
is($node->safe_psql('another', "SELECT count(*) FROM pg_extension WHERE extname = 'event_store'"),
	'0', 'DROP EXTENSION waits for a batch that runs, and then is done');
projection_workers_are($node, 'another', 0, 'the workers leave');
$node->safe_psql('another', 'CREATE EXTENSION event_store; DROP TABLE a, b');
create_counter($node, 'another', 'a');
append($node, 'another', 5);
counts_are_exact($node, 'another', 'a new store', 'a');
succeeds($node, $db, 'DROP DATABASE another', '', 'DROP DATABASE');

# ---------------------------------------------------------------------------
# Crashes.
# ---------------------------------------------------------------------------

for my $how (qw(kill9 terminate immediate))
{
	my $load = $node->background_psql($db, on_error_stop => 0);
	$load->query_until(qr/go/, "\\echo go\nSELECT count(es_append('load-' || i % 7, 'Happened', '{}')) FROM generate_series(1, 2000) i;\n");
	my @pids = projection_pids($node, $db);

	if ($how eq 'kill9')
	{
		kill 'KILL', $pids[0];
		wait_for_server($node);
	}
	elsif ($how eq 'terminate')
	{
		$node->safe_psql($db, "SELECT pg_terminate_backend($_)") for @pids;
	}
	else
	{
		$node->stop('immediate');
		$node->start;
	}
	$load->{run}->kill_kill;
	append($node, $db, 10);
	counts_are_exact($node, $db, "after $how", qw(first second third slow));
	projection_workers_are($node, $db, 4, "after $how all workers are back");
}

# ---------------------------------------------------------------------------
# The first projection comes while the sequencer looks whether there is one: what
# the sequencer has seen is out of date when it says so.
# ---------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE early');
$node->safe_psql('postgres', 'ALTER SYSTEM SET event_store.sequencer = off; SELECT pg_reload_conf()');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'event_store sequencer'"), 'no sequencer');
$node->safe_psql('early', <<'SQL');
CREATE EXTENSION event_store;

-- The sequencer has to read much that is dead.
ALTER TABLE es_projection_definitions DISABLE TRIGGER USER;
BEGIN;
INSERT INTO es_projection_definitions (name, owner, kind) SELECT i, 'postgres', 'view' FROM generate_series(1, 200000) i;
ROLLBACK;
ALTER TABLE es_projection_definitions ENABLE TRIGGER USER;
CREATE TABLE early (n bigint);
INSERT INTO early VALUES (0);
SQL

my $creator = $node->background_psql('early', on_error_stop => 1);
$creator->query_safe(<<'SQL');
BEGIN;
SELECT es_create_projection('early', 'UPDATE public.early SET n = n + (SELECT count(*) FROM es_log)');
SELECT es_append('stream-1', 'Happened', '{}');
SQL
$node->safe_psql('postgres', 'ALTER SYSTEM RESET event_store.sequencer; SELECT pg_reload_conf()');
$creator->query_safe(<<'SQL');
DO $$
BEGIN
	WHILE (SELECT state IN ('unknown', 'starting') FROM es_sequencer)
	  AND NOT EXISTS (SELECT FROM pg_locks JOIN es_sequencer USING (pid) WHERE relation = 'es_projection_definitions'::regclass) LOOP
	END LOOP;
END $$;
COMMIT;
SQL
$creator->quit;
counts_are_exact($node, 'early', 'created while the sequencer looks', 'early');

# Store and projection in one transaction: whoever says last that it is there.
$node->safe_psql('early', <<'SQL');
BEGIN;
DROP EXTENSION event_store;
CREATE EXTENSION event_store;
UPDATE early SET n = 0;
SELECT es_create_projection('early', 'UPDATE public.early SET n = n + (SELECT count(*) FROM es_log)');
SELECT es_append('stream-1', 'Happened', '{}');
COMMIT;
SQL
counts_are_exact($node, 'early', 'created with the store', 'early');
$node->safe_psql('postgres', 'DROP DATABASE early');

# ---------------------------------------------------------------------------
# Where they do not run.
# ---------------------------------------------------------------------------

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
append($node, $db, 5);
fails_with($node, $db, "SELECT es_wait('first')", qr/^PE007: .*es_run_projections/s, 'not preloaded: es_wait says what to do');
$node->safe_psql($db, 'SELECT es_sequence(); SELECT es_run_projections()');
is($node->safe_psql($db, 'SELECT min(n), max(n) = (SELECT count(*) FROM es_events) FROM (SELECT n FROM first UNION ALL SELECT n FROM slow) x'),
	$node->safe_psql($db, 'SELECT count(*), true FROM es_events'), 'es_run_projections does it by hand');
is($node->safe_psql($db, "SELECT state, lag_events FROM es_projections WHERE name = 'first'"), 'waiting|0', 'es_projections works');
log_is_clean($node);
$node->stop;

# ---------------------------------------------------------------------------
# Too few worker processes.
# ---------------------------------------------------------------------------

# PostgreSQL's own launcher and ours take two.
my $tight = new_log_node('tight', conf => "max_worker_processes = 6\nmax_logical_replication_workers = 0\n");
create_counter($tight, $db, $_) for qw(first second third fourth fifth sixth);
$tight->safe_psql($db, 'ALTER SYSTEM SET event_store.max_projection_workers = 6; SELECT pg_reload_conf()');
append($tight, $db, 10);
counts_are_exact($tight, $db, 'few workers', qw(first second third fourth fifth sixth));
$tight->wait_for_log(qr/WARNING:.*no worker process.*more projection worker/);
projection_workers_are($tight, $db, 4, 'as many as there is room for');
$tight->safe_psql($db, 'CREATE DATABASE other');
$tight->safe_psql('other', 'CREATE EXTENSION event_store');
create_counter($tight, 'other', 'first');
append($tight, 'other', 10);
counts_are_exact($tight, 'other', 'another database gets its share', 'first');
append($tight, $db, 10);
counts_are_exact($tight, $db, 'fewer workers', qw(first second third fourth fifth sixth));
is(log_count($tight, 'more projection worker'), 1, 'that is logged once');

# No process at all is left.
$tight->append_conf('postgresql.conf', "max_worker_processes = 3\nevent_store.max_projections = 2\n");
$tight->restart;
append($tight, $db, 10);
append($tight, 'other', 10);
$tight->wait_for_log(qr/DETAIL:  Projections of \d databases? do not run/);
my @answers = map { outcome($tight, $_, "SELECT es_wait(NULL, '60 s')") } $db, 'other';
like("@answers", qr/PE007: projections are not running\nDETAIL:  There is no worker process/, 'es_wait says so');

# Too little room in shared memory: it only costs knowledge.
$tight->append_conf('postgresql.conf', 'max_worker_processes = 20');
$tight->restart;
counts_are_exact($tight, $db, 'most tasks have no place in shared memory', qw(first second third fourth fifth sixth));
$tight->wait_for_log(qr/WARNING:  no room in shared memory for the progress of \d+ projection/);
for (1 .. 3)
{
	append($tight, $db, 10);
	counts_are_exact($tight, $db, 'and again', qw(first second third fourth fifth sixth));
}
is($tight->safe_psql($db, "SELECT count(*) FROM es_projections WHERE state = 'waiting' AND lag_events = 0 AND events = 60"), '6', 'es_projections knows it from the tables');
log_is_clean($tight);
$tight->stop;

done_testing();
