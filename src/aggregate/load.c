/*-------------------------------------------------------------------------
 *
 * load.c
 *	  The state of a stream: what is kept of it, and the events after that.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A kept state, of this process or a snapshot, is of a version; the scan
 *	  begins at that event.  If it is not there for the reader's snapshot, or is
 *	  another one than the process has seen (what it saw was rolled back), the
 *	  state is not used.  Nor is it if the functions may have changed since the
 *	  aggregate was found (while a lock was waited for, say): the old ones' state
 *	  and the new ones' steps do not go together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "aggregate/fold.h"
#include "core/compat.h"

/*
 * Begins a scan of the events of a stream from a version up to the limit.
 */
static void
begin_scan(EsEventScan *scan, ScanKey keys, const EsFold *fold, Relation events,
		   const EsStreamKey *key, Snapshot snapshot, int64 from,
		   EsLoadLimit limit)
{
	es_events_stream_keys(keys, key);
	ScanKeyInit(&keys[2], Anum_es_events_version, BTGreaterEqualStrategyNumber,
				F_INT8GE, Int64GetDatum(from));
	ScanKeyInit(&keys[3], Anum_es_events_version, BTLessEqualStrategyNumber,
				F_INT8LE, Int64GetDatum(limit.version));
	es_events_begin_scan(scan, events, fold->store.indexes[ES_INDEX_PKEY],
						 snapshot, keys, limit.version == PG_INT64_MAX ? 3 : 4);
}

/*
 * Folds the rows of a scan, max of them at most.  Returns whether there may be
 * more.
 */
static bool
fold_rows(EsFold *fold, EsEventScan *scan, EsState *state, int64 max,
		  EsFoldEach each, void *arg)
{
	TupleTableSlot *row;

	while (max-- > 0)
	{
		row = es_events_next(scan, ForwardScanDirection);
		if (row == NULL)
			return false;
		es_fold_row(fold, row, state, each, arg);
		es_events_get_mark(row, &state->mark);
	}
	return true;
}

/*
 * Folds the events after state->version.
 */
static void
advance(EsFold *fold, Relation events, const EsStreamKey *key,
		Snapshot snapshot, EsLoadLimit limit, EsState *state, EsFoldEach each,
		void *arg)
{
	EsEventScan scan;
	ScanKeyData keys[4];

	if (state->version >= limit.version)
		return;
	begin_scan(&scan, keys, fold, events, key, snapshot, state->version + 1,
			   limit);
	(void) fold_rows(fold, &scan, state, PG_INT64_MAX, each, arg);
	es_events_end_scan(&scan);
}

void
es_fold_advance(EsFold *fold, Relation events, const EsStreamKey *key,
				Snapshot snapshot, EsLoadLimit limit, EsState *state,
				EsFoldEach each, void *arg)
{
	EsFolding	folding;

	es_fold_enter(fold, key, &folding);
	advance(fold, events, key, snapshot, limit, state, each, arg);
	es_fold_leave(fold, &folding);
}

