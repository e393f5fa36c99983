# What goes wrong with logs that are numbered at append: events that readers miss,
# versions out of order, readers that one idle transaction stops. And what must not
# happen to a sequencer: that its rows get lost, or that an event has two positions.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_log_node('anomalies', conf => "event_store.sequencer_nap_time = '1h'\n");
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE TABLE t (i int)');
log_is_caught_up($node, 'postgres', 'there is a sequencer');

sub session
{
	my ($db) = @_;
	return $node->background_psql($db // 'postgres', on_error_stop => 0);
}

# The position that a reader has got to.
sub head
{
	return $node->safe_psql('postgres', 'SELECT es_head_position()');
}

# ---------------------------------------------------------------------------
# (a) A appends, B appends and commits, a reader reads, A commits.
# ---------------------------------------------------------------------------
my ($first, $second) = (session(), session());
my $checkpoint = head();
$first->query_safe("BEGIN; SELECT es_append('a-1', 'A', '1')");
$second->query_safe("SELECT es_append('b-1', 'B', '1')");
log_is_caught_up($node, 'postgres', '(a) the log does not wait for A');
is(read_log($node, 'postgres', $checkpoint), '1 b-1 1', '(a) a reader gets the event of B');
$checkpoint = head();
$first->query_safe('COMMIT');
log_is_caught_up($node, 'postgres', '(a) A commits');
is(read_log($node, 'postgres', $checkpoint), '2 a-1 1', '(a) and the reader, going on from there, the event of A');

# ---------------------------------------------------------------------------
# (b) T1 has its xid, and its number, first; T2 appends version 1 and commits; T1
# appends version 2.
# ---------------------------------------------------------------------------
$first->query_safe("BEGIN; SELECT pg_current_xact_id(), es_append('first-1', 'T1', '1')");
$second->query_safe("BEGIN; SELECT es_append('both-1', 'T2', '1'); COMMIT");
$first->query_safe("SELECT es_append('both-1', 'T1', '1'); COMMIT");
log_is_caught_up($node, 'postgres', '(b) both commit');
is(read_log($node, 'postgres', 2), '3 both-1 1, 4 first-1 1, 5 both-1 2', '(b) the stream is read in the order of its versions');

# ---------------------------------------------------------------------------
# (c) Whoever stays in a transaction stops nobody else.
# ---------------------------------------------------------------------------
my $idle    = session();
my $foreign = session('other');
my $long    = session();
$idle->query_safe('CREATE TABLE idle (i int)');
$idle->query_safe('BEGIN; INSERT INTO idle VALUES (1)');
$foreign->query_safe('BEGIN; INSERT INTO t VALUES (1)');
$long->query_safe("BEGIN; SELECT es_append('long-1', 'Long', '1') FROM generate_series(1, 1000)");
$node->safe_psql('postgres', <<'SQL');
BEGIN;
SELECT es_append('prepared-1', 'Prepared', '1');
PREPARE TRANSACTION 'stays';
SQL
$first->query_safe('SET lock_timeout = 0');
$checkpoint = head();
my @latencies;
for my $n (1 .. 50)
{
	my $start = time;
	my $answer = $first->query_safe("SELECT es_append('c-1', 'C', '1') > 0 AND es_head_position() >= 0;\nSELECT es_wait_for_log('5 s')");
	push @latencies, 1000 * (time - $start);
	is($answer, "t\nt", '(c) an event is sequenced beside four open transactions') if $answer ne "t\nt" || $n == 50;
}
@latencies = sort { $a <=> $b } @latencies;
diag(sprintf '(c) append and wait beside open transactions: median %.1f ms, worst %.1f ms (with two round trips of psql)',
	$latencies[25], $latencies[-1]);
is( $node->safe_psql('postgres', "SELECT count(*), min(position), max(position) FROM es_read_all($checkpoint)"),
	join('|', 50, $checkpoint + 1, $checkpoint + 50), '(c) all of them, and nothing else');
$checkpoint += 50;

# Whom nobody waits for is sequenced as well: by itself, without a call that asks.
my $listener = session();
$listener->query_safe('LISTEN event_store');
sub sequenced_by_itself
{
	my ($how, $sql) = @_;
	my $before = head();
	$node->safe_psql('postgres', $sql);
	return ok($node->poll_query_until('postgres', "SELECT es_head_position() > $before"), "$how is sequenced by itself");
}
sequenced_by_itself('an append', "SELECT es_append('c-1', 'C', '1')");
sequenced_by_itself('one that is not flushed', "SET synchronous_commit = off; SELECT es_append('c-1', 'C', '1')");
sequenced_by_itself('an INSERT', "INSERT INTO es_events (stream_id, event_type, data) VALUES ('c-1', 'C', '1')");
sequenced_by_itself('COMMIT PREPARED', "COMMIT PREPARED 'stays'");
$long->query_safe('COMMIT');
$idle->query_safe('COMMIT');
$foreign->query_safe('COMMIT');
log_is_caught_up($node, 'postgres', '(c) the open ones commit');
is($node->safe_psql('postgres', "SELECT count(*) FROM es_read_all($checkpoint)"), '1004', '(c) and have their events in the log');
log_is_whole($node, 'postgres', 'the log is whole');
$_->quit for $idle, $foreign, $long, $listener;

# ---------------------------------------------------------------------------
# A transaction that is committed in the WAL but not yet for others (here because it
# waits for a standby) has no position yet, nor has what committed after it.
# ---------------------------------------------------------------------------
sub configure
{
	my (@lines) = @_;
	$node->append_conf('postgresql.conf', join("\n", @lines));
	$node->reload;
	return;
}

# Waits until so many sessions wait for a standby.
sub wait_for_stuck
{
	my ($count) = @_;
	$node->poll_query_until('postgres',
		"SELECT count(*) = $count FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	  or die 'nobody waits for the standby';
	return;
}
my $before = head();
$node->safe_psql('postgres', 'ALTER ROLE ' . $node->safe_psql('postgres', 'SELECT quote_ident(current_user)') . " SET synchronous_commit = 'local'");
configure("synchronous_standby_names = 'nobody'");
my $stuck = session();
$stuck->query_safe("SET synchronous_commit = on");
$stuck->query_until(qr/begun/, "\\echo begun\nSELECT es_append('stuck-1', 'Stuck', '1');\n");
wait_for_stuck(1);
$node->safe_psql('postgres', "SELECT es_append('other-1', 'Behind', '1')");
succeeds($node, 'postgres', "SELECT es_wait_for_log('100 ms')", 'f', 'behind a commit that waits for a standby the log stands');
is(head(), $before, 'and no position is given');
is( $node->safe_psql('postgres', "SELECT count(*) FROM es_commits c, es_commit_entries(c.first_position, c.entries) x"
	  . " WHERE NOT EXISTS (SELECT FROM es_events e WHERE e.tx = x.tx)"), '0', 'the ledger tells of nothing that cannot be seen');
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");

# Positions wait for standbys themselves, so nobody must be waited for any more.
configure("synchronous_standby_names = ''");
log_is_caught_up($node, 'postgres', 'when it is let go the log goes on');
is(read_log($node, 'postgres', $before), join(', ', $before + 1 . ' stuck-1 1', $before + 2 . ' other-1 1'), 'in the order of the WAL');
$stuck->quit;

# ---------------------------------------------------------------------------
# The ledger's rows are those of a transaction like any other: a session that meets
# one before its commit must not take it for aborted. (It would if the sequencer were
# marked as decoding when it writes: for other sessions it would not be running.)
#
# The lock of NOTIFY is taken last, and a session that has it waits for a standby.
# ---------------------------------------------------------------------------
sub look_at_open_batch
{
	my ($pid, $name) = @_;
	$node->poll_query_until('postgres',
		"SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $pid AND NOT granted AND mode IN ('AccessExclusiveLock', 'RowExclusiveLock'))")
	  or die 'the sequencer does not wait for a lock';
	is( $node->safe_psql('postgres', "SELECT backend_xid IS NOT NULL FROM pg_stat_activity WHERE pid = $pid"),
		't', "$name: the sequencer is in a transaction that has written");

	# Whoever takes an xid moves the end of all snapshots behind the sequencer's.
	for (1 .. 3)
	{
		$node->safe_psql('postgres', <<'SQL');
BEGIN; SELECT pg_current_xact_id(); COMMIT;
SELECT count(*) FROM es_commits; SELECT count(*) FROM es_log; SELECT es_head_position();
SET enable_seqscan = off; SELECT count(*) FROM es_commits WHERE first_position > 0; SELECT count(*) FROM es_commits WHERE tx_range @> 1::bigint;
SQL
	}
	return;
}
my $pid = sequencer_pid($node, 'postgres');
my $holder = session();
$before = head();
configure("synchronous_standby_names = 'nobody'");
$holder->query_safe('SET synchronous_commit = on');
$holder->query_until(qr/begun/, "\\echo begun\nBEGIN; SELECT pg_logical_emit_message(true, '', ''); NOTIFY holder; COMMIT;\n");
wait_for_stuck(1);
$node->safe_psql('postgres', "SELECT es_append('open-1', 'Open', '1')");
look_at_open_batch($pid, 'a batch');
is(head(), $before, 'a batch that is not committed cannot be seen');
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
configure("synchronous_standby_names = ''");
log_is_caught_up($node, 'postgres', 'it commits');
$holder->quit;
is(read_log($node, 'postgres', $before), $before + 1 . ' open-1 1', 'and its row is there for everybody');
log_is_whole($node, 'postgres', 'the log is whole');

# The same while it heals: it writes its state last.
configure('event_store.sequencer = off');
$node->poll_query_until('postgres',
	"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'event_store sequencer')")
  or die 'the sequencer did not go';
$before = head();
$node->safe_psql('postgres', <<'SQL');
SELECT es_append('heal-1', 'Healed', to_jsonb(i)) FROM generate_series(1, 3) i;
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE plugin = 'event_store';
SQL
my $locker = session();
$locker->query_safe('BEGIN; LOCK TABLE es_sequencer_state IN EXCLUSIVE MODE');
configure('event_store.sequencer = on');
look_at_open_batch(sequencer_pid($node, 'postgres'), 'healing');
is(head(), $before, 'positions given by healing cannot be seen before its commit');
$locker->query_safe('COMMIT');
log_is_caught_up($node, 'postgres', 'it commits');
is( read_log($node, 'postgres', $before),
	join(', ', map { $before + $_ . " heal-1 $_" } 1 .. 3),
	'and its rows are there for everybody');
log_is_whole($node, 'postgres', 'the log is whole');
$locker->quit;

# ---------------------------------------------------------------------------
# Processes that end.
# ---------------------------------------------------------------------------
my $dir = PostgreSQL::Test::Utils::tempdir;
install_load_functions($node, 'postgres');

# Clients append while something happens; afterwards the log is whole, and what had
# a position before has the same one.
my $number = 0;

sub happens_to_the_log
{
	my ($name, $do) = @_;
	my @scripts = map { "$dir/round$number.client$_.sql" } 1 .. 3;

	write_client_script(
		$scripts[ $_ - 1 ],
		client       => 100 * $number + $_,
		appends      => 1500,
		streams      => 20,
		transactions => 0.2) for 1 .. 3;
	$number++;
	my $head = head();
	my @running = start_clients($node, 'postgres', @scripts);
	$node->poll_query_until('postgres', "SELECT es_head_position() > $head + 200") or die 'nothing comes';
	my $seen = positions($node, 'postgres');
	$do->();
	$_->kill_kill for @running;
	wait_for_server($node);
	log_is_caught_up($node, 'postgres', "$name: the log catches up");
	is(substr(positions($node, 'postgres'), 0, length $seen), $seen, "$name: positions that were seen are what they were");
	log_is_whole($node, 'postgres', "$name: the log is whole");
	return;
}

happens_to_the_log('the sequencer is terminated', sub {
	for (1 .. 3)
	{
		my $victim = sequencer_pid($node, 'postgres');
		$node->safe_psql('postgres', "SELECT pg_terminate_backend($victim)");
		sequencer_is_another($node, 'postgres', $victim);
	}
});
# (Each makes the launcher wait longer before it starts the next.)
happens_to_the_log('the sequencer is cancelled', sub {
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . sequencer_pid($node, 'postgres') . ')');
});
happens_to_the_log('kill -9 of the sequencer', sub {
	my $victim = sequencer_pid($node, 'postgres');
	kill 'KILL', $victim;
	wait_for_server($node);
}) for 1 .. 2;
happens_to_the_log('an immediate stop', sub { $node->stop('immediate'); $node->start }) for 1 .. 2;
happens_to_the_log('a fast restart', sub { $node->restart });
happens_to_the_log('the launcher is killed', sub {
	kill 'KILL', $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'event_store launcher'");
	wait_for_server($node);
});

# ---------------------------------------------------------------------------
# DROP EXTENSION while events flow.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', 'CREATE DATABASE dropped');
for my $round (1 .. 3)
{
	$node->safe_psql('dropped', 'CREATE EXTENSION event_store');
	my $file = "$dir/flow$round.sql";
	append_to_file($file, "SELECT es_append('flow-' || i % 5, 'Flow', '1') FROM generate_series(1, 10) i;\n" x 5000);
	my @running = start_clients($node, 'dropped', $file, $file);
	$node->poll_query_until('dropped', "SELECT es_head_position() > 100") or die 'nothing comes';

	# It may meet an append in a deadlock, as any DROP of several tables may.
	my $outcome = '40P01';
	$outcome = outcome($node, 'dropped', 'DROP EXTENSION event_store') while $outcome =~ /^40P01/;
	is($outcome, 'ok ', "round $round: DROP EXTENSION while events flow");
	finish_clients(@running);
	ok( $node->poll_query_until('postgres',
			"SELECT NOT EXISTS (SELECT FROM pg_replication_slots WHERE database = 'dropped') AND NOT EXISTS"
			  . " (SELECT FROM pg_stat_activity WHERE backend_type = 'event_store sequencer' AND datname = 'dropped')"),
		"round $round: sequencer and slot go");
}
is(outcome($node, 'postgres', 'DROP DATABASE dropped'), 'ok ', 'the database can be dropped');
log_is_caught_up($node, 'postgres', 'the other store goes on');
log_is_whole($node, 'postgres', 'and is whole');

$_->quit for $first, $second;
log_is_clean($node);
$node->stop;
done_testing();
