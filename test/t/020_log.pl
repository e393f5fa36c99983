# The global log, by hand and with a sequencer: every committed event gets its
# position, in the order of the commits; waiting for it, and being told of it.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# ---------------------------------------------------------------------------
# Without preload: es_sequence() does it.
# ---------------------------------------------------------------------------
my $conf = worker_settings() =~ s/^shared_preload_libraries.*\n//mr;
my $node = new_node('by_hand', conf => "$conf\nmax_replication_slots = 5\n");
$node->safe_psql('postgres', 'CREATE EXTENSION event_store');

succeeds($node, 'postgres', 'SELECT es_head_position(), es_sequence(), es_head_position()', '0|0|0', 'an empty store has an empty log');
$node->safe_psql('postgres', <<'SQL');
SELECT es_append('order-1', 'Placed', '1');
SELECT es_append_batch('order-2', '{A,B,C}', '{1,2,3}');
INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'Inserted', '1'), ('order-3', 'Inserted', '1');
COPY es_events (stream_id, event_type, data) FROM stdin;
order-1	Copied	1
order-4	Copied	1
\.
SQL
is($node->safe_psql('postgres', 'SELECT count(*) FROM es_log'), '0', 'before it is called no event has a position');
is(outcome($node, 'postgres', 'SELECT es_sequence()'), 'ok 8', 'es_sequence() tells how many it gave');
is($node->safe_psql('postgres', 'SELECT es_sequence(), es_head_position()'), '0|8', 'and has nothing to do when called again');
is( read_log($node, 'postgres', 0),
	'1 order-1 1, 2 order-2 1, 3 order-2 2, 4 order-2 3, 5 order-1 2, 6 order-3 1, 7 order-1 3, 8 order-4 1',
	'a reader gets them in the order of the commits');
is( $node->safe_psql('postgres', "SELECT es_position('order-1', 3), es_position('order-1', 4), es_position('none', 1)"),
	'7||', 'es_position finds an event');

$node->safe_psql('postgres', <<'SQL');
SET synchronous_commit = off;
SELECT es_append('order-1', 'Asynchronous', '1');
SELECT es_sequence();
SQL
is(read_log($node, 'postgres', 8), '9 order-1 4', 'an append with synchronous_commit = off gets its position as well');

$node->safe_psql('postgres', <<'SQL');
BEGIN;
SELECT es_append('order-5', 'Kept', '1');
SAVEPOINT a;
SELECT es_append('order-5', 'Gone', '1'), es_append('order-6', 'Gone', '1');
ROLLBACK TO a;
SELECT es_append('order-7', 'Kept', '1');
SAVEPOINT b;
SELECT es_append('order-5', 'Kept', '1');
RELEASE b;
COMMIT;
BEGIN;
SELECT es_append('order-5', 'Gone', '1');
ROLLBACK;
BEGIN;
SAVEPOINT c;
SELECT es_append('order-8', 'Gone', '1');
ROLLBACK TO c;
COMMIT;
BEGIN;
SAVEPOINT d;
SELECT es_append('order-9', 'Kept', '1');
RELEASE d;
COMMIT;
SELECT es_sequence();
SQL
is( read_log($node, 'postgres', 9),
	'10 order-5 1, 11 order-7 1, 12 order-5 2, 13 order-9 1',
	'what was rolled back leaves no hole, with savepoints and without');

# A prepared transaction has its place where it was committed.
$node->safe_psql('postgres', <<'SQL');
BEGIN;
SELECT es_append('prepared-1', 'First', '1'), es_append('prepared-1', 'Second', '1');
PREPARE TRANSACTION 'kept';
BEGIN;
SELECT es_append('prepared-2', 'Gone', '1');
PREPARE TRANSACTION 'gone';
SELECT es_append('order-1', 'Between', '1');
SELECT es_sequence();
SQL
is(read_log($node, 'postgres', 13), '14 order-1 5', 'prepared transactions are not committed, and stop nobody');
$node->safe_psql('postgres', "COMMIT PREPARED 'kept'; ROLLBACK PREPARED 'gone'; SELECT es_append('order-1', 'After', '1')");
$node->safe_psql('postgres', 'SELECT es_sequence()');
is( read_log($node, 'postgres', 14),
	'15 prepared-1 1, 16 prepared-1 2, 17 order-1 6',
	'COMMIT PREPARED is where the transaction has its place');
