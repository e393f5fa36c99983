/*-------------------------------------------------------------------------
 *
 * rebuild.c
 *	  es_rebuild: a projection from the log anew, while it is in use.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Everything happens in the caller's transaction.  The new contents are made
 *	  in stand-ins (shadow.c), from the whole log, while the tables are read and
 *	  kept up to date as before.  Then the projection's workers are locked out,
 *	  the stand-ins catch up and are copied to new heaps; when readers are
 *	  locked out, too, these take the place of the old ones.  Readers wait while
 *	  the indexes are built, but not for the rest.
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
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "projection/rebuild.h"

PG_FUNCTION_INFO_V1(es_rebuild);

#define MAX_WORKERS		1024

/* Before anybody is locked out: so often, or until so few events are left */
#define MAX_ROUNDS		10
#define ENOUGH			1000

/*
 * Milliseconds: how long users of the tables are kept waiting.  In the first
 * round from FIRST_WAIT to ROUND_WAIT; the projection's workers wait for all of
 * it.  In those after it once, longer each time, and all are left alone for as
 * long in between.
 */
#define FIRST_WAIT		200
#define ROUND_WAIT		800
#define LONGEST_WAIT	3200
#define PAUSE			100

static const char *const forget_sql =
	"DELETE FROM %s.es_dead_letters WHERE projection_id = $1";

/*
 * Sets the checkpoints of all partitions to a position, and forgets failures.
 */
static void
set_checkpoints(const EsStore *store, const EsProjection *projection,
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
 * Makes sure that the projection is still that whose contents were made.
 */
static void
check_unchanged(const EsStore *store, const EsProjection *old)
{
	EsProjection *now = es_registry_find_id(store, old->id);

	if (now == NULL ||
		(now->serial != old->serial && !same_definition(now, old)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("projection \"%s\" was changed while it was being rebuilt",
						old->name),
				 errhint("Rebuild it again.")));
}

/*
 * Returns the next dead letter from a cell on that is not beyond a position, or
 * 0.
 */
static int64
next_dead_letter(List *letters, int *at, int64 upto)
{
	int64		position;

	if (*at >= list_length(letters))
		return 0;
	position = *(int64 *) list_nth(letters, (*at)++);
	return position <= upto ? position : 0;
}

/*
 * Raises an error if events that the stand-ins have passed were set aside, or
 * applied after all, in the meantime.  The tasks' locks are held.
 */
static void
check_dead_letters(const EsRebuild *rebuild)
{
	List	   *now;
	int64		before;
	int64		after;
	int			i = 0;
	int			j = 0;

	if (!rebuild->projection->skip)
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	now = es_rebuild_dead_letters(rebuild->store, rebuild->projection);
	PopActiveSnapshot();
	do
	{
		before = next_dead_letter(rebuild->dead_letters, &i, rebuild->position);
		after = next_dead_letter(now, &j, rebuild->position);
		if (before != after)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("dead letters of projection \"%s\" were added or removed while it was being rebuilt",
							rebuild->projection->name),
					 errhint("Rebuild it again.")));
	} while (before != 0);
}

/* ---------- catching up ---------- */

/*
 * Takes a lock, waiting so many milliseconds at most.
 */
