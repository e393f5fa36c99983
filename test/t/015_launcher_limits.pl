# The launcher where a setting is in its way: one line in the log that names it,
# not one per second; standbys; servers that do not preload the library.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $sequencers = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_stat_activity"
  . " WHERE backend_type = 'event_store sequencer'";

sub log_count
{
	my ($node, $pattern, $offset) = @_;
	my $log = substr(slurp_file($node->logfile), $offset // 0);
	return scalar(() = $log =~ /$pattern/g);
}

# Makes the launcher do a number of rounds.
sub rounds
{
	my ($node, $rounds) = @_;
	for (1 .. $rounds)
	{
		my $before = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
		$node->reload;
		$node->poll_query_until('postgres', "SELECT state = 'idle' AND state_change > '$before'"
			  . " FROM pg_stat_activity WHERE backend_type = 'event_store launcher'")
		  or die 'the launcher does nothing';
	}
	return;
}

# ---------------------------------------------------------------------------
# wal_level is not logical.
# ---------------------------------------------------------------------------
my $node = new_node('limits', conf => worker_settings() . "wal_level = replica\n");
my $no_wal = qr/WARNING:  event_store starts no sequencers/;

$node->wait_for_log($no_wal);
ok(log_count($node, qr/"wal_level" is "replica"/), 'the log says what wal_level is');
ok(log_count($node, qr/HINT:  Set "wal_level" to "logical"/), 'and what to set');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql($_, "CREATE EXTENSION event_store; SELECT es_append('a-1', 'A', '1')") for 'postgres', 'other';
rounds($node, 3);
is(log_count($node, $no_wal), 1, 'it says so once');
is($node->safe_psql('postgres', $sequencers), '', 'there is no sequencer');
succeeds($node, 'postgres', 'DROP DATABASE other', '', 'databases can be dropped');

# ---------------------------------------------------------------------------
# Too few worker processes: the launcher of logical replication and ours leave
# one.
# ---------------------------------------------------------------------------
$node->append_conf('postgresql.conf', "wal_level = logical\nmax_worker_processes = 3\n");
$node->restart;
sequencers_are($node, 'postgres', 'a sequencer, once wal_level is logical');
my $offset = -s $node->logfile;
my $no_worker = qr/WARNING:  no worker process/;
for my $database ('b', 'c')
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION event_store');
}
$node->wait_for_log($no_worker, $offset);
rounds($node, 3);
is(log_count($node, $no_worker, $offset), 1, 'too few worker processes: it says so once');
like(substr(slurp_file($node->logfile), $offset), qr/HINT:  Set "max_worker_processes" to [45] or more \(it is 3\)/,
	'and how many are needed');
is($node->safe_psql('postgres', $sequencers), 'postgres', 'the first has its sequencer all the while');
$node->safe_psql('postgres', 'DROP EXTENSION event_store');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'event_store sequencer' AND datname IN ('b', 'c')"),
	'a process that becomes free is used');
$node->append_conf('postgresql.conf', 'max_worker_processes = 20');
$node->restart;
sequencers_are($node, 'b c', 'with enough of them all have one');

# ---------------------------------------------------------------------------
# Too little room in shared memory.
# ---------------------------------------------------------------------------
# The launcher may say so before there is a third store, because it has no room
# to look for one.
$offset = -s $node->logfile;
$node->append_conf('postgresql.conf', 'event_store.max_databases = 2');
$node->restart;
sequencers_are($node, 'b c', 'there is room for two');
my $no_room = qr/WARNING:  no room in shared memory/;
$node->safe_psql('postgres', 'CREATE EXTENSION event_store');
$node->wait_for_log($no_room, $offset);
$node->safe_psql('postgres', "SELECT es_append('a-2', 'A', '1')") for 1 .. 5;
rounds($node, 3);
is(log_count($node, $no_room, $offset), 1, 'too little room: it says so once');
like(substr(slurp_file($node->logfile), $offset), qr/HINT:  Set "event_store.max_databases" to \d+ or more \(it is 2\)/,
	'and how much is needed');
succeeds($node, 'postgres', 'CREATE DATABASE d TEMPLATE c', '', 'a database without room is copied');
succeeds($node, 'postgres', 'DROP DATABASE d',  '', 'and dropped');
sequencers_are($node, 'b c', 'the others have theirs');
succeeds($node, 'postgres', 'DROP DATABASE b', '', 'a database with one is dropped');
sequencers_are($node, 'c postgres', 'its place is taken');

# Many databases at once.
$node->append_conf('postgresql.conf', "event_store.max_databases = 64\nmax_worker_processes = 6\n");
$node->safe_psql('postgres', "CREATE DATABASE empty$_") for 1 .. 12;
$node->restart;
$offset = -s $node->logfile;
sequencers_are($node, 'c postgres', 'the right ones among many databases are found');
rounds($node, 2);
is(log_count($node, $no_worker, $offset), 0, 'looking at many needs few worker processes');
log_is_clean($node);
$node->stop;

# ---------------------------------------------------------------------------
# A standby.
# ---------------------------------------------------------------------------
my $primary = new_node(
	'launching_primary',
	init => { allows_streaming => 'logical' },
	conf => worker_settings() . "max_wal_senders = 10\nmax_replication_slots = 10\n");
$primary->safe_psql('postgres', 'CREATE EXTENSION event_store; CREATE DATABASE other');
sequencers_are($primary, 'postgres', 'the primary has a sequencer');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('launching_standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'event_store%'"),
	'0', 'on a standby nothing runs');
like(outcome($standby, 'postgres', $_), qr/^25006/, "on a standby: $_")
  for 'DROP DATABASE other', 'CREATE DATABASE another', 'ALTER DATABASE other RENAME TO another';
$primary->safe_psql('postgres', 'CREATE DATABASE third');
$primary->safe_psql('third', 'CREATE EXTENSION event_store');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
$standby->promote;
sequencers_are($standby, 'postgres third', 'after its promotion the sequencers run');
succeeds($standby, 'postgres', 'DROP DATABASE third', '', 'and get out of the way');
log_is_clean($standby);
$standby->stop;
sequencers_are($primary, 'postgres third', 'the primary keeps its own');
$primary->stop;

# ---------------------------------------------------------------------------
# Not preloaded.
# ---------------------------------------------------------------------------
$primary->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$primary->start;
succeeds($primary, 'postgres', "SELECT es_append('a-1', 'A', '1')", '1', 'appends work without preload');
is(outcome($primary, 'postgres', "LOAD 'event_store'; CREATE DATABASE fourth TEMPLATE third"), 'ok ',
	'so do commands that need a database for themselves');
succeeds($primary, 'postgres', 'DROP DATABASE fourth', '', 'DROP DATABASE');
succeeds($primary, 'third', 'DROP EXTENSION event_store', '', 'DROP EXTENSION');
is($primary->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'event_store%'"),
	'0', 'nothing runs');
log_is_clean($primary);
$primary->stop;

done_testing();
