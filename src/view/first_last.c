/*-------------------------------------------------------------------------
 *
 * first_last.c
 *	  The aggregates es_first, es_last and es_count_if.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  es_first(x) and es_last(x) go by the order of their input, and so their
 *	  step functions need to do no more than to return one of their arguments:
 *	  they are strict, so that NULLs are left out.
 *
 *	  es_first(x, order) and es_last(x, order) keep the value with the lowest
 *	  or highest number.  They need no sort, and can be computed in parallel.
 *	  Of equal numbers, es_first takes the one that comes first and es_last
 *	  the one that comes last.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "core/compat.h"

PG_FUNCTION_INFO_V1(es_first_step);
PG_FUNCTION_INFO_V1(es_last_step);
PG_FUNCTION_INFO_V1(es_first_by_step);
PG_FUNCTION_INFO_V1(es_last_by_step);
PG_FUNCTION_INFO_V1(es_first_by_combine);
PG_FUNCTION_INFO_V1(es_last_by_combine);
PG_FUNCTION_INFO_V1(es_by_serialize);
PG_FUNCTION_INFO_V1(es_by_deserialize);
PG_FUNCTION_INFO_V1(es_by_final);
PG_FUNCTION_INFO_V1(es_count_if_step);
PG_FUNCTION_INFO_V1(es_count_if_undo);

/*
 * The value so far.  There is none as long as there is no such struct.
 */
typedef struct Kept
{
	int64		order;
	Datum		value;			/* in the aggregate's memory */
	int16		typlen;
	bool		typbyval;
} Kept;

/*
 * es_first_step(anyelement, anyelement): the first of all.  Strict.
 */
Datum
es_first_step(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

/*
 * es_last_step(anyelement, anyelement): the last one.  Strict.
 */
Datum
es_last_step(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(PG_GETARG_DATUM(1));
}

/*
 * Returns the memory of the aggregate that calls.
 */
static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this function can only be called by an aggregate")));
	return context;
}

/*
 * Puts another value into the place of the one that is kept.
 */
static void
replace_value(Kept *kept, Datum value, int64 order, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Datum		copy = datumCopy(value, kept->typbyval, kept->typlen);

	/* 0: there is none yet */
	if (!kept->typbyval && DatumGetPointer(kept->value) != NULL)
		pfree(DatumGetPointer(kept->value));
	kept->value = copy;
	kept->order = order;
	MemoryContextSwitchTo(old);
}

/*
 * The common part of the step functions (internal, anyelement, bigint).
 */
static Datum
step(FunctionCallInfo fcinfo, bool last)
{
	MemoryContext context = aggregate_context(fcinfo);
	Kept	   *kept = PG_ARGISNULL(0) ? NULL : (Kept *) PG_GETARG_POINTER(0);
	int64		order;

	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
	{
		order = PG_GETARG_INT64(2);
		if (kept == NULL)
		{
			kept = MemoryContextAllocZero(context, sizeof(Kept));
			get_typlenbyval(get_fn_expr_argtype(fcinfo->flinfo, 1),
							&kept->typlen, &kept->typbyval);
			replace_value(kept, PG_GETARG_DATUM(1), order, context);
		}
		else if (last ? order >= kept->order : order < kept->order)
			replace_value(kept, PG_GETARG_DATUM(1), order, context);
	}

	if (kept == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(kept);
}

Datum
es_first_by_step(PG_FUNCTION_ARGS)
{
	return step(fcinfo, false);
}

Datum
es_last_by_step(PG_FUNCTION_ARGS)
{
	return step(fcinfo, true);
}

/*
 * The common part of the combine functions (internal, internal).
 */
static Datum
combine(FunctionCallInfo fcinfo, bool last)
{
	MemoryContext context = aggregate_context(fcinfo);
	Kept	   *kept = PG_ARGISNULL(0) ? NULL : (Kept *) PG_GETARG_POINTER(0);
	Kept	   *other = PG_ARGISNULL(1) ? NULL : (Kept *) PG_GETARG_POINTER(1);

	if (other != NULL)
	{
		if (kept == NULL)
		{
			kept = MemoryContextAllocZero(context, sizeof(Kept));
			kept->typlen = other->typlen;
			kept->typbyval = other->typbyval;
			replace_value(kept, other->value, other->order, context);
		}
		else if (last ? other->order >= kept->order : other->order < kept->order)
			replace_value(kept, other->value, other->order, context);
	}

	if (kept == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(kept);
}

Datum
es_first_by_combine(PG_FUNCTION_ARGS)
{
	return combine(fcinfo, false);
}

Datum
es_last_by_combine(PG_FUNCTION_ARGS)
{
	return combine(fcinfo, true);
}

/*
 * es_by_serialize(internal) RETURNS bytea: for a worker of the same query.
 */
Datum
es_by_serialize(PG_FUNCTION_ARGS)
{
	Kept	   *kept = (Kept *) PG_GETARG_POINTER(0);
	Size		size;
	bytea	   *result;
	char	   *place;

	(void) aggregate_context(fcinfo);
	size = datumEstimateSpace(kept->value, false, kept->typbyval, kept->typlen);
	result = palloc0(VARHDRSZ + sizeof(Kept) + size);
	SET_VARSIZE(result, VARHDRSZ + sizeof(Kept) + size);
	memcpy(VARDATA(result), kept, sizeof(Kept));
	place = VARDATA(result) + sizeof(Kept);
	datumSerialize(kept->value, false, kept->typbyval, kept->typlen, &place);
	PG_RETURN_BYTEA_P(result);
}

/*
 * es_by_deserialize(bytea, internal) RETURNS internal
 */
Datum
es_by_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *data = PG_GETARG_BYTEA_PP(0);
	Kept	   *kept = palloc(sizeof(Kept));
	bool		isnull;
	char	   *place;

	(void) aggregate_context(fcinfo);
	memcpy(kept, VARDATA_ANY(data), sizeof(Kept));
	place = VARDATA_ANY(data) + sizeof(Kept);
	kept->value = datumRestore(&place, &isnull);
	PG_RETURN_POINTER(kept);
}

/*
 * es_by_final(internal, anyelement, bigint) RETURNS anyelement
 */
Datum
es_by_final(PG_FUNCTION_ARGS)
{
	(void) aggregate_context(fcinfo);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(((Kept *) PG_GETARG_POINTER(0))->value);
}

/*
 * es_count_if_step(bigint, boolean), and back, for moving windows.  Strict.
 */
Datum
es_count_if_step(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(PG_GETARG_INT64(0) + (PG_GETARG_BOOL(1) ? 1 : 0));
}

Datum
es_count_if_undo(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(PG_GETARG_INT64(0) - (PG_GETARG_BOOL(1) ? 1 : 0));
}
