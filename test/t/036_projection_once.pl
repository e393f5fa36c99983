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

# ---------------------------------------------------------------------------
# Projections that are wrong for good if anything is applied twice or left out.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', <<'SQL');
-- Statements: a number, a table without a key, in the order in which it came, and
-- one that three partitions write into.
CREATE TABLE counter (n bigint);
INSERT INTO counter VALUES (0);
CREATE TABLE arrivals (arrival bigint GENERATED ALWAYS AS IDENTITY, position bigint, stream_id text, version bigint);
CREATE TABLE split_counter (stream_id text PRIMARY KEY, n bigint, versions numeric);
SELECT es_create_projection('counter', 'UPDATE counter SET n = n + (SELECT count(*) FROM es_log)');
SELECT es_create_projection('arrivals', statements => ARRAY[
	'INSERT INTO arrivals (position, stream_id, version) SELECT position, stream_id, version FROM es_log']);
SELECT es_create_projection('split_counter', $$
	INSERT INTO split_counter SELECT stream_id, count(*), sum(version) FROM es_log GROUP BY stream_id ORDER BY stream_id
	ON CONFLICT (stream_id) DO UPDATE SET n = split_counter.n + excluded.n, versions = split_counter.versions + excluded.versions $$, partitions => 3);

-- In the transaction that appends: a table without a key, and a number for each
-- category.
CREATE TABLE inline_arrivals (stream_id text, version bigint);
CREATE TABLE inline_counter (category text PRIMARY KEY, n bigint);
SELECT es_create_projection('inline_arrivals', 'INSERT INTO inline_arrivals SELECT stream_id, version FROM es_log', mode => 'inline');
SELECT es_create_projection('inline_counter', $$
	INSERT INTO inline_counter SELECT es_category(stream_id), count(*) FROM es_log GROUP BY 1 ORDER BY 1
	ON CONFLICT (category) DO UPDATE SET n = inline_counter.n + excluded.n $$, mode => 'inline', categories => '{account}');

