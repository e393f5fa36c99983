# What bad input gets: for every call a clear error with its SQLSTATE, the
# transaction as it was, the store unchanged and the server up.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

# A crash fails one test and not all that come after it.
my $node = new_node('bad_input', conf => "restart_after_crash = on\n");
my $db   = 'postgres';
$node->safe_psql($db, <<'SQL');
CREATE EXTENSION event_store;
SELECT es_append_batch('order-1', '{Placed,Paid}', '{1,2}',
	event_ids => '{00000000-0000-4000-8000-000000000001,00000000-0000-4000-8000-000000000002}');
SELECT es_save_snapshot('order-1', 1, '1');
SQL
install_outcome_function($node, $db);
my $contents = contents($node, $db);

# Every function has the same rules for the names that it takes: %s is the place
# of the name in a call that is right but for it.
my %streams = (
	es_append            => "SELECT es_append(%s, 'E', '1')",
	es_append_batch      => "SELECT es_append_batch(%s, '{E}', '{1}')",
	'an empty batch'     => "SELECT es_append_batch(%s, '{}', '{}')",
	es_append_json       => "SELECT es_append_json(%s, '[{\"type\": \"E\", \"data\": 1}]')",
	'an empty array'     => "SELECT es_append_json(%s, '[]')",
	INSERT               => "INSERT INTO es_events (stream_id, event_type, data) VALUES (%s, 'E', '1')",
	es_read_stream       => 'SELECT version FROM es_read_stream(%s)',
	es_stream_version    => 'SELECT es_stream_version(%s)',
	es_save_snapshot     => "SELECT es_save_snapshot(%s, 1, '1')",
	es_load_snapshot     => 'SELECT version FROM es_load_snapshot(%s)',
	es_delete_snapshots  => 'SELECT es_delete_snapshots(%s)');
my %writes = map { $_ => 1 } grep { /append|INSERT|batch|array|save/ } keys %streams;
my %types = (
	es_append       => "SELECT es_append('order-1', %s, '1')",
	es_append_batch => "SELECT es_append_batch('order-1', ARRAY['E', %s], '{1,2}')",
	es_append_json  => "SELECT es_append_json('order-1', jsonb_build_array(jsonb_build_object('type', %s::text, 'data', 1)))",
	INSERT          => "INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', %s, '1')");
my @cases;

for my $function (sort keys %streams)
{
	my $call = $streams{$function};
	my $case = sub { push @cases, [ $call =~ s/%s/$_[0]/r, $_[1], "stream, $function" ] };

	$case->('NULL', qr/^(?:22004|23502)/);
	next unless $writes{$function};
	$case->("''",                    '22023');
	$case->("repeat('x', 513)",      '22001');
	$case->("repeat('x', 1000000)",  '22001');
	$case->("repeat('ü', 257)",      '22001');
	$case->("E'order\\n1'",          '22023');
	$case->("E'order\\x01'",         '22023');
	$case->("E'\\t'",                '22023');
	$case->("E'order\\x7f'",         '22023');
}
for my $function (sort keys %types)
{
	my $call = $types{$function};
	my $case = sub { push @cases, [ $call =~ s/%s/$_[0]/r, $_[1], "event type, $function" ] };

	$case->('NULL',              qr/^(?:22004|23502|22023)/);
	$case->("''",                '22023');
	$case->("repeat('x', 256)",  '22001');
	$case->("repeat('ü', 128)",  '22001');
	$case->("E'E\\nF'",          '22023');
	$case->("E'\\x1f'",          '22023');
}

# Versions and counts.
push @cases,
  ( map { [ $_, '22023', 'version or count' ] }
	"SELECT es_append('order-1', 'E', '1', expected_version => -2)",
	"SELECT es_append('order-1', 'E', '1', expected_version => -9223372036854775808)",
	"SELECT es_append_batch('order-1', '{E}', '{1}', expected_version => -2)",
	"SELECT es_append_batch('order-1', '{}', '{}', expected_version => -2)",
	"SELECT es_append_json('order-1', '[]', -2)",
	"SELECT es_append('order-1', 'E', '1', schema_version => 0)",
	"SELECT es_append('order-1', 'E', '1', schema_version => -1)",
	"SELECT es_append_batch('order-1', '{E,F}', '{1,2}', schema_versions => '{1,0}')",
	"SELECT version FROM es_read_stream('order-1', 0)",
	"SELECT version FROM es_read_stream('order-1', -1)",
	"SELECT version FROM es_read_stream('order-1', max_count => 0)",
	"SELECT version FROM es_read_stream('order-1', max_count => -1)",
	"SELECT version FROM es_read_stream('order-1', -9223372036854775808, backwards => true)",
	"SELECT es_save_snapshot('order-1', 0, '1')",
	"SELECT es_save_snapshot('order-1', -1, '1')",
	"SELECT es_save_snapshot('order-1', 3, '1')",
	"SELECT es_save_snapshot('order-9', 1, '1')",
	"SELECT es_save_snapshot('order-1', 9223372036854775807, '1')",
	"SELECT version FROM es_load_snapshot('order-1', 0)",
	"SELECT version FROM es_load_snapshot('order-1', -1)",
	"SELECT es_delete_snapshots('order-1', 0)",
	"SELECT es_delete_snapshots('order-1', -1)");
