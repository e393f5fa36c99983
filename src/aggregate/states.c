/*-------------------------------------------------------------------------
 *
 * states.c
 *	  es_states: the states of a category's streams.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  One scan of the events in the order of the primary key folds stream
 *	  after stream.  Whether there is a snapshot is asked only for a stream that
 *	  turns out not to be short; then the rest of it is left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "aggregate/category.h"
#include "aggregate/fold.h"
#include "aggregate/moment.h"
#include "core/guc.h"
#include "core/names.h"

PG_FUNCTION_INFO_V1(es_states);

/* Events of a stream that are folded before a snapshot is looked for */
#define SHORT_STREAM	8

/*
 * A run of es_states().
 */
typedef struct States
{
	ReturnSetInfo *rsinfo;
	EsFold	   *fold;
	EsStore    *store;
	Relation	events;
	Snapshot	snapshot;
	EsMoment	moment;
	EsCategoryScan scan;
	EsState		state;			/* of scan.key */
	MemoryContext context;		/* of a row of the result */
	int64		left;			/* streams to return */
} States;

/*
 * Writes the row of the current stream, if it has a state.
 */
static void
add_row(States *states)
{
	MemoryContext previous = MemoryContextSwitchTo(states->context);
	Datum		values[3];
	bool		nulls[3] = {false};

	if (states->state.version > 0)
	{
		values[0] = CStringGetTextDatum(states->scan.stream);
		values[1] = Int64GetDatum(states->state.version);
		values[2] = es_fold_result(states->fold, &states->state, &nulls[2]);
		tuplestore_putvalues(states->rsinfo->setResult,
							 states->rsinfo->setDesc, values, nulls);
		states->left--;
	}
	MemoryContextSwitchTo(previous);
	MemoryContextReset(states->context);
	states->state.version = 0;
}

/*
 * Loads the state of the current stream from a snapshot, if there is one;
 * returns whether it did.
 */
static bool
load_from_snapshot(States *states)
{
	EsStreamKey *key = &states->scan.key;
	EsLoadLimit limit;

	if (states->fold->entry->aggregate.snapshot_every == 0)
		return false;
	limit.version = es_moment_find(&states->moment, states->events,
								   states->store, key, states->snapshot);
	if (es_snapshot_find(states->fold, key, states->snapshot, limit.version,
						 NULL) <= states->state.version)
		return false;
	es_fold_load(states->fold, states->events, key, states->snapshot, limit,
				 &states->state);
	return true;
}

/*
 * Folds all streams.
 */
static void
run(States *states)
{
	EsCategoryScan *scan = &states->scan;
	EsFolding	folding;
	TupleTableSlot *row;
	bool		begins;

	es_fold_enter(states->fold, &scan->key, &folding);
	states->state.version = 0;
	while ((row = es_category_next(scan, &begins)) != NULL)
	{
		if (begins)
		{
			add_row(states);
			if (states->left == 0)
				break;
			es_category_take_stream(scan, row);
			es_fold_reset(states->fold, &states->state);
			states->fold->version = 0;
		}
		if (es_moment_counts(&states->moment, row))
		{
			es_fold_row(states->fold, row, &states->state, NULL, NULL);
			if (states->state.folded != SHORT_STREAM ||
				!load_from_snapshot(states))
				continue;
		}
		es_category_skip(scan);
	}
	if (states->left > 0)
		add_row(states);
	es_fold_leave(states->fold, &folding);
}

/*
 * Takes the arguments over: category, aggregate, as_of, at_position,
 * after_stream, max_count.
 */
static void
begin(FunctionCallInfo fcinfo, States *states, const char **category,
	  const EsAggregate **aggregate)
{
	EsStreamKey key;
	text	   *name;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("category must not be null")));
	name = PG_GETARG_TEXT_PP(0);
	es_name_check("category", VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name),
				  ES_MAX_STREAM_ID - 1);
	*category = text_to_cstring(name);
	es_moment_get(&states->moment, fcinfo, -1, 2, 3);
	states->left = PG_ARGISNULL(5) ? PG_INT64_MAX : PG_GETARG_INT64(5);
	if (states->left < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of streams must be greater than zero"),
				 errdetail("It is %lld.", (long long) states->left),
				 errhint("NULL means no limit.")));

	states->events = es_catalog_open_events(AccessShareLock, states->store);
	es_state_check_may_read(states->store);
	es_stream_key_make_own(&key, *category, strlen(*category));
	*aggregate = es_aggregate_find(states->store, PG_ARGISNULL(1) ? NULL :
								   text_to_cstring(PG_GETARG_TEXT_PP(1)), &key);
}

/*
 * SQL: es_states(category text, aggregate text, as_of timestamptz,
 * at_position bigint, after_stream text, max_count bigint) returns table
 * (stream_id text, version bigint, state jsonb)
 */
Datum
es_states(PG_FUNCTION_ARGS)
{
	States	   *states = palloc0(sizeof(States));
	EsStore		store;
	const EsAggregate *aggregate;
	const char *category;

	states->store = &store;
	begin(fcinfo, states, &category, &aggregate);
	InitMaterializedSRF(fcinfo, 0);
	states->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	states->snapshot = GetActiveSnapshot();
	states->context = AllocSetContextCreate(CurrentMemoryContext,
											"event_store states",
											ALLOCSET_DEFAULT_SIZES);
	states->fold = es_fold_begin(&store, aggregate);
	es_moment_open(&states->moment, &store, states->snapshot);
	es_category_begin(&states->scan, states->events, &store, states->snapshot,
					  pstrdup(es_guc_get_tenant()), category,
					  PG_ARGISNULL(4) ? NULL :
					  text_to_cstring(PG_GETARG_TEXT_PP(4)));
	run(states);
	es_category_end(&states->scan);
	es_moment_close(&states->moment);
	es_fold_end(states->fold);
	relation_close(states->events, AccessShareLock);
	return (Datum) 0;
}
