/*-------------------------------------------------------------------------
 *
 * tasks.c
 *	  What the projection workers, the launcher and the sessions share.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  As in worker.c, a crash of any process begins with fresh memory, and what
 *	  a process leaves here when it exits in order is cleared by its callbacks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "core/guc.h"
#include "core/names.h"
#include "worker/tasks.h"

/* So many sessions can show how far they are at a time. */
#define MAX_BUILDS		64

/* How long a while is, for the rate */
#define RATE_WHILE		(5 * USECS_PER_SEC)

/* A worker that ran for so long has not failed at its start. */
#define FINE_RUN_MS		5000

/* Between the end of a worker and the next: after a fine run, else from
 * FIRST_RETRY_MS on twice as long each time, up to LAST_RETRY_MS. */
#define QUICK_RETRY_MS	100
#define FIRST_RETRY_MS	1000
#define LAST_RETRY_MS	60000

typedef struct EsTasksShared
{
	int			nslots;
	int			nworkers;
	EsBuild		builds[MAX_BUILDS];
	EsTaskSlot	slots[FLEXIBLE_ARRAY_MEMBER];
	/* behind them the workers */
} EsTasksShared;

static EsTasksShared *shared = NULL;
static EsPoolWorker *workers = NULL;

/*
 * This process as a projection worker.
 */
static struct
{
	EsPoolWorker *place;		/* NULL: it is none */
	EsWorkerSlot *slot;
	TimestampTz started_at;
	uint64		batches;
} self;

/* What this transaction leaves to be told when its locks are released */
static struct
{
	bool		changed;
	bool		committed;
} done;

static EsBuild *own_build = NULL;

static Size
slots_size(void)
{
	return MAXALIGN(add_size(offsetof(EsTasksShared, slots),
							 mul_size(es_guc_max_projections,
									  sizeof(EsTaskSlot))));
}

Size
es_tasks_shared_size(void)
{
	return add_size(slots_size(),
					mul_size(max_worker_processes, sizeof(EsPoolWorker)));
}

/*
 * Makes a place free.
 */
static void
clear_place(EsTaskSlot *place)
{
	uint32		generation = place->generation;

	memset(place, 0, sizeof(*place));
	place->generation = generation + 1;
	place->position = ES_UNKNOWN_POSITION;
}

void
es_tasks_init_place(EsTaskSlot *place, int32 projection_id, int partition)
{
	memset(place, 0, sizeof(*place));
	place->position = ES_UNKNOWN_POSITION;
	place->projection_id = projection_id;
	place->partition = partition;
}

void
es_tasks_start_shared(void)
{
	bool		found;
	int			i;

	shared = ShmemInitStruct(ES_EXTENSION_NAME " tasks", es_tasks_shared_size(),
							 &found);
	workers = (EsPoolWorker *) ((char *) shared + slots_size());
	if (found)
		return;
	memset(shared, 0, es_tasks_shared_size());
	shared->nslots = es_guc_max_projections;
	shared->nworkers = max_worker_processes;
	for (i = 0; i < shared->nslots; i++)
		clear_place(&shared->slots[i]);
	for (i = 0; i < shared->nworkers; i++)
		pg_atomic_init_u32(&workers[i].sleeping, 0);
}

int
es_tasks_nslots(void)
{
	return shared->nslots;
}

EsTaskSlot *
es_tasks_slot(int number)
{
	return &shared->slots[number];
}

int
es_tasks_nworkers(void)
{
	return shared->nworkers;
}

EsPoolWorker *
es_tasks_worker(int number)
{
	return &workers[number];
}

int
es_tasks_nbuilds(void)
{
	return MAX_BUILDS;
}

EsBuild *
es_tasks_build(int number)
{
	return &shared->builds[number];
}

/*
 * Returns the place of a task, or one that is free, or NULL.  Needs the lock.
 */
static EsTaskSlot *
find_place(Oid database_oid, int32 projection_id, int partition)
{
	EsTaskSlot *free_place = NULL;
	int			i;

	for (i = 0; i < shared->nslots; i++)
	{
		EsTaskSlot *place = &shared->slots[i];

		if (place->database_oid == database_oid &&
			place->projection_id == projection_id &&
			place->partition == partition)
			return place;
		if (free_place == NULL && !OidIsValid(place->database_oid))
			free_place = place;
	}
	return free_place;
}

