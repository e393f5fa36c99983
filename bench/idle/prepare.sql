-- A log as Emmett makes it: each message notes its transaction's number, and a
-- reader takes only those whose number lies before that of the oldest transaction
-- that still runs. Nothing is skipped by that, but an idle transaction that has a number
-- stops all readers.
CREATE TABLE xid_messages (
  global_position bigserial PRIMARY KEY,
  transaction_id  xid8 NOT NULL DEFAULT pg_current_xact_id(),
  data            text NOT NULL
);
CREATE INDEX ON xid_messages (transaction_id, global_position);

