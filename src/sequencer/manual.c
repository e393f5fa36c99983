/*-------------------------------------------------------------------------
 *
 * manual.c
 *	  es_sequence(): by hand what the worker does, for servers that do not
 *	  preload the library.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A session could not do it itself: a slot cannot be made in a transaction
 *	  that has a snapshot, and the positions must be committed before the slot
 *	  is told.  So it starts a process that does one round, and waits for it.
 *	  Request and answer are in a segment of dynamic shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "replication/slot.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/error.h"
#include "core/names.h"
#include "sequencer/sequencer.h"
#include "sequencer/wait.h"
#include "worker/tasks.h"

PG_FUNCTION_INFO_V1(es_sequence);

#define MAX_TEXT	1024

/*
 * What the session and the process tell each other.
 */
typedef struct Round
{
	Oid			database_oid;
	bool		done;
	int64		events;
	int			sqlstate;		/* of an error, 0 for none */
	char		message[MAX_TEXT];
	char		detail[MAX_TEXT];	/* empty for none */
	char		hint[MAX_TEXT];
} Round;

/*
 * Makes sure that all commits up to now are on disk, also those with
 * synchronous_commit off: decoding sees no others.
 */
static void
flush_wal(void)
{
	StartTransactionCommand();
	(void) GetCurrentTransactionId();
	ForceSyncCommit();
	CommitTransactionCommand();
}

/*
 * Works off everything that was committed before.
 */
static void
do_round(Round *round)
{
	EsSequencer seq;
	EsStepResult result;

	if (!es_sequencer_open(&seq, NULL))
	{
		es_sequencer_clean_up();
		return;
	}
	flush_wal();
	while ((result = es_sequencer_step(&seq)) != ES_STEP_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (result == ES_STEP_MORE)
			continue;

		/* A commit is not visible yet; it will be in a moment. */
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1,
						 es_worker_wait_event(ES_WAIT_SEQUENCER_MAIN));
		ResetLatch(MyLatch);
	}
	flush_wal();
	es_sequencer_confirm(&seq, true);
	es_wal_close(seq.wal);
	ReplicationSlotRelease();
	round->events = seq.events;
}

/*
 * Puts the current error into the answer.
 */
static void
answer_error(Round *round)
{
	ErrorData  *edata;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(TopMemoryContext);
	edata = CopyErrorData();
	FlushErrorState();
	round->sqlstate = edata->sqlerrcode;
	strlcpy(round->message, edata->message, MAX_TEXT);
	if (edata->detail != NULL)
		strlcpy(round->detail, edata->detail, MAX_TEXT);
	if (edata->hint != NULL)
		strlcpy(round->hint, edata->hint, MAX_TEXT);
}

/*
 * Main function of the process.
 */
void
es_sequencer_once_main(Datum main_arg)
{
	dsm_segment *segment = dsm_attach(DatumGetUInt32(main_arg));
	Round	   *round;

	if (segment == NULL)
		proc_exit(0);			/* nobody waits any more */
	round = dsm_segment_address(segment);
	es_sequencer_start_process(round->database_oid);

	PG_TRY();
	{
		do_round(round);
		round->done = true;
	}
	PG_CATCH();
	{
		answer_error(round);
		proc_exit(1);
	}
	PG_END_TRY();
	proc_exit(0);
}

/*
 * Starts the process and waits until it has gone.
 */
static void
run_process(dsm_segment *segment)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;
	BgwHandleStatus status;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(segment));
	strlcpy(worker.bgw_library_name, ES_EXTENSION_NAME, BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "es_sequencer_once_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "event_store sequencer, one round", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "event_store sequencer", BGW_MAXLEN);

	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		ereport(ERROR,
				(errcode(ES_ERRCODE_LOG_UNAVAILABLE),
				 errmsg("the global log is not available"),
				 errdetail("There is no free place for a background process; \"max_worker_processes\" is %d.",
						   max_worker_processes),
				 errhint("Increase \"max_worker_processes\" and restart the server.")));

	PG_TRY();
	{
		status = WaitForBackgroundWorkerShutdown(handle);
	}
	PG_CATCH();
	{
		TerminateBackgroundWorker(handle);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (status == BGWH_POSTMASTER_DIED)
		proc_exit(1);
}

/*
 * Raises the error that the process has met, or one because it has not
 * answered.
 */
static void
raise_answer(const Round *round)
{
	if (round->sqlstate != 0)
		ereport(ERROR,
				(errcode(round->sqlstate),
				 errmsg_internal("%s", round->message),
				 round->detail[0] ? errdetail_internal("%s", round->detail) : 0,
				 round->hint[0] ? errhint("%s", round->hint) : 0));
	if (!round->done)
		ereport(ERROR,
				(errcode(ERRCODE_OPERATOR_INTERVENTION),
				 errmsg("the process that sequences events was ended"),
				 errdetail("Nothing is lost: the next one goes on from where it was.")));
}

/*
 * SQL: es_sequence() returns bigint
 *
 * Where the worker is at work, waits for it instead.
 */
Datum
es_sequence(PG_FUNCTION_ARGS)
{
	EsWorkerSlot *slot = es_worker_find(MyDatabaseId, false);
	dsm_segment *segment;
	Round	   *round;
	int64		events;
	EsStore		store;

	PreventCommandDuringRecovery("es_sequence()");
	es_catalog_get_store(&store);
	es_slot_check_requirements();

	/* Making a slot waits for all running transactions, and so for this one. */
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("es_sequence() cannot run in a transaction that has written"),
				 errhint("Commit first.")));

	if (slot != NULL && slot->pid != 0)
	{
		uint64		head = pg_atomic_read_u64(&slot->head);

		(void) es_wait_until_sequenced(slot, &store, DT_NOEND);
		PG_RETURN_INT64((int64) (pg_atomic_read_u64(&slot->head) - head));
	}

	segment = dsm_create(sizeof(Round), 0);
	round = dsm_segment_address(segment);
	memset(round, 0, sizeof(Round));
	round->database_oid = MyDatabaseId;
	run_process(segment);
	raise_answer(round);
	events = round->events;
	dsm_detach(segment);

	/* No sequencer tells projection workers of it. */
	if (es_worker_is_preloaded())
		es_tasks_changed_now(MyDatabaseId, false);
	PG_RETURN_INT64(events);
}
