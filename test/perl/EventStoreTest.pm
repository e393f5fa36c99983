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
  holder
  let_go
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
  kill_process
  finish_after_crash
  shop_event
  shop_stream
  projections_are_caught_up
  projections_report
  install_truth_functions
  view_problems
  views_are_true
  install_counting_projections
  miscounted
  all_is_counted_once
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

=item holder(node, database, sql), let_go(session)

A session that holds what a statement takes, until it is told to let go.

=cut

sub holder
{
	my ($node, $db, $sql) = @_;
	my $session = $node->background_psql($db, on_error_stop => 1);
	$session->query_safe("BEGIN; $sql");
	return $session;
}

sub let_go
{
	my ($session) = @_;
	$session->query_safe('COMMIT');
	$session->quit;
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

# Type and data (JSON) of the next event for a stream, and the stream of the next
# append: write_client_script puts what it is told to in their place.
our $random_event  = sub { my ($how) = @_; return ($how, '1') };
our $random_stream = sub { my ($client) = @_; return 'load-' . int(rand($client->{streams})) };

sub literal
{
	my ($text) = @_;
	return "'" . $text =~ s/'/''/gr . "'";
}

# A random append: es_append, es_append_batch, es_append_json, INSERT, COPY, or
# one of the functions of install_load_functions.
sub random_append
{
	my ($client) = @_;
	my $stream = $random_stream->($client);
	my ($before, $expected) = random_expectation($stream);
	my $kind  = rand;
	my $count = $kind < 0.65 ? 1 : $kind < 0.96 ? 2 + int(rand($client->{most} - 1)) : 3;
	my @ids   = map { event_uuid($client->{number}, $client->{events}++) } 1 .. $count;

	$client->{appends}++;
	if ($kind < 0.65)
	{
		my @event = $random_event->('One', $stream);
		my $sql = $before . append_one($stream, $expected, $ids[0], @event);

		# Now and then a client retries an append that may have gone through.
		$sql .= append_one($stream, 'NULL', $ids[0], @event) if rand() < 0.05;
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
	my @rows = map {
		my ($type, $data) = $random_event->('Insert', $stream);
		"('$stream', '$type', " . literal($data) . ", '$_')"
	} @ids;
	return statement(
		'INSERT INTO es_events (stream_id, event_type, data, event_id) VALUES ' . join(', ', @rows) . ';',
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

	append_to_file($file, join('', map {
		my ($type, $data) = $random_event->('Copy', $stream);
		join("\t", $stream, $type, $data =~ s/\\/\\\\/gr, $_) . "\n"
	} @ids));
	return "\\copy es_events (stream_id, event_type, data, event_id) FROM '$file'\n"
	  . statement('SELECT 1 AS one \\gset', "ok $stream - @ids");
}

sub append_one
{
	my ($stream, $expected, $id, $type, $data) = @_;
	$data = literal($data);
	return statement(
		"SELECT es_append('$stream', '$type', $data, NULL, $expected, '$id') AS version \\gset",
		"ok $stream :version $id");
}

sub append_batch
{
	my ($stream, $expected, @ids) = @_;
	my @events = map { [ $random_event->('Batch', $stream) ] } @ids;
	my $types = join(', ', map { "'$_->[0]'" } @events);
	my $data  = join(', ', map { literal($_->[1]) } @events);
	my $list  = join(',', @ids);
	return statement(
		"SELECT es_append_batch('$stream', ARRAY[$types], ARRAY[$data]::jsonb[], NULL, $expected, '{$list}') AS version \\gset",
		"ok $stream :version @ids");
}

sub append_json
{
	my ($stream, $expected, @ids) = @_;
	my $json = literal('[' . join(', ', map {
		my ($type, $data) = $random_event->('Json', $stream);
		qq({"type": "$type", "data": $data, "id": "$_"})
	} @ids) . ']');
	return statement(
		"SELECT es_append_json('$stream', $json, $expected) AS version \\gset",
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

=item write_client_script(file, client => n, appends => n, streams => n, transactions => share, prepared => share, most => n, setup => sql, stream => sub, event => sub)

The script of one client: so many append calls to so many streams, the given
share of its steps being transactions of several, of which the given share is
prepared; a call appends at most that many events (5). The same client number
gives the same script in every run.

stream->(client) says where the next append goes, event->(how, stream) the type
and the data of each event, as JSON: shop_stream and shop_event, for example.

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
	local $random_event  = $opt{event}  // $random_event;
	local $random_stream = $opt{stream} // $random_stream;

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

=item kill_process(node, signal, "backend type")

Sends a signal to one process of the server of that type (the beginning of its
backend_type), whichever; tells its pid, or undef if there is none.

=cut

sub kill_process
{
	my ($node, $signal, $type) = @_;
	my $pid = outcome($node, 'postgres',
		"SELECT pid FROM pg_stat_activity WHERE starts_with(backend_type, '$type') AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1");

	return unless $pid =~ /^ok (\d+)$/;
	kill $signal, $1;
	return $1;
}

=item finish_after_crash(node, database, clients)

Returns when the server answers again, the clients are gone, and the
transactions that they left prepared are committed or rolled back (by rand).

=cut

sub finish_after_crash
{
	my ($node, $db, @clients) = @_;

	wait_for_server($node);
	$_->kill_kill for @clients;
	$node->poll_query_until($db,
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
	  or die 'clients stay';
	for my $gid (split /\n/, $node->safe_psql($db, 'SELECT gid FROM pg_prepared_xacts ORDER BY gid'))
	{
		$node->safe_psql($db, (rand() < 0.5 ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$gid'");
	}
	return;
}

=back

=head2 Projections

=over

=item shop_stream(client), shop_event(how, stream)

For write_client_script: streams of orders, accounts and trips, and what happens
to them. Values are missing, null and of several types; numbers that views take
for floating point are exact.

=cut

sub shop_stream
{
	my ($client) = @_;
	return (qw(order account trip))[ rand 3 ] . '-' . int(rand($client->{streams}));
}

# One of the values, or nothing: the key is left out, or null.
sub sometimes
{
	my ($key, @values) = @_;
	my $r = rand;

	return if $r < 0.1;
	return qq("$key": null) if $r < 0.2;
	return qq("$key": $values[rand @values]);
}

sub cents
{
	my ($most) = @_;
	return sprintf('%.2f', int(rand($most * 100)) / 100);
}

sub quarters
{
	my ($most) = @_;
	return int(rand($most * 4)) / 4;
}

sub shop_event
{
	my ($how, $stream) = @_;
	my $r       = rand;
	my $by      = qq("by": "$how");
	my $due     = sprintf('"due": "2026-%02d-%02dT%02d:30:00Z"', 1 + rand 4, 1 + rand 28, rand 24);
	my @regions = map { qq("$_") } qw(north South east Ost);

	if ($stream =~ /^account/)
	{
		return ('AccountRenamed', '{' . join(', ', $by, sometimes('name', '"Anna"', '"Björn"', '"O\'Neil"', '""')) . '}') if $r < 0.1;
		my $amount = rand() < 0.5 ? cents(100) : '"' . cents(100) . '"';
		return ($r < 0.6 ? 'MoneyDeposited' : 'MoneyWithdrawn',
			'{' . join(', ', $by, qq("amount": $amount), $due, sometimes('channel', '"web"', '"branch"', '7')) . '}');
	}
	if ($stream =~ /^trip/)
	{
		return ('TripCancelled', '{' . join(', ', $by, sometimes('region', @regions), sometimes('driver', map { qq("d$_") } 1 .. 5)) . '}') if $r < 0.15;
		return (
			'TripCompleted',
			'{' . join(', ', $by, $due,
				sometimes('region', @regions),
				sometimes('driver', map { qq("d$_") } 1 .. 5),
				sometimes('rating', 1 .. 5),
				'"fare": ' . cents(40), '"km": ' . quarters(30), '"seconds": ' . int(rand(5000))) . '}');
	}
	my @lines = map {
		'{' . join(', ', '"sku": "s' . int(rand(8)) . '"', '"qty": ' . (1 + int(rand(4))), '"price": ' . cents(20), sometimes('gift', 'true', 'false')) . '}'
	} 1 .. int(rand(4));
	return (
		'OrderPlaced',
		'{' . join(', ', $by, $due,
			sometimes('customer', map { qq("c$_") } 1 .. 6),
			sometimes('express', 'true', 'false'),
			'"total": ' . cents(200),
			'"lines": [' . join(', ', @lines) . ']') . '}') if $r < 0.5;
	return ('OrderPaid', '{' . join(', ', $by, '"amount": ' . cents(200)) . '}') if $r < 0.7;
	return ('OrderShipped', '{' . join(', ', $by, sometimes('carrier', '"Post"', '"Bote"')) . '}') if $r < 0.85;
	return ('OrderCancelled', '{' . join(', ', $by, sometimes('reason', '"late"', '"too \\\\ \\"dear\\""')) . '}');
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

=item projections_report(node, database)

How the projections are that are not where the log is, to be shown when a test
has failed.

=cut

sub projections_report
{
	my ($node, $db) = @_;
	return outcome($node, $db, <<'SQL');
SELECT row_to_json(p) FROM (
	SELECT name, mode, state, position, es_head_position() AS head, attempts, last_error, failed_position, pids
	FROM es_projections WHERE position < es_head_position() OR last_error IS NOT NULL) p;
SQL
}

=item projections_are_caught_up(node, database, test name, projection)

All that is committed is in the read models, or in that one, before long.

=cut

sub projections_are_caught_up
{
	my ($node, $db, $name, $projection) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$projection = defined $projection ? literal($projection) : 'NULL';
	my $ok = succeeds($node, $db, "SELECT es_wait($projection, '60 s')", 't', $name);
	diag(projections_report($node, $db)) unless $ok;
	return $ok;
}

=item install_truth_functions(node, database, schema)

What view_problems and views_are_true need in the database.

=cut

sub install_truth_functions
{
	my ($node, $db, $schema) = @_;
	$schema //= 'public';
	$node->safe_psql($db, <<"SQL");
CREATE SCHEMA truth;

-- The log, without the functions and views of the extension but the one that
-- unpacks the ledger.
CREATE VIEW truth.log AS
	SELECT x.position + e.ordinal AS position, x.committed_at, e.tenant_id, e.stream_id, e.version, e.event_id, e.event_type,
		e.schema_version, e.data, e.metadata, e.recorded_at, e.tx, e.ordinal, 1::bigint AS piece
	FROM $schema.es_commits c, $schema.es_commit_entries(c.first_position, c.entries) x JOIN $schema.es_events e USING (tx);

-- Columns of a relation, as text.
CREATE FUNCTION truth.columns(relation regclass) RETURNS text LANGUAGE sql AS \$\$
	SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped;
\$\$;

-- How a relation differs from a query over the relation "log", which holds the
-- events behind a position: '' if it does not.
CREATE FUNCTION truth.differences(relation text, query text, after bigint) RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE
	result text;
BEGIN
	EXECUTE format('CREATE TEMP TABLE expected ON COMMIT DROP AS WITH log AS (SELECT * FROM events WHERE position > %s) %s', after, query);
	IF truth.columns('expected') <> truth.columns(relation::regclass) THEN
		result := format('columns %s instead of %s. ', truth.columns(relation::regclass), truth.columns('expected'));
	ELSE
		EXECUTE format('SELECT string_agg(d, E''\\n'') FROM (
				(SELECT ''missing: '' || m::text FROM (TABLE expected EXCEPT ALL TABLE %s) m LIMIT 3)
				UNION ALL
				(SELECT ''unexpected: '' || u::text FROM (TABLE %s EXCEPT ALL TABLE expected) u LIMIT 3)) d(d)', relation, relation)
			INTO result;
	END IF;
	DROP TABLE expected;
	RETURN coalesce(result, '');
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END \$\$;

-- What es_verify has to say.
CREATE FUNCTION truth.verify(projection text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	RETURN coalesce((SELECT string_agg(concat_ws(' ', difference, 'expected', expected, 'actual', actual), E'\\n')
		FROM (SELECT * FROM $schema.es_verify(projection) LIMIT 6) v), '');
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END \$\$;
SQL
	return;
}

=item view_problems(node, database, [views])

Compares views with the log in two ways: with what es_verify says, and with a
query written by hand. A view is { name, truth, after (0), before }: truth is a
query over the relation "log", which has the columns of es_log and the events
behind the position "after". The SQL of "before" runs before the view is looked
at, and is rolled back afterwards. Answers a list of [what es_verify says, what
the query says], '' being nothing.

=cut

sub view_problems
{
	my ($node, $db, $views) = @_;
	my $sql = "SET client_min_messages = warning;\nBEGIN;\nCREATE TEMP TABLE events AS TABLE truth.log;\nANALYZE events;\n";

	for my $i (0 .. $#$views)
	{
		my $view = $views->[$i];
		$sql .= "SAVEPOINT before;\n$view->{before};\n" if defined $view->{before};
		$sql .= sprintf("SELECT '#%d ' || replace(%s, E'\\n', ' // ');\n", @$_)
		  for [ 2 * $i, 'truth.verify(' . literal($view->{name}) . ')' ],
		  [ 2 * $i + 1, sprintf('truth.differences(%s, %s, %d)', literal($view->{name}), literal($view->{truth}), $view->{after} // 0) ];
		$sql .= "ROLLBACK TO before;\n" if defined $view->{before};
	}
	my ($ret, $out, $err) = $node->psql($db, $sql . "ROLLBACK;\n", on_error_stop => 0);
	my %got = $out =~ /^#(\d+) (.*)$/mg;
	return map { [ map { $got{$_} // "no answer: $err" } 2 * $_, 2 * $_ + 1 ] } 0 .. $#$views;
}

=item views_are_true(node, database, [views], test name)

Neither es_verify nor the query written by hand finds a difference in any of
the views.

=cut

sub views_are_true
{
	my ($node, $db, $views, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @problems = view_problems($node, $db, $views);

	for my $i (0 .. $#$views)
	{
		is(join("\n", map { length $problems[$i][$_] ? (qw(es_verify: truth:))[$_] . " $problems[$i][$_]" : () } 0, 1),
			'', "$name: $views->[$i]{name}");
	}
	return;
}

=item install_counting_projections(node, database)

Projections that are wrong for good if an event is applied twice, or left out:
statements, some of them inline, a view, and a saga, whose handlers append events
that others handle in turn. They count the events of shop_event.

=cut

sub install_counting_projections
{
	my ($node, $db) = @_;
	$node->safe_psql($db, <<'SQL');
-- Statements: a number, a table without a key, in the order in which it came, and
-- one that three partitions write into.
CREATE TABLE counter (n bigint);
INSERT INTO counter VALUES (0);
CREATE TABLE arrivals (arrival bigint GENERATED ALWAYS AS IDENTITY, position bigint, stream_id text, version bigint);
CREATE TABLE split_counter (stream_id text PRIMARY KEY, n bigint, versions numeric);
SELECT es_create_projection('counter', 'UPDATE counter SET n = n + (SELECT count(*) FROM es_log)');
SELECT es_create_projection('arrivals', statements => ARRAY[
	'INSERT INTO arrivals (position, stream_id, version) SELECT position, stream_id, version FROM es_log']);
SELECT es_create_projection('split_counter', $$
	INSERT INTO split_counter SELECT stream_id, count(*), sum(version) FROM es_log GROUP BY stream_id ORDER BY stream_id
	ON CONFLICT (stream_id) DO UPDATE SET n = split_counter.n + excluded.n, versions = split_counter.versions + excluded.versions $$, partitions => 3);

-- In the transaction that appends: a table without a key, and a number for each
-- category.
CREATE TABLE inline_arrivals (stream_id text, version bigint);
CREATE TABLE inline_counter (category text PRIMARY KEY, n bigint);
SELECT es_create_projection('inline_arrivals', 'INSERT INTO inline_arrivals SELECT stream_id, version FROM es_log', mode => 'inline');
SELECT es_create_projection('inline_counter', $$
	INSERT INTO inline_counter SELECT es_category(stream_id), count(*) FROM es_log GROUP BY 1 ORDER BY 1
	ON CONFLICT (category) DO UPDATE SET n = inline_counter.n + excluded.n $$, mode => 'inline', categories => '{account}');

-- A saga: an order asks for its payment, the payment for what is to be delivered,
-- and all of it is noted. Handlers are SQL and functions.
CREATE TABLE notes (event_type text, stream_id text, version bigint);
CREATE FUNCTION deliver(event es_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM es_append('delivery-' || (event.data->>'order'), 'DeliveryRequested', event.data);
	PERFORM es_append('delivery-log', 'DeliveryNoted', event.data);
END $$;
SELECT es_create_projection('payments', handlers => $${
	"OrderPlaced": "SELECT es_append('payment-' || stream_id, 'PaymentRequested', jsonb_build_object('order', stream_id, 'version', version))"
}$$);
SELECT es_create_projection('deliveries', handlers => '{"PaymentRequested": "deliver"}', categories => '{payment}');
SELECT es_create_projection('notes', partitions => 2, handlers => $${
	"PaymentRequested": "INSERT INTO notes VALUES (event_type, data->>'order', (data->>'version')::bigint)",
	"DeliveryRequested": ["INSERT INTO notes VALUES (event_type, data->>'order', (data->>'version')::bigint)"]
}$$);
SELECT es_create_view('by_type', 'SELECT event_type, count(*) AS n, avg(version) AS mean FROM es_log GROUP BY event_type');
SQL
	return;
}

# What must be true when all is applied: a name, what is, what should be.
my @counted = (
	[ 'the counter' => 'SELECT n FROM counter', 'SELECT count(*) FROM es_events' ],
	[ 'arrivals, in the order of the log' => <<'SQL', 'SELECT count(*), count(*), 0 FROM es_events' ],
SELECT count(*), count(DISTINCT position), count(*) FILTER (WHERE position <= before) FROM (SELECT position, lag(position) OVER (ORDER BY arrival) AS before FROM arrivals) a
SQL
	[ 'arrivals' => 'SELECT count(*) FROM (SELECT stream_id, version FROM arrivals EXCEPT ALL SELECT stream_id, version FROM es_events) d', 'SELECT 0' ],
	[ 'the split counter' => 'SELECT count(*), sum(n), sum(versions) FROM split_counter', 'SELECT count(DISTINCT stream_id), count(*), sum(version) FROM es_events' ],
	[ 'inline arrivals' => 'SELECT count(*), (SELECT count(*) FROM (TABLE inline_arrivals EXCEPT ALL SELECT stream_id, version FROM es_events) d) FROM inline_arrivals', 'SELECT count(*), 0 FROM es_events' ],
	[ 'the inline counter' => 'SELECT sum(n) FROM inline_counter', q{SELECT count(*) FROM es_events WHERE stream_id LIKE 'account-%'} ],
	[ 'payments' => <<'SQL', <<'SQL' ],
SELECT count(*), count(DISTINCT (data->>'order', data->>'version')), min(stream_id), max(stream_id) FROM es_events WHERE event_type = 'PaymentRequested'
SQL
SELECT count(*), count(*), min('payment-' || stream_id), max('payment-' || stream_id) FROM es_events WHERE event_type = 'OrderPlaced'
SQL
	[ 'deliveries' => <<'SQL', <<'SQL' ],
SELECT count(*) FILTER (WHERE event_type = 'DeliveryRequested'), count(DISTINCT (data->>'order', data->>'version')) FILTER (WHERE event_type = 'DeliveryRequested'),
	count(*) FILTER (WHERE event_type = 'DeliveryNoted'), count(DISTINCT (data->>'order', data->>'version')) FILTER (WHERE event_type = 'DeliveryNoted')
FROM es_events WHERE stream_id LIKE 'delivery-%'
SQL
SELECT count(*), count(*), count(*), count(*) FROM es_events WHERE event_type = 'OrderPlaced'
SQL
	[ 'the notes' => 'SELECT count(*), count(DISTINCT (event_type, stream_id, version)) FROM notes', q{SELECT 2 * count(*), 2 * count(*) FROM es_events WHERE event_type = 'OrderPlaced'} ],
	[ 'the view' => 'SELECT count(*), sum(n), sum(round(mean * n)) FROM by_type', 'SELECT count(DISTINCT event_type), count(*), sum(version) FROM es_events' ]);


=item miscounted(node, database, before)

What the projections of install_counting_projections have not counted exactly
once; '' if there is nothing. The SQL of "before" runs before, in the same
transaction; all of it is rolled back.

=cut

sub miscounted
{
	my ($node, $db, $before) = @_;
	my @answers = split /\n/, $node->safe_psql($db,
		"BEGIN;\n" . ($before // '') . ";\n" . join('', map { "$_->[1];\n$_->[2];\n" } @counted) . "ROLLBACK;\n");
	return join("\n", map { "$counted[$_][0]: $answers[2 * $_] instead of $answers[2 * $_ + 1]" }
		  grep { $answers[ 2 * $_ ] ne $answers[ 2 * $_ + 1 ] } 0 .. $#counted);
}

=item all_is_counted_once(node, database, test name)

=cut

sub all_is_counted_once
{
	my ($node, $db, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	# Two waits for what is appended because of what was appended, one for all.
	projections_are_caught_up($node, $db, "$name: caught up") for 1 .. 3;
	return is(miscounted($node, $db), '', "$name: every event is counted once");
}

=back

=cut

1;
