# Whatever happens to the slot and to what the store knows of it: every event gets a
# position, none two, none another than it had, and streams keep their order.
#
# ES_ROUNDS: how often the slot is lost under load (20).

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = $ENV{ES_ROUNDS} // 20;
my $dir    = PostgreSQL::Test::Utils::tempdir;
my $node   = new_log_node(
	'heal',
	init => { allows_streaming => 'logical' },
	conf => "max_prepared_transactions = 20\n");

sub slot_of
{
	my ($db) = @_;
	return $node->safe_psql('postgres',
		"SELECT slot_name FROM pg_replication_slots WHERE plugin = 'event_store' AND database = '$db'");
}

# Drops the slot in use, against a sequencer that comes back again and again.
sub lose_slot
{
	my ($db) = @_;
	my $slot = slot_of($db);
	my $outcome = '';

	for (1 .. 1000)
	{
		$outcome = outcome($node, 'postgres',
			"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '$slot';"
			  . "SELECT pg_drop_replication_slot('$slot')");
		return $slot if $outcome =~ /^ok|^42704/;
	}
	die "slot $slot cannot be dropped: $outcome";
}

sub switch_sequencer
{
	my ($value) = @_;
	$node->append_conf('postgresql.conf', "event_store.sequencer = $value");
	$node->reload;
	return if $value eq 'on';
	$node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'event_store sequencer')")
	  or die 'the sequencers did not go';
	return;
}

# Appends to few streams, from several transactions that overlap in number.
sub append_some
{
	my ($db) = @_;
	return $node->safe_psql($db, <<'SQL');
BEGIN;
SELECT es_append('some-1', 'Some', '1'), es_append('some-2', 'Some', '1');
SAVEPOINT a;
SELECT es_append('some-1', 'Gone', '1');
ROLLBACK TO a;
SELECT es_append('some-3', 'Some', '1');
COMMIT;
INSERT INTO es_events (stream_id, event_type, data) VALUES ('some-1', 'Some', '1'), ('some-2', 'Some', '1');
SET synchronous_commit = off;
SELECT es_append('some-2', 'Some', '1');
SQL
}

# Positions that were given stay, and everything else gets one.
sub heals
{
	my ($name, $do) = @_;
	log_is_caught_up($node, 'postgres', "$name: before");
	my $seen = positions($node, 'postgres');
	$do->();
	append_some('postgres');
	log_is_caught_up($node, 'postgres', "$name: the log catches up");
	is(substr(positions($node, 'postgres'), 0, length $seen), $seen, "$name: positions that were given stay");
	log_is_whole($node, 'postgres', "$name: the log is whole");
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_replication_slots WHERE plugin = 'event_store' AND database = 'postgres'"),
		'1', "$name: there is one slot");
	return;
}

# ---------------------------------------------------------------------------
# The slot
# ---------------------------------------------------------------------------
append_some('postgres');
heals('the slot is dropped', sub { lose_slot('postgres') });
heals('the slot is dropped while nobody reads it', sub {
	switch_sequencer('off');
	append_some('postgres');
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('" . slot_of('postgres') . "')");
	append_some('postgres');
	switch_sequencer('on');
});
for my $plugin ('event_store', 'pgoutput')
{
	heals("the slot is dropped and made again for $plugin", sub {
		switch_sequencer('off');
		append_some('postgres');
		my $slot = slot_of('postgres');
		$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot')");
		append_some('postgres');
		$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('$slot', '$plugin')");
		append_some('postgres');
		switch_sequencer('on');
	});
}
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE plugin = 'pgoutput'");
heals('the slot is dropped and made again as a physical one', sub {
	switch_sequencer('off');
	append_some('postgres');
	my $slot = slot_of('postgres');
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot')");
	append_some('postgres');
	$node->safe_psql('postgres', "SELECT pg_create_physical_replication_slot('$slot', true)");
	switch_sequencer('on');
});
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_type = 'physical'");
heals('somebody has read the slot', sub {
	switch_sequencer('off');
	append_some('postgres');
	$node->safe_psql('postgres', "SELECT count(*) FROM pg_logical_slot_get_changes('" . slot_of('postgres') . "', NULL, NULL)");
	switch_sequencer('on');
});
heals('somebody has moved the slot on', sub {
	switch_sequencer('off');
	append_some('postgres');
	$node->safe_psql('postgres', "SELECT pg_replication_slot_advance('" . slot_of('postgres') . "', pg_current_wal_lsn())");
	append_some('postgres');
	switch_sequencer('on');
});
heals('the slot has lost its WAL', sub {
	switch_sequencer('off');
	append_some('postgres');
	$node->append_conf('postgresql.conf', "max_slot_wal_keep_size = 1MB\nmax_wal_size = 32MB\nmin_wal_size = 32MB");
	$node->reload;
	my $lost = "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = '" . slot_of('postgres') . "'";
	for (1 .. 20)
	{
		$node->safe_psql('postgres', 'CREATE TABLE filler (); DROP TABLE filler; SELECT pg_switch_wal(); CHECKPOINT');
		last if $node->safe_psql('postgres', $lost) eq 't';
	}
	is($node->safe_psql('postgres', $lost), 't', 'the slot is lost');
	append_some('postgres');
	$node->append_conf('postgresql.conf', 'max_slot_wal_keep_size = -1');
	$node->reload;
	switch_sequencer('on');
});

