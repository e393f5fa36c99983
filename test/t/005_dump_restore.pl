# Dump and restore give back the same store, in every form that pg_dump has,
# without special flags, although the rows lie out of order in the table; and the
# restored store goes on where the dumped one stood.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('dump');
my $dir  = PostgreSQL::Test::Utils::tempdir;
my $host = $node->host;
my $port = $node->port;
local $ENV{PGHOST} = $host;
local $ENV{PGPORT} = $port;

# ---------------------------------------------------------------------------
# A store whose rows lie out of order: aborted appends leave room that VACUUM
# frees, later versions fill it, and a CLUSTER by random event ids shuffles all.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', 'CREATE DATABASE source');
$node->safe_psql('source', <<'SQL');
CREATE EXTENSION event_store;

CREATE FUNCTION random_id(seed text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5(seed)::uuid $$;
DO $$
BEGIN
	FOR i IN 1 .. 40 LOOP
		PERFORM es_append_batch('early-' || i, array_fill('Early'::text, ARRAY[5]), array_fill('{"pad": "0123456789"}'::jsonb, ARRAY[5]),
			event_ids => ARRAY(SELECT random_id(format('early %s %s', i, j)) FROM generate_series(1, 5) j));
	END LOOP;
END $$;

-- In a tenant of its own, with text that a careless dump would break.
SET event_store.tenant_id = 'acme';
SELECT es_append('order-1', 'Placed', '{"t": "tab\t, newline\n, quote '' \", backslash \\ and ünïcode \u2603", "big": 123456789012345678901234567890.5}',
	'{"correlation_id": "c-1"}', schema_version => 3);
SELECT es_append('order-1', 'Paid', 'null');
RESET event_store.tenant_id;

BEGIN;
DO $$
BEGIN
	FOR i IN 1 .. 200 LOOP
		PERFORM es_append_batch('early-' || i % 40 + 1, array_fill('Aborted'::text, ARRAY[20]), array_fill('{"pad": "0123456789"}'::jsonb, ARRAY[20]));
	END LOOP;
END $$;
ROLLBACK;

-- Savepoints and many streams in one transaction.
BEGIN;
SELECT es_append('order-1', 'One', '1');
SAVEPOINT a;
SELECT es_append('order-1', 'Gone', '1');
ROLLBACK TO a;
SELECT es_append('order-2', 'Two', '1');
SELECT es_append('order-1', 'Three', '1');
COMMIT;

SELECT es_save_snapshot('order-1', 1, '{"n": 1}'), es_save_snapshot('order-1', 2, '{"n": 2}'),
	es_save_snapshot('order-1', 2, '[1, "zwei"]', 'other aggregate'), es_save_snapshot('early-7', 5, '{"early": true}');

-- Event types; one event is of a version that nobody may append any more.
SELECT es_register_event_type('Typed', json_schema => '{"type": "object"}');
SELECT es_append('typed-1', 'Typed', '{"n": 1}');
SELECT es_register_event_type('Typed', upcaster => $$ data || '{"v": 2}' $$, check_expression => $$ data ? 'v' $$);
SELECT es_set_event_type_status('Typed', 1, 'retired');

CREATE ROLE dump_reader LOGIN;
CREATE ROLE "dump writer" LOGIN;
CREATE ROLE dump_admin LOGIN;
SELECT es_grant('dump_reader', 'reader'), es_grant('dump writer', 'writer'), es_grant('dump_admin', 'admin');
SQL
$node->safe_psql('source', 'VACUUM es_events');
$node->safe_psql('source', <<'SQL');
DO $$
BEGIN
	FOR j IN 6 .. 10 LOOP
		FOR i IN 1 .. 40 LOOP
			PERFORM es_append('early-' || i, 'Late', '{"pad": "0123456789"}', expected_version => j - 1, event_id => random_id(format('late %s %s', i, j)));
		END LOOP;
	END LOOP;
END $$;
CLUSTER es_events USING es_events_event_id_idx;
SELECT es_append('early-1', 'Last', '1', expected_version => 10);
SQL
cmp_ok($node->safe_psql('source', <<'SQL'), '>', 100, 'versions lie out of order in the table');
SELECT count(*) FROM (SELECT version - lag(version) OVER (PARTITION BY tenant_id, stream_id ORDER BY ctid) AS step FROM es_events) s WHERE step < 0
SQL
store_is_sound($node, 'source', 'the source is sound');

my $contents = contents($node, 'source');
my $last_tx  = $node->safe_psql('source', 'SELECT max(tx) FROM es_events');

# Who may do what in a database, as far as the extension's objects go.
sub privileges
{
	my ($db) = @_;
	return $node->safe_psql($db, <<'SQL');
SELECT r.rolname, c.relname, p.privilege
FROM pg_roles r, pg_class c, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p(privilege)
WHERE r.rolname ~ '^dump' AND c.relname ~ '^es_' AND c.relkind = 'r' AND has_table_privilege(r.oid, c.oid, p.privilege)
UNION ALL
SELECT r.rolname, f.oid::regprocedure::text, 'EXECUTE'
FROM pg_roles r, pg_proc f WHERE r.rolname ~ '^dump' AND f.proname ~ '^es_' AND has_function_privilege(r.oid, f.oid, 'EXECUTE')
ORDER BY 1, 2, 3;
SQL
}
my $privileges = privileges('source');
like($privileges, qr/dump_reader\|es_events\|SELECT/, 'a reader may read es_events in the source');

# ---------------------------------------------------------------------------
# The restored database holds the same rows, and goes on.
# ---------------------------------------------------------------------------
sub restored
{
	my ($db, $how, %opt) = @_;

	is(contents($node, $db), $contents, "$how: the same rows");
	store_is_sound($node, $db, "$how: the store is sound");
	is(privileges($db), $privileges, "$how: the same privileges") unless $opt{data_only};
	succeeds($node, $db, <<'SQL', "12\n1\n0", "$how: versions go on");
SELECT es_append('early-1', 'After', '1', expected_version => 11);
SELECT es_append('after-1', 'After', '1', expected_version => 0);
SELECT version FROM es_load_snapshot('after-1');
SELECT count(*) FROM es_check();
SQL
	succeeds($node, $db, "INSERT INTO es_events (stream_id, event_type, data) VALUES ('early-2', 'After', '1') RETURNING version",
		'11', "$how: a plain INSERT goes on");
	cmp_ok($node->safe_psql($db, "SELECT min(tx) FROM es_events WHERE event_type = 'After'"),
		'>', $last_tx, "$how: new transactions come after the restored ones");
	succeeds($node, $db, "SELECT es_append('early-3', 'Early', '{\"pad\": \"0123456789\"}', event_id => md5('early 3 2')::uuid)",
		'2', "$how: a retry of a restored event is known");
	fails_with($node, $db, "UPDATE es_events SET data = '1'", 'PE006', "$how: events are immutable");
	succeeds($node, $db, "SELECT schema_version, data FROM es_read_stream('typed-1')", '2|{"n": 1, "v": 2}', "$how: events are upcast");
	fails_with($node, $db, "SELECT es_append('typed-1', 'Typed', '{}')", 'PE004', "$how: what is retired stays so");
	fails_with($node, $db, "SELECT es_append('typed-1', 'Typed', '{}', schema_version => 2)", 'PE004', "$how: and checks are there");
	store_is_sound($node, $db, "$how: and stays sound");
	return;
}

my $sql = "$dir/dump.sql";
my @psql = ($node->installed_command('psql'), '-X', '-q', '-v', 'ON_ERROR_STOP=1');
my ($pg_dump, $pg_restore) = map { $node->installed_command($_) } 'pg_dump', 'pg_restore';

for my $case (
	[ plain          => [] ],
	[ inserts        => ['--inserts'] ],
	[ column_inserts => [ '--column-inserts', '--rows-per-insert=7' ] ])
{
	my ($name, $options) = @$case;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	system_or_bail($pg_dump, @$options, '-f', $sql, 'source');
	system_or_bail(@psql, '-d', $name, '-o', '/dev/null', '-f', $sql);
	restored($name, "pg_dump @$options");
}

system_or_bail($pg_dump, '--format=custom', '-f', "$dir/dump.custom", 'source');
$node->safe_psql('postgres', 'CREATE DATABASE custom');
system_or_bail($pg_restore, '--exit-on-error', '-j', '2', '-d', 'custom', "$dir/dump.custom");
restored('custom', 'pg_restore -j 2');

$node->safe_psql('postgres', 'CREATE DATABASE single');
system_or_bail($pg_restore, '--exit-on-error', '--single-transaction', '-d', 'single', "$dir/dump.custom");
restored('single', 'pg_restore --single-transaction');

# Into a store that CREATE EXTENSION has just made.
for my $case (
	[ data_only        => ['--data-only'] ],
	[ disable_triggers => [ '--data-only', '--disable-triggers' ] ])
{
	my ($name, $options) = @$case;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, 'CREATE EXTENSION event_store');
	system_or_bail($pg_dump, @$options, '-f', $sql, 'source');
	system_or_bail(@psql, '-d', $name, '-o', '/dev/null', '-f', $sql);
	if ($name eq 'disable_triggers')
	{
		# Such a dump leaves the triggers as ordinary ones, that do not fire for replication.
		like($node->safe_psql($name, 'SELECT problem FROM es_check()'), qr/^trigger \S+ of table es_events/m,
			'pg_dump --disable-triggers: es_check() tells that the triggers were changed');
		$node->safe_psql($name, <<'SQL');
DO $$
DECLARE
	t record;
BEGIN
	FOR t IN SELECT tgrelid::regclass AS rel, tgname FROM pg_trigger
			  WHERE tgrelid IN ('es_events'::regclass, 'es_commits'::regclass) AND NOT tgisinternal LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.rel, t.tgname);
	END LOOP;
END $$;
SQL
	}
	restored($name, "pg_dump @$options", data_only => 1);
}

