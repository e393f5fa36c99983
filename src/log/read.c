/*-------------------------------------------------------------------------
 *
 * read.c
 *	  Where a stream ends, and the checks behind the reading functions.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The functions that return events are SQL functions, which the planner
 *	  inlines: a C function in FROM would copy every row into a tuplestore and
 *	  hide the rows from the rest of the query.  What they cannot say in SQL,
 *	  the errors for wrong arguments, is here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/pathnodes.h"
#include "nodes/primnodes.h"
#include "nodes/supportnodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "catalog/events.h"
#include "core/compat.h"
#include "core/guc.h"
#include "core/names.h"
#include "types/types.h"

PG_FUNCTION_INFO_V1(es_check_read);
PG_FUNCTION_INFO_V1(es_read_stream_support);
PG_FUNCTION_INFO_V1(es_stream_to_read);
PG_FUNCTION_INFO_V1(es_stream_version);
PG_FUNCTION_INFO_V1(es_tenant);
PG_FUNCTION_INFO_V1(es_version);
PG_FUNCTION_INFO_V1(es_version_at);

/*
 * Raises the error for a stream id that is NULL.
 */
static void
raise_null_stream(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("stream id must not be null")));
}

/*
 * SQL: es_stream_version(stream_id text) returns bigint
 *
 * Reads with the snapshot of the query, and needs no privilege on es_events:
 * the right to execute it is the privilege.
 */
Datum
es_stream_version(PG_FUNCTION_ARGS)
{
	EsStore		store;
	EsStreamKey key;
	Relation	events;
	text	   *stream;
	int64		version;

	if (PG_ARGISNULL(0))
		raise_null_stream();
	stream = PG_GETARG_TEXT_PP(0);
	es_stream_key_make_own(&key, VARDATA_ANY(stream), VARSIZE_ANY_EXHDR(stream));
	events = es_catalog_open_events(AccessShareLock, &store);
	version = es_events_read_head(events, &store, &key, GetActiveSnapshot(),
								  0, NULL, NULL, NULL, NULL);
	relation_close(events, AccessShareLock);
	PG_RETURN_INT64(version);
}

/*
 * SQL: es_version_at(stream_id text, as_of timestamptz) returns bigint
 *
 * Reads like es_stream_version().
 */
Datum
es_version_at(PG_FUNCTION_ARGS)
{
	EsStore		store;
	EsStreamKey key;
	Relation	events;
	text	   *stream;
	int64		version;

	if (PG_ARGISNULL(0))
		raise_null_stream();
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("time must not be null"),
				 errhint("The newest version of all is es_stream_version(stream_id).")));
	stream = PG_GETARG_TEXT_PP(0);
	es_stream_key_make_own(&key, VARDATA_ANY(stream), VARSIZE_ANY_EXHDR(stream));
	events = es_catalog_open_events(AccessShareLock, &store);
	version = es_events_version_at(events, &store, &key, GetActiveSnapshot(),
								   PG_GETARG_TIMESTAMPTZ(1));
	relation_close(events, AccessShareLock);
	PG_RETURN_INT64(version);
}

/*
 * Raises the error for an argument that cannot be the id of a stream.
 */
static void
check_stream_argument(FunctionCallInfo fcinfo)
{
	text	   *stream;

	if (PG_ARGISNULL(0))
		raise_null_stream();
	stream = PG_GETARG_TEXT_PP(0);
	es_name_check("stream id", VARDATA_ANY(stream), VARSIZE_ANY_EXHDR(stream),
				  ES_MAX_STREAM_ID);
}

/*
 * SQL: es_stream_to_read(stream_id text) returns text
 *
 * Returns its argument, or raises the error for one that cannot be.  Compared
 * with an indexed column it is evaluated once, when the scan begins.
 */
Datum
es_stream_to_read(PG_FUNCTION_ARGS)
{
	check_stream_argument(fcinfo);
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

/*
 * SQL: es_check_read(stream_id text, version bigint, max_count bigint)
 *		returns bigint
 *
 * Returns max_count, NULL for no limit, or raises the error for an argument
 * that cannot be.  In the LIMIT clause of a query it is evaluated once, before
 * the first row and whatever plan is chosen.
 */
Datum
es_check_read(PG_FUNCTION_ARGS)
{
	check_stream_argument(fcinfo);
	if (!PG_ARGISNULL(1) && PG_GETARG_INT64(1) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version must be greater than zero"),
				 errdetail("It is %lld.", (long long) PG_GETARG_INT64(1)),
				 errhint("The first event of a stream has version 1.")));

	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	if (PG_GETARG_INT64(2) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of events must be greater than zero"),
				 errdetail("It is %lld.", (long long) PG_GETARG_INT64(2)),
				 errhint("NULL means no limit.")));
	PG_RETURN_INT64(PG_GETARG_INT64(2));
}

