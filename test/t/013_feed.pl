# pg_recvlogical reads the feed while clients append and both ends are cut off
# again and again: it ends up with every event, in the order of the commits, and
# what it has got twice is the same and was the end of what it had before.

use strict;
use warnings;

use EventStoreTest;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $dir  = PostgreSQL::Test::Utils::tempdir;
my $json = JSON::PP->new->utf8->canonical;
my $node = new_node(
	'feed',
	init => { allows_streaming => 'logical' },
	conf => <<'CONF');
fsync = on
restart_after_crash = on
deadlock_timeout = 20ms
logical_decoding_work_mem = 64kB
CONF
my $patience = 20 * $PostgreSQL::Test::Utils::timeout_default;

$node->safe_psql('postgres', 'CREATE EXTENSION event_store');
install_load_functions($node, 'postgres');

# ---------------------------------------------------------------------------
# Where PostgreSQL has a list of the plugins that may be used, ours must be in it.
# ---------------------------------------------------------------------------
SKIP:
{
	my $list = $node->safe_psql('postgres',
		"SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'");
	skip 'this PostgreSQL has no list of output plugins', 2 if $list eq '';

	fails_with($node, 'postgres', "SELECT pg_create_logical_replication_slot('feed', 'event_store')",
		qr/^\w{5}: library "event_store" may not be used as an output plugin\n.*output_plugin_libraries/s,
		'without event_store in output_plugin_libraries there is no slot');
	$node->append_conf('postgresql.conf', "output_plugin_libraries = '$list, event_store'");
	$node->reload;
	is( $node->safe_psql('postgres',
			"SELECT setting ~ 'event_store' FROM pg_settings WHERE name = 'output_plugin_libraries'"),
		't', 'it is put into the list with a reload');
}

$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('$_', 'event_store')")
  for 'feed', 'whole', 'cloud';
my $has_test_decoding =
  outcome($node, 'postgres', "SELECT pg_create_logical_replication_slot('theirs', 'test_decoding')") =~ /^ok/;

# ---------------------------------------------------------------------------
# Receivers
# ---------------------------------------------------------------------------
my @parts;

sub recvlogical
{
	my ($slot, @arguments) = @_;
	return (
		$node->installed_command('pg_recvlogical'),
		'-d', $node->connstr('postgres'),
		'-S', $slot, '--start', '--no-loop', @arguments);
}

# Starts a receiver that writes to a file of its own, when the one before it has
# left the slot.
sub start_receiver
{
	my (@arguments) = @_;

	$node->poll_query_until('postgres',
		"SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'feed'")
	  or die 'the slot stayed busy';
	push @parts, "$dir/part" . @parts;
	return IPC::Run::start(
		[ recvlogical('feed', '-f', $parts[-1], '-F', 1, '-s', 1, @arguments) ],
		'>', \my $out, '2>', "$parts[-1].err");
}

sub stop_receiver
{
	my ($receiver, $signal) = @_;
	$receiver->signal($signal);
	$receiver->finish;
	return;
}

# The last line of a receiver that was killed may not be whole.
sub lines
{
	my ($file) = @_;
	my $text = -e $file ? slurp_file($file) : '';
	$text =~ s/[^\n]+\z//;
	return split /\n/, $text;
}

# Until the receiver has got so many events.
sub wait_for_lines
{
	my ($count) = @_;
	for (1 .. $patience)
	{
		return if lines($parts[-1]) >= $count;
		usleep(50_000);
	}
	die "the receiver got too little: " . slurp_file("$parts[-1].err");
}

