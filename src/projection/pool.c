/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  The projection workers of a database.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  setup -> loop { reload; refresh; one step of each task that is ready;
 *	  sleep } -> exit.
 *
 *	  Which worker serves which task: the worker of rank r among n is at home at
 *	  the tasks r, r + n, r + 2n ..., so that plans stay where they were made.
 *	  It takes another's task when that one is busy with something else for a
 *	  moment already: a projection that is slow, or waits for a lock, delays no
 *	  other one while a worker is free.  Tasks are claimed in shared memory, so
 *	  that nobody tries in vain; that nobody runs a task twice at a time is
 *	  granted by its lock (es_task_lock), not by this.
 *
 *	  An error of a projection's SQL is dealt with by es_task_step.  Any other
 *	  error in a step is logged, and its task rests for a while; one outside of
 *	  a step ends the process, and the launcher starts another after a while.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "commands/prepare.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/guc.h"
#include "ledger/ledger.h"
#include "projection/projection.h"
#include "worker/tasks.h"

/* A worker that works on one task for so long is not waited for by others. */
#define PATIENCE_MS			3

/* A task that is ready for so long is taken by whoever sees it. */
#define MAX_PATIENCE_MS		20

/* A task that somebody else has locked is looked at again after this time,
 * which doubles, and at most. */
#define FIRST_BUSY_MS		5
#define LAST_BUSY_MS		100

/* The same for errors outside of the projection's SQL */
#define LAST_ERROR_MS		60000

/* The greatest setting of event_store.max_projection_workers */
#define MAX_WORKERS			64

/*
 * A task, as this worker knows it.
 */
typedef struct Task
{
	int32		projection_id;
	int			partition;
	char	   *name;			/* of the projection */
	EsTaskSlot *place;			/* in shared memory, if there was one free */
	EsTaskSlot	seen;			/* as it was at the beginning of the round */
	TimestampTz waits_since;	/* ready, and not served by its home; 0: no */
} Task;

/*
 * This process.
 */
static struct
{
	EsWorkerSlot *slot;			/* of the database */
	EsPoolWorker *me;
	EsStore		store;			/* the one it began with */
	bool		has_store;
	bool		gone;			/* the store has */

	MemoryContext context;		/* of the tasks */
	Task	   *tasks;
	int			ntasks;
	uint32		generation;		/* of the slot's tasks, when they were listed */
	bool		listed;
	int			without_place;	/* tasks */

	/* Workers of the database at the beginning of the round, by number */
	EsPoolWorker *workers[MAX_WORKERS];
	TimestampTz busy_since[MAX_WORKERS];
	int			nworkers;
	int			rank;			/* of this one */

	int64		head;			/* of the log, where no sequencer tells it */
	TimestampTz head_at;
} pool;

/* ---------- the tasks ---------- */

/*
 * Lists the tasks there are, in the current memory context.  Needs a
 * transaction.
 */
static void
list_tasks(void)
{
	List	   *projections = es_registry_list(&pool.store);
	int			size = 0;
	ListCell   *lc;
	int			i;

	foreach(lc, projections)
		size += ((EsProjection *) lfirst(lc))->partitions;
	pool.tasks = palloc0((size + 1) * sizeof(Task));
	pool.ntasks = 0;

	foreach(lc, projections)
	{
		EsProjection *projection = lfirst(lc);

		if (projection->is_inline || projection->paused)
			continue;
		for (i = 0; i < projection->partitions; i++)
		{
			Task	   *task = &pool.tasks[pool.ntasks++];

			task->projection_id = projection->id;
			task->partition = i;
			task->name = pstrdup(projection->name);
		}
	}
}

/*
 * Gives the tasks their places, and tells the launcher how many there are,
 * unless that has changed again.
 */
