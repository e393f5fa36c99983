/*-------------------------------------------------------------------------
 *
 * order.c
 *	  The order of the log, for aggregates that depend on it.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A sort in a plan does not keep the order of equal rows, so an aggregate
 *	  that depends on the order of its rows needs something to order them by:
 *	  the position, and for several rows of one event the number that WITH
 *	  ORDINALITY gives them.  Where the query does not have these, they are
 *	  added to its tree: as columns of subqueries, CTEs and functions that
 *	  nobody else refers to.
 *
 *	  A join lists the columns of what it joins; ruleutils.c relies on that.
 *	  So a column that is added to a relation is added to the joins around it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "types/types.h"
#include "view/query.h"

/*
 * A column that is added to a relation of a query.
 */
typedef struct NewColumn
{
	Query	   *query;
	Var		   *var;			/* of the relation */
	char	   *name;
} NewColumn;

/*
 * Number of the members of a list behind the first skip that are less.
 */
static int
count_less(List *list, int skip, int limit)
{
	ListCell   *lc;
	int			n = 0;

	for_each_from(lc, list, skip)
	{
		if (lfirst_int(lc) < limit)
			n++;
	}
	return n;
}

/*
 * Adds 1 to the members of a list that are not less.
 */
static void
shift_columns(List *list, int from)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		if (lfirst_int(lc) >= from)
			lfirst_int(lc)++;
	}
}

/*
 * Adds the column to the joins in a part of FROM, innermost first.  Returns
 * its number in this part; 0: it is not in it.
 *
 * The columns of a join are the merged ones, the others of the left side, the
 * others of the right side.  Nobody refers to the latter two by the join,
 * unless it has an alias, and then it is left alone.
 */
static int
add_to_joins(const NewColumn *column, Node *item)
{
	JoinExpr   *join;
	RangeTblEntry *rte;
	int			left;
	int			right;
	int			place;

	if (IsA(item, RangeTblRef))
		return ((RangeTblRef *) item)->rtindex == (int) column->var->varno ?
			column->var->varattno : 0;
	if (IsA(item, FromExpr))
	{
		ListCell   *lc;

		foreach(lc, ((FromExpr *) item)->fromlist)
		{
			int			found = add_to_joins(column, lfirst(lc));

			if (found > 0)
				return found;
		}
		return 0;
	}

	join = castNode(JoinExpr, item);
	rte = rt_fetch(join->rtindex, column->query->rtable);
	left = add_to_joins(column, join->larg);
	right = left > 0 ? 0 : add_to_joins(column, join->rarg);
	if (left == 0 && right == 0)
		return 0;

	if (left > 0)
	{
		place = rte->joinmergedcols + count_less(rte->joinleftcols, rte->joinmergedcols, left);
		shift_columns(rte->joinleftcols, left);
		rte->joinleftcols = list_insert_nth_int(rte->joinleftcols, place, left);
	}
	else
	{
		int			among = rte->joinmergedcols +
			count_less(rte->joinrightcols, rte->joinmergedcols, right);

		place = list_length(rte->joinleftcols) + among - rte->joinmergedcols;
		shift_columns(rte->joinrightcols, right);
		rte->joinrightcols = list_insert_nth_int(rte->joinrightcols, among, right);
	}
	rte->joinaliasvars = list_insert_nth(rte->joinaliasvars, place, copyObject(column->var));
	rte->eref->colnames = list_insert_nth(rte->eref->colnames, place,
										  makeString(pstrdup(column->name)));
	return place + 1;
}

/*
 * Adds a column of type bigint to the end of a relation; returns it.
 */
static Var *
add_column(Query *query, int rtindex, const char *name)
{
	RangeTblEntry *rte = rt_fetch(rtindex, query->rtable);
	NewColumn	column;

	rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup(name)));
	column.query = query;
	column.var = makeVar(rtindex, list_length(rte->eref->colnames), INT8OID, -1, InvalidOid, 0);
	column.name = pstrdup(name);
	(void) add_to_joins(&column, (Node *) query->jointree);
	return column.var;
}

/*
 * Makes a column of type bigint of the query on some level a column of the
 * query itself; returns it there.
 */
static Var *
lift(EsParsed *parsed, int from, Var *var, const char *name)
{
	int			n;

	for (n = from; n > 0; n--)
	{
		EsLogLevel *inner = list_nth(parsed->levels, n);
		EsLogLevel *outer = list_nth(parsed->levels, n - 1);
		RangeTblEntry *rte = rt_fetch(outer->rtindex, outer->query->rtable);

		inner->query->targetList =
			lappend(inner->query->targetList,
					makeTargetEntry((Expr *) var, list_length(inner->query->targetList) + 1,
									pstrdup(name), false));
		var = add_column(outer->query, outer->rtindex, name);

		if (rte->rtekind == RTE_CTE)
		{
			rte->coltypes = lappend_oid(rte->coltypes, INT8OID);
			rte->coltypmods = lappend_int(rte->coltypmods, -1);
			rte->colcollations = lappend_oid(rte->colcollations, InvalidOid);
		}
	}
	return var;
}

