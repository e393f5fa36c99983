/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  What a view's query consists of: columns, keys, aggregates, and what of
 *	  it must be kept so that the next batch can be merged.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A column is a key, or an aggregate that is its own state, or computed.
 *	  If there are computed ones there is a state table with the keys and the
 *	  states, from which the columns are computed after each merge: only then,
 *	  since over the values of a batch alone they might raise errors (a sum
 *	  there may be zero) where they raise none over all events.
 *
 *	  Aggregates that depend on the order of their rows are told to take them
 *	  by position, so that they do not depend on plans.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "core/compat.h"
#include "view/query.h"

/*
 * What is being analyzed.
 */
typedef struct Analysis
{
	const EsStore *store;
	EsParsed	parsed;
	EsView	   *view;
	EsViewQuery *query;			/* view->private */
} Analysis;

/* ---------- aggregates ---------- */

typedef struct AggrefContext
{
	List	   *found;			/* of Aggref * */
	int			depth;
} AggrefContext;

static bool
aggref_walker(Node *node, void *arg)
{
	AggrefContext *context = arg;
	bool		result;

	if (node == NULL)
		return false;
	if (IsA(node, Aggref) && (int) ((Aggref *) node)->agglevelsup == context->depth)
	{
		if (context->depth > 0)
			es_view_refuse(node, "a subquery that contains an aggregate of the query around it",
						   "It could not be computed from merged values.",
						   "Put the aggregate outside of the subquery.");
		context->found = lappend(context->found, node);
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		result = query_tree_walker((Query *) node, aggref_walker, (void *) context, 0);
		context->depth--;
		return result;
	}
	return expression_tree_walker(node, aggref_walker, (void *) context);
}

/*
 * Returns the aggregates in an expression of the query, those of subqueries
 * apart.
 */
static List *
find_aggrefs(Node *expr)
{
	AggrefContext context = {NIL, 0};

	aggref_walker(expr, &context);
	return context.found;
}

/*
 * Refuses the aggregates of SQL/JSON: these nodes could not be deparsed with
 * a merged value in the place of the aggregate.
 */
static bool
json_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (is_json_aggregate_compat(node))
		es_view_refuse(node, "JSON_ARRAYAGG or JSON_OBJECTAGG",
					   "How its results over parts of the log are merged is not known.",
					   "Use jsonb_agg() or jsonb_object_agg().");
	return expression_tree_walker(node, json_walker, context);
}

/*
 * Makes the aggregates of the query independent of the order in which rows
 * arrive.
 */
static void
order_aggregates(Analysis *analysis)
{
	List	   *aggrefs = find_aggrefs((Node *) analysis->parsed.query->targetList);
	List	   *order = NIL;
	ListCell   *lc;

	foreach(lc, aggrefs)
	{
		Aggref	   *aggref = lfirst(lc);

		if (!es_view_aggregate_is_ordered(analysis->store, aggref))
			continue;
		es_view_check_order(&analysis->parsed, aggref);
		if (order == NIL)
			order = es_view_order(analysis->store, &analysis->parsed,
								  aggref);
		es_view_order_aggregate(analysis->store, aggref, order);
	}
}

/* ---------- columns ---------- */

/*
 * Is an expression never NULL, for all that can be known?
 */
static bool
is_not_null(const Analysis *analysis, Node *expr)
{
	if (IsA(expr, Const))
		return !((Const *) expr)->constisnull;
	if (IsA(expr, RelabelType))
		return is_not_null(analysis, (Node *) ((RelabelType *) expr)->arg);
	if (IsA(expr, Aggref))
		return ((Aggref *) expr)->aggtype == INT8OID &&
			es_view_aggregate(analysis->store, &analysis->parsed,
							  (Aggref *) expr)->states[0]->not_null;
	/* All columns of es_log are NOT NULL, and it is on no nullable side. */
	return es_view_log_column(&analysis->parsed, expr) != 0;
}

/*
 * Refuses types that no column of a table has, and collations that nobody
 * knows.
 */
static void
check_type(Node *expr, const char *name)
{
	Oid			type = exprType(expr);

	if (get_typtype(type) == TYPTYPE_PSEUDO || type == RECORDARRAYOID)
		es_view_refuse(expr, psprintf("column \"%s\" of type %s", name, format_type_be(type)),
					   "A table has no columns of that type.",
					   "Cast it.");
	if (type_is_collatable(type) && !OidIsValid(exprCollation(expr)))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_COLLATION),
				 errmsg("no collation was derived for column \"%s\" of the view, of type %s",
						name, format_type_be(type)),
				 errhint("Use the COLLATE clause to set the collation explicitly.")));
}

/*
 * Refuses columns that cannot be those of a table.
 */
