#!/usr/bin/perl
#
# meta.pl: is META.json what PGXN's specification (version 1.0.0) asks for, and
# does it agree with the control file?

use strict;
use warnings;

use FindBin;
use JSON::PP;

chdir "$FindBin::Bin/.." or die "$FindBin::Bin/..: $!\n";

my @problems;

sub problem { push @problems, join '', @_; return; }

sub slurp
{
	my ($file) = @_;
	open(my $fh, '<:raw', $file) or die "$file: $!\n";
	local $/;
	return scalar <$fh>;
}

# A version as PGXN wants it: semantic versioning.
my $semver = qr/^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[0-9A-Za-z.-]+)?$/;
my $term   = qr/^[^\s\/\\\x00-\x1f]{2,}$/;

my $meta = JSON::PP->new->utf8->decode(slurp('META.json'));
my ($version) = slurp('event_store.control') =~ /^default_version\s*=\s*'([^']+)'/m
  or die "event_store.control has no default_version\n";

for my $key (qw(name version abstract maintainer license provides meta-spec))
{
	problem("no $key") unless defined $meta->{$key} && length $meta->{$key};
}
exit report() if @problems;

problem("version $meta->{version} is not $version of the control file") if $meta->{version} ne $version;
problem("version $meta->{version} is no semantic version") if $meta->{version} !~ $semver;
problem("name \"$meta->{name}\" is no term")               if $meta->{name} !~ $term;
problem("meta-spec is not version 1.0.0")                  if $meta->{'meta-spec'}{version} ne '1.0.0';
problem("unknown release_status")
  if ($meta->{release_status} // 'stable') !~ /^(?:stable|testing|unstable)$/;

# One string or a list of them, none empty.
for my $key (qw(maintainer license tags))
{
	next unless defined $meta->{$key};
	my @values = ref $meta->{$key} ? @{ $meta->{$key} } : $meta->{$key};
	problem("$key is empty") if !@values || grep { ref || !length } @values;
}
my %licenses = map { $_ => 1 } qw(agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd
  gfdl_1_2 gfdl_1_3 gpl_1 gpl_2 gpl_3 lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5
  postgresql qpl_1_0 ssleay sun zlib open_source restricted unrestricted unknown);
problem("license \"$meta->{license}\" is not in the list of the specification")
  if !ref $meta->{license} && !$licenses{ $meta->{license} };

for my $name (sort keys %{ $meta->{provides} })
{
	my $extension = $meta->{provides}{$name};
	problem("$name: version is not $version") if ($extension->{version} // '') ne $version;
	for my $key (qw(file docfile))
	{
		next if $key eq 'docfile' && !defined $extension->{$key};
		problem("$name: $key is missing or no file") unless defined $extension->{$key} && -f $extension->{$key};
	}
}
problem('provides no event_store') unless $meta->{provides}{event_store};

my %known = map { $_ => 1 } qw(name version abstract description maintainer license provides
  prereqs meta-spec tags release_status resources no_index generated_by);
problem("key \"$_\" is not in the specification")
  for grep { !$known{$_} && !/^x_/i } sort keys %$meta;

for my $phase (sort keys %{ $meta->{prereqs} // {} })
{
	problem("unknown phase $phase") unless $phase =~ /^(?:configure|build|test|runtime|develop)$/;
	problem("unknown relation in $phase")
	  if grep { !/^(?:requires|recommends|suggests|conflicts)$/ } keys %{ $meta->{prereqs}{$phase} };
}

sub report
{
	print "META.json: $_\n" for @problems;
	return @problems ? 1 : 0;
}

exit report();
