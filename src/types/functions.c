/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  es_upcast and es_check_event: for SQL what readers and appends do.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "core/names.h"
#include "types/registry.h"

PG_FUNCTION_INFO_V1(es_upcast);
PG_FUNCTION_INFO_V1(es_check_event);

/*
 * What a call of es_upcast in a query keeps from one event to the next.
 */
typedef struct UpcastCall
{
	EsStore		store;
	EsUpcaster *upcaster;		/* NULL: no type has one */
	TupleDesc	desc;
	ExprContext *registered;	/* that has our callback */
	EsPiece		stored;			/* the event at hand */
	EsPiece    *pieces;			/* what it is read as */
	int			npieces;
	int			next;			/* to return; 0: a new event is to come */
} UpcastCall;

/*
 * Raises an error for a NULL that must not be.
 */
static void
check_arguments(FunctionCallInfo fcinfo, const char *const *names, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", names[i])));
	}
}

/*
 * Begins anew when the query does not want the rest of a set.
 */
static void
forget_set(Datum arg)
{
	UpcastCall *call = (UpcastCall *) DatumGetPointer(arg);

	call->next = 0;
	call->registered = NULL;
}

static UpcastCall *
begin_call(FunctionCallInfo fcinfo)
{
	MemoryContext previous = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	UpcastCall *call = palloc0(sizeof(UpcastCall));

	if (get_call_result_type(fcinfo, NULL, &call->desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	call->desc = BlessTupleDesc(CreateTupleDescCopy(call->desc));
	es_catalog_get_store(&call->store);
	call->upcaster = es_upcaster_begin(&call->store);
	MemoryContextSwitchTo(previous);
	fcinfo->flinfo->fn_extra = call;
	return call;
}

/*
 * Upcasts the event in the arguments.
 */
static void
upcast_arguments(FunctionCallInfo fcinfo, UpcastCall *call)
{
	static const char *const names[] = {"event type", "schema version", "event data"};
	EsEventName name = {NULL, 0, 0, 0};

	check_arguments(fcinfo, names, lengthof(names));
	call->stored.event_type = PG_GETARG_DATUM(0);
	call->stored.schema_version = PG_GETARG_INT32(1);
	call->stored.data = PG_GETARG_DATUM(2);
	if (call->upcaster == NULL)
	{
		call->pieces = &call->stored;
		call->npieces = 1;
		return;
	}
	if (!PG_ARGISNULL(4))
	{
		text	   *stream = PG_GETARG_TEXT_PP(4);

		name.stream = VARDATA_ANY(stream);
		name.stream_len = VARSIZE_ANY_EXHDR(stream);
		name.version = PG_ARGISNULL(5) ? 0 : PG_GETARG_INT64(5);
	}
	call->pieces = es_upcaster_apply(call->upcaster, &call->stored,
									 PG_ARGISNULL(3) ? (Datum) 0 : PG_GETARG_DATUM(3),
									 &name, &call->npieces);
}

/*
 * Makes the row for a piece.
 */
static Datum
make_row(TupleDesc desc, const EsPiece *piece)
{
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	values[0] = piece->event_type;
	values[1] = Int32GetDatum(piece->schema_version);
	values[2] = piece->data;
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * SQL: es_upcast(event_type text, schema_version integer, data jsonb,
 * metadata jsonb, stream_id text, version bigint) returns setof es_upcast_event
 */
Datum
es_upcast(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	UpcastCall *call = fcinfo->flinfo->fn_extra;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) ||
		(rsinfo->allowedModes & SFRM_ValuePerCall) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	if (call == NULL)
		call = begin_call(fcinfo);

	if (call->next == 0)
	{
		upcast_arguments(fcinfo, call);
		if (call->npieces == 1)
		{
			rsinfo->isDone = ExprSingleResult;
			PG_RETURN_DATUM(make_row(call->desc, &call->pieces[0]));
		}
	}
	if (call->next == call->npieces)
	{
		call->next = 0;
		rsinfo->isDone = ExprEndResult;
		PG_RETURN_NULL();
	}

	/* The query may not want the rest. */
	if (call->registered != rsinfo->econtext)
	{
		RegisterExprContextCallback(rsinfo->econtext, forget_set,
									PointerGetDatum(call));
		call->registered = rsinfo->econtext;
	}
	rsinfo->isDone = ExprMultipleResult;
	PG_RETURN_DATUM(make_row(call->desc, &call->pieces[call->next++]));
}

/*
 * SQL: es_check_event(event_type text, data jsonb, schema_version integer,
 * metadata jsonb) returns void
 */
Datum
es_check_event(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"event type", "event data", "schema version"};
	EsStore		store;
	EsCheckedEvent event;
	text	   *type;

	check_arguments(fcinfo, names, lengthof(names));
	type = PG_GETARG_TEXT_PP(0);
	es_name_check("event type", VARDATA_ANY(type), VARSIZE_ANY_EXHDR(type),
				  ES_MAX_EVENT_TYPE);
	if (PG_GETARG_INT32(2) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schema version must be greater than zero"),
				 errdetail("It is %d.", PG_GETARG_INT32(2))));
	if (!PG_ARGISNULL(3) && !JB_ROOT_IS_OBJECT(PG_GETARG_JSONB_P(3)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("metadata must be a JSON object")));

	es_catalog_get_store(&store);
	event.stream = NULL;
	event.stream_len = 0;
	event.event_type = PointerGetDatum(type);
	event.schema_version = PG_GETARG_INT32(2);
	event.data = PG_GETARG_DATUM(1);
	event.metadata = PG_ARGISNULL(3) ?
		DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")) : PG_GETARG_DATUM(3);
	es_types_check(&store, &event);
	PG_RETURN_VOID();
}
