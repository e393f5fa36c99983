# After CREATE EXTENSION nobody but the owner can read or append. es_grant gives a
# role what it needs and no more, whatever the role is called, and es_revoke takes
# it back.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('privileges');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE stranger LOGIN;
CREATE ROLE reader LOGIN;
CREATE ROLE writer LOGIN;
CREATE ROLE admin LOGIN;
CREATE ROLE somebody LOGIN;
CREATE ROLE elsewhere LOGIN;
CREATE SCHEMA es;
CREATE EXTENSION event_store SCHEMA es;
SELECT es.es_append_json('order-1', '[{"type": "Placed", "data": 1}, {"type": "Paid", "data": 2}]');
SELECT es.es_save_snapshot('order-1', 1, '{"n": 1}');
-- What is missing in the tests below must be missing for want of a privilege on the object itself.
GRANT USAGE ON SCHEMA es TO stranger;
SQL

# What COPY gets.
my $copied = PostgreSQL::Test::Utils::tempdir . '/copied';
append_to_file($copied, "copied-1\tE\t1\n");

# Every thing that a client can try, and which of the roles may do it. A statement
# that is refused must be refused for want of a privilege, or because events
# cannot be changed at all.
my @statements = (
	[ "SELECT es.es_append('%s', 'E', '1')"                                       => qw(writer admin) ],
	[ "SELECT es.es_append('%s', 'E', '1', expected_version => 0)"                => qw(writer admin) ],
	[ "SELECT es.es_append_batch('%s', '{E,F}', '{1,2}')"                         => qw(writer admin) ],
	[ "SELECT es.es_append_batch('%s', '{}', '{}')"                               => qw(writer admin) ],
	[ "SELECT es.es_append_json('%s', '[{\"type\": \"E\", \"data\": 1}]')"        => qw(writer admin) ],
	[ "SELECT es.es_append_json('%s', '[]')"                                      => qw(writer admin) ],
	[ "SELECT es.es_save_snapshot('order-1', 1, '{\"n\": 1}')"                    => qw(writer admin) ],
	[ "SELECT es.es_delete_snapshots('%s')"                                       => qw(writer admin) ],
	[ "SELECT es.es_stream_version('order-1')"                                    => qw(reader writer admin) ],
	[ "SELECT es.es_category('order-1')"                                          => qw(reader writer admin) ],
	[ "SELECT es.es_tenant()"                                                     => qw(reader writer admin) ],
	[ "SELECT es.es_version()"                                                    => qw(reader writer admin) ],
	[ "SELECT * FROM es.es_read_stream('order-1')"                                => qw(reader admin) ],
	[ "SELECT * FROM es.es_load_snapshot('order-1')"                              => qw(reader admin) ],
	[ "SELECT * FROM es.es_events"                                                => qw(reader admin) ],
	[ "COPY es.es_events TO stdout"                                               => qw(reader admin) ],
	[ "SELECT * FROM es.es_snapshots"                                             => qw(reader admin) ],
	[ "INSERT INTO es.es_events (stream_id, event_type, data) VALUES ('%s', 'E', '1')" => qw(admin) ],
	[ "\\copy es.es_events (stream_id, event_type, data) FROM '$copied'"             => qw(admin) ],
	[ "SELECT count(*) FROM es.es_check()"                                        => qw(admin) ],
	[ "SELECT es.es_grant('somebody', 'reader')"                                  => qw(admin) ],
	[ "SELECT es.es_revoke('somebody', 'reader')"                                 => qw(admin) ],

	# Nobody but the owner.
	["INSERT INTO es.es_snapshots (tenant_id, stream_id, version, aggregate, state, created_at) VALUES ('', 'order-1', 9, '', '1', now())"],
	["UPDATE es.es_snapshots SET state = '1'"],
	["DELETE FROM es.es_snapshots"],
	["TRUNCATE es.es_snapshots"],
	["UPDATE es.es_events SET data = '1'"],
	["DELETE FROM es.es_events"],
	["TRUNCATE es.es_events"],
	["MERGE INTO es.es_events USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE"],
	["SELECT * FROM es.es_events FOR UPDATE"],
	["LOCK TABLE es.es_events IN ACCESS EXCLUSIVE MODE"],
	["SELECT nextval('es.es_tx_seq')"],
	["SELECT setval('es.es_tx_seq', 1)"],
	["CREATE TRIGGER t BEFORE INSERT ON es.es_events FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"],
	["ALTER TABLE es.es_events DISABLE TRIGGER ALL"],
	["CREATE RULE r AS ON INSERT TO es.es_events DO INSTEAD NOTHING"],
	["ALTER TABLE es.es_events ENABLE ROW LEVEL SECURITY"],
	["CREATE INDEX ON es.es_events (event_type)"],
	["CREATE TABLE children () INHERITS (es.es_events)"],
	["CREATE TABLE es.mine (a int)"],
	["ALTER EXTENSION event_store UPDATE"],
	["DROP EXTENSION event_store"],
	["SET session_replication_role = replica"]);

