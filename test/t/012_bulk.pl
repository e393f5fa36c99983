# Large transactions side by side: loads of more streams than there are locks for,
# and restores of recorded events into one store, while others append. At worst one
# of them ends in a deadlock and is repeated; nobody else sees an error.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir  = PostgreSQL::Test::Utils::tempdir;
my $node = new_node('bulk', conf => "deadlock_timeout = 50ms\n");
$node->safe_psql('postgres', 'CREATE EXTENSION event_store');
install_load_functions($node, 'postgres');

# Runs the scripts side by side, each again until it has gone through, beside
# clients that append. Returns the SQLSTATEs that the scripts have met.
my $round = 0;

sub side_by_side
{
	my ($name, @scripts) = @_;
	my @appends = map { "$dir/round$round.client$_.sql" } 1 .. 3;
	my %errors;

	for my $client (1 .. 3)
	{
		write_client_script(
			$appends[ $client - 1 ],
			client       => 100 * ++$round + $client,
			appends      => 1500,
			streams      => 20,
			transactions => 0.2);
	}
	my @running = start_clients($node, 'postgres', @appends);

	while (@scripts)
	{
		my @loads = start_clients($node, 'postgres', @scripts);
		my @exits = finish_clients(@loads);

		$errors{$_}++ for map { slurp_file("$_.err") =~ /ERROR:  (\w{5}):/ } @scripts;
		@scripts = @scripts[ grep { $exits[$_] != 0 } 0 .. $#scripts ];
		die "$name does not come to an end" if ($errors{'40P01'} // 0) > 100;
	}
	is_deeply([ finish_clients(@running) ], [ (0) x @running ], "$name: the other clients came to their end");

	my ($acked, $others) = acknowledged(map { "$_.out" } @appends);
	my %allowed = map { $_ => 1 } qw(PE001 40P01 55P03 57014 25P02 3B001);
	is_deeply([ grep { !$allowed{$_} } sort keys %$others ], [], "$name: they saw no other errors than they should");
	acknowledged_is_stored($node, 'postgres', $acked, $name);
	is_deeply([ grep { $_ ne '40P01' } sort keys %errors ], [], "$name: nothing worse than a deadlock");
	note "$name: deadlocks: ", $errors{'40P01'} // 0;
	return;
}

sub script
{
	my ($name, $sql) = @_;
	append_to_file("$dir/$name.sql", "\\set VERBOSITY verbose\n\\set ON_ERROR_STOP on\n$sql");
	return "$dir/$name.sql";
}

# ---------------------------------------------------------------------------
# Many more streams than event_store.max_stream_locks, and than locks.
# ---------------------------------------------------------------------------
my $streams = 20_000;
cmp_ok($node->safe_psql('postgres',
		"SELECT current_setting('max_locks_per_transaction')::int * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)"),
	'<', $streams, 'there are fewer locks than streams');
side_by_side(
	'loads of many streams',
	script('copy', "COPY es_events (stream_id, event_type, data) FROM stdin;\n"
		  . join('', map { "copied-$_\tLoaded\t1\n" } 1 .. $streams) . "\\.\n"),
	script('insert', "INSERT INTO es_events (stream_id, event_type, data) SELECT 'inserted-' || i, 'Loaded', '1' FROM generate_series(1, $streams) i;\n"),
	script('append', "SELECT count(es_append('appended-' || i, 'Loaded', '1', expected_version => 0)) FROM generate_series(1, $streams) i;\n"));
is($node->safe_psql('postgres', "SELECT count(*) FROM es_events WHERE event_type = 'Loaded'"), 3 * $streams, 'every load is there once');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), '0', 'no lock is left behind');

# ---------------------------------------------------------------------------
# Recorded events of four other stores, with numbers of their own, restored at once.
# ---------------------------------------------------------------------------
my @restores;
for my $part (1 .. 4)
{
	push @restores, script("restore$part",
		"COPY es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal) FROM stdin;\n"
		  . join('', map {
			my $n = $_;
			# The versions of a stream come in reverse.
			map { sprintf("restored-%d-%d\t%d\t%s\tRestored\t1\t1\t{}\t2020-01-01\t%d\t%d\n",
					$part, $n, $_, event_uuid(1000 + $part, 10 * $n + $_), 1_000_000 * $part + $n, $_ - 1) } (3, 2, 1)
		  } 1 .. 2000)
		  . "\\.\n");
}
side_by_side('restores', @restores);
is($node->safe_psql('postgres', "SELECT count(*) FROM es_events WHERE event_type = 'Restored'"), 4 * 3 * 2000, 'every restored event is there once');
succeeds($node, 'postgres', "SELECT es_append('restored-3-7', 'After', '1', expected_version => 3)", '4', 'a restored stream goes on');
cmp_ok($node->safe_psql('postgres', "SELECT tx FROM es_events WHERE event_type = 'After'"), '>', 4_002_000, 'with a number beyond the restored ones');

# A restore that is rolled back may skip numbers, and no more; one that would leave
# none is refused.
my $copy = "INSERT INTO es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal)"
  . " VALUES ('failed-1', 1, gen_random_uuid(), 'Failed', 1, '1', '{}', now(), %s, 0);";
$node->safe_psql('postgres', 'BEGIN; ' . sprintf($copy, 9_000_000) . ' ROLLBACK;');
$node->safe_psql('postgres', 'BEGIN; SAVEPOINT a; ' . sprintf($copy, 9_000_001) . ' ROLLBACK TO a; COMMIT;');
fails_with($node, 'postgres', sprintf($copy, '9223372036854775807'), qr/^22(?:003|023): /, 'the greatest number is refused');
succeeds($node, 'postgres', "SELECT es_append('failed-1', 'First', '1', expected_version => 0)", '1', 'a restore that was rolled back is gone');
store_is_sound($node, 'postgres', 'the store is sound');

log_is_clean($node);
$node->stop;
done_testing();
