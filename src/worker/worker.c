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

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "core/guc.h"
#include "core/names.h"
#include "worker/worker.h"

#define TRANCHE_NAME	"event_store"

/* How long es_worker_hold waits for the sequencer before it goes on */
#define HOLD_TIMEOUT_MS	30000

typedef struct EsShared
{
	pg_atomic_uint32 launcher;	/* procno of the launcher + 1, 0 for none */
	int			nslots;
	EsWorkerSlot slots[FLEXIBLE_ARRAY_MEMBER];
} EsShared;

static EsShared *shared = NULL;
static LWLock *lock = NULL;
static EsWorkerSlot *attached = NULL;

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
	RequestAddinShmemSpace(shared_size());
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
	slot->holder = 0;
	slot->stop_requested = false;
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
	pg_atomic_write_u32(&slot->requested, 0);
	pg_atomic_write_u32(&slot->waiting, 0);
	pg_atomic_write_u64(&slot->append_lsn, 0);
	pg_atomic_write_u64(&slot->wanted_lsn, 0);
	pg_atomic_write_u64(&slot->sequenced_lsn, 0);
	pg_atomic_write_u64(&slot->head, 0);
}

static void
init_slot(EsWorkerSlot *slot)
{
	pg_atomic_init_u32(&slot->requested, 0);
	pg_atomic_init_u32(&slot->waiting, 0);
	pg_atomic_init_u64(&slot->append_lsn, 0);
	pg_atomic_init_u64(&slot->wanted_lsn, 0);
	pg_atomic_init_u64(&slot->sequenced_lsn, 0);
	pg_atomic_init_u64(&slot->head, 0);
	ConditionVariableInit(&slot->changed);
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
		shared->nslots = es_guc_max_databases;
		for (i = 0; i < shared->nslots; i++)
			init_slot(&shared->slots[i]);
	}
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

EsWorkerSlot *
es_worker_find(Oid database_oid, bool create)
{
	EsWorkerSlot *found = NULL;
	EsWorkerSlot *empty = NULL;
	int			i;

	if (shared == NULL)
		return NULL;

	LWLockAcquire(lock, create ? LW_EXCLUSIVE : LW_SHARED);
	for (i = 0; i < shared->nslots && found == NULL; i++)
	{
		EsWorkerSlot *slot = &shared->slots[i];

		if (slot->database_oid == database_oid)
			found = slot;
		else if (empty == NULL && !OidIsValid(slot->database_oid))
			empty = slot;
	}
	if (found == NULL && create && empty != NULL)
	{
		clear_slot(empty);
		empty->database_oid = database_oid;
		found = empty;
	}
	LWLockRelease(lock);
	return found;
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
	if (slot->pid == 0 && slot->holder == 0)
	{
		slot->pid = MyProcPid;
		slot->procno = my_proc_number_compat();
		slot->state = ES_SEQUENCER_STARTING;
		slot->stop_requested = false;
		slot->started_at = GetCurrentTimestamp();
		result = true;
	}
	LWLockRelease(lock);
	if (result)
	{
		attached = slot;
		before_shmem_exit(detach, (Datum) 0);
	}
	return result;
}

void
es_worker_set_state(EsWorkerSlot *slot, EsSequencerState state)
{
	if (slot == NULL || slot->state == state)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot->state = state;
	LWLockRelease(lock);
	ConditionVariableBroadcast(&slot->changed);
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

	if (shared == NULL)
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

void
es_worker_prepare_request(void)
{
	if (shared != NULL && peek_own_slot() == NULL)
		(void) es_worker_find(MyDatabaseId, true);
}

void
es_worker_send_request(void)
{
	EsWorkerSlot *slot = peek_own_slot();

	/* The launcher knows of the others, and tries them again by itself. */
	if (slot == NULL || slot->pid != 0 ||
		(slot->state != ES_SEQUENCER_UNKNOWN &&
		 slot->state != ES_SEQUENCER_NOT_NEEDED))
		return;
	if (pg_atomic_exchange_u32(&slot->requested, 1) == 0)
		es_worker_wake_launcher();
}

void
es_worker_hold(Oid database_oid)
{
	EsWorkerSlot *slot = es_worker_find(database_oid, true);
	TimestampTz deadline;
	bool		gone = false;

	if (slot == NULL)
		return;
	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										   HOLD_TIMEOUT_MS);
	ConditionVariablePrepareToSleep(&slot->changed);
	for (;;)
	{
		LWLockAcquire(lock, LW_EXCLUSIVE);
		slot->holder = MyProcPid;
		gone = (slot->pid == 0);
		if (!gone)
		{
			slot->stop_requested = true;
			wake_process(slot->procno);
		}
		LWLockRelease(lock);
		if (gone || GetCurrentTimestamp() >= deadline)
			break;
		(void) ConditionVariableTimedSleep(&slot->changed, 1000,
										   es_worker_wait_event(ES_WAIT_FOR_STOP));
	}
	ConditionVariableCancelSleep();
}

void
es_worker_release(Oid database_oid)
{
	EsWorkerSlot *slot = es_worker_find(database_oid, false);

	if (slot == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (slot->holder == MyProcPid)
		slot->holder = 0;
	LWLockRelease(lock);
	pg_atomic_write_u32(&slot->requested, 1);
	es_worker_wake_launcher();
}
