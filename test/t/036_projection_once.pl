# Exactly once: while clients append, the server is killed and stopped at once, again
# and again. After each time every projection has counted every event once, in the
# order of the log; and a saga, whose handlers append events that others handle in
# turn, has appended one event for each that asked for it.
#
# ES_ROUNDS (20) and ES_SEED make it longer, and another one.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = $ENV{ES_ROUNDS} // 20;
my $seed   = $ENV{ES_SEED}   // 1;
my $dir    = PostgreSQL::Test::Utils::tempdir;
diag("ES_SEED=$seed ES_ROUNDS=$rounds");

my $node = new_log_node('once', conf => <<'CONF');
fsync = off
max_prepared_transactions = 40
event_store.projection_batch_size = 100
event_store.projection_retry_time = '20ms'
event_store.projection_max_retries = 20
CONF
install_load_functions($node, 'postgres');
log_is_caught_up($node, 'postgres', 'there is a sequencer');

install_counting_projections($node, 'postgres');

# ---------------------------------------------------------------------------
# Rounds
# ---------------------------------------------------------------------------
my @ends = (
	[ 'an immediate stop'              => sub { $node->stop('immediate'); $node->start } ],
	[ 'kill -9 of a projection worker' => sub { kill_process($node, 'KILL', 'event_store projection') } ],
	[ 'kill -9 of the sequencer'       => sub { kill_process($node, 'KILL', 'event_store sequencer') } ],
	[ 'an immediate stop'              => sub { $node->stop('immediate'); $node->start } ],
	[ 'kill -9 of a projection worker' => sub { kill_process($node, 'KILL', 'event_store projection') } ],
	[ 'kill -9 of a client'            => sub { kill_process($node, 'KILL', 'client backend') } ]);

for my $round (1 .. $rounds)
{
	my @scripts = map { "$dir/round$round.client$_.sql" } 1 .. 3;
	for my $client (1 .. 3)
	{
		write_client_script(
			$scripts[ $client - 1 ],
			client       => 100_000 * ($seed % 10_000) + 100 * $round + $client,
			appends      => 1500,
			streams      => 30,
			transactions => 0.2,
			prepared     => 0.1,
			stream       => \&shop_stream,
			event        => \&shop_event);
	}
	srand($seed * 1000 + $round);
	my ($name, $end) = @{ $ends[ $round % @ends ] };
	my $more    = 100 + int(rand(500));
	my @running = start_clients($node, 'postgres', @scripts);

	# Somewhere in the middle: projections are under way, and have not come to the end.
	$node->poll_query_until('postgres', "SELECT max(position) > $more + " . $node->safe_psql('postgres', 'SELECT max(position) FROM arrivals') =~ s/^$/0/r . ' FROM arrivals')
	  or die 'nothing comes';
	$end->();
	finish_after_crash($node, 'postgres', @running);
	all_is_counted_once($node, 'postgres', "round $round, $name");
}
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM es_events WHERE event_type = 'OrderPlaced'}), '>', 50 * $rounds, 'there were orders');
log_is_whole($node, 'postgres', 'the log is whole');
store_is_sound($node, 'postgres', 'the store is sound');

# Would one too many, or one too few, have been found?
for my $change ('UPDATE counter SET n = n + 1', 'DELETE FROM arrivals WHERE position = 100', q{UPDATE split_counter SET n = n - 1 WHERE stream_id = 'order-1'},
	q{INSERT INTO inline_arrivals VALUES ('order-1', 1)}, q{DO $$ BEGIN PERFORM es_append('payment-order-1', 'PaymentRequested', '{"order": "order-1", "version": 1}'); END $$})
{
	isnt(miscounted($node, 'postgres', $change), '', "found: $change");
}
log_is_clean($node);
$node->stop;
done_testing();
