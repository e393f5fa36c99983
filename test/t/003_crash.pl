# Ten crashes under load: a child of the postmaster is killed, or the server is
# stopped at once. Every acknowledged event is there afterwards, none is there
# twice, and what was not acknowledged is there wholly or not at all.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds  = 10;
my $clients = 8;
my $dir     = PostgreSQL::Test::Utils::tempdir;
my @books;

my $node = new_node('crash', conf => <<'CONF');
fsync = on
synchronous_commit = on
restart_after_crash = on
deadlock_timeout = 20ms
CONF
$node->safe_psql('postgres', 'CREATE EXTENSION event_store');
install_load_functions($node, 'postgres');

# Kills one process of the server of that type, without a chance to clean up.
sub kill_child
{
	my ($type) = @_;
	my $pid = $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'"
		  . " AND pid <> pg_backend_pid() ORDER BY pid LIMIT 1");

	die "no $type to kill" unless $pid =~ /^\d+$/;
	kill 'KILL', $pid;
	return;
}

# Every event of a batch carries the batch's name and size.
sub batches_are_whole
{
	my ($name) = @_;
	return is(
		$node->safe_psql('postgres', <<'SQL'), '', $name);
SELECT format('tx %s has %s of %s events of batch %s', tx, count(*), max(size), batch)
	FROM (SELECT tx, data ->> 'batch' AS batch, (data ->> 'size')::int AS size
		FROM es_events WHERE event_type = 'Whole') e
	GROUP BY tx, batch HAVING count(*) <> max(size);
SQL
}

my @victims = ('client backend', 'checkpointer', undef, 'walwriter', 'client backend', undef);
for my $round (1 .. $rounds)
{
	my $victim  = $victims[ $round % @victims ];
	my $what    = defined $victim ? "kill -9 of a $victim" : 'an immediate stop';
	my @scripts = map { "$dir/round$round.client$_.sql" } 1 .. $clients;

	for my $client (1 .. $clients)
	{
		write_client_script(
			$scripts[ $client - 1 ],
			client       => $round * 100 + $client,
			appends      => 3000,
			streams      => 20,
			transactions => 0.2);
	}

	# Beside the clients that keep book, one appends large batches without end.
	my $batches = "$dir/round$round.batches.sql";
	append_to_file($batches, join('', map {
		my $size = 1 + $_ % 200;
		"SELECT es_append_batch('whole', array_fill('Whole'::text, ARRAY[$size]),"
		  . " array_fill('{\"batch\": \"$round-$_\", \"size\": $size}'::jsonb, ARRAY[$size]));\n"
	} 1 .. 5000));

	my $before = $node->safe_psql('postgres',
		"SELECT count(*) FROM es_events WHERE event_type <> 'Whole'");
	my @running = start_clients($node, 'postgres', @scripts, $batches);
	$node->poll_query_until('postgres',
		"SELECT count(*) > $before + 1000 FROM es_events WHERE event_type <> 'Whole'")
	  or die 'the clients did not append';

	if (defined $victim)
	{
		kill_child($victim);
	}
	else
	{
		$node->stop('immediate');
	}
	my @exits = finish_clients(@running);
	is(scalar(grep { $_ == 0 } @exits), 0, "round $round, $what: every client was cut off");
	$node->start unless defined $victim;
	wait_for_server($node);

	push @books, map { "$_.out" } @scripts;
	my ($acked, $errors) = acknowledged(@books);
	cmp_ok(scalar @$acked, '>', 100 * $round, "round $round: events were acknowledged");
	acknowledged_is_stored($node, 'postgres', $acked, "round $round, $what");
	batches_are_whole("round $round: batches are there wholly or not at all");
}

store_is_sound($node, 'postgres', 'the store is sound after all of it');
is($node->safe_psql('postgres', "SELECT es_append('after', 'Crash', '1', expected_version => 0)"),
	'1', 'and goes on');

log_is_clean($node);
$node->stop;
done_testing();
