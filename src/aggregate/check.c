/*-------------------------------------------------------------------------
 *
 * check.c
 *	  May a function be the evolve or the decide of an aggregate?
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "aggregate/fold.h"
#include "core/compat.h"

Oid
es_event_type_oid(const EsStore *store)
{
	Oid			type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
									   CStringGetDatum("es_event"),
									   ObjectIdGetDatum(store->namespace_oid));

	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("event store is damaged"),
				 errdetail("Type \"es_event\" is missing.")));
	return type;
}

/*
 * Looks a function up, which the user must be allowed to execute; the result
 * is to be released.
 */
static HeapTuple
get_function(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	if (!may_execute_compat(function, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s",
						format_procedure(function))));
	return tuple;
}

static void
raise_wrong_function(Oid function, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
			 errmsg("function %s cannot be %s", format_procedure(function), what),
			 errhint("%s", hint)));
}

/*
 * Checks a function (state jsonb, event es_event) returns jsonb.
 */
static void
check_function(Oid function, Form_pg_proc proc, Oid event_type,
			   bool has_initial)
{
	if (proc->pronargs != 2 || proc->proretset ||
		proc->prokind != PROKIND_FUNCTION ||
		proc->proargtypes.values[0] != JSONBOID ||
		proc->proargtypes.values[1] != event_type ||
		proc->prorettype != JSONBOID)
		raise_wrong_function(function, "the evolve of an aggregate",
							 "It must be a function (state jsonb, event es_event) that returns jsonb, or an aggregate over es_event.");
	if (proc->proisstrict && !has_initial)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s is strict and would never be called",
						format_procedure(function)),
				 errdetail("The state before the first event is null."),
				 errhint("Give an initial_state, or let the function be called on null input.")));
}

/*
 * Checks an aggregate over one es_event.
 */
static void
check_aggregate(Oid function, Form_pg_proc proc, Oid event_type)
{
	HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(function));
	Form_pg_aggregate form;
	Oid			type = proc->pronargs == 1 ? proc->proargtypes.values[0] :
		InvalidOid;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", function);
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	if (form->aggkind != AGGKIND_NORMAL || OidIsValid(proc->provariadic) ||
		!(type == event_type || type == ANYOID || type == RECORDOID ||
		  type == ANYELEMENTOID || type == ANYNONARRAYOID ||
		  type == ANYCOMPATIBLEOID || type == ANYCOMPATIBLENONARRAYOID))
		raise_wrong_function(function, "the evolve of an aggregate",
							 "An aggregate must have one argument, of type es_event.");
	if (form->aggtranstype == INTERNALOID)
		raise_wrong_function(function, "the evolve of an aggregate",
							 "Its state is of type internal, which cannot be kept. Write an evolve function, or an aggregate with another state.");
	if (form->aggfinalmodify == AGGMODIFY_READ_WRITE)
		raise_wrong_function(function, "the evolve of an aggregate",
							 "Its final function changes the state (FINALFUNC_MODIFY = READ_WRITE).");
	ReleaseSysCache(tuple);
}

void
es_check_evolve(const EsStore *store, Oid function, bool has_initial)
{
	HeapTuple	tuple = get_function(function);
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);
	Oid			event_type = es_event_type_oid(store);

	if (proc->prokind == PROKIND_AGGREGATE)
	{
		check_aggregate(function, proc, event_type);
		if (has_initial)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("an aggregate function has its own initial state"),
					 errhint("Leave initial_state out; INITCOND of CREATE AGGREGATE says it.")));
	}
	else
		check_function(function, proc, event_type, has_initial);
	ReleaseSysCache(tuple);
}

void
es_check_decide(Oid function)
{
	HeapTuple	tuple = get_function(function);
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);

	if (proc->prokind != PROKIND_FUNCTION || proc->pronargs != 2 ||
		proc->proargtypes.values[0] != JSONBOID ||
		proc->proargtypes.values[1] != JSONBOID ||
		!(proc->prorettype == JSONBOID ||
		  (proc->prorettype == JSONBARRAYOID && !proc->proretset)))
		raise_wrong_function(function, "the decide of an aggregate",
							 "It must be a function (state jsonb, command jsonb) that returns jsonb, jsonb[] or SETOF jsonb.");
	ReleaseSysCache(tuple);
}
