-- api.sql: what the extension consists of: every object, its signature, its
-- properties, its privileges, its comment.
--
--   psql -X -d DATABASE -f test/pgtap/api.sql
--
-- Needs a database with pgTAP on a server that preloads the library; changes
-- nothing in it.  A store in which roles
-- were given privileges fails the assertions that say "nobody but the owner".
\set QUIET on
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
\pset pager off
SET client_min_messages = warning;

BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS event_store;

-- ---------------------------------------------------------------------------
-- What there must be
-- ---------------------------------------------------------------------------

CREATE TEMP TABLE wanted_functions (
  name text, arguments text, result text, language text, volatility text, parallel text, is_definer boolean, is_strict boolean);
INSERT INTO wanted_functions VALUES
  ('es_append', 'stream_id text, event_type text, data jsonb, metadata jsonb DEFAULT NULL::jsonb, expected_version bigint DEFAULT NULL::bigint, event_id uuid DEFAULT NULL::uuid, schema_version integer DEFAULT NULL::integer',
   'bigint', 'c', 'volatile', 'unsafe', false, false),
  ('es_append_batch', 'stream_id text, event_types text[], data jsonb[], metadata jsonb[] DEFAULT NULL::jsonb[], expected_version bigint DEFAULT NULL::bigint, event_ids uuid[] DEFAULT NULL::uuid[], schema_versions integer[] DEFAULT NULL::integer[]',
   'bigint', 'c', 'volatile', 'unsafe', false, false),
  ('es_append_json', 'stream_id text, events jsonb, expected_version bigint DEFAULT NULL::bigint',
   'bigint', 'c', 'volatile', 'unsafe', false, false),
  ('es_read_stream', 'stream_id text, from_version bigint DEFAULT NULL::bigint, max_count bigint DEFAULT NULL::bigint, backwards boolean DEFAULT false, until timestamp with time zone DEFAULT NULL::timestamp with time zone, raw boolean DEFAULT false',
   'SETOF es_event', 'sql', 'stable', 'restricted', false, false),
  ('es_version_at', 'stream_id text, as_of timestamp with time zone', 'bigint', 'c', 'stable', 'safe', false, false),
  ('es_execute', 'stream_id text, command jsonb, command_id uuid DEFAULT NULL::uuid, expected_version bigint DEFAULT NULL::bigint, metadata jsonb DEFAULT NULL::jsonb, aggregate text DEFAULT NULL::text, OUT version bigint, OUT events jsonb, OUT state jsonb, OUT repeated boolean',
   'record', 'c', 'volatile', 'unsafe', false, false),
  ('es_cause', 'metadata jsonb, event_id uuid', 'jsonb', 'c', 'immutable', 'safe', false, false),
  ('es_trace', 'correlation_id text',
   'TABLE(depth integer, tree text, stream_id text, version bigint, event_type text, data jsonb, metadata jsonb, event_id uuid, caused_by uuid, recorded_at timestamp with time zone)',
   'sql', 'stable', 'restricted', false, false),
  ('es_stream_version', 'stream_id text', 'bigint', 'c', 'stable', 'safe', false, false),
  ('es_category', 'stream_id text', 'text', 'sql', 'immutable', 'safe', false, true),
  ('es_tenant', '', 'text', 'c', 'stable', 'safe', false, false),
  ('es_version', '', 'text', 'c', 'stable', 'safe', false, false),
  ('es_uuid_v7', '', 'uuid', 'c', 'volatile', 'safe', false, false),
  ('es_json_schema_is_valid', 'schema jsonb, data jsonb, documents jsonb DEFAULT ''{}''::jsonb', 'boolean', 'c', 'immutable', 'safe', false, true),
  ('es_json_schema_problems', 'schema jsonb, data jsonb, documents jsonb DEFAULT ''{}''::jsonb', 'TABLE(path text, rule text, message text)', 'c', 'immutable', 'safe', false, true),
  ('es_json_schema_breaks', 'reader jsonb, writer jsonb', 'SETOF text', 'c', 'immutable', 'safe', false, true),
  ('es_register_event_type', 'event_type text, schema_version integer DEFAULT NULL::integer, description text DEFAULT NULL::text, json_schema jsonb DEFAULT NULL::jsonb, check_expression text DEFAULT NULL::text, upcaster text DEFAULT NULL::text, status text DEFAULT ''active''::text, published boolean DEFAULT false, topic text DEFAULT NULL::text, compatibility text DEFAULT ''backward''::text',
   'integer', 'c', 'volatile', 'unsafe', false, false),
  ('es_alter_event_type', 'event_type text, schema_version integer, description text DEFAULT NULL::text, upcaster text DEFAULT NULL::text, published boolean DEFAULT NULL::boolean, topic text DEFAULT NULL::text, owner name DEFAULT NULL::name',
   'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_set_event_type_status', 'event_type text, schema_version integer, status text', 'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_drop_event_type', 'event_type text, schema_version integer', 'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_check_event', 'event_type text, data jsonb, schema_version integer DEFAULT 1, metadata jsonb DEFAULT NULL::jsonb', 'void', 'c', 'volatile', 'restricted', false, false),
  ('es_upcast_to', 'event_type text, schema_version integer, data jsonb', 'es_upcast_event', 'sql', 'immutable', 'safe', false, false),
  ('es_upcast', 'event_type text, schema_version integer, data jsonb, metadata jsonb DEFAULT NULL::jsonb, stream_id text DEFAULT NULL::text, version bigint DEFAULT NULL::bigint',
   'SETOF es_upcast_event', 'c', 'stable', 'restricted', false, false),
  ('es_create_aggregate', 'name text, category text, evolve regproc, initial_state jsonb DEFAULT NULL::jsonb, snapshot_every integer DEFAULT 100, keep integer DEFAULT 1, decide regproc DEFAULT NULL::regproc',
   'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_alter_aggregate', 'name text, evolve regproc DEFAULT NULL::regproc, initial_state jsonb DEFAULT NULL::jsonb, snapshot_every integer DEFAULT NULL::integer, keep integer DEFAULT NULL::integer, decide regproc DEFAULT NULL::regproc, owner name DEFAULT NULL::name',
   'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_drop_aggregate', 'name text', 'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_state', 'stream_id text, at_version bigint DEFAULT NULL::bigint, as_of timestamp with time zone DEFAULT NULL::timestamp with time zone, at_position bigint DEFAULT NULL::bigint, aggregate text DEFAULT NULL::text',
   'jsonb', 'c', 'stable', 'unsafe', false, false),
  ('es_states', 'category text, aggregate text DEFAULT NULL::text, as_of timestamp with time zone DEFAULT NULL::timestamp with time zone, at_position bigint DEFAULT NULL::bigint, after_stream text DEFAULT NULL::text, max_count bigint DEFAULT NULL::bigint',
   'TABLE(stream_id text, version bigint, state jsonb)', 'c', 'stable', 'unsafe', false, false),
  ('es_history', 'stream_id text, from_version bigint DEFAULT NULL::bigint, to_version bigint DEFAULT NULL::bigint, aggregate text DEFAULT NULL::text',
   'TABLE(version bigint, event_type text, data jsonb, metadata jsonb, event_id uuid, recorded_at timestamp with time zone, state jsonb, changes jsonb)', 'c', 'stable', 'unsafe', false, false),
  ('es_json_diff', 'before jsonb, after jsonb', 'jsonb', 'c', 'immutable', 'safe', false, false),
  ('es_rebuild_snapshots', 'aggregate text', 'bigint', 'c', 'volatile', 'unsafe', false, false),
  ('es_aggregates_changed', '', 'trigger', 'c', 'volatile', 'unsafe', false, false),
  ('es_save_snapshot', 'stream_id text, version bigint, state jsonb, aggregate text DEFAULT ''''::text',
   'void', 'sql', 'volatile', 'unsafe', true, false),
  ('es_load_snapshot', 'stream_id text, at_version bigint DEFAULT NULL::bigint, aggregate text DEFAULT NULL::text',
   'SETOF es_snapshots', 'sql', 'stable', 'safe', false, false),
  ('es_delete_snapshots', 'stream_id text, before_version bigint DEFAULT NULL::bigint, aggregate text DEFAULT NULL::text',
   'bigint', 'sql', 'volatile', 'unsafe', true, false),
  ('es_grant', 'role name, privilege text', 'void', 'c', 'volatile', 'unsafe', true, false),
  ('es_revoke', 'role name, privilege text', 'void', 'c', 'volatile', 'unsafe', true, false),
  ('es_check', 'OUT tenant_id text, OUT stream_id text, OUT problem text', 'SETOF record', 'sql', 'stable', 'unsafe', false, false),
  ('es_sequence', '', 'bigint', 'c', 'volatile', 'unsafe', false, false),
  ('es_wait_for_log', 'timeout interval DEFAULT NULL::interval', 'boolean', 'c', 'volatile', 'unsafe', false, false),
  ('es_wait_for_position', '"position" bigint, timeout interval DEFAULT NULL::interval', 'boolean', 'c', 'volatile', 'unsafe', false, false),
  ('es_sequencer_status', 'OUT state text, OUT pid integer, OUT sequenced_lsn pg_lsn, OUT unread_bytes bigint, OUT batches bigint, OUT events bigint, OUT heals bigint, OUT started_at timestamp with time zone, OUT last_batch_at timestamp with time zone, OUT slot_name name, OUT retry_at timestamp with time zone, OUT last_error text, OUT last_error_code text, OUT last_error_at timestamp with time zone',
   'record', 'c', 'volatile', 'restricted', false, false),
  ('es_retry_dead_letters', 'name text, "position" bigint DEFAULT NULL::bigint', 'bigint', 'c', 'volatile', 'unsafe', false, false),
  ('es_discard_dead_letters', 'name text, "position" bigint DEFAULT NULL::bigint', 'bigint', 'c', 'volatile', 'unsafe', false, false),
  ('es_wait', 'projection text DEFAULT NULL::text, timeout interval DEFAULT NULL::interval', 'boolean', 'c', 'volatile', 'unsafe', false, false),
  ('es_rebuild', 'name text, workers integer DEFAULT NULL::integer', 'bigint', 'c', 'volatile', 'unsafe', false, false),
  ('es_alter_view', 'name text, query text', 'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_verify', 'name text', 'TABLE(difference text, expected jsonb, actual jsonb)', 'c', 'volatile', 'unsafe', false, false),
  ('es_projection_status', 'OUT projection_id integer, OUT partition integer, OUT pid integer, OUT "position" bigint, OUT events bigint, OUT batches bigint, OUT rate double precision, OUT last_batch_at timestamp with time zone, OUT workers integer, OUT build_pid integer, OUT build_done bigint, OUT build_total bigint',
   'SETOF record', 'c', 'volatile', 'restricted', false, false),
  ('es_alter_projection', 'name text, mode text DEFAULT NULL::text, partitions integer DEFAULT NULL::integer, on_error text DEFAULT NULL::text, max_retries integer DEFAULT NULL::integer, batch_size integer DEFAULT NULL::integer, categories text[] DEFAULT NULL::text[], event_types text[] DEFAULT NULL::text[], tenants text[] DEFAULT NULL::text[], owner name DEFAULT NULL::name',
   'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_create_projection', 'name text, statement text DEFAULT NULL::text, statements text[] DEFAULT NULL::text[], handlers jsonb DEFAULT NULL::jsonb, refresh text DEFAULT NULL::text, mode text DEFAULT ''async''::text, after_position bigint DEFAULT 0, partitions integer DEFAULT 1, categories text[] DEFAULT NULL::text[], event_types text[] DEFAULT NULL::text[], tenants text[] DEFAULT NULL::text[], on_error text DEFAULT ''stop''::text, max_retries integer DEFAULT NULL::integer, batch_size integer DEFAULT NULL::integer, tables regclass[] DEFAULT NULL::regclass[], refresh_every interval DEFAULT ''00:00:01''::interval, "concurrently" boolean DEFAULT false',
   'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_create_view', 'name text, query text, mode text DEFAULT ''async''::text, after_position bigint DEFAULT 0, partitions integer DEFAULT 1, categories text[] DEFAULT NULL::text[], event_types text[] DEFAULT NULL::text[], tenants text[] DEFAULT NULL::text[], on_error text DEFAULT ''stop''::text, max_retries integer DEFAULT NULL::integer, batch_size integer DEFAULT NULL::integer',
   'regclass', 'c', 'volatile', 'unsafe', false, false),
  ('es_drop_projection', 'name text, keep_table boolean DEFAULT false',
   'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_pause_projection', 'name text',
   'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_rename_projection', 'name text, new_name text',
   'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_resume_projection', 'name text',
   'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_run_projections', 'name text DEFAULT NULL::text',
   'bigint', 'c', 'volatile', 'unsafe', false, false),
  ('es_stream_partition', 'stream_id text, partitions integer',
   'integer', 'c', 'immutable', 'safe', false, true),
  ('es_alter_view', 'name text, query text',
   'void', 'c', 'volatile', 'unsafe', false, false),
  ('es_rebuild', 'name text, workers integer DEFAULT NULL::integer',
   'bigint', 'c', 'volatile', 'unsafe', false, false),
  ('es_verify', 'name text',
   'TABLE(difference text, expected jsonb, actual jsonb)', 'c', 'volatile', 'unsafe', false, false),
  ('es_head_position', '', 'bigint', 'c', 'stable', 'safe', false, false),
  ('es_position', 'stream_id text, version bigint', 'bigint', 'c', 'stable', 'safe', false, false),
  ('es_read_all', 'after_position bigint DEFAULT 0, max_count bigint DEFAULT NULL::bigint, categories text[] DEFAULT NULL::text[], event_types text[] DEFAULT NULL::text[]',
   'SETOF es_event', 'sql', 'stable', 'restricted', false, false),
  ('es_read_category', 'category text, after_position bigint DEFAULT 0, max_count bigint DEFAULT NULL::bigint',
   'SETOF es_event', 'sql', 'stable', 'restricted', false, false),
  ('es_commit_entries', 'first_position bigint, entries bytea, OUT "position" bigint, OUT tx bigint, OUT events integer, OUT committed_at timestamp with time zone',
   'SETOF record', 'c', 'immutable', 'safe', false, true),
  ('es_first', 'anyelement', 'anyelement', 'internal', 'immutable', 'unsafe', false, false),
  ('es_last', 'anyelement', 'anyelement', 'internal', 'immutable', 'unsafe', false, false),
  ('es_first', 'value anyelement, ordinal bigint', 'anyelement', 'internal', 'immutable', 'safe', false, false),
  ('es_last', 'value anyelement, ordinal bigint', 'anyelement', 'internal', 'immutable', 'safe', false, false),
  ('es_count_if', 'condition boolean', 'bigint', 'internal', 'immutable', 'safe', false, false),
  ('es_explain_view', 'query text, OUT step text, OUT statement text', 'SETOF record', 'c', 'stable', 'unsafe', false, true),
  -- not for users, but needed by the others
  ('es_first_step', 'state anyelement, value anyelement', 'anyelement', 'c', 'immutable', 'safe', false, true),
  ('es_last_step', 'state anyelement, value anyelement', 'anyelement', 'c', 'immutable', 'safe', false, true),
  ('es_first_by_step', 'state internal, value anyelement, ordinal bigint', 'internal', 'c', 'immutable', 'safe', false, false),
  ('es_last_by_step', 'state internal, value anyelement, ordinal bigint', 'internal', 'c', 'immutable', 'safe', false, false),
  ('es_first_by_combine', 'state internal, other internal', 'internal', 'c', 'immutable', 'safe', false, false),
  ('es_last_by_combine', 'state internal, other internal', 'internal', 'c', 'immutable', 'safe', false, false),
  ('es_by_serialize', 'state internal', 'bytea', 'c', 'immutable', 'safe', false, true),
  ('es_by_deserialize', 'data bytea, dummy internal', 'internal', 'c', 'immutable', 'safe', false, true),
  ('es_by_final', 'state internal, value anyelement, ordinal bigint', 'anyelement', 'c', 'immutable', 'safe', false, false),
  ('es_count_if_step', 'state bigint, condition boolean', 'bigint', 'c', 'immutable', 'safe', false, true),
  ('es_count_if_undo', 'state bigint, condition boolean', 'bigint', 'c', 'immutable', 'safe', false, true),
  ('es_pack_entries', 'tx bigint[], events integer[], committed_at timestamp with time zone[]', 'bytea', 'c', 'immutable', 'safe', false, true),
  ('es_commit_problem', 'first_position bigint, last_position bigint, tx_range int8range, entries bytea', 'text', 'c', 'stable', 'safe', false, false),
  ('es_commits_before_insert', '', 'trigger', 'c', 'volatile', 'unsafe', false, false),
  ('es_commits_immutable', '', 'trigger', 'c', 'volatile', 'unsafe', false, false),
  ('es_log_handler', '', 'fdw_handler', 'c', 'volatile', 'unsafe', false, true),
  ('es_log_validator', 'options text[], catalog oid', 'void', 'c', 'volatile', 'unsafe', false, true),
  ('es_check_read_all', 'after_position bigint, max_count bigint, categories text[], event_types text[]', 'bigint', 'c', 'immutable', 'safe', false, false),
  ('es_check_read_category', 'category text, after_position bigint, max_count bigint', 'bigint', 'c', 'immutable', 'safe', false, false),
  ('es_check_read', 'stream_id text, version bigint, max_count bigint', 'bigint', 'c', 'immutable', 'safe', false, false),
  ('es_stream_to_read', 'stream_id text', 'text', 'c', 'immutable', 'safe', false, false),
  ('es_read_whole', 'stream_id text', 'SETOF es_event', 'sql', 'stable', 'safe', false, false),
  ('es_read_whole_known', 'stream_id text', 'SETOF es_event', 'sql', 'stable', 'safe', false, false),
  ('es_read_forwards', 'stream_id text, from_version bigint, max_count bigint', 'SETOF es_event', 'sql', 'stable', 'safe', false, false),
  ('es_read_backwards', 'stream_id text, from_version bigint, max_count bigint', 'SETOF es_event', 'sql', 'stable', 'safe', false, false),
  ('es_read_either', 'stream_id text, from_version bigint, max_count bigint, backwards boolean', 'SETOF es_event', 'sql', 'stable', 'safe', false, false),
  ('es_read_forwards', 'stream_id text, from_version bigint, max_count bigint, until timestamp with time zone', 'SETOF es_event', 'sql', 'stable', 'safe', false, false),
  ('es_read_backwards', 'stream_id text, from_version bigint, max_count bigint, until timestamp with time zone', 'SETOF es_event', 'sql', 'stable', 'safe', false, false),
  ('es_upcast_forwards', 'stream_id text, from_version bigint, max_count bigint, until timestamp with time zone', 'SETOF es_event', 'sql', 'stable', 'restricted', false, false),
  ('es_upcast_backwards', 'stream_id text, from_version bigint, max_count bigint, until timestamp with time zone', 'SETOF es_event', 'sql', 'stable', 'restricted', false, false),
  ('es_read_stream_support', 'internal', 'internal', 'c', 'volatile', 'safe', false, true),
  ('es_projection_definitions_changed', '', 'trigger', 'c', 'volatile', 'unsafe', false, false),
  ('es_event_types_changed', '', 'trigger', 'c', 'volatile', 'unsafe', false, false),
  ('es_events_before_insert', '', 'trigger', 'c', 'volatile', 'unsafe', false, false),
  ('es_events_after_insert', '', 'trigger', 'c', 'volatile', 'unsafe', false, false),
  ('es_events_immutable', '', 'trigger', 'c', 'volatile', 'unsafe', false, false),
  ('es_snapshots_before_write', '', 'trigger', 'c', 'volatile', 'unsafe', false, false);

-- Names that several functions have are told apart by their arguments.
ALTER TABLE wanted_functions ADD overload text GENERATED ALWAYS AS (CASE WHEN name IN ('es_first', 'es_last', 'es_read_forwards', 'es_read_backwards') THEN arguments ELSE '' END) STORED;

CREATE TEMP TABLE wanted_columns (relation text, number int, name text, type text, is_required boolean, "default" text, "collation" text);
INSERT INTO wanted_columns VALUES
  ('es_events', 1, 'tenant_id', 'text', true, 'es_tenant()', 'C'),
  ('es_events', 2, 'stream_id', 'text', true, NULL, 'C'),
  ('es_events', 3, 'version', 'bigint', true, NULL, NULL),
  ('es_events', 4, 'event_id', 'uuid', true, NULL, NULL),
  ('es_events', 5, 'event_type', 'text', true, NULL, 'C'),
  ('es_events', 6, 'schema_version', 'integer', true, NULL, NULL),
  ('es_events', 7, 'data', 'jsonb', true, NULL, NULL),
  ('es_events', 8, 'metadata', 'jsonb', true, NULL, NULL),
  ('es_events', 9, 'recorded_at', 'timestamp with time zone', true, NULL, NULL),
  ('es_events', 10, 'tx', 'bigint', true, NULL, NULL),
  ('es_events', 11, 'ordinal', 'integer', true, NULL, NULL),
  ('es_snapshots', 1, 'tenant_id', 'text', true, 'es_tenant()', 'C'),
  ('es_snapshots', 2, 'stream_id', 'text', true, NULL, 'C'),
  ('es_snapshots', 3, 'version', 'bigint', true, NULL, NULL),
  ('es_snapshots', 4, 'aggregate', 'text', true, '''''::text', 'C'),
  ('es_snapshots', 5, 'state', 'jsonb', true, NULL, NULL),
  ('es_snapshots', 6, 'created_at', 'timestamp with time zone', true, NULL, NULL),
  ('es_snapshots', 7, 'definition', 'uuid', false, NULL, NULL),
  ('es_event_types', 1, 'event_type', 'text', true, NULL, 'C'),
  ('es_event_types', 2, 'schema_version', 'integer', true, NULL, NULL),
  ('es_event_types', 3, 'status', 'text', true, '''active''::text', 'default'),
  ('es_event_types', 4, 'description', 'text', false, NULL, 'default'),
  ('es_event_types', 5, 'published', 'boolean', true, 'false', NULL),
  ('es_event_types', 6, 'topic', 'text', false, NULL, 'default'),
  ('es_event_types', 7, 'json_schema', 'jsonb', false, NULL, NULL),
  ('es_event_types', 8, 'check_expression', 'text', false, NULL, 'default'),
  ('es_event_types', 9, 'upcaster', 'text', false, NULL, 'default'),
  ('es_event_types', 10, 'compatibility', 'text', true, '''backward''::text', 'default'),
  ('es_event_types', 11, 'owner', 'name', true, NULL, 'C'),
  ('es_event_types', 12, 'settings', 'text[]', true, '''{}''::text[]', 'default'),
  ('es_event_types', 13, 'registered_at', 'timestamp with time zone', true, 'now()', NULL),
  ('es_upcast_event', 1, 'event_type', 'text', false, NULL, 'C'),
  ('es_upcast_event', 2, 'schema_version', 'integer', false, NULL, NULL),
  ('es_upcast_event', 3, 'data', 'jsonb', false, NULL, NULL),
  ('es_commits', 1, 'first_position', 'bigint', true, NULL, NULL),
  ('es_commits', 2, 'last_position', 'bigint', true, NULL, NULL),
  ('es_commits', 3, 'tx_range', 'int8range', true, NULL, NULL),
  ('es_commits', 4, 'end_lsn', 'pg_lsn', true, NULL, NULL),
  ('es_commits', 5, 'entries', 'bytea', true, NULL, NULL),
  ('es_log', 1, 'position', 'bigint', false, NULL, NULL),
  ('es_log', 2, 'committed_at', 'timestamp with time zone', false, NULL, NULL),
  ('es_log', 3, 'tenant_id', 'text', false, NULL, 'C'),
  ('es_log', 4, 'stream_id', 'text', false, NULL, 'C'),
  ('es_log', 5, 'version', 'bigint', false, NULL, NULL),
  ('es_log', 6, 'event_id', 'uuid', false, NULL, NULL),
  ('es_log', 7, 'event_type', 'text', false, NULL, 'C'),
  ('es_log', 8, 'schema_version', 'integer', false, NULL, NULL),
  ('es_log', 9, 'data', 'jsonb', false, NULL, NULL),
  ('es_log', 10, 'metadata', 'jsonb', false, NULL, NULL),
  ('es_log', 11, 'recorded_at', 'timestamp with time zone', false, NULL, NULL),
  ('es_log', 12, 'tx', 'bigint', false, NULL, NULL),
  ('es_log', 13, 'ordinal', 'integer', false, NULL, NULL),
  ('es_log', 14, 'piece', 'bigint', false, NULL, NULL),
  ('es_log_events', 1, 'position', 'bigint', false, NULL, NULL),
  ('es_log_events', 2, 'committed_at', 'timestamp with time zone', false, NULL, NULL),
  ('es_log_events', 3, 'tenant_id', 'text', false, NULL, 'C'),
  ('es_log_events', 4, 'stream_id', 'text', false, NULL, 'C'),
  ('es_log_events', 5, 'version', 'bigint', false, NULL, NULL),
  ('es_log_events', 6, 'event_id', 'uuid', false, NULL, NULL),
  ('es_log_events', 7, 'event_type', 'text', false, NULL, 'C'),
  ('es_log_events', 8, 'schema_version', 'integer', false, NULL, NULL),
  ('es_log_events', 9, 'data', 'jsonb', false, NULL, NULL),
  ('es_log_events', 10, 'metadata', 'jsonb', false, NULL, NULL),
  ('es_log_events', 11, 'recorded_at', 'timestamp with time zone', false, NULL, NULL),
  ('es_log_events', 12, 'tx', 'bigint', false, NULL, NULL),
  ('es_log_events', 13, 'ordinal', 'integer', false, NULL, NULL),
  ('es_log_events', 14, 'piece', 'bigint', false, NULL, NULL),
  ('es_projection_definitions', 1, 'id', 'integer', true, 'nextval(''es_projection_id_seq''::regclass)', NULL),
  ('es_projection_definitions', 2, 'name', 'text', true, NULL, 'C'),
  ('es_projection_definitions', 3, 'owner', 'name', true, NULL, 'C'),
  ('es_projection_definitions', 4, 'kind', 'text', true, NULL, 'default'),
  ('es_projection_definitions', 5, 'query', 'text', false, NULL, 'default'),
  ('es_projection_definitions', 6, 'statements', 'text[]', false, NULL, 'default'),
  ('es_projection_definitions', 7, 'handlers', 'jsonb', false, NULL, NULL),
  ('es_projection_definitions', 8, 'relation', 'regclass', false, NULL, NULL),
  ('es_projection_definitions', 9, 'state_table', 'regclass', false, NULL, NULL),
  ('es_projection_definitions', 10, 'tables', 'regclass[]', false, NULL, NULL),
  ('es_projection_definitions', 11, 'refresh_every', 'interval', false, NULL, NULL),
  ('es_projection_definitions', 12, 'refresh_concurrently', 'boolean', true, 'false', NULL),
  ('es_projection_definitions', 13, 'mode', 'text', true, '''async''::text', 'default'),
  ('es_projection_definitions', 14, 'paused', 'boolean', true, 'false', NULL),
  ('es_projection_definitions', 15, 'after_position', 'bigint', true, '0', NULL),
  ('es_projection_definitions', 16, 'on_error', 'text', true, '''stop''::text', 'default'),
  ('es_projection_definitions', 17, 'max_retries', 'integer', false, NULL, NULL),
  ('es_projection_definitions', 18, 'batch_size', 'integer', false, NULL, NULL),
  ('es_projection_definitions', 19, 'partitions', 'integer', true, '1', NULL),
  ('es_projection_definitions', 20, 'categories', 'text[]', false, NULL, 'default'),
  ('es_projection_definitions', 21, 'event_types', 'text[]', false, NULL, 'default'),
  ('es_projection_definitions', 22, 'tenants', 'text[]', false, NULL, 'default'),
  ('es_projection_definitions', 23, 'settings', 'text[]', true, '''{}''::text[]', 'default'),
  ('es_projection_definitions', 24, 'created_at', 'timestamp with time zone', true, 'now()', NULL),
  ('es_checkpoints', 1, 'projection_id', 'integer', true, NULL, NULL),
  ('es_checkpoints', 2, 'partition', 'integer', true, NULL, NULL),
  ('es_checkpoints', 3, 'position', 'bigint', true, NULL, NULL),
  ('es_checkpoints', 4, 'events', 'bigint', true, NULL, NULL),
  ('es_checkpoints', 5, 'batches', 'bigint', true, NULL, NULL),
  ('es_checkpoints', 6, 'applied_at', 'timestamp with time zone', true, NULL, NULL),
  ('es_projection_failures', 1, 'projection_id', 'integer', true, NULL, NULL),
  ('es_projection_failures', 2, 'partition', 'integer', true, NULL, NULL),
  ('es_projection_failures', 3, 'attempts', 'integer', true, NULL, NULL),
  ('es_projection_failures', 4, 'failed', 'boolean', true, NULL, NULL),
  ('es_projection_failures', 5, 'retry_at', 'timestamp with time zone', false, NULL, NULL),
  ('es_projection_failures', 6, 'error_code', 'text', true, NULL, 'default'),
  ('es_projection_failures', 7, 'error_message', 'text', true, NULL, 'default'),
  ('es_projection_failures', 8, 'error_detail', 'text', false, NULL, 'default'),
  ('es_projection_failures', 9, 'error_context', 'text', false, NULL, 'default'),
  ('es_projection_failures', 10, 'first_position', 'bigint', false, NULL, NULL),
  ('es_projection_failures', 11, 'last_position', 'bigint', false, NULL, NULL),
  ('es_projection_failures', 12, 'failed_at', 'timestamp with time zone', true, NULL, NULL),
  ('es_dead_letters', 1, 'projection_id', 'integer', true, NULL, NULL),
  ('es_dead_letters', 2, 'position', 'bigint', true, NULL, NULL),
  ('es_dead_letters', 3, 'partition', 'integer', true, NULL, NULL),
  ('es_dead_letters', 4, 'tenant_id', 'text', true, NULL, 'C'),
  ('es_dead_letters', 5, 'stream_id', 'text', true, NULL, 'C'),
  ('es_dead_letters', 6, 'version', 'bigint', true, NULL, NULL),
  ('es_dead_letters', 7, 'event_type', 'text', true, NULL, 'C'),
  ('es_dead_letters', 8, 'attempts', 'integer', true, NULL, NULL),
  ('es_dead_letters', 9, 'error_code', 'text', true, NULL, 'default'),
  ('es_dead_letters', 10, 'error_message', 'text', true, NULL, 'default'),
  ('es_dead_letters', 11, 'error_detail', 'text', false, NULL, 'default'),
  ('es_dead_letters', 12, 'failed_at', 'timestamp with time zone', true, NULL, NULL),
  ('es_aggregates', 1, 'name', 'text', true, NULL, 'C'),
  ('es_aggregates', 2, 'category', 'text', true, NULL, 'C'),
  ('es_aggregates', 3, 'evolve', 'text', true, NULL, 'default'),
  ('es_aggregates', 4, 'initial_state', 'jsonb', false, NULL, NULL),
  ('es_aggregates', 5, 'decide', 'text', false, NULL, 'default'),
  ('es_aggregates', 6, 'snapshot_every', 'integer', false, NULL, NULL),
  ('es_aggregates', 7, 'keep', 'integer', false, NULL, NULL),
  ('es_aggregates', 8, 'owner', 'name', true, NULL, 'C'),
  ('es_aggregates', 9, 'settings', 'text[]', true, '''{}''::text[]', 'default'),
  ('es_aggregates', 10, 'created_at', 'timestamp with time zone', true, 'now()', NULL),
  ('es_event', 1, 'position', 'bigint', false, NULL, NULL),
  ('es_event', 2, 'stream_id', 'text', false, NULL, 'C'),
  ('es_event', 3, 'version', 'bigint', false, NULL, NULL),
  ('es_event', 4, 'event_type', 'text', false, NULL, 'C'),
  ('es_event', 5, 'schema_version', 'integer', false, NULL, NULL),
  ('es_event', 6, 'data', 'jsonb', false, NULL, NULL),
  ('es_event', 7, 'metadata', 'jsonb', false, NULL, NULL),
  ('es_event', 8, 'event_id', 'uuid', false, NULL, NULL),
  ('es_event', 9, 'recorded_at', 'timestamp with time zone', false, NULL, NULL),
  ('es_event', 10, 'tenant_id', 'text', false, NULL, 'C');

CREATE TEMP TABLE wanted_indexes (name text, relation text, is_unique boolean, is_primary boolean, columns text);
INSERT INTO wanted_indexes VALUES
  ('es_events_pkey', 'es_events', true, true, 'tenant_id, stream_id, version'),
  ('es_events_tx_ordinal_key', 'es_events', true, false, 'tx, ordinal'),
  ('es_events_event_id_idx', 'es_events', false, false, 'event_id'),
  ('es_event_types_pkey', 'es_event_types', true, true, 'event_type, schema_version'),
  ('es_commits_pkey', 'es_commits', true, true, 'first_position'),
  ('es_commits_tx_range_idx', 'es_commits', false, false, 'tx_range'),
  ('es_sequencer_state_pkey', 'es_sequencer_state', true, true, 'system_identifier, database_oid, store_oid'),
  ('es_checkpoints_pkey', 'es_checkpoints', true, true, 'projection_id, partition, "position"'),
  ('es_dead_letters_pkey', 'es_dead_letters', true, true, 'projection_id, "position"'),
  ('es_projection_definitions_name_key', 'es_projection_definitions', true, false, 'name'),
  ('es_projection_definitions_pkey', 'es_projection_definitions', true, true, 'id'),
  ('es_projection_failures_pkey', 'es_projection_failures', true, true, 'projection_id, partition'),
  ('es_aggregates_pkey', 'es_aggregates', true, true, 'name'),
  ('es_snapshots_pkey', 'es_snapshots', true, true, 'tenant_id, stream_id, version, aggregate');

CREATE TEMP TABLE wanted_triggers (name text, relation text, definition text, enabled "char");
INSERT INTO wanted_triggers VALUES
  ('zz_es_events_before_insert', 'es_events', 'BEFORE INSERT FOR EACH ROW EXECUTE FUNCTION es_events_before_insert()', 'A'),
  ('es_events_after_insert', 'es_events', 'AFTER INSERT FOR EACH STATEMENT EXECUTE FUNCTION es_events_after_insert()', 'A'),
  ('es_events_immutable', 'es_events', 'BEFORE DELETE OR UPDATE OR TRUNCATE FOR EACH STATEMENT EXECUTE FUNCTION es_events_immutable()', 'A'),
  ('es_events_immutable_row', 'es_events', 'BEFORE DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION es_events_immutable()', 'A'),
  ('es_event_types_changed', 'es_event_types', 'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION es_event_types_changed()', 'A'),
  ('es_event_types_truncated', 'es_event_types', 'AFTER TRUNCATE FOR EACH STATEMENT EXECUTE FUNCTION es_event_types_changed()', 'A'),
  ('zz_es_commits_before_insert', 'es_commits', 'BEFORE INSERT FOR EACH ROW EXECUTE FUNCTION es_commits_before_insert()', 'A'),
  ('es_commits_immutable', 'es_commits', 'BEFORE DELETE OR UPDATE OR TRUNCATE FOR EACH STATEMENT EXECUTE FUNCTION es_commits_immutable()', 'A'),
  ('es_commits_immutable_row', 'es_commits', 'BEFORE DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION es_commits_immutable()', 'A'),
  ('es_projection_definitions_changed', 'es_projection_definitions', 'AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE FOR EACH STATEMENT EXECUTE FUNCTION es_projection_definitions_changed()', 'A'),
  ('es_aggregates_changed', 'es_aggregates', 'AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE FOR EACH STATEMENT EXECUTE FUNCTION es_aggregates_changed()', 'A'),
  ('zz_es_snapshots_before_write', 'es_snapshots', 'BEFORE INSERT OR UPDATE FOR EACH ROW EXECUTE FUNCTION es_snapshots_before_write()', 'O');

CREATE TEMP TABLE wanted_settings (name text, type text, context text, "default" text, minimum text, maximum text);
INSERT INTO wanted_settings VALUES
  ('event_store.tenant_id', 'string', 'user', '', NULL, NULL),
  ('event_store.correlation_id', 'string', 'user', '', NULL, NULL),
  ('event_store.causation_id', 'string', 'user', '', NULL, NULL),
  ('event_store.user_id', 'string', 'user', '', NULL, NULL),
  ('event_store.traceparent', 'string', 'user', '', NULL, NULL),
  ('event_store.max_stream_locks', 'integer', 'user', '512', '1', '1000000'),
  ('event_store.max_databases', 'integer', 'postmaster', '64', '1', '10000'),
  ('event_store.sequencer', 'bool', 'sighup', 'on', NULL, NULL),
  ('event_store.sequencer_linger', 'integer', 'sighup', '1', '0', '10000'),
  ('event_store.sequencer_nap_time', 'integer', 'sighup', '10000', '10', '3600000'),
  ('event_store.sequencer_batch_transactions', 'integer', 'sighup', '10000', '1', '1000000'),
  ('event_store.sequencer_batch_wal', 'integer', 'sighup', '65536', '64', '2147483647'),
  ('event_store.launcher_nap_time', 'integer', 'sighup', '60000', '100', '3600000'),
  ('event_store.max_projection_workers', 'integer', 'sighup', '4', '1', '64'),
  ('event_store.max_projections', 'integer', 'postmaster', '256', '1', '100000'),
  ('event_store.projection_batch_size', 'integer', 'sighup', '10000', '1', '1000000'),
  ('event_store.projection_max_retries', 'integer', 'sighup', '5', '0', '1000000'),
  ('event_store.projection_retry_time', 'integer', 'sighup', '1000', '1', '3600000'),
  ('event_store.projections', 'bool', 'sighup', 'on', NULL, NULL),
  ('event_store.strict_types', 'enum', 'superuser', 'off', NULL, NULL),
  ('event_store.state_cache_size', 'integer', 'user', '4096', '0', '2147483647'),
  ('event_store.notify', 'bool', 'sighup', 'on', NULL, NULL);

-- ---------------------------------------------------------------------------
-- What there is
-- ---------------------------------------------------------------------------

-- Names are shown without the schema, whichever it is.
SELECT quote_ident(nspname) AS es_schema FROM pg_extension x JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'event_store' \gset
SELECT current_setting('search_path') AS old_path \gset
SET LOCAL search_path = :es_schema, :old_path;

-- Members of the extension, without the types that come with tables and types.
CREATE TEMP VIEW members AS
  SELECT d.classid, d.objid
    FROM pg_depend d
   WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
     AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'event_store')
     AND NOT (d.classid = 'pg_type'::regclass
              AND EXISTS (SELECT FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
                           WHERE t.oid = d.objid AND (t.typcategory = 'A' OR c.relkind <> 'c')));

CREATE TEMP VIEW functions AS
  SELECT p.oid, p.proname::text AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
         l.lanname::text AS language,
         CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
         CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel,
         p.prosecdef AS is_definer, p.proisstrict AS is_strict, p.proconfig AS settings, p.proowner AS owner, p.proacl AS acl,
         CASE WHEN p.proname IN ('es_first', 'es_last', 'es_read_forwards', 'es_read_backwards') THEN pg_get_function_arguments(p.oid) ELSE '' END AS overload
    FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid JOIN pg_language l ON l.oid = p.prolang;

CREATE TEMP VIEW relations AS
  SELECT c.oid, c.relname::text AS name, c.relkind AS kind, c.relowner AS owner, c.relacl AS acl
    FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid;

CREATE TEMP VIEW privileges AS
  SELECT name, a.grantee, a.privilege_type AS privilege, owner
    FROM (SELECT name || '()', owner, coalesce(acl, acldefault('f', owner)) FROM functions
          UNION ALL
          SELECT name, owner, coalesce(acl, acldefault(CASE kind WHEN 'S' THEN 's'::"char" ELSE 'r' END, owner)) FROM relations) o(name, owner, acl),
         aclexplode(acl) a;

CREATE TEMP VIEW triggers AS
  SELECT t.oid, t.tgname::text AS name, t.tgrelid::regclass::text AS relation, t.tgenabled AS enabled,
         regexp_replace(pg_get_triggerdef(t.oid, true), '^CREATE TRIGGER \w+ (.*) ON \w+ (FOR EACH .*)$', '\1 \2') AS definition
    FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal;

SELECT plan((SELECT 6 * count(*) FROM wanted_functions)::int
          + (SELECT count(*) + count(*) FILTER (WHERE relation NOT IN ('es_event', 'es_upcast_event')) FROM wanted_columns)::int
          + (SELECT 2 * count(*) FROM wanted_indexes)::int
          + (SELECT 3 * count(*) FROM wanted_triggers)::int
          + (SELECT count(*) FROM wanted_settings)::int
          + 33);

-- ---------------------------------------------------------------------------
-- The extension
-- ---------------------------------------------------------------------------

SELECT is(extversion, es_version(), 'library and SQL have the same version') FROM pg_extension WHERE extname = 'event_store';
SELECT ok(NOT extrelocatable, 'is not relocatable') FROM pg_extension WHERE extname = 'event_store';
SELECT set_eq($$ SELECT unnest(extconfig)::regclass::text AS name, unnest(extcondition) AS condition FROM pg_extension WHERE extname = 'event_store' $$,
              $$ VALUES ('es_events', ''), ('es_snapshots', ''), ('es_commits', ''), ('es_tx_seq', ''), ('es_event_types', ''), ('es_aggregates', ''),
                        ('es_projection_id_seq', ''), ('es_projection_definitions', ''), ('es_checkpoints', ''), ('es_projection_failures', ''), ('es_dead_letters', '') $$,
              'pg_dump saves all events, all snapshots, the ledger, projections and the sequences');
SELECT isnt(obj_description(oid, 'pg_extension'), NULL, 'the extension has a comment') FROM pg_extension WHERE extname = 'event_store';

-- Everything that it has, and nothing else.
SELECT set_eq($$ SELECT name, overload FROM functions $$, $$ SELECT name, overload FROM wanted_functions $$, 'functions');
SELECT set_eq($$ SELECT name, kind::text FROM relations $$, $$ VALUES ('es_events', 'r'), ('es_snapshots', 'r'), ('es_commits', 'r'), ('es_sequencer_state', 'r'), ('es_store_key', 'r'), ('es_event_types', 'r'), ('es_aggregates', 'r'),
                        ('es_log_events', 'f'), ('es_log', 'v'), ('es_sequencer', 'v'), ('es_projections', 'v'), ('es_tx_seq', 'S'),
                        ('es_projection_definitions', 'r'), ('es_checkpoints', 'r'), ('es_projection_failures', 'r'), ('es_dead_letters', 'r'), ('es_projection_id_seq', 'S') $$,
              'tables, views and sequences');
SELECT set_eq($$ SELECT typname::text FROM members m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid $$,
              $$ VALUES ('es_event'), ('es_upcast_event') $$, 'types');
SELECT is_empty($$ SELECT pg_describe_object(classid, objid, 0) FROM members
                    WHERE classid NOT IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_type'::regclass)
                      AND pg_describe_object(classid, objid, 0) NOT IN ('foreign-data wrapper event_store_log', 'server event_store_log') $$,
                'nothing of another kind but the wrapper of the log');
SELECT is_empty($$ SELECT pg_describe_object('pg_proc'::regclass, oid, 0) FROM pg_proc
                    WHERE proname LIKE 'es\_%' AND pronamespace = (SELECT extnamespace FROM pg_extension WHERE extname = 'event_store')
                      AND oid NOT IN (SELECT oid FROM functions)
                   UNION ALL
                   SELECT pg_describe_object('pg_class'::regclass, oid, 0) FROM pg_class
                    WHERE relname LIKE 'es\_%' AND relnamespace = (SELECT extnamespace FROM pg_extension WHERE extname = 'event_store')
                      AND relkind NOT IN ('i', 'c') AND oid NOT IN (SELECT oid FROM relations) $$,
                'no function or relation es_* that is not of the extension');
SELECT is_empty($$ SELECT pg_describe_object(classid, objid, 0) FROM members, pg_identify_object(classid, objid, 0) o
                    WHERE o.schema <> (SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'event_store') $$,
                'all of it is in the schema of the extension');
SELECT is_empty($$ SELECT name FROM functions WHERE owner <> (SELECT extowner FROM pg_extension WHERE extname = 'event_store')
                   UNION ALL
                   SELECT name FROM relations WHERE owner <> (SELECT extowner FROM pg_extension WHERE extname = 'event_store') $$,
                'all of it belongs to the owner of the extension');

-- ---------------------------------------------------------------------------
-- Functions
-- ---------------------------------------------------------------------------

SELECT is(f.name || '(' || f.arguments || ') -> ' || f.result, w.name || '(' || w.arguments || ') -> ' || w.result, w.name || ': signature')
  FROM wanted_functions w LEFT JOIN functions f USING (name, overload) ORDER BY name, overload;
SELECT is(f.language, w.language, w.name || ': language ' || w.language) FROM wanted_functions w LEFT JOIN functions f USING (name, overload) ORDER BY name, overload;
SELECT is(f.volatility, w.volatility, w.name || ': ' || w.volatility) FROM wanted_functions w LEFT JOIN functions f USING (name, overload) ORDER BY name, overload;
SELECT is(f.parallel, w.parallel, w.name || ': parallel ' || w.parallel) FROM wanted_functions w LEFT JOIN functions f USING (name, overload) ORDER BY name, overload;
SELECT is(concat_ws(', ', CASE WHEN f.is_definer THEN 'definer' ELSE 'invoker' END, CASE WHEN f.is_strict THEN 'strict' END),
          concat_ws(', ', CASE WHEN w.is_definer THEN 'definer' ELSE 'invoker' END, CASE WHEN w.is_strict THEN 'strict' END),
          w.name || ': whose rights count, and what NULL does')
  FROM wanted_functions w LEFT JOIN functions f USING (name, overload) ORDER BY name, overload;
SELECT isnt(obj_description(f.oid, 'pg_proc'), NULL, w.name || ': comment') FROM wanted_functions w LEFT JOIN functions f USING (name, overload) ORDER BY name, overload;

SELECT is_empty($$ SELECT name FROM functions WHERE is_definer AND settings IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp'] $$,
                'functions with the rights of their owner have a safe search_path');
SELECT is_empty($$ SELECT name FROM functions WHERE NOT is_definer AND settings IS NOT NULL AND name <> 'es_trace' $$,
                'the others have no settings, which would keep them from being inlined');
SELECT is_empty($$ SELECT name FROM functions f JOIN pg_proc p USING (oid) WHERE f.language = 'sql' AND p.prosqlbody IS NULL $$,
                'functions in SQL were parsed when they were made, whatever the search_path of a caller');
SELECT is_empty($$ SELECT name FROM functions f JOIN pg_proc p USING (oid) WHERE f.language = 'c' AND p.probin <> '$libdir/event_store' $$,
                'functions in C are in the library');

-- ---------------------------------------------------------------------------
-- Tables
-- ---------------------------------------------------------------------------

SELECT is(a.column, concat_ws(' ', w.name, w.type, CASE WHEN w.is_required THEN 'NOT NULL' END, 'DEFAULT ' || w.default, 'COLLATE ' || w.collation),
          w.relation || '.' || w.name)
  FROM wanted_columns w
  LEFT JOIN (SELECT c.relname, t.attnum,
                    concat_ws(' ', t.attname, format_type(t.atttypid, t.atttypmod), CASE WHEN t.attnotnull THEN 'NOT NULL' END,
                              'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), 'COLLATE ' || l.collname) AS column
               FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid
               LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (t.attrelid, t.attnum)
               LEFT JOIN pg_collation l ON l.oid = t.attcollation
              WHERE c.relnamespace = (SELECT extnamespace FROM pg_extension WHERE extname = 'event_store')) a
    ON a.relname = w.relation AND a.attnum = w.number
 ORDER BY w.relation, w.number;
SELECT is_empty($$ SELECT attrelid::regclass, attname FROM pg_attribute
                    WHERE attrelid IN ('es_events'::regclass, 'es_snapshots'::regclass, 'es_commits'::regclass, 'es_log'::regclass,
                                       'es_log_events'::regclass, 'es_event'::regclass, 'es_event_types'::regclass, 'es_aggregates'::regclass, 'es_upcast_event'::regclass) AND attnum > 0
                      AND (attrelid::regclass::text, attnum) NOT IN (SELECT relation, number FROM wanted_columns) $$,
                'no other columns');
SELECT isnt(col_description(relation::regclass, number), NULL, relation || '.' || name || ': comment')
  FROM wanted_columns WHERE relation NOT IN ('es_event', 'es_upcast_event') ORDER BY relation, number;
SELECT isnt(obj_description(name::regclass, 'pg_class'), NULL, name || ': comment')
  FROM (VALUES ('es_events'), ('es_snapshots'), ('es_commits'), ('es_log'), ('es_log_events'), ('es_tx_seq'), ('es_event_types'), ('es_aggregates')) v(name);
SELECT isnt(obj_description('es_event'::regtype, 'pg_type'), NULL, 'es_event: comment');
SELECT isnt(obj_description('es_upcast_event'::regtype, 'pg_type'), NULL, 'es_upcast_event: comment');
SELECT is((SELECT format_type(seqtypid, NULL) || ' ' || concat_ws(' ', seqstart, seqincrement, seqmin, seqcycle, seqcache)
             FROM pg_sequence WHERE seqrelid = 'es_tx_seq'::regclass), 'bigint 1 1 1 f 1', 'es_tx_seq: 1, 2, 3 ..., nothing kept by sessions');

SELECT is(i.index, concat_ws(' ', w.relation, CASE WHEN w.is_unique THEN 'unique' END, CASE WHEN w.is_primary THEN 'primary' END, '(' || w.columns || ')'), w.name)
  FROM wanted_indexes w
  LEFT JOIN (SELECT c.relname, concat_ws(' ', x.indrelid::regclass, CASE WHEN indisunique THEN 'unique' END, CASE WHEN indisprimary THEN 'primary' END,
                                         substring(pg_get_indexdef(indexrelid) FROM 'USING (?:btree|gist) (\(.*\))$')) AS index
               FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN relations r ON r.oid = x.indrelid) i
    ON i.relname = w.name
 ORDER BY w.name;
SELECT isnt(obj_description(to_regclass(name), 'pg_class'), NULL, name || ': comment') FROM wanted_indexes ORDER BY name;
SELECT set_eq($$ SELECT indexrelid::regclass::text FROM pg_index x JOIN relations r ON r.oid = x.indrelid $$, $$ SELECT name FROM wanted_indexes $$,
              'no other indexes');
-- (NOT NULL is a constraint of the catalogs from PostgreSQL 18 on)
SELECT set_eq($$ SELECT conname::text AS name, obj_description(c.oid, 'pg_constraint') IS NOT NULL AS has_comment
                   FROM pg_constraint c JOIN relations r ON r.oid = c.conrelid WHERE contype <> 'n' $$,
              $$ VALUES ('es_events_pkey', true), ('es_events_tx_ordinal_key', true), ('es_snapshots_pkey', true), ('es_commits_pkey', true),
                        ('es_aggregates_pkey', true), ('es_aggregates_snapshot_every_check', true), ('es_aggregates_keep_check', true),
                        ('es_event_types_pkey', true), ('es_event_types_status_check', true), ('es_event_types_compatibility_check', true), ('es_event_types_schema_version_check', true),
                        ('es_sequencer_state_pkey', true), ('es_projection_definitions_pkey', true), ('es_projection_definitions_name_key', true),
                        ('es_projection_definitions_kind_check', true), ('es_projection_definitions_mode_check', true), ('es_projection_definitions_on_error_check', true),
                        ('es_projection_definitions_partitions_check', true), ('es_checkpoints_pkey', true), ('es_projection_failures_pkey', true), ('es_dead_letters_pkey', true) $$,
              'constraints, each with a comment');

-- ---------------------------------------------------------------------------
-- Triggers
-- ---------------------------------------------------------------------------

SELECT is(t.relation || ': ' || t.definition, w.relation || ': ' || w.definition, w.name)
  FROM wanted_triggers w LEFT JOIN triggers t USING (name) ORDER BY name;
SELECT is(t.enabled, w.enabled, w.name || CASE w.enabled WHEN 'A' THEN ': fires always' ELSE ': fires unless replicating' END)
  FROM wanted_triggers w LEFT JOIN triggers t USING (name) ORDER BY name;
SELECT isnt(obj_description(t.oid, 'pg_trigger'), NULL, w.name || ': comment')
  FROM wanted_triggers w LEFT JOIN triggers t USING (name) ORDER BY name;
SELECT is_empty($$ SELECT name FROM triggers EXCEPT SELECT name FROM wanted_triggers $$, 'no other triggers');

-- ---------------------------------------------------------------------------
-- Privileges
-- ---------------------------------------------------------------------------

SELECT is_empty($$ SELECT privilege, name FROM privileges WHERE grantee = 0 $$, 'everybody: nothing');
SELECT is_empty($$ SELECT privilege, name, grantee::regrole FROM privileges WHERE grantee NOT IN (0, owner) $$, 'nobody but the owner: anything');

-- ---------------------------------------------------------------------------
-- Settings
-- ---------------------------------------------------------------------------

SELECT is(s.setting, concat_ws(' ', w.type, w.context, quote_literal(w.default), w.minimum, w.maximum), w.name)
  FROM wanted_settings w
  LEFT JOIN (SELECT name, concat_ws(' ', vartype, context, quote_literal(boot_val), min_val, max_val) AS setting FROM pg_settings) s USING (name)
 ORDER BY name;
SELECT set_eq($$ SELECT name FROM pg_settings WHERE name LIKE 'event\_store.%' $$, $$ SELECT name FROM wanted_settings $$, 'no other settings');

SELECT * FROM finish();
ROLLBACK;
