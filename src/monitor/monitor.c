/*-------------------------------------------------------------------------
 *
 * monitor.c
 *	  What the sequencer of this database does.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "worker/worker.h"

PG_FUNCTION_INFO_V1(es_sequencer_status);

/* Columns of the result */
enum
{
	STATE,
	PID,
	SEQUENCED_LSN,
	UNREAD_BYTES,
	BATCHES,
	EVENTS,
	HEALS,
	STARTED_AT,
	LAST_BATCH_AT,
	SLOT_NAME,
	RETRY_AT,
	LAST_ERROR,
	LAST_ERROR_CODE,
	LAST_ERROR_AT,
	N_COLUMNS
};

static void
set_column(Datum *values, bool *nulls, int column, Datum value)
{
	values[column] = value;
	nulls[column] = false;
}

/*
 * Sets a column to a time, unless that is 0.
 */
static void
set_time(Datum *values, bool *nulls, int column, TimestampTz value)
{
	if (value != 0)
		set_column(values, nulls, column, TimestampTzGetDatum(value));
}

/*
 * Fills the columns from a slot.
 */
static void
describe_slot(const EsWorkerSlot *slot, Datum *values, bool *nulls)
{
	XLogRecPtr	lsn = slot->sequenced_lsn.value;	/* of a copy: nobody changes it */

	set_column(values, nulls, STATE,
			   CStringGetTextDatum(es_worker_state_name(slot->state)));
	if (slot->pid != 0)
		set_column(values, nulls, PID, Int32GetDatum(slot->pid));
	if (!XLogRecPtrIsInvalid(lsn))
	{
		XLogRecPtr	flushed = GetFlushRecPtr(NULL);

		set_column(values, nulls, SEQUENCED_LSN, LSNGetDatum(lsn));
		set_column(values, nulls, UNREAD_BYTES,
				   Int64GetDatum(flushed > lsn ? (int64) (flushed - lsn) : 0));
	}
	set_column(values, nulls, BATCHES, Int64GetDatum((int64) slot->batches));
	set_column(values, nulls, EVENTS, Int64GetDatum((int64) slot->events));
	set_column(values, nulls, HEALS, Int64GetDatum((int64) slot->heals));
	set_time(values, nulls, STARTED_AT, slot->pid != 0 ? slot->started_at : 0);
	set_time(values, nulls, LAST_BATCH_AT, slot->last_batch_at);
	if (NameStr(slot->slot_name)[0] != '\0')
		set_column(values, nulls, SLOT_NAME,
				   DirectFunctionCall1(namein, CStringGetDatum(NameStr(slot->slot_name))));
	if (slot->state == ES_SEQUENCER_FAILED ||
		slot->state == ES_SEQUENCER_UNAVAILABLE)
		set_time(values, nulls, RETRY_AT, slot->retry_at);
	if (slot->error_at != 0)
	{
		set_column(values, nulls, LAST_ERROR,
				   CStringGetTextDatum(slot->error_text));
		set_column(values, nulls, LAST_ERROR_CODE,
				   CStringGetTextDatum(unpack_sql_state(slot->error_code)));
		set_time(values, nulls, LAST_ERROR_AT, slot->error_at);
	}
}

/*
 * SQL: es_sequencer_status() returns record
 */
Datum
es_sequencer_status(PG_FUNCTION_ARGS)
{
	EsWorkerSlot *slot = es_worker_find(MyDatabaseId, false);
	EsWorkerSlot copy;
	TupleDesc	desc;
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	memset(nulls, true, sizeof(nulls));

	if (slot != NULL)
	{
		LWLockAcquire(es_worker_lock(), LW_SHARED);
		memcpy(&copy, slot, sizeof(copy));
		LWLockRelease(es_worker_lock());
	}
	if (slot != NULL && !RecoveryInProgress())
		describe_slot(&copy, values, nulls);
	else
		set_column(values, nulls, STATE,
				   CStringGetTextDatum(RecoveryInProgress() ? "standby" :
									   es_worker_is_preloaded() ?
									   es_worker_state_name(ES_SEQUENCER_UNKNOWN) :
									   "not preloaded"));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
