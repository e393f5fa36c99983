-- Projections: what they are, how far they have come, what they failed at.

CREATE SEQUENCE es_projection_id_seq AS integer;
COMMENT ON SEQUENCE es_projection_id_seq IS 'gives each projection its number, es_projection_definitions.id';

CREATE TABLE es_projection_definitions (
  id            integer     NOT NULL DEFAULT pg_catalog.nextval('es_projection_id_seq'::pg_catalog.regclass),
  name          text COLLATE "C" NOT NULL,
  owner         name        NOT NULL,
  kind          text        NOT NULL,
  query         text,
  statements    text[],
  handlers      jsonb,
  relation      regclass,
  state_table   regclass,
  tables        regclass[],
  refresh_every interval,
  refresh_concurrently boolean NOT NULL DEFAULT false,
  mode          text        NOT NULL DEFAULT 'async',
  paused        boolean     NOT NULL DEFAULT false,
  after_position bigint     NOT NULL DEFAULT 0,
  on_error      text        NOT NULL DEFAULT 'stop',
  max_retries   integer,
  batch_size    integer,
  partitions    integer     NOT NULL DEFAULT 1,
  categories    text[],
  event_types   text[],
  tenants       text[],
  settings      text[]      NOT NULL DEFAULT '{}'::pg_catalog.text[],
  created_at    timestamptz NOT NULL DEFAULT pg_catalog.now(),
  CONSTRAINT es_projection_definitions_pkey PRIMARY KEY (id),
  CONSTRAINT es_projection_definitions_name_key UNIQUE (name),
  CONSTRAINT es_projection_definitions_kind_check
    CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY['view'::pg_catalog.text, 'statement'::pg_catalog.text, 'handlers'::pg_catalog.text, 'refresh'::pg_catalog.text])),
  CONSTRAINT es_projection_definitions_mode_check
    CHECK (mode OPERATOR(pg_catalog.=) ANY (ARRAY['async'::pg_catalog.text, 'inline'::pg_catalog.text])),
  CONSTRAINT es_projection_definitions_on_error_check
    CHECK (on_error OPERATOR(pg_catalog.=) ANY (ARRAY['stop'::pg_catalog.text, 'skip'::pg_catalog.text])),
  CONSTRAINT es_projection_definitions_partitions_check
    CHECK (partitions OPERATOR(pg_catalog.>=) 1 AND partitions OPERATOR(pg_catalog.<=) 64)
);
COMMENT ON TABLE es_projection_definitions IS
  'the projections: one row each; written by the functions that make and change them';
COMMENT ON COLUMN es_projection_definitions.id IS 'number of the projection';
COMMENT ON COLUMN es_projection_definitions.name IS 'name of the projection';
COMMENT ON COLUMN es_projection_definitions.owner IS 'role that its SQL runs as';
COMMENT ON COLUMN es_projection_definitions.kind IS 'view, statement, handlers or refresh';
COMMENT ON COLUMN es_projection_definitions.query IS 'of a view: the SELECT over es_log';
COMMENT ON COLUMN es_projection_definitions.statements IS 'SQL to run once a batch';
COMMENT ON COLUMN es_projection_definitions.handlers IS 'SQL or function for each event type';
COMMENT ON COLUMN es_projection_definitions.relation IS 'of a view its table; the materialized view that is refreshed';
COMMENT ON COLUMN es_projection_definitions.state_table IS
  'of a view: table with the aggregates that its columns are computed from, if they are not columns themselves';
COMMENT ON COLUMN es_projection_definitions.tables IS 'tables that it writes, for es_rebuild';
COMMENT ON COLUMN es_projection_definitions.refresh_every IS 'how long a refresh waits after the one before, at least';
COMMENT ON COLUMN es_projection_definitions.refresh_concurrently IS 'REFRESH MATERIALIZED VIEW CONCURRENTLY';
COMMENT ON COLUMN es_projection_definitions.mode IS
  'async: behind the commit, by a worker; inline: in the transaction that appends';
COMMENT ON COLUMN es_projection_definitions.after_position IS
  'it takes the events behind this position';
COMMENT ON COLUMN es_projection_definitions.paused IS 'does not run until it is resumed';
COMMENT ON COLUMN es_projection_definitions.on_error IS
  'when retries are used up: stop, or skip the event that cannot be applied';
