# The extension comes and goes: with and without preload, in any schema, in
# several databases, and again in sessions that knew the one before.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('start');

# Everything that CREATE EXTENSION or use of it could leave in a database.
my $catalog_state = <<'SQL';
SELECT 'class', oid::regclass::text FROM pg_class WHERE oid >= 16384
UNION ALL SELECT 'proc', oid::regprocedure::text FROM pg_proc WHERE oid >= 16384
UNION ALL SELECT 'type', oid::regtype::text FROM pg_type WHERE oid >= 16384
UNION ALL SELECT 'trigger', tgname FROM pg_trigger
UNION ALL SELECT 'event trigger', evtname FROM pg_event_trigger
UNION ALL SELECT 'namespace', nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
UNION ALL SELECT 'extension', extname FROM pg_extension
UNION ALL SELECT 'constraint', conname FROM pg_constraint WHERE oid >= 16384
UNION ALL SELECT 'rewrite', rulename FROM pg_rewrite WHERE oid >= 16384
UNION ALL SELECT 'policy', polname FROM pg_policy
UNION ALL SELECT 'publication', pubname FROM pg_publication
UNION ALL SELECT 'role', rolname FROM pg_roles
UNION ALL SELECT 'slot', slot_name FROM pg_replication_slots
UNION ALL SELECT 'setting', setconfig::text FROM pg_db_role_setting
UNION ALL SELECT 'large object', oid::text FROM pg_largeobject_metadata
UNION ALL SELECT 'depend', count(*)::text FROM pg_depend
UNION ALL SELECT 'shared depend', count(*)::text FROM pg_shdepend WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION ALL SELECT 'initial privileges', count(*)::text FROM pg_init_privs
UNION ALL SELECT 'default privileges', count(*)::text FROM pg_default_acl
UNION ALL SELECT 'description', count(*)::text FROM pg_description
UNION ALL SELECT 'advisory lock', objid::text FROM pg_locks WHERE locktype = 'advisory'
ORDER BY 1, 2;
SQL

# A use of everything, with the names qualified by %s.
my $use = <<'SQL';
SELECT %1$s.es_append('order-1', 'Placed', '{"total": 7}', expected_version => 0);
SELECT %1$s.es_append_batch('order-1', '{Paid,Shipped}', '{"{}","{}"}', expected_version => 1);
SELECT %1$s.es_append_json('order-1', '[{"type": "Closed", "data": null}]', 3);
INSERT INTO %1$s.es_events (stream_id, event_type, data) VALUES ('order-1', 'Inserted', '5');
COPY %1$s.es_events (stream_id, event_type, data) FROM stdin;
order-1	Copied	6
\.
SELECT string_agg(event_type, ' ' ORDER BY version) FROM %1$s.es_read_stream('order-1');
SELECT event_type FROM %1$s.es_read_stream('order-1', backwards => true, max_count => 1);
SELECT %1$s.es_stream_version('order-1'), %1$s.es_category('order-1'), %1$s.es_tenant(), %1$s.es_version();
SELECT %1$s.es_save_snapshot('order-1', 2, '{"paid": true}');
SELECT version, state FROM %1$s.es_load_snapshot('order-1');
SELECT %1$s.es_delete_snapshots('order-1');
SELECT count(*) FROM %1$s.es_check();
SQL
my $used = <<'OUT';
1
3
4
Placed Paid Shipped Closed Inserted Copied
Copied
6|order||0.1.0

2|{"paid": true}
1
0
OUT
chomp $used;

sub use_of { return sprintf($use, @_); }

# ---------------------------------------------------------------------------
# With and without preload.
# ---------------------------------------------------------------------------
is($node->safe_psql('postgres', 'SHOW shared_preload_libraries'), '', 'not preloaded');
my $before = $node->safe_psql('postgres', $catalog_state);
succeeds($node, 'postgres', 'CREATE EXTENSION event_store', '', 'CREATE EXTENSION without preload');
succeeds($node, 'postgres', use_of('public'), $used, 'everything works without preload');
is( $node->safe_psql('postgres', 'SELECT es_version() = default_version FROM pg_available_extensions'
		  . " WHERE name = 'event_store'"), 't', 'the library says the version of the control file');
