# Nobody who can make objects can lead a function of the extension astray: not
# with a search_path, not with operators, functions, types and tables of the same
# names, not with temporary objects, not from the schema that the extension is
# made in, and not with its trigger functions on other tables.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('attacks');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE reader LOGIN;
CREATE ROLE writer LOGIN;
CREATE ROLE admin LOGIN;
CREATE SCHEMA es;
CREATE EXTENSION event_store SCHEMA es;
SELECT es.es_grant('reader', 'reader'), es.es_grant('writer', 'writer'), es.es_grant('admin', 'admin');
SELECT es.es_append_json('order-1', '[{"type": "Placed", "data": {"n": 1}}, {"type": "Paid", "data": {"n": 2}}]');
SELECT es.es_save_snapshot('order-1', 1, '{"n": 1}');
SQL

# ---------------------------------------------------------------------------
# What can be seen in the catalog.
# ---------------------------------------------------------------------------
is($node->safe_psql('postgres', <<'SQL'), '', 'every SECURITY DEFINER function has a search_path of its own, with pg_temp last');
SELECT p.oid::regprocedure, p.proconfig FROM pg_proc p
WHERE p.pronamespace = 'es'::regnamespace AND p.prosecdef
AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c ~ '^search_path=.*pg_temp"?$')
SQL
is($node->safe_psql('postgres', <<'SQL'), '', 'every other SQL and PL/pgSQL function is bound to its objects, or has a search_path');
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'es'::regnamespace AND l.lanname NOT IN ('c', 'internal') AND p.prosqlbody IS NULL
AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c ~ '^search_path=')
SQL

# ---------------------------------------------------------------------------
# A schema full of traps: every function, operator and table that the extension
# could use, under the same name and with the same argument types.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA evil;
CREATE TABLE evil.sprung (trap text, by text, at timestamptz);

CREATE FUNCTION evil.set_traps(schema text) RETURNS void LANGUAGE plpgsql AS $set$
DECLARE
	types CONSTANT regtype[] := '{text,name,varchar,bigint,integer,uuid,jsonb,boolean,timestamptz,oid,regclass,text[],jsonb[],uuid[],integer[]}';
	operands CONSTANT regtype[] := '{text,name,bigint,integer,uuid,jsonb,oid,regclass}';
	f record;
	o record;
BEGIN
	-- Functions of pg_catalog and of the extension whose arguments are of such types.
	FOR f IN
		SELECT p.proname, p.prorettype::regtype AS result, pg_get_function_identity_arguments(p.oid) AS arguments
		FROM pg_proc p
		WHERE p.pronamespace IN ('pg_catalog'::regnamespace, 'es'::regnamespace) AND p.prokind = 'f' AND NOT p.proretset AND p.provariadic = 0
		AND p.prorettype = ANY (types) AND p.pronargs BETWEEN 0 AND 7
		AND NOT EXISTS (SELECT FROM unnest(p.proargtypes) t WHERE t <> ALL (types))
	LOOP
		EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION ''led astray to %%'', %L; END $$',
			schema, f.proname, f.arguments, f.result, f.proname || '(' || f.arguments || ')');
	END LOOP;

	-- Operators over all pairs of the types, also pairs that pg_catalog has not.
	FOR o IN
		SELECT names.name, l AS left_type, r AS right_type, (names.name !~ '^(\|\||->|->>|#>|#>>|-|\+|\*|/|%)$') AS yields_boolean
		FROM unnest('{=,<>,<,<=,>,>=,||,~,!~,~~,->,->>,#>,#>>,@>,<@,?,-,+,*,/,%}'::text[]) names(name),
			unnest(operands) l, unnest(operands) r
	LOOP
		EXECUTE format('CREATE FUNCTION %I.%I(l %s, r %s) RETURNS %s LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION ''led astray to operator %%'', %L; END $$',
			schema, 'trap ' || o.name, o.left_type, o.right_type, CASE WHEN o.yields_boolean THEN 'boolean' ELSE 'text' END, o.name);
		EXECUTE format('CREATE OPERATOR %I.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = %I.%I)',
			schema, o.name, o.left_type, o.right_type, schema, 'trap ' || o.name);
	END LOOP;
