/*-------------------------------------------------------------------------
 *
 * projections.c
 *	  What the projection workers of this database do.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "worker/tasks.h"

PG_FUNCTION_INFO_V1(es_projection_status);

/* Columns of the result */
enum
{
	PROJECTION_ID,
	PARTITION,
	PID,
	APPLIED,
	EVENTS,
	BATCHES,
	RATE,
	LAST_BATCH_AT,
	WORKERS,
	BUILD_PID,
	BUILD_DONE,
	BUILD_TOTAL,
	N_COLUMNS
};

/*
 * Adds the row of a task.
 */
static void
add_task(ReturnSetInfo *result, const EsTaskSlot *task, int workers,
		 TimestampTz now)
{
	Datum		values[N_COLUMNS] = {0};
	bool		nulls[N_COLUMNS];

	memset(nulls, false, sizeof(nulls));
	values[PROJECTION_ID] = Int32GetDatum(task->projection_id);
	values[PARTITION] = Int32GetDatum(task->partition);
	values[PID] = Int32GetDatum(task->served_by);
	nulls[PID] = task->served_by == 0;
	values[APPLIED] = Int64GetDatum(task->position);
	nulls[APPLIED] = task->position == ES_UNKNOWN_POSITION;
	values[EVENTS] = Int64GetDatum(task->events);
	values[BATCHES] = Int64GetDatum(task->batches);
	values[RATE] = Float8GetDatum(es_tasks_rate(task, now));
	values[LAST_BATCH_AT] = TimestampTzGetDatum(task->last_batch_at);
	nulls[LAST_BATCH_AT] = task->last_batch_at == 0;
	values[WORKERS] = Int32GetDatum(workers);
	nulls[BUILD_PID] = nulls[BUILD_DONE] = nulls[BUILD_TOTAL] = true;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * Adds the row of a build: its partition is -1.
 */
static void
add_build(ReturnSetInfo *result, const EsBuild *build)
{
	Datum		values[N_COLUMNS] = {0};
	bool		nulls[N_COLUMNS];

	memset(nulls, true, sizeof(nulls));
	values[PROJECTION_ID] = Int32GetDatum(build->projection_id);
	values[PARTITION] = Int32GetDatum(-1);
	values[BUILD_PID] = Int32GetDatum(build->pid);
	values[BUILD_DONE] = Int64GetDatum(build->done);
	values[BUILD_TOTAL] = Int64GetDatum(build->total);
	nulls[PROJECTION_ID] = nulls[PARTITION] = false;
	nulls[BUILD_PID] = nulls[BUILD_DONE] = nulls[BUILD_TOTAL] = false;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * SQL: es_projection_status() returns setof record
 *
 * Copies first: nothing is allocated under the lock.
 */
Datum
es_projection_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz now = GetCurrentTimestamp();
	EsTaskSlot *tasks;
	EsBuild    *builds;
	int			ntasks = 0;
	int			nbuilds = 0;
	int			workers;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	if (!es_worker_is_preloaded())
		return (Datum) 0;

	tasks = palloc(es_tasks_nslots() * sizeof(EsTaskSlot));
	builds = palloc(es_tasks_nbuilds() * sizeof(EsBuild));
	LWLockAcquire(es_worker_lock(), LW_SHARED);
	for (i = 0; i < es_tasks_nslots(); i++)
	{
		if (es_tasks_slot(i)->database_oid == MyDatabaseId)
			tasks[ntasks++] = *es_tasks_slot(i);
	}
	for (i = 0; i < es_tasks_nbuilds(); i++)
	{
		if (es_tasks_build(i)->database_oid == MyDatabaseId)
			builds[nbuilds++] = *es_tasks_build(i);
	}
	workers = es_tasks_count_workers(MyDatabaseId);
	LWLockRelease(es_worker_lock());

	for (i = 0; i < ntasks; i++)
		add_task(result, &tasks[i], workers, now);
	for (i = 0; i < nbuilds; i++)
		add_build(result, &builds[i]);
	return (Datum) 0;
}
