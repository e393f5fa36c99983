/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *	  How the result of an aggregate over some events is merged with that
 *	  over the events behind them.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A rule is SQL in which $o stands for the value that is kept and $n for
 *	  that of the new events.  Either is NULL where no row was aggregated
 *	  (count() apart).  What a rule makes of them is the same, bit for bit, as
 *	  the aggregate over all the rows, else the aggregate is refused: sums of
 *	  floating-point numbers depend on the order in which they are added.
 *	  Of equal values that look different (1.0 and 1.00, 1 day and 24 hours),
 *	  min and max return the last one, least and greatest the first.
 *
 *	  Names are qualified, as statements run with the search_path of the
 *	  view's owner; coalesce, least and greatest are no functions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "view/query.h"

/* Flags of rules */
#define RULE_NOT_NULL		0x01	/* is never NULL */
#define RULE_DISTINCT		0x02	/* DISTINCT makes no difference */
#define RULE_ORDERED		0x04	/* must meet its rows in order */
#define RULE_DELIMITER		0x08	/* has a constant second argument */
#define RULE_NO_FLOAT		0x10	/* not for float4 and float8 */
#define RULE_AVERAGE		0x20	/* two states: sum and count */

typedef struct Rule
{
	const char *name;
	const char *merge;
	int			flags;
} Rule;

#define BINARY(op)	"coalesce($o OPERATOR(pg_catalog." op ") $n, $o, $n)"

/* Aggregates of pg_catalog */
static const Rule rules[] = {
	{"count", "$o OPERATOR(pg_catalog.+) $n", RULE_NOT_NULL},
	{"sum", BINARY("+"), RULE_NO_FLOAT},
	{"avg", NULL, RULE_NO_FLOAT | RULE_AVERAGE},
	{"min", "least($n, $o)", RULE_DISTINCT},
	{"max", "greatest($n, $o)", RULE_DISTINCT},
	{"bool_and", "coalesce($o AND $n, $o, $n)", RULE_DISTINCT},
	{"every", "coalesce($o AND $n, $o, $n)", RULE_DISTINCT},
	{"bool_or", "coalesce($o OR $n, $o, $n)", RULE_DISTINCT},
	{"bit_and", BINARY("&"), RULE_DISTINCT},
	{"bit_or", BINARY("|"), RULE_DISTINCT},
	{"bit_xor", BINARY("#"), 0},
	{"range_agg", BINARY("+"), RULE_DISTINCT},
	{"range_intersect_agg", BINARY("*"), RULE_DISTINCT},
	{"array_agg", "pg_catalog.array_cat($o, $n)", RULE_ORDERED},
	{"string_agg", "coalesce($o OPERATOR(pg_catalog.||) $d OPERATOR(pg_catalog.||) $n, $o, $n)", RULE_ORDERED | RULE_DELIMITER},
	{"jsonb_agg", BINARY("||"), RULE_ORDERED},
	{"jsonb_agg_strict", BINARY("||"), RULE_ORDERED},
	{"jsonb_object_agg", BINARY("||"), RULE_ORDERED},
	{"jsonb_object_agg_strict", BINARY("||"), RULE_ORDERED},
};

/* Aggregates of this extension */
static const Rule our_rules[] = {
	{"es_first", "coalesce($o, $n)", RULE_ORDERED},
	{"es_last", "coalesce($n, $o)", RULE_ORDERED},
	{"es_count_if", "$o OPERATOR(pg_catalog.+) $n", RULE_NOT_NULL},
};

typedef struct Advice
{
	const char *name;
	const char *detail;
	const char *hint;
} Advice;

#define SPREAD_DETAIL	"Its result over all events cannot be computed from those over parts of them."
#define SPREAD_HINT		"Keep count(x), sum(x) and sum(x * x) of a numeric x, and compute it in a query over the view's table."

