-- Privileges: nobody but the owner has any until es_grant gives them.

CREATE FUNCTION es_grant(role name, privilege text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'es_grant';
COMMENT ON FUNCTION es_grant(name, text) IS
  'gives a role what a reader, a writer or an admin of the store needs';

CREATE FUNCTION es_revoke(role name, privilege text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'es_revoke';
COMMENT ON FUNCTION es_revoke(name, text) IS
  'takes back what es_grant gave, except USAGE of the schema and what the role needs for another privilege that it holds';

-- Tables are private by default, functions are not.
REVOKE ALL ON FUNCTION
  es_version(),
  es_tenant(),
  es_uuid_v7(),
  es_category(text),
  es_append(text, text, jsonb, jsonb, bigint, uuid, integer),
  es_append_batch(text, text[], jsonb[], jsonb[], bigint, uuid[], integer[]),
  es_append_json(text, jsonb, bigint),
  es_cause(jsonb, uuid),
  es_execute(text, jsonb, uuid, bigint, jsonb, text),
  es_events_before_insert(),
  es_events_after_insert(),
  es_events_immutable(),
  es_head_position(),
  es_position(text, bigint),
  es_commit_entries(bigint, bytea),
  es_commit_problem(bigint, bigint, int8range, bytea),
  es_pack_entries(bigint[], integer[], timestamptz[]),
  es_commits_before_insert(),
  es_commits_immutable(),
  es_log_handler(),
  es_log_validator(text[], oid),
  es_check_read_all(bigint, bigint, text[], text[]),
  es_check_read_category(text, bigint, bigint),
  es_read_all(bigint, bigint, text[], text[]),
  es_read_category(text, bigint, bigint),
  es_check_read(text, bigint, bigint),
  es_stream_version(text),
  es_read_forwards(text, bigint, bigint),
  es_read_backwards(text, bigint, bigint),
  es_read_stream_support(internal),
  es_read_stream(text, bigint, bigint, boolean),
  es_trace(text),
  es_check(),
  es_sequence(),
  es_wait_for_log(interval),
  es_wait_for_position(bigint, interval),
  es_sequencer_status(),
  es_stream_partition(text, integer),
  es_first_step(anyelement, anyelement),
  es_last_step(anyelement, anyelement),
  es_first_by_step(internal, anyelement, bigint),
  es_last_by_step(internal, anyelement, bigint),
  es_first_by_combine(internal, internal),
  es_last_by_combine(internal, internal),
  es_by_serialize(internal),
  es_by_deserialize(bytea, internal),
  es_by_final(internal, anyelement, bigint),
  es_count_if_step(bigint, boolean),
  es_count_if_undo(bigint, boolean),
  es_first(anyelement),
  es_last(anyelement),
  es_first(anyelement, bigint),
  es_last(anyelement, bigint),
  es_count_if(boolean),
  es_explain_view(text),
  es_create_view(text, text, text, bigint, integer, text[], text[], text[], text, integer, integer),
  es_create_projection(text, text, text[], jsonb, text, text, bigint, integer, text[], text[], text[], text, integer, integer, regclass[], interval, boolean),
  es_run_projections(text),
  es_retry_dead_letters(text, bigint),
  es_discard_dead_letters(text, bigint),
  es_pause_projection(text),
  es_resume_projection(text),
  es_rename_projection(text, text),
  es_drop_projection(text, boolean),
  es_alter_projection(text, text, integer, text, integer, integer, text[], text[], text[], name),
  es_rebuild(text, integer),
  es_alter_view(text, text),
  es_verify(text),
  es_projection_definitions_changed(),
  es_wait(text, interval),
  es_projection_status(),
  es_snapshots_before_write(),
  es_save_snapshot(text, bigint, jsonb, text),
  es_load_snapshot(text, bigint, text),
  es_delete_snapshots(text, bigint, text),
  es_grant(name, text),
  es_revoke(name, text)
FROM PUBLIC;