log_is_whole($node, 'postgres', 'the log by hand is whole');

my $positions = positions($node, 'postgres');
$node->restart;
$node->safe_psql('postgres', 'SELECT es_sequence()');
is(positions($node, 'postgres'), $positions, 'a restart changes no position');
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', 'SELECT es_sequence()');
is(positions($node, 'postgres'), $positions, 'a crash changes no position, and gives none twice');

# Many transactions, of two sessions that call it at once.
$node->safe_psql('postgres', <<'SQL');
CREATE PROCEDURE many(streams text, n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM es_append(streams || i % 7, 'Many', to_jsonb(i));
		COMMIT;
		IF i % 100 = 0 THEN
			PERFORM es_sequence();
			COMMIT;
		END IF;
	END LOOP;
END $$;
SQL
my @sessions = map { $node->background_psql('postgres') } 1 .. 3;
$_->query_until(qr/begun/, "\\echo begun\nCALL many('many-', 500);\n") for @sessions;
$_->quit for @sessions;
$node->safe_psql('postgres', 'SELECT es_sequence()');
is($node->safe_psql('postgres', 'SELECT es_head_position()'), '1517', 'sessions that call es_sequence() at once wait for each other');
log_is_whole($node, 'postgres', 'and the log is whole');

# ---------------------------------------------------------------------------
# What it refuses.
# ---------------------------------------------------------------------------
fails_with($node, 'postgres', "BEGIN; SELECT es_append('order-1', 'X', '1'); SELECT es_sequence()",
	qr/^25001: .*\nHINT:  Commit first\./s, 'es_sequence() in a transaction that has written is refused');
for my $call ('es_wait_for_log()', "es_wait_for_log('1 s')", 'es_wait_for_position(1000000)')
{
	fails_with($node, 'postgres', "SELECT $call",
		qr/^PE007: .*not preloaded.*\nHINT:  .*shared_preload_libraries.*es_sequence\(\)/s,
		"$call says that there is nobody to wait for");
}
succeeds($node, 'postgres', 'SELECT es_wait_for_position(1517), es_wait_for_position(0)', 't|t', 'what is there need not be waited for');
fails_with($node, 'postgres', 'SELECT es_wait_for_position(NULL)', '22004', 'a position is needed');
fails_with($node, 'postgres', 'SELECT es_wait_for_position(-1)',   '22023', 'and one that can be');

$node->safe_psql('postgres', 'CREATE ROLE log_reader LOGIN; CREATE ROLE log_writer LOGIN; CREATE ROLE log_nobody LOGIN;'
	  . "SELECT es_grant('log_reader', 'reader'), es_grant('log_writer', 'writer')");
fails_with($node, 'postgres', 'SELECT es_sequence()', '42501', "$_ may not sequence", $_) for 'log_reader', 'log_nobody';
fails_with($node, 'postgres', 'SELECT * FROM es_store_key', '42501', "$_ may not know the key of the store", $_)
  for 'log_reader', 'log_writer', 'log_nobody';

# ---------------------------------------------------------------------------
# Messages of others are no messages of the store.
# ---------------------------------------------------------------------------
SKIP:
{
	skip 'this PostgreSQL has no test_decoding', 4
	  if outcome($node, 'postgres', "SELECT pg_create_logical_replication_slot('look', 'test_decoding')") !~ /^ok/;
	$node->safe_psql('postgres', "SELECT es_append('order-1', 'Genuine', '1')");
	my $message = $node->safe_psql('postgres', <<'SQL');
SELECT encode(substring(data FROM position('content:'::bytea IN data) + 8), 'hex')
	FROM pg_logical_slot_peek_binary_changes('look', NULL, NULL) WHERE position('prefix: event_store'::bytea IN data) > 0;
SQL
	my $key = $node->safe_psql('postgres', "SELECT replace(key::text, '-', '') FROM es_store_key");
	like($message, qr/^$key/, 'a message begins with the key of the store');
	my ($rest) = $message =~ /^$key(.*)/;
	my $other = join '', map { sprintf '%x', 15 - hex } split //, $key;

	for my $content ('', '00', 'ff' x 8, 'ff' x 1000, $key =~ s/..$//r, $other, "$other$rest", '00' x 16 . $rest, $rest,
		$other . '01' . '7fffffffffffffff' . '7fffffff' . '0000000000000001' . '7fffffffffffffff')
	{
		$node->safe_psql('postgres',
			"SELECT pg_logical_emit_message(true, 'event_store', decode('$content', 'hex')),"
			  . " pg_logical_emit_message(false, 'event_store', decode('$content', 'hex'))",
			extra_params => [ '-U', 'log_nobody' ]);
	}
	# In a transaction that appends, too.
	$node->safe_psql('postgres', <<"SQL", extra_params => [ '-U', 'log_writer' ]);
BEGIN;
SELECT pg_logical_emit_message(true, 'event_store', decode('$other$rest', 'hex'));
SELECT es_append('order-1', 'Genuine', '2');
SELECT pg_logical_emit_message(true, 'event_store', decode('$other$rest', 'hex'));
COMMIT;
SQL
	# A genuine one counts where it is part of the transaction only.
	$node->safe_psql('postgres', "SELECT pg_logical_emit_message(false, 'event_store', decode('$message', 'hex'))");
	is(outcome($node, 'postgres', 'SELECT es_sequence()'), 'ok 2', 'messages that are not of the store are ignored');
	is(read_log($node, 'postgres', 1517), '1518 order-1 7, 1519 order-1 8', 'and add nothing to the log');
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('look')");
	log_is_whole($node, 'postgres', 'the log after strange messages is whole');
}

# ---------------------------------------------------------------------------
# Other databases, and a store that is created anew.
# ---------------------------------------------------------------------------
my $slots = "SELECT string_agg(database, ' ' ORDER BY database) FROM pg_replication_slots WHERE plugin = 'event_store'";
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', <<'SQL');
CREATE SCHEMA "My Events";
CREATE EXTENSION event_store SCHEMA "My Events";
SELECT "My Events".es_append('order-1', 'Elsewhere', '1');
SQL
$node->safe_psql('postgres', "SELECT es_append('order-1', 'Here', '1')");
is(outcome($node, 'other', 'SELECT "My Events".es_sequence()'), 'ok 1', 'a store in another database and schema');
is($node->safe_psql('postgres', 'SELECT es_sequence()'), '1', 'has a log of its own');
log_is_whole($node, 'other', 'both logs are whole', '"My Events"');
log_is_whole($node, 'postgres', 'both logs are whole, the other one too');
is($node->safe_psql('postgres', $slots), 'other postgres', 'each has one slot');

$node->safe_psql('other', 'DROP EXTENSION event_store; CREATE EXTENSION event_store SCHEMA "My Events"');
$node->safe_psql('other', qq{SELECT "My Events".es_append('order-1', 'Anew', '$_')}) for 1 .. 3;
is(outcome($node, 'other', 'SELECT "My Events".es_sequence()'), 'ok 3', 'a store that is created anew begins at position 1');
log_is_whole($node, 'other', 'and its log is whole', '"My Events"');
is($node->safe_psql('postgres', $slots), 'other postgres', 'and has taken the place of the slot');
log_is_clean($node);
$node->stop;

# ---------------------------------------------------------------------------
# wal_level = replica: appends work, the log says what it lacks; later it catches up.
# ---------------------------------------------------------------------------
my $replica = new_node('replica', conf => worker_settings() =~ s/wal_level = logical/wal_level = replica/r);
$replica->safe_psql('postgres', 'CREATE EXTENSION event_store');
$replica->safe_psql('postgres', <<'SQL');
SELECT es_append('order-1', 'Early', '1') FROM generate_series(1, 100);
SELECT es_append('order-' || i, 'Early', '1') FROM generate_series(1, 100) i;
SQL
for my $call ('es_sequence()', "es_wait_for_log('1 s')", 'es_wait_for_position(1)')
{
	fails_with($replica, 'postgres', "SELECT $call",
		qr/^PE007: .*"wal_level" is "replica".*\nHINT:  Set "wal_level" to "logical"/s,
		"$call says that wal_level is too low");
}
succeeds($replica, 'postgres', "SELECT es_wait_for_position(0), es_head_position(), (SELECT count(*) FROM es_read_all())",
	't|0|0', 'reading an empty log works');
$replica->append_conf('postgresql.conf', 'wal_level = logical');
$replica->restart;
$replica->safe_psql('postgres', "SELECT es_append('order-1', 'Late', '1')");
log_is_caught_up($replica, 'postgres', 'with wal_level = logical the log catches up');
is($replica->safe_psql('postgres', 'SELECT es_head_position()'), '201', 'with everything that was appended before');
log_is_whole($replica, 'postgres', 'and it is whole');

# ---------------------------------------------------------------------------
# Waiting
# ---------------------------------------------------------------------------
$node = $replica;

# Sessions that wait, each for a call of es_wait_...; done when they do.
sub waiting_session
{
	my ($call, $before) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_safe($before) if defined $before;
	$session->query_until(qr/begun/, "\\set VERBOSITY verbose\n\\echo begun\nSELECT 'answer ' || $call;\n");
	$node->poll_query_until('postgres',
		"SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid")
	  or die "$call does not wait";
	return ($session, $pid);
}

# What has come of one.
sub answer
{
	my ($session) = @_;
	my $answer = $session->query('SELECT 1');
	$answer .= $session->{stderr};
	$session->{stderr} = '';
	$session->quit;
	return $answer;
}

my ($session, $pid) = waiting_session('es_wait_for_position(203)');
my ($second) = waiting_session('es_wait_for_position(202)');
$node->safe_psql('postgres', "SELECT es_append('order-1', 'Awaited', '1')");
like(answer($second), qr/^answer true/, 'a session that waits for a position is woken when it is there');
is( $node->safe_psql('postgres', "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid"),
	'Extension', 'one that waits for a later one sleeps on');
$node->safe_psql('postgres', "SELECT es_append('order-1', 'Awaited', '1')");
like(answer($session), qr/^answer true/, 'until that is there');
succeeds($node, 'postgres', "SELECT es_wait_for_position(204, '20 ms'), es_wait_for_position(204, '0')", 'f|f', 'a wait ends with its time');
fails_with($node, 'postgres', "SELECT es_wait_for_position(204, '-1 s')", '22023', 'a negative time is none');
fails_with($node, 'postgres', "SELECT es_wait_for_log('-1 s')", '22023', 'for neither function');
fails_with($node, 'postgres', "SET statement_timeout = '20ms'; SELECT es_wait_for_position(204)",
	'57014', 'statement_timeout ends a wait');

($session, $pid) = waiting_session('es_wait_for_position(204)');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
like(answer($session), qr/57014: canceling statement due to user request/, 'a wait can be cancelled');
($session, $pid) = waiting_session('es_wait_for_position(204)');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
ok( $node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)"),
	'a session that waits can be terminated');

