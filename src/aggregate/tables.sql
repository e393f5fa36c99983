-- Aggregates: how streams are folded into states, and what decides about commands.

-- Functions are kept by their names: pg_upgrade refuses columns of type
-- regprocedure.
CREATE TABLE es_aggregates (
  name           text COLLATE "C" NOT NULL,
  category       text COLLATE "C" NOT NULL,
  evolve         text        NOT NULL,
  initial_state  jsonb,
  decide         text,
  snapshot_every integer,
  keep           integer,
  owner          name        NOT NULL,
  settings       text[]      NOT NULL DEFAULT '{}'::pg_catalog.text[],
  created_at     timestamptz NOT NULL DEFAULT pg_catalog.now(),
  CONSTRAINT es_aggregates_pkey PRIMARY KEY (name),
  CONSTRAINT es_aggregates_snapshot_every_check CHECK (snapshot_every OPERATOR(pg_catalog.>=) 1),
  CONSTRAINT es_aggregates_keep_check CHECK (keep OPERATOR(pg_catalog.>=) 1)
);
COMMENT ON TABLE es_aggregates IS
  'the aggregates: how the streams of a category are folded; written by es_create_aggregate and what changes one';
COMMENT ON COLUMN es_aggregates.name IS 'name of the aggregate, es_snapshots.aggregate';
COMMENT ON COLUMN es_aggregates.category IS 'category of the streams that it folds';
COMMENT ON COLUMN es_aggregates.evolve IS
  'function (state jsonb, event es_event) returning jsonb, or an aggregate over es_event: its name with schema and argument types';
COMMENT ON COLUMN es_aggregates.initial_state IS 'state before the first event; that of an aggregate function is its own';
COMMENT ON COLUMN es_aggregates.decide IS 'function (state jsonb, command jsonb) returning new events, for es_execute';
COMMENT ON COLUMN es_aggregates.snapshot_every IS 'events after which a new snapshot is saved; NULL: never';
COMMENT ON COLUMN es_aggregates.keep IS 'snapshots of a stream that are kept; NULL: all';
COMMENT ON COLUMN es_aggregates.owner IS 'role that the functions run as';
COMMENT ON COLUMN es_aggregates.settings IS 'settings that they run with, name=value';
COMMENT ON COLUMN es_aggregates.created_at IS 'when it was made';
COMMENT ON INDEX es_aggregates_pkey IS 'finds an aggregate by its name';
COMMENT ON CONSTRAINT es_aggregates_pkey ON es_aggregates IS 'names are unique';
COMMENT ON CONSTRAINT es_aggregates_snapshot_every_check ON es_aggregates IS 'at least one event between snapshots';
COMMENT ON CONSTRAINT es_aggregates_keep_check ON es_aggregates IS 'at least one snapshot is kept';

SELECT pg_catalog.pg_extension_config_dump('es_aggregates', '');

CREATE FUNCTION es_aggregates_changed() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_aggregates_changed';
COMMENT ON FUNCTION es_aggregates_changed() IS
  'trigger function: tells sessions that aggregates have changed';

CREATE TRIGGER es_aggregates_changed
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON es_aggregates
  FOR EACH STATEMENT EXECUTE FUNCTION es_aggregates_changed();
ALTER TABLE es_aggregates ENABLE ALWAYS TRIGGER es_aggregates_changed;
COMMENT ON TRIGGER es_aggregates_changed ON es_aggregates IS
  'tells sessions that aggregates have changed';
