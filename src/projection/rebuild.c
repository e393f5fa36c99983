/*-------------------------------------------------------------------------
 *
 * rebuild.c
 *	  es_rebuild: a projection from the log anew, while it is in use.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Everything happens in the caller's transaction.  First the new contents
 *	  are written, up to where the log ends then, beside the old ones, which
 *	  are read and kept up to date as before.  Then, under the locks of the
 *	  projection's tasks and of its tables, the new contents take the place of
 *	  the old ones and catch up: readers wait for that, and for the indexes to
 *	  be built, but not for the rest.
 *
 *	  The position that the projection is at never goes back: it has caught up
 *	  with the end of the log when the transaction commits.
 *
 *	  Events that it has skipped stay dead letters if its policy is to skip
 *	  them; otherwise there are none afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ledger/ledger.h"
#include "log/log.h"
#include "projection/rebuild.h"

PG_FUNCTION_INFO_V1(es_rebuild);

#define MAX_WORKERS		1024

static const char *const forget_sql =
	"DELETE FROM %s.es_dead_letters WHERE projection_id = $1";

int64
es_rebuild_head(const EsStore *store)
{
	int64		head;

	PushActiveSnapshot(GetTransactionSnapshot());
	head = es_ledger_head(store, GetActiveSnapshot());
	PopActiveSnapshot();
	return head;
}

void
es_rebuild_checkpoints(const EsStore *store, const EsProjection *projection,
					   int64 position, int64 events)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(projection->id)};
	int			i;

	PushActiveSnapshot(GetTransactionSnapshot());
	es_checkpoint_delete(store, projection->id);
	for (i = 0; i < projection->partitions; i++)
	{
		EsCheckpoint checkpoint = {0};

		checkpoint.position = position;
		checkpoint.events = i == 0 ? events : 0;
		checkpoint.applied_at = GetCurrentTimestamp();
		es_checkpoint_write(store, projection->id, i, &checkpoint);
		es_failure_clear(store, projection->id, i);
	}
	if (!projection->skip)
	{
		SPI_connect();
		(void) es_registry_execute(store, forget_sql, lengthof(types), types,
								   values, NULL);
		SPI_finish();
	}
	PopActiveSnapshot();
}

int64
es_rebuild_catch_up(const EsStore *store, EsProjection *projection)
{
	int64		events = 0;
	int64		head = projection->is_inline ? es_mode_final_head(store) :
		es_rebuild_head(store);
	int			i;

	for (i = 0; i < projection->partitions; i++)
		events += es_task_catch_up(store, projection, i, head);
	return events;
}

/*
 * Are two texts, or no texts, the same?
 */
static bool
same_text(const char *one, const char *other)
{
	return one == NULL || other == NULL ? one == other :
		strcmp(one, other) == 0;
}

/*
 * Have the lists the same strings?
 */
static bool
same_strings(const List *one, const List *other)
{
	const ListCell *lc;
	const ListCell *lc2;

	if (list_length(one) != list_length(other))
		return false;
	forboth(lc, one, lc2, other)
	{
		if (!same_text(lfirst(lc), lfirst(lc2)))
			return false;
	}
	return true;
}

/*
 * Do two versions of a projection make the same of the log, in the same
 * tables?
 */
static bool
same_definition(const EsProjection *one, const EsProjection *other)
{
	const ListCell *lc;
	const ListCell *lc2;

	if (one->relation != other->relation ||
		one->state_table != other->state_table ||
		one->partitions != other->partitions ||
		one->is_inline != other->is_inline || one->skip != other->skip ||
		!same_text(one->owner, other->owner) ||
		!same_text(one->query, other->query) ||
		!same_strings(one->statements, other->statements) ||
		!same_strings(one->filter.categories, other->filter.categories) ||
		!same_strings(one->filter.event_types, other->filter.event_types) ||
		!same_strings(one->filter.tenants, other->filter.tenants) ||
		list_length(one->handlers) != list_length(other->handlers))
		return false;
	forboth(lc, one->handlers, lc2, other->handlers)
	{
		const EsHandlerText *handler = lfirst(lc);
		const EsHandlerText *handler2 = lfirst(lc2);

		if (!same_text(handler->event_type, handler2->event_type) ||
			!same_text(handler->text, handler2->text))
			return false;
	}
	return true;
}

/*
 * Returns the projection as it is now, under its locks; raises an error if it
 * is another one than that whose contents were made.
 */
static EsProjection *
find_again(const EsStore *store, const EsProjection *old)
{
	EsProjection *now = es_registry_find_id(store, old->id);

	if (now == NULL ||
		(now->serial != old->serial && !same_definition(now, old)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("projection \"%s\" was changed while it was being rebuilt",
						old->name),
				 errhint("Rebuild it again.")));
	return now;
}