static void
check_column(const Analysis *analysis, TargetEntry *tle)
{
	Node	   *expr = (Node *) tle->expr;
	ListCell   *lc;

	if (strcmp(tle->resname, "?column?") == 0)
		es_view_refuse(expr, "a column without a name",
					   "The columns of the view's table have the names of those of the query.",
					   "Give it a name with AS.");
	foreach(lc, analysis->view->columns)
	{
		if (strcmp(((EsViewColumn *) lfirst(lc))->name, tle->resname) == 0)
			es_view_refuse(expr, psprintf("column name \"%s\", given twice,", tle->resname),
						   "The columns of a table have different names.",
						   "Give it another name with AS.");
	}
	check_type(expr, tle->resname);
}

/*
 * Refuses a key that no unique index can be made of.
 */
static void
check_key(TargetEntry *tle)
{
	Oid			type = exprType((Node *) tle->expr);
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_CMP_PROC | TYPECACHE_EQ_OPR);

	if (!OidIsValid(cache->cmp_proc) || !OidIsValid(cache->eq_opr))
		es_view_refuse((Node *) tle->expr,
					   psprintf("key \"%s\" of type %s", tle->resname, format_type_be(type)),
					   "Values of that type cannot be compared by an index.",
					   "Cast it, to jsonb or text for instance.");
}

/*
 * Makes the columns, and finds the keys among them.
 */
static void
make_columns(Analysis *analysis)
{
	Query	   *query = analysis->parsed.query;
	EsView	   *view = analysis->view;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		EsViewColumn *column;
		bool		is_key = tle->ressortgroupref != 0 &&
			get_sortgroupref_clause_noerr(tle->ressortgroupref, query->groupClause) != NULL;

		if (tle->resjunk)
		{
			if (is_key)
				es_view_refuse((Node *) tle->expr, "an expression in GROUP BY that is no column",
							   "The columns in GROUP BY are the key of the view's table.",
							   "Add it to the select list.");
			continue;
		}
		check_column(analysis, tle);
		if (is_key)
			check_key(tle);
		if (view->shape != ES_VIEW_PLAIN && !is_key && expression_returns_set((Node *) tle->expr))
			es_view_refuse((Node *) tle->expr,
						   psprintf("column \"%s\", which returns several rows for a group,", tle->resname),
						   "There is one row for each key.",
						   "Call the function in FROM, or name the column in GROUP BY.");

		column = palloc0(sizeof(EsViewColumn));
		column->name = tle->resname;
		column->type = exprType((Node *) tle->expr);
		column->typmod = exprTypmod((Node *) tle->expr);
		column->collation = exprCollation((Node *) tle->expr);
		column->is_key = is_key;
		column->not_null = is_not_null(analysis, (Node *) tle->expr);
		view->columns = lappend(view->columns, column);
		view->keyed_by_stream |= is_key &&
			es_view_log_column(&analysis->parsed, (Node *) tle->expr) == ES_LOG_STREAM_ID;
	}

	if (view->columns == NIL)
		es_view_refuse(NULL, "a select list without columns",
					   "The view's table needs columns.",
					   "Name the columns.");
	if (list_length(view->columns) > MaxHeapAttributeNumber)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("the query of a view can have at most %d columns",
						MaxHeapAttributeNumber)));
	if (list_length(query->groupClause) > INDEX_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("the query of a view can have at most %d columns in GROUP BY",
						INDEX_MAX_KEYS)));
}

/* ---------- leaves and states ---------- */

/*
 * Returns the aggregate that is the same call; NULL if there is none.
 */
static EsViewAggregate *
find_aggregate(List *aggregates, Aggref *aggref)
{
	ListCell   *lc;

	foreach(lc, aggregates)
	{
		EsViewAggregate *aggregate = lfirst(lc);

		if (equal(aggregate->aggref, aggref))
			return aggregate;
	}
	return NULL;
}

/*
 * Returns the state with the same expression, or adds this one to the list.
 */
static EsViewState *
unique_state(List **states, EsViewState *state)
{
	ListCell   *lc;

	foreach(lc, *states)
	{
		EsViewState *other = lfirst(lc);

		if (equal(other->expr, state->expr))
			return other;
	}
	*states = lappend(*states, state);
	return state;
}

/*
 * Where is what the leaves are replaced by: a relation with the keys, the
 * aggregates and the carried values, in this order.
 */
typedef struct LeafContext
{
	Analysis   *analysis;
	int			depth;
} LeafContext;

static Var *
leaf_var(int attno, Node *expr, int depth)
{
	return makeVar(1, attno, exprType(expr), exprTypmod(expr),
				   exprCollation(expr), depth);
}

/*
 * The same expression as it is written in a subquery.
 */
static Node *
as_seen_below(Node *expr, int depth)
{
	if (depth == 0)
		return expr;
	expr = copyObject(expr);
	IncrementVarSublevelsUp(expr, depth, 0);
	return expr;
}

