-- Snapshots: states folded from a stream, to fold less the next time.

CREATE FUNCTION es_snapshots_before_write() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_snapshots_before_write';
COMMENT ON FUNCTION es_snapshots_before_write() IS
  'trigger function: refuses a snapshot of a version that the stream has not reached';

CREATE TRIGGER zz_es_snapshots_before_write BEFORE INSERT OR UPDATE ON es_snapshots
  FOR EACH ROW EXECUTE FUNCTION es_snapshots_before_write();
COMMENT ON TRIGGER zz_es_snapshots_before_write ON es_snapshots IS
  'refuses a snapshot of a version that the stream has not reached';

CREATE FUNCTION es_save_snapshot(
  stream_id text,
  version   bigint,
  state     jsonb,
  aggregate text DEFAULT ''
) RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO es_snapshots AS s (tenant_id, stream_id, version, aggregate, state)
  VALUES (es_tenant(), $1, $2, $4, $3)
  ON CONFLICT ON CONSTRAINT es_snapshots_pkey
  DO UPDATE SET state = EXCLUDED.state, created_at = EXCLUDED.created_at, definition = NULL;
END;
COMMENT ON FUNCTION es_save_snapshot(text, bigint, jsonb, text) IS
  'saves the state of a stream at a version, in place of an earlier one of the same version and aggregate';

CREATE FUNCTION es_load_snapshot(
  stream_id  text,
  at_version bigint DEFAULT NULL,
  aggregate  text   DEFAULT NULL
) RETURNS SETOF es_snapshots
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
  SELECT s.tenant_id, s.stream_id, s.version, s.aggregate, s.state, s.created_at, s.definition
    FROM es_snapshots s
   WHERE s.tenant_id = es_tenant()
     AND s.stream_id = $1
     AND s.version <= coalesce($2, 9223372036854775807)
     AND ($3 IS NULL OR s.aggregate = $3)
   ORDER BY s.version DESC
   LIMIT es_check_read($1, $2, 1::bigint);
END;
COMMENT ON FUNCTION es_load_snapshot(text, bigint, text) IS
  'the newest snapshot of a stream at or below a version, of one aggregate or any';

CREATE FUNCTION es_delete_snapshots(
  stream_id      text,
  before_version bigint DEFAULT NULL,
  aggregate      text   DEFAULT NULL
) RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH deleted AS (
    DELETE FROM es_snapshots s
     WHERE s.tenant_id = es_tenant()
       AND s.stream_id = $1
       AND ($2 IS NULL OR s.version < $2)
       AND ($3 IS NULL OR s.aggregate = $3)
    RETURNING 1)
  SELECT pg_catalog.count(*) FROM deleted LIMIT es_check_read($1, $2, 1::bigint);
END;
COMMENT ON FUNCTION es_delete_snapshots(text, bigint, text) IS
  'deletes the snapshots of a stream before a version, or all; returns how many';