/*
 * Frees the places of a database's tasks that are not in the arrays.  Needs the
 * lock.
 */
static void
free_others(Oid database_oid, const int32 *projection_ids,
			const int *partitions, int ntasks)
{
	int			i;
	int			j;

	for (i = 0; i < shared->nslots; i++)
	{
		EsTaskSlot *place = &shared->slots[i];

		if (place->database_oid != database_oid)
			continue;
		for (j = 0; j < ntasks; j++)
		{
			if (place->projection_id == projection_ids[j] &&
				place->partition == partitions[j])
				break;
		}
		if (j == ntasks)
			clear_place(place);
	}
}

int
es_tasks_sync(Oid database_oid, const int32 *projection_ids,
			  const int *partitions, int ntasks, EsTaskSlot **places)
{
	int			missing = 0;
	int			i;

	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	free_others(database_oid, projection_ids, partitions, ntasks);
	for (i = 0; i < ntasks; i++)
	{
		EsTaskSlot *place = find_place(database_oid, projection_ids[i],
									   partitions[i]);

		places[i] = place;
		if (place == NULL)
			missing++;
		else if (!OidIsValid(place->database_oid))
		{
			clear_place(place);
			place->database_oid = database_oid;
			place->projection_id = projection_ids[i];
			place->partition = partitions[i];
		}
	}
	LWLockRelease(es_worker_lock());
	return missing;
}

void
es_tasks_forget(Oid database_oid)
{
	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	free_others(database_oid, NULL, NULL, 0);
	LWLockRelease(es_worker_lock());
}

/*
 * Is the place in shared memory?
 */
static bool
is_shared(const EsTaskSlot *place)
{
	return place >= shared->slots && place < shared->slots + shared->nslots;
}

bool
es_tasks_claim(EsTaskSlot *place, int32 projection_id, int partition,
			   uint32 *generation)
{
	bool		result = false;

	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	if (place->pid == 0 && place->projection_id == projection_id &&
		place->partition == partition &&
		(!is_shared(place) || place->database_oid == MyDatabaseId))
	{
		place->pid = place->served_by = MyProcPid;
		*generation = place->generation;
		self.place->busy_since = GetCurrentTimestamp();
		result = true;
	}
	LWLockRelease(es_worker_lock());
	return result;
}

/*
 * Counts a batch for the rate.
 */
static void
count_for_rate(EsTaskRate *rate, int64 events, TimestampTz now)
{
	if (rate->since == 0 || now - rate->since >= RATE_WHILE)
	{
		/* What lies longer back than a while does not count. */
		bool		recent = rate->since != 0 && now - rate->since < 2 * RATE_WHILE;

		rate->previous_events = recent ? rate->events : 0;
		rate->previous_time = recent ? now - rate->since : 0;
		rate->events = 0;
		rate->since = now;
	}
	rate->events += events;
}

double
es_tasks_rate(const EsTaskSlot *place, TimestampTz now)
{
	const EsTaskRate *rate = &place->rate;
	int64		time = now - rate->since;
	int64		events = rate->events;

	if (rate->since == 0)
		return 0;
	if (time < RATE_WHILE)
	{
		time += rate->previous_time;
		events += rate->previous_events;
	}
	return events * (double) USECS_PER_SEC / Max(time, USECS_PER_SEC);
}

/*
 * Enters what came of a step.  Needs the lock.
 */
static void
enter_news(EsTaskSlot *place, const EsTaskNews *news)
{
	TimestampTz now = GetCurrentTimestamp();

	place->position = Max(place->position, news->position);
	place->retry_at = news->retry_at;
	place->failures = news->failed ? place->failures + 1 : 0;
	if (!news->applied)
		return;
	place->batches++;
	place->events += news->events;
	place->last_batch_at = now;
	place->error_hash = 0;
	count_for_rate(&place->rate, news->events, now);
	self.batches++;
	self.slot->pool_batches++;
	self.slot->pool_failures = 0;
}

void
es_tasks_publish(EsTaskSlot *place, uint32 generation, const EsTaskNews *news)
{
	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	self.place->busy_since = 0;
	if (place->pid == MyProcPid)
		place->pid = 0;
	if (news != NULL && place->generation == generation)
		enter_news(place, news);
	LWLockRelease(es_worker_lock());
	ConditionVariableBroadcast(&self.slot->applied);
}