/*
 * Brings the lists of columns of the CTEs of a query in line with their
 * queries, for those that got columns.
 */
static void
update_ctes(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);
		List	   *targets = ((Query *) cte->ctequery)->targetList;
		int			n;

		if (!IsA(cte->ctequery, Query) || ((Query *) cte->ctequery)->commandType != CMD_SELECT)
			continue;
		for (n = list_length(cte->ctecolnames); n < list_length(targets); n++)
		{
			TargetEntry *tle = list_nth_node(TargetEntry, targets, n);

			if (tle->resjunk)
				break;
			cte->ctecolnames = lappend(cte->ctecolnames, makeString(pstrdup(tle->resname)));
			cte->ctecoltypes = lappend_oid(cte->ctecoltypes, exprType((Node *) tle->expr));
			cte->ctecoltypmods = lappend_int(cte->ctecoltypmods, -1);
			cte->ctecolcollations = lappend_oid(cte->ctecolcollations, InvalidOid);
		}
	}
}

/* ---------- functions ---------- */

/*
 * References to whole rows of a relation.
 */
typedef struct WholeRowContext
{
	int			rtindex;
	int			depth;
	bool		composite;		/* one is a row, not the value of a function */
	bool		replace;		/* by references to the first column */
} WholeRowContext;

static bool
whole_row_walker(Node *node, void *arg)
{
	WholeRowContext *context = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if ((int) var->varlevelsup == context->depth &&
			(int) var->varno == context->rtindex && var->varattno == InvalidAttrNumber)
		{
			if (type_is_rowtype(var->vartype))
				context->composite = true;
			else if (context->replace)
			{
				var->varattno = 1;
				if ((int) var->varnosyn == context->rtindex)
					var->varattnosyn = 1;
			}
		}
		return false;
	}
	if (IsA(node, Query))
	{
		bool		result;

		context->depth++;
		result = query_tree_walker((Query *) node, whole_row_walker, (void *) context, 0);
		context->depth--;
		return result;
	}
	return expression_tree_walker(node, whole_row_walker, (void *) context);
}

/*
 * Returns the number of the row that a function in FROM returns; NULL if it
 * cannot be had.
 */
static Var *
function_ordinality(Query *query, int rtindex)
{
	RangeTblEntry *rte = rt_fetch(rtindex, query->rtable);
	WholeRowContext context = {rtindex, 0, false, false};

	if (rte->funcordinality)
		return makeVar(rtindex, list_length(rte->eref->colnames), INT8OID, -1, InvalidOid, 0);

	/* A reference to the row as a whole would get the number, too. */
	(void) query_tree_walker(query, whole_row_walker, (void *) &context, 0);
	if (context.composite)
		return NULL;
	context.replace = true;
	(void) query_tree_walker(query, whole_row_walker, (void *) &context, 0);

	rte->funcordinality = true;
	return add_column(query, rtindex, "ordinality");
}

/*
 * Finds functions in FROM that return several rows for an event: list of
 * integers.
 */
static List *
find_functions(Query *query, Node *item, List *found)
{
	ListCell   *lc;

	if (IsA(item, FromExpr))
	{
		foreach(lc, ((FromExpr *) item)->fromlist)
			found = find_functions(query, lfirst(lc), found);
	}
	else if (IsA(item, JoinExpr))
	{
		/* The alias of a join hides what is in it. */
		if (((JoinExpr *) item)->alias != NULL)
			return found;
		found = find_functions(query, ((JoinExpr *) item)->larg, found);
		found = find_functions(query, ((JoinExpr *) item)->rarg, found);
	}
	else
	{
		int			rtindex = castNode(RangeTblRef, item)->rtindex;
		RangeTblEntry *rte = rt_fetch(rtindex, query->rtable);

		if (rte->rtekind != RTE_FUNCTION)
			return found;
		foreach(lc, rte->functions)
		{
			if (expression_returns_set(lfirst_node(RangeTblFunction, lc)->funcexpr))
				return lappend_int(found, rtindex);
		}
	}
	return found;
}

/* ---------- rows whose order is not known ---------- */

/*
 * May a subquery return several rows?
 */
static bool
returns_several(const Query *query)
{
	const Const *limit = (const Const *) query->limitCount;

	if (limit != NULL && IsA(limit, Const) && !limit->constisnull &&
		DatumGetInt64(limit->constvalue) <= 1)
		return false;
	if (query->hasTargetSRFs || query->setOperations != NULL)
		return true;
	if (query->hasAggs && query->groupClause == NIL && query->groupingSets == NIL)
		return false;
	return query->jointree->fromlist != NIL;
}

