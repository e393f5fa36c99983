/*-------------------------------------------------------------------------
 *
 * state.c
 *	  es_state: the state of one stream, now or then.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "aggregate/fold.h"
#include "aggregate/moment.h"

PG_FUNCTION_INFO_V1(es_state);

/*
 * A fold that is kept from call to call of a query.
 */
typedef struct KeptFold
{
	EsFold	   *fold;
} KeptFold;

void
es_state_check_may_read(const EsStore *store)
{
	if (pg_class_aclcheck(store->events, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s", "es_events"),
				 errdetail("States are computed from events, and role \"%s\" must not read them.",
						   GetUserNameFromId(GetUserId(), false)),
				 errhint("es_grant(role, 'reader') gives the right.")));
	if (check_enable_rls(store->events, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("states cannot be computed under row-level security"),
				 errdetail("Policies of the table \"es_events\" apply to role \"%s\", and a fold does not know them.",
						   GetUserNameFromId(GetUserId(), false)),
				 errhint("Let the role call a SECURITY DEFINER function that returns the states that it may see.")));
}

/*
 * Returns a fold of the aggregate, that of the last call if it is the same.  One
 * that can wait with the aggregate is only for this call.
 */
static EsFold *
get_fold(FunctionCallInfo fcinfo, const EsStore *store,
		 const EsAggregate *aggregate)
{
	KeptFold   *kept = fcinfo->flinfo->fn_extra;
	MemoryContext previous;

	if (((const EsAggregateEntry *) aggregate)->idle != NULL)
		return es_fold_begin(store, aggregate);
	if (kept == NULL)
	{
		kept = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
									  sizeof(KeptFold));
		fcinfo->flinfo->fn_extra = kept;
	}
	if (kept->fold != NULL)
	{
		EsFold	   *fold = kept->fold;

		if (fold->entry == (EsAggregateEntry *) aggregate &&
			fold->transaction == es_aggregate_transaction() &&
			fold->key == NULL)
			return fold;
		kept->fold = NULL;
		if (fold->key == NULL)
			es_fold_end(fold);
	}
	previous = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	kept->fold = es_fold_begin(store, aggregate);
	MemoryContextSwitchTo(previous);
	return kept->fold;
}

/*
 * Ends a fold that is only for this call, and the first one that could be.
 */
static void
release_fold(FunctionCallInfo fcinfo, EsFold *fold)
{
	KeptFold   *kept = fcinfo->flinfo->fn_extra;
	bool		is_kept = kept != NULL && kept->fold == fold;

	if (is_kept && !fold->entry->reusable)
		return;
	if (is_kept)
		kept->fold = NULL;
	es_fold_end(fold);
}

/*
 * SQL: es_state(stream_id text, at_version bigint, as_of timestamptz,
 * at_position bigint, aggregate text) returns jsonb
 */
Datum
es_state(PG_FUNCTION_ARGS)
{
	EsStore		store;
	EsStreamKey key;
	EsMoment	moment;
	EsLoadLimit limit;
	EsState		state;
	EsFold	   *fold;
	Relation	events;
	text	   *stream;
	bool		isnull = true;
	Datum		result = (Datum) 0;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("stream id must not be null")));
	stream = PG_GETARG_TEXT_PP(0);
	es_stream_key_make_own(&key, VARDATA_ANY(stream), VARSIZE_ANY_EXHDR(stream));
	es_moment_get(&moment, fcinfo, 1, 2, 3);

	events = es_catalog_open_events(AccessShareLock, &store);
	es_state_check_may_read(&store);
	fold = get_fold(fcinfo, &store,
					es_aggregate_find(&store,
									  PG_ARGISNULL(4) ? NULL :
									  text_to_cstring(PG_GETARG_TEXT_PP(4)),
									  &key));
	es_moment_open(&moment, &store, GetActiveSnapshot());
	limit.version = es_moment_find(&moment, events, &store, &key,
								   GetActiveSnapshot());
	es_moment_close(&moment);
	es_fold_load(fold, events, &key, GetActiveSnapshot(), limit, &state);
	if (state.version > 0)
	{
		result = es_fold_result(fold, &state, &isnull);
		if (limit.version == PG_INT64_MAX)
			es_fold_keep(fold, &key, &state);
	}
	release_fold(fcinfo, fold);
	relation_close(events, AccessShareLock);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}