static void
place_tasks(void)
{
	int32	   *ids = palloc((pool.ntasks + 1) * sizeof(int32));
	int		   *partitions = palloc((pool.ntasks + 1) * sizeof(int));
	EsTaskSlot **places = palloc((pool.ntasks + 1) * sizeof(EsTaskSlot *));
	int			missing;
	bool		told = false;
	int			i;

	for (i = 0; i < pool.ntasks; i++)
	{
		ids[i] = pool.tasks[i].projection_id;
		partitions[i] = pool.tasks[i].partition;
	}
	missing = es_tasks_sync(MyDatabaseId, ids, partitions, pool.ntasks, places);
	for (i = 0; i < pool.ntasks; i++)
	{
		if (places[i] == NULL)
		{
			places[i] = palloc(sizeof(EsTaskSlot));
			es_tasks_init_place(places[i], ids[i], partitions[i]);
		}
		pool.tasks[i].place = places[i];
	}
	if (missing > pool.without_place && pool.me->number == 0)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg_plural("no room in shared memory for the progress of %d projection",
							   "no room in shared memory for the progress of %d projections",
							   missing, missing),
				 errdetail("They run, but how far they are is known from tables only, where it is late."),
				 errhint("Set \"event_store.max_projections\" to %d or more (it is %d) and restart the server.",
						 es_guc_max_projections + missing,
						 es_guc_max_projections)));
	pool.without_place = missing;

	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	if (pg_atomic_read_u32(&pool.slot->tasks_generation) == pool.generation &&
		pool.slot->ntasks != pool.ntasks)
	{
		pool.slot->ntasks = pool.ntasks;
		told = true;
	}
	LWLockRelease(es_worker_lock());
	if (told)
		es_worker_wake_launcher();
}

/*
 * Begins a transaction in which the store cannot be dropped.  Returns false,
 * without one, when it is not there any more.
 */
static bool
begin(void)
{
	EsStore		store;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (es_catalog_lock_store(&store) &&
		(!pool.has_store ||
		 memcmp(&store.key, &pool.store.key, sizeof(store.key)) == 0))
	{
		pool.store = store;
		pool.has_store = true;
		return true;
	}
	CommitTransactionCommand();
	pool.gone = true;
	return false;
}

/*
 * Lists the tasks anew if they may have changed.
 */
static void
refresh(void)
{
	uint32		generation = pg_atomic_read_u32(&pool.slot->tasks_generation);
	MemoryContext previous;

	if (pool.listed && generation == pool.generation &&
		!es_registry_is_stale())
		return;
	pool.generation = generation;
	if (!begin())
		return;
	MemoryContextReset(pool.context);
	previous = MemoryContextSwitchTo(pool.context);
	list_tasks();
	MemoryContextSwitchTo(previous);
	CommitTransactionCommand();

	previous = MemoryContextSwitchTo(pool.context);
	place_tasks();
	MemoryContextSwitchTo(previous);
	pool.listed = true;
}

/* ---------- a step ---------- */

/*
 * Logs that a task has failed, if that is news.  In the transaction of the
 * step.
 */
static void
log_failure(const Task *task)
{
	EsFailure	failure;
	bool		found;
	uint32		hash;

	PushActiveSnapshot(GetTransactionSnapshot());
	found = es_failure_read(&pool.store, task->projection_id, task->partition,
							&failure);
	PopActiveSnapshot();
	if (!found)
		return;
	hash = hash_bytes((const unsigned char *) failure.message,
					  strlen(failure.message)) | 1;
	if (!es_tasks_note_error(task->place, hash) && !failure.failed)
		return;
	ereport(WARNING,
			(errmsg("projection \"%s\" failed", task->name),
			 errdetail("Events %lld to %lld, attempt %d: %s (SQLSTATE %s)",
					   (long long) failure.first_position,
					   (long long) failure.last_position,
					   failure.attempts, failure.message, failure.code),
			 failure.failed ?
			 errhint("It has stopped. Call es_resume_projection when the cause is gone.") :
			 errhint("It is tried again.")));
}

/*
 * How long a task rests that has come to nothing so many times in a row.
 */
