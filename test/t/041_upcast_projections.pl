# Projections read events as what their types have become: renamed, split, upcast
# by several steps. An event that is split is still one event of a batch, and one
# that cannot be upcast is dealt with by the policy of each projection.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $db   = 'postgres';
my $node = new_log_node('main', conf => <<'CONF');
event_store.projection_retry_time = 10ms
event_store.projection_max_retries = 1
event_store.projection_batch_size = 5
CONF

sub value
{
	my ($sql) = @_;
	return $node->safe_psql($db, $sql);
}

sub state_becomes
{
	my ($name, $state) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until($db, "SELECT state FROM es_projections WHERE name = '$name'", $state), "$name is $state");
}

sub catches_up
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	projections_are_caught_up($node, $db, "$_ has caught up", $_) for @_;
	return;
}

# As clients append that know nothing of newer versions.
sub append
{
	my ($from, $to) = @_;
	value("SELECT es_append(stream, type, jsonb_build_object('n', i))
	         FROM (SELECT i, (ARRAY['order-', 'cart-', 'cart-'])[i % 3 + 1] || i % 4 AS stream,
	                      (ARRAY['Created', 'Bundle', 'Old', 'Item', 'Other', 'Bundle'])[i % 6 + 1] AS type
	                 FROM generate_series($from, $to) i ORDER BY i) e");
	return log_is_caught_up($node, $db, "events $from to $to have their positions");
}

# What each of them must have, from the log as it is read.
my %truth = (
	by_type => 'SELECT event_type, count(*) AS n, sum((data->>\'n\')::int) AS sum FROM es_log GROUP BY 1',
	in_order =>
	  'SELECT stream_id, array_agg(event_type || coalesce(data->>\'part\', \'\') ORDER BY position, piece) AS types, (array_agg(event_type || coalesce(data->>\'part\', \'\') ORDER BY position DESC, piece DESC))[1] AS last FROM es_log GROUP BY 1',
	items     => 'SELECT stream_id, count(*) AS n FROM es_log WHERE event_type = \'Item\' GROUP BY 1',
	seen      => 'SELECT position, piece, event_type, data->>\'n\' AS n FROM es_log',
	half      => 'SELECT position, piece, event_type FROM es_log WHERE event_type IN (\'Item\', \'New\')',
	fresh     => 'SELECT count(*) AS n FROM es_log',
	at_once   => 'SELECT event_type, count(*) AS n FROM es_log GROUP BY 1',
	called    => 'SELECT tenant_id, stream_id, version, event_type, data FROM es_log',
	both_part => 'SELECT stream_id, count(*) AS n FROM es_log GROUP BY 1');

sub is_true
{
	my ($name, $where) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $truth = "SELECT * FROM ($truth{$name}) t" . (defined $where ? " WHERE $where" : '');
	is(value("(TABLE $name EXCEPT ALL $truth) UNION ALL ($truth EXCEPT ALL TABLE $name) LIMIT 5"), '', "$name has what the log says");
	return;
}

sub all_are_true
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	catches_up(sort grep { $_ ne 'fresh' } keys %truth);
	value('SELECT es_wait(\'fresh\', \'60 s\')');
	is_true($_) for sort keys %truth;
	is(value('SELECT string_agg(DISTINCT name, \',\') FROM es_projections p WHERE p.mode = \'async\' AND p.position <> es_head_position()'), '', 'all checkpoints are at the end of the log');
	return;
}

# ---------------------------------------------------------------------------
# All kinds, from before there is an upcaster.
# ---------------------------------------------------------------------------

