/*-------------------------------------------------------------------------
 *
 * run.c
 *	  es_run_projections(): by hand what the workers do, for servers that do
 *	  not preload the library.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "projection/projection.h"
#include "worker/tasks.h"

PG_FUNCTION_INFO_V1(es_run_projections);

/*
 * A task to run.
 */
typedef struct Task
{
	int32		projection_id;
	int			partition;
} Task;

/*
 * Runs a task until there is nothing to do for it.
 */
static int64
run_task(const EsStore *store, const Task *task)
{
	int64		events = 0;
	EsTaskProgress progress;
	EsTaskResult result;

	do
	{
		CHECK_FOR_INTERRUPTS();
		result = es_task_step(store, task->projection_id, task->partition,
							  &progress);
		events += progress.events;
	} while (result == ES_TASK_APPLIED);
	return events;
}

/*
 * SQL: es_run_projections(name text) returns bigint
 */
Datum
es_run_projections(PG_FUNCTION_ARGS)
{
	char	   *name = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	List	   *tasks = NIL;
	int64		events = 0;
	int			guc_level = NewGUCNestLevel();
	EsStore		store;
	ListCell   *lc;

	PreventCommandIfReadOnly("es_run_projections()");
	es_apply_refuse_nested("es_run_projections()");
	if (!es_catalog_lock_store(&store))
		es_catalog_get_store(&store);	/* raises the error */
	if (name != NULL)
		es_projection_check_owner(es_registry_find(&store, name, false));

	/*
	 * A wait that the caller is not willing to do is no failure of the
	 * projection; he may cancel.
	 */
	(void) set_config_option("lock_timeout", "0", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);

	/* The list may change while they run. */
	foreach(lc, es_registry_list(&store))
	{
		EsProjection *projection = lfirst(lc);
		int			i;

		if (name != NULL && strcmp(projection->name, name) != 0)
			continue;
		for (i = 0; i < projection->partitions; i++)
		{
			Task	   *task = palloc(sizeof(Task));

			task->projection_id = projection->id;
			task->partition = i;
			tasks = lappend(tasks, task);
		}
	}
	foreach(lc, tasks)
		events += run_task(&store, lfirst(lc));
	es_tasks_changed();
	AtEOXact_GUC(false, guc_level);
	PG_RETURN_INT64(events);
}
