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

CREATE FUNCTION es_retry_dead_letters(name text, "position" bigint DEFAULT NULL) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_retry_dead_letters';
COMMENT ON FUNCTION es_retry_dead_letters(text, bigint) IS
  'applies the events that a projection has skipped, or one of them, again; returns how many succeeded, which are no dead letters any more';

CREATE FUNCTION es_discard_dead_letters(name text, "position" bigint DEFAULT NULL) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_discard_dead_letters';
COMMENT ON FUNCTION es_discard_dead_letters(text, bigint) IS
  'forgets the events that a projection has skipped, or one of them; returns how many';

CREATE FUNCTION es_pause_projection(name text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_pause_projection';
COMMENT ON FUNCTION es_pause_projection(text) IS
  'stops a projection until it is resumed; waits for the batch that it is working on';

CREATE FUNCTION es_resume_projection(name text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_resume_projection';
COMMENT ON FUNCTION es_resume_projection(text) IS
  'lets a paused or failed projection run again, from where it was';

CREATE FUNCTION es_rename_projection(name text, new_name text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_rename_projection';
COMMENT ON FUNCTION es_rename_projection(text, text) IS
  'gives a projection another name, and its table, if it is a view';

CREATE FUNCTION es_drop_projection(name text, keep_table boolean DEFAULT false) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_drop_projection';
COMMENT ON FUNCTION es_drop_projection(text, boolean) IS
  'removes a projection, and the table of a view unless it is to be kept';

CREATE FUNCTION es_alter_projection(
  name        text,
  mode        text    DEFAULT NULL,
  partitions  integer DEFAULT NULL,
  on_error    text    DEFAULT NULL,
  max_retries integer DEFAULT NULL,
  batch_size  integer DEFAULT NULL,
  categories  text[]  DEFAULT NULL,
  event_types text[]  DEFAULT NULL,
  tenants     text[]  DEFAULT NULL,
  owner       name    DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_alter_projection';
COMMENT ON FUNCTION es_alter_projection(text, text, integer, text, integer, integer, text[], text[], text[], name) IS
  'changes how a projection runs; what is NULL stays as it is';
