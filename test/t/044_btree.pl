# Appends put their index entries into leaf pages themselves, a batch's together,
# and remember where the leaves are. Whatever happens to the pages meanwhile (splits,
# VACUUM that deletes them, REINDEX, entries of transactions that rolled back, other
# sessions) the indexes are as amcheck wants them, also on a standby, whose pages are
# compared with the primary's at each record, and after a crash.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir     = PostgreSQL::Test::Utils::tempdir;
my $primary = new_node(
	'primary',
	init => { allows_streaming => 1 },
	conf => <<'CONF');
wal_consistency_checking = 'btree, generic'
autovacuum = off
deadlock_timeout = 20ms
max_wal_size = 4GB
wal_keep_size = 1GB
CONF
plan skip_all => 'amcheck is not installed'
  unless $primary->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'");
$primary->safe_psql('postgres', 'CREATE EXTENSION event_store');
install_load_functions($primary, 'postgres');
$primary->safe_psql('postgres', <<'SQL');
CREATE FUNCTION many(n integer) RETURNS text[] IMMUTABLE LANGUAGE sql
	RETURN array_fill('Many'::text, ARRAY[n]);
CREATE FUNCTION data(n integer) RETURNS jsonb[] IMMUTABLE LANGUAGE sql
	RETURN array_fill('{"n": 1}'::jsonb, ARRAY[n]);
SQL
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# Everything that amcheck can say, and whether the indexes show what the table holds.
sub indexes_are_right
{
	my ($node, $name, $parents) = @_;
	my $check = $parents ? 'bt_index_parent_check(i.indexrelid, true, true)' : 'bt_index_check(i.indexrelid, true)';
	my $digest = "SELECT count(*), sum(hashtextextended(e::text, 0)) FROM es_events e";

	succeeds($node, 'postgres', "SET statement_timeout = 0; SELECT count($check) FROM pg_index i WHERE i.indrelid = 'es_events'::regclass",
		'3', "$name: amcheck");
	my $table = $node->safe_psql('postgres', "SET enable_indexscan = off; SET enable_bitmapscan = off; $digest");
	for my $columns ('tenant_id >= \'\'', 'tx >= 0', "event_id >= '00000000-0000-0000-0000-000000000000'")
	{
		is($node->safe_psql('postgres', "SET enable_seqscan = off; SET enable_bitmapscan = off; $digest WHERE $columns"),
			$table, "$name: the index shows the table, $columns");
	}
	return;
}

sub all_is_right
{
	my ($name) = @_;
	store_is_sound($primary, 'postgres', "$name: the store is sound");
	$primary->safe_psql('postgres', 'CREATE EXTENSION amcheck');
	indexes_are_right($primary, "$name, primary", 1);
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	unlike(slurp_file($standby->logfile), qr/inconsistent page/, "$name: the standby's pages are the primary's");
	indexes_are_right($standby, "$name, standby", 0);
	$primary->safe_psql('postgres', 'DROP EXTENSION amcheck');
	return;
}

# Runs statements, each a transaction, in one session, which remembers.
sub session
{
	my ($name, $sql) = @_;
	my $file = "$dir/session.sql";
	unlink $file;
	append_to_file($file, $sql);
	my ($out, $err) = ('', '');
	$primary->psql('postgres', '', stdout => \$out, stderr => \$err,
		extra_params => [ '-v', 'VERBOSITY=sqlstate', '-f', $file ]);
	return is($err, '', "$name: no errors");
}

# How many WAL records of each kind a statement writes.
sub records
{
	my ($sql) = @_;
	my ($from, $to) = split /\n/, $primary->safe_psql('postgres',
		"SELECT pg_current_wal_insert_lsn(); $sql; SELECT pg_current_wal_insert_lsn()");
	my %count;
	my ($out) = run_command([ 'pg_waldump', '-p', $primary->data_dir . '/pg_wal', '-s', $from, '-e', $to ]);
	while ($out =~ /^rmgr: (\w+) .*desc: (\w*)/mg)
	{
		$count{ $1 eq 'Generic' ? $1 : "$1 $2" }++;
	}
	return \%count;
}

# ---------------------------------------------------------------------------
# What it is for.
# ---------------------------------------------------------------------------
session('batches of all sizes',
	join('', map { "SELECT es_append_batch('sizes', many($_), data($_));\n" } 1 .. 20, 99, 100, 101, 255, 256, 257, 1000, 5000));
