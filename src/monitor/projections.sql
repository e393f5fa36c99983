-- What the projections do.

CREATE FUNCTION es_projection_status(
  OUT projection_id integer,
  OUT partition     integer,
  OUT pid           integer,
  OUT "position"    bigint,
  OUT events        bigint,
  OUT batches       bigint,
  OUT rate          double precision,
  OUT last_batch_at timestamptz,
  OUT workers       integer,
  OUT build_pid     integer,
  OUT build_done    bigint,
  OUT build_total   bigint
) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 8
AS 'MODULE_PATHNAME', 'es_projection_status';
COMMENT ON FUNCTION es_projection_status() IS
  'what shared memory tells of the projections of this database (see the view es_projections): a row for each part of one, and one with partition -1 for each build';

-- How far a projection is: its slowest part, by the table or by shared memory,
-- whichever is ahead. The age of the oldest event that is not applied is that of
-- the ledger's entry with the next position. (The LIMIT 64 is the greatest number
-- of partitions, for the planner.)
CREATE VIEW es_projections AS
  SELECT d.id,
         d.name,
         d.kind,
         d.owner,
         coalesce(d.query, pg_catalog.array_to_string(d.statements, ';
'), d.handlers::pg_catalog.text, 'REFRESH MATERIALIZED VIEW '::pg_catalog.text OPERATOR(pg_catalog.||) d.relation::pg_catalog.text) AS definition,
         d.relation,
         d.mode,
         CASE WHEN b.pid IS NOT NULL THEN 'rebuilding'
              WHEN d.mode = 'inline' THEN 'inline'
              WHEN d.paused THEN 'paused'
              WHEN f.failed THEN 'failed'
              WHEN f.attempts IS NOT NULL THEN 'retrying'
              WHEN p.position >= h.position THEN 'waiting'
              WHEN p.workers > 0 THEN 'running'
              ELSE 'stopped' END AS state,
         CASE WHEN d.mode = 'inline' THEN h.position ELSE p.position END AS "position",
         CASE WHEN d.mode = 'inline' THEN 0::pg_catalog.int8
              ELSE greatest(h.position - p.position, 0::pg_catalog.int8) END AS lag_events,
         CASE WHEN d.mode = 'inline' OR p.position >= h.position THEN '0'::pg_catalog.interval
              ELSE greatest(pg_catalog.clock_timestamp() - (
                     SELECT e.committed_at
                       FROM (SELECT c.first_position, c.entries
                               FROM es_commits c
                              WHERE c.first_position <= p.position + 1::pg_catalog.int8
                              ORDER BY c.first_position DESC LIMIT 1) c,
                            LATERAL es_commit_entries(c.first_position, c.entries) e
                      WHERE e.position <= p.position + 1::pg_catalog.int8
                      ORDER BY e.position DESC LIMIT 1), '0'::pg_catalog.interval) END AS lag_time,
         p.events,
         p.batches,
         p.rate,
         d.partitions,
         d.on_error,
         coalesce(f.attempts, 0) AS attempts,
         f.error_message AS last_error,
         f.error_code AS last_error_code,
         f.failed_at AS last_error_at,
         f.first_position AS failed_position,
         f.retry_at,
         (SELECT pg_catalog.count(*) FROM es_dead_letters l WHERE l.projection_id = d.id) AS dead_letters,
         p.pids,
         b.progress,
         p.applied_at AS last_batch_at,
         d.created_at
    FROM es_projection_definitions d
         CROSS JOIN (SELECT es_head_position() AS "position") h
         CROSS JOIN LATERAL (
           SELECT coalesce(pg_catalog.min(greatest(c.position, s.position, 0::pg_catalog.int8)), 0::pg_catalog.int8) AS "position",
                  coalesce(pg_catalog.sum(c.events), 0::pg_catalog.numeric)::pg_catalog.int8 AS events,
                  coalesce(pg_catalog.sum(c.batches), 0::pg_catalog.numeric)::pg_catalog.int8 AS batches,
                  coalesce(pg_catalog.sum(s.rate), 0::pg_catalog.float8) AS rate,
                  coalesce(pg_catalog.max(s.workers), 0) AS workers,
                  pg_catalog.max(c.applied_at) AS applied_at,
                  coalesce(pg_catalog.array_agg(DISTINCT s.pid) FILTER (WHERE s.pid IS NOT NULL), '{}'::pg_catalog.int4[]) AS pids
             FROM (SELECT g FROM pg_catalog.generate_series(0, d.partitions - 1) g LIMIT 64) n(partition)
                  LEFT JOIN LATERAL (
                    SELECT k.position, k.events, k.batches, k.applied_at
                      FROM es_checkpoints k
                     WHERE k.projection_id = d.id AND k.partition = n.partition
                     ORDER BY k.projection_id DESC, k.partition DESC, k.position DESC LIMIT 1) c ON true
                  LEFT JOIN es_projection_status() s ON s.projection_id = d.id AND s.partition = n.partition) p
         LEFT JOIN LATERAL (
           SELECT x.attempts, x.failed, x.error_message, x.error_code, x.failed_at, x.first_position, x.retry_at
             FROM es_projection_failures x
            WHERE x.projection_id = d.id
            ORDER BY x.failed DESC, x.failed_at DESC LIMIT 1) f ON true
         LEFT JOIN LATERAL (
           SELECT s.build_pid AS pid,
                  CASE WHEN s.build_total > 0::pg_catalog.int8
                       THEN pg_catalog.round(s.build_done::pg_catalog.numeric * 100::pg_catalog.numeric / s.build_total::pg_catalog.numeric, 1)
                       ELSE 100::pg_catalog.numeric END AS progress
             FROM es_projection_status() s
            WHERE s.projection_id = d.id AND s.partition = -1 LIMIT 1) b ON true;
COMMENT ON VIEW es_projections IS
  'the projections: what they are, what they do, how far behind the log they are, their last error';
COMMENT ON COLUMN es_projections.id IS 'number of the projection';
COMMENT ON COLUMN es_projections.name IS 'its name';
COMMENT ON COLUMN es_projections.kind IS 'view, statement, handlers or refresh';
COMMENT ON COLUMN es_projections.owner IS 'role that its SQL runs as';
COMMENT ON COLUMN es_projections.definition IS 'its SQL';
COMMENT ON COLUMN es_projections.relation IS 'of a view its table; the materialized view that is refreshed';
COMMENT ON COLUMN es_projections.mode IS 'async or inline';
COMMENT ON COLUMN es_projections.state IS
  'running (there are events to apply), waiting (there are none), retrying (after an error), failed (until it is resumed), paused, inline, rebuilding, stopped (there are events to apply, but no worker runs here)';
COMMENT ON COLUMN es_projections."position" IS 'all events up to here are applied';
COMMENT ON COLUMN es_projections.lag_events IS 'events of the log behind that';
COMMENT ON COLUMN es_projections.lag_time IS 'how long ago the oldest of them committed';
COMMENT ON COLUMN es_projections.events IS 'events applied since it was made or rebuilt';
COMMENT ON COLUMN es_projections.batches IS 'batches applied since then';
COMMENT ON COLUMN es_projections.rate IS 'events applied per second, in the last seconds';
COMMENT ON COLUMN es_projections.partitions IS 'into how many parts the streams are split';
COMMENT ON COLUMN es_projections.on_error IS 'what is done when retries are used up: stop or skip';
COMMENT ON COLUMN es_projections.attempts IS 'how often the next batch has failed';
COMMENT ON COLUMN es_projections.last_error IS 'what it failed with; NULL when it succeeded since';
COMMENT ON COLUMN es_projections.last_error_code IS 'SQLSTATE of that';
COMMENT ON COLUMN es_projections.last_error_at IS 'when that was';
COMMENT ON COLUMN es_projections.failed_position IS 'first event of the batch that failed; the event itself, where it is known';
COMMENT ON COLUMN es_projections.retry_at IS 'when it is tried again';
COMMENT ON COLUMN es_projections.dead_letters IS 'events that were set aside';
COMMENT ON COLUMN es_projections.pids IS 'the worker processes that ran it last';
COMMENT ON COLUMN es_projections.progress IS 'of a rebuild: per cent done; NULL: there is none';
COMMENT ON COLUMN es_projections.last_batch_at IS 'when a batch was applied last';
COMMENT ON COLUMN es_projections.created_at IS 'when it was made';
