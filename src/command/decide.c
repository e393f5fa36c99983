/*-------------------------------------------------------------------------
 *
 * decide.c
 *	  Calls what the user has written to decide about commands.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Looking a function up costs as much as a small one takes to run.  What
 *	  was found is kept in this process until the function changes; with it
 *	  PL/pgSQL and its like keep what they have made of the text.
 *
 *	  No function is called here while another one is: it cannot write, and
 *	  es_execute() asks for that first.  So an error in the middle leaves
 *	  nothing behind that would be in anybody's way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "pgstat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#include "core/compat.h"
#include "core/user_code.h"
#include "command/command.h"

/*
 * A function as it was found.
 */
typedef struct Decide
{
	Oid			function;		/* the key */
	bool		valid;			/* has it stayed the same? */
	bool		complete;		/* is what follows filled in? */
	uint32		hash;			/* of the key in the system cache */
	MemoryContext context;		/* of what follows */
	FmgrInfo	flinfo;
	FuncExpr   *call;			/* with constants for arguments */
	bool		returns_array;
	bool		is_sql;			/* is it in the language SQL? */
} Decide;

static HTAB *functions = NULL;

/*
 * Invalidation callback: a function has changed, or (hash 0) all may have.
 */
static void
forget_function(Datum arg, int cacheid, uint32 hash)
{
	HASH_SEQ_STATUS status;
	Decide	   *decide;

	if (functions == NULL)
		return;
	hash_seq_init(&status, functions);
	while ((decide = hash_seq_search(&status)) != NULL)
	{
		if (hash == 0 || decide->hash == hash)
			decide->valid = false;
	}
}

void
es_command_init(void)
{
	CacheRegisterSyscacheCallback(PROCOID, forget_function, (Datum) 0);
}

/* ---------- looking up ---------- */

/*
 * Raises an error unless the function has the arguments and the result that it
 * must have.  Sets *returns_array.
 */
static void
check_function(Form_pg_proc proc, bool *returns_array)
{
	*returns_array = proc->prorettype == JSONBARRAYOID;
	if (proc->prokind != PROKIND_FUNCTION || proc->pronargs != 2 ||
		proc->proargtypes.values[0] != JSONBOID ||
		proc->proargtypes.values[1] != JSONBOID ||
		(proc->prorettype != JSONBOID &&
		 (!*returns_array || proc->proretset)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s cannot decide about commands",
						format_procedure(proc->oid)),
				 errdetail("A decide function takes (state jsonb, command jsonb) and returns jsonb, jsonb[] or SETOF jsonb.")));
}

/*
 * Fills in what is kept of a function.
 */
static void
look_up(Decide *decide, const EsAggregate *aggregate)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID,
										ObjectIdGetDatum(decide->function));
	MemoryContext previous;
	Const	   *argument;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("decide function of aggregate \"%s\" does not exist",
						aggregate->name),
				 errdetail("The function with OID %u has been dropped.",
						   decide->function),
				 errhint("Give the aggregate another with es_alter_aggregate(name, decide => ...).")));
	check_function((Form_pg_proc) GETSTRUCT(tuple), &decide->returns_array);
	decide->is_sql =
		((Form_pg_proc) GETSTRUCT(tuple))->prolang == SQLlanguageId;
	ReleaseSysCache(tuple);

	/* The old one may be running: an error is still to come. */
	if (decide->context != NULL)
		MemoryContextSetParent(decide->context, TopTransactionContext);
	decide->context = NULL;
	decide->context = AllocSetContextCreate(TopMemoryContext,
											"event_store command decide",
											ALLOCSET_SMALL_SIZES);
	previous = MemoryContextSwitchTo(decide->context);
	argument = makeConst(JSONBOID, -1, InvalidOid, -1, (Datum) 0, true, false);
	fmgr_info_cxt(decide->function, &decide->flinfo, decide->context);
	decide->call = makeFuncExpr(decide->function,
								decide->returns_array ? JSONBARRAYOID : JSONBOID,
								list_make2(argument, copyObject(argument)),
								InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	decide->call->funcretset = decide->flinfo.fn_retset;
	fmgr_info_set_expr((Node *) decide->call, &decide->flinfo);
	MemoryContextSwitchTo(previous);
}

