# Projections do not get into each other's way, nor into that of readers: a slow, a
# failing and a locked one, transactions that stay open, rebuilds under load; and what
# a dump takes along goes on exactly once in the restored database.
#
# ES_SEED makes it another one.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{ES_SEED} // 1;
my $dir  = PostgreSQL::Test::Utils::tempdir;
diag("ES_SEED=$seed");

my $node = new_log_node('isolation', conf => <<'CONF');
fsync = off
max_connections = 60
max_prepared_transactions = 40
max_worker_processes = 40
event_store.projection_retry_time = '20ms'
CONF
log_is_caught_up($node, 'postgres', 'there is a sequencer');
install_truth_functions($node, 'postgres');

sub session
{
	my ($db) = @_;
	return $node->background_psql($db // 'postgres', on_error_stop => 0);
}

sub value
{
	my ($sql, $db) = @_;
	return $node->safe_psql($db // 'postgres', $sql);
}

# A projection that may stand still is not to be reported by a failing wait.
sub is_in
{
	my ($projection, $name) = @_;
	return succeeds($node, 'postgres', "SELECT es_wait('$projection', '60 s')", 't', $name);
}

# ---------------------------------------------------------------------------
# One that is slow, two that fail, one that waits for a lock: the others go on.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE gate (open boolean);
INSERT INTO gate VALUES (false);
CREATE TABLE divisor (d int);
INSERT INTO divisor VALUES (0);
CREATE TABLE slow_target (position bigint);
CREATE TABLE locked_target (position bigint);
CREATE TABLE failing_target (position bigint);
CREATE TABLE stopped_target (position bigint);
CREATE TABLE fast_target (stream_id text PRIMARY KEY, n bigint);
-- Sleeps until the gate is open: slow work is what is tested. The test itself waits for
-- conditions only.
CREATE FUNCTION sleep() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT (SELECT open FROM gate) LOOP
		PERFORM pg_sleep(0.02);
	END LOOP;
	RETURN true;
END $$;
SELECT es_create_projection('slow', 'INSERT INTO slow_target SELECT position FROM es_log WHERE sleep()');
SELECT es_create_projection('failing', 'INSERT INTO failing_target SELECT position / (SELECT d FROM divisor) FROM es_log', max_retries => 100000);
SELECT es_create_projection('stopped', 'INSERT INTO stopped_target SELECT position / (SELECT d FROM divisor) FROM es_log', max_retries => 0);
SELECT es_create_projection('locked', 'INSERT INTO locked_target SELECT position FROM es_log');
SELECT es_create_projection('fast', $$
	INSERT INTO fast_target SELECT stream_id, count(*) FROM es_log GROUP BY stream_id ORDER BY stream_id
	ON CONFLICT (stream_id) DO UPDATE SET n = fast_target.n + excluded.n $$, partitions => 2);
SELECT es_create_view('fast_view', 'SELECT stream_id, count(*) AS n, avg(version) AS mean FROM es_log GROUP BY stream_id');
SELECT es_create_view('fast_inline', 'SELECT stream_id, count(*) AS n FROM es_log GROUP BY stream_id', mode => 'inline');
SQL

my $locker = session();
$locker->query_safe('BEGIN; LOCK TABLE locked_target IN ACCESS EXCLUSIVE MODE');
value(q{SELECT es_append('isolation-0', 'First', '1')});

# The processes of the worker that sleeps and of the one that waits for the lock,
# waited for.
sub stuck
{
	my $query = <<'SQL';
SELECT string_agg(pid::text, ' ' ORDER BY sleeps) FROM (
	SELECT pid, wait_event = 'PgSleep' AS sleeps FROM pg_stat_activity a
	WHERE starts_with(backend_type, 'event_store projection') AND datname = 'postgres'
		AND (wait_event = 'PgSleep' OR EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND NOT l.granted AND l.relation = 'locked_target'::regclass))) s
SQL
	for (1 .. 100)
	{
		my $pids = value($query);
		return $pids if $pids =~ /^\d+ \d+$/;
	}
	return 'nobody';
}
$node->poll_query_until('postgres', <<'SQL') or die 'nobody is stuck: ' . projections_report($node, 'postgres');
SELECT count(*) FILTER (WHERE wait_event = 'PgSleep') = 1 AND count(*) FILTER (WHERE wait_event_type = 'Lock') = 1
FROM pg_stat_activity WHERE starts_with(backend_type, 'event_store projection')
SQL
$node->poll_query_until('postgres', <<'SQL') or die 'nothing fails: ' . projections_report($node, 'postgres');
SELECT string_agg(state, ' ' ORDER BY name) = 'retrying failed' AND bool_and(last_error_code = '22012') FROM es_projections WHERE name IN ('failing', 'stopped')
SQL
my $pids = stuck();

# Appends, waits and reads, in one session: how often was something missing?
sub how_often_behind
{
	my ($times, $before, @projections) = @_;
	my $sql = '';
	my @expected;

	for my $n (1 .. $times)
	{
		for my $projection (@projections)
		{
			my ($name, $table) = @$projection;
			$name = defined $name ? "'$name'" : 'NULL';
			$sql .= "SELECT count(es_append('isolation-' || i, 'Next', '1')) FROM generate_series(1, 10) i;\nSELECT es_wait($name, '60 s');\nSELECT sum(n) FROM $table;\n";
			push @expected, 10, 't', $before += 10;
		}
	}
	my @got = split /\n/, value($sql);
	return scalar grep { ($got[$_] // '') ne $expected[$_] } 0 .. $#expected;
}
my $behind = how_often_behind(30, 1, [ 'fast', 'fast_target' ], [ 'fast_view', 'fast_view' ], [ 'fast_inline', 'fast_inline' ]);
log_is_caught_up($node, 'postgres', 'the log is not held up');
is($behind, 0, 'beside projections that stand still the others are up to date after each wait');
is(stuck(), $pids, 'they stood still all the time, in the same processes');
is( value(q{SELECT string_agg(concat_ws(' ', name, position > 0, lag_events > 0, pids <> '{}'), ', ' ORDER BY name) FROM es_projections WHERE name IN ('slow', 'locked', 'failing')}),
	'failing f t t, locked f t t, slow f t t', 'and es_projections says so');
is(value(q{SELECT name, state, failed_position FROM es_projections WHERE name = 'stopped'}), 'stopped|failed|1', 'the one that has failed for good has the state failed');

succeeds($node, 'postgres', q{SELECT es_wait('slow', '100 ms')}, 'f', 'who waits for the slow one waits for nothing');
unlike(outcome($node, 'postgres', q{SELECT es_wait('stopped', '100 ms')}), qr/^ok t/, 'who waits for the stopped one as well');
unlike(outcome($node, 'postgres', q{SELECT es_wait(NULL, '100 ms')}), qr/^ok t/, 'and who waits for all');

# Others can be made, changed and dropped meanwhile.
succeeds($node, 'postgres', <<'SQL', "", 'a view is made, rebuilt and dropped meanwhile');
DO $$ BEGIN
	PERFORM es_create_view('meanwhile', 'SELECT event_type, count(*) AS n FROM es_log GROUP BY event_type');
END $$;
DO $$ BEGIN
	PERFORM es_rebuild('meanwhile'), es_pause_projection('fast_view'), es_resume_projection('fast_view');
	ASSERT (SELECT sum(n) FROM meanwhile) = 901;
END $$;
DO $$ BEGIN PERFORM es_drop_projection('meanwhile'); END $$;
SQL
is_in('fast_view', 'and the fast one goes on');

# ---------------------------------------------------------------------------
# They are let go: nothing is lost, nothing is there twice.
# ---------------------------------------------------------------------------
$locker->query_safe('COMMIT');
is_in('locked', 'the locked one comes after');
value('UPDATE gate SET open = true');
is_in('slow', 'the slow one');
value('UPDATE divisor SET d = 1');
value(q{SELECT es_resume_projection('stopped'), es_resume_projection('failing')});
projections_are_caught_up($node, 'postgres', 'and those that failed');
is(value("SELECT count(*), count(DISTINCT position), max(position) FROM ${_}_target"), '901|901|901', "$_: every event once") for qw(slow locked failing stopped);
$locker->quit;

# ---------------------------------------------------------------------------
# Transactions that stay open: with an xid, with an append, prepared, as readers with a
# snapshot, and in another database.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', 'CREATE DATABASE other');
my ($writer, $appender, $reader, $serializable, $foreign) = (session(), session(), session(), session(), session('other'));
$node->safe_psql('postgres', q{BEGIN; SELECT es_append('prepared-1', 'Prepared', '1'); PREPARE TRANSACTION 'prepared'});
my $before = value('SELECT count(*) FROM es_log');
$writer->query_safe('BEGIN; CREATE TABLE long (i int); SELECT pg_current_xact_id()');
$appender->query_safe(q{BEGIN; SELECT es_append('long-1', 'Long', '1')});
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$serializable->query_safe('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM es_log; SELECT sum(n) FROM fast_view');
$foreign->query_safe('BEGIN; CREATE TABLE long (i int)');

$behind = how_often_behind(20, $before, [ undef, 'fast_target' ], [ undef, 'fast_view' ]);
is($behind, 0, 'transactions that stay open delay no projection');
is($reader->query_safe('SELECT count(*) FROM es_log; SELECT sum(n) FROM fast_view; SELECT sum(n) FROM fast_target'), join("\n", ($before) x 3), 'a reader with a snapshot sees what it saw');
succeeds($node, 'postgres', q{SELECT es_create_view('made_meanwhile', 'SELECT event_type, count(*) AS n, avg(version) AS mean FROM es_log GROUP BY event_type')}, 'made_meanwhile', 'a view is made beside them');
succeeds($node, 'postgres', q{SELECT es_rebuild('made_meanwhile')}, $before + 400, 'and rebuilt');
value(q{SELECT es_append('open-1', 'Open', '1')});
is_in('made_meanwhile', 'and goes on');
is(value('SELECT sum(n) FROM made_meanwhile'), $before + 401, 'with every event');
$appender->query_safe('COMMIT');
value(q{COMMIT PREPARED 'prepared'});
projections_are_caught_up($node, 'postgres', 'what commits late');
is(value('SELECT sum(n) FROM fast_view'), $before + 403, 'is applied then');
is($serializable->query_safe('SELECT sum(n) FROM fast_view; SELECT count(*) FROM es_log'), "$before\n$before", 'a serializable reader sees what it saw');
is($reader->query_safe('SELECT count(*) FROM es_log; SELECT sum(n) FROM fast_view'), "$before\n$before", 'and so does the other');
$_->query_safe('COMMIT') for $writer, $reader, $serializable, $foreign;
$_->quit for $writer, $appender, $reader, $serializable, $foreign;

# ---------------------------------------------------------------------------
# Rebuilds under load: no reader sees a table that is missing, empty or half full.
# ---------------------------------------------------------------------------
install_load_functions($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE rebuild_reader LOGIN;
GRANT CREATE ON SCHEMA public TO PUBLIC;
CREATE SCHEMA reporting;
SELECT es_create_view('reporting.by_stream', $$ SELECT tenant_id, stream_id, count(*) AS n, avg((data->>'amount')::numeric) AS mean, es_last(event_type) AS last, max(position) AS position FROM es_log GROUP BY tenant_id, stream_id $$);
SELECT es_create_view('single', 'SELECT count(*) AS n, max(position) AS position, avg(version) AS mean FROM es_log');
SELECT es_create_view('each', 'SELECT stream_id, version, position FROM es_log');
CREATE INDEX by_stream_n ON reporting.by_stream (n, stream_id);
CREATE INDEX each_position ON each (position);
GRANT SELECT ON reporting.by_stream, single, each TO rebuild_reader;
GRANT USAGE ON SCHEMA reporting TO rebuild_reader;
CREATE VIEW depends AS SELECT b.stream_id, b.n, b.position, s.n AS all_n FROM reporting.by_stream b CROSS JOIN single s;
GRANT SELECT ON depends TO rebuild_reader;
CREATE FUNCTION reads() RETURNS TABLE (what text, events numeric, last bigint) LANGUAGE plpgsql STABLE AS
	$$ BEGIN RETURN QUERY SELECT 'function', sum(b.n), max(b.position) FROM reporting.by_stream b; END $$;

CREATE TABLE rebuilt_statement (stream_id text PRIMARY KEY, n bigint, hash bigint);
SELECT es_create_projection('rebuilt_statement', $$
	INSERT INTO rebuilt_statement SELECT stream_id, count(*), sum(hashtext(event_id::text)) FROM es_log GROUP BY stream_id ORDER BY stream_id
	ON CONFLICT (stream_id) DO UPDATE SET n = rebuilt_statement.n + excluded.n, hash = rebuilt_statement.hash + excluded.hash $$, tables => '{rebuilt_statement}');
SQL
my @rebuilt = (
	{
		name  => 'reporting.by_stream',
		truth => <<'SQL',
SELECT tenant_id, stream_id, count(*) AS n, avg((data->>'amount')::numeric) AS mean, (array_agg(event_type ORDER BY position DESC))[1] AS last, max(position) AS position FROM log GROUP BY tenant_id, stream_id
SQL
	},
	{ name => 'single', truth => 'SELECT count(*) AS n, max(position) AS position, sum(version) / count(*) AS mean FROM log' },
	{ name => 'each', truth => 'SELECT stream_id, version, position FROM log' });
my $identity = q{SELECT string_agg(concat_ws(' ', oid, relname, relacl, relowner), ', ' ORDER BY oid) FROM pg_class WHERE relname ~ '^(by_stream|single|each|depends|rebuilt_statement)'};
my $identities = value($identity);
is_in($_, 'before rebuilds') for map { $_->{name} } @rebuilt;

# Each reader reads how many events a table has, and the last of their positions: they
# are the same, unless some are missing. They never become less. (Readers of the last
# three may have a snapshot that is older than their lock on the table.)
my $by_stream = "'by_stream', sum(n), max(position) FROM reporting.by_stream";
my $single    = "'single', n, position FROM single";
my $each      = "'each', count(*), max(position) FROM each";
my @reads     = (
	[ simple => "SELECT $by_stream;\nSELECT $single;\nSELECT $each;\n" ],
	[ index  => "SET enable_seqscan = off;\nSELECT $by_stream WHERE n >= 0;\nSELECT $each WHERE position > 0;\n" ],
	[ view   => "SELECT 'depends', sum(n), max(position) FROM depends;\nSELECT 'single', max(all_n), max(all_n) FROM depends;\n" ],
	[ prepared => "EXECUTE by_stream;\nEXECUTE each;\nEXECUTE single;\n" ],
	[ function => "SELECT * FROM reads();\n" ],
	[ snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT 'log', count(*), es_head_position() FROM es_log;\nSELECT $by_stream;\nSELECT $each;\nCOMMIT;\n" ]);
my $prepare = "PREPARE by_stream AS SELECT $by_stream;\nPREPARE each AS SELECT $each;\nPREPARE single AS SELECT $single;\nSET plan_cache_mode = force_generic_plan;\n";

my @writers;
for my $client (1 .. 2)
{
	push @writers, "$dir/rebuild.client$client.sql";
	write_client_script(
		$writers[-1],
		client       => 1000 * $seed + $client,
		appends      => 20000,
		streams      => 30,
		transactions => 0.1,
		stream       => \&shop_stream,
		event        => \&shop_event);
}
my @readers;
for my $reading (@reads)
{
	push @readers, "$dir/rebuild.$reading->[0].sql";
	append_to_file($readers[-1], $prepare . $reading->[1] x (200_000 / $reading->[1] =~ tr/;//));
}
my @writing = start_clients($node, 'postgres', @writers);
my @reading = start_clients($node, 'postgres', @readers);
srand($seed);
my ($rebuilds, $events) = (0, 0);
for my $n (1 .. 6)
{
	my $head = value('SELECT es_head_position()');
	$node->poll_query_until('postgres', "SELECT es_head_position() > $head + 300") or die 'nothing comes';
	for my $name ((map { $_->{name} } @rebuilt), 'rebuilt_statement')
	{
		my $workers = $n % 2 && $name ne 'rebuilt_statement' ? ', 2' : '';
		my $outcome = outcome($node, 'postgres', "SELECT es_rebuild('$name'$workers)");
		$rebuilds++ if $outcome =~ /^ok (\d+)$/ && $1 >= $head;
		diag("es_rebuild('$name'$workers): $outcome") unless $outcome =~ /^ok/;
	}
}
is($rebuilds, 24, 'all of the rebuilds under load have rebuilt all there was');
my $running = grep { $_->pumpable } @writing, @reading;
is($running, @writing + @reading, 'clients and readers were there all the time');
kill_and_wait(@writing, @reading);

# Ends psql's, and waits until their sessions are gone.
sub kill_and_wait
{
	$_->kill_kill for @_;
	finish_after_crash($node, 'postgres');
	return;
}

for my $reading (@reads)
{
	my ($name) = @$reading;
	my %last;
	my $reads = 0;
	my @wrong;

	# (What stands behind the last end of a line was cut off.)
	for my $line (slurp_file("$dir/rebuild.$name.sql.out") =~ /^(.*)\n/mg)
	{
		my ($what, $count, $position) = split /\|/, $line, -1;

		$reads++;
		push @wrong, $line if ($count // '') !~ /^\d+$/ || $count != $position;
		push @wrong, "$line, after $last{$what}" if $count < ($last{$what} // 0);
		$last{$what} = $count;
	}
	is(join("\n", splice(@wrong, 0, 5)), '', "a reader ($name) has seen whole tables each time");
	is(slurp_file("$dir/rebuild.$name.sql.err"), '', "a reader ($name) got no error");
	cmp_ok($reads, '>', 50, "a reader ($name) has read");
}
projections_are_caught_up($node, 'postgres', 'after rebuilds under load');
views_are_true($node, 'postgres', \@rebuilt, 'after rebuilds under load');
is(value($identity), $identities, 'tables, indexes and privileges are the same ones');
is(value('SELECT sum(n), sum(hash) FROM rebuilt_statement'), value('SELECT count(*), sum(hashtext(event_id::text)) FROM es_events'), 'the rebuilt statement has every event once');
for my $setting ('on', 'off')
{
	is( value("SET enable_seqscan = $setting; SET enable_indexscan = $setting; SET enable_bitmapscan = off; SET enable_indexonlyscan = off;"
			  . ' SELECT sum(n) FROM reporting.by_stream WHERE n > 0; SELECT count(*) FROM each WHERE position > 0') =~ s/\n/ /r,
		value("SELECT count(*) FROM es_events") =~ s/(.*)/$1 $1/sr, "the indexes are right (enable_indexscan = $setting)");
}
succeeds($node, 'postgres', 'SELECT sum(n) > 0 FROM depends', 't', 'who could read the view still can', 'rebuild_reader');

# A snapshot from before a rebuild, and a first look after it.
my $old = session();
my $seen = $old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM es_log');
value(q{SELECT es_append('order-1', 'Late', '1')});
value("SELECT es_rebuild('$_')") for map { $_->{name} } @rebuilt;
for my $query ('sum(n) FROM reporting.by_stream', 'n FROM single', 'count(*) FROM each', 'max(all_n) FROM depends')
{
	my $answer = $old->query_safe("SELECT $query");
	cmp_ok($answer eq '' ? 0 : $answer, '>=', $seen, "whoever has an older snapshot sees a whole table after a rebuild: $query");
}
$old->query_safe('COMMIT');
$old->quit;

# ---------------------------------------------------------------------------
# Dump and restore: read models, definitions and checkpoints come along, and all of it
# goes on exactly once.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', 'CREATE DATABASE source');
$node->safe_psql('source', 'CREATE SCHEMA store; CREATE SCHEMA reporting; CREATE EXTENSION event_store SCHEMA store; ALTER DATABASE source SET search_path = public, store');
install_load_functions($node, 'source');
install_counting_projections($node, 'source');
install_truth_functions($node, 'source', 'store');
$node->safe_psql('source', <<'SQL');
SELECT es_create_view('reporting."Balances"', $$
	SELECT stream_id, avg((data->>'amount')::numeric) AS mean, count(*) FILTER (WHERE event_type = 'AccountRenamed') AS renamed, string_agg(left(event_type, 6), ',') AS types
	FROM es_log WHERE stream_id LIKE 'account-%' GROUP BY stream_id $$, partitions => 2, batch_size => 1000);
SELECT es_create_view('lines', $$ SELECT stream_id, version, line->>'sku' AS sku FROM es_log, jsonb_array_elements(data->'lines') line $$, event_types => '{OrderPlaced}');
SELECT es_create_view('inline_trips', $$ SELECT stream_id, count(*) AS n, avg(version) AS mean FROM es_log GROUP BY stream_id $$, mode => 'inline', categories => '{trip}');

-- One that sets events aside, one that is paused, one that has failed, one that
-- refreshes.
CREATE TABLE skipping (position bigint PRIMARY KEY);
CREATE TABLE allowed (yes boolean);
INSERT INTO allowed VALUES (false);
SELECT es_create_projection('skipping', handlers => $${"OrderCancelled": "INSERT INTO skipping SELECT position / CASE WHEN yes THEN 1 ELSE 0 END FROM allowed",
	"OrderShipped": "INSERT INTO skipping VALUES (position)"}$$, on_error => 'skip', max_retries => 0);
CREATE TABLE paused (n bigint);
INSERT INTO paused VALUES (0);
SELECT es_create_projection('paused', 'UPDATE paused SET n = n + (SELECT count(*) FROM es_log)');
CREATE TABLE failed (position bigint);
SELECT es_create_projection('failed', $$ INSERT INTO failed SELECT position / CASE WHEN yes THEN 1 ELSE 0 END FROM es_log, allowed $$, max_retries => 0, event_types => '{OrderPaid}');
CREATE MATERIALIZED VIEW refreshed AS SELECT event_type, count(*) AS n FROM es_log GROUP BY event_type;
SELECT es_create_projection('refreshed', refresh => 'refreshed', refresh_every => '1 ms');
SQL
my @views = (
	{
		name  => 'reporting."Balances"',
		truth => <<'SQL',
SELECT stream_id, avg((data->>'amount')::numeric) AS mean, count(*) FILTER (WHERE event_type = 'AccountRenamed') AS renamed,
	string_agg(left(event_type, 6), ',' ORDER BY position) AS types FROM log WHERE stream_id LIKE 'account-%' GROUP BY stream_id
SQL
	},
	{ name => 'lines', truth => q{SELECT stream_id, version, line->>'sku' AS sku FROM log, jsonb_path_query(data, '$.lines[*]') line WHERE event_type = 'OrderPlaced'} },
	{ name => 'inline_trips', truth => q{SELECT stream_id, count(*) AS n, avg(version) AS mean FROM log WHERE stream_id LIKE 'trip-%' GROUP BY stream_id} },
	{ name => 'by_type', truth => 'SELECT event_type, count(*) AS n, avg(version) AS mean FROM log GROUP BY event_type' });

# Clients append in the source; the number of those in the book.
my $number = 0;
sub append_in
{
	my ($db, $appends) = @_;
	my @files;
	for my $client (1 .. 2)
	{
		push @files, "$dir/dump." . ++$number . '.sql';
		write_client_script(
			$files[-1],
			client       => 5000 * $seed + $number,
			appends      => $appends,
			streams      => 10,
			transactions => 0.2,
			stream       => \&shop_stream,
			event        => \&shop_event);
	}
	return start_clients($node, $db, @files);
}
finish_clients(append_in('source', 150));
value("SELECT es_wait('paused', '60 s'), es_pause_projection('paused')", 'source');
finish_clients(append_in('source', 150));

# All but those that are to stand still.
sub those_that_move_are_in
{
	my ($db, $name) = @_;
	my $moving = q{SELECT string_agg(es_wait(name, '60 s')::text, ' ') FROM es_projection_definitions WHERE name NOT IN ('paused', 'failed')};
	value($moving, $db) for 1 .. 2;
	return like(value($moving, $db), qr/^true(?: true)+$/, "$name: caught up") || diag(projections_report($node, $db));
}
those_that_move_are_in('source', 'the source');
$node->poll_query_until('source', q{SELECT state = 'failed' FROM es_projections WHERE name = 'failed'}) or die 'it did not fail';
is(miscounted($node, 'source'), '', 'the source has counted every event once');
views_are_true($node, 'source', \@views, 'the source');
cmp_ok(value('SELECT count(*) FROM es_dead_letters', 'source'), '>', 5, 'there are dead letters');

# What must be the same behind a restore.
sub registry
{
	my ($db) = @_;
	return value(<<'SQL', $db);
SET search_path = store;
SELECT * FROM es_projection_definitions ORDER BY id;
SELECT projection_id, partition, max(position), max(events) FROM es_checkpoints GROUP BY 1, 2 ORDER BY 1, 2;
SELECT projection_id, partition, failed, error_code, first_position FROM es_projection_failures ORDER BY 1, 2;
SELECT * FROM es_dead_letters ORDER BY 1, 2;
SELECT last_value, is_called FROM es_projection_id_seq;
SELECT name, kind, mode, events, dead_letters, attempts, last_error_code, failed_position FROM es_projections ORDER BY name;
SELECT name, state FROM es_projections WHERE name IN ('paused', 'failed') ORDER BY name;
SQL
}

sub read_models
{
	my ($db) = @_;
	my @tables = split /\n/, value(q{SELECT c.oid::regclass FROM pg_class c LEFT JOIN pg_depend d ON d.objid = c.oid AND d.deptype = 'e'
		WHERE relkind IN ('r', 'm') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema|truth)' AND d.objid IS NULL ORDER BY 1::text}, $db);
	return value("SET timezone = 'UTC';\n" . join('', map { "SELECT '$_'; SELECT t::text FROM $_ t ORDER BY 1;\n" } @tables), $db);
}

# (Shows only lines that differ.)
sub same_lines
{
	my ($got, $expected, $name) = @_;
	my %count;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$count{$_}++ for split /\n/, $got;
	$count{$_}-- for split /\n/, $expected;
	return is(join("\n", map { ($count{$_} > 0 ? 'got ' : 'expected ') . $_ } grep { $count{$_} } sort keys %count), '', $name);
}

sub restored
{
	my ($db, $how, $run, $quiet) = @_;
	my $registry = registry('source');
	my $models   = read_models('source');
	my $dumped   = value('SELECT count(*) FROM es_events', 'source');

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql('postgres', "ALTER DATABASE $db SET search_path = public, store");
	$run->($db);
	if ($quiet)
	{
		same_lines(registry($db), $registry, "$how: definitions, checkpoints, failures and dead letters");
		same_lines(read_models($db), $models, "$how: the read models");
		is(value('SELECT count(*) FROM es_events', $db), $dumped, "$how: no event was appended by restoring");
	}
	log_is_caught_up($node, $db, "$how: the log goes on");
	those_that_move_are_in($db, "$how: before anything is appended");
	is(miscounted($node, $db), '', "$how: every event is counted once");
	views_are_true($node, $db, \@views, $how);

	finish_clients(append_in($db, 100));
	value("SELECT es_resume_projection('paused')", $db);
	value('UPDATE allowed SET yes = true', $db);
	value("SELECT es_resume_projection('failed')", $db);
	all_is_counted_once($node, $db, "$how: it goes on");
	views_are_true($node, $db, \@views, "$how: it goes on");
	value("SELECT es_retry_dead_letters('skipping')", $db);
	is(value(q{SELECT count(*), (SELECT count(*) FROM es_dead_letters) FROM skipping}, $db),
		value(q{SELECT count(*), 0 FROM es_events WHERE event_type IN ('OrderShipped', 'OrderCancelled')}, $db), "$how: dead letters can be retried");
	is(value('SELECT (SELECT n FROM paused), (SELECT count(*) FROM failed)', $db),
		value(q{SELECT count(*), count(*) FILTER (WHERE event_type = 'OrderPaid') FROM es_events}, $db), "$how: who was paused, or had failed, has gone on where it was");
	is(value('SELECT sum(n) FROM refreshed', $db), value('SELECT count(*) FROM es_events', $db), "$how: the materialized view is refreshed");
	log_is_whole($node, $db, "$how: the log is whole", 'store');
	return;
}

local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
restored('plain', 'pg_dump | psql', sub {
	my ($db) = @_;
	$node->command_ok([ 'pg_dump', '--no-sync', '-f', "$dir/plain.sql", 'source' ], 'pg_dump');
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $db, '-f', "$dir/plain.sql" ], 'psql');
}, 1);
restored('parallel', 'pg_restore -j 3', sub {
	my ($db) = @_;
	$node->command_ok([ 'pg_dump', '--no-sync', '-Fc', '-f', "$dir/custom.dump", 'source' ], 'pg_dump -Fc');
	$node->command_ok([ 'pg_restore', '-j', '3', '--exit-on-error', '-d', $db, "$dir/custom.dump" ], 'pg_restore -j 3');
}, 1);

# A dump is a snapshot: it may be taken while events are appended and applied.
restored('during', 'a dump under load', sub {
	my ($db) = @_;
	my $head = value('SELECT es_head_position()', 'source');
	my @running = append_in('source', 5000);
	$node->poll_query_until('source', "SELECT es_head_position() > $head + 300") or die 'nothing comes';
	$node->command_ok([ 'pg_dump', '--no-sync', '-Fd', '-j', '2', '-f', "$dir/during", 'source' ], 'pg_dump -Fd -j 2');
	$_->kill_kill for @running;
	$node->command_ok([ 'pg_restore', '-j', '2', '--exit-on-error', '-d', $db, "$dir/during" ], 'pg_restore -j 2');
}, 0);

# While a restore is under way, nothing may be applied: the events and the definitions
# may be there before the tables that are written, or looked into.
restored('worst', 'a restore in the worst order', sub {
	my ($db) = @_;
	$node->append_conf('postgresql.conf', 'event_store.projections = off');
	$node->reload;
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'event_store projection'") or die 'workers stay';
	finish_clients(append_in('source', 50));
	log_is_caught_up($node, 'source', 'events that are not applied');
	$node->command_ok([ 'pg_dump', '--no-sync', '-Fc', '-f', "$dir/worst.dump", 'source' ], 'pg_dump -Fc');
	$node->append_conf('postgresql.conf', 'event_store.projections = on');
	$node->reload;

	# What belongs to the extension comes first, then a pause, then the user's tables.
	my ($list) = run_command([ 'pg_restore', '-l', "$dir/worst.dump" ]);
	my @all  = grep { !/^;/ } split /\n/, $list;
	my @data = grep { $all[$_] =~ / (?:TABLE DATA|SEQUENCE SET) / } 0 .. $#all;
	my @parts = (
		[ @all[ 0 .. $data[0] - 1 ], grep { / store es_/ } @all[@data] ],
		[ (grep { !/ store es_/ } @all[@data]), @all[ $data[-1] + 1 .. $#all ] ]);
	append_to_file("$dir/worst.sql", "\\set ON_ERROR_STOP on\n");
	for my $part (0, 1)
	{
		append_to_file("$dir/worst.list$part", join("\n", @{ $parts[$part] }) . "\n");
		$node->command_ok([ 'pg_restore', '-L', "$dir/worst.list$part", '-f', "$dir/worst.sql$part", "$dir/worst.dump" ], "part $part");
		append_to_file("$dir/worst.sql", slurp_file("$dir/worst.sql$part") . ($part ? '' : "SELECT pg_catalog.pg_advisory_lock(1);\n"));
	}
	my $pause = session($db);
	$pause->query_safe('SELECT pg_advisory_lock(1)');
	my ($restore) = start_clients($node, $db, "$dir/worst.sql");
	$node->poll_query_until($db, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 1}) or die slurp_file("$dir/worst.sql.err");
	log_is_caught_up($node, $db, 'the log of a store without its tables');
	unlike(outcome($node, $db, q{SELECT es_wait('counter', '500 ms')}), qr/^ok t/, 'nothing is applied before the end of a restore');
	unlike(outcome($node, $db, 'SELECT es_run_projections()'), qr/^ok [1-9]/, 'nor by hand');
	unlike(outcome($node, $db, q{SELECT es_append('order-1', 'OrderPlaced', '{"lines": []}')}), qr/^ok/, 'nor in a transaction that appends');
	$pause->query_safe('SELECT pg_advisory_unlock(1)');
	$pause->quit;
	is(join(' ', finish_clients($restore)) . slurp_file("$dir/worst.sql.err"), '0', 'the restore comes to its end');
}, 0);

log_is_clean($node);
$node->stop;
done_testing();
