/*-------------------------------------------------------------------------
 *
 * handler_run.c
 *	  Runs the statements of handlers, one event after the other.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Most of the time that a small INSERT or UPDATE takes is spent in
 *	  starting and ending the executor.  For plain statements it is started
 *	  once for a batch, and its plan is run again for each event, as a
 *	  correlated subquery would be.  What stays the same between the runs is
 *	  what stays the same between the rows of one statement; what a statement
 *	  has of its own is done for each run: command id, statement-level triggers,
 *	  and the triggers that fire at its end.
 *
 *	  A plan can be run again if none of its nodes keeps a result (such as a
 *	  hash table, a sort, or the value of an uncorrelated subquery): those do
 *	  not notice that a parameter has changed.  All others go through SPI.
 *
 *	  All statements of a batch share one snapshot, in which only the command
 *	  id moves on: what others commit in the meantime is seen by the next
 *	  batch.
 *
 *	  An executor that is open keeps its tables in use, which would refuse an
 *	  ALTER TABLE.  So all of them are closed before a statement that might do
 *	  that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "tcop/dest.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "core/compat.h"
#include "projection/handler.h"

/*
 * How a statement is run in this batch.
 */
typedef enum StatementMode
{
	NOT_DECIDED,
	BY_EXECUTOR,				/* the executor stays open */
	BY_SPI
} StatementMode;

typedef struct OpenStatement
{
	StatementMode mode;
	CachedPlan *cached_plan;
	QueryDesc  *query;			/* NULL: not open */
	bool		has_run;
} OpenStatement;

struct EsHandlerRun
{
	ParamListInfo params;
	MemoryContext context;		/* of what is open */
	Snapshot	snapshot;		/* of the whole batch */
	int			nstatements;
	int			nopen;
	OpenStatement open[FLEXIBLE_ARRAY_MEMBER];
};

/* ---------- which plans can be run again ---------- */

/*
 * Does a plan keep nothing from one run to the next?
 */
static bool
is_repeatable(Plan *plan)
{
	ListCell   *lc;

	if (plan == NULL)
		return true;
	if (plan->initPlan != NIL)
		return false;
	switch (nodeTag(plan))
	{
		case T_Result:
		case T_ProjectSet:
		case T_ValuesScan:
		case T_SeqScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapIndexScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_NestLoop:
			break;
		case T_BitmapAnd:
			foreach(lc, ((BitmapAnd *) plan)->bitmapplans)
			{
				if (!is_repeatable(lfirst(lc)))
					return false;
			}
			break;
		case T_BitmapOr:
			foreach(lc, ((BitmapOr *) plan)->bitmapplans)
			{
				if (!is_repeatable(lfirst(lc)))
					return false;
			}
			break;
		case T_SubqueryScan:
			if (!is_repeatable(((SubqueryScan *) plan)->subplan))
				return false;
			break;
		default:
			return false;
	}
	return is_repeatable(plan->lefttree) && is_repeatable(plan->righttree);
}

/*
 * Is a table one whose triggers are only those of foreign keys?  Others can do
 * anything, and those of statements may collect rows for the statement.
 */
static bool
is_plain_table(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		plain = rel->rd_rel->relkind == RELKIND_RELATION;
	int			i;

	for (i = 0; plain && rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		if (!rel->trigdesc->triggers[i].tgisinternal)
			plain = false;
	}
	table_close(rel, AccessShareLock);
	return plain;
}

static bool
can_run_again(PlannedStmt *planned)
{
	ModifyTable *modify;
	Index		target;

	if (planned->commandType == CMD_UTILITY || planned->subplans != NIL ||
		planned->hasModifyingCTE || planned->parallelModeNeeded)
		return false;
	if (planned->commandType == CMD_SELECT)
		return planned->rowMarks == NIL && is_repeatable(planned->planTree);
	if (planned->commandType == CMD_MERGE ||
		!IsA(planned->planTree, ModifyTable))
		return false;
	modify = (ModifyTable *) planned->planTree;
	if (list_length(modify->resultRelations) != 1 || modify->rootRelation != 0 ||
		modify->plan.initPlan != NIL)
		return false;
	target = linitial_int(modify->resultRelations);
	return is_repeatable(outerPlan(modify)) &&
		is_plain_table(rt_fetch(target, planned->rtable)->relid);
}

/* ---------- running ---------- */

