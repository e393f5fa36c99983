# Retried appends. The fourteen sequences are those that KurrentDB's client tests
# go through: events are appended with ids, then some of them again, wholly,
# partly, out of order, at an explicit version or at any.
#
# The notation is KurrentDB's: "0em1" is event 0, expecting no stream ("em1",
# minus one), "1e0" is event 1 expecting event 0 to be the last, "1any" is event 1
# at any version; S ... E is one batch. KurrentDB numbers the events of a stream
# from 0, this store from 1, with 0 for a stream that is not there: em1 is
# expected version 0, e0 is 1, and so on.

use strict;
use warnings;

use EventStoreTest;
use Test::More;

my $node = new_node('idempotency');
$node->safe_psql('postgres', 'CREATE EXTENSION event_store');
install_outcome_function($node, 'postgres');

my $six = '0em1 1e0 2e1 3e2 4e3 5e4';

# Each sequence: the events that go in first, then the last call with what it
# gets, and how many events the stream has after it.
my @sequences = (
	[ 'sequence_0em1_1e0_2e1_3e2_4e3_5e4_0em1_idempotent',       $six,         '0em1' => 'ok 1',  6 ],
	[ 'sequence_0em1_1e0_2e1_3e2_4e3_4e4_0any_idempotent',       $six,         '0any' => 'ok 1',  6 ],
	# An event id is unique within its stream here, so that a retry can be told from a
	# new event for as long as the stream lives: KurrentDB would append event 0 again.
	[ 'sequence_0em1_1e0_2e1_3e2_4e3_5e4_0e5_non_idempotent',    $six,         '0e5'  => 'PE002', 6 ],
	[ 'sequence_0em1_1e0_2e1_3e2_4e3_5e4_0e6_wev',               $six,         '0e6'  => 'PE001', 6 ],
	[ 'sequence_0em1_1e0_2e1_3e2_4e3_5e4_0e4_wev',               $six,         '0e4'  => 'PE001', 6 ],
	# The same difference: KurrentDB would append event 0 again.
	[ 'sequence_0em1_0e0_non_idempotent',                        '0em1',       '0e0'  => 'PE002', 1 ],
	[ 'sequence_0em1_0any_idempotent',                           '0em1',       '0any' => 'ok 1',  1 ],
	[ 'sequence_0em1_0em1_idempotent',                           '0em1',       '0em1' => 'ok 1',  1 ],
	[ 'sequence_0em1_1e0_2e1_1any_1any_idempotent',              '0em1 1e0 2e1 1any', '1any' => 'ok 2', 3 ],
	[ 'sequence_S_0em1_1em1_E_S_0em1_E_idempotent',              'S0,1em1',    'S0em1'     => 'ok 1',  2 ],
	[ 'sequence_S_0em1_1em1_E_S_0any_E_idempotent',              'S0,1em1',    'S0any'     => 'ok 1',  2 ],
	[ 'sequence_S_0em1_1em1_E_S_1e0_E_idempotent',               'S0,1em1',    'S1e0'      => 'ok 2',  2 ],
	[ 'sequence_S_0em1_1em1_E_S_1any_E_idempotent',              'S0,1em1',    'S1any'     => 'ok 2',  2 ],
	# KurrentDB says wrong version; here it is told that only some of the ids are known.
	[ 'sequence_S_0em1_1em1_E_S_0em1_1em1_2em1_E_idempotancy_fail', 'S0,1em1', 'S0,1,2em1' => 'PE002', 2 ],

	# Beyond KurrentDB's: whole batches, parts and orders.
	[ 'the whole batch again at its version',                    'S0,1em1 S2,3e1', 'S2,3e1'   => 'ok 4',  4 ],
	[ 'the whole batch again at any',                            'S0,1em1 S2,3e1', 'S0,1any'  => 'ok 2',  4 ],
	[ 'a run across two batches at any',                         'S0,1em1 S2,3e1', 'S1,2any'  => 'ok 3',  4 ],
	[ 'a run across two batches at its version',                 'S0,1em1 S2,3e1', 'S1,2e0'   => 'ok 3',  4 ],
	[ 'everything again',                                        'S0,1em1 S2,3e1', 'S0,1,2,3em1' => 'ok 4', 4 ],
	[ 'everything again where a stream must exist',              'S0,1em1 S2,3e1', 'S0,1,2,3exists' => 'ok 4', 4 ],
	[ 'in another order at any',                                 'S0,1,2em1',      'S1,0any'  => 'PE002', 3 ],
	# None of them is where it would have to be: that is a wrong version before it is a reused id.
	[ 'in another order at its version',                         'S0,1,2em1',      'S1,0em1'  => 'PE001', 3 ],
	[ 'with a gap at any',                                       'S0,1,2em1',      'S0,2any'  => 'PE002', 3 ],
	[ 'the last one known and one more at any',                  'S0,1em1',        'S1,2any'  => 'PE002', 2 ],
	[ 'one more and a known one at any',                         'S0,1em1',        'S2,0any'  => 'PE002', 2 ],
	[ 'the last one known and one more at its version',          'S0,1em1',        'S1,2e0'   => 'PE002', 2 ],
	[ 'known ones at the head',                                  'S0,1em1',        'S0,1e1'   => 'PE002', 2 ],
	[ 'known ones at a version between',                         'S0,1,2,3em1',    'S0,1e1'   => 'PE001', 4 ],
	[ 'new ones at an old version',                              'S0,1,2,3em1',    'S4,5e1'   => 'PE001', 4 ],
	[ 'known ones at a version beyond',                          'S0,1em1',        'S0,1e7'   => 'PE001', 2 ],
	[ 'one id twice in a call',                                  '',               'S0,0any'  => 'PE002', 0 ],
	[ 'one known id twice in a call',                            '0em1',           'S0,0any'  => 'PE002', 1 ],
	[ 'with another type',                                       '0em1',           '0any:type'  => 'PE002', 1 ],
	[ 'with other data',                                         '0em1',           '0any:data'  => 'PE002', 1 ],
	[ 'with another schema version',                             '0em1',           '0any:schema_version' => 'PE002', 1 ],
	[ 'with other data at its version',                          '0em1',           '0em1:data'  => 'PE002', 1 ],
	[ 'with other metadata, as a retry has another trace',       '0em1',           '0any:metadata' => 'ok 1', 1 ],
	[ 'with the data written in another way',                    '0em1',           '0any:spelling' => 'ok 1', 1 ],
	[ 'one of a batch with other data',                          'S0,1em1',        'S0,1any:data'  => 'PE002', 2 ],
	[ 'a single append of what a batch brought',                 'S0,1em1',        '1any'     => 'ok 2',  2 ],
	[ 'a batch of what single appends brought',                  '0em1 1e0',       'S0,1em1'  => 'ok 2',  2 ]);

