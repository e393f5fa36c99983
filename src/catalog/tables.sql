-- Tables, their indexes, and what of them pg_dump must save.

CREATE SEQUENCE es_tx_seq AS bigint;
COMMENT ON SEQUENCE es_tx_seq IS
  'gives each appending transaction its number, es_events.tx; holes mean nothing';

CREATE TABLE es_events (
  tenant_id      text COLLATE "C" NOT NULL DEFAULT es_tenant(),
  stream_id      text COLLATE "C" NOT NULL,
  version        bigint           NOT NULL,
  event_id       uuid             NOT NULL,
  event_type     text COLLATE "C" NOT NULL,
  schema_version integer          NOT NULL,
  data           jsonb            NOT NULL,
  metadata       jsonb            NOT NULL,
  recorded_at    timestamptz      NOT NULL,
  tx             bigint           NOT NULL,
  ordinal        integer          NOT NULL,
  CONSTRAINT es_events_pkey PRIMARY KEY (tenant_id, stream_id, version),
  CONSTRAINT es_events_tx_ordinal_key UNIQUE (tx, ordinal)
);
-- Ids are unique within a stream, which the append sees to under the lock on
-- the stream.  A unique index would make appenders of different streams wait
-- for each other.
CREATE INDEX es_events_event_id_idx ON es_events (event_id);

COMMENT ON TABLE es_events IS
  'the events: insert-only, one row an event, versions 1, 2, 3 ... in each stream';
COMMENT ON COLUMN es_events.tenant_id IS
  'tenant that the stream belongs to; the empty string in a store without tenants';
COMMENT ON COLUMN es_events.stream_id IS
  'stream, the events of one aggregate; its category is what stands before the first hyphen';
COMMENT ON COLUMN es_events.version IS
  'place of the event in its stream: 1, 2, 3 ... without a hole';
COMMENT ON COLUMN es_events.event_id IS
  'identity of the event, unique in its stream; UUID version 7 unless the appender gave one';
COMMENT ON COLUMN es_events.event_type IS
  'what happened, in the past tense: OrderShipped';
COMMENT ON COLUMN es_events.schema_version IS
  'version of the shape of data, 1 unless the appender says otherwise';
COMMENT ON COLUMN es_events.data IS
  'what the event says';
COMMENT ON COLUMN es_events.metadata IS
  'what is known about the event: correlation_id, causation_id, user_id, traceparent ...; an object';
COMMENT ON COLUMN es_events.recorded_at IS
  'when the event was appended; never goes back within a stream';
COMMENT ON COLUMN es_events.tx IS
  'number of the appending transaction, from es_tx_seq';
COMMENT ON COLUMN es_events.ordinal IS
  'place of the event among those of its transaction: 0, 1, 2 ... without a hole';
COMMENT ON INDEX es_events_pkey IS 'finds the events of a stream in order';
COMMENT ON INDEX es_events_tx_ordinal_key IS 'finds the events of a transaction in order';
COMMENT ON INDEX es_events_event_id_idx IS 'finds an event by its id, for retried appends';
COMMENT ON CONSTRAINT es_events_pkey ON es_events IS
  'one event for each version of a stream';
COMMENT ON CONSTRAINT es_events_tx_ordinal_key ON es_events IS
  'one event for each place in a transaction';

CREATE TABLE es_snapshots (
  tenant_id  text COLLATE "C" NOT NULL DEFAULT es_tenant(),
  stream_id  text COLLATE "C" NOT NULL,
  version    bigint           NOT NULL,
  aggregate  text COLLATE "C" NOT NULL DEFAULT '',
  state      jsonb            NOT NULL,
  created_at timestamptz      NOT NULL,
  definition uuid,
  CONSTRAINT es_snapshots_pkey PRIMARY KEY (tenant_id, stream_id, version, aggregate)
);
COMMENT ON TABLE es_snapshots IS
  'states folded from a stream up to a version: a cache that may be deleted at any time';
COMMENT ON COLUMN es_snapshots.tenant_id IS 'tenant that the stream belongs to';
COMMENT ON COLUMN es_snapshots.stream_id IS 'stream that the state was folded from';
COMMENT ON COLUMN es_snapshots.version IS 'version of the stream that the state includes';
COMMENT ON COLUMN es_snapshots.aggregate IS 'name of the fold, where a stream has several';
COMMENT ON COLUMN es_snapshots.state IS 'the folded state';
COMMENT ON COLUMN es_snapshots.created_at IS 'when the snapshot was saved';
COMMENT ON COLUMN es_snapshots.definition IS
  'fingerprint of the aggregate that it was folded by; NULL: it was saved by hand';
COMMENT ON INDEX es_snapshots_pkey IS 'finds the newest snapshot at or below a version';
COMMENT ON CONSTRAINT es_snapshots_pkey ON es_snapshots IS
  'one snapshot for each version and fold of a stream';

