/*-------------------------------------------------------------------------
 *
 * privilege.c
 *	  es_grant and es_revoke: what a reader, a writer and an admin need.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Both functions are SECURITY DEFINER with a fixed search_path, so that an
 *	  admin can pass privileges on that he does not own.  What they grant is
 *	  listed here and nowhere else.
 *
 *	  PostgreSQL knows only privileges on single objects.  What a role holds
 *	  is told by a marker: the right to execute a function that only that
 *	  privilege gives.  es_revoke leaves what the role needs for another
 *	  privilege that it holds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "core/names.h"

PG_FUNCTION_INFO_V1(es_grant);
PG_FUNCTION_INFO_V1(es_revoke);

#define READER	0x01
#define WRITER	0x02
#define ADMIN	0x04

typedef struct Privilege
{
	const char *name;
	int			mask;			/* with the privileges that it includes */
	const char *marker;			/* function whose EXECUTE tells who holds it */
} Privilege;

static const Privilege privileges[] = {
	{"reader", READER, "es_read_stream(text, bigint, bigint, boolean, timestamptz, boolean)"},
	{"writer", WRITER, "es_append(text, text, jsonb, jsonb, bigint, uuid, integer)"},
	{"admin", READER | WRITER | ADMIN, "es_check()"},
};

typedef struct Object
{
	const char *right;
	const char *kind;
	const char *name;
	int			mask;			/* privileges that need it */
} Object;