/* Aggregates of pg_catalog that are refused with words of their own */
static const Advice advices[] = {
	{"json_agg", "Values of type json cannot be merged.", "Use jsonb_agg()."},
	{"json_agg_strict", "Values of type json cannot be merged.", "Use jsonb_agg_strict()."},
	{"json_object_agg", "Values of type json cannot be merged.", "Use jsonb_object_agg()."},
	{"json_object_agg_strict", "Values of type json cannot be merged.", "Use jsonb_object_agg_strict()."},
	{"json_object_agg_unique", "Values of type json cannot be merged.", "Use jsonb_object_agg()."},
	{"json_object_agg_unique_strict", "Values of type json cannot be merged.", "Use jsonb_object_agg()."},
	{"jsonb_object_agg_unique", "Whether a key is unique is known only when all events are.", "Use jsonb_object_agg()."},
	{"jsonb_object_agg_unique_strict", "Whether a key is unique is known only when all events are.", "Use jsonb_object_agg()."},
	{"any_value", "Which value it returns is left to chance.", "Use min(), es_first() or es_last()."},
	{"xmlagg", "Values of type xml cannot be merged.", "Use string_agg() with a cast to text."},
	{"stddev", SPREAD_DETAIL, SPREAD_HINT},
	{"stddev_pop", SPREAD_DETAIL, SPREAD_HINT},
	{"stddev_samp", SPREAD_DETAIL, SPREAD_HINT},
	{"variance", SPREAD_DETAIL, SPREAD_HINT},
	{"var_pop", SPREAD_DETAIL, SPREAD_HINT},
	{"var_samp", SPREAD_DETAIL, SPREAD_HINT},
};

#define MERGEABLE_HINT	"The aggregates of views are count, sum, avg, min, max, bool_and, bool_or, bit_and, bit_or, bit_xor, array_agg, string_agg, jsonb_agg, jsonb_object_agg, range_agg, range_intersect_agg, es_first, es_last and es_count_if."

/*
 * Name of a function of this extension; NULL for any other.
 */
static char *
our_function_name(const EsStore *store, Oid funcid)
{
	if (get_func_namespace(funcid) != store->namespace_oid ||
		getExtensionOfObject(ProcedureRelationId, funcid) != store->extension)
		return NULL;
	return get_func_name(funcid);
}

/*
 * Finds the rule of an aggregate; NULL if there is none.
 */
static const Rule *
find_rule(const EsStore *store, const Aggref *aggref)
{
	const Rule *list = rules;
	int			n = lengthof(rules);
	char	   *name = our_function_name(store, aggref->aggfnoid);
	int			i;

	if (name != NULL)
	{
		list = our_rules;
		n = lengthof(our_rules);
	}
	else if (get_func_namespace(aggref->aggfnoid) == PG_CATALOG_NAMESPACE)
		name = get_func_name(aggref->aggfnoid);

	for (i = 0; name != NULL && i < n; i++)
	{
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	}
	return NULL;
}

bool
es_view_aggregate_is_ordered(const EsStore *store, Aggref *aggref)
{
	const Rule *rule = find_rule(store, aggref);

	return rule != NULL && (rule->flags & RULE_ORDERED) != 0;
}

bool
es_view_aggregate_is_ours(const EsStore *store, Aggref *aggref,
						  const char *name)
{
	char	   *ours = our_function_name(store, aggref->aggfnoid);

	if (ours == NULL)
		return false;
	if (name == NULL)
		return strcmp(ours, "es_first") == 0 || strcmp(ours, "es_last") == 0;
	return strcmp(ours, name) == 0;
}

/*
 * Raises the error for an aggregate without a rule.
 */
static void
refuse_unknown(Aggref *aggref)
{
	char	   *name = get_func_name(aggref->aggfnoid);
	bool		builtin = get_func_namespace(aggref->aggfnoid) == PG_CATALOG_NAMESPACE;
	char	   *what = psprintf("aggregate \"%s\"", name);
	int			i;

	if (AGGKIND_IS_ORDERED_SET(aggref->aggkind))
		es_view_refuse((Node *) aggref, psprintf("ordered-set aggregate \"%s\"", name),
					   "It needs all the values at once.",
					   "Make a view with the value in GROUP BY and its count, and compute it in a query over its table.");
	for (i = 0; builtin && i < (int) lengthof(advices); i++)
	{
		if (strcmp(advices[i].name, name) == 0)
			es_view_refuse((Node *) aggref, what, advices[i].detail, advices[i].hint);
	}
	es_view_refuse((Node *) aggref, what,
				   "How its results over parts of the log are merged is not known.",
				   MERGEABLE_HINT);
}

/*
 * Is the first thing that an aggregate is ordered by the position, ascending?
 */
