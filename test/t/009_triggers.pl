# What an owner adds to es_events holds for every way in: triggers fire for
# es_append as for INSERT and COPY, and row-level security keeps readers apart.
# Whatever such a trigger does, versions and ordinals stay without a hole. (The
# functions of the extension run with a search_path of their own, so a trigger
# function brings the one that it needs.)

use strict;
use warnings;

use EventStoreTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('triggers');

# Each part has a database of its own.
sub new_store
{
	my ($db) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db,        'CREATE EXTENSION event_store');
	return $db;
}

my $every_way = <<'SQL';
SELECT es_append('order-1', 'A', '1');
SELECT es_append_batch('order-1', '{B,C}', '{2,3}');
SELECT es_append_json('order-1', '[{"type": "D", "data": 4}]');
INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'E', '5'), ('order-1', 'F', '6');
COPY es_events (stream_id, event_type, data) FROM stdin;
order-1	G	7
order-1	H	8
\.
SQL

# ---------------------------------------------------------------------------
# An AFTER trigger sees each event as it is stored.
# ---------------------------------------------------------------------------
my $db = new_store('after_row');
$node->safe_psql($db, <<'SQL');
CREATE TABLE audit (version bigint, event_type text, event_id uuid, tx bigint, ordinal int);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
	INSERT INTO audit SELECT NEW.version, NEW.event_type, NEW.event_id, NEW.tx, NEW.ordinal;
	RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION audit();
SQL
$node->safe_psql($db, $every_way);
succeeds($node, $db, 'SELECT string_agg(event_type, \'\' ORDER BY version) FROM audit', 'ABCDEFGH', 'an AFTER ROW trigger fires for every way in');
succeeds($node, $db, 'TABLE audit EXCEPT SELECT version, event_type, event_id, tx, ordinal FROM es_events', '', 'with the event as it is stored');
store_is_sound($node, $db, 'the store is sound');

# It goes back with the savepoint.
$node->safe_psql($db, "BEGIN; SAVEPOINT a; SELECT es_append('order-1', 'Gone', '1'); ROLLBACK TO a; SELECT es_append('order-1', 'I', '1'); COMMIT");
succeeds($node, $db, 'SELECT string_agg(event_type, \'\' ORDER BY version) FROM audit', 'ABCDEFGHI', 'and goes back with a savepoint');

# An error in it undoes the append.
$node->safe_psql($db, "CREATE OR REPLACE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS \$\$ BEGIN RAISE 'not today' USING ERRCODE = 'P0009'; END \$\$");
for my $statement (
	"SELECT es_append('order-1', 'No', '1')",
	"SELECT es_append_batch('order-1', '{No,No}', '{1,1}')",
	"INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'No', '1')")
{
	fails_with($node, $db, $statement, 'P0009', "an error in the trigger stops: $statement");
}
succeeds($node, $db, "SELECT es_stream_version('order-1')", '9', 'and nothing was appended');

# A trigger that appends itself, to another stream and to the same.
$node->safe_psql($db, <<'SQL');
CREATE OR REPLACE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
	IF NEW.event_type <> 'Echo' THEN
		PERFORM es_append('echo-' || NEW.stream_id, 'Echo', NEW.data);
		PERFORM es_append(NEW.stream_id, 'Echo', NEW.data);
	END IF;
	RETURN NULL;
END $$;
SQL
$node->safe_psql($db, "SELECT es_append('loop-1', 'A', '1'); INSERT INTO es_events (stream_id, event_type, data) VALUES ('loop-2', 'A', '1'), ('loop-2', 'B', '1')");
succeeds($node, $db, "SELECT stream_id, es_stream_version(stream_id), es_stream_version('echo-' || stream_id) FROM (VALUES ('loop-1'), ('loop-2')) s (stream_id)",
	"loop-1|2|1\nloop-2|4|2", 'a trigger appends to the same and to another stream');

# The events of a batch follow each other: one that appends in between breaks it.
fails_with($node, $db, "SELECT es_append_batch('loop-3', '{A,B}', '{1,1}')", 'PE001', 'a trigger cannot append into the middle of a batch');
succeeds($node, $db, "SELECT es_stream_version('loop-3'), es_stream_version('echo-loop-3')", '0|0', 'and nothing of the batch is there');
store_is_sound($node, $db, 'the store is sound with a trigger that appends');

# ---------------------------------------------------------------------------
# Statement triggers, with the rows of the statement.
# ---------------------------------------------------------------------------
$db = new_store('after_statement');
$node->safe_psql($db, <<'SQL');
CREATE TABLE audit (events bigint);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
	INSERT INTO audit SELECT count(*) FROM added;
	RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT ON es_events REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION audit();
