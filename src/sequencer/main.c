/*-------------------------------------------------------------------------
 *
 * main.c
 *	  The sequencer's process.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  setup -> loop { wait; reload; catch up } -> exit.  There is one way out
 *	  of an error: note it for es_sequencer, log it if it is new, and exit with
 *	  status 1; the launcher starts another process after a while.  So no state
 *	  of this process has to survive an error.
 *
 *	  When it leaves in order it exits with status 0.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/error.h"
#include "core/guc.h"
#include "core/names.h"
#include "sequencer/sequencer.h"
#include "worker/tasks.h"

/* How long to wait for commits that are not visible yet, at first and at most */
#define LEFT_OVER_NAP_MS	1
#define LEFT_OVER_MAX_NAP_MS	20

/* Bounds of the sleep of an idle sequencer while others write */
#define FIRST_NAP_MS	100
#define MIN_NAP_MS		20

/* From so many commits in a batch on, it lingers so many times as long. */
#define LARGE_BATCH			6
#define LARGE_BATCH_LINGER	3

/* So much WAL of others in one nap is much. */
#define MUCH_WAL		(256 * 1024)

/* How often the slot is moved on while there is work, in milliseconds */
#define CONFIRM_INTERVAL_MS		1000

/*
 * Lets this process, which runs our own code only, load our own output plugin.
 * The setting restricts what users with the REPLICATION attribute may load.
 */
static void
allow_own_plugin(void)
{
	const char *name = "output_plugin_libraries";
	const char *allowed = GetConfigOption(name, true, false);

	if (allowed == NULL)
		return;					/* this server has no such setting */

	/* That it may be there already does no harm. */
	SetConfigOption(name,
					allowed[0] == '\0' ? ES_EXTENSION_NAME :
					psprintf("%s, %s", allowed, ES_EXTENSION_NAME),
					PGC_SUSET, PGC_S_OVERRIDE);
}

void
es_sequencer_start_process(Oid database_oid)
{
	es_worker_connect(database_oid);
	allow_own_plugin();
}

/*
 * Is the store still the one that we work for?  Whatever is wrong with it
 * raises an error.
 */
static bool
store_is_there(const EsSequencer *seq)
{
	EsStore		store;
	bool		result;

	StartTransactionCommand();
	result = es_catalog_lock_store(&store) &&
		memcmp(&store.key, &seq->store.key, sizeof(store.key)) == 0;
	CommitTransactionCommand();
	return result;
}

/*
 * Sleeps until the latch is set or the time is over.
 */
static void
wait_for_latch(long timeout_ms, EsWaitEvent event)
{
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 timeout_ms, es_worker_wait_event(event));
}

/*
 * Sleeps until an append, a waiting session or anybody else wants something,
 * or the time is over.
 */
static void
sleep_until_woken(EsSequencer *seq, long timeout_ms)
{
	EsWorkerSlot *slot = seq->slot;
	XLogRecPtr	position = es_wal_position(seq->wal);

	pg_atomic_write_u32(&slot->waiting, 1);
	pg_memory_barrier();
	if (pg_atomic_read_u64(&slot->append_lsn) <= position &&
		pg_atomic_read_u64(&slot->wanted_lsn) <= position)
	{
		slot->state = ES_SEQUENCER_WAITING;
		wait_for_latch(timeout_ms, ES_WAIT_SEQUENCER_MAIN);
		slot->state = ES_SEQUENCER_READING;
	}
	pg_atomic_write_u32(&slot->waiting, 0);
}

/*
 * Lets commits gather after a batch: under load a wake-up for each commit
 * would cost more than the work, and so would a batch for a few of them.
 */
static void
linger(int batch)
{
	int			time = es_guc_sequencer_linger;

	if (batch >= LARGE_BATCH)
		time *= LARGE_BATCH_LINGER;
	if (time > 0)
		wait_for_latch(time, ES_WAIT_SEQUENCER_LINGER);
}

/*
 * Says whether somebody wants this process to leave.
 */
static bool
shall_leave(const EsSequencer *seq)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	return ProcDiePending || seq->slot->stop_requested || !es_guc_sequencer;
}

/*
 * Makes sure that the WAL of the newest append is on disk: decoding sees no
 * other, and with synchronous_commit off nobody else does it soon.
 */
static void
flush_appends(const EsSequencer *seq)
{
	XLogRecPtr	lsn = pg_atomic_read_u64(&seq->slot->append_lsn);

	if (lsn > GetFlushRecPtr(NULL))
		XLogFlush(lsn);
}

/*
 * Notes that everything that there was has been worked off: failures before
 * are over and done with.
 */
static void
note_success(EsSequencer *seq)
{
	if (seq->slot->failures == 0)
		return;
	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	seq->slot->failures = 0;
	LWLockRelease(es_worker_lock());
}

/*
 * Lets the launcher know whether there are projections: if not it need not
 * start a process to find out.
 */
static void
look_for_projections(EsWorkerSlot *slot)
{
	uint32		generation;
	EsStore		store;
	bool		result;

	do
	{
		CHECK_FOR_INTERRUPTS();
		generation = pg_atomic_read_u32(&slot->tasks_generation);
		StartTransactionCommand();
		result = es_catalog_lock_store(&store) &&
			es_catalog_has_projections(&store);
		CommitTransactionCommand();
	} while (!es_worker_set_projections(slot, generation, result));
}