# ---------------------------------------------------------------------------
# What the store knows of it. After a crash, too, where the slot is behind the ledger.
# ---------------------------------------------------------------------------
for my $damage (
	[ 'no row'                 => 'DELETE FROM es_sequencer_state' ],
	[ 'another slot'           => "UPDATE es_sequencer_state SET slot_name = 'nobody'" ],
	[ 'a slot of an odd name'  => "UPDATE es_sequencer_state SET slot_name = ''" ],
	[ 'an LSN of 0'            => "UPDATE es_sequencer_state SET start_lsn = '0/0'" ],
	[ 'an early LSN'           => "UPDATE es_sequencer_state SET start_lsn = '0/1'" ],
	[ 'an LSN of the future'   => "UPDATE es_sequencer_state SET start_lsn = 'FFFFFFFF/FFFFFFFF'" ],
	[ 'the LSN of now'         => 'UPDATE es_sequencer_state SET start_lsn = pg_current_wal_lsn()' ],
	[ 'since the next one'     => 'UPDATE es_sequencer_state SET since_position = es_head_position() + 1' ],
	[ 'since the last one'     => 'UPDATE es_sequencer_state SET since_position = es_head_position()' ],
	[ 'since the beginning'    => 'UPDATE es_sequencer_state SET since_position = 1' ],
	[ 'since 0'                => 'UPDATE es_sequencer_state SET since_position = 0' ],
	[ 'since for ever'         => 'UPDATE es_sequencer_state SET since_position = -9223372036854775808' ],
	[ 'since the far future'   => 'UPDATE es_sequencer_state SET since_position = 9223372036854775807' ],
	[ 'no transaction healed'  => 'UPDATE es_sequencer_state SET healed_tx = 0' ],
	[ 'all transactions healed' => 'UPDATE es_sequencer_state SET healed_tx = 9223372036854775807' ],
	[ 'less than none healed'  => 'UPDATE es_sequencer_state SET healed_tx = -1' ],
	[ 'rows of other servers'  => 'INSERT INTO es_sequencer_state SELECT system_identifier + i, database_oid, store_oid, slot_name, start_lsn,'
		. ' since_position, healed_tx, healed_at FROM es_sequencer_state, generate_series(1, 3) i' ])
{
	my ($name, $sql) = @$damage;

	heals("damaged state, $name", sub {
		switch_sequencer('off');
		append_some('postgres');
		$node->safe_psql('postgres', $sql);
		switch_sequencer('on');
	});
	next if $name =~ /slot|odd|servers/;
	heals("damaged state after a crash, $name", sub {
		$node->safe_psql('postgres', 'CHECKPOINT');
		append_some('postgres'), $node->safe_psql('postgres', 'SELECT es_wait_for_log()') for 1 .. 2;
		$node->append_conf('postgresql.conf', 'event_store.sequencer = off');
		$node->stop('immediate');
		$node->start;
		$node->safe_psql('postgres', $sql);
		switch_sequencer('on');
	});
}
$node->safe_psql('postgres', 'DELETE FROM es_sequencer_state');

