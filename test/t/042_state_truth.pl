# The truth about states: while clients append, roll back, read and save snapshots,
# while evolve changes, upcasters are registered and snapshots are rebuilt and
# deleted, what es_state says is what the same fold says as a plain SQL aggregate,
# in the same statement; at any version, time and position. And so it is after a
# dump and restore, and on a standby.
#
# ES_ROUNDS (3), ES_WRITERS (3), ES_READS (150) and ES_SEED make it longer, wider, and another one.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds  = $ENV{ES_ROUNDS}  // 3;
my $writers = $ENV{ES_WRITERS} // 3;
my $reads   = $ENV{ES_READS}   // 150;
my $seed    = $ENV{ES_SEED}    // 1;
diag("ES_SEED=$seed ES_ROUNDS=$rounds ES_WRITERS=$writers ES_READS=$reads");

my $node = new_log_node('states', init => { allows_streaming => 'logical' }, conf => <<'CONF');
fsync = off
max_connections = 60
max_wal_senders = 10
max_replication_slots = 10
CONF
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA app;
SET search_path = app, public;

-- Two ways to fold, and the same as aggregate functions; and one with a state of
-- another type.
CREATE FUNCTION evolve(state jsonb, e es_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN jsonb_build_object('n', coalesce((state->>'n')::int, 0) + 1, 'sum', coalesce((state->>'sum')::int, 0) + (e.data->>'x')::int,
                            'last', e.event_type, 'v', e.version, 'hash', md5(coalesce(state->>'hash', '') || e.data::text));
END $$;
CREATE FUNCTION evolve_sql(state jsonb, e es_event) RETURNS jsonb LANGUAGE sql AS $$
  SELECT CASE (e).event_type WHEN 'Reset' THEN (e).data WHEN 'Noted' THEN coalesce(state, '{}')
         ELSE coalesce(state, '{}') || jsonb_build_object((e).event_type, (e).data, 'of', (e).stream_id, 'times', coalesce((state->>'times')::int, 0) + (e).schema_version) END
$$;
CREATE TYPE total AS (n int, sum numeric, types text[]);
CREATE FUNCTION total_step(s total, e es_event) RETURNS total LANGUAGE plpgsql AS $$
BEGIN
  s.n := coalesce(s.n, 0) + 1; s.sum := coalesce(s.sum, 0) + (e.data->>'x')::numeric; s.types := s.types || e.event_type;
  RETURN s;
END $$;
CREATE FUNCTION total_final(s total) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('n', s.n, 'sum', s.sum, 'types', md5(s.types::text)) $$;
CREATE AGGREGATE fold(es_event) (SFUNC = evolve, STYPE = jsonb);
CREATE AGGREGATE fold_sql(es_event) (SFUNC = evolve_sql, STYPE = jsonb);
CREATE AGGREGATE total(es_event) (SFUNC = total_step, STYPE = total, FINALFUNC = total_final);
SELECT es_create_aggregate('plpgsql', 'tally', 'evolve', snapshot_every => 7, keep => 3),
       es_create_aggregate('sql', 'tally', 'evolve_sql', snapshot_every => 5),
       es_create_aggregate('total', 'tally', 'total', snapshot_every => 11, keep => NULL);
SELECT es_create_view('app.sums', $$SELECT stream_id, count(*) AS n, sum((data->>'x')::int) AS sum FROM es_log WHERE event_type <> 'Never' GROUP BY stream_id$$, categories => '{tally}');

CREATE TABLE wrong (who int, what text, stream_id text, got jsonb, wanted jsonb);
CREATE TABLE done (who int, what text, n int);

CREATE FUNCTION random_stream() RETURNS text LANGUAGE sql AS $$ SELECT 'tally-' || floor(random() ^ 3 * 9)::int $$;

-- Appends, of which every sixth is rolled back and done again with the same id.
CREATE PROCEDURE write_randomly(who int, seed float8, n int) LANGUAGE plpgsql AS $$
DECLARE
  stream text;
  id uuid;
BEGIN
  PERFORM setseed(seed);
  FOR i IN 1 .. n LOOP
    stream := random_stream();
    id := gen_random_uuid();
    BEGIN
      PERFORM es_append(stream, (ARRAY['Added', 'Moved', 'Reset', 'Noted'])[1 + floor(random() * 4)::int], jsonb_build_object('x', i, 'by', who, 'try', 1), event_id => id);
      IF random() < 0.4 THEN
        PERFORM es_state(stream, aggregate => 'plpgsql'), es_state(stream, aggregate => 'sql'), es_state(stream, aggregate => 'total');
      END IF;
      IF i % 6 = 0 THEN
        RAISE EXCEPTION 'roll back';
      END IF;
    EXCEPTION WHEN raise_exception THEN
      PERFORM es_append(stream, 'Added', jsonb_build_object('x', i, 'by', who, 'try', 2), event_id => id);
    END;
    IF random() < 0.3 THEN
      PERFORM es_append_batch(stream, '{Added,Moved}', ARRAY['{"x": 1}', '{"x": 2}']::jsonb[]);
    END IF;
    COMMIT;
  END LOOP;
  INSERT INTO app.done VALUES (who, 'writes', n);
END $$;

-- Compares, in one statement. A lock keeps functions and types as they are meanwhile.
CREATE FUNCTION compare(who int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  stream text := random_stream();
  v bigint := 1 + floor(random() * es_stream_version(stream));
  t timestamptz := coalesce((SELECT e.recorded_at FROM es_events e WHERE e.stream_id = stream AND e.version = v), now()) + (random() * 2 - 1) * interval '1 ms';
BEGIN
  WITH problem AS (
    SELECT c.* FROM (
      SELECT 'now ' || a AS what, es_state(stream, aggregate => a) AS got,
             CASE a WHEN 'plpgsql' THEN (SELECT fold(e ORDER BY version) FROM es_read_stream(stream) e)
                    WHEN 'sql' THEN (SELECT fold_sql(e ORDER BY version) FROM es_read_stream(stream) e)
                    ELSE (SELECT total(e ORDER BY version) FROM es_read_stream(stream) e HAVING count(*) > 0) END AS wanted FROM unnest('{plpgsql,sql,total}'::text[]) a
      UNION ALL
      SELECT 'version ' || v, es_state(stream, v, aggregate => 'sql'), (SELECT fold_sql(e ORDER BY version) FROM es_read_stream(stream) e WHERE version <= v)
      UNION ALL
      SELECT 'version total ' || v, es_state(stream, v, aggregate => 'total'), (SELECT total(e ORDER BY version) FROM es_read_stream(stream) e WHERE version <= v HAVING count(*) > 0)
      UNION ALL
      SELECT 'time ' || t, es_state(stream, as_of => t, aggregate => 'plpgsql'), (SELECT fold(e ORDER BY version) FROM es_read_stream(stream, until => t) e)
      UNION ALL
      SELECT 'states', (SELECT jsonb_object_agg(stream_id, state) FROM es_states('tally', 'sql')), (SELECT jsonb_object_agg(stream_id, state) FROM (SELECT stream_id, fold_sql(e ORDER BY version) AS state FROM (SELECT DISTINCT stream_id AS id FROM es_events) s, es_read_stream(id) e WHERE id ~ '^tally' GROUP BY 1) f) WHERE random() < 0.1
      UNION ALL
      SELECT 'history', (SELECT to_jsonb(array_agg(state ORDER BY version)) FROM es_history(stream, v, aggregate => 'plpgsql')), (SELECT to_jsonb(array_agg(s ORDER BY version)) FROM (SELECT version, fold(e) OVER (ORDER BY version ROWS UNBOUNDED PRECEDING) AS s FROM es_read_stream(stream) e) h WHERE version >= v) WHERE random() < 0.2
    ) c WHERE got IS DISTINCT FROM wanted)
  INSERT INTO app.wrong SELECT who, what, stream, got, wanted FROM problem;
  RETURN 1;
END $$;
CREATE PROCEDURE read_randomly(who int, seed float8, n int) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM setseed(seed);
  FOR i IN 1 .. n LOOP
    PERFORM pg_advisory_xact_lock_shared(42);
    COMMIT AND CHAIN;       -- what others have changed is seen from the next transaction on
    IF random() < 0.2 THEN
      PERFORM set_config('event_store.state_cache_size', (ARRAY['0', '2', '4096'])[1 + floor(random() * 3)::int], false);
    END IF;
    PERFORM pg_advisory_xact_lock_shared(42);
    PERFORM compare(who);
    COMMIT;
  END LOOP;
  INSERT INTO app.done VALUES (who, 'reads', n);
END $$;

-- Changes what states depend on.
CREATE PROCEDURE change_randomly(who int, seed float8, n int) LANGUAGE plpgsql AS $$
DECLARE
  what int;
BEGIN
  PERFORM setseed(seed);
  FOR i IN 1 .. n LOOP
    what := floor(random() * 6);
    PERFORM pg_advisory_xact_lock(42);
    CASE what
      WHEN 0 THEN EXECUTE replace(pg_get_functiondef('app.evolve'::regproc), '''sum''', '/* ' || i || ' */ ''sum''');
      WHEN 1 THEN EXECUTE regexp_replace(pg_get_functiondef('app.evolve_sql'::regproc), '''times'', .*schema_version', format('''times'', coalesce((state->>''times'')::int, %s) + (e).schema_version', i));
      WHEN 2 THEN EXECUTE regexp_replace(pg_get_functiondef('app.total_final'::regproc), '''n'', s.n( \+ \d+)?', format('''n'', s.n + %s', i));
      WHEN 3 THEN PERFORM es_rebuild_snapshots((ARRAY['plpgsql', 'sql', 'total'])[1 + floor(random() * 3)::int]);
      WHEN 4 THEN DELETE FROM es_snapshots WHERE random() < 0.5;
      WHEN 5 THEN PERFORM es_alter_aggregate((ARRAY['plpgsql', 'sql', 'total'])[1 + floor(random() * 3)::int], snapshot_every => 2 + floor(random() * 20)::int, keep => floor(random() * 4)::int);
    END CASE;
    COMMIT;
    PERFORM es_wait_for_log('10 s');   -- lets the others come in between
  END LOOP;
  INSERT INTO app.done VALUES (who, 'changes', n);
END $$;
SQL

# Runs statements at the same time, each in a session of its own; dies if one fails.
sub at_once
{
	my ($what, @statements) = @_;
	my @clients = map {
		my $errors = '';
		my $statement = $_;
		{ errors => \$errors, run => IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-v', 'ON_ERROR_STOP=1',
			'-c', 'SET search_path = app, public', '-c', $statement ], '>', \my $out, '2>', \$errors) }
	} @statements;
	my @failed;
	for my $client (@clients)
	{
		$client->{run}->finish;
		push @failed, ${ $client->{errors} } if ${ $client->{errors} } ne '';
	}
	is(join('', @failed), '', "$what: no client met an error or a warning");
}

sub nothing_wrong
{
	my ($what, $database) = @_;
	is($node->safe_psql($database // 'postgres', 'SELECT * FROM app.wrong LIMIT 3'), '', "$what: every state was the true one");
}

for my $round (1 .. $rounds)
{
	my @statements;
	push @statements, sprintf('CALL write_randomly(%d, %f, %d)', $_, ($seed * 0.37 + $round * 0.11 + $_ * 0.017) - int($seed * 0.37 + $round * 0.11 + $_ * 0.017), $reads) for 1 .. $writers;
	push @statements, sprintf('CALL read_randomly(%d, %f, %d)', 10 + $_, 1 / ($seed + $round * 7 + $_), $reads) for 1 .. 3;
	push @statements, sprintf('CALL change_randomly(%d, %f, %d)', 20, 1 / ($seed + $round + 1.5), $reads / 5);
	at_once("round $round", @statements);
	nothing_wrong("round $round");

	# From here on old events are read as something else.
	$node->safe_psql('postgres', <<'SQL') if $round == 1;
SELECT es_register_event_type('Added', 1), es_register_event_type('Added', 2, upcaster => $$data || jsonb_build_object('x', (data->>'x')::int * 2)$$);
SQL
	$node->safe_psql('postgres', <<'SQL') if $round == 2;
SELECT es_register_event_type('Moved', 1), es_register_event_type('Moved', 2,
  upcaster => $$ARRAY[('Left', 1, data), ('Entered', 1, data || '{"x": 100}')]::es_upcast_event[]$$);
SQL
}
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM es_snapshots WHERE definition IS NOT NULL'), '>', 5, 'snapshots were saved');
is($node->safe_psql('postgres', 'SELECT sum(n) FROM app.done'), $rounds * ($writers * $reads + 3 * $reads + int($reads / 5)), 'everybody has done his work');

# ---------------------------------------------------------------------------
# Positions, and projections.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', "SELECT es_wait_for_log()");
is($node->safe_psql('postgres', <<'SQL'), '0', 'states at positions');
SET search_path = app, public;
SELECT count(*) FROM generate_series(0, es_head_position() + 1, greatest(es_head_position() / 40, 1)) p, generate_series(0, 8) s
 WHERE es_state('tally-' || s, at_position => p, aggregate => 'plpgsql')
       IS DISTINCT FROM (SELECT fold(e ORDER BY version) FROM es_read_stream('tally-' || s) e WHERE es_position(e.stream_id, e.version) <= p);
SQL
is($node->safe_psql('postgres', <<'SQL'), '0', 'states of a category at positions');
SET search_path = app, public;
SELECT count(*) FROM generate_series(0, es_head_position() + 1, greatest(es_head_position() / 10, 1)) p
 WHERE (SELECT jsonb_object_agg(stream_id, state) FROM es_states('tally', 'sql', at_position => p))
       IS DISTINCT FROM (SELECT jsonb_object_agg('tally-' || s, state) FROM generate_series(0, 8) s, LATERAL (SELECT es_state('tally-' || s, at_position => p, aggregate => 'sql') AS state, es_state('tally-' || s, at_position => p, aggregate => 'plpgsql') AS plain) x WHERE plain IS NOT NULL);
SQL
$node->safe_psql('postgres', "SET search_path = app, public; SELECT es_rebuild('app.sums')");
is($node->safe_psql('postgres', <<'SQL'), '', 'a projection says the same');
SET search_path = app, public;
SELECT stream_id, v.n, s.state, v.sum FROM es_states('tally', 'plpgsql') s FULL JOIN app.sums v USING (stream_id)
 WHERE ((s.state->>'n')::int, (s.state->>'sum')::int) IS DISTINCT FROM (v.n, v.sum);
SQL
store_is_sound($node, 'postgres', 'the store is sound');

# ---------------------------------------------------------------------------
# A standby reads; it saves nothing.
# ---------------------------------------------------------------------------
my $all = <<'SQL';
SET search_path = app, public;
SELECT md5(string_agg(concat(s, es_state('tally-' || s, aggregate => 'plpgsql'), es_state('tally-' || s, aggregate => 'sql'), es_state('tally-' || s, aggregate => 'total')), ',')) FROM generate_series(0, 9) s;
SQL
$node->safe_psql('postgres', 'DELETE FROM es_snapshots WHERE random() < 0.3');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $truth = $node->safe_psql('postgres', $all);
$node->wait_for_catchup($standby, 'replay', $node->lsn('write'));
my ($code, $out, $errors) = $standby->psql('postgres', $all);
is($out, $truth, 'a standby has the same states');
is($errors, '', 'without a word');
$standby->stop;

# ---------------------------------------------------------------------------
# A dump keeps snapshots that can be used.
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', <<'SQL');
SET search_path = app, public;
SELECT es_rebuild_snapshots('plpgsql') + es_rebuild_snapshots('sql') + es_rebuild_snapshots('total') > 0;
SQL
$truth = $node->safe_psql('postgres', $all);
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
is($node->safe_psql('restored', $all), $truth, 'the same states after a restore');
my $list = "SELECT md5(string_agg(concat_ws(',', s.*), ';' ORDER BY stream_id, aggregate, version)) FROM es_snapshots s";
is($node->safe_psql('restored', $list), $node->safe_psql('postgres', $list), 'no snapshot was made anew');
is($node->safe_psql('restored', <<'SQL'), 't', 'snapshots are used after a restore');
UPDATE es_snapshots SET state = '{"n": -1}' WHERE aggregate = 'plpgsql';
SELECT count(*) = count(*) FILTER (WHERE (es_state(stream_id, aggregate => 'plpgsql')->>'n')::int = -1) AND count(*) > 0 FROM es_snapshots s WHERE aggregate = 'plpgsql' AND version = es_stream_version(stream_id);
SQL
log_is_clean($node);
done_testing();