/*
 * Returns the function of that name that takes so many arguments: a stream, a
 * version, a number and something else; InvalidOid if there is none.
 */
static Oid
find_function(const char *name, Oid namespace_oid, int nargs, Oid fourth)
{
	Oid			types[] = {TEXTOID, INT8OID, INT8OID, fourth};

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(types, nargs)),
						   ObjectIdGetDatum(namespace_oid));
}

static bool
is_true(const Const *value)
{
	return !value->constisnull && DatumGetBool(value->constvalue);
}

/*
 * Are events read as they are stored?  A plan that relies on the answer is
 * made anew when event types change: that invalidates es_events.
 */
static bool
is_raw(PlannerInfo *root, const Const *raw)
{
	EsStore		store;

	if (is_true(raw))
		return true;
	es_catalog_get_store(&store);
	if (!list_member_oid(root->glob->relationOids, store.events))
		root->glob->relationOids = lappend_oid(root->glob->relationOids,
											   store.events);
	return !es_types_have_upcasters(&store);
}

/*
 * Is the argument a NULL that the planner knows?
 */
static bool
is_null(const Node *argument)
{
	return IsA(argument, Const) && ((const Const *) argument)->constisnull;
}

/*
 * Finds the function for a call without a time limit, and how many arguments of
 * the call it takes; the fourth is in *fourth.  Returns InvalidOid where the
 * body of es_read_stream() has to decide.
 */
static Oid
find_replacement(PlannerInfo *root, FuncExpr *call, int *nargs, Expr **fourth)
{
	Oid			schema = get_func_namespace(call->funcid);
	Expr	   *backwards = list_nth(call->args, 3);
	bool		forwards = IsA(backwards, Const) && !is_true((Const *) backwards);

	*nargs = 3;
	*fourth = NULL;
	if (is_raw(root, list_nth(call->args, 5)))
	{
		if (forwards && is_null(list_nth(call->args, 1)) &&
			is_null(list_nth(call->args, 2)))
		{
			*nargs = 1;
			return find_function(IsA(linitial(call->args), Const) ?
								 "es_read_whole_known" : "es_read_whole",
								 schema, 1, InvalidOid);
		}
		if (IsA(backwards, Const))
			return find_function(forwards ? "es_read_forwards" : "es_read_backwards",
								 schema, 3, InvalidOid);
		*fourth = backwards;
		return find_function("es_read_either", schema, 4, BOOLOID);
	}
	if (!IsA(backwards, Const))
		return InvalidOid;
	*fourth = list_nth(call->args, 4);
	return find_function(forwards ? "es_upcast_forwards" : "es_upcast_backwards",
						 schema, 4, TIMESTAMPTZOID);
}

/*
 * SQL: es_read_stream_support(internal) returns internal
 *
 * Planner support function of es_read_stream(): where there is no time limit,
 * it puts in place the function for the direction, if the planner knows it, and
 * where no event is to be read as another one, the one that does not ask; and
 * for a whole stream the one without bounds.  Inlining that costs a third of
 * inlining the one for all cases.
 */
Datum
es_read_stream_support(PG_FUNCTION_ARGS)
{
	SupportRequestSimplify *request = (SupportRequestSimplify *) PG_GETARG_POINTER(0);
	FuncExpr   *call;
	Oid			funcid;
	int			nargs;
	Expr	   *fourth;

	if (!IsA(request, SupportRequestSimplify) || request->root == NULL)
		PG_RETURN_POINTER(NULL);
	call = request->fcall;

	/* Without the right to execute it the error should name the function. */
	if (!is_null(list_nth(call->args, 4)) ||
		!IsA(list_nth(call->args, 5), Const) ||
		!may_execute_compat(call->funcid, GetUserId()))
		PG_RETURN_POINTER(NULL);

	funcid = find_replacement(request->root, call, &nargs, &fourth);
	if (!OidIsValid(funcid))
		PG_RETURN_POINTER(NULL);
	call = copyObject(call);
	call->funcid = funcid;
	call->args = list_truncate(call->args, nargs);
	if (fourth != NULL)
		call->args = lappend(call->args, copyObject(fourth));
	PG_RETURN_POINTER(call);
}

/*
 * SQL: es_tenant() returns text
 */
Datum
es_tenant(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(es_guc_get_tenant()));
}

/*
 * SQL: es_version() returns text
 */
Datum
es_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(ES_VERSION));
}
