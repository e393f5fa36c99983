# The examples: each is run by psql as its README says, and must print what
# stands beside it.
#
# All run in one store, one behind the other: none may depend on being alone.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Utils;
use Test::More;

use EventStoreTest;

my $examples = dirname(__FILE__) . '/../../examples';
my @scripts  = sort glob "$examples/*.sql";
my $node     = new_log_node('examples');
my $connstr  = $node->connstr('postgres');

cmp_ok(scalar(@scripts), '>=', 4, 'there are examples');

for my $script (@scripts)
{
	my $name = basename($script, '.sql');
	my $got  = "$PostgreSQL::Test::Utils::log_path/$name.out";

	# Standard output and errors go into one file, so that they come in order.
	system(qq(psql -X -q -a -d "$connstr" < $script > $got 2>&1));
	is(`diff -u -b $examples/$name.out $got 2>&1`, '', "example $name prints what it should");
}

# What each shows in the end holds for all of them.
is( $node->safe_psql('postgres', "SELECT name, state, last_error FROM es_projections WHERE state IN ('failed', 'retrying')"),
	'', 'no projection of an example has failed');
is($node->safe_psql('postgres', 'SELECT count(*) FROM es_dead_letters'), '0', 'or has left an event out');
store_is_sound($node, 'postgres', 'the store with all examples is sound');
log_is_whole($node, 'postgres', 'its log is whole');
log_is_clean($node);
$node->stop;
done_testing();