SQL
$node->safe_psql($db, $every_way);
succeeds($node, $db, 'SELECT sum(events) FROM audit', '8', 'a statement trigger with a transition table counts the events of every way in');
store_is_sound($node, $db, 'the store is sound');

# ---------------------------------------------------------------------------
# A BEFORE trigger runs ahead of the extension's own.
# ---------------------------------------------------------------------------
$db = new_store('before_changes');
$node->safe_psql($db, <<'SQL');
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
	NEW.metadata := coalesce(NEW.metadata, '{}') || '{"changed": true}';
	RETURN NEW;
END $$;
CREATE TRIGGER a_first BEFORE INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION change();
SQL
$node->safe_psql($db, $every_way);
succeeds($node, $db, "SELECT string_agg(event_type, '' ORDER BY version), bool_and(metadata ->> 'changed' = 'true') FROM es_events",
	'ABCDEFGH|t', 'a BEFORE trigger changes the metadata of every event');
store_is_sound($node, $db, 'the store is sound with it');

# Rows that the trigger drops leave no hole.
$db = new_store('before_drops');
$node->safe_psql($db, <<'SQL');
CREATE FUNCTION drop_some() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
	IF NEW.event_type IN ('B', 'D', 'E', 'G') THEN
		RETURN NULL;
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER a_first BEFORE INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION drop_some();
SQL
$node->psql($db, $every_way, on_error_stop => 0);
unlike($node->safe_psql($db, "SELECT string_agg(event_type, '' ORDER BY version) FROM es_events"), qr/[BDEG]/, 'a BEFORE trigger drops events');
store_is_sound($node, $db, 'no hole where it dropped an event');
for my $statement (
	"SELECT es_append('drop-0', 'B', '1')",
	"SELECT es_append_batch('drop-0', '{A,B}', '{1,1}')",
	"SELECT es_append_json('drop-0', '[{\"type\": \"B\", \"data\": 1}]')")
{
	# A version is the promise that the event is there.
	like(outcome($node, $db, $statement), qr/^(?!ok)\w{5}: /, "no version for an event that was dropped: $statement");
}
succeeds($node, $db, "SELECT es_stream_version('drop-0')", '0', 'and nothing else of the call is there');
$node->safe_psql($db, <<'SQL');
BEGIN;
INSERT INTO es_events (stream_id, event_type, data) VALUES ('drop-1', 'A', '1'), ('drop-1', 'B', '1'), ('drop-2', 'B', '1'), ('drop-1', 'C', '1');
INSERT INTO es_events (stream_id, event_type, data) VALUES ('drop-2', 'A', '1');
SELECT es_append('drop-1', 'A', '1');
COMMIT;
SQL
succeeds($node, $db, "SELECT es_stream_version('drop-1'), es_stream_version('drop-2')", '3|1', 'versions go on over what it dropped');
store_is_sound($node, $db, 'no hole within a statement where it dropped an event');

# One that meddles with what the extension decides is undone or refused, never stored.
$db = new_store('before_meddles');
$node->safe_psql($db, <<'SQL');
CREATE TABLE meddling (what text);
INSERT INTO meddling VALUES ('');
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
	CASE what FROM meddling
		WHEN 'version' THEN NEW.version := 7;
		WHEN 'stream' THEN NEW.stream_id := 'other-1';
		WHEN 'tenant' THEN NEW.tenant_id := 'other';
		WHEN 'tx' THEN NEW.tx := 4711;
		WHEN 'ordinal' THEN NEW.ordinal := 9;
		WHEN 'time' THEN NEW.recorded_at := '2001-01-01';
		WHEN 'type' THEN NEW.event_type := repeat('x', 1000);
		WHEN 'null' THEN NEW.data := NULL;
		ELSE NULL;
	END CASE;
	RETURN NEW;
END $$;
CREATE TRIGGER a_first BEFORE INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION meddle();
SELECT es_append('order-1', 'A', '1');
SQL
for my $what ('version', 'stream', 'tenant', 'tx', 'ordinal', 'time', 'type', 'null')
{
	$node->safe_psql($db, "UPDATE meddling SET what = '$what'");
	$node->psql($db, $every_way, on_error_stop => 0);
	store_is_sound($node, $db, "a BEFORE trigger meddles with $what: the store is sound");
}