static bool
is_ordered_by_position(const EsParsed *parsed, Aggref *aggref)
{
	SortGroupClause *clause = linitial_node(SortGroupClause, aggref->aggorder);
	TargetEntry *tle = get_sortgroupref_tle(clause->tleSortGroupRef, aggref->args);

	return clause->sortop == Int8LessOperator &&
		es_view_log_column(parsed, (Node *) tle->expr) == ES_LOG_POSITION;
}

/*
 * Checks DISTINCT, ORDER BY and the types.
 */
static void
check_aggregate(const EsParsed *parsed, Aggref *aggref, const Rule *rule,
				bool has_order)
{
	char	   *name = get_func_name(aggref->aggfnoid);
	Oid			type = aggref->aggargtypes == NIL ? InvalidOid : linitial_oid(aggref->aggargtypes);

	if (aggref->aggdistinct != NIL && !(rule->flags & RULE_DISTINCT))
		es_view_refuse((Node *) aggref, psprintf("%s(DISTINCT ...)", name),
					   "Which values are new is known only when all of them are kept.",
					   "Make a view with the value in GROUP BY, and aggregate in a query over its table.");

	if ((rule->flags & RULE_NO_FLOAT) && (type == FLOAT4OID || type == FLOAT8OID))
		es_view_refuse((Node *) aggref, psprintf("%s(%s)", name, format_type_be(type)),
					   "How it is rounded depends on the order in which numbers are added.",
					   "Cast the argument to numeric.");

	if ((rule->flags & RULE_ORDERED) && aggref->aggorder != NIL &&
		!is_ordered_by_position(parsed, aggref))
		es_view_refuse((Node *) aggref, psprintf("%s(... ORDER BY ...), other than by position,", name),
					   "What later events bring would have to be put in between.",
					   "Leave ORDER BY out: the order is that of the log. Or sort in a query over the view's table.");

	if (has_order &&
		es_view_log_column(parsed, (Node *) lsecond_node(TargetEntry, aggref->args)->expr) != ES_LOG_POSITION)
		es_view_refuse((Node *) aggref, psprintf("%s(..., order), other than position,", name),
					   "Views keep the value, not its place in the order.",
					   "Leave the second argument out: the order is that of the log.");
}

/*
 * Returns SQL for the delimiter of a string_agg.
 */
static char *
delimiter_sql(Aggref *aggref)
{
	TargetEntry *tle = lsecond_node(TargetEntry, aggref->args);
	Node	   *expr = eval_const_expressions(NULL, copyObject((Node *) tle->expr));
	Const	   *constant;

	while (IsA(expr, RelabelType))
		expr = (Node *) ((RelabelType *) expr)->arg;
	if (!IsA(expr, Const))
		es_view_refuse((Node *) aggref, "string_agg() with a delimiter that is not constant",
					   "The delimiter between two parts of the log must be known.",
					   "Use a constant, or put the delimiter into the value.");
	constant = (Const *) expr;
	if (constant->constisnull)
		constant = makeConst(constant->consttype, -1, constant->constcollid, -1,
							 constant->consttype == BYTEAOID ?
							 DirectFunctionCall1(byteain, CStringGetDatum("")) :
							 CStringGetTextDatum(""),
							 false, false);
	return deparse_expression((Node *) constant, NIL, false, false);
}

/*
 * Makes a state of an aggregate.
 */
static EsViewState *
make_state(Aggref *aggref, const char *merge, bool not_null)
{
	EsViewState *state = palloc0(sizeof(EsViewState));

	state->expr = (Expr *) aggref;
	state->merge = merge;
	state->not_null = not_null;
	return state;
}

/*
 * The same aggregate call with another function of pg_catalog.
 */
static Aggref *
with_function(Aggref *aggref, const char *name)
{
	Aggref	   *result = copyObject(aggref);
	Oid			argtype = linitial_oid(aggref->aggargtypes);
	Oid			anytype = ANYOID;
	bool		count = strcmp(name, "count") == 0;

	result->aggfnoid = LookupFuncName(list_make2(makeString("pg_catalog"), makeString(pstrdup(name))),
									  1, count ? &anytype : &argtype, false);
	result->aggtype = get_func_rettype(result->aggfnoid);
	result->aggcollid = InvalidOid;
	return result;
}