/*
 * Finds relations in FROM that are made of an event and may have several rows,
 * which have no number: list of integers.  Tables that are joined are thought
 * to have one row for an event.
 */
static List *
find_unnumbered(const EsLogLevel *level, Node *item, bool hidden, List *found)
{
	ListCell   *lc;

	if (IsA(item, FromExpr))
	{
		foreach(lc, ((FromExpr *) item)->fromlist)
			found = find_unnumbered(level, lfirst(lc), hidden, found);
	}
	else if (IsA(item, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) item;
		int			before = list_length(found);

		hidden |= join->alias != NULL;
		found = find_unnumbered(level, join->larg, hidden, found);
		found = find_unnumbered(level, join->rarg, hidden, found);
		if (list_length(found) > before)
			found = lappend_int(found, join->rtindex);
	}
	else
	{
		int			rtindex = castNode(RangeTblRef, item)->rtindex;
		RangeTblEntry *rte = rt_fetch(rtindex, level->query->rtable);

		if (rtindex == level->rtindex)
			return found;
		if ((rte->rtekind == RTE_SUBQUERY && returns_several(rte->subquery)) ||
			(rte->rtekind == RTE_VALUES && list_length(rte->values_lists) > 1) ||
			rte->rtekind == RTE_TABLEFUNC ||
			(rte->rtekind == RTE_FUNCTION && hidden))
			found = lappend_int(found, rtindex);
	}
	return found;
}

void
es_view_check_order(const EsParsed *parsed, Aggref *aggregate)
{
	ListCell   *lc;

	/* The user says in which order the rows of an event come. */
	if (list_length(aggregate->aggorder) > 1)
		return;

	foreach(lc, parsed->levels)
	{
		EsLogLevel *level = lfirst(lc);
		List	   *rows = find_unnumbered(level, (Node *) level->query->jointree, false, NIL);
		Bitmapset  *used = pull_varnos(NULL, (Node *) aggregate->args);
		ListCell   *lc2;

		foreach(lc2, rows)
		{
			/* what is used of subqueries is not known here */
			if (foreach_current_index(lc) == 0 && !bms_is_member(lfirst_int(lc2), used))
				continue;
			es_view_refuse((Node *) aggregate,
						   psprintf("aggregate \"%s\" over a subquery that returns several rows for an event",
									get_func_name(aggregate->aggfnoid)),
						   "The order of the rows of one event is not known.",
						   "Call a function that returns rows in FROM itself, or write ORDER BY position and a number of the row in the aggregate.");
		}
	}
}

List *
es_view_order(const EsStore *store, EsParsed *parsed, Aggref *aggregate)
{
	int			nlevels = list_length(parsed->levels);
	EsLogLevel *base = llast(parsed->levels);
	List	   *order;
	int			n;

	order = list_make1(lift(parsed, nlevels - 1,
							makeVar(base->rtindex, ES_LOG_POSITION, INT8OID, -1, InvalidOid, 0),
							"es_position"));

	/* An upcaster may have split an event. */
	if (es_types_have_upcasters(store))
		order = lappend(order, lift(parsed, nlevels - 1,
									makeVar(base->rtindex, ES_LOG_PIECE, INT8OID, -1, InvalidOid, 0),
									"es_piece"));

	for (n = nlevels - 1; n >= 0; n--)
	{
		EsLogLevel *level = list_nth(parsed->levels, n);
		List	   *functions = find_functions(level->query, (Node *) level->query->jointree, NIL);
		ListCell   *lc;

		if (n > 0 && level->query->hasTargetSRFs)
			es_view_refuse((Node *) aggregate,
						   psprintf("aggregate \"%s\" over a function that returns several rows in the select list of a subquery",
									get_func_name(aggregate->aggfnoid)),
						   "The order of the rows of one event is not known.",
						   "Call the function in FROM.");
		foreach(lc, functions)
		{
			Var		   *var = function_ordinality(level->query, lfirst_int(lc));

			if (var == NULL)
				es_view_refuse((Node *) aggregate,
							   psprintf("aggregate \"%s\" over rows of a function that are used as a whole",
										get_func_name(aggregate->aggfnoid)),
							   "The order of the rows of one event is not known.",
							   "Add WITH ORDINALITY to the function, or name its columns.");
			order = lappend(order, lift(parsed, n, var, psprintf("es_order_%d", list_length(order))));
		}
	}

	for (n = 0; n < nlevels; n++)
		update_ctes(((EsLogLevel *) list_nth(parsed->levels, n))->query);
	return order;
}