/*
 * Catches up, and sleeps; returns false when the store has gone.
 */
static bool
work(EsSequencer *seq)
{
	TimestampTz confirmed_at = 0;
	long		left_over_nap = LEFT_OVER_NAP_MS;
	long		nap = FIRST_NAP_MS;

	for (;;)
	{
		XLogRecPtr	begin = es_wal_position(seq->wal);
		int64		old_head = seq->tail.head;
		EsStepResult result;

		ResetLatch(MyLatch);
		if (shall_leave(seq))
			return true;
		CHECK_FOR_INTERRUPTS();

		/* Who created the store may say so only after we looked. */
		if (seq->slot->ntasks == ES_UNKNOWN_TASKS)
			look_for_projections(seq->slot);

		flush_appends(seq);
		result = es_sequencer_step(seq);
		if (TimestampDifferenceExceeds(confirmed_at, GetCurrentTimestamp(),
									   CONFIRM_INTERVAL_MS))
		{
			es_sequencer_confirm(seq, false);
			confirmed_at = GetCurrentTimestamp();
		}

		if (result == ES_STEP_MORE)
			continue;
		if (result == ES_STEP_LEFT_OVER)
		{
			/*
			 * In a moment, as a rule.  Others' commits are no reason to look
			 * earlier: they come after it.
			 */
			if (seq->tail.head != old_head)
				left_over_nap = LEFT_OVER_NAP_MS;
			wait_for_latch(left_over_nap, ES_WAIT_SEQUENCER_LINGER);
			left_over_nap = Min(left_over_nap * 2, LEFT_OVER_MAX_NAP_MS);
			continue;
		}
		left_over_nap = LEFT_OVER_NAP_MS;
		note_success(seq);

		if (seq->tail.head != old_head)
		{
			linger(seq->last_batch);
			continue;
		}

		if (!store_is_there(seq))
			return false;
		es_sequencer_confirm(seq, false);
		if (es_wal_position(seq->wal) - begin > MUCH_WAL)
			nap = Max(nap / 2, MIN_NAP_MS);
		else
			nap = Min(nap * 2, es_guc_sequencer_nap_time);
		sleep_until_woken(seq, Min(nap, es_guc_sequencer_nap_time));
	}
}

/*
 * Tidies up where there is no store any more.
 */
static void
note_gone(EsWorkerSlot *slot)
{
	es_sequencer_clean_up();

	es_worker_set_store(slot, 0, 0);
	es_worker_set_state(slot, ES_SEQUENCER_NOT_NEEDED);
}

/*
 * Was the store dropped that we work for?  Whatever else may be wrong with it.
 */
static bool
store_was_dropped(const EsSequencer *seq)
{
	bool		result;

	StartTransactionCommand();
	result = !OidIsValid(get_extension_oid(ES_EXTENSION_NAME, true)) ||
		(OidIsValid(seq->store.events) &&
		 get_rel_name(seq->store.events) == NULL);
	CommitTransactionCommand();
	return result;
}

/*
 * Handles an error: the last thing that this process does.
 */
static void
handle_error(const EsSequencer *seq, EsWorkerSlot *slot)
{
	ErrorData  *edata;
	char	   *text;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(TopMemoryContext);
	edata = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();

	/* That the store was dropped is no error. */
	if (store_was_dropped(seq))
	{
		note_gone(slot);
		proc_exit(0);
	}

	text = edata->detail == NULL ? pstrdup(edata->message) :
		psprintf("%s (%s)", edata->message, edata->detail);
	if (es_worker_note_error(slot, edata->sqlerrcode, text))
	{
		edata->elevel = WARNING;
		ThrowErrorData(edata);
	}
	es_worker_set_state(slot,
						edata->sqlerrcode == ES_ERRCODE_LOG_UNAVAILABLE ||
						edata->sqlerrcode == ERRCODE_CONFIGURATION_LIMIT_EXCEEDED ?
						ES_SEQUENCER_UNAVAILABLE : ES_SEQUENCER_FAILED);
	proc_exit(1);
}

/*
 * Main function of the sequencer of a database.
 */
void
es_sequencer_main(Datum main_arg)
{
	Oid			database_oid = DatumGetObjectId(main_arg);
	EsWorkerSlot *slot = es_worker_find(database_oid, true);
	EsSequencer seq = {0};

	if (slot == NULL || !es_worker_attach(slot))
		proc_exit(0);
	es_sequencer_start_process(database_oid);

	PG_TRY();
	{
		look_for_projections(slot);
		if (es_sequencer_open(&seq, slot))
		{
			es_worker_set_state(slot, ES_SEQUENCER_READING);
			pgstat_report_activity(STATE_RUNNING, "sequencing");
			if (work(&seq))
			{
				es_sequencer_confirm(&seq, true);
				es_worker_set_state(slot, ES_SEQUENCER_STOPPED);
				proc_exit(0);
			}
		}
		note_gone(slot);
	}
	PG_CATCH();
	{
		handle_error(&seq, slot);
	}
	PG_END_TRY();
	proc_exit(0);
}
