# Rebuilds while events come and readers read: nobody sees less than before, nobody
# waits for the whole of it, and one that fails or dies leaves what there was.
#
# ES_READS: how many reads of each reader (300).

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $reads = $ENV{ES_READS} // 300;
my $dir   = PostgreSQL::Test::Utils::tempdir;
my $db    = 'postgres';
my $node  = new_log_node('rebuild', conf => <<'CONF');
fsync = off
max_connections = 60
event_store.projection_retry_time = '20ms'
CONF

sub value
{
	return $node->safe_psql($db, $_[0]);
}

sub session
{
	return $node->background_psql($db, on_error_stop => 0);
}

# Begins a statement in the background, and waits until it waits for something.
sub begin_statement
{
	my ($sql, $waits) = @_;
	my $session = session();
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_until(qr/^started$/m, "\\echo started\n$sql;\n\\echo done\n");
	$node->poll_query_until($db, "SELECT wait_event_type = 'Lock' AND wait_event = '$waits' FROM pg_stat_activity WHERE pid = $pid")
	  or die "$sql does not wait for $waits";
	return ($session, $pid);
}

sub finish_statement
{
	my ($session) = @_;
	my $output = $session->query_until(qr/^done$/m, "\n");
	$session->quit;
	return $output;
}

sub is_verified
{
	my ($projection, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(outcome($node, $db, "SELECT difference, expected, actual FROM es_verify('$projection') LIMIT 3"), 'ok ', $name);
}

# What a rebuild may leave behind, but must not.
sub nothing_is_left
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(value(q{SELECT string_agg(o, ' ') FROM (SELECT nspname FROM pg_namespace WHERE nspname LIKE 'es_rebuild%'
		UNION ALL SELECT relname FROM pg_class WHERE relname ~ '^pg_temp_[0-9]+$') x (o)}), '', $name);
}

$node->safe_psql($db, <<'SQL');
SET max_parallel_workers_per_gather = 0;
SELECT es_append('account-' || i % 50, CASE i % 3 WHEN 0 THEN 'Withdrawn' ELSE 'Deposited' END, jsonb_build_object('n', i))
	FROM generate_series(1, 5000) i;