# A second dump, from a restored store.
system_or_bail($pg_dump, '-f', $sql, 'plain');
$contents = contents($node, 'plain');
$last_tx  = $node->safe_psql('plain', 'SELECT max(tx) FROM es_events');
$node->safe_psql('postgres', 'CREATE DATABASE again');
system_or_bail(@psql, '-d', 'again', '-o', '/dev/null', '-f', $sql);
is(contents($node, 'again'), $contents, 'a dump of a restored store: the same rows');
store_is_sound($node, 'again', 'a dump of a restored store: sound');
fails_with($node, 'again', "SELECT es_append('order-1', 'Wrong', '1', expected_version => 7)", 'PE001',
	'a dump of a restored store: versions are enforced');

# A store in another schema than the usual one.
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
$node->safe_psql('elsewhere', <<'SQL');
CREATE SCHEMA "Events";
CREATE EXTENSION event_store SCHEMA "Events";
SELECT "Events".es_append_json('order-1', '[{"type": "A", "data": 1}, {"type": "B", "data": 2}]');
SELECT "Events".es_save_snapshot('order-1', 2, '3');
SQL
system_or_bail($pg_dump, '-f', $sql, 'elsewhere');
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere_again');
system_or_bail(@psql, '-d', 'elsewhere_again', '-o', '/dev/null', '-f', $sql);
is(contents($node, 'elsewhere_again', '"Events"'), contents($node, 'elsewhere', '"Events"'), 'a store in another schema: the same rows');
store_is_sound($node, 'elsewhere_again', 'a store in another schema: sound', '"Events"');
succeeds($node, 'elsewhere_again', q(SELECT "Events".es_append('order-1', 'C', '1', expected_version => 2)), '3',
	'a store in another schema: goes on');