static void
lock_relation(Oid relid, LOCKMODE mode, int timeout)
{
	int			guc_level = NewGUCNestLevel();

	(void) set_config_option("lock_timeout", psprintf("%d", timeout),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	LockRelationOid(relid, mode);
	AtEOXact_GUC(false, guc_level);
}

static void
pause_ms(long timeout)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 timeout, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

typedef void (*LockingStep) (EsRebuild *rebuild, int timeout);

/*
 * Does a step that takes locks, in a subtransaction; returns false, without
 * the locks, if one could not be taken in time, unless `final`.  The same
 * errors of the projection's SQL are errors.
 */
static bool
try_step(LockingStep step, EsRebuild *rebuild, int timeout, bool final)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	CommandCounterIncrement();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		step(rebuild, timeout);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		done = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		/* The error must not leave with the subtransaction open. */
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (final || !rebuild->locking ||
			(error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
			 error->sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED))
			ReThrowError(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	return done;
}

/*
 * Locks the tables against everybody.
 */
static void
lock_tables(EsRebuild *rebuild, int timeout)
{
	ListCell   *lc;

	rebuild->locking = true;
	foreach(lc, rebuild->locked)
		lock_relation(lfirst_oid(lc), AccessExclusiveLock, timeout);
	rebuild->locking = false;
}

/*
 * Locks out the projection's workers, catches up with the log, copies the
 * stand-ins, and locks the tables.
 *
 * While this waits for those who read a table, those who come later wait
 * behind it: it lets them pass now and then.  Someone who reads it may wait
 * for the projection, es_wait(): in the end this raises the error.
 */
static void
complete(EsRebuild *rebuild, int timeout)
{
	const EsStore *store = rebuild->store;
	int64		head;

	rebuild->locking = true;
	if (rebuild->projection->is_inline)
		lock_relation(store->events, ShareLock, timeout);
	es_task_lock_all(rebuild->projection);
	rebuild->locking = false;
	check_unchanged(store, rebuild->projection);
	check_dead_letters(rebuild);
	head = rebuild->projection->is_inline ? es_mode_final_head(store) :
		es_task_head(store);
	es_shadow_advance(rebuild, head);
	es_shadow_copy(rebuild);
	while (!try_step(lock_tables, rebuild, timeout,
					 LockTimeout > 0 || timeout >= ROUND_WAIT))
	{
		pause_ms(PAUSE);
		timeout *= 2;
	}
}

void
es_rebuild_catch_up(EsRebuild *rebuild)
{
	bool		patient = LockTimeout <= 0;
	int			timeout = patient ? FIRST_WAIT : LockTimeout;
	int			pause;
	List	   *dead_letters;
	int64		position;
	int64		events;
	int64		head;
	int			i;

	/* What can be done before, nobody needs to wait for. */
	for (i = 0; i < MAX_ROUNDS; i++)
	{
		head = es_task_head(rebuild->store);
		if (head - rebuild->position < ENOUGH)
			break;
		es_shadow_advance(rebuild, head);
	}

	dead_letters = rebuild->dead_letters;
	position = rebuild->position;
	events = rebuild->events;
	while (!try_step(complete, rebuild, timeout, !patient))
	{
		rebuild->dead_letters = dead_letters;
		rebuild->position = position;
		rebuild->events = events;
		pause = Max(timeout, ROUND_WAIT);
		timeout = Min(pause * 2, LONGEST_WAIT);
		ereport(LOG,
				(errmsg("rebuild of projection \"%s\" waits for those who use its tables",
						rebuild->projection->name),
				 errdetail("It tries again, and waits for up to %d ms then.",
						   timeout),
				 errhidestmt(true)));
		pause_ms(pause);
	}
}

void
es_rebuild_finish(EsRebuild *rebuild, EsProjection *projection)
{
	EsRunAs		saved;

	es_shadow_end(rebuild);
	set_checkpoints(rebuild->store, projection, rebuild->position,
					rebuild->events);
	es_run_as(rebuild->store, projection, &saved);
	es_heap_check_foreign_keys(rebuild->heaps);
	es_run_as_end(&saved);
}

/* ---------- es_rebuild ---------- */

EsProjection *
es_rebuild_begin(FunctionCallInfo fcinfo, const char *what, EsStore *store)
{
	EsProjection *projection;
	char	   *name = es_arg_projection_name(fcinfo, 0);

	PreventCommandIfReadOnly(what);
	es_apply_refuse_nested(what);
	if (!es_catalog_lock_store(store))
		es_catalog_get_store(store);	/* raises the error */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("a projection cannot be rebuilt in a transaction of isolation level REPEATABLE READ or SERIALIZABLE"),
				 errdetail("It must see the events that others append in the meantime.")));
	projection = es_registry_find(store, name, false);
	es_projection_check_owner(projection);
	if (projection->is_inline)
		es_mode_check_transaction("rebuild an inline projection");
	es_projection_pin(projection);
	return projection;
}

/*
 * Makes the stand-ins of a view for its own query.
 */
static void
make_view(EsRebuild *rebuild)
{
	const EsProjection *projection = rebuild->projection;
	EsProjection *copy = rebuild->copy;
	EsRunAs		saved;
	EsView	   *view;

	es_run_as(rebuild->store, projection, &saved);
	view = es_view_of(rebuild->store, projection);
	es_shadow_make_view(rebuild, view);
	es_shadow_add(rebuild, projection->relation, copy->relation,
				  es_rebuild_columns(copy->relation));
	if (view->needs_state)
		es_shadow_add(rebuild, projection->state_table, copy->state_table,
					  es_rebuild_columns(copy->state_table));
	es_run_as_end(&saved);
}

/*
 * Rebuilds tables: of a view, or those that statements or handlers write.
 */
static int64
rebuild_tables(const EsStore *store, EsProjection *projection, int workers)
{
	EsRebuild	rebuild;
	EsRunAs		saved;

	es_shadow_begin(&rebuild, store, projection, workers);
	if (projection->kind == ES_PROJECTION_VIEW)
	{
		make_view(&rebuild);
		es_shadow_fill(&rebuild);
	}
	else
		es_shadow_make_tables(&rebuild);
	es_rebuild_catch_up(&rebuild);
	es_run_as(store, projection, &saved);
	es_heap_swap(rebuild.heaps);
	es_run_as_end(&saved);
	es_rebuild_finish(&rebuild, projection);
	return rebuild.events;
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
	head = es_task_head(store);
	batch->after = projection->after_position;
	batch->upto = head;
	PushActiveSnapshot(GetTransactionSnapshot());
	es_apply(store, projection, batch);
	PopActiveSnapshot();
	es_batch_end(batch);
	set_checkpoints(store, projection, head, 0);
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

	if (!PG_ARGISNULL(1) && (workers < 0 || workers > MAX_WORKERS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workers must be between 0 and %d", MAX_WORKERS)));
	projection = es_rebuild_begin(fcinfo, "es_rebuild()", &store);
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
