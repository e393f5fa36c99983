/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Sessions that wait for a projection.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A session first waits for the log, so that everything committed before
 *	  has its position; then until the tasks have got to where the log ended at
 *	  that time.  It sleeps on a condition variable of the database's slot, which
 *	  workers broadcast after each batch, and everybody who changes projections
 *	  when that is committed.
 *
 *	  How far a task is, shared memory tells, once a worker has looked at it; if
 *	  none has, or the task has no place there, the tables do.
 *
 *	  Who sees a position here sees the batch with the next snapshot that is
 *	  taken.  A REPEATABLE READ transaction takes none any more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/error.h"
#include "core/guc.h"
#include "ledger/ledger.h"
#include "projection/projection.h"
#include "sequencer/wait.h"
#include "worker/tasks.h"

PG_FUNCTION_INFO_V1(es_wait);

/* A wait without limit looks at the clock, and at the tables, this often. */
#define LONGEST_SLEEP_MS	10000

/* So many events are looked at in one go for one that matters. */
#define LOOK_EVENTS			1000

/*
 * What a session waits for.
 */
typedef struct Goal
{
	EsStore		store;
	EsWorkerSlot *slot;
	bool		all;			/* projections */
	int32		projection_id;	/* else: this one */
	char	   *name;
	int64		position;
	TimestampTz deadline;
} Goal;

/*
 * Raises the error for a projection that will not get there by waiting.
 */
static void
raise_stuck(const char *name, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("projection \"%s\" does not move on", name),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}

/*
 * Raises the error for projections that nobody runs.
 */
static void
raise_not_running(const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ES_ERRCODE_LOG_UNAVAILABLE),
			 errmsg("projections are not running"),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}

/*
 * Has a task no event left to apply up to the goal?  By the tables.
 */
static bool
nothing_left(const Goal *goal, EsProjection *projection, int partition)
{
	EsCheckpoint checkpoint;
	bool		result = false;

	PushActiveSnapshot(GetLatestSnapshot());
	if (es_checkpoint_read(&goal->store, projection->id, partition, &checkpoint))
	{
		int64		after = checkpoint.position;
		bool		found = false;

		while (after < goal->position && !found)
		{
			EsBatch    *batch = es_batch_read(&goal->store, projection,
											  partition, after, goal->position,
											  LOOK_EVENTS);

			CHECK_FOR_INTERRUPTS();
			found = batch->nevents > 0;
			after = batch->upto;
			es_batch_end(batch);
		}
		result = !found;
	}
	PopActiveSnapshot();
	return result;
}

/*
 * Copies the place of a task; returns false if it has none.
 */
static bool
get_place(int32 projection_id, int partition, EsTaskSlot *copy)
{
	bool		found = false;
	int			i;

	LWLockAcquire(es_worker_lock(), LW_SHARED);
	for (i = 0; i < es_tasks_nslots() && !found; i++)
	{
		EsTaskSlot *place = es_tasks_slot(i);

		found = place->database_oid == MyDatabaseId &&
			place->projection_id == projection_id &&
			place->partition == partition;
		if (found)
			*copy = *place;
	}
	LWLockRelease(es_worker_lock());
	return found;
}

/*
 * Raises an error if the task has failed for good.
 */
static void
check_failure(const Goal *goal, const EsProjection *projection, int partition)
{
	EsFailure	failure;

	if (!es_failure_read(&goal->store, projection->id, partition, &failure) ||
		!failure.failed)
		return;
	raise_stuck(projection->name,
				psprintf("It has failed at events %lld to %lld: %s (SQLSTATE %s)",
						 (long long) failure.first_position,
						 (long long) failure.last_position,
						 failure.message, failure.code),
				"Call es_resume_projection when the cause is gone.");
}

/*
 * Has a task got to the goal?  Raises an error when it never will as things
 * are.
 */
static bool
task_is_there(const Goal *goal, EsProjection *projection, int partition)
{
	EsTaskSlot	place;

	if (!get_place(projection->id, partition, &place))
		place.position = ES_UNKNOWN_POSITION;
	if (place.position >= goal->position)
		return true;
	if (place.position == ES_UNKNOWN_POSITION &&
		nothing_left(goal, projection, partition))
		return true;
	if (place.position == ES_UNKNOWN_POSITION || place.retry_at == DT_NOEND)
		check_failure(goal, projection, partition);
	return false;
}