static const Object objects[] = {
	{"SELECT", "TABLE", "es_events", READER},
	{"SELECT", "TABLE", "es_snapshots", READER},
	{"SELECT", "TABLE", "es_commits", READER},
	{"SELECT", "TABLE", "es_log_events", READER},
	{"SELECT", "TABLE", "es_log", READER},
	{"EXECUTE", "FUNCTION", "es_read_stream(text, bigint, bigint, boolean, timestamptz, boolean)", READER},
	{"EXECUTE", "FUNCTION", "es_read_forwards(text, bigint, bigint)", READER},
	{"EXECUTE", "FUNCTION", "es_read_whole(text)", READER},
	{"EXECUTE", "FUNCTION", "es_read_whole_known(text)", READER},
	{"EXECUTE", "FUNCTION", "es_stream_to_read(text)", READER},
	{"EXECUTE", "FUNCTION", "es_read_backwards(text, bigint, bigint)", READER},
	{"EXECUTE", "FUNCTION", "es_read_either(text, bigint, bigint, boolean)", READER},
	{"EXECUTE", "FUNCTION", "es_read_forwards(text, bigint, bigint, timestamptz)", READER},
	{"EXECUTE", "FUNCTION", "es_read_backwards(text, bigint, bigint, timestamptz)", READER},
	{"EXECUTE", "FUNCTION", "es_upcast_forwards(text, bigint, bigint, timestamptz)", READER},
	{"EXECUTE", "FUNCTION", "es_upcast_backwards(text, bigint, bigint, timestamptz)", READER},
	{"EXECUTE", "FUNCTION", "es_version_at(text, timestamptz)", READER},
	{"EXECUTE", "FUNCTION", "es_load_snapshot(text, bigint, text)", READER},
	{"EXECUTE", "FUNCTION", "es_check_read(text, bigint, bigint)", READER},
	{"EXECUTE", "FUNCTION", "es_read_all(bigint, bigint, text[], text[])", READER},
	{"EXECUTE", "FUNCTION", "es_read_category(text, bigint, bigint)", READER},
	{"EXECUTE", "FUNCTION", "es_check_read_all(bigint, bigint, text[], text[])", READER},
	{"EXECUTE", "FUNCTION", "es_check_read_category(text, bigint, bigint)", READER},
	{"EXECUTE", "FUNCTION", "es_trace(text)", READER},
	{"EXECUTE", "FUNCTION", "es_head_position()", READER},
	{"EXECUTE", "FUNCTION", "es_position(text, bigint)", READER},
	{"EXECUTE", "FUNCTION", "es_commit_entries(bigint, bytea)", READER},
	{"SELECT", "TABLE", "es_event_types", READER},
	{"EXECUTE", "FUNCTION", "es_check_event(text, jsonb, integer, jsonb)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_upcast_to(text, integer, jsonb)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_upcast(text, integer, jsonb, jsonb, text, bigint)", READER},
	{"EXECUTE", "FUNCTION", "es_stream_version(text)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_category(text)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_tenant()", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_version()", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_uuid_v7()", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_json_schema_is_valid(jsonb, jsonb, jsonb)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_json_schema_problems(jsonb, jsonb, jsonb)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_json_schema_breaks(jsonb, jsonb)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_cause(jsonb, uuid)", READER | WRITER},
	{"SELECT", "TABLE", "es_aggregates", READER},
	{"EXECUTE", "FUNCTION", "es_state(text, bigint, timestamptz, bigint, text)", READER},
	{"EXECUTE", "FUNCTION", "es_states(text, text, timestamptz, bigint, text, bigint)", READER},
	{"EXECUTE", "FUNCTION", "es_history(text, bigint, bigint, text)", READER},
	{"EXECUTE", "FUNCTION", "es_json_diff(jsonb, jsonb)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_create_aggregate(text, text, regproc, jsonb, integer, integer, regproc)", ADMIN},
	{"EXECUTE", "FUNCTION", "es_alter_aggregate(text, regproc, jsonb, integer, integer, regproc, name)", ADMIN},
	{"EXECUTE", "FUNCTION", "es_drop_aggregate(text)", ADMIN},
	{"EXECUTE", "FUNCTION", "es_rebuild_snapshots(text)", ADMIN},
	{"SELECT", "TABLE", "es_sequencer", READER},
	{"EXECUTE", "FUNCTION", "es_sequencer_status()", READER},
	{"EXECUTE", "FUNCTION", "es_stream_partition(text, integer)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_first(anyelement)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_last(anyelement)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_first(anyelement, bigint)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_last(anyelement, bigint)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_count_if(boolean)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_explain_view(text)", READER},
	{"EXECUTE", "FUNCTION", "es_create_view(text, text, text, bigint, integer, text[], text[], text[], text, integer, integer)", READER},
	{"EXECUTE", "FUNCTION", "es_create_projection(text, text, text[], jsonb, text, text, bigint, integer, text[], text[], text[], text, integer, integer, regclass[], interval, boolean)", READER},
	{"EXECUTE", "FUNCTION", "es_run_projections(text)", READER},
	{"EXECUTE", "FUNCTION", "es_pause_projection(text)", READER},
	{"EXECUTE", "FUNCTION", "es_resume_projection(text)", READER},
	{"EXECUTE", "FUNCTION", "es_rename_projection(text, text)", READER},
	{"EXECUTE", "FUNCTION", "es_drop_projection(text, boolean)", READER},
	{"EXECUTE", "FUNCTION", "es_alter_projection(text, text, integer, text, integer, integer, text[], text[], text[], name)", READER},
	{"EXECUTE", "FUNCTION", "es_retry_dead_letters(text, bigint)", READER},
	{"EXECUTE", "FUNCTION", "es_discard_dead_letters(text, bigint)", READER},
	{"SELECT", "TABLE", "es_dead_letters", READER},
	{"EXECUTE", "FUNCTION", "es_rebuild(text, integer)", READER},
	{"EXECUTE", "FUNCTION", "es_alter_view(text, text)", READER},
	{"EXECUTE", "FUNCTION", "es_verify(text)", READER},
	{"SELECT", "TABLE", "es_projections", READER},
	{"EXECUTE", "FUNCTION", "es_projection_status()", READER},
	{"EXECUTE", "FUNCTION", "es_wait(text, interval)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_wait_for_log(interval)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_wait_for_position(bigint, interval)", READER | WRITER},
	{"EXECUTE", "FUNCTION", "es_append(text, text, jsonb, jsonb, bigint, uuid, integer)", WRITER},
	{"EXECUTE", "FUNCTION", "es_append_batch(text, text[], jsonb[], jsonb[], bigint, uuid[], integer[])", WRITER},
	{"EXECUTE", "FUNCTION", "es_append_json(text, jsonb, bigint)", WRITER},
	{"EXECUTE", "FUNCTION", "es_execute(text, jsonb, uuid, bigint, jsonb, text)", WRITER},
	{"EXECUTE", "FUNCTION", "es_save_snapshot(text, bigint, jsonb, text)", WRITER},
	{"EXECUTE", "FUNCTION", "es_delete_snapshots(text, bigint, text)", WRITER},
	{"INSERT", "TABLE", "es_events", ADMIN},
	{"SELECT", "SEQUENCE", "es_tx_seq", ADMIN},
	{"SELECT", "TABLE", "es_sequencer_state", ADMIN},
	{"EXECUTE", "FUNCTION", "es_register_event_type(text, integer, text, jsonb, text, text, text, boolean, text, text)", ADMIN},
	{"EXECUTE", "FUNCTION", "es_alter_event_type(text, integer, text, text, boolean, text, name)", ADMIN},
	{"EXECUTE", "FUNCTION", "es_set_event_type_status(text, integer, text)", ADMIN},
	{"EXECUTE", "FUNCTION", "es_drop_event_type(text, integer)", ADMIN},
	{"EXECUTE", "FUNCTION", "es_sequence()", ADMIN},
	{"EXECUTE", "FUNCTION", "es_check()", ADMIN},
	{"EXECUTE", "FUNCTION", "es_commit_problem(bigint, bigint, int8range, bytea)", ADMIN},
	{"EXECUTE", "FUNCTION", "es_grant(name, text)", ADMIN},
	{"EXECUTE", "FUNCTION", "es_revoke(name, text)", ADMIN},
};

/*
 * Who is to get or to lose what, taken from the arguments.
 */
typedef struct Request
{
	Oid			role;			/* ACL_ID_PUBLIC for everybody */
	const char *role_sql;		/* as it stands in a command */
	const char *schema;
	const char *schema_sql;
	const Privilege *privilege;
} Request;

/*
 * Finds a privilege by name; raises 22023 if there is none.
 */
static const Privilege *
find_privilege(const char *name)
{
	int			i;

	for (i = 0; i < (int) lengthof(privileges); i++)
	{
		if (strcmp(privileges[i].name, name) == 0)
			return &privileges[i];
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized privilege: \"%s\"", name),
			 errhint("The privileges are \"reader\", \"writer\" and \"admin\".")));
	return NULL;				/* keep the compiler quiet */
}

