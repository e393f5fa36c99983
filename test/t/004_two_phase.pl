# Prepared transactions: appends over savepoints, prepared, the server restarted
# or crashed, then committed or rolled back. Versions and ordinals are exact.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('two_phase');
$node->safe_psql('postgres', 'CREATE EXTENSION event_store');

my $prepare = <<'SQL';
BEGIN;
SELECT es_append('%1$s', 'First', '1');
SAVEPOINT a;
SELECT es_append('%1$s', 'Gone', '1');
SELECT es_append('%1$s-other', 'Gone', '1');
ROLLBACK TO a;
SELECT es_append_batch('%1$s', '{Second,Third}', '{1,2}', expected_version => 1);
SAVEPOINT b;
INSERT INTO es_events (stream_id, event_type, data) VALUES ('%1$s', 'Gone', '1');
SAVEPOINT c;
SELECT es_append('%1$s', 'Gone', '1');
ROLLBACK TO b;
RELEASE b;
DO $$
BEGIN
	PERFORM es_append('%1$s', 'Gone', '1');
	RAISE 'caught';
EXCEPTION WHEN raise_exception THEN
	PERFORM es_append('%1$s', 'Fourth', '1', expected_version => 3);
END $$;
PREPARE TRANSACTION '%1$s';
SQL

for my $stream ('kept-1', 'lost-1', 'kept-2', 'lost-2')
{
	succeeds($node, 'postgres', sprintf($prepare, $stream), "1\n2\n1\n3\n5", "prepared: $stream");
}

# The same session goes on after a PREPARE: nothing of the prepared transaction
# may run on in it.
succeeds($node, 'postgres', <<'SQL', "1\n1\n1\n2\n0 1 2", 'a session goes on after a PREPARE with a transaction of its own');
BEGIN;
SELECT es_append('same-1', 'Prepared', '1');
PREPARE TRANSACTION 'same';
BEGIN;
SELECT es_append('same-2', 'Next', '1');
SELECT es_append('same-3', 'Next', '1');
SELECT es_append('same-2', 'Next', '1');
COMMIT;
SELECT string_agg(ordinal::text, ' ' ORDER BY ordinal) FROM es_events WHERE stream_id IN ('same-2', 'same-3');
SQL

succeeds($node, 'postgres', 'SELECT count(*) FROM es_events WHERE stream_id ~ \'^(kept|lost)\'', '0', 'nothing prepared is seen');
fails_with($node, 'postgres', "SET lock_timeout = '100ms'; SELECT es_append('kept-1', 'Wait', '1')",
	'55P03', 'the stream of a prepared transaction is taken');
succeeds($node, 'postgres', "SET lock_timeout = '60s'; SELECT es_append('kept-1-other', 'Free', '1', expected_version => 0)",
	'1', 'a stream whose savepoint rolled back is free');

sub check_after
{
	my ($round) = @_;
	my ($kept, $lost) = ("kept-$round", "lost-$round");

	fails_with($node, 'postgres', "SET lock_timeout = '100ms'; SELECT es_append('$kept', 'Wait', '1')",
		'55P03', "$kept is still taken after the restart");
	succeeds($node, 'postgres', "SELECT es_stream_version('$kept')", '0', "$kept is not seen yet");
	succeeds($node, 'postgres', "COMMIT PREPARED '$kept'", '', "$kept committed");
	succeeds($node, 'postgres', "ROLLBACK PREPARED '$lost'", '', "$lost rolled back");
	succeeds($node, 'postgres', "SELECT string_agg(format('%s@%s:%s', event_type, version, ordinal), ' ' ORDER BY version)"
		  . " FROM es_events WHERE stream_id = '$kept'",
		'First@1:0 Second@2:1 Third@3:2 Fourth@4:3', "versions and ordinals of $kept are exact");
	succeeds($node, 'postgres', "SELECT count(DISTINCT tx) FROM es_events WHERE stream_id = '$kept'", '1', 'of one transaction');
	succeeds($node, 'postgres', "SELECT es_append('$kept', 'After', '1', expected_version => 4)", '5', "$kept goes on");
	succeeds($node, 'postgres', "SELECT es_append('$lost', 'After', '1', expected_version => 0)", '1', "$lost begins again");
	store_is_sound($node, 'postgres', 'the store is sound');
	return;
}

$node->restart;
check_after(1);

# A checkpoint, so that one comes from a state file and not from WAL, then a crash.
$node->safe_psql('postgres', 'CHECKPOINT');
$node->stop('immediate');
$node->start;
check_after(2);

$node->safe_psql('postgres', "COMMIT PREPARED 'same'");
store_is_sound($node, 'postgres', 'the store is sound when nothing is prepared any more');

# The waiting append gets its answer from another session's COMMIT PREPARED.
$node->safe_psql('postgres', "BEGIN; SELECT es_append('wait-1', 'Prepared', '1'); PREPARE TRANSACTION 'wait'");
my $waiting = $node->background_psql('postgres', timeout => 120);
$waiting->query_until(qr/sent/, "\\echo sent\nSELECT es_append('wait-1', 'Waited', '1');\n\\echo done\n");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted")
  or die 'the append does not wait';
$node->safe_psql('postgres', "COMMIT PREPARED 'wait'");
like($waiting->query_until(qr/done/, ''), qr/^2$/m, 'an append that waited for a prepared transaction goes on after it');
$waiting->quit;

# Nothing appended, everything appended rolled back, and a transaction of the whole table.
succeeds($node, 'postgres', <<'SQL', "1\n1\n1\n1\n2\n0", 'prepared without an event left; prepared with the lock of the table');
BEGIN; SAVEPOINT a; SELECT es_append('none-1', 'Gone', '1'); ROLLBACK TO a; PREPARE TRANSACTION 'none'; COMMIT PREPARED 'none';
SET event_store.max_stream_locks = 1;
BEGIN; SELECT es_append('many-1', 'E', '1'); SELECT es_append('many-2', 'E', '1'); SELECT es_append('many-3', 'E', '1'); PREPARE TRANSACTION 'many';
COMMIT PREPARED 'many';
SELECT es_append('many-3', 'E', '1', expected_version => 1);
SELECT count(*) FROM es_check();
SQL
store_is_sound($node, 'postgres', 'and sound at the end');

log_is_clean($node);
$node->stop;
done_testing();
