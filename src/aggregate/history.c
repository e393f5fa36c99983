/*-------------------------------------------------------------------------
 *
 * history.c
 *	  es_history: each event of a stream with the state after it.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "aggregate/diff.h"
#include "aggregate/fold.h"
#include "aggregate/moment.h"

PG_FUNCTION_INFO_V1(es_history);

/* Columns of the result */
enum
{
	VERSION, EVENT_TYPE, DATA, METADATA, EVENT_ID, RECORDED_AT, STATE, CHANGES,
	N_COLUMNS
};

/*
 * A history that is being written.  The result before the current one lives in
 * contexts[current].
 */
typedef struct History
{
	ReturnSetInfo *rsinfo;
	MemoryContext contexts[2];
	int			current;
	Datum		before;
	bool		before_isnull;
} History;

/*
 * Returns an attribute of an event that has no NULLs but the position.
 */
static Datum
get_attribute(Datum event, int number)
{
	bool		isnull;

	return GetAttributeByNum(DatumGetHeapTupleHeader(event), number, &isnull);
}

/*
 * Writes a row, for an event and the state after it.
 */
static void
add_row(EsFold *fold, TupleTableSlot *stored, Datum event,
		const EsState *state, void *arg)
{
	History    *history = arg;
	int			other = 1 - history->current;
	MemoryContext previous = MemoryContextSwitchTo(history->contexts[other]);
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {false};
	Datum		after;
	bool		isnull;

	after = es_fold_result(fold, state, &isnull);
	values[VERSION] = get_attribute(event, 3);
	values[EVENT_TYPE] = get_attribute(event, 4);
	values[DATA] = get_attribute(event, 6);
	values[METADATA] = get_attribute(event, 7);
	values[EVENT_ID] = get_attribute(event, 8);
	values[RECORDED_AT] = get_attribute(event, 9);
	values[STATE] = after;
	nulls[STATE] = isnull;
	values[CHANGES] =
		JsonbPGetDatum(es_json_diff_make(history->before_isnull ? NULL :
										 DatumGetJsonbP(history->before),
										 isnull ? NULL : DatumGetJsonbP(after)));
	tuplestore_putvalues(history->rsinfo->setResult, history->rsinfo->setDesc,
						 values, nulls);
	MemoryContextSwitchTo(previous);

	MemoryContextReset(history->contexts[history->current]);
	history->current = other;
	history->before = after;
	history->before_isnull = isnull;
}

/*
 * Returns a version from the arguments, or what stands for NULL.
 */
static int64
get_version(FunctionCallInfo fcinfo, int argument, int64 if_null)
{
	int64		version;

	if (PG_ARGISNULL(argument))
		return if_null;
	version = PG_GETARG_INT64(argument);
	if (version < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version must not be negative"),
				 errdetail("It is %lld.", (long long) version)));
	return version;
}

/*
 * Writes the rows for the versions from `from` to `to`.
 */
static void
write_history(FunctionCallInfo fcinfo, EsFold *fold, Relation events,
			  const EsStreamKey *key, int64 from, int64 to)
{
	Snapshot	snapshot = GetActiveSnapshot();
	EsLoadLimit limit;
	EsState		state;
	History		history;
	MemoryContext previous;
	int			i;

	history.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	for (i = 0; i < 2; i++)
		history.contexts[i] = AllocSetContextCreate(CurrentMemoryContext,
													"event_store history",
													ALLOCSET_DEFAULT_SIZES);
	history.current = 0;

	limit.version = from - 1;
	es_fold_load(fold, events, key, snapshot, limit, &state);
	previous = MemoryContextSwitchTo(history.contexts[0]);
	history.before = es_fold_result(fold, &state, &history.before_isnull);
	MemoryContextSwitchTo(previous);

	limit.version = to;
	es_fold_advance(fold, events, key, snapshot, limit, &state, add_row,
					&history);
}

/*
 * SQL: es_history(stream_id text, from_version bigint, to_version bigint,
 * aggregate text) returns table (version bigint, event_type text, data jsonb,
 * metadata jsonb, event_id uuid, recorded_at timestamptz, state jsonb,
 * changes jsonb)
 */
Datum
es_history(PG_FUNCTION_ARGS)
{
	EsStore		store;
	EsStreamKey key;
	Relation	events;
	EsFold	   *fold;
	text	   *stream;
	int64		from;
	int64		to;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("stream id must not be null")));
	stream = PG_GETARG_TEXT_PP(0);
	es_stream_key_make_own(&key, VARDATA_ANY(stream), VARSIZE_ANY_EXHDR(stream));
	from = Max(get_version(fcinfo, 1, 1), 1);
	to = get_version(fcinfo, 2, PG_INT64_MAX);
	InitMaterializedSRF(fcinfo, 0);

	events = es_catalog_open_events(AccessShareLock, &store);
	es_state_check_may_read(&store);
	fold = es_fold_begin(&store,
						 es_aggregate_find(&store,
										   PG_ARGISNULL(3) ? NULL :
										   text_to_cstring(PG_GETARG_TEXT_PP(3)),
										   &key));
	if (from <= to)
		write_history(fcinfo, fold, events, &key, from, to);
	es_fold_end(fold);
	relation_close(events, AccessShareLock);
	return (Datum) 0;
}