# ---------------------------------------------------------------------------
# The slot is lost under load, with savepoints, in few streams.
# ---------------------------------------------------------------------------
my (@scripts, @running);
install_load_functions($node, 'postgres');
for my $client (1 .. 6)
{
	push @scripts, "$dir/client$client.sql";
	write_client_script(
		$scripts[-1],
		client       => $client,
		appends      => 50_000,
		streams      => 5,
		transactions => 0.7);
}
log_is_caught_up($node, 'postgres', 'before the load');
@running = start_clients($node, 'postgres', @scripts);
my $reached = $node->safe_psql('postgres', 'SELECT count(*) FROM es_events');
for my $round (1 .. $rounds)
{
	$node->poll_query_until('postgres', "SELECT count(*) > $reached + 200 FROM es_events") or die 'the clients append nothing';
	my $lost = lose_slot('postgres');
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM es_sequencer_state s JOIN pg_replication_slots r USING (slot_name) WHERE active AND slot_name <> '$lost'")
	  or die 'no new slot is made';
	$reached = $node->safe_psql('postgres', 'SELECT count(*) FROM es_events');
}
my $waits = outcome($node, 'postgres', "SELECT es_wait_for_log('60 s')");
$_->kill_kill for @running;
is($waits, 'ok t', "$rounds slots were lost under load");
log_is_caught_up($node, 'postgres', 'the log catches up');
log_is_whole($node, 'postgres', 'nothing is lost, twice or out of order');
my ($acked) = acknowledged(map { "$_.out" } @scripts);
acknowledged_is_stored($node, 'postgres', $acked, 'under load');
note(scalar(@$acked) . ' events acknowledged, ' . $node->safe_psql('postgres', 'SELECT heals FROM es_sequencer') . ' heals');

# ---------------------------------------------------------------------------
# Dumps and copies of databases
# ---------------------------------------------------------------------------
local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
my @psql = ($node->installed_command('psql'), '-X', '-q', '-v', 'ON_ERROR_STOP=1');
my ($pg_dump, $pg_restore) = map { $node->installed_command($_) } 'pg_dump', 'pg_restore';

# A smaller store, with some of it in tenants.
$node->safe_psql('postgres', 'CREATE DATABASE source; CREATE DATABASE unread');
$node->safe_psql('source', 'CREATE EXTENSION event_store');
install_load_functions($node, 'source');
@scripts = map { "$dir/source$_.sql" } 1 .. 3;
write_client_script($scripts[ $_ - 1 ], client => 10 + $_, appends => 300, streams => 5, transactions => 0.5,
	setup => "SET event_store.tenant_id = '" . ('', '', 'acme')[ $_ - 1 ] . "';\n") for 1 .. 3;
finish_clients(start_clients($node, 'source', @scripts));
log_is_caught_up($node, 'source', 'the source');
log_is_whole($node, 'source', 'the source is whole');

# One that has appends but no positions.
switch_sequencer('off');
$node->safe_psql('unread', 'CREATE EXTENSION event_store');
append_some('unread') for 1 .. 10;
system_or_bail($pg_dump, '-f', "$dir/unread.sql", 'unread');
switch_sequencer('on');
log_is_caught_up($node, 'unread', 'one that was dumped before it had positions');

my $positions = positions($node, 'source');
my $head = $node->safe_psql('source', 'SELECT es_head_position()');

sub restored
{
	my ($db, $name) = @_;

	is(positions($node, $db), $positions, "$name: the same positions");
	$node->safe_psql($db, "SELECT es_append('after-1', 'After', '1')");
	log_is_caught_up($node, $db, "$name: new appends are sequenced");
	is($node->safe_psql($db, "SELECT es_position('after-1', 1)"), $head + 1, "$name: and go on from the head");
	is(substr(positions($node, $db), 0, length $positions), $positions, "$name: the old ones stay");
	log_is_whole($node, $db, "$name: the log is whole");
	$node->safe_psql('postgres', "DROP DATABASE $db");
	return;
}
for my $case (
	[ plain   => [] ],
	[ inserts => ['--inserts'] ],
	[ columns => [ '--column-inserts', '--rows-per-insert=3' ] ])
{
	my ($name, $options) = @$case;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	system_or_bail($pg_dump, @$options, '-f', "$dir/dump.sql", 'source');
	system_or_bail(@psql, '-d', $name, '-o', '/dev/null', '-f', "$dir/dump.sql");
	restored($name, "pg_dump @$options | psql");
}
system_or_bail($pg_dump, '-Fc', '-f', "$dir/dump.custom", 'source');
for my $case (
	[ jobs   => [ '-j', '2' ] ],
	[ single => ['--single-transaction'] ])
{
	my ($name, $options) = @$case;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	system_or_bail($pg_restore, '--exit-on-error', @$options, '-d', $name, "$dir/dump.custom");
	restored($name, "pg_restore @$options");
}