END $set$;
SELECT evil.set_traps('evil');

CREATE TABLE evil.es_events (LIKE es.es_events);
CREATE TABLE evil.es_snapshots (LIKE es.es_snapshots);
CREATE SEQUENCE evil.es_tx_seq START 4711;
CREATE TYPE evil.es_event AS (trap int);
CREATE DOMAIN evil.jsonb AS text CHECK (false);
CREATE DOMAIN evil.uuid AS text CHECK (false);
CREATE DOMAIN evil.text AS varchar CHECK (false);
CREATE DOMAIN evil.int8 AS varchar CHECK (false);
CREATE VIEW evil.pg_class AS SELECT 1 / 0 AS oid;
CREATE VIEW evil.pg_extension AS SELECT 1 / 0 AS oid;
CREATE VIEW evil.pg_roles AS SELECT 1 / 0 AS oid;
CREATE VIEW evil.pg_proc AS SELECT 1 / 0 AS oid;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA evil TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA evil TO PUBLIC;
SQL
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM pg_proc WHERE pronamespace = 'evil'::regnamespace"), '>', 1000, 'the traps are set');
fails_with($node, 'postgres', "SET search_path = evil, pg_catalog; SELECT 'a'::pg_catalog.text || 1::bigint", qr/led astray/, 'and they work');

# Temporary objects come before everything else in an ordinary search_path.
my $temporary = <<'SQL';
CREATE TEMP TABLE es_events (trap int);
CREATE TEMP TABLE es_snapshots (trap int);
CREATE TEMP SEQUENCE es_tx_seq START 4711;
CREATE TEMP VIEW pg_extension AS SELECT 1 AS oid;
CREATE TEMP VIEW pg_class AS SELECT 1 AS oid;
CREATE TEMP VIEW pg_roles AS SELECT 1 AS oid;
CREATE DOMAIN pg_temp.jsonb AS varchar CHECK (false);
CREATE DOMAIN pg_temp.uuid AS varchar CHECK (false);
CREATE DOMAIN pg_temp.text AS varchar CHECK (false);
CREATE DOMAIN pg_temp.name AS varchar CHECK (false);
SQL
my %paths = (
	'a hostile schema first'               => "SET search_path = evil, pg_catalog, es;\n",
	'temporary objects first'              => "${temporary}SET search_path = pg_temp, pg_catalog, es;\n",
	'temporary objects by default'         => "${temporary}SET search_path = es;\n",
	'a hostile schema before temporary'    => "${temporary}SET search_path = evil, pg_temp, pg_catalog;\n",
	'nothing in the path'                  => "SET search_path = '';\n");

# Every function by its qualified name, with what it answers. Literals have no
# type of their own, so that nothing here but the extension can be led astray.
my @appends = (
	[ "SELECT es.es_append('%s', 'E', '1', expected_version => '0')",                              '1' ],
	[ "SELECT es.es_append_batch('%s', '{F,G}', '{2,3}', '{\"{}\",\"{}\"}', '1')",                 '3' ],
	[ "SELECT es.es_append_json('%s', '[{\"type\": \"H\", \"data\": {}, \"metadata\": {\"user_id\": 1}}]', '3')", '4' ],
	[ "SELECT es.es_append('%s', 'I', '5', event_id => '00000000-0000-4000-8000-000000000001')",   '5' ],
	[ "SELECT es.es_append('%s', 'I', '5', event_id => '00000000-0000-4000-8000-000000000001')",   '5' ],
	[ "SELECT es.es_stream_version('%s')",                                                         '5' ],
	[ "SELECT es.es_save_snapshot('%s', '2', '{\"a\": 1}')",                                       '' ],
	[ "SELECT es.es_save_snapshot('%s', '2', '{\"a\": 2}', 'x')",                                  '' ],
	[ "SELECT es.es_delete_snapshots('%s', '2')",                                                  '0' ],
	[ "SELECT es.es_delete_snapshots('%s', '5', 'x')",                                             '1' ]);