push @cases,
  ( map { [ $_, 'PE001', 'wrong version' ] }
	"SELECT es_append('order-1', 'E', '1', expected_version => 0)",
	"SELECT es_append('order-1', 'E', '1', expected_version => 1)",
	"SELECT es_append('order-1', 'E', '1', expected_version => 3)",
	"SELECT es_append('order-1', 'E', '1', expected_version => 9223372036854775807)",
	"SELECT es_append('order-9', 'E', '1', expected_version => -1)",
	"SELECT es_append('order-9', 'E', '1', expected_version => 1)",
	"SELECT es_append('order-1', 'Placed', '1', event_id => '00000000-0000-4000-8000-000000000001', expected_version => 9223372036854775807)",
	"SELECT es_append_batch('order-1', '{E}', '{1}', expected_version => 1)",
	"SELECT es_append_batch('order-1', '{}', '{}', expected_version => 1)",
	"SELECT es_append_batch('order-9', '{}', '{}', expected_version => -1)",
	"SELECT es_append_json('order-1', '[]', 0)",
	"INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('order-1', 'E', '1', 2)",
	"INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('order-1', 'E', '1', 4)",
	"INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('order-1', 'E', '1', 3), ('order-1', 'E', '1', 3)",
	"INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('order-1', 'E', '1', 2) ON CONFLICT DO NOTHING");
push @cases,
  [ "INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('order-1', 'E', '1', 0)",  qr/^(?:PE001|22023)/, 'version' ],
  [ "INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('order-1', 'E', '1', -1)", qr/^(?:PE001|22023)/, 'version' ],
  [ "INSERT INTO es_events (stream_id, event_type, data, version) VALUES ('order-1', 'E', '1', -9223372036854775808)", qr/^(?:PE001|22023|22003)/, 'version' ],
  [ "INSERT INTO es_events (stream_id, event_type, data, schema_version) VALUES ('order-1', 'E', '1', 0)", '22023', 'schema version' ];

# A version that overflows: the stream is brought to the greatest one by a copy.
my $greatest = "INSERT INTO es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal)"
  . " VALUES ('order-max', %s, gen_random_uuid(), 'Copied', 1, '1', '{}', now(), 1000, 0)";
for my $append (
	"PERFORM es_append('order-max', 'E', '1')",
	"PERFORM es_append('order-max', 'E', '1', expected_version => 9223372036854775807)",
	"PERFORM es_append_batch('order-max', '{E,F}', '{1,2}')",
	"INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-max', 'E', '1')")
{
	my $copy = sprintf($greatest, '9223372036854775807');
	push @cases, [ "DO \$do\$ BEGIN $copy; $append; END \$do\$", '22003', 'version overflow' ];
}
push @cases, [ 'DO $do$ BEGIN ' . sprintf($greatest, '9223372036854775806')
	  . "; PERFORM es_append_batch('order-max', '{E,F}', '{1,2}'); END \$do\$", '22003', 'version overflow' ];

# NULL where something is needed.
push @cases,
  ( map { [ $_, '22004', 'NULL' ] }
	"SELECT es_append('order-1', 'E', NULL)",
	"SELECT es_append_batch('order-1', NULL, '{1}')",
	"SELECT es_append_batch('order-1', '{E}', NULL)",
	"SELECT es_append_batch('order-1', '{E,NULL}', '{1,2}')",
	"SELECT es_append_batch('order-1', '{E,F}', '{1,NULL}')",
	"SELECT es_append_batch('order-1', '{E,F}', '{1,2}', event_ids => ARRAY[gen_random_uuid(), NULL])",
	"SELECT es_append_json('order-1', NULL)",
	"SELECT es_save_snapshot('order-1', NULL, '1')",
	"SELECT es_save_snapshot('order-1', 1, NULL)",
	"SELECT es_save_snapshot('order-1', 1, '1', NULL)");