void
es_fold_advance_by(EsFold *fold, const EsStreamKey *key, EsFoldNext next,
				   void *source, EsState *state, EsFoldEach each, void *arg)
{
	EsFolding	folding;
	TupleTableSlot *row;

	es_fold_enter(fold, key, &folding);
	while ((row = next(source)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		es_fold_row(fold, row, state, each, arg);
	}
	es_fold_leave(fold, &folding);
}

/*
 * Goes on from a state of an earlier version, with max events at most: the
 * scan begins at its last event.  Returns false, with the state of no use, if
 * that is not there, or not the one that is expected (NULL: any will do), or the
 * functions may have changed.
 */
static bool
resume(EsFold *fold, Relation events, const EsStreamKey *key,
	   Snapshot snapshot, EsLoadLimit limit, EsState *state,
	   const EsCached *expected, int64 max)
{
	EsEventScan scan;
	ScanKeyData keys[4];
	TupleTableSlot *row;
	bool		found;
	bool		isnull;

	begin_scan(&scan, keys, fold, events, key, snapshot, state->version, limit);
	row = es_events_next(&scan, ForwardScanDirection);
	found = row != NULL &&
		fold->entry->generation == es_aggregate_generation() &&
		DatumGetInt64(slot_getattr(row, Anum_es_events_version, &isnull)) == state->version;
	if (found)
	{
		es_events_get_mark(row, &state->mark);
		if (expected != NULL)
			found = es_events_same_mark(&state->mark, &expected->mark);
	}
	if (found)
		(void) fold_rows(fold, &scan, state, max, NULL, NULL);
	es_events_end_scan(&scan);
	return found;
}

/*
 * Goes on from the state that this process keeps.  Returns whether the state is
 * loaded up to *behind: more events than between two snapshots, and there may
 * be more.
 */
static bool
load_cached(EsFold *fold, Relation events, const EsStreamKey *key,
			Snapshot snapshot, EsLoadLimit limit, EsState *state, bool *behind)
{
	int			every = fold->entry->aggregate.snapshot_every;
	int64		max = every > 0 ? every : PG_INT64_MAX;
	EsCached	cached;

	if (!es_cache_find(fold, key, &cached) || cached.version > limit.version)
		return false;
	es_fold_set(fold, state, cached.version, cached.value, false);
	state->snapshot_version = cached.snapshot_version;
	if (!resume(fold, events, key, snapshot, limit, state, &cached, max))
	{
		/* an older snapshot, or a transaction that rolled back */
		es_fold_reset(fold, state);
		return false;
	}
	*behind = state->folded >= max;
	return true;
}

/*
 * Goes on from the newest snapshot, if it is newer than the state.  Returns
 * whether it did.
 */
static bool
load_snapshot(EsFold *fold, Relation events, const EsStreamKey *key,
			  Snapshot snapshot, EsLoadLimit limit, EsState *state)
{
	Datum		frozen;
	int64		version = es_snapshot_find(fold, key, snapshot, limit.version,
										   &frozen);

	if (version <= state->version)
		return false;
	es_fold_thaw(fold, state, version, frozen);
	pfree(DatumGetPointer(frozen));
	if (!resume(fold, events, key, snapshot, limit, state, NULL, PG_INT64_MAX))
	{
		es_fold_reset(fold, state);
		return false;
	}
	state->snapshot_version = version;
	return true;
}

void
es_fold_load(EsFold *fold, Relation events, const EsStreamKey *key,
			 Snapshot snapshot, EsLoadLimit limit, EsState *state)
{
	EsFolding	folding;
	bool		behind = true;

	es_fold_enter(fold, key, &folding);
	es_fold_reset(fold, state);
	if (limit.version > 0)
	{
		(void) load_cached(fold, events, key, snapshot, limit, state, &behind);
		if (behind && fold->entry->aggregate.snapshot_every > 0 &&
			load_snapshot(fold, events, key, snapshot, limit, state))
			behind = false;
		if (behind)
			advance(fold, events, key, snapshot, limit, state, NULL, NULL);
	}
	es_fold_leave(fold, &folding);
}

/*
 * Takes the state that this process keeps, if it is that of the stream as it
 * ends.  Returns whether it did.
 */
static bool
take_cached(EsFold *fold, const EsStreamKey *key, int64 head,
			const EsEventMark *mark, EsState *state)
{
	EsCached	cached;

	if (!es_cache_find(fold, key, &cached) || cached.version != head ||
		!es_events_same_mark(&cached.mark, mark) ||
		fold->entry->generation != es_aggregate_generation())
		return false;
	es_fold_set(fold, state, cached.version, cached.value, false);
	state->snapshot_version = cached.snapshot_version;
	state->mark = cached.mark;
	return true;
}

void
es_fold_load_newest(EsFold *fold, Relation events, const EsStreamKey *key,
					int64 head, const EsEventMark *mark, EsState *state)
{
	EsLoadLimit newest = {PG_INT64_MAX};

	if (head == 0)
		es_fold_reset(fold, state);
	else if (mark == NULL || !take_cached(fold, key, head, mark, state))
		es_fold_load(fold, events, key, SnapshotSelf, newest, state);
}

void
es_fold_keep(EsFold *fold, const EsStreamKey *key, const EsState *state)
{
	EsState		kept = *state;
	Size		size;

	/* What changed while it was folded may have changed the fold. */
	if (state->version == 0 || state->isnull ||
		fold->entry->generation != es_aggregate_generation())
		return;
	es_snapshot_save(fold, key, &kept);
	if (fold->call == NULL)
		size = datumGetSize(state->value, false, -1);
	else
		size = datumGetSize(state->value, fold->call->state_byval,
							fold->call->state_len);
	es_cache_put(fold, key, &kept, size);
}