/*
 * avg: sum and count.  The quotients are those that the aggregate's own final
 * functions compute; where the count is 0, the sum is NULL.
 */
static void
fill_average(EsViewAggregate *aggregate)
{
	Aggref	   *sum = with_function(aggregate->aggref, "sum");

	aggregate->nstates = 2;
	aggregate->states[0] = make_state(sum, BINARY("+"), false);
	aggregate->states[1] = make_state(with_function(aggregate->aggref, "count"),
									  "$o OPERATOR(pg_catalog.+) $n", true);
	if (sum->aggtype == INTERVALOID)
		aggregate->final = "$1 OPERATOR(pg_catalog./) $2::pg_catalog.float8";
	else
		aggregate->final = "$1::pg_catalog.numeric OPERATOR(pg_catalog./) $2::pg_catalog.numeric";
}

EsViewAggregate *
es_view_aggregate(const EsStore *store, const EsParsed *parsed, Aggref *aggref)
{
	const Rule *rule = find_rule(store, aggref);
	EsViewAggregate *aggregate = palloc0(sizeof(EsViewAggregate));
	bool		has_order;

	if (rule == NULL)
		refuse_unknown(aggref);
	has_order = es_view_aggregate_is_ours(store, aggref, NULL) &&
		list_length(aggref->aggargtypes) == 2;
	check_aggregate(parsed, aggref, rule, has_order);

	aggregate->aggref = aggref;
	aggregate->ordered = (rule->flags & RULE_ORDERED) != 0;
	if (rule->flags & RULE_AVERAGE)
		fill_average(aggregate);
	else
	{
		aggregate->nstates = 1;
		aggregate->states[0] = make_state(aggref, rule->merge,
										  (rule->flags & RULE_NOT_NULL) != 0);
		if (rule->flags & RULE_DELIMITER)
			aggregate->states[0]->delimiter = delimiter_sql(aggref);
	}
	return aggregate;
}

/*
 * Adds a column to what an aggregate is ordered by.
 */
static void
add_order(Aggref *aggref, Var *var)
{
	SortGroupClause *clause = makeNode(SortGroupClause);
	TargetEntry *tle;
	Index		ref = 0;
	ListCell   *lc;

	foreach(lc, aggref->args)
		ref = Max(ref, lfirst_node(TargetEntry, lc)->ressortgroupref);

	tle = makeTargetEntry((Expr *) copyObject(var), list_length(aggref->args) + 1, NULL, true);
	tle->ressortgroupref = ref + 1;
	clause->tleSortGroupRef = ref + 1;
	clause->eqop = get_equality_op_for_ordering_op(Int8LessOperator, NULL);
	clause->sortop = Int8LessOperator;
	clause->hashable = true;
	aggref->args = lappend(aggref->args, tle);
	aggref->aggorder = lappend(aggref->aggorder, clause);
}

void
es_view_order_aggregate(const EsStore *store, Aggref *aggref, List *order)
{
	bool		ours = es_view_aggregate_is_ours(store, aggref, NULL);
	int			ngiven = list_length(aggref->aggorder);
	ListCell   *lc;

	/* The user's own order of the rows of an event is kept. */
	if (ngiven > 1 || (ours && list_length(aggref->aggargtypes) == 2))
		return;

	/*
	 * es_first(x, position) needs no sort.  But it cannot tell the rows of
	 * one event apart.
	 */
	if (ours && list_length(order) == 1)
	{
		Oid			types[2] = {ANYELEMENTOID, INT8OID};

		aggref->aggfnoid = LookupFuncName(list_make2(makeString(get_namespace_name(store->namespace_oid)),
													 makeString(get_func_name(aggref->aggfnoid))),
										  2, types, false);
		aggref->args = list_make2(linitial(aggref->args),
								  makeTargetEntry(copyObject(linitial(order)), 2, NULL, false));
		aggref->aggargtypes = lappend_oid(list_copy(aggref->aggargtypes), INT8OID);
		aggref->aggorder = NIL;
		linitial_node(TargetEntry, aggref->args)->ressortgroupref = 0;
		return;
	}

	foreach(lc, order)
	{
		if (foreach_current_index(lc) >= ngiven)
			add_order(aggref, lfirst_node(Var, lc));
	}
}