sub id_of
{
	my ($number, $stream) = @_;

	# The same in every stream: ids are unique in a stream only.
	return sprintf('00000000-0000-4000-8000-%012d', $number);
}

# The SQL of one step: a batch or not, the events, the expected version, and what
# is different from the first time.
sub step
{
	my ($step, $stream, $way) = @_;
	my ($batch, $events, $at, $other) = $step =~ /^(S?)([\d,]+?)(em1|e\d+|any|exists)(?::(\w+))?$/
	  or die "what is $step?";
	my $expected =
	    $at eq 'any'    ? 'NULL'
	  : $at eq 'exists' ? -1
	  : $at eq 'em1'    ? 0
	  :                   substr($at, 1) + 1;
	my @numbers = split /,/, $events;
	$other //= '';

	my @types = map { $other eq 'type' ? 'Other' : "Event$_" } @numbers;
	my @data  = map {
		    $other eq 'spelling'                 ? "{ \"b\":[1 ,2.0],\"number\" : $_ }"
		  : $other eq 'data' && $_ == $numbers[-1] ? '"other"'
		  :                                          "{\"number\": $_, \"b\": [1, 2.0]}"
	} @numbers;
	my $metadata = $other eq 'metadata'       ? '{"traceparent": "00-1"}' : '{}';
	my $schema   = $other eq 'schema_version' ? 2                         : 1;
	my @ids      = map { id_of($_) } @numbers;
	my $list     = sub { 'ARRAY[' . join(', ', map { "'$_'" } @{ $_[0] }) . "]::$_[1]" };

	return "SELECT es_append('$stream', '$types[0]', '$data[0]', '$metadata', $expected, '$ids[0]', $schema)"
	  if !$batch;
	return "SELECT es_append_json('$stream', '["
	  . join(', ', map { qq({"type": "$types[$_]", "data": $data[$_], "metadata": $metadata, "id": "$ids[$_]", "schema_version": $schema}) } 0 .. $#ids)
	  . "]', $expected)"
	  if $way eq 'json';
	return "SELECT es_append_batch('$stream', " . $list->(\@types, 'text[]') . ', ' . $list->(\@data, 'jsonb[]') . ', '
	  . $list->([ ($metadata) x @ids ], 'jsonb[]') . ", $expected, " . $list->(\@ids, 'uuid[]') . ', '
	  . $list->([ ($schema) x @ids ], 'int[]') . ')';
}

# Every sequence with batches as arrays and as JSON, each call in a transaction of
# its own, and all calls in one.
my $number = 0;
for my $way ('arrays', 'json')
{
	for my $sequence (@sequences)
	{
		my ($name, $before, $last, $expected, $count) = @$sequence;

		for my $transactions ('many', 'one')
		{
			my $stream = 'retried-' . ++$number;
			my @steps  = map { step($_, $stream, $way) } split(/ /, $before), $last;
			my $sql    = join(";\n", map { 'SELECT outcome($outcome$' . $_ . '$outcome$)' } @steps);

			$sql = "BEGIN;\n$sql;\nCOMMIT" if $transactions eq 'one';
			my @got = split /\n/, $node->safe_psql('postgres', $sql);
			my $got = pop @got;
			my $ok  = like($got, qr/^$expected\b/, "$name ($way, $transactions)");

			$ok &= is(scalar(grep { !/^ok/ } @got), 0, '... the first appends went through');
			$ok &= is($node->safe_psql('postgres', "SELECT es_stream_version('$stream'), count(*) FROM es_events WHERE stream_id = '$stream'"),
				"$count|$count", '... and the stream has its events once');
			diag $sql unless $ok;
		}
	}
}
store_is_sound($node, 'postgres', 'the store is sound');

# Without ids there is nothing to recognise a retry by.
succeeds($node, 'postgres', <<'SQL', "1\n2", 'without ids the same content is another event');
SELECT es_append('anonymous-1', 'E', '1');
SELECT es_append('anonymous-1', 'E', '1');
SQL

# A retry that finds its events writes nothing: no transaction number, no row.
my $before = $node->safe_psql('postgres', 'SELECT last_value, is_called FROM es_tx_seq');
$node->safe_psql('postgres', step('0any', 'retried-1', 'arrays'));
is($node->safe_psql('postgres', 'SELECT last_value, is_called FROM es_tx_seq'), $before, 'a retry takes no transaction number');

# A retry among other appends of one transaction leaves no gap in the ordinals.
$node->safe_psql('postgres', 'BEGIN; ' . step('0any', 'retried-1', 'arrays') . "; SELECT es_append('mixed-1', 'E', '1'); "
	  . step('0any', 'retried-1', 'arrays') . "; SELECT es_append('mixed-1', 'E', '1'); COMMIT");
store_is_sound($node, 'postgres', 'retries among other appends: the store is sound');

# In a long stream, where the event lies far behind the head.
$node->safe_psql('postgres', "SELECT es_append_batch('long-1', array_fill('E'::text, ARRAY[20000]), array_fill('1'::jsonb, ARRAY[20000]),"
	  . " event_ids => ARRAY(SELECT md5(i::text)::uuid FROM generate_series(1, 20000) i))");
succeeds($node, 'postgres', "SELECT es_append('long-1', 'E', '1', event_id => md5('7')::uuid)", '7', 'a retry far behind the head');
succeeds($node, 'postgres', "SELECT es_append_batch('long-1', '{E,E,E}', '{1,1,1}', event_ids => ARRAY[md5('777')::uuid, md5('778')::uuid, md5('779')::uuid])",
	'779', 'a retried batch far behind the head');

# In another tenant the same ids are new.
succeeds($node, 'postgres', "SET event_store.tenant_id = 'other'; " . step('0em1', 'retried-1', 'arrays'), '1', 'in another tenant the id is new');
store_is_sound($node, 'postgres', 'the store is sound at the end');

log_is_clean($node);
$node->stop;
done_testing();