bool
es_tasks_note_error(EsTaskSlot *place, uint32 error_hash)
{
	bool		is_new;

	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	is_new = place->error_hash != error_hash;
	place->error_hash = error_hash;
	LWLockRelease(es_worker_lock());
	return is_new;
}

void
es_tasks_changed_now(Oid database_oid, bool new_store)
{
	EsWorkerSlot *slot = es_worker_find(database_oid, false);
	int			i;

	if (slot == NULL)
		return;
	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	for (i = 0; i < shared->nslots; i++)
	{
		EsTaskSlot *place = &shared->slots[i];

		if (place->database_oid != database_oid)
			continue;
		place->position = ES_UNKNOWN_POSITION;
		place->generation++;
		place->retry_at = 0;
		place->failures = 0;
	}
	if (slot->database_oid == database_oid)
	{
		slot->ntasks = new_store ? ES_UNKNOWN_TASKS : ES_UNCOUNTED_TASKS;
		slot->pool_retry_at = 0;
		pg_atomic_fetch_add_u32(&slot->tasks_generation, 1);
	}
	LWLockRelease(es_worker_lock());
	ConditionVariableBroadcast(&slot->applied);
	es_tasks_wake(database_oid);
	es_worker_wake_launcher();
}

void
es_tasks_changed(void)
{
	if (shared != NULL)
		done.changed = true;
}

bool
es_tasks_change_is_pending(void)
{
	return done.changed;
}

static void
forget_build(void)
{
	if (own_build == NULL)
		return;
	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	if (own_build->pid == MyProcPid)
		own_build->database_oid = InvalidOid;
	LWLockRelease(es_worker_lock());
	own_build = NULL;
}

void
es_tasks_show_build(int32 projection_id, int64 done_events, int64 total)
{
	int			i;

	if (shared == NULL)
		return;
	if (own_build != NULL && own_build->projection_id == projection_id &&
		own_build->total == total)
	{
		own_build->done = done_events;	/* nobody else writes it */
		return;
	}
	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	for (i = 0; i < MAX_BUILDS && own_build == NULL; i++)
	{
		if (!OidIsValid(shared->builds[i].database_oid))
			own_build = &shared->builds[i];
	}
	if (own_build != NULL)
	{
		own_build->database_oid = MyDatabaseId;
		own_build->projection_id = projection_id;
		own_build->pid = MyProcPid;
		own_build->done = done_events;
		own_build->total = total;
	}
	LWLockRelease(es_worker_lock());
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		done.committed = true;
	else if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		memset(&done, 0, sizeof(done));
}

/*
 * Tells what has been committed when the locks are released, and invalidation
 * messages sent.  May not fail.  See launcher/hooks.c.
 */
static void
after_release(ResourceReleasePhase phase, bool isCommit, bool isTopLevel,
			  void *arg)
{
	bool		tell = done.changed && done.committed;

	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !isTopLevel)
		return;
	forget_build();
	if (!done.committed)
		return;
	memset(&done, 0, sizeof(done));
	if (tell)
		es_tasks_changed_now(MyDatabaseId, false);
}

void
es_tasks_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterResourceReleaseCallback(after_release, NULL);
}

/*
 * Gives the place of this worker back at its end, and what it worked on.
 *
 * If it was not told to leave and has not exited with status 0, notes when the
 * launcher may start another.
 */
