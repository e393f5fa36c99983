/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  What the workers and the sessions share.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A crash of any process makes the server start again with fresh shared
 *	  memory, so that nothing here has to survive one.  What a process leaves
 *	  in a slot when it exits in order is cleared by its exit callback.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "core/guc.h"
#include "core/names.h"
#include "worker/tasks.h"
#include "worker/worker.h"

#define TRANCHE_NAME	"event_store"

/*
 * How long es_worker_hold waits for workers before it sends SIGTERM, and
 * before it goes on anyway.
 */
#define HOLD_PATIENCE_MS	300
#define HOLD_TIMEOUT_MS		15000

/* Bits of EsShared.disabled */
#define NO_SEQUENCERS	0x01
#define NO_PROJECTIONS	0x02

typedef struct EsShared
{
	pg_atomic_uint32 launcher;	/* procno of the launcher + 1, 0 for none */
	pg_atomic_uint32 lost_request;	/* a request found no free slot */
	pg_atomic_uint32 disabled;	/* what the launcher does not start */
	int			nslots;
	EsWorkerSlot slots[FLEXIBLE_ARRAY_MEMBER];
} EsShared;

static EsShared *shared = NULL;
static LWLock *lock = NULL;
static EsWorkerSlot *attached = NULL;
static EsWorkerSlot *pinned = NULL; /* by es_worker_prepare_request */

/* The databases that this process holds, as often as it does */
static Oid *held = NULL;
static int	held_used = 0;
static int	held_size = 0;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static Size
shared_size(void)
{
	return add_size(offsetof(EsShared, slots),
					mul_size(es_guc_max_databases, sizeof(EsWorkerSlot)));
}

static void
request_shared_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(add_size(shared_size(), es_tasks_shared_size()));
	RequestNamedLWLockTranche(TRANCHE_NAME, 1);
}

/*
 * Makes a slot free.
 */
static void
clear_slot(EsWorkerSlot *slot)
{
	slot->database_oid = InvalidOid;
	slot->state = ES_SEQUENCER_UNKNOWN;
	slot->pid = 0;
	slot->procno = -1;
	slot->holders = 0;
	slot->stop_requested = false;
	slot->ended_on_request = false;
	slot->ended_in = ES_SEQUENCER_UNKNOWN;
	slot->started_at = 0;
	slot->ended_at = 0;
	NameStr(slot->slot_name)[0] = '\0';
	slot->batches = 0;
	slot->events = 0;
	slot->heals = 0;
	slot->last_batch_at = 0;
	slot->failures = 0;
	slot->retry_at = 0;
	slot->error_at = 0;
	slot->error_code = 0;
	slot->error_text[0] = '\0';
	slot->ntasks = ES_UNKNOWN_TASKS;
	slot->pool_batches = 0;
	slot->pool_attached_at = 0;
	slot->pool_starved = false;
	slot->pool_failures = 0;
	slot->pool_retry_at = 0;
	slot->pool_error_at = 0;
	slot->pool_error_code = 0;
	slot->pool_error_text[0] = '\0';
	pg_atomic_write_u32(&slot->requested, ES_REQUEST_NONE);
	pg_atomic_write_u32(&slot->waiting, 0);
	pg_atomic_write_u64(&slot->append_lsn, 0);
	pg_atomic_write_u64(&slot->wanted_lsn, 0);
	pg_atomic_write_u64(&slot->sequenced_lsn, 0);
	pg_atomic_write_u64(&slot->head, 0);
	pg_atomic_write_u64(&slot->store, 0);
}

static void
init_slot(EsWorkerSlot *slot)
{
	pg_atomic_init_u32(&slot->requested, ES_REQUEST_NONE);
	pg_atomic_init_u32(&slot->pins, 0);
	pg_atomic_init_u32(&slot->waiting, 0);
	pg_atomic_init_u64(&slot->append_lsn, 0);
	pg_atomic_init_u64(&slot->wanted_lsn, 0);
	pg_atomic_init_u64(&slot->sequenced_lsn, 0);
	pg_atomic_init_u64(&slot->head, 0);
	pg_atomic_init_u64(&slot->store, 0);
	pg_atomic_init_u32(&slot->tasks_generation, 0);
	ConditionVariableInit(&slot->changed);
	ConditionVariableInit(&slot->applied);
	clear_slot(slot);
}

