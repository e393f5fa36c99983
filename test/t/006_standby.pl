# A streaming standby reads streams and snapshots and refuses appends; promoted,
# it goes on where the primary stood. A logical replication subscriber gets the
# recorded events as they are.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node(
	'primary',
	init => { allows_streaming => 'logical' },
	conf => "max_wal_senders = 10\nmax_replication_slots = 10\n");
$primary->safe_psql('postgres', <<'SQL');
CREATE EXTENSION event_store;
SELECT es_append_json('order-1', '[{"type": "Placed", "data": {"n": 1}}, {"type": "Paid", "data": {"n": 2}}]', 0);
SELECT es_save_snapshot('order-1', 1, '{"placed": true}');
SQL

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

$primary->safe_psql('postgres', <<'SQL');
SELECT es_append('order-1', 'Shipped', '{"n": 3}', expected_version => 2);
BEGIN;
SELECT es_append('prepared-1', 'First', '1');
SAVEPOINT a;
SELECT es_append('prepared-1', 'Gone', '1');
ROLLBACK TO a;
SELECT es_append('prepared-1', 'Second', '1');
PREPARE TRANSACTION 'prepared';
SQL
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));

# ---------------------------------------------------------------------------
# Reading on the standby.
# ---------------------------------------------------------------------------
succeeds($standby, 'postgres', "SELECT string_agg(event_type, ' ' ORDER BY version) FROM es_read_stream('order-1')",
	'Placed Paid Shipped', 'es_read_stream on a standby');
succeeds($standby, 'postgres', "SELECT es_stream_version('order-1'), es_stream_version('order-2'), es_category('order-1'), es_tenant(), es_version()",
	'3|0|order||0.1.0', 'the other reading functions on a standby');
succeeds($standby, 'postgres', "SELECT version, state FROM es_load_snapshot('order-1')",
	'1|{"placed": true}', 'es_load_snapshot on a standby');
succeeds($standby, 'postgres', 'SELECT count(*) FROM es_check()', '0', 'es_check on a standby');

# ---------------------------------------------------------------------------
# Everything that writes is refused there, and nothing is harmed by trying.
# ---------------------------------------------------------------------------
for my $statement (
	"SELECT es_append('order-1', 'Refused', '1')",
	"SELECT es_append('order-1', 'Refused', '1', expected_version => 3)",
	"SELECT es_append('order-9', 'Refused', '1', expected_version => 0)",
	"SELECT es_append_batch('order-1', '{Refused}', '{1}')",
	"SELECT es_append_batch('order-1', '{}', '{}')",
	"SELECT es_append_json('order-1', '[{\"type\": \"Refused\", \"data\": 1}]')",
	"INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'Refused', '1')",
	"SELECT es_execute('order-1', '{}')",
	"SELECT es_save_snapshot('order-1', 1, '1')",
	"SELECT es_delete_snapshots('order-1')",
	"SELECT es_grant('pg_monitor', 'reader')")
{
	fails_with($standby, 'postgres', $statement, '25006', "refused on a standby: $statement");
}
fails_with($standby, 'postgres', 'UPDATE es_events SET data = data', qr/^(?:25006|PE006): /, 'UPDATE is refused on a standby');

# A read-only transaction on the primary is the same to a client.
fails_with($primary, 'postgres', "BEGIN READ ONLY; SELECT es_append('order-1', 'Refused', '1')", '25006',
	'refused in a read-only transaction');
fails_with($primary, 'postgres', "SET default_transaction_read_only = on; SELECT es_append_batch('order-1', '{Refused}', '{1}')",
	'25006', 'refused with default_transaction_read_only');

# ---------------------------------------------------------------------------
# Promoted.
# ---------------------------------------------------------------------------
$primary->stop('immediate');
$standby->promote;
succeeds($standby, 'postgres', "SELECT es_append('order-1', 'Delivered', '1', expected_version => 3)", '4', 'after the promotion appends go on');
fails_with($standby, 'postgres', "SELECT es_append('order-1', 'Late', '1', expected_version => 3)", 'PE001', 'and versions are enforced');
fails_with($standby, 'postgres', "SET lock_timeout = '100ms'; SELECT es_append('prepared-1', 'Wait', '1')", '55P03',
	'the prepared transaction still holds its stream');
succeeds($standby, 'postgres', "COMMIT PREPARED 'prepared'; SELECT es_append('prepared-1', 'Third', '1', expected_version => 2)", '3',
	'and is committed where it was not prepared');
succeeds($standby, 'postgres', "INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'Inserted', '1') RETURNING version", '5',
	'a plain INSERT goes on');
store_is_sound($standby, 'postgres', 'the promoted store is sound');

# ---------------------------------------------------------------------------
# Logical replication: the first copy, then single transactions.
# ---------------------------------------------------------------------------
my $publisher  = $standby;
my $subscriber = new_node('subscriber');
$subscriber->safe_psql('postgres', 'CREATE EXTENSION event_store');
$publisher->safe_psql('postgres', 'CREATE PUBLICATION events FOR TABLE es_events, es_snapshots');
$subscriber->safe_psql('postgres',
	'CREATE SUBSCRIPTION events CONNECTION $$' . $publisher->connstr('postgres') . '$$ PUBLICATION events');
$subscriber->wait_for_subscription_sync($publisher, 'events');
is(contents($subscriber, 'postgres'), contents($publisher, 'postgres'), 'the first copy of a subscriber is the same');

$publisher->safe_psql('postgres', <<'SQL');
SELECT es_append_batch('order-1', '{A,B}', '{1,2}', expected_version => 5);
BEGIN;
SELECT es_append('order-2', 'One', '1');
SAVEPOINT a;
SELECT es_append('order-3', 'Gone', '1');
ROLLBACK TO a;
INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-2', 'Two', '1');
COMMIT;
SELECT es_save_snapshot('order-2', 2, '1');
SQL
$publisher->wait_for_catchup('events');
is(contents($subscriber, 'postgres'), contents($publisher, 'postgres'), 'what is replicated later is the same');
store_is_sound($subscriber, 'postgres', 'the subscriber\'s store is sound');

# The subscriber takes over.
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION events');
succeeds($subscriber, 'postgres', "SELECT es_append('order-2', 'Here', '1', expected_version => 2)", '3', 'a former subscriber appends');
store_is_sound($subscriber, 'postgres', 'and its store is sound');

log_is_clean($_) for $primary, $publisher, $subscriber;
$subscriber->stop;
$publisher->stop;
done_testing();