my @reads = (
	[ "SELECT event_type FROM es.es_read_stream('order-1')",                            "Placed\nPaid" ],
	[ "SELECT event_type FROM es.es_read_stream('order-1', '2', '1', 'true')",          'Paid' ],
	[ "SELECT es.es_stream_version('order-1')",                                         '2' ],
	[ "SELECT es.es_category('order-1')",                                               'order' ],
	[ "SELECT es.es_tenant()",                                                          '' ],
	[ "SELECT es.es_version()",                                                         '0.1.0' ],
	[ "SELECT version, state FROM es.es_load_snapshot('order-1', '7')",                 '1|{"n": 1}' ]);
my @inserts = (
	[ "INSERT INTO es.es_events (stream_id, event_type, data) VALUES ('%s', 'J', '6') RETURNING version",               '6' ],
	[ "INSERT INTO es.es_events (stream_id, event_type, data, version) VALUES ('%s', 'J', '7', '7') RETURNING version", '7' ],
	[ "COPY es.es_events (stream_id, event_type, data) FROM stdin;\n%s\tK\t8\n\\.",                                     undef ],
	[ "SELECT problem FROM es.es_check()",                                                                              undef ],
	[ "SELECT es.es_grant('reader', 'reader')",                                                                         '' ],
	[ "SELECT es.es_revoke('writer', 'reader')",                                                                        '' ]);
my %may = (
	reader   => [@reads],
	writer   => [@appends],
	admin    => [ @reads, @appends, @inserts ],
	postgres => [ @reads, @appends, @inserts ]);

my $number    = 0;
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
for my $path (sort keys %paths)
{
	for my $role (sort keys %may)
	{
		my $stream   = 'attack-' . ++$number;
		my $script   = join("\n", map { my $s = $_->[0] =~ s/%s/$stream/r; $s =~ /\\\.$/ ? $s : "$s;" } @{ $may{$role} });
		my $expected = join("\n", map { defined $_->[1] ? $_->[1] : () } @{ $may{$role} });
		is( outcome($node, 'postgres', $paths{$path} . $script, $role eq 'postgres' ? $superuser : $role) =~ s/\n+$//r,
			"ok $expected" =~ s/\n+$//r, "$role, $path: every function does what it should");
	}
}
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM evil.es_events) + (SELECT count(*) FROM evil.es_snapshots)'),
	'0', 'no event went into another table');
is($node->safe_psql('postgres', 'SELECT is_called FROM evil.es_tx_seq'), 'f', 'no number was taken from another sequence');
store_is_sound($node, 'postgres', 'the store is sound', 'es');