/*
 * Returns a reference to a value that is carried.
 */
static Node *
carried_leaf(LeafContext *context, Node *expr)
{
	EsViewQuery *query = context->analysis->query;
	Node	   *outside = copyObject(expr);
	EsViewState *state = palloc0(sizeof(EsViewState));
	int			n;

	IncrementVarSublevelsUp(outside, -context->depth, context->depth);
	state->expr = (Expr *) outside;
	state = unique_state(&query->carried, state);
	for (n = 0; list_nth(query->carried, n) != state;)
		n++;
	return (Node *) leaf_var(list_length(query->keys) + list_length(query->aggregates) + n + 1,
							 expr, context->depth);
}

static Node *
leaf_mutator(Node *node, void *arg)
{
	LeafContext *context = arg;
	EsViewQuery *query = context->analysis->query;
	ListCell   *lc;

	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
	{
		context->depth++;
		node = (Node *) query_tree_mutator((Query *) node, leaf_mutator, (void *) context, 0);
		context->depth--;
		return node;
	}

	foreach(lc, query->keys)
	{
		Node	   *key = (Node *) lfirst_node(TargetEntry, lc)->expr;

		if (equal(node, as_seen_below(key, context->depth)))
			return (Node *) leaf_var(foreach_current_index(lc) + 1, node, context->depth);
	}
	if (IsA(node, Aggref) && context->depth == 0)
	{
		EsViewAggregate *aggregate = find_aggregate(query->aggregates, (Aggref *) node);
		int			n;

		for (n = 0; list_nth(query->aggregates, n) != aggregate;)
			n++;
		return (Node *) leaf_var(list_length(query->keys) + n + 1, node, 0);
	}
	if (IsA(node, Var) && (int) ((Var *) node)->varlevelsup == context->depth)
		return carried_leaf(context, node);
	return expression_tree_mutator(node, leaf_mutator, (void *) context);
}

/*
 * Replaces the leaves of all columns, if there is a state table.
 */
static void
replace_leaves(Analysis *analysis)
{
	EsViewQuery *query = analysis->query;
	LeafContext context = {analysis, 0};
	ListCell   *lc;
	int			n = 0;

	foreach(lc, query->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		EsViewSource source = query->sources[n++];
		TargetEntry *derived;

		derived = flatCopyTargetEntry(tle);
		derived->ressortgroupref = 0;
		if (source == ES_SOURCE_CARRIED)
			derived->expr = (Expr *) carried_leaf(&context, (Node *) tle->expr);
		else
			derived->expr = (Expr *) leaf_mutator((Node *) tle->expr, &context);
		query->derived = lappend(query->derived, derived);
	}
}

/*
 * Notes aggregates of an expression; returns whether there are any.
 */
static bool
collect_aggregates(Analysis *analysis, Node *expr, List **list)
{
	List	   *aggrefs = find_aggrefs(expr);
	ListCell   *lc;

	foreach(lc, aggrefs)
	{
		Aggref	   *aggref = lfirst(lc);
		EsViewAggregate *aggregate = find_aggregate(analysis->query->aggregates, aggref);

		if (aggregate == NULL)
		{
			aggregate = es_view_aggregate(analysis->store, &analysis->parsed, aggref);
			analysis->query->aggregates = lappend(analysis->query->aggregates, aggregate);
			analysis->view->order_dependent |= aggregate->ordered;
		}
		*list = list_append_unique_ptr(*list, aggregate);
	}
	return aggrefs != NIL;
}

/*
 * Does an expression refer to columns other than keys, or to other tables?
 */
typedef struct FixedContext
{
	List	   *keys;
} FixedContext;

static bool
not_fixed_walker(Node *node, void *arg)
{
	FixedContext *context = arg;
	ListCell   *lc;

	if (node == NULL)
		return false;
	foreach(lc, context->keys)
	{
		if (equal(node, lfirst_node(TargetEntry, lc)->expr))
			return false;
	}
	if (IsA(node, Var) || IsA(node, SubLink))
		return true;
	return expression_tree_walker(node, not_fixed_walker, (void *) context);
}

/*
 * Sorts the columns by where their values come from.  Returns whether there is
 * a derived one.
 */
static bool
classify_columns(Analysis *analysis)
{
	EsViewQuery *query = analysis->query;
	FixedContext fixed = {query->keys};
	bool		derived = false;
	ListCell   *lc;
	int			n = 0;

	foreach(lc, query->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Node	   *expr = (Node *) tle->expr;
		List	   *aggregates = NIL;
		EsViewSource source;

		if (((EsViewColumn *) list_nth(analysis->view->columns, n))->is_key)
			source = ES_SOURCE_KEY;
		else if (!collect_aggregates(analysis, expr, &aggregates))
			source = not_fixed_walker(expr, &fixed) ? ES_SOURCE_CARRIED : ES_SOURCE_FIXED;
		else if (IsA(expr, Aggref) &&
				 ((EsViewAggregate *) linitial(aggregates))->nstates == 1)
			source = ES_SOURCE_STATE;
		else
		{
			source = ES_SOURCE_DERIVED;
			derived = true;
		}
		query->sources[n++] = source;
	}
	return derived;
}