static void
detach(int code, Datum arg)
{
	EsWorkerSlot *slot = self.slot;
	TimestampTz now = GetCurrentTimestamp();
	bool		in_order = code == 0;
	int			i;

	if (self.place == NULL)
		return;
	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	for (i = 0; i < shared->nslots; i++)
	{
		EsTaskSlot *place = &shared->slots[i];

		if (place->served_by == MyProcPid)
			place->served_by = 0;
		if (place->pid != MyProcPid)
			continue;
		place->pid = 0;
		place->position = ES_UNKNOWN_POSITION;
	}
	in_order = in_order || self.place->stop_requested;
	self.place->database_oid = InvalidOid;
	self.place->pid = 0;
	self.place->busy_since = 0;
	pg_atomic_write_u32(&self.place->sleeping, 0);
	if (!in_order)
	{
		int			delay;

		if (self.batches > 0 ||
			TimestampDifferenceExceeds(self.started_at, now, FINE_RUN_MS))
		{
			slot->pool_failures = 0;
			delay = QUICK_RETRY_MS;
		}
		else
			delay = slot->pool_failures >= 6 ? LAST_RETRY_MS :
				Min(FIRST_RETRY_MS << slot->pool_failures, LAST_RETRY_MS);
		slot->pool_failures++;
		slot->pool_retry_at = TimestampTzPlusMilliseconds(now, delay);
	}
	self.place = NULL;
	LWLockRelease(es_worker_lock());

	ConditionVariableBroadcast(&slot->changed);
	ConditionVariableBroadcast(&slot->applied);
	es_tasks_wake(slot->database_oid);
	es_worker_wake_launcher();
}

/*
 * Returns the lowest number that no worker of the database has.  Needs the
 * lock.
 */
static int
lowest_number(Oid database_oid)
{
	int			number = 0;
	int			i = 0;

	while (i < shared->nworkers)
	{
		if (workers[i].database_oid == database_oid &&
			workers[i].number == number)
		{
			number++;
			i = 0;
		}
		else
			i++;
	}
	return number;
}

EsPoolWorker *
es_tasks_attach(EsWorkerSlot *slot, Oid database_oid)
{
	EsPoolWorker *place = NULL;
	int			i;

	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	if (slot->database_oid == database_oid && slot->holders == 0)
	{
		for (i = 0; i < shared->nworkers && place == NULL; i++)
		{
			if (!OidIsValid(workers[i].database_oid))
				place = &workers[i];
		}
	}
	if (place != NULL)
	{
		place->number = lowest_number(database_oid);
		place->database_oid = database_oid;
		place->pid = MyProcPid;
		place->procno = my_proc_number_compat();
		place->stop_requested = false;
		place->busy_since = 0;
		pg_atomic_write_u32(&place->sleeping, 0);
		self.place = place;
		self.slot = slot;
		self.batches = 0;
		self.started_at = GetCurrentTimestamp();
		slot->pool_attached_at = self.started_at;
		slot->pool_starved = false;
	}
	LWLockRelease(es_worker_lock());
	if (place != NULL)
		on_shmem_exit(detach, (Datum) 0);
	return place;
}

int
es_tasks_count_workers(Oid database_oid)
{
	int			result = 0;
	int			i;

	for (i = 0; i < shared->nworkers; i++)
	{
		if (workers[i].database_oid == database_oid)
			result++;
	}
	return result;
}

void
es_tasks_wake_worker(EsPoolWorker *worker)
{
	if (pg_atomic_read_u32(&worker->sleeping) != 0 &&
		pg_atomic_exchange_u32(&worker->sleeping, 0) != 0)
		SetLatch(&GetPGProcByNumber(worker->procno)->procLatch);
}

void
es_tasks_wake(Oid database_oid)
{
	int			i;

	if (!OidIsValid(database_oid))
		return;
	pg_memory_barrier();
	for (i = 0; i < shared->nworkers; i++)
	{
		if (workers[i].database_oid == database_oid)
			es_tasks_wake_worker(&workers[i]);
	}
}

/*
 * Tells a worker to leave.  Needs the lock.
 */
static void
dismiss(EsPoolWorker *worker, bool force)
{
	worker->stop_requested = true;
	if (force)
		kill(worker->pid, SIGTERM);
	SetLatch(&GetPGProcByNumber(worker->procno)->procLatch);
}

bool
es_tasks_tell_to_leave(Oid database_oid, bool force)
{
	bool		gone = true;
	int			i;

	for (i = 0; i < shared->nworkers; i++)
	{
		if (workers[i].database_oid != database_oid)
			continue;
		dismiss(&workers[i], force);
		gone = false;
	}
	return gone;
}

void
es_tasks_dismiss_one(Oid database_oid)
{
	EsPoolWorker *last = NULL;
	int			i;

	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	for (i = 0; i < shared->nworkers; i++)
	{
		if (workers[i].database_oid == database_oid &&
			(last == NULL || workers[i].number > last->number))
			last = &workers[i];
	}
	if (last != NULL)
		dismiss(last, false);
	LWLockRelease(es_worker_lock());
}