static void
start_shared_memory(void)
{
	bool		found;
	int			i;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct(ES_EXTENSION_NAME, shared_size(), &found);
	if (!found)
	{
		pg_atomic_init_u32(&shared->launcher, 0);
		pg_atomic_init_u32(&shared->disabled, 0);
		pg_atomic_init_u32(&shared->lost_request, 0);
		shared->nslots = es_guc_max_databases;
		for (i = 0; i < shared->nslots; i++)
			init_slot(&shared->slots[i]);
	}
	es_tasks_start_shared();
	lock = &GetNamedLWLockTranche(TRANCHE_NAME)->lock;
	LWLockRelease(AddinShmemInitLock);
}

void
es_worker_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shared_memory;
	es_tasks_init();
}

bool
es_worker_is_preloaded(void)
{
	return shared != NULL;
}

LWLock *
es_worker_lock(void)
{
	return lock;
}

int
es_worker_nslots(void)
{
	return shared->nslots;
}

EsWorkerSlot *
es_worker_slot(int number)
{
	return &shared->slots[number];
}

/*
 * Returns the slot of a database, NULL when it has none.  Needs the lock.
 */
static EsWorkerSlot *
find_slot(Oid database_oid)
{
	int			i;

	for (i = 0; i < shared->nslots; i++)
	{
		if (shared->slots[i].database_oid == database_oid)
			return &shared->slots[i];
	}
	return NULL;
}

EsWorkerSlot *
es_worker_find(Oid database_oid, bool create)
{
	EsWorkerSlot *slot;

	if (shared == NULL || !OidIsValid(database_oid))
		return NULL;

	LWLockAcquire(lock, create ? LW_EXCLUSIVE : LW_SHARED);
	slot = find_slot(database_oid);
	if (slot == NULL && create)
	{
		slot = find_slot(InvalidOid);
		if (slot != NULL)
		{
			clear_slot(slot);
			slot->database_oid = database_oid;
		}
	}
	LWLockRelease(lock);
	return slot;
}

void
es_worker_free(Oid database_oid, bool force)
{
	EsWorkerSlot *slot;
	bool		freed = false;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = find_slot(database_oid);
	if (slot != NULL && slot->pid == 0 && slot->holders == 0 &&
		es_tasks_count_workers(database_oid) == 0 &&
		pg_atomic_read_u32(&slot->pins) == 0 &&
		(force || pg_atomic_read_u32(&slot->requested) == ES_REQUEST_NONE))
	{
		clear_slot(slot);
		freed = true;
	}
	LWLockRelease(lock);
	if (!freed)
		return;
	es_tasks_forget(database_oid);
	ConditionVariableBroadcast(&slot->changed);
	ConditionVariableBroadcast(&slot->applied);
}

/*
 * Sets the latch of a process, if there is one.
 */
static void
wake_process(int procno)
{
	if (procno >= 0)
		SetLatch(&GetPGProcByNumber(procno)->procLatch);
}

void
es_worker_set_store(EsWorkerSlot *slot, uint64 store, uint64 head)
{
	/* Who reads compares the store before and after. */
	pg_atomic_write_u64(&slot->store, 0);
	pg_memory_barrier();
	pg_atomic_write_u64(&slot->sequenced_lsn, 0);
	pg_atomic_write_u64(&slot->head, head);
	pg_memory_barrier();
	pg_atomic_write_u64(&slot->store, store);
	es_worker_tell_of_head(slot);
}

void
es_worker_tell_of_head(EsWorkerSlot *slot)
{
	ConditionVariableBroadcast(&slot->changed);
	es_tasks_wake(slot->database_oid);
}

bool
es_worker_set_projections(EsWorkerSlot *slot, uint32 generation,
						  bool there_are)
{
	bool		known;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u32(&slot->tasks_generation) != generation)
		;						/* who changed it may not have been seen */
	else if (!there_are)
		slot->ntasks = 0;
	else if (slot->ntasks <= 0)
		slot->ntasks = ES_UNCOUNTED_TASKS;
	known = slot->ntasks != ES_UNKNOWN_TASKS;
	LWLockRelease(lock);
	if (there_are)
		es_worker_wake_launcher();
	return known;
}

