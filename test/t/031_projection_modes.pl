# Projections change while eight clients append by every way there is, in
# transactions with savepoints, that abort, in two phases: from async to inline
# and back, into more and fewer partitions, paused and resumed.  At the end each
# event was applied once by each of them.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 8;
my $appends = 6_000;
my $rounds  = 60;
my $db      = 'postgres';

my $node = new_log_node('modes');
install_load_functions($node, $db);
$node->safe_psql($db, <<'SQL');
CREATE TABLE counter (n bigint);
INSERT INTO counter VALUES (0);
CREATE TABLE partitioned (stream_id text PRIMARY KEY, n bigint);
CREATE TABLE seen (event_id uuid, stream_id text, version bigint, event_type text);

SELECT es_create_projection('counter', 'UPDATE counter SET n = n + (SELECT count(*) FROM es_log)');
SELECT es_create_projection('seen', 'INSERT INTO seen SELECT event_id, stream_id, version, event_type FROM es_log', mode => 'inline');
SELECT es_create_projection('reply', $$SELECT es_append('reply-' || stream_id, 'Reply', jsonb_build_object('to', event_id)) FROM es_log$$,
	event_types => '{Json,Cursor}');
SELECT es_create_projection('partitioned', $$INSERT INTO partitioned SELECT stream_id, count(*) FROM es_log GROUP BY 1 ORDER BY 1
	ON CONFLICT (stream_id) DO UPDATE SET n = partitioned.n + excluded.n$$, partitions => 2);
SELECT es_create_view('streams', 'SELECT stream_id, count(*) AS n, max(version) AS last, avg(version) AS mean FROM es_log GROUP BY stream_id');
SELECT es_create_view('types', 'SELECT event_type, count(*) AS n FROM es_log GROUP BY event_type', mode => 'inline');
SQL

# ---------------------------------------------------------------------------
# Load, and changes meanwhile.
# ---------------------------------------------------------------------------

my $dir     = PostgreSQL::Test::Utils::tempdir;
my @scripts = map { "$dir/client$_.sql" } 1 .. $clients;
for my $client (1 .. $clients)
{
	write_client_script(
		$scripts[ $client - 1 ],
		client       => $client,
		appends      => $appends / $clients,
		streams      => 40,
		transactions => 0.2,
		prepared     => 0.1);
}
my @running = start_clients($node, $db, @scripts);

# A saga that catches up appends, and thereby runs inline projections; it may
# meet an appender in a deadlock.  Then it is repeated.
my %changes;

sub change
{
	my ($sql, $what) = @_;
	my $outcome;

	for (1 .. 100)
	{
		$outcome = outcome($node, $db, "SELECT $sql");
		$changes{"deadlock at $what"}++ if $outcome =~ /40P01/;
		last unless $outcome =~ /40P01/;
	}
	$changes{$what}++;
	$changes{"failed: $outcome"}++ unless $outcome =~ /^ok/;
	return;
}

