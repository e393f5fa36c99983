=pod

=head1 NAME

EventStoreTest - what the TAP tests of event_store share

=head1 DESCRIPTION

Starts servers with the right settings, says how a statement ended, checks that
a store is sound, and drives many psql clients at once while it keeps book of
what the server has acknowledged to them.

=cut

package EventStoreTest;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  new_node
  worker_settings
  wait_for_server
  outcome
  succeeds
  fails_with
  install_outcome_function
  outcomes_are
  store_is_sound
  log_is_clean
  contents
  event_uuid
  install_load_functions
  write_client_script
  start_clients
  finish_clients
  acknowledged
  acknowledged_is_stored
  new_log_node
  log_is_caught_up
  log_is_whole
  positions
  sequencer_pid
  sequencer_is_another
  sequencers_are
  projection_pids
  projection_workers_are
  read_log
);

=head2 Servers

=over

=item new_node(name, init => {...}, conf => "...")

A started server, UTF-8 whatever the environment says, with room for many
clients and prepared transactions.

=cut

sub new_node
{
	my ($name, %opt) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(
		extra => [ '--encoding=UTF8', '--no-locale' ],
		%{ $opt{init} // {} });
	$node->append_conf('postgresql.conf', <<'CONF');
log_statement = none
max_connections = 40
max_prepared_transactions = 10
shared_buffers = 64MB
autovacuum_naptime = 1d
statement_timeout = 2min
CONF
	$node->append_conf('postgresql.conf', $opt{conf}) if defined $opt{conf};
	$node->start;
	return $node;
}

=item worker_settings()

The settings with which a server runs sequencers.

=cut

sub worker_settings
{
	my $conf = "shared_preload_libraries = 'event_store'\nwal_level = logical\n";
	my ($settings) = run_command([ 'postgres', '--describe-config' ]);

	# Older minor releases do not know this one, and would not start.
	$conf .= "output_plugin_libraries = 'event_store, pgoutput, test_decoding'\n"
	  if $settings =~ /^output_plugin_libraries\t/m;
	return $conf;
}

=item wait_for_server(node)

Returns when the server answers again after a crash. (poll_query_until hands the
query over by standard input, which fails when psql cannot connect.)

=cut

sub wait_for_server
{
	my ($node) = @_;
	my @psql = ($node->installed_command('psql'), '-XAtq', '-d', $node->connstr('postgres'));

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if IPC::Run::run([ @psql, '-c', 'SELECT true' ], '>', \my $out, '2>', \my $err);
		usleep(100_000);
	}
	die 'the server did not come back';
}

=back

=head2 How a statement ended

=over

=item outcome(node, database, sql, role)

"ok" and what psql printed, or the five characters of the first error's
SQLSTATE, its message, and its detail and hint on lines of their own. The SQL
runs in a session of its own, as role if one is given.

=cut

sub outcome
{
	my ($node, $db, $sql, $role) = @_;
	my @extra = ('-v', 'VERBOSITY=verbose');

	push @extra, '-U', $role if defined $role;
	my ($ret, $out, $err) = $node->psql($db, $sql, extra_params => \@extra);
	return "ok $out" if $ret == 0;

	my ($first) = $err =~ /((?:ERROR|FATAL):\s+[0-9A-Z]{5}: .*)/s;
	return "psql failed: $err" unless defined $first;
	$first =~ s/^\w+:\s+//;
	$first =~ s/^(?:LOCATION|CONTEXT|LINE \d+|STATEMENT|QUERY):.*//sm;
	chomp $first;
	return $first;
}

=item succeeds(node, database, sql, expected output, test name, role)

=cut

sub succeeds
{
	my ($node, $db, $sql, $expected, $name, $role) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(outcome($node, $db, $sql, $role), "ok $expected", $name);
}

=item fails_with(node, database, sql, SQLSTATE or pattern, test name, role)

=cut

sub fails_with
{
	my ($node, $db, $sql, $expected, $name, $role) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$expected = qr/^\Q$expected\E: / unless ref $expected;
	return like(outcome($node, $db, $sql, $role), $expected, $name);
}

=item install_outcome_function(node, database)

Makes the SQL function outcome(statement): the statement runs in a savepoint
of its own, and the answer is "ok" and its first value, or the SQLSTATE, the
message and its detail.

=cut

sub install_outcome_function
{
	my ($node, $db) = @_;
	$node->safe_psql($db, <<'SQL');
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
BEGIN
	IF statement ~* '^ *(SELECT|WITH)|RETURNING' THEN
		EXECUTE statement INTO result;
	ELSE
		EXECUTE statement;
	END IF;
	RETURN rtrim('ok ' || coalesce(result, ''));
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN rtrim(SQLSTATE || ': ' || SQLERRM || ' ' || detail);
END $$;
GRANT EXECUTE ON FUNCTION outcome TO PUBLIC;
SQL
	return;
}

=item outcomes_are(node, database, [[statement, expected, name], ...], before)

Runs each statement in a savepoint of its own, all in one transaction of one
session, after the SQL of "before". Expected is a pattern, or the text that the
outcome begins with. A session that dies fails all the statements after it.

=cut

sub outcomes_are
{
	my ($node, $db, $cases, $before) = @_;
	my $sql = ($before // '') . "\nBEGIN;\n";
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	for my $i (0 .. $#$cases)
	{
		$sql .=
		    "SELECT '#$i ' || replace(outcome(\$outcome\$"
		  . $cases->[$i][0]
		  . "\$outcome\$), E'\\n', ' ');\n";
	}
	$sql .= "COMMIT;\n";
	my ($ret, $out, $err) = $node->psql($db, $sql, on_error_stop => 0);
	my %got = $out =~ /^#(\d+) (.*)$/mg;

	for my $i (0 .. $#$cases)
	{
		my ($statement, $expected, $name) = @{ $cases->[$i] };
		$name = defined $name ? "$name: $statement" : $statement;
		$name =~ s/\s+/ /g;
		$name = substr($name, 0, 150) . ' ...' if length $name > 155;
		$expected = qr/^\Q$expected\E/ unless ref $expected;
		like($got{$i} // "no answer: $err", $expected, $name);
	}
	return;
}

=back

=head2 The state of a store

=over

=item store_is_sound(node, database, test name, schema)

Every stream is 1, 2, 3 ... without a hole, the ordinals of every transaction
are 0, 1, 2 ..., event ids are unique in their stream, time never goes back in
one, no transaction number is ahead of the sequence; the indexes hold what the
table holds; and es_check() finds nothing either.

=cut

sub store_is_sound
{
	my ($node, $db, $name, $schema) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $path = defined $schema ? "$schema, pg_catalog" : 'public, pg_catalog';
	my $problems = outcome($node, $db, <<"SQL");
SET search_path = $path;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SET enable_bitmapscan = off;
SELECT format('stream %s %s: %s events, versions %s to %s, %s of them different', tenant_id, stream_id,
		count(*), min(version), max(version), count(DISTINCT version))
	FROM es_events GROUP BY tenant_id, stream_id
	HAVING min(version) <> 1 OR max(version) <> count(*) OR count(DISTINCT version) <> count(*);
SELECT format('tx %s: %s events, ordinals %s to %s, %s of them different', tx,
		count(*), min(ordinal), max(ordinal), count(DISTINCT ordinal))
	FROM es_events GROUP BY tx
	HAVING min(ordinal) <> 0 OR max(ordinal) <> count(*) - 1 OR count(DISTINCT ordinal) <> count(*);
SELECT format('stream %s %s: event id %s %s times', tenant_id, stream_id, event_id, count(*))
	FROM es_events GROUP BY tenant_id, stream_id, event_id HAVING count(*) > 1;
SELECT format('stream %s %s: version %s is older than the one before it', tenant_id, stream_id, version)
	FROM (SELECT *, lag(recorded_at) OVER (PARTITION BY tenant_id, stream_id ORDER BY version) AS before FROM es_events) e
	WHERE recorded_at < before;
SELECT format('tx %s is ahead of es_tx_seq, which is at %s', max(tx), (SELECT last_value FROM es_tx_seq))
	FROM es_events HAVING max(tx) > (SELECT last_value FROM es_tx_seq);
SELECT format('es_check: %s %s: %s', tenant_id, stream_id, problem) FROM es_check();
SQL
	return is($problems . index_problems($node, $db), 'ok ', $name);
}

# What amcheck says about the indexes of es_events, where it is installed: direct
# index inserts that went wrong show here and nowhere else.
sub index_problems
{
	my ($node, $db) = @_;
	my $result = outcome($node, $db, <<'SQL');
BEGIN;
DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'amcheck') THEN
		CREATE SCHEMA event_store_amcheck;
		CREATE EXTENSION amcheck SCHEMA event_store_amcheck;
		PERFORM event_store_amcheck.bt_index_check(i.indexrelid, true)
			FROM pg_index i
			JOIN pg_class t ON t.oid = i.indrelid
			JOIN pg_class c ON c.oid = i.indexrelid
			JOIN pg_am a ON a.oid = c.relam
			WHERE t.relname = 'es_events' AND a.amname = 'btree';
	END IF;
END $$;
ROLLBACK;
SQL
	return $result eq 'ok ' ? '' : "\namcheck: $result";
}

=item log_is_clean(node)

The server's log tells of no leak, no failed assertion and no crash, except of
processes that the test itself has killed.

=cut

sub log_is_clean
{
	my ($node) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @lines = grep {
		/PANIC|TRAP:|WARNING:.*(?:leak|not closed|still referenced|not released)|terminated by signal (?!9:)|invalid memory alloc|out of shared memory/
	} split /\n/, slurp_file($node->logfile);
	return is(join("\n", @lines), '', 'the log of server ' . $node->name . ' is clean');
}

=item contents(node, database, schema)

Every event, snapshot and sequence of the store as text, in a fixed order, to
compare two stores with.

=cut

sub contents
{
	my ($node, $db, $schema) = @_;
	my $path = defined $schema ? "$schema, pg_catalog" : 'public, pg_catalog';

	# The COPY forms show every column, also ones that this test does not know.
	return $node->safe_psql($db, <<"SQL");
SET search_path = $path;
SET timezone = 'UTC';
COPY (SELECT * FROM es_events ORDER BY tenant_id, stream_id, version) TO stdout;
COPY (SELECT * FROM es_snapshots ORDER BY tenant_id, stream_id, version, aggregate) TO stdout;
SQL
}

=back

=head2 Many clients

A client is a psql with a script of its own. After every statement that appends
the script echoes what came of it, so that the client's output is the book of
what the server has acknowledged:

    ok <stream> <version of the last, or -> <event id> ...
    err <SQLSTATE>
    begin [goes_on] | savepoint <name> | back <name> | commit | rollback

=over

=item event_uuid(client, number)

=cut

sub event_uuid
{
	my ($client, $n) = @_;
	return sprintf('%08x-0000-4000-8000-%012x', $client, $n);
}

# One statement and the echo of how it ended.
sub statement
{
	my ($sql, $said) = @_;
	return "$sql\n\\if :ERROR\n\\echo err :SQLSTATE\n\\else\n\\echo $said\n\\endif\n";
}

# The expected version of a random append, with what must run before it.
sub random_expectation
{
	my ($stream) = @_;
	my $r = rand;

	return ('', 'NULL') if $r < 0.4;
	return ("SELECT es_stream_version('$stream') AS at \\gset\n", ':at')
	  if $r < 0.85;
	return ('', '0')  if $r < 0.90;
	return ('', '-1') if $r < 0.95;
	return ('', int(rand(50)));
}

# A random append: es_append, es_append_batch, es_append_json, INSERT, COPY, or
# one of the functions of install_load_functions.
sub random_append
{
	my ($client) = @_;
	my $stream = 'load-' . int(rand($client->{streams}));
	my ($before, $expected) = random_expectation($stream);
	my $kind  = rand;
	my $count = $kind < 0.65 ? 1 : $kind < 0.96 ? 2 + int(rand($client->{most} - 1)) : 3;
	my @ids   = map { event_uuid($client->{number}, $client->{events}++) } 1 .. $count;

	$client->{appends}++;
	if ($kind < 0.65)
	{
		my $sql = $before . append_one($stream, $expected, $ids[0]);

		# Now and then a client retries an append that may have gone through.
		$sql .= append_one($stream, 'NULL', $ids[0]) if rand() < 0.05;
		return $sql;
	}
	return $before . append_batch($stream, $expected, @ids) if $kind < 0.75;
	return $before . append_json($stream, $expected, @ids) if $kind < 0.82;
	return append_and_undo($stream, @ids) if $kind >= 0.93;
	return insert($stream, @ids) if $kind < 0.89 || $client->{goes_on};
	return $client->{in_transaction}
	  ? copy($client, $stream, @ids)
	  : statement('BEGIN;', 'begin') . copy($client, $stream, @ids) . statement('COMMIT;', 'commit');
}

sub insert
{
	my ($stream, @ids) = @_;
	my $list = join(',', @ids);
	return statement(
		"INSERT INTO es_events (stream_id, event_type, data, event_id)"
		  . " SELECT '$stream', 'Insert', '1', unnest('{$list}'::uuid[]);",
		"ok $stream - @ids");
}

# Of three events the functions keep two, of more every other one.
sub append_and_undo
{
	my ($stream, @ids) = @_;
	my $list = join(',', @ids);
	my ($function, @kept) =
	  @ids == 3
	  ? ('load_by_cursor', @ids[ 0, 1 ])
	  : ('load_with_exceptions', @ids[ grep { $_ % 2 == 0 } 0 .. $#ids ]);
	return statement("SELECT $function('$stream', '{$list}') AS done \\gset", "ok $stream - @kept");
}

# psql sets no ERROR for a COPY that fails over its data, so a statement behind it
# has to tell whether the transaction has failed; and it takes data that stand in
# the script for statements when COPY does not even begin, so they have a file.
sub copy
{
	my ($client, $stream, @ids) = @_;
	my $file = $client->{file} . '.copy' . $client->{copies}++;

	append_to_file($file, join('', map { "$stream\tCopy\t1\t$_\n" } @ids));
	return "\\copy es_events (stream_id, event_type, data, event_id) FROM '$file'\n"
	  . statement('SELECT 1 AS one \\gset', "ok $stream - @ids");
}

sub append_one
{
	my ($stream, $expected, $id) = @_;
	return statement(
		"SELECT es_append('$stream', 'One', '1', NULL, $expected, '$id') AS version \\gset",
		"ok $stream :version $id");
}

sub append_batch
{
	my ($stream, $expected, @ids) = @_;
	my $count = @ids;
	my $list  = join(',', @ids);
	return statement(
		"SELECT es_append_batch('$stream', array_fill('Batch'::text, ARRAY[$count]),"
		  . " array_fill('1'::jsonb, ARRAY[$count]), NULL, $expected, '{$list}') AS version \\gset",
		"ok $stream :version @ids");
}

sub append_json
{
	my ($stream, $expected, @ids) = @_;
	my $json = join(', ', map { qq({"type": "Json", "data": 1, "id": "$_"}) } @ids);
	return statement(
		"SELECT es_append_json('$stream', '[$json]', $expected) AS version \\gset",
		"ok $stream :version @ids");
}

# A transaction of several appends, with savepoints, some of which roll back. In
# half of them psql goes on after an error, in half the transaction is lost.
sub random_transaction
{
	my ($client) = @_;
	my $goes_on = rand() < 0.5;
	my $number  = 0;
	my @open;

	@$client{ 'in_transaction', 'goes_on' } = (1, $goes_on);
	my $sql = statement('BEGIN;', $goes_on ? 'begin goes_on' : 'begin');

	$sql .= "SET LOCAL lock_timeout = '5ms';\n" if rand() < 0.1;
	$sql .= "\\set ON_ERROR_ROLLBACK on\n" if $goes_on;
	for (1 .. 2 + int(rand(4)))
	{
		if (rand() < 0.4)
		{
			push @open, 'sp' . ++$number;
			$sql .= statement("SAVEPOINT $open[-1];", "savepoint $open[-1]");
		}
		$sql .= random_append($client);
		if (@open && rand() < 0.4)
		{
			my $back = pop @open;
			$sql .= statement("ROLLBACK TO $back;", "back $back");
		}
	}
	@$client{ 'in_transaction', 'goes_on' } = (0, 0);
	$sql .= "\\set ON_ERROR_ROLLBACK off\n";
	return $sql . end_in_two_phases($client) if $client->{prepared} && rand() < $client->{prepared};
	$sql .=
	  rand() < 0.75
	  ? statement('COMMIT;',   'commit')
	  : statement('ROLLBACK;', 'rollback');
	return $sql;
}

# PREPARE TRANSACTION of a failed transaction rolls it back; what comes behind it
# fails then, and the book says so.
sub end_in_two_phases
{
	my ($client) = @_;
	my $name = sprintf('client-%d-%d', $client->{number}, $client->{prepares}++);

	return statement("PREPARE TRANSACTION '$name';", 'savepoint prepared')
	  . ( rand() < 0.75
		? statement("COMMIT PREPARED '$name';", 'commit')
		: "ROLLBACK PREPARED '$name';\n")
	  . "\\echo rollback\n";
}

=item install_load_functions(node, database)

The functions that the scripts of clients call beside those of the extension.

=cut

sub install_load_functions
{
	my ($node, $db) = @_;
	$node->safe_psql($db, <<'SQL');
-- Every second append is undone by an exception.
CREATE FUNCTION load_with_exceptions(stream text, ids uuid[]) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. cardinality(ids) LOOP
		BEGIN
			PERFORM es_append(stream, 'Exceptions', '1', event_id => ids[i]);
			IF i % 2 = 0 THEN
				RAISE 'undone';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
	END LOOP;
	RETURN true;
END $$;

-- A cursor appends; its third FETCH fails, in a subtransaction of its own.
CREATE FUNCTION load_by_cursor(stream text, ids uuid[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	c refcursor;
	version bigint;
BEGIN
	OPEN c FOR SELECT es_append(stream, 'Cursor', '1', event_id => id) / (3 - number)
		FROM unnest(ids) WITH ORDINALITY i(id, number);
	FETCH c INTO version;
	FETCH c INTO version;
	BEGIN
		FETCH c INTO version;
	EXCEPTION WHEN division_by_zero THEN
		NULL;
	END;
	RETURN true;
END $$;
SQL
	return;
}

=item write_client_script(file, client => n, appends => n, streams => n, transactions => share, prepared => share, most => n, setup => sql)

The script of one client: so many append calls to so many streams, the given
share of its steps being transactions of several, of which the given share is
prepared; a call appends at most that many events (5). The same client number
gives the same script in every run.

=cut

sub write_client_script
{
	my ($file, %opt) = @_;
	my %client = (
		file     => $file,
		number   => $opt{client},
		streams  => $opt{streams},
		prepared => $opt{prepared} // 0,
		most     => $opt{most} // 5,
		appends  => 0,
		events   => 0,
		copies   => 0,
		prepares => 0);
	my $sql = "\\set at 0\n" . ($opt{setup} // '');

	srand($opt{client});
	while ($client{appends} < $opt{appends})
	{
		if (rand() < ($opt{transactions} // 0))
		{
			$sql .= random_transaction(\%client);
		}
		elsif (rand() < 0.05)
		{
			# One that is cancelled where it waits. (Not a COPY, which is several statements.)
			$client{goes_on} = 1;
			$sql .= "SET statement_timeout = '2ms';\n" . random_append(\%client) . "RESET statement_timeout;\n";
			$client{goes_on} = 0;
		}
		else
		{
			$sql .= random_append(\%client);
		}
	}
	append_to_file($file, $sql);
	return;
}

=item start_clients(node, database, script files)

Starts a psql for each script; its output goes to the file of the same name with
".out" behind it. The answer is for finish_clients.

=cut

sub start_clients
{
	my ($node, $db, @scripts) = @_;
	my $psql = $node->installed_command('psql');
	my $to   = $node->connstr($db);

	return map {
		IPC::Run::start(
			[ $psql, '-XAtq', '-d', $to, '-f', $_ ],
			'>', "$_.out", '2>', "$_.err")
	} @scripts;
}

=item finish_clients(clients)

Waits until every client has ended and returns their exit codes.

=cut

sub finish_clients
{
	my (@clients) = @_;
	return map { $_->finish; $_->result(0) } @clients;
}

=item acknowledged(output files)

What the server has acknowledged to these clients, as [event id, stream,
version or undef], and how many errors of each SQLSTATE they saw. An append
counts from its commit on; one that was rolled back does not.

=cut

sub acknowledged
{
	my (@files) = @_;
	my @acked;
	my %errors;

	for my $file (@files)
	{
		# The frames of the open transaction: one at the bottom, one for each savepoint.
		my @frames;

		for my $line (split /\n/, slurp_file($file))
		{
			my ($word, @rest) = split / /, $line;

			# The value for a \gset, which psql prints when the connection is lost
			# behind it: the statement may not have come to its end.
			next if $line =~ /^(?:\d+|t)$/;

			if ($word eq 'ok')
			{
				my ($stream, $version, @ids) = @rest;
				my @events = map {
					[
						$ids[$_], $stream,
						$version eq '-' ? undef : $version - $#ids + $_
					]
				} 0 .. $#ids;
				push @{ @frames ? $frames[-1]{events} : \@acked }, @events;
			}
			elsif ($word eq 'err')
			{
				$errors{ $rest[0] }++;
				$frames[-1]{failed} = 1 if @frames && !$frames[0]{goes_on};
			}
			elsif ($word eq 'begin')
			{
				@frames = ({ name => '', events => [], goes_on => scalar @rest });
			}
			elsif ($word eq 'savepoint')
			{
				push @frames, { name => $rest[0], events => [] };
			}
			elsif ($word eq 'back')
			{
				pop @frames while $frames[-1]{name} ne $rest[0];
				$frames[-1] = { name => $rest[0], events => [] };
			}
			elsif ($word eq 'commit')
			{
				push @acked, map { @{ $_->{events} } } @frames
				  unless grep { $_->{failed} } @frames;
				@frames = ();
			}
			elsif ($word eq 'rollback')
			{
				@frames = ();
			}
			else
			{
				die "client said \"$line\" in $file";
			}
		}
	}
	return (\@acked, \%errors);
}

=item acknowledged_is_stored(node, database, acknowledged, name, exact => 1)

Every acknowledged event is stored, once, in the stream and at the version that
the server said; with exact, no other event is.

=cut

sub acknowledged_is_stored
{
	my ($node, $db, $acked, $name, %opt) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $rows = join('', map { join("\t", $_->[0], $_->[1], $_->[2] // '\\N') . "\n" } @$acked);

	my $missing = $node->safe_psql($db, <<"SQL");
CREATE TEMP TABLE acked (event_id uuid, stream_id text COLLATE "C", version bigint);
COPY acked FROM stdin;
$rows\\.
SELECT format('acknowledged, stored %s times: %s in %s at %s', count(e.tx), event_id, stream_id, a.version)
	FROM (SELECT DISTINCT * FROM acked) a
	LEFT JOIN es_events e USING (event_id, stream_id)
	GROUP BY event_id, stream_id, a.version
	HAVING count(e.tx) <> 1 OR max(e.version) <> a.version
	LIMIT 20;
SQL
	my $ok = is($missing, '', "$name: every acknowledged event is stored once, where it was said");

	if ($opt{exact})
	{
		my $others = $node->safe_psql($db, <<"SQL");
CREATE TEMP TABLE acked (event_id uuid, stream_id text COLLATE "C", version bigint);
COPY acked FROM stdin;
$rows\\.
SELECT format('stored, not acknowledged: %s in %s at %s', event_id, stream_id, version)
	FROM es_events e
	WHERE NOT EXISTS (SELECT FROM acked a WHERE a.event_id = e.event_id)
	LIMIT 20;
SQL
		$ok &= is($others, '', "$name: no other event is stored");
	}
	return $ok;
}

=back

=cut

=head2 The global log

=over

=item new_log_node(name, init => {...}, conf => "...")

A server with sequencers, a store in the database postgres, and settings that
let crash tests crash it.

=cut

sub new_log_node
{
	my ($name, %opt) = @_;
	my $node = new_node(
		$name,
		init => $opt{init} // {},
		conf => worker_settings() . <<'CONF' . ($opt{conf} // ''));
max_wal_senders = 10
max_replication_slots = 10
max_worker_processes = 20
restart_after_crash = on
deadlock_timeout = 20ms
CONF
	$node->safe_psql('postgres', 'CREATE EXTENSION event_store');
	return $node;
}

=item log_is_caught_up(node, database, test name)

All that is committed has its positions before long.

=cut

sub log_is_caught_up
{
	my ($node, $db, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return succeeds($node, $db, "SELECT es_wait_for_log('60 s')", 't', $name);
}

=item log_is_whole(node, database, test name, schema)

Every committed event has one position, the positions are 1, 2, 3 ..., each
stream keeps its order, and es_log and es_read_all say the same as the ledger.
(All of it computed from es_commits, without the functions of the extension but
the one that unpacks its rows.)

=cut

sub log_is_whole
{
	my ($node, $db, $name, $schema) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $path = defined $schema ? "$schema, pg_catalog" : 'public, pg_catalog';
	my $problems = outcome($node, $db, <<"SQL");
SET search_path = $path;
BEGIN ISOLATION LEVEL REPEATABLE READ;
CREATE TEMP TABLE entries AS
	SELECT x.* FROM es_commits c, es_commit_entries(c.first_position, c.entries) x;
CREATE TEMP TABLE whole AS
	SELECT x.position + e.ordinal AS position, x.committed_at, e.* FROM es_events e LEFT JOIN entries x USING (tx);
SELECT format('%s events of %s have no position, the first: %s %s, tx %s', count(*), (SELECT count(*) FROM whole),
		(array_agg(stream_id ORDER BY tx))[1], (array_agg(version ORDER BY tx))[1], min(tx))
	FROM whole WHERE position IS NULL HAVING count(*) > 0;
SELECT format('%s positions, %s of them different, from %s to %s', count(position), count(DISTINCT position), min(position), max(position))
	FROM whole HAVING count(position) <> count(DISTINCT position) OR max(position) <> count(position) OR min(position) <> 1;
SELECT format('tx %s: %s events in the ledger, %s in the table', tx, x.events, e.events)
	FROM entries x FULL JOIN (SELECT tx, count(*) AS events FROM es_events GROUP BY tx) e USING (tx)
	WHERE x.events IS DISTINCT FROM e.events LIMIT 5;
SELECT format('%s %s: version %s is at %s, version %s at %s', tenant_id, stream_id, before, position_before, version, position)
	FROM (SELECT *, lag(version) OVER w AS before, lag(position) OVER w AS position_before FROM whole
		WINDOW w AS (PARTITION BY tenant_id, stream_id ORDER BY version)) w
	WHERE position <= position_before LIMIT 5;
SELECT format('position %s: es_log has %s %s, the ledger %s %s', position, l.stream_id, l.version, w.stream_id, w.version)
	FROM whole w FULL JOIN es_log l USING (position)
	WHERE (l.tenant_id, l.stream_id, l.version, l.event_id, l.tx, l.ordinal, l.committed_at)
		IS DISTINCT FROM (w.tenant_id, w.stream_id, w.version, w.event_id, w.tx, w.ordinal, w.committed_at) LIMIT 5;
SELECT format('es_read_all gives position %s as number %s', position, n)
	FROM (SELECT position, row_number() OVER () AS n FROM es_read_all()) r
	WHERE position <> n AND NOT EXISTS (SELECT FROM es_events WHERE tenant_id <> '') LIMIT 5;
SELECT format('the head is %s, the last position %s', es_head_position(), max(position))
	FROM whole HAVING coalesce(max(position), 0) <> es_head_position();
SELECT format('es_check: %s %s: %s', tenant_id, stream_id, problem) FROM es_check() LIMIT 5;
ROLLBACK;
SQL
	return is($problems, 'ok ', $name);
}

=item positions(node, database, schema)

Every event that has a position, in their order, as text.

=cut

sub positions
{
	my ($node, $db, $schema) = @_;
	my $path = defined $schema ? "$schema, pg_catalog" : 'public, pg_catalog';
	return $node->safe_psql($db, <<"SQL");
SET search_path = $path;
SET timezone = 'UTC';
SELECT x.position + e.ordinal, x.committed_at, e.tenant_id, e.stream_id, e.version, e.event_id
	FROM es_commits c, es_commit_entries(c.first_position, c.entries) x JOIN es_events e USING (tx)
	ORDER BY 1;
SQL
}

=item sequencer_pid(node, database)

The process of the database's sequencer, waited for.

=cut

sub sequencer_pid
{
	my ($node, $db) = @_;
	my $query = "SELECT %s FROM pg_stat_activity WHERE backend_type = 'event_store sequencer' AND datname = '$db'";

	for (1 .. 10)
	{
		$node->poll_query_until('postgres', sprintf($query, 'count(*) = 1'))
		  or die "no sequencer in $db";
		my $pid = $node->safe_psql('postgres', sprintf($query, 'pid'));
		return $pid if $pid =~ /^\d+$/;
	}
	die "no sequencer stays in $db";
}

=item sequencer_is_another(node, database, pid)

Waits until the sequencer is another process than that.

=cut

sub sequencer_is_another
{
	my ($node, $db, $pid) = @_;
	return $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'event_store sequencer'"
		  . " AND datname = '$db' AND pid <> $pid");
}

=item sequencers_are(node, "databases in order", test name)

The databases with a sequencer, waited for until they are those.

=cut

sub sequencers_are
{
	my ($node, $databases, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(
		$node->poll_query_until('postgres',
			"SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_stat_activity"
			  . " WHERE backend_type = 'event_store sequencer'",
			$databases),
		$name);
}

=item projection_pids(node, database)

The processes of the database's projection workers, as they are now.

=cut

sub projection_pids
{
	my ($node, $db) = @_;
	return split /\n/,
	  $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'event_store projection' AND datname = '$db' ORDER BY pid");
}

=item projection_workers_are(node, database, count, test name)

Waits until the database has so many projection workers.

=cut

sub projection_workers_are
{
	my ($node, $db, $count, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(
		$node->poll_query_until('postgres',
			"SELECT count(*) = $count FROM pg_stat_activity"
			  . " WHERE backend_type = 'event_store projection' AND datname = '$db'"),
		$name);
}

=item read_log(node, database, after)

What a reader that has got to a position reads next: "position stream version"
of each event, joined by commas.

=cut

sub read_log
{
	my ($node, $db, $after) = @_;
	return $node->safe_psql($db,
		"SELECT string_agg(concat_ws(' ', position, stream_id, version), ', ') FROM es_read_all($after)");
}

=back

=cut

1;