COMMENT ON COLUMN es_projection_definitions.max_retries IS
  'how often a batch that fails is tried again; NULL: event_store.projection_max_retries';
COMMENT ON COLUMN es_projection_definitions.batch_size IS
  'events in a batch, at most; NULL: event_store.projection_batch_size';
COMMENT ON COLUMN es_projection_definitions.partitions IS 'into how many parts the streams are split';
COMMENT ON COLUMN es_projection_definitions.categories IS 'categories of streams that it takes; NULL: all';
COMMENT ON COLUMN es_projection_definitions.event_types IS 'event types that it takes; NULL: all';
COMMENT ON COLUMN es_projection_definitions.tenants IS 'tenants that it takes; NULL: all';
COMMENT ON COLUMN es_projection_definitions.settings IS 'settings that its SQL runs with, name=value';
COMMENT ON COLUMN es_projection_definitions.created_at IS 'when it was made';
COMMENT ON INDEX es_projection_definitions_pkey IS 'finds a projection by its number';
COMMENT ON INDEX es_projection_definitions_name_key IS 'finds a projection by its name';
COMMENT ON CONSTRAINT es_projection_definitions_pkey ON es_projection_definitions IS 'one row for each projection';
COMMENT ON CONSTRAINT es_projection_definitions_name_key ON es_projection_definitions IS 'names are unique';
COMMENT ON CONSTRAINT es_projection_definitions_kind_check ON es_projection_definitions IS 'the kinds there are';
COMMENT ON CONSTRAINT es_projection_definitions_mode_check ON es_projection_definitions IS 'the modes there are';
COMMENT ON CONSTRAINT es_projection_definitions_on_error_check ON es_projection_definitions IS 'the policies there are';
COMMENT ON CONSTRAINT es_projection_definitions_partitions_check ON es_projection_definitions IS 'limits of the split';

CREATE FUNCTION es_projection_definitions_changed() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_projection_definitions_changed';
COMMENT ON FUNCTION es_projection_definitions_changed() IS
  'trigger function: tells sessions and workers that projections have changed';

CREATE TRIGGER es_projection_definitions_changed
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON es_projection_definitions
  FOR EACH STATEMENT EXECUTE FUNCTION es_projection_definitions_changed();
ALTER TABLE es_projection_definitions ENABLE ALWAYS TRIGGER es_projection_definitions_changed;
COMMENT ON TRIGGER es_projection_definitions_changed ON es_projection_definitions IS
  'tells sessions and workers that projections have changed';

-- One row for each batch, newest position last; old rows are deleted now and
-- then.  A row that each batch updates would leave versions behind that every
-- look-up must step over while a long transaction is open.
CREATE TABLE es_checkpoints (
  projection_id integer     NOT NULL,
  partition     integer     NOT NULL,
  "position"    bigint      NOT NULL,
  events        bigint      NOT NULL,
  batches       bigint      NOT NULL,
  applied_at    timestamptz NOT NULL,
  CONSTRAINT es_checkpoints_pkey PRIMARY KEY (projection_id, partition, "position")
);
COMMENT ON TABLE es_checkpoints IS
  'how far projections have come: the row with the greatest position counts; written in the transaction that applies a batch';
COMMENT ON COLUMN es_checkpoints.projection_id IS 'the projection';
COMMENT ON COLUMN es_checkpoints.partition IS 'the part of it, from 0 on';
COMMENT ON COLUMN es_checkpoints."position" IS 'all events up to here are applied';
COMMENT ON COLUMN es_checkpoints.events IS 'events applied so far';
COMMENT ON COLUMN es_checkpoints.batches IS 'batches so far';
COMMENT ON COLUMN es_checkpoints.applied_at IS 'when the batch was applied';
COMMENT ON INDEX es_checkpoints_pkey IS 'finds the newest checkpoint of a projection''s part';
COMMENT ON CONSTRAINT es_checkpoints_pkey ON es_checkpoints IS 'a part is at a position once';