/*
 * Catches up; events are read again, so that nothing may be appended.
 */
static int64
catch_up_replaying(const EsStore *store, EsProjection *projection)
{
	volatile int64 events = 0;

	es_xact_replaying = true;
	PG_TRY();
	{
		events = es_rebuild_catch_up(store, projection);
	}
	PG_FINALLY();
	{
		es_xact_replaying = false;
	}
	PG_END_TRY();
	return events;
}

/*
 * Puts the new heaps in the place of the old ones, and lets them catch up.
 */
static int64
take_over(const EsStore *store, EsProjection *projection, List *heaps,
		  int64 head, int64 events)
{
	EsRunAs		saved;

	es_run_as(store, projection, &saved);
	es_heap_swap(heaps);
	es_run_as_end(&saved);

	es_rebuild_checkpoints(store, projection, head, events);
	events += catch_up_replaying(store, projection);

	es_run_as(store, projection, &saved);
	es_heap_check_foreign_keys(heaps);
	es_run_as_end(&saved);
	return events;
}

/*
 * Rebuilds tables: of a view, or those that statements or handlers write.
 */
static int64
rebuild_tables(const EsStore *store, EsProjection *projection, int workers)
{
	List	   *relids = NIL;
	List	   *heaps;
	int64		head;
	int64		events;
	ListCell   *lc;

	if (projection->is_inline)
		es_mode_check_transaction("rebuild an inline projection");
	PushActiveSnapshot(GetTransactionSnapshot());
	head = es_ledger_head(store, GetActiveSnapshot());
	if (projection->kind == ES_PROJECTION_VIEW)
		heaps = es_view_build(store, projection, projection->after_position,
							  head, workers, &events);
	else
		heaps = es_replay(store, projection, head, &events);
	PopActiveSnapshot();
	foreach(lc, heaps)
		relids = lappend_oid(relids, ((EsNewHeap *) lfirst(lc))->relid);
	es_heap_lock(store, projection, relids);
	projection = find_again(store, projection);
	es_projection_pin(projection);
	events = take_over(store, projection, heaps, head, events);
	es_projection_unpin(projection);
	return events;
}

/*
 * Refreshes a materialized view, whatever its projection has seen.
 */
static int64
refresh(const EsStore *store, EsProjection *projection)
{
	EsBatch    *batch = es_batch_begin(store);
	int64		head;

	es_task_lock_all(projection);
	head = es_rebuild_head(store);
	batch->after = projection->after_position;
	batch->upto = head;
	PushActiveSnapshot(GetTransactionSnapshot());
	es_apply(store, projection, batch);
	PopActiveSnapshot();
	es_batch_end(batch);
	es_rebuild_checkpoints(store, projection, head, 0);
	return head - projection->after_position;
}

/*
 * SQL: es_rebuild(name text, workers integer) returns bigint
 */
Datum
es_rebuild(PG_FUNCTION_ARGS)
{
	TimestampTz started_at = GetCurrentTimestamp();
	int			workers = PG_ARGISNULL(1) ? -1 : PG_GETARG_INT32(1);
	EsStore		store;
	EsProjection *projection;
	int64		events;
	long		seconds;
	int			microseconds;

	PreventCommandIfReadOnly("es_rebuild()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name must not be NULL")));
	if (!PG_ARGISNULL(1) && (workers < 0 || workers > MAX_WORKERS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workers must be between 0 and %d", MAX_WORKERS)));
	if (!es_catalog_lock_store(&store))
		es_catalog_get_store(&store);	/* raises the error */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("a projection cannot be rebuilt in a transaction of isolation level REPEATABLE READ or SERIALIZABLE"),
				 errdetail("It must see the events that others append in the meantime.")));
	projection = es_registry_find(&store, text_to_cstring(PG_GETARG_TEXT_PP(0)),
								  false);
	es_projection_check_owner(projection);

	es_projection_pin(projection);
	events = projection->kind == ES_PROJECTION_REFRESH ?
		refresh(&store, projection) :
		rebuild_tables(&store, projection, workers);
	TimestampDifference(started_at, GetCurrentTimestamp(), &seconds,
						&microseconds);
	ereport(LOG,
			(errmsg("rebuilt projection \"%s\": %lld events in %ld.%03d s",
					projection->name, (long long) events, seconds,
					microseconds / 1000),
			 errhidestmt(true)));
	es_projection_unpin(projection);
	PG_RETURN_INT64(events);
}
