-- The ledger: positions, and what keeps users from changing them.

CREATE FUNCTION es_head_position() RETURNS bigint
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_head_position';
COMMENT ON FUNCTION es_head_position() IS
  'the last position of the log, 0 when it is empty';

CREATE FUNCTION es_position(stream_id text, version bigint) RETURNS bigint
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_position';
COMMENT ON FUNCTION es_position(text, bigint) IS
  'position of an event in the log; NULL when there is no such event or it has no position yet';

CREATE FUNCTION es_commit_entries(
  first_position bigint,
  entries        bytea,
  OUT "position"   bigint,
  OUT tx           bigint,
  OUT events       integer,
  OUT committed_at timestamptz
) RETURNS SETOF record
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 100
AS 'MODULE_PATHNAME', 'es_commit_entries';
COMMENT ON FUNCTION es_commit_entries(bigint, bytea) IS
  'the transactions of a row of es_commits, each with the position of its first event';

CREATE FUNCTION es_commit_problem(
  first_position bigint, last_position bigint, tx_range int8range, entries bytea
) RETURNS text
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_commit_problem';
COMMENT ON FUNCTION es_commit_problem(bigint, bigint, int8range, bytea) IS
  'what is wrong with a row of es_commits, NULL if nothing is (used by es_check)';

CREATE FUNCTION es_pack_entries(tx bigint[], events integer[], committed_at timestamptz[]) RETURNS bytea
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_pack_entries';
COMMENT ON FUNCTION es_pack_entries(bigint[], integer[], timestamptz[]) IS
  'packs transactions as in es_commits.entries (for tests and repairs; it does not look at what it packs)';

CREATE FUNCTION es_commits_before_insert() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_commits_before_insert';
COMMENT ON FUNCTION es_commits_before_insert() IS
  'trigger function: refuses a row that cannot be in the ledger';

CREATE FUNCTION es_commits_immutable() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_commits_immutable';
COMMENT ON FUNCTION es_commits_immutable() IS
  'trigger function: refuses UPDATE, DELETE and TRUNCATE of the ledger';

-- Triggers fire in the order of their names; this one must be the last to see
-- a row, hence the name.
CREATE TRIGGER zz_es_commits_before_insert BEFORE INSERT ON es_commits
  FOR EACH ROW EXECUTE FUNCTION es_commits_before_insert();
CREATE TRIGGER es_commits_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON es_commits
  FOR EACH STATEMENT EXECUTE FUNCTION es_commits_immutable();
CREATE TRIGGER es_commits_immutable_row BEFORE UPDATE OR DELETE ON es_commits
  FOR EACH ROW EXECUTE FUNCTION es_commits_immutable();

ALTER TABLE es_commits ENABLE ALWAYS TRIGGER zz_es_commits_before_insert;
ALTER TABLE es_commits ENABLE ALWAYS TRIGGER es_commits_immutable;
ALTER TABLE es_commits ENABLE ALWAYS TRIGGER es_commits_immutable_row;

COMMENT ON TRIGGER zz_es_commits_before_insert ON es_commits IS
  'refuses a row that cannot be in the ledger';
COMMENT ON TRIGGER es_commits_immutable ON es_commits IS
  'refuses UPDATE, DELETE and TRUNCATE of the ledger';
COMMENT ON TRIGGER es_commits_immutable_row ON es_commits IS
  'refuses UPDATE and DELETE of rows that a subscription applies';