# ---------------------------------------------------------------------------
# Clients append, one end is cut off, and both go on.
# ---------------------------------------------------------------------------
my @cuts = (
	[ 'the receiver is killed',        sub { stop_receiver($_[0], 'KILL') } ],
	[ 'the server stops at once',      sub { $node->stop('immediate'); $_[0]->finish } ],
	[ 'the receiver is asked to stop', sub { stop_receiver($_[0], 'INT') } ],
	[ 'the server is restarted',       sub { $node->stop('fast'); $_[0]->finish } ],
	[ 'the walsender is killed',       sub {
			kill 'KILL', $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_replication');
			$_[0]->finish } ],
	[ 'both ends at once',             sub { $_[0]->signal('KILL'); $node->stop('immediate'); $_[0]->finish } ]);
my $number = 0;

for my $cut (@cuts)
{
	my ($name, $do) = @$cut;
	my @scripts = map { "$dir/round$number.client$_.sql" } 1 .. 4;

	write_client_script(
		$scripts[ $_ - 1 ],
		client       => 100 * $number + $_,
		appends      => 1000,
		streams      => 20,
		transactions => 0.3) for 1 .. 4;
	my $receiver = start_receiver();
	my @running  = start_clients($node, 'postgres', @scripts);
	wait_for_lines(200);
	$do->($receiver);
	finish_clients(@running);
	$node->start unless -e $node->data_dir . '/postmaster.pid';
	wait_for_server($node);
	cmp_ok(scalar(lines($parts[-1])), '>=', 200, "$name: events had come");
	$number++;
}

# What committed last is in the feed as well, up to a position of the WAL that is
# behind it.
$node->safe_psql('postgres', "SELECT es_append('last-1', 'Last', '1')");
my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
my $last = start_receiver('--endpos', $end);
$last->finish;
is($last->result(0), 0, 'the receiver ends where it was told to');

# ---------------------------------------------------------------------------
# What they have got together.
# ---------------------------------------------------------------------------
sub place
{
	my ($event) = @_;
	my ($high, $low) = map { hex } split m{/}, $event->{lsn};
	return ($high << 32 | $low, $event->{ordinal});
}

sub key
{
	my ($event) = @_;
	return "$event->{stream_id} $event->{version}";
}

my (%seen, @order);
my @reached = (0, -1);
my ($repeated, $changed, $disordered, $holes) = (0, 0, 0, 0);

for my $part (@parts)
{
	my @before;

	for my $line (lines($part))
	{
		my $event = $json->decode($line);
		my @place = place($event);
		my $key   = key($event);

		$disordered++
		  if @before && ($place[0] < $before[0] || $place[0] == $before[0] && $place[1] <= $before[1]);
		@before = @place;
		if (defined $seen{$key})
		{
			$repeated++;
			$changed++ if $seen{$key} ne $line;
			$holes++ if $place[0] > $reached[0];
			next;
		}
		# A new one is behind everything that had come before.
		$holes++ if $place[0] < $reached[0] || $place[0] == $reached[0] && $place[1] <= $reached[1];
		@reached = @place;
		$seen{$key} = $line;
		push @order, $key;
	}
}
note scalar(@order) . " events, $repeated of them repeated, in " . @parts . ' parts';
is($disordered, 0, 'each receiver got events in the order of commits and ordinals');
is($changed,    0, 'an event that comes again is the same');
is($holes,      0, 'a receiver goes on where one before it had got to, or before that');

my %version;
is( scalar(grep { my ($s, $v) = split; $v != ++$version{$s} } @order),
	0, 'the versions of each stream come as 1, 2, 3 ...');
is( join("\n", sort @order),
	join("\n", sort split /\n/, $node->safe_psql('postgres', "SELECT stream_id || ' ' || version FROM es_events")),
	'every event of the store has come, and no other');

# A slot of the same age, read in one go, has the same to say.
my @whole = split /\n/, $node->safe_psql('postgres',
	"SELECT data FROM pg_logical_slot_get_changes('whole', NULL, NULL)");
is(join("\n", map { $seen{$_} } @order), join("\n", @whole), 'and read in one go, the feed is the same');