session('and one after the other',
	join('', map { "SELECT es_append('stream-" . ($_ * 7919) % 301 . "', 'One', '1');\n" } 1 .. 3000));
session('long names of streams, that compress and that do not',
	join('', map {
		"SELECT es_append_batch(repeat('$_', 256), many(40), data(40));\n"
		  . "SET event_store.tenant_id = 'tenant-$_';\n"
		  . "SELECT es_append_batch(left((SELECT string_agg(md5(i::text || '$_'), '') FROM generate_series(1, 16) i), 512 - $_ % 3), many(30), data(30));\n"
		  . "SELECT es_append(repeat('$_', 256), 'One', '1');\n"
		  . "RESET event_store.tenant_id;\n"
	} 10 .. 40));
all_is_right('appended');

my $count = records("SELECT FROM es_append_batch('sizes', many(100), data(100))");
cmp_ok($count->{Generic} // 0, '>=', 3, 'the entries of a batch in an index are logged together');
cmp_ok($count->{'Btree INSERT_LEAF'} // 0, '<', 30, 'and few by themselves');

# ---------------------------------------------------------------------------
# Ids that the caller gives: in no order, and of events of other streams.
# ---------------------------------------------------------------------------
session('ids in any order, and again in other streams', join('', map {
	my $stream = $_;
	"SELECT es_append_json('ids-$stream', (SELECT jsonb_agg(jsonb_build_object('type', 'Id', 'data', 1, 'id', md5((i * 37 % 101)::text)))"
	  . " FROM generate_series(1, 100) i));\n"
	  . "SELECT es_append('ids-$stream', 'Id', '1', event_id => md5('same')::uuid);\n"
} 1 .. 30));
all_is_right('ids of the caller');

# ---------------------------------------------------------------------------
# Entries of rows that were rolled back: a few, more than are looked at, and so
# many that VACUUM deletes pages which the session remembers.
# ---------------------------------------------------------------------------
session('rolled back', join('', map {
	"BEGIN; SELECT es_append('undone', 'Gone', '1'); ROLLBACK;\n"
	  . "BEGIN; SELECT es_append('undone', 'Kept', '1'); SAVEPOINT a; SELECT es_append_batch('undone', many($_), data($_));"
	  . " ROLLBACK TO a; SELECT es_append('undone', 'Kept', '1'); COMMIT;\n"
} 1 .. 40));
all_is_right('rolled back');

session('pages deleted', join('', map {
	"SELECT es_append_batch('left-$_', many(3), data(3));\n"
	  . "BEGIN; SELECT es_append_batch('left-$_', many(3000), data(3000)); ROLLBACK;\n"
	  . "VACUUM es_events;\n"
	  . "SELECT es_append('left-$_', 'One', '1');\n"
	  . "SELECT es_append_batch('other-$_', many(2000), data(2000));\n"
	  . "VACUUM es_events;\n"
	  . "SELECT es_append_batch('left-$_', many(50), data(50));\n"
} 1 .. 6));
session('files replaced', <<'SQL' x 3);
SELECT es_append_batch('left-1', many(50), data(50));
REINDEX TABLE es_events;
SELECT es_append_batch('left-1', many(50), data(50));
VACUUM FULL es_events;
SELECT es_append_batch('left-1', many(50), data(50));
SELECT es_append('left-1', 'One', '1');
SQL
all_is_right('pages deleted and files replaced');

# Entries that scans have marked dead.
session('dead entries', <<'SQL' x 5);
BEGIN; SELECT es_append_batch('dead', many(80), data(80)); ROLLBACK;
SELECT count(*) FROM es_read_stream('dead');
SELECT es_append_batch('dead', many(20), data(20));
SELECT count(*) FROM es_read_stream('dead');
SELECT es_append_batch('dead', many(90), data(90));
SQL
all_is_right('dead entries');

# A table whose file is cut off in place: this transaction has made it.
my ($result, $out, $err) = $primary->psql('postgres', <<'SQL');
CREATE DATABASE cut;
\c cut
BEGIN;
CREATE EXTENSION event_store;
SELECT es_append_batch('a', array_fill('A'::text, ARRAY[3000]), array_fill('1'::jsonb, ARRAY[3000]));
ALTER TABLE es_events DISABLE TRIGGER USER;
TRUNCATE es_events;
ALTER TABLE es_events ENABLE TRIGGER USER;
COMMIT;
SELECT es_append_batch('a', array_fill('A'::text, ARRAY[10]), array_fill('1'::jsonb, ARRAY[10]));
SELECT es_append_batch('b', array_fill('A'::text, ARRAY[10]), array_fill('1'::jsonb, ARRAY[10]));
SQL
is($err, '', 'a table that was emptied in place takes events');
is($primary->safe_psql('cut', 'CREATE EXTENSION amcheck; SELECT count(bt_index_parent_check(indexrelid, true, true)) FROM pg_index WHERE indrelid = \'es_events\'::regclass'),
	'3', 'and its indexes are right');

# ---------------------------------------------------------------------------
# A prepared transaction's entries lie among those of others.
# ---------------------------------------------------------------------------
session('prepared', <<'SQL');
BEGIN; SELECT es_append_batch('p-1', many(200), data(200)); PREPARE TRANSACTION 'kept';
BEGIN; SELECT es_append_batch('p-2', many(200), data(200)); PREPARE TRANSACTION 'gone';
SELECT es_append_batch('p-0', many(200), data(200));
SELECT es_append_batch('p-3', many(200), data(200));
COMMIT PREPARED 'kept';
ROLLBACK PREPARED 'gone';
SELECT es_append_batch('p-1', many(10), data(10));
SELECT es_append_batch('p-2', many(10), data(10));
SQL
all_is_right('prepared');

# ---------------------------------------------------------------------------
# Many at once, while pages are deleted and files replaced under them, and a
# crash in the midst of it.
# ---------------------------------------------------------------------------
sub load
{
	my ($round, $clients, $appends) = @_;
	my @scripts = map { "$dir/load$round.client$_.sql" } 1 .. $clients;
	for my $client (1 .. $clients)
	{
		write_client_script(
			$scripts[ $client - 1 ],
			client       => $round * 100 + $client,
			appends      => $appends,
			streams      => 40,
			most         => 120,
			transactions => 0.2,
			prepared     => 0.1);
	}
	return @scripts;
}

my $maintenance = "$dir/maintenance.sql";
append_to_file($maintenance, <<'SQL' x 8);
SET statement_timeout = 0;
VACUUM es_events;
BEGIN; SELECT es_append_batch('maintenance', many(2000), data(2000)); ROLLBACK;
VACUUM es_events;
REINDEX INDEX CONCURRENTLY es_events_pkey;
REINDEX INDEX CONCURRENTLY es_events_tx_ordinal_key;
REINDEX INDEX CONCURRENTLY es_events_event_id_idx;
SQL
my @scripts = load(1, 6, 600);
my @exits = finish_clients(start_clients($primary, 'postgres', @scripts, $maintenance));
is_deeply([ @exits[ 0 .. 5 ] ], [ (0) x 6 ], 'every client came to its end');
my ($acked, $errors) = acknowledged(map { "$_.out" } @scripts);
cmp_ok(scalar @$acked, '>', 1000, 'most appends were acknowledged');
ok(!exists $errors->{23505} && !exists $errors->{XX000} && !exists $errors->{XX002}, 'no duplicates, no broken index')
  or diag explain $errors;
acknowledged_is_stored($primary, 'postgres', $acked, 'many at once');
all_is_right('many at once');

for my $round (2 .. 3)
{
	my $before = $primary->safe_psql('postgres', 'SELECT count(*) FROM es_events');
	my @running = start_clients($primary, 'postgres', load($round, 4, 5000));
	$primary->poll_query_until('postgres', "SELECT count(*) > $before + 3000 FROM es_events")
	  or die 'the clients did not append';
	$primary->safe_psql('postgres', 'CHECKPOINT') if $round == 3;
	$primary->stop('immediate');
	finish_clients(@running);
	$primary->start;
	all_is_right("crash $round");
}

# What the crash has left prepared.
$primary->safe_psql('postgres', $_)
  for split /\n/, $primary->safe_psql('postgres', "SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts");
all_is_right('in the end');
log_is_clean($primary);
log_is_clean($standby);
$standby->stop;
$primary->stop;
done_testing();
