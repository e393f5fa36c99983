# pg_upgrade from an older PostgreSQL that is installed beside this one and has the
# extension, too: positions are what they were, and the log goes on from its head.
#
# ES_OLD_BINDIR: the programs of the old one (else those of the oldest found).

use strict;
use warnings;

use EventStoreTest;
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

sub ask
{
	my ($program, @arguments) = @_;
	my ($out, $err) = run_command([ $program, @arguments ]);
	chomp $out;
	return $out;
}

sub major
{
	my ($bindir) = @_;
	return ask("$bindir/postgres", '--version') =~ /\) (\d+)/ ? $1 : 0;
}

my $bindir = ask('pg_config', '--bindir');
my ($old_bindir) = grep {
	major($_) && major($_) < major($bindir)
	  && -e ask("$_/pg_config", '--sharedir') . '/extension/event_store.control'
  } defined $ENV{ES_OLD_BINDIR}
  ? $ENV{ES_OLD_BINDIR}
  : map { "$_/bin" } sort glob(dirname(dirname($bindir)) . '/*');

plan skip_all => 'no older PostgreSQL with event_store is installed beside this one'
  unless defined $old_bindir;
diag('from PostgreSQL ' . major($old_bindir) . ' to ' . major($bindir));

my $dir      = PostgreSQL::Test::Utils::tempdir;
my %settings = (
	init => [ '--encoding=UTF8', '--no-locale', '--data-checksums' ],
	conf => worker_settings() =~ s/^output_plugin_libraries.*\n//mr
	  . "max_prepared_transactions = 10\nmax_worker_processes = 20\nautovacuum_naptime = 1d\n");

my $old = PostgreSQL::Test::Cluster->new('old', install_path => dirname($old_bindir));
$old->init(extra => $settings{init});
$old->append_conf('postgresql.conf', $settings{conf});
$old->start;
$old->safe_psql('postgres', 'CREATE EXTENSION event_store');
install_load_functions($old, 'postgres');
my @scripts = map { "$dir/client$_.sql" } 1 .. 3;
write_client_script($scripts[ $_ - 1 ], client => $_, appends => 300, streams => 5, transactions => 0.5) for 1 .. 3;
finish_clients(start_clients($old, 'postgres', @scripts));
log_is_caught_up($old, 'postgres', 'the old server');
my $positions = positions($old, 'postgres');

# A store whose log has not caught up.
$old->append_conf('postgresql.conf', 'event_store.sequencer = off');
$old->restart;
$old->safe_psql('postgres', "SELECT es_append('late-' || i % 3, 'Late', '1') FROM generate_series(1, 10) i");
my $events = $old->safe_psql('postgres', 'SELECT count(*) FROM es_events');
# Slots are not taken along by an upgrade from versions before 17, and must have
# been read to their end by those from later ones.
$old->safe_psql('postgres', 'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
$old->stop;

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init(extra => $settings{init});
$new->append_conf('postgresql.conf', $settings{conf});
chdir $dir or die $!;
my $done = IPC::Run::run(
	[
		'pg_upgrade',
		'-b' => $old_bindir,
		'-B' => $bindir,
		'-d' => $old->data_dir,
		'-D' => $new->data_dir,
		'-s' => $new->host,
		'-p' => $old->port,
		'-P' => $new->port
	],
	'<', \undef, '>', \my $said, '2>', \my $complaint);
ok($done, 'pg_upgrade') or BAIL_OUT("$said$complaint");
$new->start;
log_is_caught_up($new, 'postgres', 'the new server');
is(substr(positions($new, 'postgres'), 0, length $positions), $positions, 'positions are what they were');
is($new->safe_psql('postgres', 'SELECT es_head_position()'), $events, 'what had none has got one');
$new->safe_psql('postgres', "SELECT es_append('new-1', 'New', '1')");
log_is_caught_up($new, 'postgres', 'an append on the new server');
is($new->safe_psql('postgres', "SELECT es_position('new-1', 1)"), $events + 1, 'goes on from the head');
log_is_whole($new, 'postgres', 'the log is whole');
store_is_sound($new, 'postgres', 'the store is sound');
log_is_clean($new);
$new->stop;
done_testing();