# ---------------------------------------------------------------------------
# Copies of recorded events are for the owner: nobody else may say what happened.
# ---------------------------------------------------------------------------
my $copy = "INSERT INTO es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal)"
  . " VALUES ('forged-1', 5, gen_random_uuid(), 'Forged', 1, '1', '{}', '2001-01-01', 1000000, 0)";
fails_with($node, 'plain', $copy, '42501', 'an admin may not insert copies of recorded events', 'dump_admin');
fails_with($node, 'plain', "COPY es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal) FROM stdin;\n"
	  . "forged-1\t5\t00000000-0000-4000-8000-000000000000\tForged\t1\t1\t{}\t2001-01-01\t1000000\t0\n\\.",
	'42501', 'nor copy them in', 'dump_admin');
succeeds($node, 'plain', "INSERT INTO es_events (stream_id, event_type, data) VALUES ('admin-1', 'Plain', '1') RETURNING version",
	'1', 'a plain INSERT is allowed to an admin', 'dump_admin');

# The sequence follows what was restored, also when the dump's own setval is missing.
$node->safe_psql('data_only', $copy =~ s/'forged-1', 5/'forged-1', 1/r);
succeeds($node, 'data_only', "SELECT es_append('forged-1', 'Next', '1', expected_version => 1)", '2', 'a stream goes on after a copied event');
cmp_ok($node->safe_psql('data_only', "SELECT tx FROM es_events WHERE stream_id = 'forged-1' AND version = 2"), '>', 1000000,
	'and its transaction comes after the copied one');
succeeds($node, 'data_only', "SELECT recorded_at < '2002-01-01' FROM es_read_stream('forged-1', max_count => 1)", 't', 'the copy kept its time');

log_is_clean($node);
$node->stop;
done_testing();