CREATE TABLE es_projection_failures (
  projection_id integer     NOT NULL,
  partition     integer     NOT NULL,
  attempts      integer     NOT NULL,
  failed        boolean     NOT NULL,
  retry_at      timestamptz,
  error_code    text        NOT NULL,
  error_message text        NOT NULL,
  error_detail  text,
  error_context text,
  first_position bigint,
  last_position bigint,
  failed_at     timestamptz NOT NULL,
  CONSTRAINT es_projection_failures_pkey PRIMARY KEY (projection_id, partition)
);
COMMENT ON TABLE es_projection_failures IS
  'parts of projections whose next batch fails: a row is there until the batch succeeds';
COMMENT ON COLUMN es_projection_failures.projection_id IS 'the projection';
COMMENT ON COLUMN es_projection_failures.partition IS 'the part of it, from 0 on';
COMMENT ON COLUMN es_projection_failures.attempts IS 'how often the batch has failed';
COMMENT ON COLUMN es_projection_failures.failed IS 'it is not tried any more until the projection is resumed';
COMMENT ON COLUMN es_projection_failures.retry_at IS 'when it is tried again; NULL when it is not';
COMMENT ON COLUMN es_projection_failures.error_code IS 'SQLSTATE of the error';
COMMENT ON COLUMN es_projection_failures.error_message IS 'its message';
COMMENT ON COLUMN es_projection_failures.error_detail IS 'its detail';
COMMENT ON COLUMN es_projection_failures.error_context IS 'where it was raised';
COMMENT ON COLUMN es_projection_failures.first_position IS 'first event of the batch; the event itself, where it is known';
COMMENT ON COLUMN es_projection_failures.last_position IS 'last event of the batch; the event itself, where it is known';
COMMENT ON COLUMN es_projection_failures.failed_at IS 'when it failed last';
COMMENT ON INDEX es_projection_failures_pkey IS 'finds the failure of a projection''s part';
COMMENT ON CONSTRAINT es_projection_failures_pkey ON es_projection_failures IS 'one failure at a time';

CREATE TABLE es_dead_letters (
  projection_id integer     NOT NULL,
  "position"    bigint      NOT NULL,
  partition     integer     NOT NULL,
  tenant_id     text COLLATE "C" NOT NULL,
  stream_id     text COLLATE "C" NOT NULL,
  version       bigint      NOT NULL,
  event_type    text COLLATE "C" NOT NULL,
  attempts      integer     NOT NULL,
  error_code    text        NOT NULL,
  error_message text        NOT NULL,
  error_detail  text,
  failed_at     timestamptz NOT NULL,
  CONSTRAINT es_dead_letters_pkey PRIMARY KEY (projection_id, "position")
);
COMMENT ON TABLE es_dead_letters IS
  'events that a projection could not apply and has skipped; see es_retry_dead_letters';
COMMENT ON COLUMN es_dead_letters.projection_id IS 'the projection';
COMMENT ON COLUMN es_dead_letters."position" IS 'the event';
COMMENT ON COLUMN es_dead_letters.partition IS 'the part of the projection that skipped it';
COMMENT ON COLUMN es_dead_letters.tenant_id IS 'tenant of its stream';
COMMENT ON COLUMN es_dead_letters.stream_id IS 'its stream';
COMMENT ON COLUMN es_dead_letters.version IS 'its place in the stream';
COMMENT ON COLUMN es_dead_letters.event_type IS 'its type';
COMMENT ON COLUMN es_dead_letters.attempts IS 'how often it was tried by itself';
COMMENT ON COLUMN es_dead_letters.error_code IS 'SQLSTATE of the error';
COMMENT ON COLUMN es_dead_letters.error_message IS 'its message';
COMMENT ON COLUMN es_dead_letters.error_detail IS 'its detail';
COMMENT ON COLUMN es_dead_letters.failed_at IS 'when it failed last';
COMMENT ON INDEX es_dead_letters_pkey IS 'finds the dead letters of a projection in order';
COMMENT ON CONSTRAINT es_dead_letters_pkey ON es_dead_letters IS 'an event is skipped once';

SELECT pg_catalog.pg_extension_config_dump('es_projection_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('es_projection_definitions', '');
SELECT pg_catalog.pg_extension_config_dump('es_checkpoints', '');
SELECT pg_catalog.pg_extension_config_dump('es_projection_failures', '');
SELECT pg_catalog.pg_extension_config_dump('es_dead_letters', '');