push @cases,
  [ "INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'E', NULL)",                qr/^(?:22004|23502)/, 'NULL' ],
  [ "INSERT INTO es_events (tenant_id, stream_id, event_type, data) VALUES (NULL, 'order-1', 'E', '1')", qr/^(?:22004|23502)/, 'NULL' ],
  [ "INSERT INTO es_events DEFAULT VALUES",                                                             qr/^(?:22004|23502)/, 'NULL' ];

# Arrays that do not fit together.
push @cases,
  ( map { [ $_, '22023', 'arrays of unequal length' ] }
	"SELECT es_append_batch('order-1', '{E}', '{1,2}')",
	"SELECT es_append_batch('order-1', '{E,F}', '{1}')",
	"SELECT es_append_batch('order-1', '{}', '{1}')",
	"SELECT es_append_batch('order-1', '{E}', '{}')",
	"SELECT es_append_batch('order-1', '{E}', '{1}', metadata => '{}')",
	"SELECT es_append_batch('order-1', '{E}', '{1}', metadata => '{1,2}')",
	"SELECT es_append_batch('order-1', '{E,F}', '{1,2}', event_ids => ARRAY[gen_random_uuid()])",
	"SELECT es_append_batch('order-1', '{E}', '{1}', event_ids => '{}')",
	"SELECT es_append_batch('order-1', '{E}', '{1}', schema_versions => '{1,2}')",
	"SELECT es_append_batch('order-1', '{}', '{}', schema_versions => '{1}')");
push @cases,
  ( map { [ $_, '2202E', 'arrays of several dimensions' ] }
	"SELECT es_append_batch('order-1', '{{E,F}}', '{1,2}')",
	"SELECT es_append_batch('order-1', '{E,F}', '{{1,2}}')",
	"SELECT es_append_batch('order-1', '{{E},{F}}', '{{1},{2}}')",
	"SELECT es_append_batch('order-1', '{E}', '{1}', metadata => '{{1}}')",
	"SELECT es_append_batch('order-1', '{E}', '{1}', event_ids => ARRAY[ARRAY[gen_random_uuid()]])",
	"SELECT es_append_batch('order-1', '{E}', '{1}', schema_versions => '{{1}}')");