/*
 * Fills *request from the arguments (role name, privilege text).
 */
static void
get_request(FunctionCallInfo fcinfo, Request *request)
{
	const char *role;
	EsStore		store;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null",
						PG_ARGISNULL(0) ? "role" : "privilege")));

	request->privilege = find_privilege(text_to_cstring(PG_GETARG_TEXT_PP(1)));

	/* As in GRANT, "public" is no role but everybody. */
	role = NameStr(*PG_GETARG_NAME(0));
	if (strcmp(role, "public") == 0)
	{
		request->role = ACL_ID_PUBLIC;
		request->role_sql = "PUBLIC";
	}
	else
	{
		request->role = get_role_oid(role, false);
		request->role_sql = quote_identifier(role);
	}

	es_catalog_get_store(&store);
	request->schema = get_namespace_name(store.namespace_oid);
	request->schema_sql = quote_identifier(request->schema);
}

/*
 * Runs one command; the caller is connected to SPI.
 */
static void
run_command(const char *command)
{
	int			result = SPI_execute(command, false, 0);

	if (result != SPI_OK_UTILITY)
		elog(ERROR, "SPI_execute of \"%s\" failed: %s", command,
			 SPI_result_code_string(result));
}

/*
 * Gives the role, or takes from it, what the privileges in a mask need, but
 * leaves what those in another mask need.
 */
static void
change_rights(const Request *request, bool grant, int mask, int keep)
{
	int			i;

	for (i = 0; i < (int) lengthof(objects); i++)
	{
		const Object *object = &objects[i];

		if ((object->mask & mask) == 0 || (object->mask & keep) != 0)
			continue;
		run_command(psprintf("%s %s ON %s %s.%s %s %s",
							 grant ? "GRANT" : "REVOKE",
							 object->right, object->kind,
							 request->schema_sql, object->name,
							 grant ? "TO" : "FROM",
							 request->role_sql));
	}
}

/*
 * Returns the value of a query for one boolean about the role and an object.
 */
static bool
ask(const char *query, const Request *request, const char *object)
{
	Oid			types[2] = {OIDOID, TEXTOID};
	Datum		args[2];
	bool		isnull;

	args[0] = ObjectIdGetDatum(request->role);
	args[1] = CStringGetTextDatum(object);

	/* Not read-only: it must see what this statement has granted before. */
	if (SPI_execute_with_args(query, 2, types, args, NULL, false, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "query for privileges failed");
	return DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
									  SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Was the role itself granted the privilege?
 */
static bool
holds(const Request *request, const Privilege *privilege)
{
	return ask("SELECT EXISTS (SELECT FROM pg_proc p, aclexplode(p.proacl) a"
			   " WHERE p.oid = $2::regprocedure AND a.grantee = $1"
			   " AND a.privilege_type = 'EXECUTE')",
			   request,
			   psprintf("%s.%s", request->schema_sql, privilege->marker));
}

/*
 * SQL: es_grant(role name, privilege text) returns void
 */
Datum
es_grant(PG_FUNCTION_ARGS)
{
	Request		request;

	get_request(fcinfo, &request);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");

	/*
	 * The schema may be the user's own, with privileges of its own: touch it
	 * only if the role could not use ours otherwise.
	 */
	if (request.role == ACL_ID_PUBLIC ?
		!ask("SELECT EXISTS (SELECT FROM pg_namespace n, aclexplode(n.nspacl) a"
			 " WHERE n.nspname = $2 AND a.grantee = $1"
			 " AND a.privilege_type = 'USAGE')", &request, request.schema) :
		!ask("SELECT has_schema_privilege($1, $2, 'USAGE')", &request,
			 request.schema))
		run_command(psprintf("GRANT USAGE ON SCHEMA %s TO %s",
							 request.schema_sql, request.role_sql));

	change_rights(&request, true, request.privilege->mask, 0);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * SQL: es_revoke(role name, privilege text) returns void
 */
Datum
es_revoke(PG_FUNCTION_ARGS)
{
	Request		request;
	int			keep = 0;
	int			i;

	get_request(fcinfo, &request);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");

	for (i = 0; i < (int) lengthof(privileges); i++)
	{
		/* what the revoked privilege includes goes with it */
		if ((privileges[i].mask & ~request.privilege->mask) != 0 &&
			holds(&request, &privileges[i]))
			keep |= privileges[i].mask;
	}
	change_rights(&request, false, request.privilege->mask, keep);
	SPI_finish();
	PG_RETURN_VOID();
}