static TimestampTz
rest(int failures, int first_ms, int last_ms)
{
	int64		delay = failures > 20 ? last_ms : (int64) first_ms << failures;

	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									   Min(delay, last_ms));
}

/*
 * Takes a result for what the others are to know.
 */
static void
make_news(const Task *task, EsTaskResult result,
		  const EsTaskProgress *progress, int64 head, EsTaskNews *news)
{
	switch (result)
	{
		case ES_TASK_APPLIED:
			news->applied = true;
			news->events = progress->events;
			news->position = progress->position;
			break;
		case ES_TASK_IDLE:
			news->position = progress->position;
			if (progress->position >= head)
				break;

			/* The log was said to be longer than the step has seen it. */
			news->failed = true;
			news->retry_at = rest(task->seen.failures, FIRST_BUSY_MS,
								  LAST_BUSY_MS);
			break;
		case ES_TASK_BUSY:
			news->failed = true;
			news->retry_at = rest(task->seen.failures, FIRST_BUSY_MS,
								  LAST_BUSY_MS);
			break;
		case ES_TASK_FAILED:
			if (progress->events > 0)
			{
				/* those before the one that fails */
				news->applied = true;
				news->events = progress->events;
				news->position = progress->position;
			}
			news->retry_at = progress->retry_at;
			break;
		case ES_TASK_RESTING:
			news->retry_at = progress->retry_at;
			break;
	}
	pool.head = Max(pool.head, progress->head);
}

/*
 * Leaves nothing of a transaction behind that outlives it: the next one may be
 * another projection's.
 */
static void
clean_session(void)
{
	LockReleaseSession(USER_LOCKMETHOD);
	DropAllPreparedStatements();
}

/*
 * Works off a batch of a task in a transaction of its own.
 */
static void
step(const Task *task, int64 head, EsTaskNews *news)
{
	EsTaskProgress progress;
	EsTaskResult result;

	if (!begin())
		return;
	es_worker_relax_commit();
	pgstat_report_activity(STATE_RUNNING, task->name);
	result = es_task_step(&pool.store, task->projection_id, task->partition,
						  &progress);
	if (result == ES_TASK_FAILED)
		log_failure(task);
	CommitTransactionCommand();
	make_news(task, result, &progress, head, news);
}

/*
 * Handles an error of a step that was not one of the projection's SQL.
 */
static void
handle_error(const Task *task, EsTaskNews *news)
{
	ErrorData  *edata;
	uint32		hash;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(pool.context);
	edata = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(pool.context);

	hash = hash_bytes((const unsigned char *) edata->message,
					  strlen(edata->message)) | 1;
	if (es_tasks_note_error(task->place, hash))
	{
		if (edata->context == NULL)
			edata->context = psprintf("projection \"%s\"", task->name);
		edata->elevel = WARNING;
		ThrowErrorData(edata);
	}
	FreeErrorData(edata);
	news->failed = true;
	news->retry_at = rest(task->seen.failures, es_guc_projection_retry_time,
						  LAST_ERROR_MS);
	RESUME_INTERRUPTS();
}

/*
 * Serves a task, if nobody else does.
 */
static bool
serve(Task *task, int64 head)
{
	uint32		generation;
	EsTaskNews	news = {0};

	if (!es_tasks_claim(task->place, task->projection_id, task->partition,
						&generation))
		return false;
	news.position = ES_UNKNOWN_POSITION;
	PG_TRY();
	{
		step(task, head, &news);
	}
	PG_CATCH();
	{
		handle_error(task, &news);
	}
	PG_END_TRY();
	clean_session();
	es_tasks_publish(task->place, generation, &news);
	pgstat_report_stat(false);
	task->waits_since = 0;
	return true;
}

/* ---------- a round ---------- */

/*
 * Looks at what the workers do and how far the tasks are.
 */