value(<<'SQL');
CREATE TABLE seen (position bigint, piece bigint, event_type text, n text, PRIMARY KEY (position, piece));
CREATE TABLE half (position bigint, piece bigint, event_type text, PRIMARY KEY (position, piece));
CREATE TABLE called (tenant_id text, stream_id text, version bigint, event_type text, data jsonb);
CREATE MATERIALIZED VIEW fresh AS SELECT count(*) AS n FROM es_log;
CREATE FUNCTION call(e es_event) RETURNS void LANGUAGE sql AS 'INSERT INTO called VALUES (e.tenant_id, e.stream_id, e.version, e.event_type, e.data)';
SELECT es_create_view('by_type', 'SELECT event_type, count(*) AS n, sum((data->>''n'')::int) AS sum FROM es_log GROUP BY 1');
SELECT es_create_view('in_order', 'SELECT stream_id, array_agg(event_type || coalesce(data->>''part'', '''')) AS types, es_last(event_type || coalesce(data->>''part'', '''')) AS last FROM es_log GROUP BY 1');
SELECT es_create_view('items', 'SELECT stream_id, count(*) AS n FROM es_log GROUP BY 1', event_types => '{Item}');
SELECT es_create_view('both_part', 'SELECT stream_id, count(*) AS n FROM es_log GROUP BY 1', partitions => 3);
SELECT es_create_view('at_once', 'SELECT event_type, count(*) AS n FROM es_log GROUP BY 1', mode => 'inline');
SELECT es_create_projection('seen', 'INSERT INTO seen SELECT position, piece, event_type, data->>''n'' FROM es_log', tables => '{seen}', batch_size => 1);
SELECT es_create_projection('half', handlers => '{"Item": "INSERT INTO half VALUES (position, piece, event_type)", "New": "INSERT INTO half VALUES (event.position, event.piece, ''New'')"}', partitions => 2, tables => '{half}');
SELECT es_create_projection('called', handlers => '{"*": "call"}', tables => '{called}');
SELECT es_create_projection('fresh', refresh => 'fresh', refresh_every => '1 ms');
SQL
append(1, 40);
all_are_true();

# ---------------------------------------------------------------------------
# What is in a read model does not change; es_verify shows it, es_rebuild brings
# it.
# ---------------------------------------------------------------------------

value(<<'SQL');
SELECT es_register_event_type('Created', 2, upcaster => $$data || '{"two": 2}'$$);
SELECT es_register_event_type('Created', 3, upcaster => $$data || jsonb_build_object('three', schema_version)$$);
SELECT es_register_event_type('Old', 2, upcaster => $$es_upcast_to('New', 1, data)$$);
SELECT es_register_event_type('Bundle', 2, upcaster => $$ARRAY[es_upcast_to('Item', 1, data || '{"part": 1}'), es_upcast_to('Old', 1, data || '{"part": 2}'), es_upcast_to('Item', 1, data || '{"part": 3}')]$$);
SQL
is(value('SELECT string_agg(event_type, \',\' ORDER BY event_type) FROM by_type'), 'Bundle,Created,Item,Old,Other', 'a read model stays as it is');
is( value('SELECT string_agg(difference || \' \' || (coalesce(expected, actual)->>\'event_type\'), \',\' ORDER BY coalesce(expected, actual)->>\'event_type\') FROM es_verify(\'by_type\')'),
	'unexpected Bundle,different Item,missing New,unexpected Old',
	'es_verify shows what it would be');
value("SELECT es_rebuild('$_')") for qw(by_type in_order items both_part at_once seen half called fresh);
is(value("SELECT count(*) FROM es_verify('$_')"), '0', "$_ is verified after its rebuild") for qw(by_type in_order items both_part at_once);
all_are_true();

# ---------------------------------------------------------------------------
# Batches of old events, cut anywhere; several workers.
# ---------------------------------------------------------------------------