void
es_worker_set_enabled(bool sequencers, bool projections)
{
	uint32		disabled = (sequencers ? 0 : NO_SEQUENCERS) |
		(projections ? 0 : NO_PROJECTIONS);
	int			i;

	if (pg_atomic_exchange_u32(&shared->disabled, disabled) == disabled)
		return;
	for (i = 0; i < shared->nslots; i++)
	{
		ConditionVariableBroadcast(&shared->slots[i].changed);
		ConditionVariableBroadcast(&shared->slots[i].applied);
	}
}

bool
es_worker_is_enabled(void)
{
	return (pg_atomic_read_u32(&shared->disabled) & NO_SEQUENCERS) == 0;
}

bool
es_worker_projections_are_enabled(void)
{
	return (pg_atomic_read_u32(&shared->disabled) & NO_PROJECTIONS) == 0;
}

void
es_worker_set_launcher(int procno)
{
	pg_atomic_write_u32(&shared->launcher, (uint32) (procno + 1));
}

void
es_worker_wake_launcher(void)
{
	if (shared != NULL)
		wake_process((int) pg_atomic_read_u32(&shared->launcher) - 1);
}

/*
 * Gives the slot back at the end of the sequencer.
 *
 * When this runs, the process has released its replication slot and, if it
 * attached before it connected, is gone from the proc array.
 */
static void
detach(int code, Datum arg)
{
	EsWorkerSlot *slot = attached;

	if (slot == NULL)
		return;
	attached = NULL;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (slot->pid == MyProcPid)
	{
		slot->pid = 0;
		slot->procno = -1;
		slot->ended_at = GetCurrentTimestamp();
		slot->ended_on_request = slot->stop_requested ||
			slot->state == ES_SEQUENCER_STOPPED;
		slot->ended_in = slot->state;
		slot->stop_requested = false;
		if (slot->state < ES_SEQUENCER_FAILED)
			slot->state = ES_SEQUENCER_STOPPED;
		pg_atomic_write_u32(&slot->waiting, 0);
	}
	LWLockRelease(lock);
	ConditionVariableBroadcast(&slot->changed);
	es_worker_wake_launcher();
}

bool
es_worker_attach(EsWorkerSlot *slot)
{
	bool		result = false;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (slot->pid == 0 && slot->holders == 0)
	{
		slot->pid = MyProcPid;
		slot->procno = my_proc_number_compat();
		slot->state = ES_SEQUENCER_STARTING;
		slot->stop_requested = false;
		slot->ended_on_request = false;
		slot->started_at = GetCurrentTimestamp();
		result = true;
	}
	else if (slot->pid == 0)
		slot->ended_on_request = true;
	LWLockRelease(lock);
	if (result)
	{
		attached = slot;
		on_shmem_exit(detach, (Datum) 0);
	}
	return result;
}

void
es_worker_set_state(EsWorkerSlot *slot, EsSequencerState state)
{
	EsSequencerState before;

	if (slot == NULL || slot->state == state)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	before = slot->state;
	slot->state = state;
	LWLockRelease(lock);
	ConditionVariableBroadcast(&slot->changed);

	/* The launcher does not start too many at once. */
	if (before == ES_SEQUENCER_STARTING)
		es_worker_wake_launcher();
}

uint32
es_worker_wait_event(EsWaitEvent event)
{
	static const char *const names[ES_N_WAIT_EVENTS] = {
		[ES_WAIT_LAUNCHER_MAIN] = "EventStoreLauncherMain",
		[ES_WAIT_SEQUENCER_MAIN] = "EventStoreSequencerMain",
		[ES_WAIT_SEQUENCER_LINGER] = "EventStoreSequencerLinger",
		[ES_WAIT_FOR_LOG] = "EventStoreWaitForLog",
		[ES_WAIT_FOR_STOP] = "EventStoreWaitForStop",
		[ES_WAIT_PROJECTION_MAIN] = "EventStoreProjectionMain",
		[ES_WAIT_FOR_PROJECTION] = "EventStoreWaitForProjection",
	};
	static uint32 known[ES_N_WAIT_EVENTS];

	if (known[event] == 0)
		known[event] = wait_event_extension_new_compat(names[event]);
	return known[event];
}

