/*-------------------------------------------------------------------------
 *
 * rebuild.c
 *	  es_rebuild_snapshots: the snapshots of an aggregate, from the events.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  It takes SHARE ROW EXCLUSIVE on es_snapshots, so that nobody saves what he
 *	  has folded before; readers of snapshots are not held up.  At its end all
 *	  sessions forget the states that they keep.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "aggregate/category.h"
#include "aggregate/fold.h"

PG_FUNCTION_INFO_V1(es_rebuild_snapshots);

/*
 * Is a snapshot to be made of the state?  Those that are kept are as far apart
 * as they would be had they been saved in time; the last one is of the head.
 */
static bool
is_wanted(const EsAggregate *aggregate, int64 version, int64 head)
{
	int64		behind = (head - version) / aggregate->snapshot_every;

	return version >= aggregate->snapshot_every &&
		(head - version) % aggregate->snapshot_every == 0 &&
		(aggregate->keep == 0 || behind < aggregate->keep);
}

/*
 * Folds the streams of a tenant; returns the number of snapshots written.
 */
static int64
rebuild_tenant(EsFold *fold, Relation events, Snapshot snapshot,
			   const char *tenant)
{
	const EsAggregate *aggregate = &fold->entry->aggregate;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_store rebuild",
												  ALLOCSET_DEFAULT_SIZES);
	EsCategoryScan scan;
	TupleTableSlot *row;
	bool		begins;
	EsState		state;
	int64		head = 0;
	int64		written = 0;

	es_category_begin(&scan, events, &fold->store, snapshot, tenant,
					  aggregate->category, NULL);
	while ((row = es_category_next(&scan, &begins)) != NULL)
	{
		MemoryContext previous = MemoryContextSwitchTo(context);
		EsFolding	folding;

		if (begins)
		{
			es_category_take_stream(&scan, row);
			es_fold_reset(fold, &state);
			head = es_events_read_head(events, &fold->store, &scan.key,
									   snapshot, 0, NULL, NULL, NULL, NULL);
		}
		es_fold_enter(fold, &scan.key, &folding);
		es_fold_row(fold, row, &state, NULL, NULL);
		es_fold_leave(fold, &folding);
		if (!state.isnull && is_wanted(aggregate, state.version, head))
		{
			es_snapshot_write(fold, &scan.key, &state);
			written++;
		}
		MemoryContextSwitchTo(previous);
		MemoryContextReset(context);
	}
	es_category_end(&scan);
	MemoryContextDelete(context);
	return written;
}

/*
 * SQL: es_rebuild_snapshots(aggregate text) returns bigint
 */
Datum
es_rebuild_snapshots(PG_FUNCTION_ARGS)
{
	EsStore		store;
	const EsAggregate *aggregate;
	Relation	events;
	Snapshot	snapshot;
	EsFold	   *fold;
	char	   *tenant = NULL;
	int64		written = 0;

	PreventCommandIfReadOnly("es_rebuild_snapshots()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("aggregate must not be null")));
	events = es_catalog_open_events(AccessShareLock, &store);
	LockRelationOid(store.snapshots, ShareRowExclusiveLock);
	aggregate = es_aggregate_find(&store,
								  text_to_cstring(PG_GETARG_TEXT_PP(0)), NULL);
	es_aggregate_check_owner(aggregate);

	es_aggregate_invalidate(&store);
	(void) es_snapshot_delete(&store, aggregate->name);
	if (aggregate->snapshot_every > 0)
	{
		snapshot = RegisterSnapshot(GetLatestSnapshot());
		fold = es_fold_begin(&store, aggregate);
		while ((tenant = es_category_next_tenant(events, &store, snapshot,
												 tenant)) != NULL)
			written += rebuild_tenant(fold, events, snapshot, tenant);
		es_fold_end(fold);
		UnregisterSnapshot(snapshot);
	}
	relation_close(events, AccessShareLock);
	PG_RETURN_INT64(written);
}
