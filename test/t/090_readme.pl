# The README's examples: each block of SQL is run, in order and in one session,
# and must print what the block of text behind it says.
#
# A block behind the line "<!-- not run -->" is left out.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $readme = dirname(__FILE__) . '/../../README.md';
my $node = PostgreSQL::Test::Cluster->new('readme');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'event_store'
wal_level = logical
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION event_store');

open(my $fh, '<', $readme) or die "could not open $readme: $!";
my $text = do { local $/; <$fh> };
close($fh);

# The outputs are compared in one piece, so that one psql session can run all.
my (@sql, @expected);
while ($text =~ /(<!-- not run -->\n)?```sql\n(.*?)```\n(?:```text\n(.*?)```\n)?/sg)
{
	my ($skip, $sql, $expected) = ($1, $2, $3);
	next if $skip;
	push @sql, $sql;
	push @expected, $expected;
}

cmp_ok(scalar(@sql), '>', 5, 'README has examples');

# Standard output and errors go into one pipe, so that they come in order.
my $marker = '-- block';
my $script = join('', map { "\\echo $marker\n$_" } @sql);
my $file = PostgreSQL::Test::Utils::tempdir() . '/readme.sql';
PostgreSQL::Test::Utils::append_to_file($file, $script);

local $ENV{PGOPTIONS} = '-c client_min_messages=notice';
my $connstr = $node->connstr('postgres');
my $out = `psql -X -q -P footer=off -d "$connstr" -v VERBOSITY=default < $file 2>&1`;
my @got = split(/^\Q$marker\E\n/m, $out);
shift @got;

for my $i (0 .. $#sql)
{
	my $title = (split(/\n/, $sql[$i]))[0];
	my ($got, $expected) = ($got[$i] // '', $expected[$i] // '');
	s/\s+\z//, s/[ \t]+$//mg for ($got, $expected);
	is($got, $expected, "README: $title");
}

$node->stop;
done_testing();
