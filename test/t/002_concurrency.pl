# 16 clients append 20,000 times to 60 streams: at random expected versions, by
# every way in, in transactions that abort and with savepoints that roll back.
# Afterwards every stream is 1, 2, 3 ... without a hole, every acknowledged event
# is there once, at the version that the client was told, and no other event is.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 16;
my $appends = 20_000;
my $streams = 60;

# A deadlock is a matter of course here: two transactions may take two streams in
# opposite order.
my $node = new_node('concurrency', conf => "deadlock_timeout = 20ms\n");
$node->safe_psql('postgres', 'CREATE EXTENSION event_store');
install_load_functions($node, 'postgres');

my $dir     = PostgreSQL::Test::Utils::tempdir;
my @scripts = map { "$dir/client$_.sql" } 1 .. $clients;
for my $client (1 .. $clients)
{
	# One client has so low a limit that it takes the whole table now and then.
	write_client_script(
		$scripts[ $client - 1 ],
		client       => $client,
		appends      => $appends / $clients,
		streams      => $streams,
		transactions => 0.15,
		setup => $client == 1 ? "SET event_store.max_stream_locks = 2;\n" : '');
}

my @exits = finish_clients(start_clients($node, 'postgres', @scripts));
is_deeply(\@exits, [ (0) x $clients ], 'every client came to its end');

my ($acked, $errors) = acknowledged(map { "$_.out" } @scripts);
note 'errors: ', join(', ', map { "$_ $errors->{$_} times" } sort keys %$errors);
cmp_ok(scalar @$acked, '>', $appends / 2, 'most appends were acknowledged');
cmp_ok($errors->{PE001}, '>', 100, 'versions did conflict');

# Wrong versions, deadlocks, timeouts, and what follows in a transaction that is
# already lost: nothing else, above all no unique violation.
my %allowed = map { $_ => 1 } qw(PE001 40P01 55P03 57014 25P02 3B001);
is_deeply([ grep { !$allowed{$_} } sort keys %$errors ],
	[], 'clients saw no other errors than they should');

acknowledged_is_stored($node, 'postgres', $acked, 'afterwards', exact => 1);
store_is_sound($node, 'postgres', 'the store is sound');
is( $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
	'0', 'no lock is left behind');

log_is_clean($node);
$node->stop;
done_testing();
