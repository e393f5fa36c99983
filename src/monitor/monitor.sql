-- What the sequencer does.

CREATE FUNCTION es_sequencer_status(
  OUT state           text,
  OUT pid             integer,
  OUT sequenced_lsn   pg_lsn,
  OUT unread_bytes    bigint,
  OUT batches         bigint,
  OUT events          bigint,
  OUT heals           bigint,
  OUT started_at      timestamptz,
  OUT last_batch_at   timestamptz,
  OUT slot_name       name,
  OUT retry_at        timestamptz,
  OUT last_error      text,
  OUT last_error_code text,
  OUT last_error_at   timestamptz
) RETURNS record
LANGUAGE C VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'es_sequencer_status';
COMMENT ON FUNCTION es_sequencer_status() IS
  'what shared memory tells of the sequencer of this database (see the view es_sequencer)';

-- A straggler, a transaction that took its number long ago, may stand in the
-- newest row: the numbers of the newest rows together tell where the log is.
CREATE VIEW es_sequencer AS
  SELECT s.state,
         s.pid,
         es_head_position() AS head_position,
         (SELECT pg_catalog.max(e.committed_at)
            FROM (SELECT c.first_position, c.entries FROM es_commits c
                   ORDER BY c.first_position DESC LIMIT 1) c,
                 LATERAL es_commit_entries(c.first_position, c.entries) e) AS last_commit,
         w.lag_events,
         s.unread_bytes AS lag_bytes,
         CASE WHEN w.lag_events = 0 THEN '0'::pg_catalog.interval
              ELSE pg_catalog.clock_timestamp() - w.since END AS lag_time,
         s.batches,
         s.events,
         s.heals,
         s.started_at,
         s.last_batch_at,
         coalesce(r.slot_name, s.slot_name) AS slot_name,
         r.wal_status AS slot_wal_status,
         CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
              ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.restart_lsn)::pg_catalog.int8 END AS slot_retained_bytes,
         s.last_error,
         s.last_error_code,
         s.last_error_at,
         s.retry_at
    FROM es_sequencer_status() s
         CROSS JOIN LATERAL (
           SELECT pg_catalog.count(*) AS lag_events, pg_catalog.min(e.recorded_at) AS since
             FROM es_events e
            WHERE e.tx >= coalesce((SELECT pg_catalog.max(pg_catalog.upper(c.tx_range))
                                      FROM (SELECT c.tx_range FROM es_commits c
                                             ORDER BY c.first_position DESC LIMIT 100) c), 0)) w
         LEFT JOIN pg_catalog.pg_replication_slots r
           ON r.database = pg_catalog.current_database() AND r.plugin = 'event_store'::pg_catalog.name
              AND r.slot_name = coalesce(s.slot_name,
                    (SELECT t.slot_name FROM es_sequencer_state t
                      ORDER BY t.healed_at DESC LIMIT 1));
COMMENT ON VIEW es_sequencer IS
  'the sequencer of this database: what it does, how far behind it is, what its replication slot keeps, its last error';
COMMENT ON COLUMN es_sequencer.state IS
  'starting, healing, reading, waiting, failed (will be tried again), unavailable (a setting forbids it), stopped; not preloaded, standby';
COMMENT ON COLUMN es_sequencer.pid IS 'its process';
COMMENT ON COLUMN es_sequencer.head_position IS 'the last position';
COMMENT ON COLUMN es_sequencer.last_commit IS 'when the newest transaction with positions committed';
COMMENT ON COLUMN es_sequencer.lag_events IS 'committed events without a position';
COMMENT ON COLUMN es_sequencer.lag_bytes IS
  'flushed WAL, of whatever, that it has not read; an idle one reads on after a while only';
COMMENT ON COLUMN es_sequencer.lag_time IS 'age of the oldest event without a position';
COMMENT ON COLUMN es_sequencer.batches IS 'batches written since the server was started';
COMMENT ON COLUMN es_sequencer.events IS 'events that got positions since the server was started';
COMMENT ON COLUMN es_sequencer.heals IS 'replication slots made since the server was started';
COMMENT ON COLUMN es_sequencer.started_at IS 'when its process was started';
COMMENT ON COLUMN es_sequencer.last_batch_at IS 'when it wrote its last batch';
COMMENT ON COLUMN es_sequencer.slot_name IS 'its replication slot';
COMMENT ON COLUMN es_sequencer.slot_wal_status IS 'wal_status of the slot, as in pg_replication_slots';
COMMENT ON COLUMN es_sequencer.slot_retained_bytes IS 'WAL that the slot keeps the server from removing';
COMMENT ON COLUMN es_sequencer.last_error IS 'what made it end last';
COMMENT ON COLUMN es_sequencer.last_error_code IS 'SQLSTATE of that';
COMMENT ON COLUMN es_sequencer.last_error_at IS 'when that was';
COMMENT ON COLUMN es_sequencer.retry_at IS 'when the launcher tries again after it';
