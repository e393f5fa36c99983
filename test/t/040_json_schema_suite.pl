# The official cases for JSON Schema, draft 2020-12 (test/json-schema-suite):
# does es_json_schema_is_valid say of each what the suite says?
#
# A case that the validator is not to pass stands in a list below with the
# reason; if it passes nevertheless, the list is wrong, and the test fails.

use strict;
use warnings;

use File::Basename;
use File::Find;
use Test::More;

use EventStoreTest;

my $suite = dirname(__FILE__) . '/../json-schema-suite';

# Required cases: "file: group: case", the last of them maybe a pattern.
my @no_nul   = 'a jsonb holds no \u0000, so such data cannot be in an event';
my %required = (
	'const.json: nul characters in strings: *' => @no_nul,
	'enum.json: nul characters in strings: *'  => @no_nul,
);

# Optional ones.
my $old      = '"dependencies" is no keyword since draft 2019-09, and does nothing, as the draft has it';
my $format   = '"format" is an annotation; the vocabulary that makes it an assertion is not known';
my %optional = (
	'optional/cross-draft.json: refs to historic drafts are processed as historic drafts: first item not a string is valid' =>
	  'schemas of other drafts are not known',
	(map { ("optional/dependencies-compatibility.json: $_" => $old) }
		'single dependency: missing dependency',
		'multiple dependents required: missing dependency',
		'multiple dependents required: missing other dependency',
		'multiple dependents required: missing both dependencies',
		'dependencies with escaped characters: CRLF missing dependent',
		'dependencies with escaped characters: quoted quotes missing dependent',
		'single schema dependency: wrong type',
		'single schema dependency: wrong type other',
		'single schema dependency: wrong type both',
		'boolean subschemas: object with property having schema false is invalid',
		'boolean subschemas: object with both properties is invalid',
		'schema dependencies with escaped characters: quoted tab invalid under dependent schema',
		'schema dependencies with escaped characters: quoted quote',
		'schema dependencies with escaped characters: quoted quote invalid under dependent schema'),
	'optional/format-assertion.json: schema that uses custom metaschema with format-assertion: false: format-assertion: false: invalid string' => $format,
	'optional/format-assertion.json: schema that uses custom metaschema with format-assertion: true: *' => $format,
);

sub slurp
{
	my ($file) = @_;
	open(my $handle, '<:raw', $file) or die "$file: $!";
	local $/;
	return <$handle>;
}

# A file as SQL. JSON, not JSONB, until the cases are taken apart: it leaves
# numbers as they are. Taking JSON apart does not work with \u0000 in it, so that
# another character stands for it until then.
sub insert_file
{
	my ($table, $name, $file) = @_;
	my $content = slurp($file);
	$content =~ s/\\u0000/\\uE000/g;
	return "INSERT INTO $table VALUES ('$name', \$file\$$content\$file\$);\n";
}

sub files
{
	my ($directory) = @_;
	my @found;
	find({ wanted => sub { push @found, $File::Find::name if /\.json$/ }, no_chdir => 1 }, $directory);
	return sort @found;
}

my $node = new_node('json_schema_suite');
my $sql  = <<'SQL';
SET client_encoding = 'UTF8';
CREATE EXTENSION event_store;
CREATE TABLE remote (uri text, content json);
CREATE TABLE file (name text, content json);
SQL

for my $file (files("$suite/remotes"))
{
	my ($name) = $file =~ m{/remotes/(.*)$};
	$sql .= insert_file('remote', "http://localhost:1234/$name", $file);
}
my @files = files("$suite/draft2020-12");
for my $file (@files)
{
	my ($name) = $file =~ m{/draft2020-12/(.*)$};
	$sql .= insert_file('file', $name, $file);
}
$sql .= <<'SQL';
CREATE VIEW suite_case AS
  SELECT f.name, g.number AS group_number, g.content->>'description' AS group_name, c.number, c.content->>'description' AS case_name,
         g.content->'schema' AS schema, c.content->'data' AS data, (c.content->>'valid')::boolean AS valid
    FROM file f, json_array_elements(f.content) WITH ORDINALITY g(content, number),
         json_array_elements(g.content->'tests') WITH ORDINALITY c(content, number);
-- What the validator says: true, false or an error.
CREATE FUNCTION answer(schema json, data json, documents jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail  text;
  result  boolean;
  schemab jsonb;
  datab   jsonb;
BEGIN
  schemab := replace(schema::text, '\uE000', '\u0000')::jsonb;
  datab := replace(data::text, '\uE000', '\u0000')::jsonb;
  result := es_json_schema_is_valid(schemab, datab, documents);
  -- The two functions must be of one mind.
  IF result <> NOT EXISTS (SELECT FROM es_json_schema_problems(schemab, datab, documents)) THEN
    RETURN 'es_json_schema_is_valid and es_json_schema_problems do not agree';
  END IF;
  RETURN result;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN concat_ws(' ', SQLSTATE, SQLERRM, detail);
END $$;
CREATE TABLE result AS
  SELECT name LIKE 'optional/%' AS optional, concat_ws(': ', name, group_name, case_name) AS name, valid,
         answer(schema, data, (SELECT jsonb_object_agg(uri, content) FROM remote)) AS answer
    FROM suite_case ORDER BY name, group_number, number;
SQL
$node->safe_psql('postgres', $sql);

cmp_ok(scalar(@files), '>=', 58, 'the files of the suite are there');

# Runs one kind of cases past its list.
sub look_at
{
	my ($kind, $condition, $exceptions) = @_;
	my $total  = $node->safe_psql('postgres', "SELECT count(*) FROM result WHERE $condition");
	my $passed = $node->safe_psql('postgres', "SELECT count(*) FROM result WHERE $condition AND answer = valid::text");
	my @failed = split /\n/, $node->safe_psql('postgres',
		"SELECT name || E'\\t' || replace(answer, E'\\n', ' ') FROM result WHERE $condition AND answer <> valid::text");
	my %used;
	my @unexpected;

	for my $line (@failed)
	{
		my ($name, $answer) = split /\t/, $line;
		my ($listed) = grep { my $pattern = quotemeta($_); $pattern =~ s/\\\*$/.*/; $name =~ /^$pattern$/ } keys %$exceptions;
		if (defined $listed)
		{
			$used{$listed} = 1;
		}
		else
		{
			push @unexpected, "$name: $answer";
		}
	}
	diag("$passed of $total $kind cases pass");
	note("left out: $_ ($exceptions->{$_})") for sort keys %$exceptions;
	is(join("\n", @unexpected), '', "all $kind cases pass that are not left out");
	is(join("\n", grep { !$used{$_} } sort keys %$exceptions), '', "no $kind case is left out without need");

	# A pattern must not hide cases that pass.
	for my $listed (grep { /\*$/ } sort keys %$exceptions)
	{
		(my $prefix = $listed) =~ s/\*$//;
		$prefix =~ s/'/''/g;
		is($node->safe_psql('postgres', "SELECT count(*) FROM result WHERE $condition AND answer = valid::text AND starts_with(name, '$prefix')"),
			'0', "every case of \"$listed\" needs it");
	}
	return $total;
}

cmp_ok(look_at('required', 'NOT optional', \%required), '>=', 1299, 'no required case is missing');
look_at('optional', 'optional', \%optional);
$node->stop;
done_testing();
