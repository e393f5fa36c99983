# The log against a model of it: clients append at random while slots are dropped,
# and sequencers, other processes and the server are killed. After each round:
# positions 1 to n, every acknowledged event once, streams in order, commits in the
# order of the WAL (as test_decoding reads it), and every position that was seen as
# it was.
#
# ES_ROUNDS (3), ES_WRITERS (6) and ES_SEED make it longer, wider, and another one;
# `make torture` runs 20 rounds of 16 writers.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds  = $ENV{ES_ROUNDS}  // 3;
my $writers = $ENV{ES_WRITERS} // 6;
my $seed    = $ENV{ES_SEED}    // 1;
my $dir     = PostgreSQL::Test::Utils::tempdir;
diag("ES_SEED=$seed ES_ROUNDS=$rounds ES_WRITERS=$writers");

my $node = new_log_node('model', conf => <<'CONF');
fsync = on
max_connections = 60
max_prepared_transactions = 60
logical_decoding_work_mem = 64kB
CONF
install_load_functions($node, 'postgres');
my $has_test_decoding =
  outcome($node, 'postgres', "SELECT pg_create_logical_replication_slot('theirs', 'test_decoding')") =~ /^ok/;
log_is_caught_up($node, 'postgres', 'there is a sequencer');

# ---------------------------------------------------------------------------
# What is done to it. Each says whether the server has crashed.
# ---------------------------------------------------------------------------
sub pid_of
{
	my ($type) = @_;
	my $pid = outcome($node, 'postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1");
	return $pid =~ /^ok (\d+)$/ ? $1 : undef;
}

sub send_signal
{
	my ($signal, $type) = @_;
	my $pid = pid_of($type);
	kill $signal, $pid if defined $pid;
	return defined $pid && $signal eq 'KILL';
}

sub drop_slot
{
	for (1 .. 200)
	{
		my $outcome = outcome($node, 'postgres', <<'SQL');
SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE plugin = 'event_store' AND active;
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE plugin = 'event_store' AND active_pid IS NULL;
SQL
		return 0 if $outcome =~ /^ok.*\n?/ && outcome($node, 'postgres', 'SELECT count(*) FROM pg_replication_slots WHERE plugin = \'event_store\'') eq 'ok 0';
	}
	return 0;
}

sub set
{
	my ($setting) = @_;
	$node->append_conf('postgresql.conf', $setting);
	$node->reload;
	return 0;
}

my @disturbances = (
	[ 'slot dropped'               => \&drop_slot ],
	[ 'slot dropped'               => \&drop_slot ],
	[ 'sequencer terminated'       => sub { send_signal('TERM', 'event_store sequencer') } ],
	[ 'launcher terminated'        => sub { send_signal('TERM', 'event_store launcher') } ],
	[ 'sequencer stopped a while'  => sub {
			my $pid = pid_of('event_store sequencer') // return 0;
			kill 'STOP', $pid;
			usleep(300_000);
			kill 'CONT', $pid;
			return 0; } ],
	[ 'small batches'              => sub { set("event_store.sequencer_batch_transactions = 1\nevent_store.sequencer_batch_wal = 64kB") } ],
	[ 'large batches'              => sub { set("event_store.sequencer_batch_transactions = 10000\nevent_store.sequencer_batch_wal = 64MB") } ],
	[ 'checkpoint'                 => sub { outcome($node, 'postgres', 'SELECT pg_switch_wal(); CHECKPOINT'); return 0; } ],
	[ 'a client killed by request' => sub { send_signal('TERM', 'client backend') } ],
	[ 'an index built, a table rewritten' => sub {
			outcome($node, 'postgres', 'CREATE TABLE IF NOT EXISTS noise (i int); INSERT INTO noise SELECT generate_series(1, 20000);'
				  . 'ALTER TABLE noise ADD COLUMN IF NOT EXISTS j int DEFAULT random(); DROP TABLE noise');
			return 0; } ]);
my @crashes = (
	[ 'kill -9 of the sequencer'    => sub { send_signal('KILL', 'event_store sequencer') } ],
	[ 'kill -9 of a client'         => sub { send_signal('KILL', 'client backend') } ],
	[ 'kill -9 of the checkpointer' => sub { send_signal('KILL', 'checkpointer') } ],
	[ 'slot dropped, then kill -9'  => sub { drop_slot(); send_signal('KILL', 'walwriter') } ],
	[ 'immediate stop'              => sub { $node->stop('immediate'); $node->start; return 1; } ],
	[ 'fast restart'                => sub { $node->restart; return 1; } ],
	[ 'no crash'                    => sub { return 0 } ]);

# ---------------------------------------------------------------------------
# The order of commits, as PostgreSQL's own plugin tells it.
# ---------------------------------------------------------------------------
my (%rank, $ranks);

sub read_commit_order
{
	for my $tx (split /\n/, $node->safe_psql('postgres', <<'SQL'))
SELECT substring(data FROM $$ tx\[bigint\]:(\d+) ordinal\[integer\]:0( |$)$$) FROM pg_logical_slot_get_changes('theirs', NULL, NULL)
	WHERE data ~ $$^table public\.es_events: INSERT: .* ordinal\[integer\]:0( |$)$$;
SQL
	{
		# After a crash the slot may begin further back.
		$rank{$tx} //= ++$ranks;
	}
	return;
}

# Positions are in the order of commits, but for those that were given by healing:
# they only lie between what was sequenced before it and what was after it.
sub order_is_that_of_commits
{
	my ($name) = @_;
	my @healed;
	my $text = slurp_file($node->logfile);
	push @healed, [ $2 - $1 + 1, $2 ] while $text =~ /(\d+) events got their positions from the table; the head is (\d+)/g;
	my @wrong;
	my ($last, $healed_max) = (0, 0);

	for my $line (split /\n/, $node->safe_psql('postgres', <<'SQL'))
SELECT x.position, x.tx, c.end_lsn = '0/0' FROM es_commits c, es_commit_entries(c.first_position, c.entries) x ORDER BY 1;
SQL
	{
		my ($position, $tx, $no_lsn) = split /\|/, $line;
		my $rank = $rank{$tx};

		# What committed before the slot of the other plugin was made has no rank.
		next unless defined $rank;
		if ($no_lsn eq 't' || grep { $position >= $_->[0] && $position <= $_->[1] } @healed)
		{
			push @wrong, "healed tx $tx at $position committed before what stands before it" if $rank < $last;
			$healed_max = $rank if $rank > $healed_max;
			next;
		}
		push @wrong, "tx $tx at $position" if $rank < $last || $rank < $healed_max;
		$last = $rank;
	}
	return is(join("\n", @wrong[ 0 .. ($#wrong > 9 ? 9 : $#wrong) ]), '', $name);
}

# ---------------------------------------------------------------------------
# Rounds
# ---------------------------------------------------------------------------
my @books;
for my $round (1 .. $rounds)
{
	my @scripts;

	for my $writer (1 .. $writers)
	{
		my $asynchronous = $writer % 3 == 0;
		push @scripts, "$dir/round$round.writer$writer.sql";
		write_client_script(
			$scripts[-1],
			client       => 100_000 * ($seed % 10_000) + 100 * $round + $writer,
			appends      => 20_000 / $writers,
			streams      => 12,
			transactions => 0.5,
			prepared     => 0.2,
			most         => 50,
			setup        => 'SET synchronous_commit = ' . ($asynchronous ? 'off' : 'on') . ";\n");
	}
	srand($seed + $round);
	my @actions = map { $disturbances[ rand @disturbances ] } 1 .. 3 + int(rand(3));
	my ($crash_name, $crash) = @{ $crashes[ ($round + $seed) % @crashes ] };
	my $name = "round $round: " . join(', ', (map { $_->[0] } @actions), $crash_name);

	my @running = start_clients($node, 'postgres', @scripts);
	for my $action (@actions)
	{
		usleep(50_000 + int(rand(300_000)));
		$action->[1]->();
	}
	my $seen = positions($node, 'postgres');

	# Rows of the ledger are flushed with the next commit that is.
	$node->safe_psql('postgres', "SELECT pg_logical_emit_message(true, '', '')");
	usleep(int(rand(200_000)));
	my $crashed = $crash->();
	wait_for_server($node);
	$_->kill_kill for @running;

	# Prepared transactions outlive it, and what makes a new slot waits for them.
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
	  or die 'clients stay';
	for my $gid (split /\n/, $node->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts'))
	{
		$node->safe_psql('postgres', (rand() < 0.5 ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$gid'");
	}
	append_to_file("$dir/last$round.sql", "SELECT es_append('last', 'Last', '1');\n");
	finish_clients(start_clients($node, 'postgres', "$dir/last$round.sql"));

	log_is_caught_up($node, 'postgres', $name);
	is(substr(positions($node, 'postgres'), 0, length $seen), $seen, "round $round: positions that were seen stay");
	log_is_whole($node, 'postgres', "round $round: the log is whole");
	store_is_sound($node, 'postgres', "round $round: the store is sound");

	# A crash may take what was not flushed.
	push @books, map { "$_.out" } grep { !$crashed || !/writer(\d+)\.sql$/ || $1 % 3 } @scripts;
	my ($acked) = acknowledged(@books);
	acknowledged_is_stored($node, 'postgres', $acked, "round $round: " . scalar(@$acked) . ' events');
	if ($has_test_decoding)
	{
		read_commit_order();
		order_is_that_of_commits("round $round: positions are in the order of commits");
	}
}
note($node->safe_psql('postgres', 'SELECT es_head_position()') . " events, $ranks commits compared");
log_is_clean($node);
$node->stop;
done_testing();
