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

CREATE FUNCTION es_state(
  stream_id   text,
  at_version  bigint      DEFAULT NULL,
  as_of       timestamptz DEFAULT NULL,
  at_position bigint      DEFAULT NULL,
  aggregate   text        DEFAULT NULL
) RETURNS jsonb
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'es_state';
COMMENT ON FUNCTION es_state(text, bigint, timestamptz, bigint, text) IS
  'the state of a stream, now or at a version, time or position; NULL when it had no events';
