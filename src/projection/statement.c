/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  Projections that are SQL statements, run once for each batch.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "utils/memutils.h"
#include "utils/plancache.h"

#include "core/compat.h"
#include "projection/projection.h"

/*
 * What is prepared: a plan for each text, which may be several statements.
 */
typedef struct PreparedStatements
{
	int			nplans;
	SPIPlanPtr	plans[FLEXIBLE_ARRAY_MEMBER];
} PreparedStatements;

static void
free_plans(void *prepared)
{
	PreparedStatements *statements = prepared;
	int			i;

	for (i = 0; i < statements->nplans; i++)
		SPI_freeplan(statements->plans[i]);
}

SPIPlanPtr
es_prepare_statement(const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, types);

	if (plan == NULL)
		elog(ERROR, "could not prepare statement: %s",
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	return plan;
}

/*
 * Raises an error if SPI could not run a statement.
 */
static void
check_result(int result)
{
	if (result == SPI_ERROR_TRANSACTION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("a projection cannot begin or end a transaction")));
	if (result < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("statement cannot be run in a projection: %s",
						SPI_result_code_string(result))));
}

void
es_run_statement_params(SPIPlanPtr plan, ParamListInfo params)
{
	SPIExecuteOptions options;

	/* What a SELECT returns is of no use to anybody. */
	memset(&options, 0, sizeof(options));
	options.params = params;
	options.dest = None_Receiver;
	check_result(SPI_execute_plan_extended(plan, &options));
}

void
es_run_statement(SPIPlanPtr plan, Datum *values, const char *nulls)
{
	if (values != NULL)
		check_result(SPI_execute_plan(plan, values, nulls, false, 0));
	else
		es_run_statement_params(plan, NULL);
}

void
es_run_command(const char *sql)
{
	int			result;

	SPI_connect();
	result = SPI_execute(sql, false, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", sql,
			 SPI_result_code_string(result));
	SPI_finish();
}

/*
 * Makes sure that the current user may do what a query does, and the queries
 * within it.  Functions are checked when they are called.
 */
static bool
check_permissions(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		check_query_permissions_compat((Query *) node);
		return query_tree_walker((Query *) node, check_permissions, context, 0);
	}
	return expression_tree_walker(node, check_permissions, context);
}

void
es_check_statement(SPIPlanPtr plan)
{
	ListCell   *lc;

	foreach(lc, SPI_plan_get_plan_sources(plan))
	{
		CachedPlanSource *source = lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, source->query_list)
		{
			Query	   *query = lfirst(lc2);

			if (query->commandType == CMD_UTILITY &&
				IsA(query->utilityStmt, TransactionStmt))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
						 errmsg("a projection cannot begin or end a transaction"),
						 errdetail("A batch and its checkpoint are written in one transaction.")));
			if (query->commandType != CMD_UTILITY)
				(void) check_permissions((Node *) query, NULL);
		}
	}
}

/*
 * Prepares the statements, unless they are.
 */
static PreparedStatements *
prepare(EsProjection *projection)
{
	int			n = list_length(projection->statements);
	PreparedStatements *prepared = projection->prepared;
	ListCell   *lc;

	if (prepared == NULL)
	{
		prepared = MemoryContextAllocZero(projection->context,
										  offsetof(PreparedStatements, plans) +
										  n * sizeof(SPIPlanPtr));
		projection->prepared = prepared;
		projection->free_prepared = free_plans;
	}

	/* An error in one of them leaves those before it. */
	for_each_from(lc, projection->statements, prepared->nplans)
	{
		prepared->plans[prepared->nplans] =
			es_prepare_statement(lfirst(lc), 0, NULL);
		prepared->nplans++;
	}
	return prepared;
}

static void
check_statements(const EsStore *store, EsProjection *projection)
{
	PreparedStatements *prepared;
	int			i;

	es_batch_register(store, NULL);
	prepared = prepare(projection);
	for (i = 0; i < prepared->nplans; i++)
		es_check_statement(prepared->plans[i]);
}

static void
run_statements(const EsStore *store, EsProjection *projection, EsBatch *batch)
{
	PreparedStatements *prepared;
	int			i;

	es_batch_register(store, batch);
	prepared = prepare(projection);
	for (i = 0; i < prepared->nplans; i++)
		es_run_statement(prepared->plans[i], NULL, NULL);
}

const EsKindRoutine es_statement_routine = {
	.check = check_statements,
	.run = run_statements
};