static void
look_around(void)
{
	int			i;
	int			j;

	pool.nworkers = 0;
	LWLockAcquire(es_worker_lock(), LW_SHARED);
	for (i = 0; i < es_tasks_nworkers(); i++)
	{
		EsPoolWorker *worker = es_tasks_worker(i);

		if (worker->database_oid != MyDatabaseId ||
			pool.nworkers == MAX_WORKERS)
			continue;
		for (j = pool.nworkers++;
			 j > 0 && pool.workers[j - 1]->number > worker->number; j--)
			pool.workers[j] = pool.workers[j - 1];
		pool.workers[j] = worker;
	}
	pool.rank = 0;
	for (i = 0; i < pool.nworkers; i++)
	{
		pool.busy_since[i] = pool.workers[i]->busy_since;
		if (pool.workers[i] == pool.me)
			pool.rank = i;
	}
	for (i = 0; i < pool.ntasks; i++)
		pool.tasks[i].seen = *pool.tasks[i].place;
	LWLockRelease(es_worker_lock());
}

/*
 * Returns the last position of the log; sets *known to whether a sequencer
 * tells when it changes.
 */
static int64
get_head(bool *known)
{
	*known = pool.slot->pid != 0 &&
		pg_atomic_read_u64(&pool.slot->store) == es_catalog_store_id(&pool.store);
	if (*known)
		return (int64) pg_atomic_read_u64(&pool.slot->head);

	if (TimestampDifferenceExceeds(pool.head_at, GetCurrentTimestamp(),
								   es_guc_sequencer_nap_time) && begin())
	{
		int64		head = es_ledger_head(&pool.store, GetTransactionSnapshot());

		pool.head = Max(pool.head, head);
		CommitTransactionCommand();
		pool.head_at = GetCurrentTimestamp();
	}
	return pool.head;
}

/*
 * Is another worker's task to be taken over?  Otherwise makes sure that its
 * home knows of it.
 */
static bool
take_over(Task *task, int home, TimestampTz now)
{
	if (task->waits_since == 0)
		task->waits_since = now;
	if (pool.busy_since[home] != 0 &&
		TimestampDifferenceExceeds(pool.busy_since[home], now, PATIENCE_MS))
		return true;
	if (TimestampDifferenceExceeds(task->waits_since, now, MAX_PATIENCE_MS))
		return true;
	es_tasks_wake_worker(pool.workers[home]);
	return false;
}

/*
 * Serves each task that is ready and at home here, else one of another's.
 * Returns 0 when something was done, else how many milliseconds to sleep, or
 * -1 until there is news.
 */
static long
serve_tasks(int64 head)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz wake_at = DT_NOEND;
	bool		served = false;
	int			pass;
	int			i;

	for (pass = 0; pass < 2 && !served; pass++)
	{
		for (i = 0; i < pool.ntasks; i++)
		{
			Task	   *task = &pool.tasks[i];
			int			home = i % pool.nworkers;

			if ((home == pool.rank) != (pass == 0))
				continue;
			if (task->seen.position >= head || task->seen.pid != 0 ||
				task->seen.retry_at > now)
			{
				task->waits_since = 0;
				if (task->seen.position < head && task->seen.pid == 0)
					wake_at = Min(wake_at, task->seen.retry_at);
				continue;
			}
			if (pass == 1 && !take_over(task, home, now))
			{
				wake_at = Min(wake_at,
							  TimestampTzPlusMilliseconds(now, PATIENCE_MS));
				continue;
			}
			if (ConfigReloadPending || pool.me->stop_requested || pool.gone)
				return 0;
			CHECK_FOR_INTERRUPTS();
			served = serve(task, head) || served;
			if (pass == 1 && served)
				break;
		}
	}
	if (served)
		return 0;
	if (wake_at == DT_NOEND)
		return -1;
	return Max(TimestampDifferenceMilliseconds(now, wake_at), 1);
}

/* ---------- the process ---------- */

/*
 * Says whether this process is to leave: it was told to, the setting says so,
 * there is nothing to do, or there are too many of its kind.
 */