-- The ledger.  One row stands for the transactions of a batch, in the order of
-- their commits, so that a position costs a few bytes and not a row.
CREATE TABLE es_commits (
  first_position bigint    NOT NULL,
  last_position  bigint    NOT NULL,
  tx_range       int8range NOT NULL,
  end_lsn        pg_lsn    NOT NULL,
  entries        bytea     NOT NULL,
  CONSTRAINT es_commits_pkey PRIMARY KEY (first_position)
);
-- Rows are kept below the size from which values move to a TOAST table.
ALTER TABLE es_commits ALTER COLUMN entries SET STORAGE MAIN;
CREATE INDEX es_commits_tx_range_idx ON es_commits USING gist (tx_range);
COMMENT ON TABLE es_commits IS
  'the ledger: which transactions hold which positions; written by the sequencer, read through es_log';
COMMENT ON COLUMN es_commits.first_position IS 'position of the first event of the row''s transactions';
COMMENT ON COLUMN es_commits.last_position IS 'position of their last event';
COMMENT ON COLUMN es_commits.tx_range IS 'range that their numbers (es_events.tx) lie in';
COMMENT ON COLUMN es_commits.end_lsn IS
  'where the WAL goes on behind the commit of the last of them; 0/0 where they were not sequenced from the WAL';
COMMENT ON COLUMN es_commits.entries IS
  'tx, number of events and time of commit of each transaction, in the order of their positions, packed';
COMMENT ON INDEX es_commits_pkey IS 'finds the transaction that holds a position';
COMMENT ON INDEX es_commits_tx_range_idx IS 'finds the positions of a transaction';
COMMENT ON CONSTRAINT es_commits_pkey ON es_commits IS 'a position belongs to one transaction';

-- Not dumped: a restored store has another WAL, and thus another row.
CREATE TABLE es_sequencer_state (
  system_identifier bigint      NOT NULL,
  database_oid      oid         NOT NULL,
  store_oid         oid         NOT NULL,
  slot_name         name        NOT NULL,
  start_lsn         pg_lsn      NOT NULL,
  since_position    bigint      NOT NULL,
  healed_tx         bigint      NOT NULL,
  healed_at         timestamptz NOT NULL,
  CONSTRAINT es_sequencer_state_pkey PRIMARY KEY (system_identifier, database_oid, store_oid)
);
COMMENT ON TABLE es_sequencer_state IS
  'which WAL the sequencer reads, through which replication slot, and since which position; one row for each WAL that the store has had';
COMMENT ON COLUMN es_sequencer_state.system_identifier IS 'the server whose WAL it is';
COMMENT ON COLUMN es_sequencer_state.database_oid IS 'the database that the store was in';
COMMENT ON COLUMN es_sequencer_state.store_oid IS 'the table es_events of the store: its OID';
COMMENT ON COLUMN es_sequencer_state.slot_name IS 'the replication slot';
COMMENT ON COLUMN es_sequencer_state.start_lsn IS
  'all commits up to here are dealt with; the ledger may know better (es_commits.end_lsn), the slot may not';
COMMENT ON COLUMN es_sequencer_state.since_position IS 'the first position that the slot has given';
COMMENT ON COLUMN es_sequencer_state.healed_tx IS
  'the greatest number of a transaction that got its positions from the table es_events and not from the WAL';
COMMENT ON COLUMN es_sequencer_state.healed_at IS 'when the slot was made';
COMMENT ON INDEX es_sequencer_state_pkey IS 'finds the state for a server, database and store';
COMMENT ON CONSTRAINT es_sequencer_state_pkey ON es_sequencer_state IS 'one slot for each store';

CREATE TABLE es_store_key (
  key uuid NOT NULL
);
COMMENT ON TABLE es_store_key IS
  'a secret that marks the messages of this store in the WAL, so that nobody can forge them; one row';
COMMENT ON COLUMN es_store_key.key IS 'the secret';
INSERT INTO es_store_key VALUES (pg_catalog.gen_random_uuid());

CREATE TYPE es_event AS (
  position       bigint,
  stream_id      text COLLATE "C",
  version        bigint,
  event_type     text COLLATE "C",
  schema_version integer,
  data           jsonb,
  metadata       jsonb,
  event_id       uuid,
  recorded_at    timestamptz,
  tenant_id      text COLLATE "C"
);
COMMENT ON TYPE es_event IS
  'an event as reading functions return it; position is NULL where it was not looked up';

SELECT pg_catalog.pg_extension_config_dump('es_events', '');
SELECT pg_catalog.pg_extension_config_dump('es_snapshots', '');
SELECT pg_catalog.pg_extension_config_dump('es_commits', '');
SELECT pg_catalog.pg_extension_config_dump('es_tx_seq', '');