# JSON that is no array of events.
push @cases,
  ( map { [ "SELECT es_append_json('order-1', '$_->[0]')", $_->[1] // '22023', 'JSON' ] }
	['{}'], ['1'], ['null'], ['"text"'], ['{"type": "E", "data": 1}'], ['[1]'], ['[null]'], ['["E"]'], ['[[]]'], ['[[{"type": "E", "data": 1}]]'],
	['[{}]'], ['[{"type": "E"}]'], ['[{"data": 1}]'], ['[{"type": null, "data": 1}]'], ['[{"type": 1, "data": 1}]'], ['[{"type": {}, "data": 1}]'],
	[ '[{"type": "E", "data": 1, "colour": "red"}]',   qr/^22023: .*"colour"/ ],
	[ '[{"type": "E", "data": 1}, {"type": "E", "data": 1, "Type": "F"}]', qr/^22023: .*"Type"/ ],
	[ '[{"type": "E", "data": 1, "": 1}]',             '22023' ],
	[ '[{"type": "E", "data": 1, "version": 3}]',      qr/^22023: .*"version"/ ],
	[ '[{"type": "E", "data": 1, "id": "no uuid"}]',   qr/^22(?:023|P02)/ ],
	[ '[{"type": "E", "data": 1, "id": 7}]',           '22023' ],
	[ '[{"type": "E", "data": 1, "id": null}]',        qr/^(?:22023|ok)/ ],
	[ '[{"type": "E", "data": 1, "id": "00000000-0000-4000-8000-000000000007"}, {"type": "F", "data": 1}]', '22023' ],
	[ '[{"type": "E", "data": 1, "schema_version": 0}]',   '22023' ],
	[ '[{"type": "E", "data": 1, "schema_version": -1}]',  '22023' ],
	[ '[{"type": "E", "data": 1, "schema_version": 1.5}]', '22023' ],
	[ '[{"type": "E", "data": 1, "schema_version": "1"}]', '22023' ],
	[ '[{"type": "E", "data": 1, "schema_version": 3000000000}]', qr/^22(?:023|003)/ ],
	[ '[{"type": "E", "data": 1, "schema_version": 1e400}]',      qr/^22(?:023|003)/ ]);

# Event ids that are used already.
my ($first, $second) = ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002');
push @cases,
  ( map { [ $_, 'PE002', 'event id reused' ] }
	"SELECT es_append('order-1', 'Other', '1', event_id => '$first')",
	"SELECT es_append('order-1', 'Placed', '2', event_id => '$first')",
	"SELECT es_append('order-1', 'Placed', '1', event_id => '$first', schema_version => 2)",
	"SELECT es_append('order-1', 'Placed', '1', event_id => '$first', expected_version => 2)",
	"SELECT es_append_batch('order-1', '{Placed,New}', '{1,1}', event_ids => ARRAY['$first', gen_random_uuid()]::uuid[])",
	"SELECT es_append_batch('order-1', '{New,Placed}', '{1,1}', event_ids => ARRAY[gen_random_uuid(), '$first']::uuid[])",
	"SELECT es_append_batch('order-1', '{Paid,Placed}', '{2,1}', event_ids => '{$second,$first}')",
	"SELECT es_append_batch('order-1', '{E,F}', '{1,2}', event_ids => '{00000000-0000-4000-8000-000000000009,00000000-0000-4000-8000-000000000009}')",
	"SELECT es_append_json('order-1', '[{\"type\": \"E\", \"data\": 1, \"id\": \"$second\"}]')",
	"INSERT INTO es_events (stream_id, event_type, data, event_id) VALUES ('order-1', 'E', '1', '$first')",
	"INSERT INTO es_events (stream_id, event_type, data, event_id) SELECT 'order-2', 'E', '1', '00000000-0000-4000-8000-000000000009' FROM generate_series(1, 2)");

# Events are facts.
push @cases,
  ( map { [ $_, qr/^PE006: events are immutable/, 'immutable' ] }
	"UPDATE es_events SET data = '9'",
	'UPDATE es_events SET data = data WHERE false',
	'DELETE FROM es_events',
	'DELETE FROM es_events WHERE false',
	'TRUNCATE es_events',
	'TRUNCATE es_events, es_snapshots CASCADE',
	"INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'E', '1') ON CONFLICT (tenant_id, stream_id, version) DO UPDATE SET data = '9'",
	'MERGE INTO es_events e USING (SELECT 1 AS v) s ON e.version = s.v WHEN MATCHED THEN DELETE',
	"MERGE INTO es_events e USING (SELECT 1 AS v) s ON e.version = s.v WHEN MATCHED THEN UPDATE SET data = '9'",
	"WITH d AS (DELETE FROM es_events RETURNING *) SELECT count(*) FROM d");

# The tenant and the other settings.
push @cases,
  [ "SELECT set_config('event_store.tenant_id', repeat('x', 256), true)", qr/^22(?:001|023)/, 'tenant' ],
  [ "SELECT set_config('event_store.tenant_id', E'a\\nb', true)",         '22023',            'tenant' ],
  [ "INSERT INTO es_events (tenant_id, stream_id, event_type, data) VALUES (repeat('x', 256), 'order-1', 'E', '1')", '22001', 'tenant' ],
  [ "INSERT INTO es_events (tenant_id, stream_id, event_type, data) VALUES (E'a\\nb', 'order-1', 'E', '1')",         '22023', 'tenant' ],
  [ "SELECT set_config('event_store.max_stream_locks', '-1', true)",      '22023',            'setting' ],
  [ "SELECT set_config('event_store.max_stream_locks', 'many', true)",    '22023',            'setting' ],
  [ "SELECT set_config('event_store.no_such_setting', '1', true)",        '42602',            'setting' ],
  [ "SELECT es_save_snapshot('order-1', 1, '1', repeat('x', 256))",       '22001',            'aggregate' ],
  [ "SELECT es_save_snapshot('order-1', 1, '1', E'a\\nb')",               '22023',            'aggregate' ];

# What PostgreSQL itself refuses.
push @cases,
  [ "SELECT es_append('order-1', 'E', '{\"a\": \"\\u0000\"}')",                         '22P05', 'PostgreSQL' ],
  [ "SELECT es_append('order-1', 'E', '{no json}')",                                    '22P02', 'PostgreSQL' ],
  [ "SELECT es_append('order-1', 'E', to_jsonb(repeat('x', 268435456)))",               '54000', 'PostgreSQL' ],
  [ "SELECT es_append('order-1', 'E', '1', event_id => 'x')",                           '22P02', 'PostgreSQL' ],
  [ "SELECT es_append('order-1', 'E', '1', expected_version => 9223372036854775808)",   qr/^(?:22003|42883)/, 'PostgreSQL' ],
  [ "SELECT es_append('order-1', 'E')",                                                 '42883', 'PostgreSQL' ];

outcomes_are($node, $db, \@cases);

# A setting that comes with the connection is checked by nobody before.
{
	local $ENV{PGOPTIONS} = "-c event_store.tenant_id=a\xff";
	fails_with($node, $db, "SELECT es_append('order-1', 'E', '1')", '22021', 'a tenant whose bytes are no text');
	fails_with($node, $db, "INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'E', '1')", '22021', 'nor for an INSERT');
}
for my $setting (qw(correlation_id causation_id user_id))
{
	local $ENV{PGOPTIONS} = "-c event_store.$setting=a\xff";
	fails_with($node, $db, "SELECT es_append('order-1', 'E', '1')", '22021', "a $setting whose bytes are no text");
	fails_with($node, $db, "INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'E', '1')", '22021', 'nor for an INSERT');
	succeeds($node, $db, "BEGIN; SET LOCAL event_store.$setting = ''; SELECT es_append('metadata-1', 'E', '1'); ROLLBACK", '1', 'but another value will do');
}
is(contents($node, $db), $contents, 'the store is unchanged after all of it');
store_is_sound($node, $db, 'and sound');

# A long transaction in which errors and appends take turns.
my @turns = map { [ $cases[$_][0], $cases[$_][1] ],
	[ "SELECT es_append('turns-1', 'Good', '$_', expected_version => " . $_ . ')', 'ok ' . ($_ + 1) ] } 0 .. 59;
outcomes_are($node, $db, \@turns);
succeeds($node, $db, "SELECT count(*), count(DISTINCT tx), max(ordinal) FROM es_events WHERE stream_id = 'turns-1'",
	'60|1|59', 'errors in between leave no trace in the transaction');
store_is_sound($node, $db, 'the store is sound');

# ---------------------------------------------------------------------------
# At the limits, and what is unusual but right.
# ---------------------------------------------------------------------------
outcomes_are($node, $db, [
	[ "SELECT es_append(repeat('x', 512), repeat('y', 255), '1')",            'ok 1' ],
	[ "SELECT es_append(repeat('ü', 256), repeat('ü', 127), '1')",            'ok 1' ],
	[ "SELECT es_append('with spaces, ünïcode ☃ and \"quotes\"', ' ', '1')",  'ok 1' ],
	[ "SELECT es_append('no category', 'E', '1')",                            'ok 1' ],
	[ "SELECT es_append('-', 'E', '1')",                                      'ok 1' ],
	[ "SELECT es_append('null', 'E', 'null')",                                'ok 1' ],
	[ "SELECT es_append('order-2', 'E', '1', schema_version => 2147483647)",  'ok 1' ],
	[ "SELECT es_append('order-2', 'E', '1', metadata => NULL, expected_version => NULL, event_id => NULL, schema_version => NULL)", 'ok 2' ],
	[ "SELECT es_append('order-2', 'E', '1', event_id => '00000000-0000-0000-0000-000000000000')", 'ok 3' ],
	[ "SELECT es_append_batch('order-2', '[5:6]={E,F}', '[-1:0]={1,2}')",     'ok 5' ],
	[ "SELECT es_append_batch('order-2', '{}', '{}')",                        'ok 5' ],
	[ "SELECT es_append_batch('order-2', '{}', '{}', expected_version => 5)", 'ok 5' ],
	[ "SELECT es_append_batch('order-2', '{}', '{}', '{}', -1, '{}', '{}')",  'ok 5' ],
	[ "SELECT es_append_batch('order-9', '{}', '{}', expected_version => 0)", 'ok 0' ],
	[ "SELECT es_append_json('order-9', '[]')",                               'ok 0' ],
	[ "SELECT es_append_json('order-2', '[{\"type\": \"E\", \"data\": null, \"metadata\": {\"a\": null}, \"schema_version\": 2}]')", 'ok 6' ],
	[ "SELECT es_append_batch('order-3', array_fill('E'::text, ARRAY[10000]), array_fill('1'::jsonb, ARRAY[10000]))", 'ok 10000' ],
	[ "SELECT es_append('order-4', 'E', jsonb_build_object('large', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 100000) i)))", 'ok 1' ],
	[ "SELECT length(data ->> 'large') FROM es_read_stream('order-4')",       'ok 3200000' ],
	[ "SELECT count(*) FROM es_read_stream('order-9')",                       'ok 0' ],
	[ "SELECT count(*) FROM es_read_stream('order-3', 9999, 9223372036854775807)", 'ok 2' ],
	[ "SELECT count(*) FROM es_read_stream('order-3', 9223372036854775807)",  'ok 0' ],
	[ "SELECT count(*) FROM es_read_stream('order-3', 9223372036854775807, backwards => true)", 'ok 10000' ],
	[ "SELECT es_stream_version('order-9')",                                  'ok 0' ],
	[ "SELECT es_delete_snapshots('order-9')",                                'ok 0' ],
	[ "SELECT count(*) FROM es_load_snapshot('order-9')",                     'ok 0' ]]);

# The longest names, of bytes that do not compress, fit into every index.
$node->safe_psql($db, <<'SQL');
SELECT set_config('event_store.tenant_id', left((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 20) i), 255), false);
SELECT es_append(stream, type, '1'), es_save_snapshot(stream, 1, '1', type)
FROM (SELECT left(string_agg(md5(i::text), ''), 512) AS stream, left(string_agg(md5('t' || i), ''), 255) AS type FROM generate_series(1, 20) i) n;
SQL
store_is_sound($node, $db, 'the store is sound at the limits');

# Columns that a plain INSERT may bring, whatever is in them: the store stays sound.
for my $columns (
	[ "recorded_at", "'2001-01-01'" ],
	[ "recorded_at", "'2999-01-01'" ],
	[ "recorded_at", "'-infinity'" ],
	[ "recorded_at", "'infinity'" ],
	[ "tx",          '1' ],
	[ "tx",          '-1' ],
	[ "ordinal",     '7' ],
	[ "ordinal",     '-1' ],
	[ "tx, ordinal", '-1, 0' ],
	[ "tx, ordinal", '1000000, -1' ],
	[ "tx, ordinal, version", '1000000, 0, 0' ],
	[ "tx, ordinal, version", '1000000, 0, -7' ],
	[ "metadata",    'NULL' ],
	[ "event_id",    'NULL' ])
{
	my ($names, $values) = @$columns;
	my $got = outcome($node, $db, "INSERT INTO es_events (stream_id, event_type, data, $names) VALUES ('columns-1', 'E', '1', $values)");
	$node->safe_psql($db, "SELECT es_append('columns-1', 'Next', '1')");
	note "$names = $values: $got";
	store_is_sound($node, $db, "a plain INSERT brings $names = $values: the store is sound");
}

# ---------------------------------------------------------------------------
# A store that is not whole: a clear error, never an internal one, never a crash.
# ---------------------------------------------------------------------------
$contents = contents($node, $db);
my @uses = (
	"SELECT es_append('order-1', 'E', '1')",
	"SELECT es_append_batch('order-1', '{E,F}', '{1,2}', event_ids => '{$first,$second}')",
	"SELECT es_append_json('order-1', '[{\"type\": \"E\", \"data\": 1}]')",
	"INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'E', '1')",
	"SELECT count(*) FROM es_read_stream('order-1')",
	"SELECT es_stream_version('order-1')",
	"SELECT es_save_snapshot('order-1', 1, '1')",
	"SELECT count(*) FROM es_load_snapshot('order-1')",
	"SELECT es_delete_snapshots('order-1')",
	"SELECT count(*) FROM es_check()",
	"SELECT es_grant('pg_monitor', 'admin')",
	"SELECT es_tenant(), es_version(), es_category('a-b')",
	"UPDATE es_events SET data = '1' WHERE false");

# PostgreSQL itself protects what belongs to an extension; an owner who wants to
# can take it out of there.
my $detach = <<'SQL';
DO $$
DECLARE
	f regprocedure;
BEGIN
	FOR f IN SELECT objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND classid = 'pg_proc'::regclass AND deptype = 'e'
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'event_store')
	LOOP
		EXECUTE format('ALTER EXTENSION event_store DROP FUNCTION %s', f);
	END LOOP;
	ALTER EXTENSION event_store DROP TABLE es_events;
	ALTER EXTENSION event_store DROP TABLE es_snapshots;
	ALTER EXTENSION event_store DROP SEQUENCE es_tx_seq;