/*
 * Has a projection got to the goal?
 */
static bool
projection_is_there(const Goal *goal, EsProjection *projection)
{
	bool		result = true;
	int			i;

	if (projection->is_inline)
		return true;
	es_projection_pin(projection);
	for (i = 0; i < projection->partitions && result; i++)
	{
		if (!projection->paused)
			result = task_is_there(goal, projection, i);
		else if (!nothing_left(goal, projection, i))
			raise_stuck(projection->name, "It is paused.",
						"Call es_resume_projection.");
	}
	es_projection_unpin(projection);
	return result;
}

/*
 * Has everything got there that is waited for?
 */
static bool
is_reached(const Goal *goal)
{
	ListCell   *lc;

	if (!goal->all)
	{
		EsProjection *projection = es_registry_find_id(&goal->store,
													   goal->projection_id);

		if (projection == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("projection \"%s\" was dropped", goal->name)));
		return projection_is_there(goal, projection);
	}
	foreach(lc, list_copy(es_registry_list(&goal->store)))
	{
		if (!projection_is_there(goal, lfirst(lc)))
			return false;
	}
	return true;
}

/*
 * Raises an error if nobody runs projections here.
 */
static void
check_running(const Goal *goal)
{
	bool		nobody;
	bool		starved;

	if (es_tasks_change_is_pending())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot wait for projections in a transaction that has changed them"),
				 errhint("Commit first.")));

	LWLockAcquire(es_worker_lock(), LW_SHARED);
	nobody = es_tasks_count_workers(MyDatabaseId) == 0;
	starved = goal->slot->pool_starved;
	LWLockRelease(es_worker_lock());

	if (nobody && !es_worker_projections_are_enabled())
		raise_not_running("The setting \"event_store.projections\" is off.",
						  "Set \"event_store.projections\" to on and reload the configuration, or call es_run_projections().");
	if (nobody && starved)
		raise_not_running("There is no worker process to be had.",
						  "Increase \"max_worker_processes\" and restart the server, or call es_run_projections().");
}

/*
 * Sleeps until the goal is reached; returns false when the time is over.
 *
 * The first sleep only prepares for the next one, and so does one after a look
 * into tables that had to wait for something: nothing is missed in between.
 */
static bool
wait_for(const Goal *goal)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_store wait",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext previous = MemoryContextSwitchTo(context);
	bool		reached;

	for (;;)
	{
		int64		rest = LONGEST_SLEEP_MS;

		MemoryContextReset(context);
		reached = is_reached(goal);
		if (reached)
			break;
		check_running(goal);
		if (!TIMESTAMP_IS_NOEND(goal->deadline))
		{
			rest = (goal->deadline - GetCurrentTimestamp() + 999) / 1000;
			if (rest <= 0)
				break;
		}
		(void) ConditionVariableTimedSleep(&goal->slot->applied,
										   (long) Min(rest, LONGEST_SLEEP_MS),
										   es_worker_wait_event(ES_WAIT_FOR_PROJECTION));
		AcceptInvalidationMessages();
	}
	ConditionVariableCancelSleep();
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(context);
	return reached;
}

/*
 * SQL: es_wait(projection text, timeout interval) returns boolean
 */
Datum
es_wait(PG_FUNCTION_ARGS)
{
	Goal		goal = {0};

	PreventCommandDuringRecovery("waiting for projections");
	goal.all = PG_ARGISNULL(0);
	goal.deadline = es_wait_get_deadline(fcinfo, 1);
	es_catalog_get_store(&goal.store);
	if (!goal.all)
	{
		EsProjection *projection;

		goal.name = text_to_cstring(PG_GETARG_TEXT_PP(0));
		projection = es_registry_find(&goal.store, goal.name, false);
		goal.projection_id = projection->id;
		if (projection->is_inline)
			PG_RETURN_BOOL(true);
	}
	if (!es_worker_is_preloaded())
		raise_not_running("The library \"event_store\" is not preloaded.",
						  "Call es_sequence() and es_run_projections(), or add \"event_store\" to \"shared_preload_libraries\" and restart the server.");
	goal.slot = es_wait_get_slot();
	if (!es_wait_until_sequenced(goal.slot, &goal.store, goal.deadline))
		PG_RETURN_BOOL(false);
	goal.position = es_ledger_head(&goal.store, GetLatestSnapshot());
	PG_RETURN_BOOL(wait_for(&goal));
}