SELECT es_wait_for_log();
SELECT es_create_view('balance', $$SELECT stream_id, count(*) AS n, avg((data->>'n')::bigint) AS mean, es_last(event_type) AS last, max(position) AS position FROM es_log GROUP BY stream_id$$);
SELECT es_create_view('split', $$SELECT stream_id, event_type, count(*) AS n, max(position) AS position FROM es_log GROUP BY stream_id, event_type$$, partitions => 3);
SELECT es_create_view('each', $$SELECT position, stream_id, version, 1 AS n FROM es_log$$);
SELECT es_create_view('inside', $$SELECT stream_id, count(*) AS n, sum((data->>'n')::bigint) AS total FROM es_log GROUP BY stream_id$$, mode => 'inline');
CREATE TABLE kind (event_type text PRIMARY KEY, n bigint NOT NULL);
SELECT es_create_projection('kinds', 'INSERT INTO kind SELECT event_type, count(*) FROM es_log GROUP BY event_type ORDER BY event_type
	ON CONFLICT (event_type) DO UPDATE SET n = kind.n + excluded.n', tables => '{kind}');
CREATE INDEX balance_n ON balance (n);
CREATE VIEW depends AS SELECT sum(n) AS n FROM balance;
GRANT SELECT ON balance, each TO PUBLIC;
CREATE TABLE halt (i int);
CREATE PROCEDURE write(number int) LANGUAGE plpgsql AS $$
DECLARE
	i bigint := 0;
BEGIN
	WHILE NOT EXISTS (SELECT FROM halt) LOOP
		i := i + 1;
		PERFORM es_append('account-' || (i * 7 + number) % 60, CASE i % 4 WHEN 0 THEN 'Withdrawn' ELSE 'Deposited' END, jsonb_build_object('n', i));
		IF i % 11 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
		PERFORM es_wait_for_log('10 s');
	END LOOP;
END $$;
SQL

# ---------------------------------------------------------------------------
# Under load.
# ---------------------------------------------------------------------------
my @tables = qw(balance split each inside kind depends);
my %scripts = (
	plain => join('', map { "SELECT '$_', sum(n) FROM $_;\n" } @tables),
	prepared => join('', map { "EXECUTE read_$_;\n" } @tables),
	snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT 'log', count(*) FROM es_log;\n"
	  . join('', map { "SELECT '$_', sum(n) FROM $_;\n" } @tables) . "COMMIT;\n");
my $prepare = join('', map { "PREPARE read_$_ AS SELECT '$_', sum(n) FROM $_;\n" } @tables) . "SET plan_cache_mode = force_generic_plan;\n";
append_to_file("$dir/$_.sql", $prepare . $scripts{$_} x $reads) for keys %scripts;
append_to_file("$dir/write$_.sql", "CALL write($_);\n") for 1 .. 3;
my $identity = q{SELECT string_agg(concat_ws(' ', oid, relname, relacl), ', ' ORDER BY oid) FROM pg_class WHERE relname ~ '^(balance|split|each|inside|kind|depends)'};
my $identities = value($identity);

my @writers = start_clients($node, $db, map { "$dir/write$_.sql" } 1 .. 3);
my @readers = start_clients($node, $db, map { "$dir/$_.sql" } sort keys %scripts);
my ($rounds, @failed) = (0);
while ($rounds < 3 || grep { $_->pumpable } @readers)
{
	for my $projection (qw(balance split each inside kinds))
	{
		my $outcome = outcome($node, $db, "SELECT es_rebuild('$projection') >= 5000");
		push @failed, "$projection: $outcome" if $outcome ne 'ok t';
		next if $projection eq 'kinds';
		$outcome = outcome($node, $db, "SELECT * FROM es_verify('$projection') LIMIT 3");
		push @failed, "$projection differs: $outcome" if $outcome ne 'ok ';
	}
	$rounds++;
	$_->reap_nb for @readers;
}
is(join("\n", @failed), '', 'rebuilds under load end well, and the views are what their queries say');
note("$rounds rounds");
is(value($identity), $identities, 'tables, indexes, views and privileges are the same as before');

succeeds($node, $db,
	q{SELECT es_alter_view('balance', $$SELECT stream_id, count(*) AS n, avg(version) AS mean, es_last(event_type) AS last, max(position) AS position FROM es_log GROUP BY stream_id$$)},
	'', 'a view gets another query under load');
is_verified('balance', 'and is what it says');
value('DROP VIEW depends');
succeeds($node, $db,
	q{SELECT es_alter_view('balance', $$SELECT stream_id, event_type, count(*) AS n FROM es_log GROUP BY stream_id, event_type$$)},
	'', 'another one with other columns');
is_verified('balance', 'and is that');
succeeds($node, $db, q{SELECT indexdef FROM pg_indexes WHERE indexname = 'balance_n'}, 'CREATE INDEX balance_n ON public.balance USING btree (n)', 'with its index');
succeeds($node, $db, q{SELECT relacl::text ~ '(,|\{)=r/' FROM pg_class WHERE relname = 'balance'}, 't', 'and privileges');

value('INSERT INTO halt VALUES (1)');
is(join(' ', finish_clients(@writers)), '0 0 0', 'writers have ended well');
is(join(' ', finish_clients(@readers)), '0 0 0', 'readers as well');
for my $reader (sort keys %scripts)
{
	my %last;
	my ($lines, @wrong) = (0);
	for (split /\n/, slurp_file("$dir/$reader.sql.out"))
	{
		my ($table, $n) = /^(\w+)\|(\d*)$/ or next;
		$lines++;
		push @wrong, "$table: $n after $last{$table}" if $n eq '' || $n < ($last{$table} // 5000);
		$last{$table} = $n;
	}
	is(join(', ', @wrong[ 0 .. ($#wrong < 4 ? $#wrong : 4) ]), '', "no reader ($reader) has seen less than before");
	cmp_ok($lines, '>=', $reads * @tables, 'in all of its reads');
}
succeeds($node, $db, "SELECT es_wait(NULL, '60 s')", 't', 'all projections catch up');
is_verified($_, "$_ is what its query says") for qw(balance split each inside);
is(value('SELECT sum(n) = es_head_position() FROM kind'), 't', 'and the statement has applied every event once');
nothing_is_left('nothing is left behind');

# ---------------------------------------------------------------------------
# A rebuild takes long: what there is serves, moves on, and stays if it fails.
# ---------------------------------------------------------------------------
$node->safe_psql($db, <<'SQL');
CREATE FUNCTION gate(n bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS
	$$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN n; END $$;
SELECT es_create_view('gated', 'SELECT stream_id, sum(gate(version)) AS sum FROM es_log GROUP BY stream_id');
SQL
my $gate   = session();
my $before = value('SELECT count(*), sum(sum) FROM gated');
$gate->query_safe('SELECT pg_advisory_lock(42)');
my ($rebuild, $pid) = begin_statement("SELECT es_rebuild('gated')", 'advisory');
is(value('SELECT count(*), sum(sum) FROM gated'), $before, 'while a rebuild is going on the old table is read');
succeeds($node, $db, q{SELECT state, progress IS NOT NULL FROM es_projections WHERE name = 'gated'}, 'rebuilding|t', 'es_projections shows it');
value(q{SELECT es_append('account-1', 'Deposited', '{"n": 1}')});
succeeds($node, $db, "SELECT es_wait('each', '60 s')", 't', 'other projections go on');
succeeds($node, $db, q{SELECT es_rebuild('each') = es_head_position()}, 't', 'and are rebuilt');
fails_with($node, $db, q{SET lock_timeout = '50ms'; SELECT es_rebuild('gated')}, '55P03', 'a second rebuild of the same waits for the first');
value("SELECT pg_terminate_backend($pid)");
$node->poll_query_until($db, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
is(value('SELECT count(*), sum(sum) FROM gated'), $before, 'terminated, it leaves the old table');
nothing_is_left('and nothing else');
$rebuild->{run}->kill_kill;

($rebuild, $pid) = begin_statement("SELECT es_rebuild('gated')", 'advisory');
kill('KILL', $pid) == 1 or die "cannot kill $pid";
wait_for_server($node);
$_->{run}->kill_kill for $rebuild, $gate;
is(value('SELECT count(*) FROM gated'), (split /\|/, $before)[0], 'killed, as well');
nothing_is_left('and nothing else after the restart');
succeeds($node, $db, "SELECT es_wait('gated', '60 s')", 't', 'it goes on');
is_verified('gated', 'and is what its query says');
succeeds($node, $db, q{SELECT es_rebuild('gated') = es_head_position()}, 't', 'it can be rebuilt then');
is_verified('gated', 'with the same result');

# ---------------------------------------------------------------------------
# Someone reads a table for long: he does not keep others from reading it, and can
# wait for the projection himself.
# ---------------------------------------------------------------------------
my $reader = session();
$reader->query_safe('BEGIN; SELECT count(*) FROM gated');
fails_with($node, $db, q{SET lock_timeout = '50ms'; SELECT es_rebuild('gated')}, '55P03', 'with a lock_timeout a rebuild gives up');
nothing_is_left('with nothing left');
my $offset = -s $node->logfile;
($rebuild, $pid) = begin_statement("SELECT es_rebuild('gated')", 'relation');
succeeds($node, $db, q{SET statement_timeout = '30s'; SELECT count(*) > 0 FROM gated}, 't', 'others read it') for 1 .. 20;
$reader->query_safe(q{SAVEPOINT a; SELECT set_config('statement_timeout', '60s', false)});
value(q{SELECT es_append('account-1', 'Deposited', '{"n": 1}')});
is($reader->query_safe(q{SELECT es_wait('gated', '60 s')}), 't', 'the one who reads it waits for the projection, not for ever');
$node->wait_for_log(qr/rebuild of projection "gated" waits.*up to 3200 ms/s, $offset);
is(join(' ', substr(slurp_file($node->logfile), $offset) =~ /and waits for up to (\d+) ms/g), '1600 3200',
	'which tries for longer each time, and lets the projection go on in between');
$reader->query_safe('COMMIT');
finish_statement($rebuild);
is_verified('gated', 'and the rebuild ends when he does');
succeeds($node, $db, q{SELECT position = es_head_position() FROM es_projections WHERE name = 'gated'}, 't', 'up to the end of the log');
$reader->quit;

# ---------------------------------------------------------------------------
# Back to the query it had, in one transaction: its tables are others, of the same names.
# ---------------------------------------------------------------------------
my $query = 'SELECT stream_id, avg(version) AS mean FROM es_log GROUP BY stream_id';
value("SELECT es_create_view('there', '$query')");
value(q{SELECT es_append('account-1', 'Deposited', '{"n": 1}')});
succeeds($node, $db, "SELECT es_wait('there', '60 s')", 't', 'a worker knows a view');
value("BEGIN; SELECT es_alter_view('there', 'SELECT event_type, avg(version) AS mean FROM es_log GROUP BY event_type'); SELECT es_alter_view('there', '$query'); COMMIT");
value(q{SELECT es_append('account-1', 'Deposited', '{"n": 1}')});
succeeds($node, $db, "SELECT es_wait('there', '60 s')", 't', 'and goes on with it when its tables are others of the same names');
is_verified('there', 'which hold what they should');

# ---------------------------------------------------------------------------
# Without parallel workers, if asked: also where the new contents are copied.
# ---------------------------------------------------------------------------
$offset = -s $node->logfile;
$node->safe_psql($db, 'ALTER SYSTEM SET log_min_messages = debug1; SELECT pg_reload_conf()');
$node->wait_for_log(qr/parameter "log_min_messages" changed to "debug1"/, $offset);
for my $workers (0, 2)
{
	my $session = session();
	my $me = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_safe('SET max_parallel_maintenance_workers = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0');
	for my $projection (qw(balance kinds))
	{
		$offset = -s $node->logfile;
		$session->query_safe("SELECT es_rebuild('$projection', $workers)");
		my $log = substr(slurp_file($node->logfile), $offset);
		my $found = $log =~ /registering background worker "parallel worker for PID $me"/ ? 'some' : 'none';
		is($found, $workers ? 'some' : 'none', "es_rebuild('$projection', $workers): parallel workers");
	}
	$session->quit;
}
$node->safe_psql($db, 'ALTER SYSTEM RESET log_min_messages; SELECT pg_reload_conf()');

log_is_whole($node, $db, 'the log is whole');
log_is_clean($node);
$node->stop;
done_testing();