append(41, 120);
all_are_true();
is(value("SELECT count(*) FROM es_verify('$_')"), '0', "$_ is verified") for qw(by_type in_order items both_part at_once);
# A view that is far behind reads the log at once.
value("SELECT es_pause_projection(name) FROM es_projections WHERE mode = 'async'");
append(121, 400);
value("SELECT es_resume_projection(name) FROM es_projections WHERE mode = 'async'");
all_are_true();
# From the beginning, batch by batch: order within an event is kept.
value(<<'SQL');
SELECT es_create_view('in_order_2', 'SELECT stream_id, array_agg(event_type || coalesce(data->>''part'', '''')) AS types, es_last(event_type || coalesce(data->>''part'', '''')) AS last FROM es_log GROUP BY 1');
SELECT es_create_view('strings', 'SELECT left(stream_id, 1) AS s, string_agg(coalesce(data->>''part'', ''-''), '''') AS parts, es_first(data->>''part'') AS first FROM es_log GROUP BY 1', event_types => '{Item,New}');
SQL
is(value('SELECT count(*) FROM (TABLE in_order EXCEPT ALL TABLE in_order_2) d'), '0', 'a view made at once has the order of the one that was kept');
append(401, 430);
catches_up(qw(in_order in_order_2 strings));
is(value('SELECT count(*) FROM (TABLE in_order EXCEPT ALL TABLE in_order_2) d'), '0', 'and keeps it');
is( value('SELECT count(*) FROM strings s WHERE ROW(parts, first)::text IS DISTINCT FROM (SELECT ROW(string_agg(coalesce(data->>\'part\', \'-\'), \'\' ORDER BY position, piece), (array_agg(data->>\'part\' ORDER BY position, piece) FILTER (WHERE data->>\'part\' IS NOT NULL))[1])::text
			FROM es_log l WHERE left(l.stream_id, 1) = s.s AND event_type IN (\'Item\', \'New\'))'),
	'0', 'strings keep the order of the pieces');

# ---------------------------------------------------------------------------
# One that cannot be upcast.
# ---------------------------------------------------------------------------

value(<<'SQL');
SELECT es_drop_projection(name) FROM es_projections WHERE name NOT IN ('by_type', 'seen', 'items');
SELECT es_alter_projection('by_type', on_error => 'skip');
SELECT es_alter_projection('items', on_error => 'skip');
CREATE TABLE kept (position bigint, piece bigint, PRIMARY KEY (position, piece));
SELECT es_create_projection('kept', handlers => '{"*": "INSERT INTO kept VALUES (position, piece)"}', on_error => 'skip', batch_size => 50, partitions => 2);
CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n FROM es_events;
SELECT es_create_projection('sums', refresh => 'sums', refresh_every => '1 ms', event_types => '{Item}');
SELECT es_register_event_type('Poison', 2, upcaster => $$data || jsonb_build_object('quotient', 10 / (data->>'n')::int)$$);
SELECT es_append_batch('bad-1', '{Other,Poison,Poison,Other,Poison}', ARRAY['{"n": 1}', '{"n": 5}', '{"n": 0}', '{"n": 1}', '{"n": 0}']::jsonb[]);
SELECT es_append_batch('good-1', '{Other,Bundle}', ARRAY['{"n": 1}', '{"n": 5}']::jsonb[]);
SQL
log_is_caught_up($node, $db, 'all events have their positions');
catches_up(qw(by_type kept items));
state_becomes('seen', 'failed');
is( value('SELECT last_error, last_error_code, failed_position = es_position(\'bad-1\', 3) FROM es_projections WHERE name = \'seen\''),
	'division by zero|22012|t', 'the one that stops shows the error of the upcaster, and where');
like(
	value('SELECT error_context FROM es_projection_failures'),
	qr/^upcaster of event type "Poison" to version 2\nevent 3 of stream "bad-1" at position \d+\nprojection "seen"/m,
	'with the type, the event and the projection');
is(value('SELECT count(*), count(*) FILTER (WHERE position >= es_position(\'bad-1\', 3)) FROM seen WHERE position > 430'), '2|0', 'events before it are applied, and none behind it');
is( value('SELECT p.name, string_agg(l.stream_id || l.version || l.event_type || l.error_code, \' \' ORDER BY l.position) FROM es_dead_letters l JOIN es_projections p ON p.id = l.projection_id GROUP BY 1 ORDER BY 1'),
	join("\n", map { "$_|bad-13Poison22012 bad-15Poison22012" } qw(by_type kept)),
	'those that skip have set just these aside, as they are stored; who takes other types does not mind');
is(value('SELECT count(*), count(DISTINCT position) FROM kept WHERE position > 430'), '7|5', 'all others are applied');
is(value('SELECT event_type, n FROM by_type WHERE event_type = \'Poison\''), 'Poison|1', 'by the view, too');
is(value("SELECT count(*) FROM es_verify('$_')"), '0', "es_verify leaves them out of $_") for qw(by_type items);
value("SELECT es_rebuild('by_type'), es_rebuild('items')");
is(value("SELECT count(*) FROM es_verify('$_')"), '0', "es_rebuild does, too: $_") for qw(by_type items);
fails_with($node, $db, "SELECT es_rebuild('seen')", '22012', 'one that is to stop cannot be rebuilt');
fails_with($node, $db, 'SELECT count(*) FROM es_log', '22012', 'the log cannot be read as a whole');
succeeds($node, $db, 'SELECT count(*) FROM es_log WHERE stream_id <> \'bad-1\' AND event_type = \'Item\'', value('SELECT sum(n) FROM items WHERE stream_id <> \'bad-1\''), 'but without them');
is(value('SELECT es_retry_dead_letters(\'kept\')'), '0', 'trying again does not help');
is(value('SELECT string_agg(DISTINCT l.attempts::text, \',\') FROM es_dead_letters l JOIN es_projections p ON p.id = l.projection_id WHERE p.name = \'kept\''), '2', 'and is counted');

# A view that is made later meets them in a range of the log.
fails_with($node, $db, "SELECT es_create_view('late', 'SELECT count(*) AS n FROM es_log', on_error => 'skip')", '22012', 'a view that is to be made now is told');
value("SELECT es_create_view('late', 'SELECT count(*) AS n FROM es_log', on_error => 'skip', after_position => NULL); SELECT es_pause_projection('late')");
append(431, 470);
value("SELECT es_append('bad-2', 'Poison', '{\"n\": 0}')");
append(471, 500);
value("SELECT es_resume_projection('late')");
catches_up('late');
is( value('SELECT n - (SELECT count(*) FROM es_log l WHERE l.position > 437 AND l.stream_id <> \'bad-2\') FROM late'),
	'0', 'a view that is behind sets aside only the bad one');
is(value('SELECT count(*) FROM es_verify(\'late\')'), '0', 'and is right');

# Inline: the error is the appender's.
value("SELECT es_create_projection('now', 'INSERT INTO kept SELECT -1, 1 FROM es_log WHERE false', mode => 'inline', after_position => NULL)");
fails_with($node, $db, "SELECT es_append('bad-3', 'Poison', '{\"n\": 0}')", '22012', 'an inline projection fails the append');
succeeds($node, $db, "SELECT es_append('bad-3', 'Poison', '{\"n\": 2}')", '1', 'of the bad event only');
value("SELECT es_drop_projection('now')");

# With the upcaster mended, all of them are applied.
value(q{SELECT es_alter_event_type('Poison', 2, upcaster => $$data || jsonb_build_object('quotient', 10 / nullif((data->>'n')::int, 0))$$)});
is(value("SELECT es_retry_dead_letters('$_')"), $_ eq 'late' ? '1' : '3', "dead letters of $_ can be tried again") for qw(kept by_type late);
value("SELECT es_resume_projection('seen')");
catches_up(qw(seen by_type items kept late));
is(value('SELECT count(*) FROM es_dead_letters'), '0', 'no dead letters are left');
is_true($_) for qw(seen by_type items);
is(value('SELECT count(DISTINCT position), count(*) FROM kept'), value('SELECT es_head_position(), (SELECT count(*) FROM es_log)'), 'each event is applied once');
is(value("SELECT count(*) FROM es_verify('$_')"), '0', "$_ is right") for qw(by_type items late);
state_becomes('sums', 'waiting');

is(value('SELECT count(*) FROM es_check()'), '0', 'the store is sound');
log_is_clean($node);
$node->stop;
done_testing();
