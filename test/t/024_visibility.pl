# Whoever sees that a position is given sees its event. The ledger is written by
# another process than the events, and a commit is in the WAL before it is visible:
# readers look while writers commit, and must never see a row of the ledger without
# its events, nor a log with a hole, nor one that is shorter than it was.
#
# ES_READS: how many reads (12,000; `make torture` does 100,000).

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $reads   = $ENV{ES_READS} // 12000;
my $dir     = PostgreSQL::Test::Utils::tempdir;
my $writers = 8;
my $readers = 4;
my $node    = new_log_node('visibility');

$node->safe_psql('postgres', <<'SQL');
-- Rows of the ledger, of the newest, without their events: in one snapshot, the
-- ledger first.
CREATE FUNCTION ledger_without_events() RETURNS bigint LANGUAGE sql VOLATILE AS $$
	SELECT count(*)
	FROM (SELECT x.* FROM (SELECT first_position, entries FROM es_commits ORDER BY first_position DESC LIMIT 3) c,
			LATERAL es_commit_entries(c.first_position, c.entries) x
		ORDER BY x.position DESC LIMIT 30) x
	WHERE (SELECT count(*) FROM es_events e WHERE e.tx = x.tx) <> x.events;
$$;

CREATE PROCEDURE look(reads int) LANGUAGE plpgsql AS $$
DECLARE
	checkpoint bigint := es_head_position();
	head bigint;
	n bigint;
	lowest bigint;
	highest bigint;
	different bigint;
	ordered boolean;
	missing bigint;
	found bigint := 0;
BEGIN
	FOR i IN 1 .. reads LOOP
		-- A reader that goes on from its checkpoint.
		SELECT count(*), min(position), max(position), count(DISTINCT position), coalesce(bool_and(position = checkpoint + number), true)
			INTO n, lowest, highest, different, ordered
			FROM es_read_all(checkpoint, 200) WITH ORDINALITY r(position, a, b, c, d, e, f, g, h, j, number);
		IF NOT ordered OR different <> n OR n > 0 AND (lowest <> checkpoint + 1 OR highest <> checkpoint + n) THEN
			RAISE 'read % events from % to % behind %', n, lowest, highest, checkpoint;
		END IF;
		checkpoint := checkpoint + n;
		found := found + n;
		COMMIT;

		missing := ledger_without_events();
		IF missing > 0 THEN
			RAISE '% transactions of the ledger without their events', missing;
		END IF;
		COMMIT;

		-- The end of the log.
		head := es_head_position();
		SELECT count(*), max(position) INTO n, highest FROM es_log WHERE position > head - 20;
		IF highest < head OR head > 20 AND n <> highest - (head - 20) THEN
			RAISE 'the log ends with % events to %, the head was %', n, highest, head;
		END IF;
		IF head < checkpoint THEN
			RAISE 'the head went back from % to %', checkpoint, head;
		END IF;
		COMMIT;

		-- Whoever reads far behind is brought to the end.
		IF checkpoint < head - 5000 THEN
			checkpoint := head;
		END IF;
	END LOOP;
	RAISE NOTICE 'found %', found;
END $$;
SQL
log_is_caught_up($node, 'postgres', 'there is a sequencer');

# Writers that append until they are told to stop: one event, some, several streams,
# synchronously or not.
my @running;
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE stop ();
CREATE PROCEDURE write(number int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('synchronous_commit', CASE WHEN number % 2 = 0 THEN 'on' ELSE 'off' END, false);
	PERFORM set_config('statement_timeout', '0', false);
	LOOP
		PERFORM es_append('writer-' || number, 'One', '1');
		COMMIT;
		PERFORM es_append('all-' || number % 2, 'Two', '2');
		PERFORM es_append_batch('writer-' || number, '{A,B,C}', '{1,2,3}');
		COMMIT;
		PERFORM es_append('rolled-back', 'Gone', '1');
		ROLLBACK;
		IF to_regclass('stop') IS NULL THEN
			RETURN;
		END IF;
	END LOOP;
END $$;
SQL
for my $writer (1 .. $writers)
{
	append_to_file("$dir/writer$writer.sql", "SET statement_timeout = 0;\nCALL write($writer);\n");
	push @running, start_clients($node, 'postgres', "$dir/writer$writer.sql");
}
my $each = int($reads / $readers / 3);
my @looking;
for my $reader (1 .. $readers)
{
	append_to_file("$dir/reader$reader.sql", "SET statement_timeout = 0;\n\\set ON_ERROR_STOP 1\nCALL look($each);\n");
	push @looking, start_clients($node, 'postgres', "$dir/reader$reader.sql");
}
my @exits = finish_clients(@looking);
$node->safe_psql('postgres', 'DROP TABLE stop');
my @writers = finish_clients(@running);

my $found = 0;
for my $reader (1 .. $readers)
{
	my $err = slurp_file("$dir/reader$reader.sql.err");
	is(($err =~ /(ERROR: .*)/)[0] // '', '', "reader $reader has seen every event that it was told of, in $each rounds of three reads");
	$found += $1 if $err =~ /found (\d+)/;
}
is("@exits",   join(' ', (0) x $readers), 'the readers came to their end');
is("@writers", join(' ', (0) x $writers), 'and the writers');
cmp_ok($found, '>', $reads / 100, 'events came while they read');
diag(sprintf '%d reads met %d new events, of %s', 3 * $each * $readers, $found,
	$node->safe_psql('postgres', 'SELECT count(*) FROM es_events'));
log_is_caught_up($node, 'postgres', 'the log catches up');
log_is_whole($node, 'postgres', 'the log is whole');

log_is_clean($node);
$node->stop;
done_testing();
