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
COMMENT ON INDEX es_snapshots_pkey IS 'finds the newest snapshot at or below a version';
COMMENT ON CONSTRAINT es_snapshots_pkey ON es_snapshots IS
  'one snapshot for each version and fold of a stream';

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
SELECT pg_catalog.pg_extension_config_dump('es_tx_seq', '');
