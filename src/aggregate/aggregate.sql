-- Aggregates: states folded from streams.

CREATE FUNCTION es_create_aggregate(
  name           text,
  category       text,
  evolve         regproc,
  initial_state  jsonb   DEFAULT NULL,
  snapshot_every integer DEFAULT 100,
  keep           integer DEFAULT 1,
  decide         regproc DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_create_aggregate';
COMMENT ON FUNCTION es_create_aggregate(text, text, regproc, jsonb, integer, integer, regproc) IS
  'says how the streams of a category are folded into states; category NULL is the name';

CREATE FUNCTION es_alter_aggregate(
  name           text,
  evolve         regproc DEFAULT NULL,
  initial_state  jsonb   DEFAULT NULL,
  snapshot_every integer DEFAULT NULL,
  keep           integer DEFAULT NULL,
  decide         regproc DEFAULT NULL,
  owner          name    DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_alter_aggregate';
COMMENT ON FUNCTION es_alter_aggregate(text, regproc, jsonb, integer, integer, regproc, name) IS
  'changes what is not NULL of an aggregate; snapshot_every 0: no snapshots, keep 0: all are kept';

CREATE FUNCTION es_drop_aggregate(name text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_drop_aggregate';
COMMENT ON FUNCTION es_drop_aggregate(text) IS
  'drops an aggregate and the snapshots that it has saved; the events stay';

-- What reads states runs functions of users, which may do what the leader of a
-- parallel plan must not (in CREATE TABLE AS even PL/pgSQL's RETURN), and may
-- save snapshots: PARALLEL UNSAFE.
CREATE FUNCTION es_state(
  stream_id   text,
  at_version  bigint      DEFAULT NULL,
  as_of       timestamptz DEFAULT NULL,
  at_position bigint      DEFAULT NULL,
  aggregate   text        DEFAULT NULL
) RETURNS jsonb
LANGUAGE C STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_state';
COMMENT ON FUNCTION es_state(text, bigint, timestamptz, bigint, text) IS
  'the state of a stream, now or at a version, time or position; NULL when it had no events';

CREATE FUNCTION es_states(
  category     text,
  aggregate    text        DEFAULT NULL,
  as_of        timestamptz DEFAULT NULL,
  at_position  bigint      DEFAULT NULL,
  after_stream text        DEFAULT NULL,
  max_count    bigint      DEFAULT NULL
) RETURNS TABLE (stream_id text, version bigint, state jsonb)
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 1000
AS 'MODULE_PATHNAME', 'es_states';
COMMENT ON FUNCTION es_states(text, text, timestamptz, bigint, text, bigint) IS
  'the states of the streams of a category, in the order of their ids, now or at a time or position';

CREATE FUNCTION es_history(
  stream_id    text,
  from_version bigint DEFAULT NULL,
  to_version   bigint DEFAULT NULL,
  aggregate    text   DEFAULT NULL
) RETURNS TABLE (
  version     bigint,
  event_type  text,
  data        jsonb,
  metadata    jsonb,
  event_id    uuid,
  recorded_at timestamptz,
  state       jsonb,
  changes     jsonb
)
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 100
AS 'MODULE_PATHNAME', 'es_history';
COMMENT ON FUNCTION es_history(text, bigint, bigint, text) IS
  'the events of a stream, each with the state after it and what it changed (see es_json_diff)';

CREATE FUNCTION es_json_diff(before jsonb, after jsonb) RETURNS jsonb
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_json_diff';
COMMENT ON FUNCTION es_json_diff(jsonb, jsonb) IS
  'what makes the second value of the first: an array of operations as in RFC 6902, each with the old value';

CREATE FUNCTION es_rebuild_snapshots(aggregate text) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_rebuild_snapshots';
COMMENT ON FUNCTION es_rebuild_snapshots(text) IS
  'makes the snapshots of an aggregate anew, of all tenants, and deletes stale ones; returns how many it has made';