# ---------------------------------------------------------------------------
# A statement inside of what a caller hands over.
# ---------------------------------------------------------------------------
succeeds($node, 'postgres', <<'SQL', "1\n1\n1\n2", 'names are data, never part of a statement', 'admin');
SELECT es.es_append('x''; DROP TABLE es.es_events; --', 'E''; SELECT 1 / 0; --', '1');
SELECT es.es_append('$1', '%s', '1');
SET event_store.tenant_id = '''; DROP TABLE es.es_events; --';
SELECT es.es_append('x"$$', 'E', '1');
SELECT es.es_append('x"$$', 'E', '1', expected_version => 1);
SQL

# Makes traps in schema home whose argument types suit a call better than those of
# the function that is meant: functions of the extension with integer for bigint and
# the like, and what pg_catalog has for any type, as functions and as aggregates.
sub overloads
{
	my %similar = (
		bigint  => [qw(bigint integer smallint numeric)],
		integer => [qw(integer bigint smallint)],
		text    => [qw(text name varchar)],
		name    => [qw(name text varchar)]);
	my @traps;

	for my $function (split /\n/, $node->safe_psql('postgres', <<'SQL'))
SELECT p.proname, array_to_string(ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) t), ',')
FROM pg_proc p WHERE p.pronamespace = 'es'::regnamespace AND p.pronargs > 0
SQL
	{
		my ($name, $arguments) = split /\|/, $function;
		my @combinations = ([]);

		for my $type (split /,/, $arguments)
		{
			@combinations = map { my $c = $_; map { [ @$c, $_ ] } @{ $similar{$type} // [$type] } } @combinations;
		}
		push @traps, map { [ $name, $_ ] } grep { $_ ne $arguments } map { join(',', @$_) } @combinations;
	}

	my @types = qw(text name bigint integer uuid regclass timestamptz jsonb oid boolean "char");
	push @traps, map { my $t = $_; map { [ $_, $t ] } qw(to_jsonb to_json unnest cardinality array_length quote_literal quote_nullable length upper) } @types;
	push @traps, map { my $t = $_; map { [ 'format', "text,$t,$_" ], [ 'concat', "$t,$_" ], [ 'jsonb_build_object', "$t,$_" ] } @types } @types;
	push @traps, map { [ 'format', "text,$_" ] } @types;
	push @traps, map { my $t = $_; map { my $u = $_; map { [ 'format', "text,$t,$u,$_" ] } qw(text bigint integer uuid) } qw(text name bigint uuid) } @types;

	my %seen;
	my $sql = "SET client_min_messages = error;\n";
	for my $trap (grep { !$seen{"@$_"}++ } @traps)
	{
		$sql .= "CREATE FUNCTION home.\"$trap->[0]\"($trap->[1]) RETURNS text LANGUAGE plpgsql AS"
		  . " \$\$ BEGIN RAISE EXCEPTION 'led astray to $trap->[0]($trap->[1])'; END \$\$;\n";
	}
	for my $type (@types)
	{
		$sql .= "CREATE FUNCTION home.step($type, $type) RETURNS $type LANGUAGE plpgsql AS"
		  . " \$\$ BEGIN RAISE EXCEPTION 'led astray to an aggregate of $type'; END \$\$;\n";
		$sql .= "CREATE AGGREGATE home.$_($type) (SFUNC = home.step, STYPE = $type);\n"
		  for qw(lag lead first_value last_value max min count sum array_agg);
	}
	return $sql;
}

# ---------------------------------------------------------------------------
# Made in a schema that belongs to somebody else, who has prepared it.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', 'CREATE DATABASE prepared');
$node->safe_psql('prepared', 'CREATE ROLE mallory LOGIN; CREATE SCHEMA home AUTHORIZATION mallory; CREATE SCHEMA es');
my $set_traps = $node->safe_psql('postgres', "SELECT pg_get_functiondef('evil.set_traps'::regproc)") =~ s/evil\.set_traps/home.set_traps/r;
succeeds($node, 'prepared', "$set_traps;\nDO \$\$ BEGIN PERFORM home.set_traps('home'); END \$\$", '', 'a schema is full of traps', 'mallory');
# (Some of them are there already.)
my $before = $node->safe_psql('prepared', 'SELECT count(*) FROM pg_proc');
$node->psql('prepared', overloads(), on_error_stop => 0, extra_params => [ '-U', 'mallory' ]);
cmp_ok($node->safe_psql('prepared', 'SELECT count(*) FROM pg_proc'), '>', $before + 1000, 'and of functions that suit the calls better than those that are meant');
succeeds($node, 'prepared', <<'SQL', "1\n3\n4\n5\nE F G H I\nF\n5\norder\n\n2|{}\n1\n0\n", 'the extension is made and works there');
CREATE EXTENSION event_store SCHEMA home;
CREATE ROLE client LOGIN;
SET search_path = pg_catalog;
SELECT home.es_append('order-1'::text, 'E'::text, '1'::jsonb, expected_version => 0::bigint);
SELECT home.es_append_batch('order-1'::text, '{F,G}'::text[], '{2,3}'::jsonb[]);
SELECT home.es_append_json('order-1'::text, '[{"type": "H", "data": 4}]'::jsonb, 3::bigint);
INSERT INTO home.es_events (stream_id, event_type, data) VALUES ('order-1', 'I', '5') RETURNING version;
SELECT string_agg(event_type, ' ' ORDER BY version) FROM home.es_read_stream('order-1'::text);
SELECT event_type FROM home.es_read_stream('order-1'::text, 2::bigint, 1::bigint, true);
SELECT home.es_stream_version('order-1'::text);
SELECT home.es_category('order-1'::text);
SELECT home.es_save_snapshot('order-1'::text, 2::bigint, '{}'::jsonb, 'x'::text);
SELECT version, state FROM home.es_load_snapshot('order-1'::text, 7::bigint, 'x'::text);
SELECT home.es_delete_snapshots('order-1'::text, 3::bigint, 'x'::text);
SELECT count(*) FROM home.es_check();
SELECT home.es_grant('client'::name, 'admin'::text);
SQL
succeeds($node, 'prepared', <<'SQL', "6\n6", 'and for a client of it', 'client');
SET search_path = pg_catalog;
SELECT home.es_append('order-1'::text, 'J'::text, '1'::jsonb, expected_version => 5::bigint);
SELECT count(*) FROM home.es_read_stream('order-1'::text);
SQL
$node->safe_psql('prepared', "SELECT home.es_revoke('client'::name, 'admin'::text)");
$node->safe_psql('prepared', 'DROP EXTENSION event_store; DROP SCHEMA es');

# Objects that are already there are not taken over.
for my $object (
	'FUNCTION home.es_tenant() RETURNS text LANGUAGE sql AS $$ SELECT \'mine\' $$',
	'FUNCTION home.es_version() RETURNS text LANGUAGE sql AS $$ SELECT \'mine\' $$',
	'TABLE home.es_events (mine int)',
	'TABLE home.es_snapshots (mine int)',
	'SEQUENCE home.es_tx_seq',
	'TYPE home.es_event AS (mine int)')
{
	fails_with($node, 'prepared', "BEGIN; SET ROLE mallory; CREATE $object; RESET ROLE; CREATE EXTENSION event_store SCHEMA home",
		qr/^(?:42723|42P07|42710|55000): /, "CREATE EXTENSION does not take over: $object");
}

# ---------------------------------------------------------------------------
# The trigger functions called by hand, and on tables that they are not for.
# ---------------------------------------------------------------------------
my @triggers = split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT p.oid::regproc FROM pg_proc p WHERE p.pronamespace = 'es'::regnamespace AND p.prorettype = 'trigger'::regtype
SQL
cmp_ok(scalar @triggers, '>', 0, 'there are trigger functions');
for my $function (@triggers)
{
	fails_with($node, 'postgres', "CREATE TEMP TABLE mine (a int); CREATE TRIGGER t BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION $function()",
		'42501', "a stranger cannot use $function", 'writer');
	fails_with($node, 'postgres', "SELECT $function()", qr/^(?!ok|psql|57P0)/, "$function cannot be called by hand");

	for my $when ('BEFORE INSERT', 'AFTER INSERT', 'BEFORE UPDATE', 'AFTER DELETE', 'BEFORE TRUNCATE')
	{
		for my $each ('ROW', 'STATEMENT')
		{
			next if $when =~ /TRUNCATE/ && $each eq 'ROW';
			for my $columns ('a int', 'tenant_id text, stream_id text, version bigint', 'a text, b text, c bigint, d uuid, e text, f int, g jsonb, h jsonb, i timestamptz, j bigint, k int')
			{
				my $got = outcome($node, 'postgres', <<"SQL");
BEGIN;
CREATE TABLE mine ($columns);
INSERT INTO mine DEFAULT VALUES;
CREATE TRIGGER t $when ON mine FOR EACH $each EXECUTE FUNCTION $function();
SAVEPOINT a; INSERT INTO mine DEFAULT VALUES; ROLLBACK TO a;
SAVEPOINT a; UPDATE mine SET ${\ ($columns =~ /^(\w+)/)} = NULL; ROLLBACK TO a;
SAVEPOINT a; DELETE FROM mine; ROLLBACK TO a;
TRUNCATE mine;
ROLLBACK;
SQL
				like($got, qr/^(?:ok |(?!57P0)\w{5}: )/, "$function does no harm $when FOR EACH $each on ($columns)");
			}
		}
	}
}
succeeds($node, 'postgres', "SELECT es.es_append('order-1', 'Still', '1', expected_version => 2)", '3', 'the server is up and the store goes on');
store_is_sound($node, 'postgres', 'the store is sound at the end', 'es');

log_is_clean($node);
$node->stop;
done_testing();