# Into a store that is there, and whose sequencer looks on.
$node->safe_psql('postgres', 'CREATE DATABASE data_only');
$node->safe_psql('data_only', 'CREATE EXTENSION event_store');
log_is_caught_up($node, 'data_only', 'an empty store with a sequencer');
system_or_bail($pg_dump, '--data-only', '-f', "$dir/dump.sql", 'source');
system_or_bail(@psql, '-d', 'data_only', '-o', '/dev/null', '-f', "$dir/dump.sql");
restored('data_only', 'pg_dump --data-only | psql');

# In two sessions at once, as pg_restore -j does: events here, ledger there.
$node->safe_psql('postgres', 'CREATE DATABASE halves');
$node->safe_psql('halves', 'CREATE EXTENSION event_store');
log_is_caught_up($node, 'halves', 'an empty store with a sequencer');
system_or_bail($pg_restore, '--exit-on-error', '--data-only', '-j', '4', '-d', 'halves', "$dir/dump.custom");
restored('halves', 'pg_restore --data-only -j 4');

# What had no positions gets them.
$node->safe_psql('postgres', 'CREATE DATABASE unread_again');
system_or_bail(@psql, '-d', 'unread_again', '-o', '/dev/null', '-f', "$dir/unread.sql");
log_is_caught_up($node, 'unread_again', 'a dump without positions');
log_is_whole($node, 'unread_again', 'a dump without positions gets them');
is($node->safe_psql('unread_again', 'SELECT es_head_position()'), '60', 'all of it');

$node->safe_psql('postgres', 'CREATE DATABASE template_copy TEMPLATE source');
restored('template_copy', 'CREATE DATABASE ... TEMPLATE');
is(positions($node, 'source'), $positions, 'the template itself is as it was');
$node->safe_psql('source', "SELECT es_append('after-1', 'After', '1')");
log_is_caught_up($node, 'source', 'and goes on');
is($node->safe_psql('source', "SELECT es_position('after-1', 1)"), $head + 1, 'at its head');

# ---------------------------------------------------------------------------
# A standby that is promoted
# ---------------------------------------------------------------------------
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('promoted');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
append_some('source') for 1 .. 20;
log_is_caught_up($node, 'source', 'the primary');
# The ledger is not flushed at once: what a standby has got is what is flushed.
$node->safe_psql('postgres', 'CREATE TABLE flush ()');
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
$positions = positions($node, 'source');
is(positions($standby, 'source'), $positions, 'a standby has the same positions');
is( $standby->safe_psql('source', "SELECT count(*) FROM es_read_all(10, 5)"), '5', 'and reads the log');
fails_with($standby, 'source', "SELECT $_", '25006', "$_ on a standby")
  for 'es_wait_for_log()', 'es_wait_for_position(1000000)', 'es_sequence()';
$node->stop('immediate');
$standby->promote;
$standby->safe_psql('source', "SELECT es_append('promoted-1', 'After', '1')");
log_is_caught_up($standby, 'source', 'promoted, it is sequenced');
is(substr(positions($standby, 'source'), 0, length $positions), $positions, 'the positions stay');
is( $standby->safe_psql('source', "SELECT es_position('promoted-1', 1)"),
	$standby->safe_psql('source', 'SELECT count(*) FROM es_events'), 'and go on from the head');
log_is_whole($standby, 'source', 'the log of the promoted server is whole');
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_replication_slots WHERE database = 'source'"), '1', 'with a slot of its own');
log_is_clean($_) for $node, $standby;
$standby->stop;
done_testing();
