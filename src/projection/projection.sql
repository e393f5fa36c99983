-- Projections: making and running them.

CREATE FUNCTION es_stream_partition(stream_id text, partitions integer) RETURNS integer
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_stream_partition';
COMMENT ON FUNCTION es_stream_partition(text, integer) IS
  'which of so many partitions, from 0 on, a stream belongs to';

CREATE FUNCTION es_create_view(
  name           text,
  query          text,
  mode           text    DEFAULT 'async',
  after_position bigint  DEFAULT 0,
  partitions     integer DEFAULT 1,
  categories     text[]  DEFAULT NULL,
  event_types    text[]  DEFAULT NULL,
  tenants        text[]  DEFAULT NULL,
  on_error       text    DEFAULT 'stop',
  max_retries    integer DEFAULT NULL,
  batch_size     integer DEFAULT NULL
) RETURNS regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_create_view';
COMMENT ON FUNCTION es_create_view(text, text, text, bigint, integer, text[], text[], text[], text, integer, integer) IS
  'makes a table that holds the result of a SELECT over es_log, and keeps it up to date';

CREATE FUNCTION es_create_projection(
  name           text,
  statement      text       DEFAULT NULL,
  statements     text[]     DEFAULT NULL,
  handlers       jsonb      DEFAULT NULL,
  refresh        text       DEFAULT NULL,
  mode           text       DEFAULT 'async',
  after_position bigint     DEFAULT 0,
  partitions     integer    DEFAULT 1,
  categories     text[]     DEFAULT NULL,
  event_types    text[]     DEFAULT NULL,
  tenants        text[]     DEFAULT NULL,
  on_error       text       DEFAULT 'stop',
  max_retries    integer    DEFAULT NULL,
  batch_size     integer    DEFAULT NULL,
  tables         regclass[] DEFAULT NULL,
  refresh_every  interval   DEFAULT '1 second',
  concurrently   boolean    DEFAULT false
) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_create_projection';
COMMENT ON FUNCTION es_create_projection(text, text, text[], jsonb, text, text, bigint, integer, text[], text[], text[], text, integer, integer, regclass[], interval, boolean) IS
  'makes a projection that runs SQL over the events of the log: statements for each batch, handlers for each event, or the refresh of a materialized view';

CREATE FUNCTION es_run_projections(name text DEFAULT NULL) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_run_projections';
COMMENT ON FUNCTION es_run_projections(text) IS
  'runs a projection, or all of them, up to the end of the log by hand, in this transaction; returns the number of events applied';