# A sequencer that does not move.
$pid = sequencer_pid($node, 'postgres');
kill 'STOP', $pid;
$node->safe_psql('postgres', "SELECT es_append('order-1', 'Awaited', '1')");
succeeds($node, 'postgres', "SELECT es_wait_for_log('20 ms'), es_wait_for_log('0')", 'f|f', 'es_wait_for_log ends with its time');
my ($log_waiter) = waiting_session('es_wait_for_log()');
my ($xid_waiter) = waiting_session('es_wait_for_log()', "BEGIN; SELECT es_append('own-1', 'Own', '1')");
kill 'CONT', $pid;
like(answer($log_waiter), qr/^answer true/, 'and when the log has got there');
like(answer($xid_waiter), qr/^answer true/, "also in a transaction with events of its own, which it does not wait for");
is($node->safe_psql('postgres', 'SELECT es_head_position()'), '204', 'that is what it has got to');

# A sequencer that is switched off.
kill 'STOP', $pid;
$node->safe_psql('postgres', "SELECT es_append('order-1', 'Awaited', '1')");
($session) = waiting_session('es_wait_for_log()');
$node->append_conf('postgresql.conf', 'event_store.sequencer = off');
$node->reload;
kill 'CONT', $pid;
like(answer($session), qr/^answer true|PE007: .*\nDETAIL:  The setting "event_store.sequencer" is off/,
	'a session that waits is told when the sequencer is switched off');
