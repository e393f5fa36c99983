/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  The launcher's part in projection workers: how many a database is to
 *	  have, and starting them.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A database gets as many workers as it has tasks, at most
 *	  event_store.max_projection_workers, once its sequencer is past its start.
 *	  How many tasks there are the workers themselves tell, in the database's
 *	  slot of shared memory; the first one is started to find out, unless the
 *	  sequencer saw that there are no projections.
 *
 *	  Workers that are too many leave by themselves.  When to start another
 *	  after a failure is noted in the slot by the one that failed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/guc.h"
#include "launcher/launcher.h"
#include "launcher/pool.h"
#include "worker/tasks.h"

/* How long to wait after one that has not even attached */
#define START_RETRY_MS		1000

typedef struct Started
{
	BackgroundWorkerHandle *handle;
	TimestampTz registered_at;
} Started;

void
es_pool_forget(EsPool *pool)
{
	ListCell   *cell;

	foreach(cell, pool->started)
	{
		Started    *started = lfirst(cell);

		pfree(started->handle);
		pfree(started);
	}
	list_free(pool->started);
	pool->started = NIL;
}

bool
es_pool_look(EsPool *pool, Oid database_oid, TimestampTz now)
{
	EsWorkerSlot *slot = es_worker_find(database_oid, false);
	bool		any = false;
	ListCell   *cell;

	foreach(cell, pool->started)
	{
		Started    *started = lfirst(cell);
		pid_t		pid;

		if (GetBackgroundWorkerPid(started->handle, &pid) != BGWH_STOPPED)
			continue;
		any = true;
		if (slot != NULL)
		{
			LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
			if (slot->pool_attached_at < started->registered_at &&
				slot->holders == 0)
				slot->pool_retry_at = TimestampTzPlusMilliseconds(now,
																  START_RETRY_MS);
			LWLockRelease(es_worker_lock());
		}
		pfree(started->handle);
		pfree(started);
		pool->started = foreach_delete_current(pool->started, cell);
	}
	return any;
}

/*
 * Is the sequencer of the database past its start, or will it have none?
 *
 * What has positions already can be applied even where it fails.
 */
static bool
is_settled(const EsWorkerSlot *slot)
{
	switch (slot->state)
	{
		case ES_SEQUENCER_UNKNOWN:
		case ES_SEQUENCER_STARTING:
			return !es_guc_sequencer;
		case ES_SEQUENCER_NOT_NEEDED:
			return false;
		default:
			return true;
	}
}

/*
 * Returns how many workers a database is to have.  Needs the lock.
 */
static int
count_wanted(const EsWorkerSlot *slot)
{
	if (slot->holders > 0 || !is_settled(slot))
		return 0;
	if (slot->ntasks == ES_UNKNOWN_TASKS)
		return es_guc_sequencer ? 0 : 1;	/* a sequencer will tell */
	if (slot->ntasks == ES_UNCOUNTED_TASKS)
		return 1;
	return Min(slot->ntasks, es_guc_max_projection_workers);
}

int
es_pool_lacks(const EsPool *pool, Oid database_oid, TimestampTz now,
			  TimestampTz *wake_at, int *running)
{
	EsWorkerSlot *slot = es_worker_find(database_oid, false);
	TimestampTz retry_at = 0;
	int			wanted = 0;

	*running = 0;
	if (slot == NULL || !es_guc_projections)
		return 0;

	LWLockAcquire(es_worker_lock(), LW_SHARED);
	*running = Max(es_tasks_count_workers(database_oid),
				   list_length(pool->started));
	if (slot->database_oid == database_oid)
	{
		wanted = count_wanted(slot);
		retry_at = slot->pool_retry_at;
	}
	LWLockRelease(es_worker_lock());

	if (wanted <= *running)
		return 0;
	if (retry_at > now)
	{
		*wake_at = Min(*wake_at, retry_at);
		return 0;
	}
	return wanted - *running;
}

bool
es_pool_start(EsPool *pool, Oid database_oid, const char *name,
			  TimestampTz now)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;
	MemoryContext previous;
	Started    *started;
	bool		result;

	es_launcher_describe_worker(&worker, database_oid, name,
								"es_projection_main", "projection");
	previous = MemoryContextSwitchTo(TopMemoryContext);
	result = RegisterDynamicBackgroundWorker(&worker, &handle);
	if (result)
	{
		started = palloc(sizeof(Started));
		started->handle = handle;
		started->registered_at = now;
		pool->started = lappend(pool->started, started);
	}
	MemoryContextSwitchTo(previous);
	return result;
}

bool
es_pool_is_moving(const EsPool *pool, Oid database_oid)
{
	int			attached;

	LWLockAcquire(es_worker_lock(), LW_SHARED);
	attached = es_tasks_count_workers(database_oid);
	LWLockRelease(es_worker_lock());
	return list_length(pool->started) > attached;
}

bool
es_pool_make_room(void)
{
	Oid			largest = InvalidOid;
	int			most = 1;
	bool		on_its_way = false;
	int			i;

	LWLockAcquire(es_worker_lock(), LW_SHARED);
	for (i = 0; i < es_tasks_nworkers(); i++)
	{
		const EsPoolWorker *worker = es_tasks_worker(i);
		int			count;

		if (!OidIsValid(worker->database_oid))
			continue;
		on_its_way = on_its_way || worker->stop_requested;
		count = es_tasks_count_workers(worker->database_oid);
		if (count > most)
		{
			most = count;
			largest = worker->database_oid;
		}
	}
	LWLockRelease(es_worker_lock());

	if (on_its_way)
		return true;
	if (!OidIsValid(largest))
		return false;
	es_tasks_dismiss_one(largest);
	return true;
}

void
es_pool_set_starved(Oid database_oid)
{
	EsWorkerSlot *slot = es_worker_find(database_oid, false);

	if (slot == NULL)
		return;
	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	if (slot->database_oid == database_oid)
		slot->pool_starved = true;
	LWLockRelease(es_worker_lock());
	ConditionVariableBroadcast(&slot->applied);
}

void
es_pool_tell_of_shortage(int missing, int databases)
{
	static bool told = false;

	if (missing > 0 && !told)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg_plural("no worker process for %d more projection worker",
							   "no worker processes for %d more projection workers",
							   missing, missing),
				 databases > 0 ?
				 errdetail_plural("Projections of %d database do not run.",
								  "Projections of %d databases do not run.",
								  databases, databases) :
				 errdetail("Projections share the workers that there are."),
				 errhint("Set \"max_worker_processes\" to %d or more (it is %d) and restart the server, or lower \"event_store.max_projection_workers\".",
						 max_worker_processes + missing,
						 max_worker_processes)));
	told = missing > 0;
}