store_is_sound($node, 'postgres', 'sound without preload');
$node->safe_psql('postgres', 'DROP EXTENSION event_store');
is($node->safe_psql('postgres', $catalog_state), $before, 'DROP EXTENSION leaves nothing behind');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'event_store'");
$node->restart;
succeeds($node, 'postgres', 'CREATE EXTENSION event_store', '', 'CREATE EXTENSION with preload');
succeeds($node, 'postgres', use_of('public'), $used, 'everything works with preload');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE clerk LOGIN;
SELECT es_grant('clerk', 'admin');
DROP EXTENSION event_store;
DROP ROLE clerk;
SQL
is($node->safe_psql('postgres', $catalog_state), $before, 'DROP EXTENSION leaves nothing behind, grants neither');

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;

# ---------------------------------------------------------------------------
# In any schema.
# ---------------------------------------------------------------------------
for my $schema ('events', 'Events', 'select', q(a "quoted" schema; with $odd$ 'characters' and dots...))
{
	my $quoted = '"' . ($schema =~ s/"/""/gr) . '"';

	$node->safe_psql('postgres', "CREATE SCHEMA $quoted; CREATE EXTENSION event_store SCHEMA $quoted");
	succeeds($node, 'postgres', use_of($quoted), $used, "everything works in schema $schema");
	store_is_sound($node, 'postgres', "the store is sound in schema $schema", $quoted);

	succeeds($node, 'postgres', <<"SQL", '', "es_grant works in schema $schema");
CREATE ROLE clerk LOGIN;
DO \$\$ BEGIN PERFORM $quoted.es_grant('clerk', 'reader'); END \$\$;
SQL
	succeeds($node, 'postgres', "SELECT count(*) FROM $quoted.es_read_stream('order-1')",
		'6', "a reader reads in schema $schema", 'clerk');

	# The schema may be renamed under the store.
	$node->safe_psql('postgres', "ALTER SCHEMA $quoted RENAME TO renamed");
	succeeds($node, 'postgres', <<'SQL', "7\nAgain\n8\n7|1\n0", "the store works after its schema $schema was renamed");
SELECT renamed.es_append('order-1', 'Again', '1', expected_version => 6);
SELECT event_type FROM renamed.es_read_stream('order-1', 7);
INSERT INTO renamed.es_events (stream_id, event_type, data) VALUES ('order-1', 'Inserted', '1') RETURNING version;
DO $$ BEGIN PERFORM renamed.es_save_snapshot('order-1', 7, '1'); END $$;
SELECT version, state FROM renamed.es_load_snapshot('order-1');
SELECT count(*) FROM renamed.es_check();
SQL
	$node->safe_psql('postgres', 'DROP EXTENSION event_store; DROP SCHEMA renamed; DROP ROLE clerk');
	is($node->safe_psql('postgres', $catalog_state), $before, "nothing is left of schema $schema");
}

fails_with($node, 'postgres', 'CREATE EXTENSION event_store; ALTER EXTENSION event_store SET SCHEMA pg_temp',
	qr/^(?:0A000|55000|55P02|42P17|2BP01|42809|42501):/, 'the store cannot be moved to another schema');
is($node->safe_psql('postgres', "SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'event_store'"),
	'public', 'and it stays where it was');
$node->safe_psql('postgres', 'DROP EXTENSION IF EXISTS event_store');

# ---------------------------------------------------------------------------
# Dropped and made again: no session may go on with what it knew.
# ---------------------------------------------------------------------------
my $append = "SELECT es_append('order-1', 'Placed', '1')";
my $insert = "INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'Placed', '1') RETURNING version";
my $other  = $node->background_psql('postgres', on_error_stop => 0, timeout => 120);

# The answer of the open session, or the SQLSTATE of its error.
sub other_session
{
	my ($sql) = @_;
	my $answer = $other->query("$sql;\n\\if :ERROR\n\\echo :SQLSTATE\n\\endif");
	$other->{stderr} = '';
	return $answer;
}

$node->safe_psql('postgres', 'CREATE EXTENSION event_store');
is(other_session($append), '1', 'the open session appends');
is(other_session($insert), '2', 'and inserts');
is(other_session("PREPARE append AS $append; EXECUTE append"), '3', 'and prepares a statement');
is(other_session("SELECT count(*) FROM es_read_stream('order-1')"), '3', 'and reads');

succeeds($node, 'postgres', "$append; DROP EXTENSION event_store; CREATE EXTENSION event_store; $append; $insert; SELECT count(*) FROM es_check()",
	"4\n1\n2\n0", 'dropped and made again in one session');
is(other_session($append), '3', 'the open session finds the new store');
is(other_session($insert), '4', 'and inserts into it');
is(other_session('EXECUTE append'), '5', 'its prepared statement too');
is(other_session("SELECT count(*) FROM es_read_stream('order-1')"), '5', 'and reads from it');

$node->safe_psql('postgres', 'DROP EXTENSION event_store');
is(other_session($append), '42883', 'without the extension there is no function');
is(other_session('EXECUTE append'), '42883', 'not for a prepared statement either');
is(other_session($insert), '42P01', 'and no table');

$node->safe_psql('postgres', 'CREATE SCHEMA elsewhere; CREATE EXTENSION event_store SCHEMA elsewhere');
is(other_session("SET search_path = elsewhere; $append"), '1', 'the open session finds the store in another schema');
is(other_session($insert), '2', 'and inserts there');
is(other_session("$append; SELECT count(*) FROM es_check()"), "3\n0", 'and goes on there');
$node->safe_psql('postgres', 'DROP EXTENSION event_store; DROP SCHEMA elsewhere');
$other->quit;

# All in one transaction.
succeeds($node, 'postgres', <<"SQL", "1\n1\n2\n1\n2\n3\n0", 'made, used, dropped and rolled back in transactions');
BEGIN; CREATE EXTENSION event_store; $append; ROLLBACK;
BEGIN; CREATE EXTENSION event_store; $append; $insert; COMMIT;
BEGIN; DROP EXTENSION event_store; CREATE EXTENSION event_store; $append; ROLLBACK;
BEGIN; SAVEPOINT a; DROP EXTENSION event_store; ROLLBACK TO a; SELECT es_stream_version('order-1'); $append; COMMIT;
SELECT count(*) FROM es_check();
SQL
store_is_sound($node, 'postgres', 'the store is sound');
$node->safe_psql('postgres', "BEGIN; $append; DROP EXTENSION event_store; COMMIT");
is($node->safe_psql('postgres', $catalog_state), $before, 'nothing is left of an append and a DROP in one transaction');

# ---------------------------------------------------------------------------
# Two databases.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', 'CREATE DATABASE a');
$node->safe_psql('postgres', 'CREATE DATABASE b');
$node->safe_psql($_, 'CREATE EXTENSION event_store') for 'a', 'b';
my $session = $node->background_psql('a', timeout => 120);
is($session->query_safe("BEGIN; $append"), '1', 'a stream is taken in one database');
succeeds($node, 'b', "SET lock_timeout = '60s'; $append", '1', 'the stream of that name in another database is free');
$session->query_safe('COMMIT');
$session->quit;
$node->safe_psql('b', 'DROP EXTENSION event_store');
succeeds($node, 'a', "$append; SELECT count(*) FROM es_check()", "2\n0", 'the store of one database outlives that of the other');
$node->safe_psql('postgres', 'CREATE DATABASE c TEMPLATE a');
succeeds($node, 'c', "$append; SELECT count(*) FROM es_check()", "3\n0", 'a copy of the database is a store of its own');
store_is_sound($node, 'c', 'and sound');
succeeds($node, 'a', "SELECT es_stream_version('order-1')", '2', 'and nothing of it goes back to the first');

# ---------------------------------------------------------------------------
# A library of another version than the SQL.
# ---------------------------------------------------------------------------
$node->safe_psql('a', "UPDATE pg_extension SET extversion = '9.9.9' WHERE extname = 'event_store'");
for my $statement ($append, $insert, "SELECT es_append_json('order-1', '[]')",
	"SELECT es_append_batch('order-1', '{}', '{}')")
{
	fails_with($node, 'a', $statement, qr/^55000: .*9\.9\.9.*HINT:  \S/s, "library and SQL do not fit: $statement");
}
$node->safe_psql('a', "UPDATE pg_extension SET extversion = es_version() WHERE extname = 'event_store'");
succeeds($node, 'a', "$append; SELECT count(*) FROM es_check()", "3\n0", 'they fit again');

log_is_clean($node);
$node->stop;
done_testing();
