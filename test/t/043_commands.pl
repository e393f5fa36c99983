# 16 clients send 1,000 commands to one stream: deposits and withdrawals, of which
# many must be refused. At every isolation level the balance is never below zero,
# every command is answered, and none is executed twice, though clients send some
# again whose answers they have lost, or whose transactions they rolled back, and
# though the server crashes in the middle. The truth is what the events say.

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients  = 16;
my $commands = 63;                    # of each client
my $node     = new_node('commands', conf => "deadlock_timeout = 1s\nmax_connections = 60\n");

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION event_store;
CREATE FUNCTION account_evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object('balance', (state->>'balance')::int + (event.data->>'amount')::int, 'version', event.version);
CREATE FUNCTION account_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF (state->>'balance')::int + (command->>'amount')::int < 0 THEN
		RAISE EXCEPTION '%', state->>'version' USING ERRCODE = 'AC001';
	END IF;
	RETURN jsonb_build_object('type', 'Moved', 'data', command);
END $$;
SELECT es_create_aggregate('account', 'account', 'account_evolve', '{"balance": 0, "version": 0}', decide => 'account_decide', snapshot_every => 10);

-- What the clients were told, in the order in which they were.
CREATE TABLE answers (answer int GENERATED ALWAYS AS IDENTITY, stream text, client int, n int, id uuid, amount int,
	version bigint, state jsonb, repeated boolean, refused_at bigint);

-- Sends command n of a client. An error other than a refusal is the client's.
CREATE FUNCTION send(stream text, client int, n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	id uuid := md5(format('%s %s %s', stream, client, n));
	amount int := hashtext(format('%s %s', client, n)) % 50 - 8;
	a record;
BEGIN
	PERFORM es_stream_version(stream);
	BEGIN
		SELECT * INTO a FROM es_execute(stream, jsonb_build_object('amount', amount), id);
		INSERT INTO answers (stream, client, n, id, amount, version, state, repeated)
			VALUES (send.stream, send.client, send.n, id, amount, a.version, a.state, a.repeated);
	EXCEPTION WHEN SQLSTATE 'AC001' THEN
		INSERT INTO answers (stream, client, n, id, amount, refused_at) VALUES (send.stream, send.client, send.n, id, amount, SQLERRM::bigint);
	END;
END $$;

-- The events, replayed.
CREATE VIEW truth AS
	SELECT stream_id, version, event_id, (data->>'amount')::int AS amount, metadata->>'causation_id' AS command_id,
		sum((data->>'amount')::int) OVER (PARTITION BY stream_id ORDER BY version) AS balance
	FROM es_events;
SQL

# What a client does with a command: sends it; every third again, as if it had
# not heard the answer; every fifth in a transaction that it rolls back before.
# After a serialization failure pgbench begins again at the top, with the same n.
my $dir    = PostgreSQL::Test::Utils::tempdir;
my $script = "$dir/client.sql";
append_to_file($script, <<'SQL');
\if :n % 5 = 0
BEGIN;
SELECT send(:stream, :client_id, :n);
ROLLBACK;
\endif
SELECT send(:stream, :client_id, :n);
\if :n % 3 = 0
SELECT send(:stream, :client_id, :n);
\endif
\set n :n + 1
SQL

sub pgbench
{
	my ($stream, $level) = @_;

	return ($node->installed_command('pgbench'), '-n', '-M', 'prepared', '-c', $clients, '-j', 2, '-t', $commands,
		'-f', $script, '-D', "stream=$stream", '-D', 'n=1', '--max-tries=100000',
		'-d', $node->connstr('postgres') . " options='-c default_transaction_isolation=$level'");
}

# A query that must find nothing.
sub nothing
{
	my ($query, $name) = @_;

	is($node->safe_psql('postgres', $query), '', $name);
	return;
}

sub all_is_well
{
	my ($stream, $name) = @_;
	my $mine = "(SELECT * FROM answers WHERE stream = '$stream') a";
	my $true = "(SELECT * FROM truth WHERE stream_id = '$stream') t";

	is($node->safe_psql('postgres', "SELECT count(DISTINCT (client, n)) FROM $mine"),
		$clients * $commands, "$name: every command is answered");
	nothing("SELECT * FROM $true WHERE balance < 0 LIMIT 3", "$name: the balance is never below zero");
	nothing("SELECT command_id, count(*) FROM $true GROUP BY 1 HAVING count(*) > 1 LIMIT 3",
		"$name: no command is executed twice");
	nothing("SELECT * FROM $mine FULL JOIN $true ON t.command_id = a.id::text AND t.version = a.version"
		  . " WHERE a.refused_at IS NULL AND (t.version IS NULL OR a.id IS NULL OR t.amount <> a.amount"
		  . " OR (a.state->>'balance')::int <> t.balance OR (a.state->>'version')::bigint <> t.version) LIMIT 3",
		"$name: answers tell of the events, and of the state then");
	nothing("SELECT * FROM $mine LEFT JOIN $true ON t.version = a.refused_at"
		  . " WHERE a.refused_at IS NOT NULL AND coalesce(t.balance, 0) + a.amount >= 0 LIMIT 3",
		"$name: what was refused had to be, in the state that was decided on");
	nothing("SELECT id, count(*) FROM $mine WHERE NOT repeated GROUP BY 1 HAVING count(*) > 1 LIMIT 3",
		"$name: the first answer is given once");
	is($node->safe_psql('postgres', "SELECT es_state('$stream')->>'balance' = (SELECT sum(amount)::text FROM $true)"),
		't', "$name: the state is that of the events");
	my ($done, $refused, $repeated) = split /\|/, $node->safe_psql('postgres',
		"SELECT count(*) FILTER (WHERE NOT repeated), count(refused_at), count(*) FILTER (WHERE repeated) FROM $mine");
	note "$name: $done executed, $refused refusals, $repeated repeated";
	cmp_ok($done, '>', 100, "$name: many were executed");
	cmp_ok($refused, '>', 100, "$name: and many refused");
	cmp_ok($repeated, '>', 50, "$name: and many repeated");
	return;
}

for my $level ('read committed', 'repeatable read', 'serializable')
{
	my $stream = 'account-' . $level =~ s/ /_/r;
	(my $escaped = $level) =~ s/ /\\\\ /;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ pgbench($stream, $escaped) ], '>', \$out, '2>', \$err);

	ok($ok, "$level: every client came to its end") or diag $err;
	note join "\n", grep { /retried|retries/ } split /\n/, $out;
	all_is_well($stream, $level);
}

# The server crashes while the commands are sent; the clients send all again.
my $stream = 'account-crash';
my $crash  = IPC::Run::start([ pgbench($stream, 'read\\\\ committed') ], '>', \my $out, '2>', \my $err);
$node->poll_query_until('postgres', "SELECT es_stream_version('$stream') > 100") or die 'the clients did nothing';
$node->stop('immediate');
$crash->finish;
$node->start;
my $before = $node->safe_psql('postgres', "SELECT count(*) FROM es_read_stream('$stream')");
ok(IPC::Run::run([ pgbench($stream, 'read\\\\ committed') ], '>', \$out, '2>', \$err), 'crash: every client came to its end')
  or diag $err;
note "crash: $before events at the crash";
all_is_well($stream, 'crash');

store_is_sound($node, 'postgres', 'the store is sound');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
	  . " AND pid IN (SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend')"), '0', 'no lock is left behind');
$node->stop;
done_testing();