END $$;
SQL

# Without the functions whose bodies depend on single columns.
my $without_readers = $detach . <<'SQL';
DO $$
DECLARE
	f text;
BEGIN
	-- One goes with another; the names are those of before.
	FOREACH f IN ARRAY ARRAY(SELECT oid::regprocedure::text FROM pg_proc WHERE proname ~ '^es_' AND prosqlbody IS NOT NULL) LOOP
		EXECUTE format('DROP FUNCTION IF EXISTS %s CASCADE', f);
	END LOOP;
END $$;
SQL
my @damages = (
	"${detach}DROP TABLE es_events CASCADE",
	"${detach}DROP TABLE es_snapshots CASCADE",
	"${detach}DROP SEQUENCE es_tx_seq CASCADE",
	"${detach}DROP FUNCTION es_tenant CASCADE",
	"${detach}DROP FUNCTION es_read_stream",
	"${detach}DROP TABLE es_events CASCADE; CREATE TABLE es_events (a int)",
	"${detach}DROP TABLE es_events CASCADE; CREATE VIEW es_events AS SELECT 'order-1' AS stream_id, 'E' AS event_type, '1'::jsonb AS data",
	"${detach}CREATE TABLE other (LIKE es_events INCLUDING ALL); DROP TABLE es_events CASCADE; ALTER TABLE other RENAME TO es_events",
	"${detach}DROP SEQUENCE es_tx_seq CASCADE; CREATE TABLE es_tx_seq (a int)",
	"${detach}CREATE SCHEMA away; ALTER TABLE es_events SET SCHEMA away",
	$detach,
	"${without_readers}ALTER TABLE es_events DROP COLUMN metadata CASCADE",
	"${without_readers}ALTER TABLE es_events DROP COLUMN ordinal CASCADE",
	"${without_readers}ALTER TABLE es_events DROP COLUMN tenant_id CASCADE",
	"${without_readers}ALTER TABLE es_events DROP COLUMN metadata CASCADE; ALTER TABLE es_events ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}'",
	"${without_readers}ALTER TABLE es_snapshots DROP COLUMN aggregate CASCADE",
	"${without_readers}ALTER TABLE es_events ALTER COLUMN version TYPE int",
	"${without_readers}ALTER TABLE es_events ALTER COLUMN data TYPE text",
	"${without_readers}ALTER TABLE es_events ALTER COLUMN ordinal TYPE bigint",
	"${without_readers}ALTER TABLE es_events ALTER COLUMN event_id TYPE text",
	"${without_readers}ALTER TABLE es_events ALTER COLUMN stream_id TYPE varchar",
	"${without_readers}ALTER TABLE es_snapshots ALTER COLUMN version TYPE int",
	'ALTER TABLE es_events RENAME TO es_old_events',
	'ALTER TABLE es_snapshots RENAME TO es_old_snapshots',
	'ALTER SEQUENCE es_tx_seq RENAME TO es_old_seq',
	'ALTER TABLE es_events RENAME COLUMN data TO payload',
	'ALTER TABLE es_events ADD COLUMN extra int',
	'ALTER TABLE es_events ADD COLUMN extra int NOT NULL DEFAULT 5',
	'ALTER TABLE es_events ADD COLUMN extra int NOT NULL DEFAULT 5; ALTER TABLE es_events ALTER COLUMN extra DROP DEFAULT',
	'ALTER TABLE es_events ADD COLUMN extra text GENERATED ALWAYS AS (upper(event_type)) STORED',
	'ALTER TABLE es_snapshots ADD COLUMN extra int',
	'ALTER TABLE es_events DROP CONSTRAINT es_events_pkey',
	'ALTER TABLE es_events DROP CONSTRAINT es_events_pkey; ALTER TABLE es_events ADD CONSTRAINT es_events_pkey PRIMARY KEY (tx, ordinal)',
	'ALTER TABLE es_events DROP CONSTRAINT es_events_pkey; CREATE INDEX es_events_pkey ON es_events (tenant_id, stream_id, version)',
	'ALTER TABLE es_events DROP CONSTRAINT es_events_pkey; CREATE UNIQUE INDEX es_events_pkey ON es_events (tenant_id, stream_id, version) WHERE version > 100',
	'ALTER TABLE es_events DROP CONSTRAINT es_events_pkey; CREATE UNIQUE INDEX es_events_pkey ON es_events (tenant_id, stream_id, version DESC)',
	'ALTER TABLE es_events DROP CONSTRAINT es_events_pkey; CREATE INDEX es_events_pkey ON es_events USING hash (stream_id)',
	'ALTER TABLE es_events DROP CONSTRAINT es_events_tx_ordinal_key',
	'ALTER TABLE es_events DROP CONSTRAINT es_events_tx_ordinal_key; CREATE UNIQUE INDEX es_events_tx_ordinal_key ON es_events (stream_id, version, tenant_id)',
	'DROP INDEX es_events_event_id_idx',
	'DROP INDEX es_events_event_id_idx; CREATE INDEX es_events_event_id_idx ON es_events (version)',
	'DROP INDEX es_events_event_id_idx; CREATE INDEX es_events_event_id_idx ON es_events USING hash (event_id)',
	"${without_readers}ALTER TABLE es_snapshots DROP CONSTRAINT es_snapshots_pkey",
	"${without_readers}ALTER TABLE es_snapshots DROP CONSTRAINT es_snapshots_pkey; ALTER TABLE es_snapshots ADD CONSTRAINT es_snapshots_pkey PRIMARY KEY (version, stream_id)",
	'ALTER TABLE es_events DISABLE TRIGGER ALL',
	'ALTER TABLE es_events ALTER COLUMN tenant_id DROP DEFAULT',
	'ALTER TABLE es_events SET UNLOGGED',
	'CREATE TABLE child () INHERITS (es_events)',
	'CREATE RULE away AS ON INSERT TO es_events DO INSTEAD NOTHING');