static void
close_statement(EsHandlerRun *run, OpenStatement *open)
{
	if (open->query == NULL)
		return;
	ExecutorFinish(open->query);
	ExecutorEnd(open->query);
	FreeQueryDesc(open->query);
	ReleaseCachedPlan(open->cached_plan, CurrentResourceOwner);
	open->query = NULL;
	open->cached_plan = NULL;
	run->nopen--;
}

static void
close_all(EsHandlerRun *run)
{
	int			i;

	for (i = 0; run->nopen > 0 && i < run->nstatements; i++)
		close_statement(run, &run->open[i]);
}

/*
 * Starts the executor for a statement, if its plan can be run again.
 */
static void
open_statement(EsHandlerRun *run, const EsHandlerStatement *statement,
			   OpenStatement *open)
{
	List	   *sources = SPI_plan_get_plan_sources(statement->plan);
	CachedPlanSource *source = linitial(sources);
	CachedPlan *cached_plan;
	MemoryContext previous;

	open->mode = BY_SPI;
	if (list_length(sources) != 1)
		return;
	previous = MemoryContextSwitchTo(run->context);
	cached_plan = GetCachedPlan(source, run->params, CurrentResourceOwner, NULL);
	if (list_length(cached_plan->stmt_list) != 1 ||
		!can_run_again(linitial_node(PlannedStmt, cached_plan->stmt_list)))
	{
		ReleaseCachedPlan(cached_plan, CurrentResourceOwner);
		MemoryContextSwitchTo(previous);
		return;
	}

	open->mode = BY_EXECUTOR;
	open->cached_plan = cached_plan;
	open->query = CreateQueryDesc(linitial_node(PlannedStmt, cached_plan->stmt_list),
								  source->query_string, run->snapshot,
								  InvalidSnapshot, None_Receiver, run->params,
								  NULL, 0);
	/* The level of triggers is begun and ended for each run, in execute(). */
	ExecutorStart(open->query, EXEC_FLAG_SKIP_TRIGGERS);
	open->has_run = false;
	run->nopen++;
	MemoryContextSwitchTo(previous);
}

/*
 * Gets an executor that has run ready to run again.
 */
static void
make_ready(QueryDesc *query)
{
	PlanState  *state = query->planstate;

	if (IsA(state, ModifyTableState))
	{
		ModifyTableState *modify = (ModifyTableState *) state;

		modify->mt_done = false;
		modify->fireBSTriggers = true;
		state = outerPlanState(modify);
	}
	ExecReScan(state);
}

/*
 * Runs an open statement.
 */
static void
execute(EsHandlerRun *run, OpenStatement *open)
{
	QueryDesc  *query = open->query;
	EState	   *estate = query->estate;
	MemoryContext previous = MemoryContextSwitchTo(estate->es_query_cxt);

	run->snapshot->curcid = GetCurrentCommandId(false);
	if (query->operation != CMD_SELECT)
		estate->es_output_cid = GetCurrentCommandId(true);
	if (open->has_run)
		make_ready(query);
	open->has_run = true;
	AfterTriggerBeginQuery();
	executor_run_compat(query, ForwardScanDirection, 0);
	AfterTriggerEndQuery(estate);
	MemoryContextSwitchTo(previous);
}

void
es_handler_run_statement(EsHandlerRun *run, const EsHandlerStatement *statement)
{
	OpenStatement *open = &run->open[statement->number];

	CHECK_FOR_INTERRUPTS();
	CommandCounterIncrement();
	run->snapshot->curcid = GetCurrentCommandId(false);
	if (statement->hostile && run->nopen > 0)
		close_all(run);
	if (open->mode != BY_SPI && open->query == NULL)
		open_statement(run, statement, open);
	if (open->mode == BY_SPI)
		es_run_statement_params(statement->plan, run->params);
	else
		execute(run, open);
	if (statement->hostile)
		close_statement(run, open);
}

EsHandlerRun *
es_handler_run_begin(int nstatements, ParamListInfo params)
{
	EsHandlerRun *run = palloc0(offsetof(EsHandlerRun, open) +
								nstatements * sizeof(OpenStatement));

	run->params = params;
	run->context = CurrentMemoryContext;
	run->nstatements = nstatements;
	CommandCounterIncrement();
	PushCopiedSnapshot(GetTransactionSnapshot());
	run->snapshot = GetActiveSnapshot();
	run->snapshot->curcid = GetCurrentCommandId(false);
	return run;
}

void
es_handler_run_end(EsHandlerRun *run)
{
	close_all(run);
	PopActiveSnapshot();
	CommandCounterIncrement();
	pfree(run);
}