my @by_mode = qw(counter seen reply streams types);
my %mode = (seen => 'inline', types => 'inline');
srand(4711);
for my $round (1 .. $rounds)
{
	my $name = $by_mode[ int(rand(@by_mode)) ];
	my $mode = ($mode{$name} // 'async') eq 'async' ? 'inline' : 'async';

	change("es_alter_projection('$name', mode => '$mode')", "to $mode");
	$mode{$name} = $mode;
	change("es_alter_projection('partitioned', partitions => " . (1 + int(rand(4))) . ')', 'partitions') if $round % 3 == 0;
	change("es_pause_projection('partitioned')",  'pause')  if $round % 10 == 5;
	change("es_resume_projection('partitioned')", 'resume') if $round % 10 == 7;
}

my @exits = finish_clients(@running);
is_deeply(\@exits, [ (0) x $clients ], 'every client came to its end');
note 'changes: ', join(', ', map { "$_ $changes{$_} times" } sort keys %changes);
is_deeply([ grep { /^failed/ } sort keys %changes ], [], 'every change could be made');
cmp_ok($changes{'to inline'}, '>', 10, 'to inline, often enough');
cmp_ok($changes{'to async'},  '>', 10, 'to async, often enough');

# ---------------------------------------------------------------------------
# Each event once, for each of them.
# ---------------------------------------------------------------------------

my ($acked, $errors) = acknowledged(map { "$_.out" } @scripts);
note 'errors: ', join(', ', map { "$_ $errors->{$_} times" } sort keys %$errors);
cmp_ok(scalar @$acked, '>', $appends / 2, 'most appends were acknowledged');
# (42704: COMMIT PREPARED of a transaction that failed before.)
my %allowed = map { $_ => 1 } qw(PE001 40P01 55P03 57014 25P02 3B001 42704);
is_deeply([ grep { !$allowed{$_} } sort keys %$errors ], [], 'clients saw no other errors than they should');
acknowledged_is_stored($node, $db, $acked, 'afterwards');
log_is_whole($node, $db, 'the log is whole');

sub exact
{
	my ($name) = @_;

	# The replies of an async saga come after the events; then there are more.
	succeeds($node, $db, "SELECT es_wait('reply', '60 s')", 't', "$name: the saga has caught up");
	succeeds($node, $db, "SELECT es_wait(NULL, '60 s')", 't', "$name: all have caught up");
	is($node->safe_psql($db, 'SELECT n - (SELECT count(*) FROM es_events) FROM counter'), '0', "$name: the counter");
	is($node->safe_psql($db, 'SELECT count(*) - count(DISTINCT event_id) FROM seen'), '0', "$name: nothing was seen twice");
	is( $node->safe_psql($db, 'SELECT count(*) FROM seen FULL JOIN es_events e USING (event_id, stream_id, version, event_type) WHERE seen.event_id IS NULL OR e.event_id IS NULL'),
		'0', "$name: everything was seen, and nothing else");
	is( $node->safe_psql($db, 'SELECT count(*) FROM partitioned p FULL JOIN (SELECT stream_id, count(*) AS n FROM es_events GROUP BY 1) e USING (stream_id) WHERE p.n IS DISTINCT FROM e.n'),
		'0', "$name: the one with partitions");
	is( $node->safe_psql($db, "SELECT count(*) FROM (SELECT data->>'to' AS id FROM es_events WHERE event_type = 'Reply') r"
		  . " FULL JOIN (SELECT event_id::text AS id FROM es_events WHERE event_type IN ('Json', 'Cursor')) e USING (id)"
		  . " GROUP BY id HAVING count(r.id) <> 1 OR count(e.id) <> 1"),
		'', "$name: one reply to each that gets one");
	is( $node->safe_psql($db, 'SELECT count(*) FROM streams s FULL JOIN (SELECT stream_id, count(*) AS n, max(version) AS last, avg(version) AS mean FROM es_events GROUP BY 1) e'
		  . ' USING (stream_id) WHERE (s.n, s.last, s.mean) IS DISTINCT FROM (e.n, e.last, e.mean)'),
		'0', "$name: the view of streams");
	is( $node->safe_psql($db, 'SELECT count(*) FROM types t FULL JOIN (SELECT event_type, count(*) AS n FROM es_events GROUP BY 1) e USING (event_type) WHERE t.n IS DISTINCT FROM e.n'),
		'0', "$name: the view of types");
	return;
}

exact('after the load');
for my $mode (qw(inline async))
{
	change("es_alter_projection('$_', mode => '$mode')", "to $mode") for @by_mode;
	$node->safe_psql($db, "SELECT es_append_json('last', '[{\"type\": \"Json\", \"data\": 1}, {\"type\": \"Cursor\", \"data\": 1}]')");
	exact("all $mode");
}
is_deeply([ grep { /^failed/ } sort keys %changes ], [], 'every change could be made, also later');

# What is in use cannot be broken: a table that is dropped fails the append, and
# dropping the projection mends that.
$node->safe_psql($db, "SELECT es_alter_projection('seen', mode => 'inline'); DROP TABLE seen");
fails_with($node, $db, "SELECT es_append('last', 'After', '1')", qr/^42P01: relation "seen" does not exist/, 'the table of an inline projection is gone');
succeeds($node, $db, "SELECT es_drop_projection('seen'); SELECT es_append('last', 'After', '1') > 0", "\nt", 'without the projection appends go on');

log_is_clean($node);
$node->stop;
done_testing();
