# The launcher where something goes wrong: a sequencer that fails at its start, one
# that cannot leave, one that is held up; and pg_upgrade.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('failures', conf => worker_settings() . "log_line_prefix = '%n [%p] '\n");
$node->safe_psql('postgres', 'CREATE EXTENSION event_store; CREATE DATABASE broken');
$node->safe_psql('broken', 'CREATE EXTENSION event_store');
sequencers_are($node, 'broken postgres', 'two sequencers');

# ---------------------------------------------------------------------------
# One fails at each start, because nobody can connect to its database.
# ---------------------------------------------------------------------------
my $oid = $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'broken'");
my $file = $node->data_dir . "/base/$oid/PG_VERSION";
my $failure = qr/^([\d.]+) \[\d+\] FATAL:  .*base\/$oid" is not a valid data directory/m;

rename $file, "$file.away" or die "$file: $!";
my $offset = -s $node->logfile;
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'event_store sequencer' AND datname = 'broken'");
$node->wait_for_log(qr/(?:$failure.*){4}/s, $offset);
my @times = substr(slurp_file($node->logfile), $offset) =~ /$failure/g;
cmp_ok($times[ $_ + 1 ] - $times[$_], '>', 0.9 * 2**$_, 'after failure ' . ($_ + 1) . ' it waits at least ' . 2**$_ . ' s')
  for 0 .. 2;
sequencers_are($node, 'postgres', 'the other one works all the while');

rename "$file.away", $file or die "$file: $!";
my $start = time;
$node->reload;
sequencers_are($node, 'broken postgres', 'a reload makes it try again');
cmp_ok(time - $start, '<', 7, 'before the 8 s are over');

# The same when nothing is reloaded: CREATE EXTENSION does not wait.
rename $file, "$file.away" or die "$file: $!";
$offset = -s $node->logfile;
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'event_store sequencer' AND datname = 'broken'");
$node->wait_for_log(qr/(?:$failure.*){4}/s, $offset);
rename "$file.away", $file or die "$file: $!";
$start = time;
$node->safe_psql('broken', 'DROP EXTENSION event_store; CREATE EXTENSION event_store');
sequencers_are($node, 'broken postgres', 'nor does CREATE EXTENSION wait for its turn');
cmp_ok(time - $start, '<', 7, 'but makes it start before the 8 s are over');

# ---------------------------------------------------------------------------
# One that cannot hear: a new store's sequencer waits for a transaction of
# another database that is open.
# ---------------------------------------------------------------------------
my $open = $node->background_psql('postgres');
$open->query_safe('BEGIN');
$open->query_safe('SELECT pg_current_xact_id()');
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION event_store');
sequencers_are($node, 'broken fresh postgres', 'it is there');
for my $sql ('ALTER DATABASE fresh RENAME TO renamed', 'CREATE DATABASE copy TEMPLATE renamed', 'DROP DATABASE renamed', 'DROP DATABASE copy')
{
	$start = time;
	is(outcome($node, 'postgres', $sql), 'ok ', "$sql, while its sequencer waits for a transaction");
	cmp_ok(time - $start, '<', 14, 'does not wait, too');
}
sequencers_are($node, 'broken postgres', 'nothing is left');

# ---------------------------------------------------------------------------
# The holder of a database goes in the middle of its command: another session
# keeps DROP DATABASE waiting for its lock.
# ---------------------------------------------------------------------------
$open->query_safe('COMMIT');
$open->query_safe('BEGIN');
$open->query_safe('COMMENT ON DATABASE broken IS NULL');
my $drop = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $drop->query_safe('SELECT pg_backend_pid()');
for my $function ('pg_cancel_backend', 'pg_terminate_backend')
{
	$drop->query_until(qr/started/, "\\echo started\nDROP DATABASE broken;\n");
	ok($node->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid"),
		'DROP DATABASE waits for a lock');
	sequencers_are($node, 'postgres', 'its sequencer has left');
	$node->safe_psql('postgres', "SELECT $function($pid)");
	$open->query_safe('COMMIT') if $function eq 'pg_terminate_backend';
	sequencers_are($node, 'broken postgres', "it is back after $function");
}
$open->quit;
eval { $drop->quit };

log_is_clean($node);

# ---------------------------------------------------------------------------
# pg_upgrade, to the same version: neither server runs workers meanwhile. From 17 on
# it takes slots along, and wants all of their WAL read: the README says to drop them.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', "SELECT es_append('a-1', 'A', '1')");
$node->append_conf('postgresql.conf', 'event_store.sequencer = off');
$node->reload;
sequencers_are($node, '', 'all sequencers have left before the upgrade');
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE plugin = 'event_store'");
$node->stop;
my $new = PostgreSQL::Test::Cluster->new('upgraded');
$new->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$new->append_conf('postgresql.conf', worker_settings());
chdir $PostgreSQL::Test::Utils::tmp_check or die $!;
my $bindir = $new->config_data('--bindir');
command_ok(
	[
		'pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir,
		'-s', $new->host, '-p', $node->port, '-P', $new->port ],
	'pg_upgrade');
$new->start;
sequencers_are($new, 'broken postgres', 'after pg_upgrade the sequencers run');
is($new->safe_psql('postgres', "SELECT es_append('a-1', 'A', '2')"), '2', 'and the store goes on');
log_is_clean($new);
$new->stop;

done_testing();
