# The launcher: a sequencer comes to every database with a store, goes with it,
# comes back after whatever happens to it, and is in nobody's way.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# ---------------------------------------------------------------------------
# Who works where.
# ---------------------------------------------------------------------------

sub pid_of
{
	my ($node, $database) = @_;
	$node->poll_query_until('postgres', pid_query($database, '> 0')) or die "no sequencer in $database";
	return $node->safe_psql('postgres', pid_query($database, ''));
}

sub pid_query
{
	my ($database, $condition) = @_;
	return "SELECT pid $condition FROM pg_stat_activity"
	  . " WHERE backend_type = 'event_store sequencer' AND datname = '$database'";
}

# Another process than that one is there.
sub comes_back
{
	my ($node, $database, $pid, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until('postgres', pid_query($database, "<> $pid")), $name);
}

sub log_count
{
	my ($node, $pattern, $offset) = @_;
	my $log = substr(slurp_file($node->logfile), $offset // 0);
	return scalar(() = $log =~ /$pattern/g);
}

# A command of which users expect that it does not wait for anybody.
sub at_once
{
	my ($node, $sql, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $start = time;
	my $result = outcome($node, 'postgres', $sql);
	my $took = time - $start;

	# So long a sequencer would be waited for that does not leave.
	return is($result . ($took < 14 ? '' : sprintf(' after %.1f s', $took)), 'ok ', $name);
}

my $node = new_node('main', conf => worker_settings() . "restart_after_crash = on\n");
is( $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'event_store launcher'"),
	'1', 'there is a launcher');

# ---------------------------------------------------------------------------
# It comes and goes with the extension.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', 'CREATE EXTENSION event_store');
sequencers_are($node, 'postgres', 'CREATE EXTENSION brings a sequencer');

$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('postgres', 'CREATE DATABASE two');
$node->safe_psql('one', 'CREATE EXTENSION event_store');
$node->safe_psql('two', 'BEGIN; CREATE EXTENSION event_store; ROLLBACK');
$node->safe_psql('two', 'CREATE SCHEMA s; CREATE EXTENSION event_store SCHEMA s');
sequencers_are($node, 'one postgres two', 'one in each database that has it');

$node->safe_psql('two', 'DROP EXTENSION event_store');
sequencers_are($node, 'one postgres', 'DROP EXTENSION ends it');
$node->safe_psql('two', 'CREATE EXTENSION event_store SCHEMA s');
sequencers_are($node, 'one postgres two', 'CREATE EXTENSION brings it back');
$node->safe_psql('two', 'DROP SCHEMA s CASCADE');
sequencers_are($node, 'one postgres', 'it goes with the schema, too');
$node->safe_psql('two', "BEGIN; CREATE EXTENSION event_store; PREPARE TRANSACTION 'create'");
$node->safe_psql('two', "COMMIT PREPARED 'create'");
sequencers_are($node, 'one postgres two', 'a prepared CREATE EXTENSION');
$node->safe_psql('two', "BEGIN; DROP EXTENSION event_store; PREPARE TRANSACTION 'drop'");
$node->safe_psql('two', "COMMIT PREPARED 'drop'");
sequencers_are($node, 'one postgres', 'a prepared DROP EXTENSION');

# Replication slots of a store that is gone.
my $two = $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'two'");
$node->safe_psql('two', "SELECT pg_create_logical_replication_slot('event_store_${two}_1', 'event_store', false)");
$node->restart;
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_replication_slots WHERE slot_name = 'event_store_${two}_1'"),
	'the replication slot of a database without a store is dropped');
sequencers_are($node, 'one postgres', 'after a restart all are back');

# ---------------------------------------------------------------------------
# In nobody's way.
# ---------------------------------------------------------------------------
my $one = pid_of($node, 'one');
at_once($node, 'CREATE DATABASE copy TEMPLATE one', 'CREATE DATABASE from a template with a store');
sequencers_are($node, 'copy one postgres', 'both have a sequencer then');
at_once($node, 'CREATE DATABASE empty', 'CREATE DATABASE');
at_once($node, 'ALTER DATABASE copy RENAME TO renamed', 'ALTER DATABASE RENAME');
sequencers_are($node, 'one postgres renamed', 'it goes on after the renaming');
at_once($node, 'BEGIN; ALTER DATABASE renamed RENAME TO a; ALTER DATABASE a RENAME TO b; SAVEPOINT s; ALTER DATABASE b RENAME TO c; ROLLBACK TO s; COMMIT',
	'renamed several times in a transaction');
sequencers_are($node, 'b one postgres', 'it goes on after that, too');
at_once($node, 'ALTER DATABASE b RENAME TO renamed', 'and back again');

my $directory = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '$directory'");
pid_of($node, 'renamed');
at_once($node, 'ALTER DATABASE renamed SET TABLESPACE elsewhere', 'ALTER DATABASE SET TABLESPACE');
sequencers_are($node, 'one postgres renamed', 'it goes on in the other tablespace');

at_once($node, 'DROP DATABASE renamed', 'DROP DATABASE');
sequencers_are($node, 'one postgres', 'the sequencer is gone with it');
at_once($node, 'CREATE DATABASE copy TEMPLATE one', 'a copy again');
pid_of($node, 'copy');
at_once($node, 'DROP DATABASE copy WITH (FORCE)', 'DROP DATABASE WITH (FORCE)');
for (1 .. 5)
{
	at_once($node, 'CREATE DATABASE copy TEMPLATE one', 'a new database, which the launcher is looking at');
	at_once($node, 'DROP DATABASE copy', 'is dropped at once');
}
sequencers_are($node, 'one postgres', 'nothing is left of them');

# Of the session's own database only a copy can be made.
is(outcome($node, 'one', 'CREATE DATABASE copy TEMPLATE one'), 'ok ', 'a copy of the own database');
pid_of($node, 'copy');
like(outcome($node, 'copy', 'DROP DATABASE copy'), qr/^55006/, 'the own database is not dropped');
like(outcome($node, 'copy', 'ALTER DATABASE copy RENAME TO other'), qr/^0A000/, 'nor renamed');

# A session in the way still is, and says so; the sequencer goes on.
my $session = $node->background_psql('copy');
$session->query_safe('SELECT 1');
like(outcome($node, 'postgres', 'DROP DATABASE copy'), qr/^55006: .*accessed by other users/, 'a session is in the way');
pid_of($node, 'copy');
$session->quit;
at_once($node, 'DROP DATABASE copy', 'without it, nothing is');

# Strangers stop nobody: the process is the same as before.
$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN; CREATE ROLE creator LOGIN CREATEDB');
$one = pid_of($node, 'one');
for my $role ('stranger', 'creator')
{
	fails_with($node, 'postgres', $_, '42501', "$role: $_", $role)
	  for 'DROP DATABASE one', 'DROP DATABASE one WITH (FORCE)', 'ALTER DATABASE one RENAME TO other',
	  'ALTER DATABASE one SET TABLESPACE pg_default', 'CREATE DATABASE copy TEMPLATE one';
}
is(pid_of($node, 'one'), $one, 'commands that fail for lack of privileges stop no sequencer');
$node->safe_psql('postgres', 'ALTER DATABASE one OWNER TO creator');
is(outcome($node, 'postgres', 'ALTER DATABASE one RENAME TO uno', 'creator'), 'ok ', 'an owner renames his database');
sequencers_are($node, 'postgres uno', 'it goes on there');
fails_with($node, 'postgres', 'ALTER DATABASE uno RENAME TO postgres', '42P04', 'a renaming that fails', 'creator');
pid_of($node, 'uno');
is(outcome($node, 'postgres', 'BEGIN; SAVEPOINT s; ALTER DATABASE uno RENAME TO one; ROLLBACK', 'creator'), 'ok ', 'one that is taken back');
sequencers_are($node, 'postgres uno', 'the sequencer is there all the same');
$node->safe_psql('postgres', 'ALTER DATABASE uno RENAME TO one');

# ---------------------------------------------------------------------------
# It comes back.
# ---------------------------------------------------------------------------
$one = pid_of($node, 'one');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($one)");
comes_back($node, 'one', $one, 'a sequencer that was terminated comes back');

my $launcher_query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'event_store launcher'";
my $launcher = $node->safe_psql('postgres', $launcher_query);
$one = pid_of($node, 'one');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($launcher)");
ok($node->poll_query_until('postgres', "SELECT ($launcher_query) <> $launcher"), 'a launcher that was terminated comes back');
is(pid_of($node, 'one'), $one, 'the sequencers work on without it');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($one)");
comes_back($node, 'one', $one, 'the new launcher looks after those of the old one');
$node->safe_psql('one', 'DROP EXTENSION event_store');
sequencers_are($node, 'postgres', 'and learns what sessions want');
$node->safe_psql('one', 'CREATE EXTENSION event_store');
sequencers_are($node, 'one postgres', 'as before');

my $offset = -s $node->logfile;
kill 'KILL', pid_of($node, 'one');
$node->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
wait_for_server($node);
sequencers_are($node, 'one postgres', 'after a crash of a sequencer all are back');

# ---------------------------------------------------------------------------
# Settings.
# ---------------------------------------------------------------------------
$node->append_conf('postgresql.conf', 'event_store.sequencer = off');
$node->reload;
sequencers_are($node, '', 'event_store.sequencer = off ends all sequencers');
$node->append_conf('postgresql.conf', 'event_store.sequencer = on');
$node->reload;
sequencers_are($node, 'one postgres', 'and on starts them');

# A database that accepts no connections.
$node->safe_psql('postgres', 'ALTER DATABASE one ALLOW_CONNECTIONS false');
$one = pid_of($node, 'one');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($one)");
sequencers_are($node, 'postgres', 'a database without connections gets no sequencer');
at_once($node, 'CREATE DATABASE copy TEMPLATE one', 'it can be copied');
$node->safe_psql('postgres', 'ALTER DATABASE copy ALLOW_CONNECTIONS true');
$node->safe_psql('postgres', 'ALTER DATABASE one ALLOW_CONNECTIONS true');
$node->safe_psql('copy', 'SELECT 1');
$node->reload;
sequencers_are($node, 'copy one postgres', 'once it accepts them, it gets one');
at_once($node, 'DROP DATABASE copy', 'drop the copy');

# ---------------------------------------------------------------------------
# The end of the server.
# ---------------------------------------------------------------------------
for my $mode ('smart', 'fast', 'immediate')
{
	my $start = time;

	$node->stop($mode);
	cmp_ok(time - $start, '<', 30, "$mode shutdown does not wait for workers");
	$node->start;
	sequencers_are($node, 'one postgres', "they are back after a shutdown in mode $mode");
}
is(log_count($node, qr/FATAL:  .*event_store launcher/), 0, 'the end of the launcher is no news');
log_is_clean($node);
$node->stop;

done_testing();