const char *
es_worker_state_name(EsSequencerState state)
{
	switch (state)
	{
		case ES_SEQUENCER_UNKNOWN:
			return "unknown";
		case ES_SEQUENCER_STARTING:
			return "starting";
		case ES_SEQUENCER_HEALING:
			return "healing";
		case ES_SEQUENCER_READING:
			return "reading";
		case ES_SEQUENCER_WAITING:
			return "waiting";
		case ES_SEQUENCER_FAILED:
			return "failed";
		case ES_SEQUENCER_UNAVAILABLE:
			return "unavailable";
		case ES_SEQUENCER_STOPPED:
			return "stopped";
		case ES_SEQUENCER_NOT_NEEDED:
			return "not needed";
	}
	return "unknown";
}

bool
es_worker_note_error(EsWorkerSlot *slot, int sqlstate, const char *text)
{
	bool		is_new;

	if (slot == NULL)
		return true;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	is_new = slot->error_at == 0 || slot->failures == 0 ||
		slot->last_batch_at > slot->error_at ||
		slot->error_code != sqlstate ||
		strncmp(slot->error_text, text, ES_MAX_ERROR_TEXT - 1) != 0;
	slot->error_at = GetCurrentTimestamp();
	slot->error_code = sqlstate;
	strlcpy(slot->error_text, text, ES_MAX_ERROR_TEXT);
	LWLockRelease(lock);
	return is_new;
}

void
es_worker_wake(EsWorkerSlot *slot)
{
	wake_process(slot->procno);
}

/*
 * Returns the slot of this database without the lock: a hint that the caller
 * compares with MyDatabaseId.
 */
static EsWorkerSlot *
peek_own_slot(void)
{
	static EsWorkerSlot *known = NULL;
	int			i;

	if (shared == NULL || !OidIsValid(MyDatabaseId))
		return NULL;
	if (known != NULL && known->database_oid == MyDatabaseId)
		return known;
	known = NULL;
	for (i = 0; i < shared->nslots; i++)
	{
		if (shared->slots[i].database_oid == MyDatabaseId)
			known = &shared->slots[i];
	}
	return known;
}

void
es_worker_appended(XLogRecPtr lsn)
{
	EsWorkerSlot *slot = peek_own_slot();
	uint64		old;

	if (slot == NULL)
		return;

	old = pg_atomic_read_u64(&slot->append_lsn);
	while (old < lsn &&
		   !pg_atomic_compare_exchange_u64(&slot->append_lsn, &old, lsn))
		;

	pg_memory_barrier();
	if (pg_atomic_read_u32(&slot->waiting) != 0 &&
		pg_atomic_exchange_u32(&slot->waiting, 0) != 0)
		wake_process(slot->procno);
}

/*
 * Takes back the pin of es_worker_prepare_request.
 */
static void
unpin(void)
{
	if (pinned != NULL)
		pg_atomic_fetch_sub_u32(&pinned->pins, 1);
	pinned = NULL;
}

static void
unpin_at_exit(int code, Datum arg)
{
	unpin();
}

/*
 * Makes sure that this database has a slot, which is not freed before the
 * request has been sent.
 *
 * A sequencer keeps its slot, but for one whose store goes.
 */