/*
 * Finds the function of an aggregate.
 */
static Decide *
find_function(const EsAggregate *aggregate)
{
	Oid			function = aggregate->decide;
	Decide	   *decide;
	bool		found;

	if (functions == NULL)
	{
		HASHCTL		info;

		memset(&info, 0, sizeof(info));
		info.keysize = sizeof(Oid);
		info.entrysize = sizeof(Decide);
		functions = hash_create("event_store command decide", 16, &info,
								HASH_ELEM | HASH_BLOBS);
	}
	decide = hash_search(functions, &function, HASH_ENTER, &found);
	if (!found)
	{
		decide->valid = false;
		decide->complete = false;
		decide->hash = GetSysCacheHashValue1(PROCOID,
											 ObjectIdGetDatum(function));
		decide->context = NULL;
	}
	if (!decide->valid || !decide->complete)
	{
		/* before it is read, so that a change meanwhile is not missed */
		decide->valid = true;
		decide->complete = false;
		look_up(decide, aggregate);
		decide->complete = true;
	}
	return decide;
}

/* ---------- what it returns ---------- */

/*
 * Raises the error for a value that is no event.
 */
static void
raise_no_event(Jsonb *jsonb)
{
	JsonbValue	value;

	if (!JB_ROOT_IS_SCALAR(jsonb) || !JsonbExtractScalar(&jsonb->root, &value))
		JsonbToJsonbValue(jsonb, &value);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("decide function returned a JSON value of type %s where an event is expected",
					JsonbTypeName(&value)),
			 errhint("An event is an object with the keys \"type\" and \"data\" and, where wanted, \"metadata\", \"id\" and \"schema_version\".")));
}

/*
 * Adds an event to those that were decided on; a NULL is none.
 */
static void
add_event(JsonbParseState **events, Datum value, bool isnull)
{
	JsonbValue	element;
	Jsonb	   *jsonb;

	if (isnull)
		return;
	jsonb = DatumGetJsonbP(value);
	if (!JB_ROOT_IS_OBJECT(jsonb))
		raise_no_event(jsonb);
	JsonbToJsonbValue(jsonb, &element);
	(void) pushJsonbValue(events, WJB_ELEM, &element);
}

/*
 * Returns the events of a result that is a jsonb.
 */
static Jsonb *
events_of_jsonb(Datum result, bool isnull)
{
	JsonbParseState *events = NULL;

	if (isnull)
		return NULL;
	if (JB_ROOT_IS_ARRAY(DatumGetJsonbP(result)) &&
		!JB_ROOT_IS_SCALAR(DatumGetJsonbP(result)))
		return DatumGetJsonbP(result);
	(void) pushJsonbValue(&events, WJB_BEGIN_ARRAY, NULL);
	add_event(&events, result, false);
	return JsonbValueToJsonb(pushJsonbValue(&events, WJB_END_ARRAY, NULL));
}

/*
 * The same of a jsonb[].
 */
static Jsonb *
events_of_array(Datum result, bool isnull)
{
	JsonbParseState *events = NULL;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			i;

	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(result), JSONBOID, -1, false,
					  TYPALIGN_INT, &values, &nulls, &n);
	(void) pushJsonbValue(&events, WJB_BEGIN_ARRAY, NULL);
	for (i = 0; i < n; i++)
		add_event(&events, values[i], nulls[i]);
	return JsonbValueToJsonb(pushJsonbValue(&events, WJB_END_ARRAY, NULL));
}

/*
 * The same of the rows of a set.
 */
static Jsonb *
events_of_rows(Tuplestorestate *rows, TupleDesc desc)
{
	JsonbParseState *events = NULL;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	Jsonb	   *result;

	(void) pushJsonbValue(&events, WJB_BEGIN_ARRAY, NULL);
	while (tuplestore_gettupleslot(rows, true, true, slot))
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, 1, &isnull);

		/* It must stay where it is until the end. */
		add_event(&events, isnull ? (Datum) 0 :
				  PointerGetDatum(PG_DETOAST_DATUM_COPY(value)), isnull);
	}
	result = JsonbValueToJsonb(pushJsonbValue(&events, WJB_END_ARRAY, NULL));
	ExecDropSingleTupleTableSlot(slot);
	return result;
}