$node->poll_query_until('postgres',
	"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'event_store sequencer')")
  or die 'the sequencer did not go';
$node->safe_psql('postgres', "SELECT es_append('order-1', 'By hand', '1')");
fails_with($node, 'postgres', "SELECT $_", qr/^PE007: .*\nDETAIL:  The setting "event_store.sequencer" is off/,
	"$_ with the sequencer off")
  for 'es_wait_for_log()', 'es_wait_for_position(1000)';
like(outcome($node, 'postgres', 'SELECT es_sequence()'), qr/^ok [12]$/, 'by hand it still goes');
$node->append_conf('postgresql.conf', 'event_store.sequencer = on');
$node->reload;
$node->safe_psql('postgres', "SELECT es_append('order-1', 'On again', '1')");
log_is_caught_up($node, 'postgres', 'switched on again it goes on');
succeeds($node, 'postgres', 'SELECT es_sequence()', '0', 'es_sequence() beside a sequencer waits for it');
log_is_whole($node, 'postgres', 'the log is whole');

# ---------------------------------------------------------------------------
# NOTIFY
# ---------------------------------------------------------------------------
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN event_store; LISTEN sentinel');

# What the listener was told before a notification that we send.
sub heard
{
	$node->safe_psql('postgres', 'NOTIFY sentinel');
	my $heard = '';
	$heard .= $listener->query_safe('SELECT') . "\n" until $heard =~ /"sentinel"/;
	return join ' ', $heard =~ /notification "event_store" with payload "(\d+)"/g;
}
$node->safe_psql('postgres', "SELECT es_append('order-1', 'Told', '1')");
log_is_caught_up($node, 'postgres', 'one append');
my $head = $node->safe_psql('postgres', 'SELECT es_head_position()');
is(heard(), $head, 'listeners are told the new head');
$node->safe_psql('postgres', "BEGIN; SELECT es_append('order-1', 'Undone', '1'); ROLLBACK; SELECT es_wait_for_log()");
is(heard(), '', 'and nothing when there is none');
$pid = sequencer_pid($node, 'postgres');
kill 'STOP', $pid;
$node->safe_psql('postgres', "SELECT es_append('order-1', 'Told', '1')") for 1 .. 5;
kill 'CONT', $pid;
log_is_caught_up($node, 'postgres', 'five appends that wait together');
is(heard(), $head + 5, 'are told of once');
$node->append_conf('postgresql.conf', 'event_store.notify = off');
$node->reload;
# The sequencer takes settings before it works: behind one batch it has them.
$node->safe_psql('postgres', "SELECT es_append('order-1', 'Perhaps', '1'); SELECT es_wait_for_log()");
heard();
$node->safe_psql('postgres', "SELECT es_append('order-1', 'Not told', '1'); SELECT es_wait_for_log()");
is(heard(), '', 'with event_store.notify off nobody is told');
$listener->quit;

log_is_clean($node);
$node->stop;
done_testing();
