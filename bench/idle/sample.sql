-- A reader's round, in one snapshot: each reader goes on from where it was. Then
-- says how many of the events and messages that this snapshot sees they have not got.
-- psql variables: log_position, log_read, xid_transaction, xid_position, xid_read.
WITH log AS (
  SELECT count(*) AS n, max(position) AS position
  FROM es_read_all(:log_position, 100000)
), xid AS (
  SELECT transaction_id, global_position
  FROM xid_messages
  WHERE (transaction_id, global_position) > (:'xid_transaction'::xid8, :xid_position)
    AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
), newest AS (
  SELECT transaction_id, global_position FROM xid ORDER BY 1 DESC, 2 DESC LIMIT 1
)
SELECT coalesce(log.position, :log_position),
       :log_read + log.n,
       coalesce((SELECT transaction_id FROM newest), :'xid_transaction'),
       coalesce((SELECT global_position FROM newest), :xid_position),
       :xid_read + (SELECT count(*) FROM xid),
       (SELECT count(*) FROM es_events) - :log_read - log.n,
       (SELECT count(*) FROM xid_messages) - :xid_read - (SELECT count(*) FROM xid)
FROM log;