# Runs every statement as that role, in one session.
sub check_role
{
	my ($role, $part, $when) = @_;
	my @sql = map { $_->[0] } @statements;
	my $script = '';

	for my $number (0 .. $#sql)
	{
		my $stream = "$role-$number-$when" =~ s/ /-/gr;
		$sql[$number] =~ s/%s/$stream/;
		$script .= "BEGIN;\n$sql[$number]" . ($sql[$number] =~ /^\\/ ? '' : ';') . "\n\\echo #$number :SQLSTATE\nCOMMIT;\n";
	}
	my ($ret, $out, $err) = $node->psql('postgres', $script, extra_params => [ '-U', $role ], on_error_stop => 0);
	my %got = $out =~ /^#(\d+) (\w{5})$/mg;

	for my $number (0 .. $#sql)
	{
		my (undef, @allowed) = @{ $statements[$number] };

		if (grep { $_ eq $part } @allowed)
		{
			is($got{$number}, '00000', "$when: $role may: $sql[$number]");
		}
		else
		{
			like($got{$number}, qr/^(?:42501|PE006)$/, "$when: $role may not: $sql[$number]");
		}
	}
	return;
}

check_role('stranger', 'nobody', 'without a grant');
is($node->safe_psql('postgres', <<'SQL'), '', 'PUBLIC has no privilege on any object of the extension');
SELECT d.objid::regprocedure::text FROM pg_depend d
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'event_store') AND d.classid = 'pg_proc'::regclass
	AND has_function_privilege('public', d.objid, 'EXECUTE')
UNION ALL
SELECT c.oid::regclass::text FROM pg_class c
	WHERE c.relnamespace = 'es'::regnamespace
	AND CASE WHEN c.relkind IN ('r', 'v', 'm', 'p') THEN
			has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
		WHEN c.relkind = 'S' THEN
			has_sequence_privilege('public', c.oid, 'USAGE, SELECT, UPDATE')
		ELSE false END
SQL

# ---------------------------------------------------------------------------
# What each privilege gives.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', "SELECT es.es_grant('reader', 'reader'), es.es_grant('writer', 'writer'), es.es_grant('admin', 'admin')");
check_role($_, $_, 'granted') for qw(reader writer admin);

# A reader cannot hand on what it has: PostgreSQL warns and grants nothing.
outcome($node, 'postgres', 'GRANT SELECT ON es.es_events, es.es_snapshots TO stranger', 'reader');
check_role('stranger', 'nobody', 'still without a grant');
store_is_sound($node, 'postgres', 'the store is sound', 'es');

succeeds($node, 'postgres', "SELECT es.es_grant('reader', 'reader'), es.es_grant('reader', 'reader')", '|', 'granting twice is no error');
check_role('reader', 'reader', 'granted twice');

# An admin hands on; what it hands on is the same.
succeeds($node, 'postgres', "SELECT es.es_grant('somebody', 'writer')", '', 'an admin grants', 'admin');
check_role('somebody', 'writer', 'granted by an admin');

# A member of a granted role.
$node->safe_psql('postgres', 'CREATE ROLE member LOGIN IN ROLE reader');
succeeds($node, 'postgres', "SELECT count(*) FROM es.es_read_stream('order-1')", '2', 'a member of a reader reads', 'member');

# ---------------------------------------------------------------------------
# Taken back.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', "SELECT es.es_grant('somebody', 'reader')");
succeeds($node, 'postgres', "SELECT count(*) FROM es.es_read_stream('order-1')", '2', 'reader and writer reads', 'somebody');
$node->safe_psql('postgres', "SELECT es.es_revoke('somebody', 'writer')");
fails_with($node, 'postgres', "SELECT es.es_append('order-1', 'E', '1')", '42501', 'without writer no append', 'somebody');
succeeds($node, 'postgres', "SELECT count(*) FROM es.es_read_stream('order-1')", '2', 'the reader in it stays', 'somebody');
succeeds($node, 'postgres', "SELECT es.es_stream_version('order-1'), es.es_category('a-b'), es.es_tenant(), es.es_version()", '2|a||0.1.0',
	'with all that a reader has', 'somebody');
$node->safe_psql('postgres', "SELECT es.es_revoke('somebody', 'reader')");
check_role('somebody', 'nobody', 'all revoked');
succeeds($node, 'postgres', "SELECT es.es_revoke('admin', 'admin')", '', 'an admin\'s rights are revoked');
check_role('admin', 'nobody', 'admin revoked');
succeeds($node, 'postgres', "SELECT es.es_revoke('stranger', 'admin')", '', 'revoking what was never granted is no error');

# USAGE on the schema comes with the grant.
fails_with($node, 'postgres', 'SELECT es.es_version()', '42501', 'no USAGE on the schema before', 'elsewhere');
$node->safe_psql('postgres', "SELECT es.es_grant('elsewhere', 'writer')");
succeeds($node, 'postgres', "SELECT es.es_append('usage-1', 'E', '1')", '1', 'USAGE on the schema after', 'elsewhere');

# ---------------------------------------------------------------------------
# Hostile and unusual role names.
# ---------------------------------------------------------------------------
for my $name (
	'x"; DROP TABLE es.es_events CASCADE; --',
	"o'brien", '"', ';', 'two words', 'current_user', 'session_user', 'select', 'Ünïcode', 'with\\backslash', '$1', '%s %I')
{
	my $quoted  = '"' . ($name =~ s/"/""/gr) . '"';
	my $literal = "'" . ($name =~ s/'/''/gr) . "'";

	$node->safe_psql('postgres', "CREATE ROLE $quoted LOGIN");
	succeeds($node, 'postgres', <<"SQL", 't', "es_grant to the role $name gives it to that role");
DO \$do\$ BEGIN PERFORM es.es_grant($literal, 'reader'); END \$do\$;
SELECT has_table_privilege($literal, 'es.es_events', 'SELECT') AND has_schema_privilege($literal, 'es', 'USAGE')
	AND NOT has_table_privilege($literal, 'es.es_events', 'INSERT');
SQL
	succeeds($node, 'postgres', <<"SQL", 'f', "es_revoke takes it from the role $name");
DO \$do\$ BEGIN PERFORM es.es_revoke($literal, 'reader'); END \$do\$;
SELECT has_table_privilege($literal, 'es.es_events', 'SELECT');
SQL
	$node->safe_psql('postgres', "DROP OWNED BY $quoted; DROP ROLE $quoted");
}
install_outcome_function($node, 'postgres');
outcomes_are($node, 'postgres', [
	[ "SELECT es.es_grant('nobody_of_that_name', 'reader')",  '42704' ],
	[ "SELECT es.es_revoke('nobody_of_that_name', 'reader')", '42704' ],
	[ "SELECT es.es_grant('current_user', 'reader')",         '42704' ],
	[ "SELECT es.es_grant('CURRENT_USER', 'reader')",         '42704' ],
	[ "SELECT es.es_grant('READER', 'reader')",               '42704' ],
	[ "SELECT es.es_grant('\"reader\"', 'reader')",           '42704' ],
	[ "SELECT es.es_grant('', 'reader')",                     qr/^(?:42704|22023|42602)/ ],
	[ "SELECT es.es_grant('PUBLIC', 'reader')",               '42704' ],
	[ "SELECT es.es_grant('none', 'reader')",                 qr/^(?:42704|42939|22023)/ ],
	[ "SELECT es.es_grant('stranger', 'owner')",              '22023' ],
	[ "SELECT es.es_grant('stranger', '')",                   '22023' ],
	[ "SELECT es.es_grant('stranger', 'READER')",             '22023' ],
	[ "SELECT es.es_grant('stranger', 'reader; GRANT ALL')",  '22023' ],
	[ "SELECT es.es_revoke('stranger', 'owner')",             '22023' ],
	[ "SELECT es.es_grant(NULL, 'reader')",                   '22004' ],
	[ "SELECT es.es_grant('stranger', NULL)",                 '22004' ],
	[ "SELECT es.es_revoke(NULL, 'reader')",                  '22004' ],
	[ "SELECT es.es_revoke('stranger', NULL)",                '22004' ]]);
check_role('stranger', 'nobody', 'after all of it');

# As in GRANT, "public" is everybody.
succeeds($node, 'postgres', "SELECT es.es_grant('public', 'reader')", '', 'everybody may be a reader');
check_role('stranger', 'reader', 'granted to public');
succeeds($node, 'postgres', "SELECT es.es_revoke('public', 'reader')", '', 'and no longer');
check_role('stranger', 'nobody', 'revoked from public');

# ---------------------------------------------------------------------------
# A role that may append cannot become more by what it appends through.
# ---------------------------------------------------------------------------
succeeds($node, 'postgres', <<'SQL', "writer\nwriter", 'the caller is itself again after an append, also after one that failed', 'writer');
DO $$ BEGIN PERFORM es.es_append('role-1', 'E', '1'); END $$;
SELECT current_user;
DO $$
BEGIN
	PERFORM es.es_append('role-1', 'E', '1', expected_version => 7);
EXCEPTION WHEN SQLSTATE 'PE001' THEN
END $$;
SELECT current_user;
SQL
fails_with($node, 'postgres', 'DO $$ BEGIN PERFORM es.es_append(\'role-1\', \'E\', \'1\'); PERFORM count(*) FROM es.es_events; END $$', '42501',
	'and has no right on the table in the same transaction', 'writer');

# An owner who is not a superuser any more cannot change events either.
$node->safe_psql('postgres', 'CREATE ROLE owner LOGIN; ALTER TABLE es.es_events OWNER TO owner; GRANT USAGE ON SCHEMA es TO owner');
for my $statement ("UPDATE es.es_events SET data = '1'", 'DELETE FROM es.es_events', 'TRUNCATE es.es_events')
{
	fails_with($node, 'postgres', $statement, 'PE006', "the owner may not: $statement", 'owner');
	fails_with($node, 'postgres', $statement, 'PE006', "a superuser may not: $statement");
	fails_with($node, 'postgres', "SET session_replication_role = replica; $statement", 'PE006',
		"nor in the name of replication: $statement");
}
store_is_sound($node, 'postgres', 'the store is sound at the end', 'es');

log_is_clean($node);
$node->stop;
done_testing();