/*
 * Gives the states names that are different from those of the keys.
 */
static void
name_states(EsViewQuery *query)
{
	ListCell   *lc;
	int			n = 0;

	foreach(lc, query->states)
	{
		EsViewState *state = lfirst(lc);
		bool		taken;

		do
		{
			ListCell   *key;

			state->name = psprintf("%s_%d",
								   IsA(state->expr, Aggref) ?
								   get_func_name(((Aggref *) state->expr)->aggfnoid) : "value", ++n);
			taken = false;
			foreach(key, query->keys)
				taken |= strcmp(lfirst_node(TargetEntry, key)->resname, state->name) == 0;
		} while (taken);
		check_type((Node *) state->expr, state->name);
	}
}

/*
 * Finds out what must be kept to merge the view.
 */
static void
make_states(Analysis *analysis)
{
	EsViewQuery *query = analysis->query;
	ListCell   *lc;
	int			n = 0;

	foreach(lc, query->query->targetList)
	{
		if (((EsViewColumn *) list_nth(analysis->view->columns, n))->is_key)
		{
			query->keys = lappend(query->keys, lfirst(lc));
			query->key_columns = lappend_int(query->key_columns, n);
		}
		n++;
	}

	analysis->view->needs_state = classify_columns(analysis);
	foreach(lc, query->aggregates)
	{
		EsViewAggregate *aggregate = lfirst(lc);
		int			i;

		for (i = 0; i < aggregate->nstates; i++)
			aggregate->states[i] = unique_state(&query->states, aggregate->states[i]);
	}
	if (analysis->view->needs_state)
	{
		replace_leaves(analysis);
		query->states = list_concat(query->states, query->carried);
		name_states(query);
	}
	if (list_length(query->keys) + list_length(query->states) > MaxHeapAttributeNumber)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("the query of a view has too many aggregates")));
}

/* ---------- all of it ---------- */

/*
 * Makes es_log a common table expression: that deparses as its name.
 */
static void
name_log(const EsParsed *parsed)
{
	EsLogLevel *level = llast(parsed->levels);
	RangeTblEntry *rte = rt_fetch(level->rtindex, level->query->rtable);

	rte->rtekind = RTE_CTE;
	rte->ctename = pstrdup(ES_LOG_NAME);
	rte->ctelevelsup = 0;
	rte->enrname = NULL;
}

static EsView *
analyze(const EsStore *store, const char *text)
{
	Analysis   *analysis = palloc0(sizeof(Analysis));
	EsView	   *view = palloc0(sizeof(EsView));
	Query	   *query;
	int			n;

	analysis->store = store;
	analysis->view = view;
	view->private = analysis->query = palloc0(sizeof(EsViewQuery));

	es_view_parse(store, text, &analysis->parsed);
	query = analysis->parsed.query;
	view->uses_position = es_view_uses_position(store, &analysis->parsed);
	flatten_group_compat(query);
	view->shape = query->groupClause != NIL ? ES_VIEW_GROUPED :
		query->hasAggs ? ES_VIEW_SINGLE : ES_VIEW_PLAIN;
	json_walker((Node *) query->targetList, NULL);

	make_columns(analysis);
	n = list_length(view->columns);
	order_aggregates(analysis);

	analysis->query->query = analysis->parsed.query;
	analysis->query->levels = analysis->parsed.levels;
	analysis->query->sources = palloc0(n * sizeof(EsViewSource));
	make_states(analysis);
	name_log(&analysis->parsed);
	return view;
}

EsView *
es_view_analyze(const EsStore *store, const char *query)
{
	ErrorContextCallback callback;
	EsView	   *view;

	callback.callback = es_view_error_callback;
	callback.arg = unconstify(char *, query);
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	view = analyze(store, query);

	error_context_stack = callback.previous;
	return view;
}

bool
es_view_same_columns(const EsView *one, const EsView *other)
{
	ListCell   *lc1;
	ListCell   *lc2;

	if (one->shape != other->shape ||
		list_length(one->columns) != list_length(other->columns))
		return false;
	forboth(lc1, one->columns, lc2, other->columns)
	{
		EsViewColumn *a = lfirst(lc1);
		EsViewColumn *b = lfirst(lc2);

		if (strcmp(a->name, b->name) != 0 || a->type != b->type ||
			a->typmod != b->typmod || a->collation != b->collation ||
			a->is_key != b->is_key || a->not_null != b->not_null)
			return false;
	}
	return true;
}