for my $damage (@damages)
{
	my $script = "BEGIN;\nSELECT outcome(\$\$SELECT es_append('order-1', 'Before', '1')\$\$);\n$damage;\n\\echo damaged\n"
	  . join('', map { "SELECT '#' || replace(outcome(\$outcome\$$_\$outcome\$), E'\\n', ' ');\n" } @uses)
	  . "ROLLBACK;\nSELECT outcome(\$\$SELECT es_append('healed-1', 'After', '1')\$\$);\n\\echo end\n";
	my ($ret, $out, $err) = $node->psql($db, "SET client_min_messages = error;\n$script", on_error_stop => 0);
	my @got = $out =~ /^#(.*)$/mg;

	my $name = $damage =~ s/^\Q$without_readers\E/without functions that read; /r =~ s/^\Q$detach\E/detached; /r;
	like($out, qr/^damaged$/m, "damage: $name") or diag $err;
	unless (is(scalar @got, scalar @uses, 'the server is up'))
	{
		diag $err;
		wait_for_server($node);
	}
	is(join("\n", grep { /^(?:XX|P0|58|25P02)/ } @got), '', 'and what is wrong is said, not met by chance');
	like($out, qr/^ok \d+\nend$/m, 'and undone, the same session goes on');
	note map { "    $uses[$_] -> $got[$_]\n" } 0 .. $#got;
}
succeeds($node, $db, "SELECT count(*) FROM es_events WHERE stream_id ~ '^healed'", scalar @damages, 'every session did');
store_is_sound($node, $db, 'the store is sound after all of it');

# The sequence of transaction numbers at its end.
my $last = $node->safe_psql($db, 'SELECT last_value FROM es_tx_seq');
$node->safe_psql($db, "SELECT setval('es_tx_seq', 9223372036854775807)");
fails_with($node, $db, "SELECT es_append('order-1', 'E', '1')", '2200H', 'no transaction number is left');
fails_with($node, $db, "INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'E', '1')", '2200H', 'nor for an INSERT');
$node->safe_psql($db, "SELECT setval('es_tx_seq', $last)");
succeeds($node, $db, "SELECT es_append('sequence-1', 'E', '1')", '1', 'with numbers again appends go on');
store_is_sound($node, $db, 'the store is sound at the end');

# Without the extension.
$node->safe_psql($db, 'DROP EXTENSION event_store');
fails_with($node, $db, "SELECT es_append('order-1', 'E', '1')", '42883', 'without the extension');
fails_with($node, $db, "LOAD 'event_store'; SET event_store.tenant_id = 'a'; SELECT es_append('order-1', 'E', '1')", '42883', 'with the library only');

log_is_clean($node);
$node->stop;
done_testing();