static bool
shall_leave(void)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	return ProcDiePending || pool.gone || pool.me->stop_requested ||
		!es_guc_projections ||
		(pool.listed &&
		 pool.rank >= Min(pool.ntasks, es_guc_max_projection_workers));
}

/*
 * Sleeps until there is news or the time is over; -1: without limit.
 */
static void
sleep_until_woken(long timeout_ms, int64 head)
{
	long		unreported = pgstat_report_stat(false);
	bool		known;

	if (unreported > 0 && (timeout_ms < 0 || timeout_ms > unreported))
		timeout_ms = unreported;

	pg_atomic_write_u32(&pool.me->sleeping, 1);
	pg_memory_barrier();
	if (get_head(&known) == head &&
		pg_atomic_read_u32(&pool.slot->tasks_generation) == pool.generation)
	{
		if (!known && (timeout_ms < 0 || timeout_ms > es_guc_sequencer_nap_time))
			timeout_ms = es_guc_sequencer_nap_time;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH |
						 (timeout_ms >= 0 ? WL_TIMEOUT : 0),
						 timeout_ms,
						 es_worker_wait_event(ES_WAIT_PROJECTION_MAIN));
	}
	pg_atomic_write_u32(&pool.me->sleeping, 0);
}

/*
 * Runs the tasks until it is time to leave.
 */
static void
work(void)
{
	bool		known;

	for (;;)
	{
		int64		head;
		long		timeout_ms;

		ResetLatch(MyLatch);
		if (shall_leave())
			return;
		CHECK_FOR_INTERRUPTS();
		refresh();
		look_around();
		if (shall_leave())
			return;
		head = get_head(&known);
		timeout_ms = serve_tasks(head);
		if (timeout_ms == 0)
			continue;
		pgstat_report_activity(STATE_IDLE, NULL);
		sleep_until_woken(timeout_ms, head);
	}
}

/*
 * Handles an error outside of a step: the last thing that this process does.
 */
static void
leave_with_error(void)
{
	EsWorkerSlot *slot = pool.slot;
	ErrorData  *edata;
	bool		is_new;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(TopMemoryContext);
	edata = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();

	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	is_new = slot->pool_failures == 0 ||
		slot->pool_error_code != edata->sqlerrcode ||
		strncmp(slot->pool_error_text, edata->message, ES_MAX_ERROR_TEXT - 1) != 0;
	slot->pool_error_at = GetCurrentTimestamp();
	slot->pool_error_code = edata->sqlerrcode;
	strlcpy(slot->pool_error_text, edata->message, ES_MAX_ERROR_TEXT);
	LWLockRelease(es_worker_lock());
	if (is_new)
	{
		edata->elevel = WARNING;
		ThrowErrorData(edata);
	}
	proc_exit(1);
}

/*
 * Main function of a projection worker of a database.
 */
void
es_projection_main(Datum main_arg)
{
	Oid			database_oid = DatumGetObjectId(main_arg);

	pool.slot = es_worker_find(database_oid, false);
	if (pool.slot == NULL)
		proc_exit(0);
	pool.me = es_tasks_attach(pool.slot, database_oid);
	if (pool.me == NULL)
		proc_exit(0);
	es_worker_connect(database_oid);
	SetConfigOption("application_name", "event_store projection", PGC_USERSET,
					PGC_S_OVERRIDE);
	pool.context = AllocSetContextCreate(TopMemoryContext,
										 "event_store projection tasks",
										 ALLOCSET_DEFAULT_SIZES);
	ereport(DEBUG1,
			(errmsg("projection worker %d of database %u has started",
					pool.me->number, database_oid)));
	PG_TRY();
	{
		work();
	}
	PG_CATCH();
	{
		leave_with_error();
	}
	PG_END_TRY();
	ereport(DEBUG1,
			(errmsg("projection worker %d of database %u has ended",
					pool.me->number, database_oid)));
	proc_exit(0);
}
