/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Sessions that wait for the sequencer.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  They sleep on the condition variable of the database's slot, which the
 *	  sequencer broadcasts after each batch and at each change of its state.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "common/int.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/error.h"
#include "sequencer/sequencer.h"
#include "sequencer/wait.h"

PG_FUNCTION_INFO_V1(es_wait_for_log);
PG_FUNCTION_INFO_V1(es_wait_for_position);

/* A wait without limit looks at the clock this often. */
#define LONGEST_SLEEP_MS	60000

/*
 * What a session waits for.
 */
typedef struct Goal
{
	uint64		store;
	bool		by_position;
	int64		position;
	XLogRecPtr	lsn;
	TimestampTz deadline;		/* TIMESTAMP_INFINITY for none */
} Goal;

TimestampTz
es_wait_get_deadline(FunctionCallInfo fcinfo, int argument)
{
	Interval   *timeout;
	int64		microseconds;

	if (PG_ARGISNULL(argument))
		return DT_NOEND;

	timeout = PG_GETARG_INTERVAL_P(argument);
	if (pg_mul_s64_overflow((int64) timeout->month * DAYS_PER_MONTH + timeout->day,
							USECS_PER_DAY, &microseconds) ||
		pg_add_s64_overflow(microseconds, timeout->time, &microseconds) ||
		microseconds > (int64) 1000 * DAYS_PER_YEAR * USECS_PER_DAY)
		return DT_NOEND;
	if (microseconds < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must not be negative"),
				 errhint("NULL means no limit.")));
	return GetCurrentTimestamp() + microseconds;
}

/*
 * Raises the error for a log that will not come by waiting.
 */
static void
raise_unavailable(const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ES_ERRCODE_LOG_UNAVAILABLE),
			 errmsg("the global log is not available"),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}

EsWorkerSlot *
es_wait_get_slot(void)
{
	EsWorkerSlot *slot;

	PreventCommandDuringRecovery("waiting for the event log");
	es_slot_check_requirements();
	if (!es_worker_is_preloaded())
		raise_unavailable("The library \"event_store\" is not preloaded, so that no sequencer runs.",
						  "Add \"event_store\" to \"shared_preload_libraries\" and restart the server, or call es_sequence().");
	slot = es_worker_find(MyDatabaseId, true);
	if (slot == NULL)
		raise_unavailable("The setting \"event_store.max_databases\" leaves no room for this database.",
						  "Increase \"event_store.max_databases\" and restart the server.");
	return slot;
}

/*
 * Raises an error when the goal cannot be reached as things are.
 */
static void
check_hope(EsWorkerSlot *slot)
{
	EsSequencerState state = slot->state;

	if (state == ES_SEQUENCER_UNAVAILABLE)
	{
		char		text[ES_MAX_ERROR_TEXT];

		LWLockAcquire(es_worker_lock(), LW_SHARED);
		strlcpy(text, slot->error_text, sizeof(text));
		LWLockRelease(es_worker_lock());
		raise_unavailable(text, "See es_sequencer and the server's log.");
	}
	if (!es_worker_is_enabled() && slot->pid == 0)
		raise_unavailable("The setting \"event_store.sequencer\" is off.",
						  "Set \"event_store.sequencer\" to on and reload the configuration.");

	/* A new slot waits for all running transactions. */
	if (state == ES_SEQUENCER_HEALING &&
		TransactionIdIsValid(GetTopTransactionIdIfAny()))
		raise_unavailable("The sequencer makes a new replication slot, and waits for this transaction.",
						  "Commit, and wait then.");
}

/*
 * Asks the sequencer, or the launcher for one, to get on with it.
 */
static void
urge(EsWorkerSlot *slot, const Goal *goal)
{
	uint64		old = pg_atomic_read_u64(&slot->wanted_lsn);

	if (!goal->by_position)
	{
		while (old < goal->lsn &&
			   !pg_atomic_compare_exchange_u64(&slot->wanted_lsn, &old,
											   goal->lsn))
			;
	}
	pg_memory_barrier();
	if (slot->pid != 0)
		es_worker_wake(slot);
	else
	{
		es_worker_prepare_request(ES_REQUEST_SOON);
		es_worker_send_request();
	}
}

/*
 * Is the goal reached?  What the slot says may be about an earlier store.
 */
static bool
is_reached(EsWorkerSlot *slot, const Goal *goal)
{
	bool		result;

	if (pg_atomic_read_u64(&slot->store) != goal->store)
		return false;
	pg_memory_barrier();
	result = goal->by_position ?
		pg_atomic_read_u64(&slot->head) >= (uint64) goal->position :
		pg_atomic_read_u64(&slot->sequenced_lsn) >= goal->lsn;
	pg_memory_barrier();
	return result && pg_atomic_read_u64(&slot->store) == goal->store;
}

/*
 * Sleeps until the goal is reached; returns false when the time is over.
 */
static bool
wait_for(EsWorkerSlot *slot, const Goal *goal)
{
	bool		reached;
	bool		urged = false;

	ConditionVariablePrepareToSleep(&slot->changed);
	for (;;)
	{
		int64		rest = LONGEST_SLEEP_MS;

		reached = is_reached(slot, goal);
		if (reached)
			break;
		check_hope(slot);
		if (!urged)
			urge(slot, goal);
		urged = true;

		if (!TIMESTAMP_IS_NOEND(goal->deadline))
		{
			rest = (goal->deadline - GetCurrentTimestamp() + 999) / 1000;
			if (rest <= 0)
				break;
		}
		(void) ConditionVariableTimedSleep(&slot->changed,
										   (long) Min(rest, LONGEST_SLEEP_MS),
										   es_worker_wait_event(ES_WAIT_FOR_LOG));
	}
	ConditionVariableCancelSleep();
	return reached;
}

bool
es_wait_until_sequenced(EsWorkerSlot *slot, const EsStore *store,
						TimestampTz deadline)
{
	Goal		goal = {0};

	goal.store = es_catalog_store_id(store);

	/*
	 * Whoever was told that his commit is done has left its end here, or has
	 * flushed it.
	 */
	goal.lsn = Max(GetFlushRecPtr(NULL), pg_atomic_read_u64(&slot->append_lsn));
	goal.deadline = deadline;
	return wait_for(slot, &goal);
}

/*
 * SQL: es_wait_for_log(timeout interval) returns boolean
 */
Datum
es_wait_for_log(PG_FUNCTION_ARGS)
{
	TimestampTz deadline = es_wait_get_deadline(fcinfo, 0);
	EsStore		store;

	es_catalog_get_store(&store);
	PG_RETURN_BOOL(es_wait_until_sequenced(es_wait_get_slot(), &store,
										   deadline));
}

/*
 * SQL: es_wait_for_position("position" bigint, timeout interval)
 *		returns boolean
 */
Datum
es_wait_for_position(PG_FUNCTION_ARGS)
{
	Goal		goal = {0};
	EsStore		store;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("position must not be null")));
	goal.by_position = true;
	goal.position = PG_GETARG_INT64(0);
	goal.deadline = es_wait_get_deadline(fcinfo, 1);
	if (goal.position < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("position must not be negative"),
				 errdetail("It is %lld.", (long long) goal.position)));

	/* What is there already needs no sequencer. */
	es_catalog_get_store(&store);
	goal.store = es_catalog_store_id(&store);
	if (es_ledger_head(&store, GetLatestSnapshot()) >= goal.position)
		PG_RETURN_BOOL(true);
	PG_RETURN_BOOL(wait_for(es_wait_get_slot(), &goal));
}