/* ---------- calling ---------- */

/*
 * Calls a function that returns a value.
 */
static Jsonb *
call_for_value(Decide *decide, Datum state, bool state_isnull, Datum command)
{
	LOCAL_FCINFO(fcinfo, 2);
	PgStat_FunctionCallUsage usage;
	FmgrInfo	own;
	FmgrInfo   *flinfo = &decide->flinfo;
	Datum		result;

	/*
	 * What SQL functions keep is of no use in the next transaction, and grows
	 * from call to call.
	 */
	if (decide->is_sql)
	{
		fmgr_info_copy(&own, flinfo, CurrentMemoryContext);
		flinfo = &own;
	}
	InitFunctionCallInfoData(*fcinfo, flinfo, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = state;
	fcinfo->args[0].isnull = state_isnull;
	fcinfo->args[1].value = command;
	fcinfo->args[1].isnull = false;
	pgstat_init_function_usage(fcinfo, &usage);
	result = FunctionCallInvoke(fcinfo);
	pgstat_end_function_usage(&usage, true);
	return decide->returns_array ? events_of_array(result, fcinfo->isnull) :
		events_of_jsonb(result, fcinfo->isnull);
}

/*
 * Calls a function that returns a set, as a FROM clause does.
 */
static Jsonb *
call_for_set(Decide *decide, Datum state, bool state_isnull, Datum command)
{
	FuncExpr   *call = copyObject(decide->call);
	Const	   *argument = linitial_node(Const, call->args);
	ExprContext *econtext = CreateStandaloneExprContext();
	TupleDesc	desc = CreateTemplateTupleDesc(1);
	MemoryContext arguments = AllocSetContextCreate(CurrentMemoryContext,
													"event_store command arguments",
													ALLOCSET_SMALL_SIZES);
	SetExprState *set;
	Tuplestorestate *rows;
	Jsonb	   *result;

	argument->constvalue = state;
	argument->constisnull = state_isnull;
	argument = lsecond_node(Const, call->args);
	argument->constvalue = command;
	argument->constisnull = false;
	TupleDescInitEntry(desc, 1, "event", JSONBOID, -1, 0);
	set = ExecInitTableFunctionResult((Expr *) call, econtext, NULL);
	rows = ExecMakeTableFunctionResult(set, econtext, arguments, desc, false);
	result = events_of_rows(rows, desc);
	tuplestore_end(rows);
	FreeExprContext(econtext, true);
	return result;
}

/*
 * Raises an error for what cannot be called by the aggregate's owner, or not
 * with this state.
 */
static void
check_call(const EsAggregate *aggregate, const Decide *decide,
		   bool state_isnull)
{
	if (!may_execute_compat(decide->function, aggregate->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s",
						format_procedure(decide->function)),
				 errdetail("Role \"%s\", the owner of aggregate \"%s\", must be allowed to execute it.",
						   GetUserNameFromId(aggregate->owner, true),
						   aggregate->name)));
	InvokeFunctionExecuteHook(decide->function);

	/* Nobody would notice that it is never called. */
	if (decide->flinfo.fn_strict && state_isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("function %s is not called for a state that is null",
						format_procedure(decide->function)),
				 errhint("Give aggregate \"%s\" an initial state, or make the function CALLED ON NULL INPUT.",
						 aggregate->name)));
}

Jsonb *
es_decide(const EsAggregate *aggregate, Datum state, bool state_isnull,
		  Datum command)
{
	Decide	   *decide = find_function(aggregate);
	EsUserCode	saved;
	Jsonb	   *events;

	check_call(aggregate, decide, state_isnull);
	es_user_code_enter(&saved, aggregate->owner, aggregate->settings);
	if (decide->flinfo.fn_retset)
		events = call_for_set(decide, state, state_isnull, command);
	else
		events = call_for_value(decide, state, state_isnull, command);
	es_user_code_leave(&saved);
	return events;
}
