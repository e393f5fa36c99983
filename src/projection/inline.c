/*-------------------------------------------------------------------------
 *
 * inline.c
 *	  Inline projections: they run in the transaction that appends.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Whoever appends, by a function, INSERT or COPY, runs the inline
 *	  projections over his events at the end of it.  Their errors are his.
 *	  xact.c knows which events they have had; a subtransaction that rolls
 *	  back takes that back, too.
 *
 *	  A projection may itself append.  Its events are taken in the next round
 *	  of the loop that is running, so that all projections see all events in
 *	  one order.
 *
 *	  The events are read with SnapshotSelf: some may be rows of the command
 *	  that is still running.
 *
 *	  That nobody appends who does not know that a projection has become
 *	  inline, or has ceased to be: see mode.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/events.h"
#include "log/log.h"
#include "projection/projection.h"

/* A projection that appends for what it has appended goes on so often. */
#define MAX_ROUNDS		1000

/* Is this process in run_rounds? */
static bool running = false;

/*
 * Events of this transaction.
 */
typedef struct Range
{
	int64		tx;
	int32		from;
	int32		to;				/* before this ordinal */
} Range;

/*
 * Reads the events of the range that the projection takes.
 *
 * Ends before an event that is not stored yet, and sets range->to to it: the
 * statement that stores it is still running.
 */
static EsBatch *
read_own_events(Relation events, const EsStore *store,
				const EsProjection *projection, Range *range)
{
	EsBatch    *batch = es_batch_begin(store);
	TimestampTz now = GetCurrentTimestamp();
	int32		next = range->from;
	EsEventScan scan;
	ScanKeyData keys[3];
	TupleTableSlot *event;

	es_events_place_keys(keys, range->tx, range->from, range->to);
	es_events_begin_scan(&scan, events, store->indexes[ES_INDEX_TX_ORDINAL],
						 SnapshotSelf, keys, lengthof(keys));
	while ((event = es_events_next(&scan, ForwardScanDirection)) != NULL)
	{
		bool		isnull;

		if (DatumGetInt32(slot_getattr(event, Anum_es_events_ordinal,
									   &isnull)) != next)
			break;
		next++;
		(void) es_batch_add_event(batch, projection, 0, event, next, now);
	}
	es_events_end_scan(&scan);
	range->to = next;
	batch->is_inline = true;
	batch->after = range->from;
	batch->upto = next;
	return batch;
}

/*
 * Runs a projection over the events of the range.
 */
static void
run_projection(Relation events, const EsStore *store,
			   EsProjection *projection, Range *range)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_store inline batch",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext previous = MemoryContextSwitchTo(context);
	EsBatch    *batch = read_own_events(events, store, projection, range);

	if (batch->nevents > 0)
		es_apply(store, projection, batch);
	es_batch_end(batch);
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(context);
}

/*
 * Raises an error when there are too many rounds.
 */
static void
check_rounds(int rounds)
{
	if (rounds > MAX_ROUNDS)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("inline projections append without end"),
				 errdetail("Projections have appended for events that projections had appended, %d times in a row.",
						   MAX_ROUNDS),
				 errhint("A projection that appends must not take the events that it appends; restrict it with event_types or categories.")));
}

/*
 * Returns the ids of the inline projections.
 */
static List *
get_inline_ids(const EsStore *store)
{
	List	   *ids = NIL;
	ListCell   *lc;

	foreach(lc, es_registry_list(store))
	{
		EsProjection *projection = lfirst(lc);

		if (projection->is_inline)
			ids = lappend_int(ids, projection->id);
	}
	return ids;
}

/*
 * Runs all inline projections over the events that they have not had, until
 * there are no more.
 */
static void
run_rounds(Relation events, const EsStore *store)
{
	Range		range;
	int			rounds = 0;

	while (es_xact_unprojected(&range.tx, &range.from, &range.to))
	{
		List	   *ids = get_inline_ids(store);
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		check_rounds(++rounds);
		es_xact_set_projected(range.to);
		foreach(lc, ids)
		{
			/* One before may have changed or dropped it. */
			EsProjection *projection = es_registry_find_id(store, lfirst_int(lc));

			if (projection == NULL || !projection->is_inline)
				continue;
			run_projection(events, store, projection, &range);
			es_xact_set_projected(range.to);
		}
		list_free(ids);
		if (range.to == range.from)
			break;				/* the statement that stores it comes back */
	}
}

/*
 * After an append.
 */
static void
after_append(Relation events, const EsStore *store)
{
	Range		range;

	if (likely(!es_registry_has_inline(store)) || running)
		return;

	/* Rows that a restore copies are no appends. */
	if (!es_xact_unprojected(&range.tx, &range.from, &range.to))
		return;
	if (!es_registry_is_complete())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot append while inline projections are being restored"),
				 errdetail("Another session has restored their definitions, and perhaps not yet their tables."),
				 errhint("Append when it has ended.")));

	running = true;
	PG_TRY();
	{
		run_rounds(events, store);
	}
	PG_FINALLY();
	{
		running = false;
	}
	PG_END_TRY();
}

void
es_inline_take_over(const EsStore *store, EsProjection *projection)
{
	Relation	events = table_open(store->events, RowExclusiveLock);
	Range		range;
	int32		done = 0;
	int			rounds = 0;

	while (es_xact_has_written())
	{
		(void) es_xact_unprojected(&range.tx, &range.from, &range.to);
		if (range.to == done)
			break;
		CHECK_FOR_INTERRUPTS();
		check_rounds(++rounds);
		range.from = done;
		done = range.to;
		run_projection(events, store, projection, &range);
	}
	if (done > 0)
		es_xact_set_projected(done);
	table_close(events, NoLock);
}

void
es_inline_init(void)
{
	es_log_after_append_hook = after_append;
}
