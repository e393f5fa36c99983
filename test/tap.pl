#!/usr/bin/perl
#
# tap.pl: run programs that speak TAP and count their assertions.
#
#   test/tap.pl COUNTS-FILE PROGRAM ...
#
# Programs are Perl (.pl), psql scripts (.sql, for pgTAP), Python, JavaScript
# or shell. COUNTS-FILE gets a line "passed failed"; skipped assertions are
# neither. A program that breaks its plan, dies, hangs (TAP_TIMEOUT seconds) or
# says nothing counts as one failure even if no assertion of its failed.

use strict;
use warnings;

use TAP::Harness;
use TAP::Parser::Aggregator;

my ($counts_file, @programs) = @ARGV;
die "usage: tap.pl COUNTS-FILE PROGRAM ...\n" unless @programs;

my $timeout = $ENV{TAP_TIMEOUT} // 600;
my %command = (
	pl  => [$^X],
	sql => [ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-P', 'pager=off', '-f' ],
	py  => ['python3'],
	js  => ['node'],
	sh  => ['bash']);

sub command_of
{
	my ($harness, $program) = @_;
	my ($suffix) = $program =~ /\.(\w+)$/;
	die "$program: what kind of program is this?\n" unless $command{ $suffix // '' };
	return "1..0 # SKIP $command{$suffix}[0] is not installed\n"
	  unless grep { -x "$_/$command{$suffix}[0]" } '', split /:/, $ENV{PATH};
	return [ 'timeout', '--kill-after=10', $timeout, @{ $command{$suffix} }, $program ];
}

my $harness = TAP::Harness->new({ exec => \&command_of, failures => 1, timer => 1 });
my ($passed, $failed) = (0, 0);
my @problems;

# What is wrong with a program, beside or instead of assertions that failed.
sub complaint
{
	my ($parser) = @_;
	return 'hung and was stopped' if $parser->exit == 124;
	return 'exit code ' . $parser->exit if $parser->exit;
	return 'killed by signal ' . ($parser->wait & 127) if $parser->wait;
	return join('; ', $parser->parse_errors) if $parser->parse_errors;
	return 'said nothing' if !$parser->tests_run && !defined $parser->skip_all;
	return;
}

# One by one: a program that bails out must not take the others with it.
for my $program (@programs)
{
	my $results = TAP::Parser::Aggregator->new;

	$results->start;
	my $ended = eval { $harness->aggregate_tests($results, $program); 1 };
	$results->stop;

	my ($parser) = $results->parsers($program);
	my @failed = $parser ? $parser->failed : ();
	my $complaint = $parser ? complaint($parser) : $@;
	$complaint = 'bailed out' if $parser && !$ended;

	$passed += $parser->passed - $parser->skipped if $parser;
	$failed += @failed ? @failed : defined $complaint ? 1 : 0;
	push @problems, "$program: "
	  . join(', ', @failed ? "assertions @failed" : (), $complaint // ())
	  if @failed || defined $complaint;
}
print "FAILED  $_\n" for @problems;

open(my $fh, '>', $counts_file) or die "$counts_file: $!\n";
print $fh "$passed $failed\n";
close $fh;
exit($failed ? 1 : 0);