-- A saga: an order asks for its payment, the payment for what is to be delivered,
-- and all of it is noted. Handlers are SQL and functions.
CREATE TABLE notes (event_type text, stream_id text, version bigint);
CREATE FUNCTION deliver(event es_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM es_append('delivery-' || (event.data->>'order'), 'DeliveryRequested', event.data);
	PERFORM es_append('delivery-log', 'DeliveryNoted', event.data);
END $$;
SELECT es_create_projection('payments', handlers => $${
	"OrderPlaced": "SELECT es_append('payment-' || stream_id, 'PaymentRequested', jsonb_build_object('order', stream_id, 'version', version))"
}$$);
SELECT es_create_projection('deliveries', handlers => '{"PaymentRequested": "deliver"}', categories => '{payment}');
SELECT es_create_projection('notes', partitions => 2, handlers => $${
	"PaymentRequested": "INSERT INTO notes VALUES (event_type, data->>'order', (data->>'version')::bigint)",
	"DeliveryRequested": ["INSERT INTO notes VALUES (event_type, data->>'order', (data->>'version')::bigint)"]
}$$);
SELECT es_create_view('by_type', 'SELECT event_type, count(*) AS n, avg(version) AS mean FROM es_log GROUP BY event_type');
SQL

# ---------------------------------------------------------------------------
# What must be true when all is applied.
# ---------------------------------------------------------------------------
my @facts = (
	[ 'the counter' => 'SELECT n FROM counter', 'SELECT count(*) FROM es_events' ],
	[ 'arrivals, in the order of the log' => <<'SQL', 'SELECT count(*), count(*), 0 FROM es_events' ],
SELECT count(*), count(DISTINCT position), count(*) FILTER (WHERE position <= before) FROM (SELECT position, lag(position) OVER (ORDER BY arrival) AS before FROM arrivals) a
SQL
	[ 'arrivals' => 'SELECT count(*) FROM (SELECT stream_id, version FROM arrivals EXCEPT ALL SELECT stream_id, version FROM es_events) d', 'SELECT 0' ],
	[ 'the split counter' => 'SELECT count(*), sum(n), sum(versions) FROM split_counter', 'SELECT count(DISTINCT stream_id), count(*), sum(version) FROM es_events' ],
	[ 'inline arrivals' => 'SELECT count(*), (SELECT count(*) FROM (TABLE inline_arrivals EXCEPT ALL SELECT stream_id, version FROM es_events) d) FROM inline_arrivals', 'SELECT count(*), 0 FROM es_events' ],
	[ 'the inline counter' => 'SELECT sum(n) FROM inline_counter', q{SELECT count(*) FROM es_events WHERE stream_id LIKE 'account-%'} ],
	[ 'payments' => <<'SQL', <<'SQL' ],
SELECT count(*), count(DISTINCT (data->>'order', data->>'version')), min(stream_id), max(stream_id) FROM es_events WHERE event_type = 'PaymentRequested'
SQL
SELECT count(*), count(*), min('payment-' || stream_id), max('payment-' || stream_id) FROM es_events WHERE event_type = 'OrderPlaced'
SQL
	[ 'deliveries' => <<'SQL', <<'SQL' ],
SELECT count(*) FILTER (WHERE event_type = 'DeliveryRequested'), count(DISTINCT (data->>'order', data->>'version')) FILTER (WHERE event_type = 'DeliveryRequested'),
	count(*) FILTER (WHERE event_type = 'DeliveryNoted'), count(DISTINCT (data->>'order', data->>'version')) FILTER (WHERE event_type = 'DeliveryNoted')
FROM es_events WHERE stream_id LIKE 'delivery-%'
SQL
SELECT count(*), count(*), count(*), count(*) FROM es_events WHERE event_type = 'OrderPlaced'
SQL
	[ 'the notes' => 'SELECT count(*), count(DISTINCT (event_type, stream_id, version)) FROM notes', q{SELECT 2 * count(*), 2 * count(*) FROM es_events WHERE event_type = 'OrderPlaced'} ],
	[ 'the view' => 'SELECT count(*), sum(n), sum(round(mean * n)) FROM by_type', 'SELECT count(DISTINCT event_type), count(*), sum(version) FROM es_events' ]);

sub facts_are_true
{
	my ($name) = @_;
	my @wrong;

	# Two waits for what is appended because of what was appended, one for all.
	projections_are_caught_up($node, 'postgres', "$name: caught up") for 1 .. 3;
	my @answers = split /\n/, $node->safe_psql('postgres', join('', map { "$_->[1];\n$_->[2];\n" } @facts));
	for my $i (0 .. $#facts)
	{
		push @wrong, "$facts[$i][0]: $answers[2 * $i] instead of $answers[2 * $i + 1]" if $answers[ 2 * $i ] ne $answers[ 2 * $i + 1 ];
	}
	return is(join("\n", @wrong), '', "$name: once and only once");
}

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
	facts_are_true("round $round, $name");
}
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM es_events WHERE event_type = 'OrderPlaced'}), '>', 50 * $rounds, 'there were orders');
log_is_whole($node, 'postgres', 'the log is whole');
store_is_sound($node, 'postgres', 'the store is sound');

# Would one too many, or one too few, have been found?
for my $change ('UPDATE counter SET n = n + 1', 'DELETE FROM arrivals WHERE position = 100', q{UPDATE split_counter SET n = n - 1 WHERE stream_id = 'order-1'},
	q{INSERT INTO inline_arrivals VALUES ('order-1', 1)}, q{SELECT es_append('payment-order-1', 'PaymentRequested', '{"order": "order-1", "version": 1}')})
{
	my $outcome = outcome($node, 'postgres', "BEGIN;\n$change;\n" . join('', map { "$_->[1];\n$_->[2];\n" } @facts) . 'ROLLBACK');
	my @answers = split /\n/, $outcome =~ s/^ok //r;
	shift @answers if $change =~ /^SELECT/;
	ok(scalar(grep { $answers[ 2 * $_ ] ne $answers[ 2 * $_ + 1 ] } 0 .. $#facts), "found: $change");
}
log_is_clean($node);
$node->stop;
done_testing();