# One that would run behind the extension's own trigger could make a hole: it is
# refused by name, for every way in.
$db = new_store('before_last');
$node->safe_psql($db, <<'SQL');
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER zzz_last BEFORE INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION change();
SQL
for my $statement (
	"SELECT es_append('order-1', 'A', '1')",
	"SELECT es_append_batch('order-1', '{A,B}', '{1,2}')",
	"SELECT es_append_json('order-1', '[{\"type\": \"A\", \"data\": 1}]')",
	"INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'A', '1')",
	"COPY es_events (stream_id, event_type, data) FROM stdin;\norder-1\tA\t1\n\\.")
{
	fails_with($node, $db, $statement, qr/^55000: .*zzz_last/, "a BEFORE trigger behind the extension's own is refused: $statement");
}
$node->safe_psql($db, 'DROP TRIGGER zzz_last ON es_events');
succeeds($node, $db, "SELECT es_append('order-1', 'A', '1', expected_version => 0)", '1', 'without it appends go on');

# ---------------------------------------------------------------------------
# Row-level security: a reader sees its own tenant only, through every function.
# ---------------------------------------------------------------------------
$db = new_store('security');
$node->safe_psql($db, <<'SQL');
CREATE ROLE tenant_reader LOGIN;
CREATE ROLE tenant_writer LOGIN;
SELECT es_grant('tenant_reader', 'reader'), es_grant('tenant_writer', 'writer');
SET event_store.tenant_id = 'a';
SELECT es_append('order-1', 'OfA', '1'), es_save_snapshot('order-1', 1, '"of a"');
SET event_store.tenant_id = 'b';
SELECT es_append('order-1', 'OfB', '1'), es_append('order-1', 'OfB', '1'), es_save_snapshot('order-1', 1, '"of b"');
ALTER TABLE es_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE es_snapshots ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_a ON es_events FOR SELECT TO tenant_reader USING (tenant_id = 'a');
CREATE POLICY only_a ON es_snapshots FOR SELECT TO tenant_reader USING (tenant_id = 'a');
SQL
succeeds($node, $db, <<'SQL', "OfA\nOfA\n\"of a\"", 'a reader sees its tenant', 'tenant_reader');
SELECT event_type FROM es_events;
SET event_store.tenant_id = 'a';
SELECT event_type FROM es_read_stream('order-1');
SELECT state FROM es_load_snapshot('order-1');
SQL
succeeds($node, $db, <<'SQL', '', 'and nothing of another', 'tenant_reader');
SET event_store.tenant_id = 'b';
SELECT event_type FROM es_read_stream('order-1');
SELECT state FROM es_load_snapshot('order-1');
SELECT event_type FROM es_events WHERE tenant_id = 'b';
SQL
succeeds($node, $db, "SET event_store.tenant_id = 'a'; SELECT es_append('order-1', 'OfA', '1', expected_version => 1)", '2',
	'a writer, who appends through functions, still does', 'tenant_writer');
succeeds($node, $db, "SET event_store.tenant_id = 'b'; SELECT es_append('order-1', 'OfB', '1', expected_version => 2)", '3',
	'and versions count all events, whoever may see them', 'tenant_writer');
store_is_sound($node, $db, 'the store is sound');

# ---------------------------------------------------------------------------
# What else an owner can put on the table.
# ---------------------------------------------------------------------------
$db = new_store('constraints');
$node->safe_psql($db, "ALTER TABLE es_events ADD CONSTRAINT no_secrets CHECK (event_type <> 'Secret')");
for my $statement (
	"SELECT es_append('order-1', 'Secret', '1')",
	"SELECT es_append_batch('order-1', '{Open,Secret}', '{1,1}')",
	"SELECT es_append_json('order-1', '[{\"type\": \"Secret\", \"data\": 1}]')",
	"INSERT INTO es_events (stream_id, event_type, data) VALUES ('order-1', 'Secret', '1')")
{
	fails_with($node, $db, $statement, '23514', "a CHECK constraint holds for: $statement");
}
$node->safe_psql($db, "CREATE UNIQUE INDEX one_open ON es_events (stream_id) WHERE event_type = 'Open'");
succeeds($node, $db, "SELECT es_append('order-1', 'Open', '1')", '1', 'a partial unique index lets the first in');
fails_with($node, $db, "SELECT es_append('order-1', 'Open', '1')", '23505', 'and not the second');
$node->safe_psql($db, "CREATE INDEX by_data ON es_events USING gin (data); CREATE INDEX by_total ON es_events ((data ->> 'total'))");
succeeds($node, $db, <<'SQL', "3\n1\n1", 'further indexes find what was appended');
SELECT es_append_batch('order-1', '{X,Y}', '{"{\"total\": \"7\"}","{\"total\": \"8\"}"}');
SET enable_seqscan = off;
SELECT count(*) FROM es_events WHERE data @> '{"total": "7"}';
SELECT count(*) FROM es_events WHERE data ->> 'total' = '8';
SQL
store_is_sound($node, $db, 'the store is sound');

log_is_clean($node);
$node->stop;
done_testing();