# PostgreSQL's own plugin has the same order, of what it tells in its own way.
SKIP:
{
	skip 'this PostgreSQL has no test_decoding', 1 unless $has_test_decoding;
	my @theirs = split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT m[1] || ' ' || m[2]
	FROM pg_logical_slot_get_changes('theirs', NULL, NULL) WITH ORDINALITY c(lsn, xid, data, number),
		regexp_match(data, $$^table public\.es_events: INSERT: .* stream_id\[text\]:'([^']*)' version\[bigint\]:(\d+) $$) m
	WHERE m IS NOT NULL ORDER BY number;
SQL
	is(join("\n", @order), join("\n", @theirs), 'the order is that which test_decoding sees');
}

my $total = 0;
$total += $json->decode($_)->{events} for grep { /^\{"commit"/ } split /\n/,
  $node->safe_psql('postgres', "SELECT data FROM pg_logical_slot_peek_changes('cloud', NULL, NULL, 'transactions', 'true')");
is($total, scalar @order, 'the commits tell how many events there are');

# ---------------------------------------------------------------------------
# A receiver comes past transactions without events for it.
# ---------------------------------------------------------------------------
my $receiver = start_receiver();
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE noise AS SELECT i FROM generate_series(1, 20000) i;
UPDATE noise SET i = i + 1;
SQL
my $behind = $node->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
ok( $node->poll_query_until('postgres',
		"SELECT confirmed_flush_lsn >= '$behind' FROM pg_replication_slots WHERE slot_name = 'feed'"),
	'the slot moves on behind transactions without events');
stop_receiver($receiver, 'INT');
is(scalar(lines($parts[-1])), 0, 'of which nothing is said');

# ---------------------------------------------------------------------------
# Options of START_REPLICATION
# ---------------------------------------------------------------------------
$node->safe_psql('postgres', <<'SQL');
SET event_store.tenant_id = 'acme';
SELECT es_append('Caf' || chr(233) || '-1', 'A, B', '{"n": "\u00e9"}');
SQL
$end = $node->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');

# Returns what a receiver prints, and what it complains of.
sub receive
{
	my (@options) = @_;
	my ($out, $err);

	$node->poll_query_until('postgres',
		"SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'cloud'")
	  or die 'the slot stayed busy';
	IPC::Run::run([ recvlogical('cloud', '-f', '-', '--endpos', $end, map { ('-o', $_) } @options) ],
		'>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($out, $err);
}

for my $case (
	[ [ 'format=xml' ], qr/invalid value for option "format" of the feed: "xml"\nHINT:  Formats are json and cloudevents/ ],
	[ [ 'format' ], qr/option "format" of the feed needs a value/ ],
	[ [ 'tenants' ], qr/option "tenants" of the feed needs a value/ ],
	[ [ 'formats=json' ], qr/the feed has no option "formats"\nHINT:  Options are "format", "categories", "event_types", "tenants", "transactions" and "upcast"/ ],
	[ [ 'transactions', 'transactions=off' ], qr/option "transactions" of the feed is given twice/ ])
{
	my ($options, $expected) = @$case;
	my ($out, $err) = receive(@$options);
	like($err, $expected, "START_REPLICATION with @$options is refused");
}

my ($out, $err) = receive('tenants=acme', "categories=Caf\xc3\xa9", 'event_types="A, B"', 'transactions', 'format=cloudevents');
my @objects = map { $json->decode($_) } split /\n/, $out;
is($err, '', 'START_REPLICATION with all options succeeds');
is( join(' ', map { $_->{type} } @objects),
	'event_store.transaction.begin A, B event_store.transaction.commit',
	'and gives the events that were asked for');
is($objects[1]{source}, '/event_store/postgres/acme/Caf%C3%A9-1', 'a CloudEvent comes from its stream');
is($objects[1]{data}{n}, "\x{e9}", 'and is in UTF-8');

# A transaction that had its turn is over: the slot has been confirmed to there.
($out, $err) = receive('transactions');
is($out . $err, '', 'what a receiver has confirmed does not come again');

log_is_clean($node);
$node->stop;
done_testing();