void
es_worker_prepare_request(EsRequest wanted)
{
	static bool registered = false;
	EsWorkerSlot *slot;

	if (shared == NULL || !OidIsValid(MyDatabaseId) || pinned != NULL)
		return;
	if (!registered)
		before_shmem_exit(unpin_at_exit, (Datum) 0);
	registered = true;

	slot = peek_own_slot();
	if (wanted != ES_REQUEST_AT_ONCE && slot != NULL && slot->pid != 0)
		return;

	slot = es_worker_find(MyDatabaseId, true);
	if (slot == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (slot->database_oid == MyDatabaseId)
	{
		pg_atomic_fetch_add_u32(&slot->pins, 1);
		pinned = slot;
	}
	LWLockRelease(lock);
}

/*
 * Raises the request for a slot, and tells the launcher if it can do something
 * about it.
 *
 * A sequencer that is just looking around may have missed what this
 * transaction did: the request then outlives it.
 */
static void
raise_request(EsRequest wanted)
{
	EsWorkerSlot *slot = peek_own_slot();
	uint32		old;

	if (slot == NULL)
	{
		if (shared != NULL &&
			pg_atomic_exchange_u32(&shared->lost_request, 1) == 0)
			es_worker_wake_launcher();
		return;
	}
	old = pg_atomic_read_u32(&slot->requested);
	while (old < (uint32) wanted &&
		   !pg_atomic_compare_exchange_u32(&slot->requested, &old, wanted))
		;
	unpin();
	if (old < (uint32) wanted && slot->pid == 0)
		es_worker_wake_launcher();
}

void
es_worker_send_request(void)
{
	EsWorkerSlot *slot = peek_own_slot();

	/* The launcher knows of the others, and tries them again by itself. */
	if (slot != NULL &&
		(slot->pid != 0 || (slot->state != ES_SEQUENCER_UNKNOWN &&
							slot->state != ES_SEQUENCER_NOT_NEEDED)))
		unpin();
	else
		raise_request(ES_REQUEST_SOON);
}

void
es_worker_send_request_at_once(void)
{
	EsWorkerSlot *slot = peek_own_slot();

	raise_request(ES_REQUEST_AT_ONCE);
	if (slot != NULL)
		es_worker_wake(slot);
}

void
es_worker_cancel_request(void)
{
	unpin();
}

bool
es_worker_take_lost_request(void)
{
	return pg_atomic_exchange_u32(&shared->lost_request, 0) != 0;
}

static void
release_at_exit(int code, Datum arg)
{
	es_worker_release_all();
}

/*
 * Makes room to remember one more held database.
 */
static void
reserve_held(void)
{
	if (held_used < held_size)
		return;
	if (held == NULL)
	{
		held = MemoryContextAlloc(TopMemoryContext, 8 * sizeof(Oid));
		held_size = 8;
		before_shmem_exit(release_at_exit, (Datum) 0);
	}
	else
	{
		held = repalloc(held, 2 * held_size * sizeof(Oid));
		held_size *= 2;
	}
}

/*
 * Counts this process among the holders of a database, and remembers it.
 * Returns the slot, or NULL if none is free.
 */
static EsWorkerSlot *
add_holder(Oid database_oid)
{
	EsWorkerSlot *slot;

	reserve_held();
	do
	{
		slot = es_worker_find(database_oid, true);
		if (slot == NULL)
			return NULL;
		LWLockAcquire(lock, LW_EXCLUSIVE);
		if (slot->database_oid == database_oid)
		{
			slot->holders++;
			held[held_used++] = database_oid;
			LWLockRelease(lock);
			return slot;
		}
		LWLockRelease(lock);
	} while (true);
}

/*
 * Tells the workers of a database to leave, with force by a signal.  Returns
 * true when there are none (any more).
 */
static bool
tell_to_leave(EsWorkerSlot *slot, Oid database_oid, bool force)
{
	bool		gone;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	gone = (slot->pid == 0);
	if (!gone)
	{
		slot->stop_requested = true;
		if (force)
			kill(slot->pid, SIGTERM);
		wake_process(slot->procno);
	}
	gone &= es_tasks_tell_to_leave(database_oid, force);
	LWLockRelease(lock);
	return gone;
}

void
es_worker_hold(Oid database_oid)
{
	EsWorkerSlot *slot;
	TimestampTz start = GetCurrentTimestamp();
	bool		forced = false;

	if (shared == NULL)
		return;
	slot = add_holder(database_oid);
	if (slot == NULL)
		return;					/* then it has no workers */

	ConditionVariablePrepareToSleep(&slot->changed);
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		bool		force = !forced &&
			TimestampDifferenceExceeds(start, now, HOLD_PATIENCE_MS);

		if (tell_to_leave(slot, database_oid, force) ||
			TimestampDifferenceExceeds(start, now, HOLD_TIMEOUT_MS))
			break;
		forced = forced || force;
		(void) ConditionVariableTimedSleep(&slot->changed, HOLD_PATIENCE_MS,
										   es_worker_wait_event(ES_WAIT_FOR_STOP));
	}
	ConditionVariableCancelSleep();
}

void
es_worker_release(Oid database_oid)
{
	EsWorkerSlot *slot;
	int			i = held_used - 1;

	while (i >= 0 && held[i] != database_oid)
		i--;
	if (i < 0)
		return;
	held[i] = held[--held_used];

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = find_slot(database_oid);
	if (slot != NULL && slot->holders > 0)
		slot->holders--;
	LWLockRelease(lock);
	es_worker_wake_launcher();
}

void
es_worker_release_all(void)
{
	while (held_used > 0)
		es_worker_release(held[held_used - 1]);
}
