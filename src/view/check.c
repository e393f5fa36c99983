/*-------------------------------------------------------------------------
 *
 * check.c
 *	  What the query of a view may not have.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  What is taken must give the same over the log as over its parts, one
 *	  after the other, put together.  So each row of the query (before it is
 *	  aggregated) must come from one event, and may not depend on other
 *	  events, nor on when it is computed or by whom.  Tables of the user's
 *	  are looked at as they are when a batch is processed, which the
 *	  documentation says.
 *
 *	  The query, and each subquery on the way from it to es_log, is
 *	  restricted.  Other subqueries see one event at most, and may do what
 *	  they like with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "view/query.h"

void
es_view_refuse(Node *node, const char *what, const char *detail,
			   const char *hint)
{
	int			location = node ? exprLocation(node) : -1;
	ErrorContextCallback *callback = error_context_stack;

	/*
	 * The text is what es_view_error_callback knows; it will make a place in
	 * the query of the position.
	 */
	while (callback != NULL && callback->callback != es_view_error_callback)
		callback = callback->previous;
	if (callback == NULL)
		location = -1;
	if (location >= 0)
		location = pg_mbstrlen_with_len((const char *) callback->arg, location);

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s cannot be used in the query of a view", what),
			 errdetail_internal("%s", detail),
			 errhint("%s", hint),
			 location >= 0 ? errposition(location + 1) : 0));
}

/* ---------- how often and where es_log is read ---------- */

typedef struct CountContext
{
	List	   *ctes;			/* names of common table expressions that lead to
								 * es_log: char * */
	int			log;			/* how often es_log is mentioned */
	int			leading;		/* how often one of the ctes is */
} CountContext;

static bool
is_in(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

static bool
count_walker(Node *node, void *arg)
{
	CountContext *context = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_NAMEDTUPLESTORE)
			context->log++;
		else if (rte->rtekind == RTE_CTE && is_in(context->ctes, rte->ctename))
			context->leading++;
		return false;			/* goes on into the entry */
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, count_walker,
								 (void *) context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, count_walker, (void *) context);
}

/*
 * Does a query or expression read es_log, itself or by a common table
 * expression?
 */
static bool
reads_log(Node *node, List *ctes)
{
	CountContext context = {ctes, 0, 0};

	count_walker(node, &context);
	return context.log + context.leading > 0;
}

static bool
cte_walker(Node *node, void *arg)
{
	List	  **ctes = arg;

	if (node == NULL)
		return false;
	if (IsA(node, CommonTableExpr))
	{
		CommonTableExpr *cte = (CommonTableExpr *) node;

		/* Those within come first, and those that it may use, too. */
		(void) cte_walker(cte->ctequery, ctes);
		if (!is_in(*ctes, cte->ctename) && reads_log(cte->ctequery, *ctes))
		{
			*ctes = lappend(*ctes, cte->ctename);
			if (cte->cterefcount > 1)
				es_view_refuse(NULL,
							   psprintf("common table expression \"%s\" over %s, used more than once,",
										cte->ctename, ES_LOG_NAME),
							   "Rows would depend on pairs of events, which may be in different batches.",
							   "Use it once, or compute both from one event.");
		}
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, cte_walker, (void *) ctes, 0);
	return expression_tree_walker(node, cte_walker, (void *) ctes);
}

/*
 * Looks for the relation that is es_log, or has it below.
 */
typedef struct FindContext
{
	Query	   *query;
	List	   *ancestors;		/* of Query *, the nearest first, query itself
								 * among them */
	List	   *ctes;			/* see CountContext */
	int			rtindex;		/* the result; 0: not found */
	Query	   *next;			/* NULL: it is es_log itself */
} FindContext;

/*
 * Finds the common table expression that a relation of the query is.
 */
static CommonTableExpr *
find_cte(const FindContext *context, const RangeTblEntry *rte)
{
	Query	   *query = list_nth_node(Query, context->ancestors, rte->ctelevelsup);
	ListCell   *lc;

	foreach(lc, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (strcmp(cte->ctename, rte->ctename) == 0)
			return cte;
	}
	elog(ERROR, "could not find WITH query \"%s\"", rte->ctename);
}

/*
 * Is it es_log, or a subquery that has it?
 */
static bool
leads_to_log(FindContext *context, int rtindex)
{
	RangeTblEntry *rte = rt_fetch(rtindex, context->query->rtable);
	Query	   *next = NULL;

	if (rte->rtekind == RTE_SUBQUERY)
		next = rte->subquery;
	else if (rte->rtekind == RTE_CTE && !rte->self_reference)
	{
		CommonTableExpr *cte = find_cte(context, rte);

		next = castNode(Query, cte->ctequery);
	}
	else if (rte->rtekind != RTE_NAMEDTUPLESTORE)
		return false;

	if (next != NULL && !reads_log((Node *) next, context->ctes))
		return false;
	context->rtindex = rtindex;
	context->next = next;
	return true;
}

/*
 * Looks in a part of FROM.  nullable: below an outer join on the side that may
 * be filled up with nulls.
 */
static bool
find_in_from(FindContext *context, Node *item, bool nullable)
{
	JoinExpr   *join;
	bool		found;

	if (IsA(item, FromExpr))
	{
		ListCell   *lc;

		foreach(lc, ((FromExpr *) item)->fromlist)
		{
			if (find_in_from(context, (Node *) lfirst(lc), nullable))
				return true;
		}
		return false;
	}
	if (IsA(item, RangeTblRef))
	{
		if (!leads_to_log(context, ((RangeTblRef *) item)->rtindex))
			return false;
		if (nullable)
			es_view_refuse(NULL, "es_log on the side of an outer join that may be missing",
						   "Whether a row has no event at all is known only when all events are.",
						   "Write es_log LEFT JOIN the other table, or use an inner join.");
		return true;
	}

	join = castNode(JoinExpr, item);
	found = find_in_from(context, join->larg,
						 nullable || join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL) ||
		find_in_from(context, join->rarg,
					 nullable || join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL);
	if (found && join->alias != NULL)
		es_view_refuse(NULL, psprintf("an alias (\"%s\") of a join with es_log",
									  join->alias->aliasname),
					   "It hides es_log.",
					   "Give aliases to the tables that are joined.");
	return found;
}

/* ---------- clauses ---------- */

typedef struct Clause
{
	bool		present;
	const char *what;
	const char *detail;
	const char *hint;
} Clause;

static void
refuse_clauses(const Clause *clauses, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		if (clauses[i].present)
			es_view_refuse(NULL, clauses[i].what, clauses[i].detail,
						   clauses[i].hint);
	}
}

/*
 * Name of the first window function of a query.
 */
static bool
window_walker(Node *node, void *arg)
{
	char	  **name = arg;

	if (node == NULL)
		return false;
	if (IsA(node, WindowFunc))
	{
		*name = get_func_name(((WindowFunc *) node)->winfnoid);
		return true;
	}
	return expression_tree_walker(node, window_walker, (void *) name);
}

/*
 * Refuses what neither the query nor a subquery with es_log may have.
 */
static void
check_clauses(Query *query)
{
	char	   *window = NULL;
	const char *window_text = "a window function";

	if (query->hasWindowFuncs && window_walker((Node *) query->targetList, &window) && window)
		window_text = psprintf("window function \"%s\"", window);

	{
		const Clause clauses[] = {
			{query->setOperations != NULL, "UNION, INTERSECT or EXCEPT",
				"Its result cannot be merged from those over parts of the log.",
			"Make a view of each part, and put them together in a query; or use CASE or FILTER in one SELECT."},
			{query->hasWindowFuncs, window_text,
				"What it returns for one event depends on others, which may be in different batches.",
			"Use it in a query over the view's table, or es_first() and es_last()."},
			{query->groupingSets != NIL, "GROUPING SETS, ROLLUP or CUBE",
				"The table of a view has one key.",
			"Make a view of the finest grouping, and sum it up in a query."},
			{query->havingQual != NULL, "HAVING",
				"A group that it leaves out now may belong there after later events.",
			"Keep all groups, and use WHERE in a query over the view's table."},
			{query->hasDistinctOn, "DISTINCT ON",
				"Which row stays depends on all events.",
			"Use GROUP BY with es_first() or es_last()."},
			{query->distinctClause != NIL, "DISTINCT",
				"Rows must be kept apart by a key.",
			"Use GROUP BY with all the columns."},
			{query->limitCount != NULL || query->limitOffset != NULL, "LIMIT, OFFSET or FETCH",
				"Which rows are within it depends on all events.",
			"Use it in a query over the view's table."},
			{query->sortClause != NIL, "ORDER BY",
				"A table has no order.",
			"Use it in a query over the view's table."},
			{query->hasRecursive, "WITH RECURSIVE",
				"Its result cannot be merged from those over parts of the log.",
			"Use it in a query over the view's table."},
			{query->hasModifyingCTE, "a statement in WITH that changes data",
				"A view only reads.",
			"Use es_create_projection() to run statements for each batch."},
		};

		refuse_clauses(clauses, lengthof(clauses));
	}
}

/*
 * Refuses what a subquery with es_log may not have in addition.
 */
static void
check_subquery(Query *query)
{
	const Clause clauses[] = {
		{query->commandType != CMD_SELECT, "es_log in a statement in WITH that changes data",
			"A view only reads.",
		"Use es_create_projection() to run statements for each batch."},
		{query->hasAggs || query->groupClause != NIL, "GROUP BY or an aggregate in a subquery with es_log",
			"Only the query itself can be merged by its keys.",
		"Make a view of the subquery, and put the rest into a query over its table."},
	};

	refuse_clauses(clauses, lengthof(clauses));
}

/*
 * Walks from the query down to es_log, and checks what is on the way.
 */
static void
find_log(EsParsed *parsed)
{
	Query	   *query = parsed->query;
	List	   *ancestors = NIL;
	CountContext count = {NIL, 0, 0};

	check_clauses(query);
	count_walker((Node *) query, &count);
	if (count.log == 0)
		es_view_refuse(NULL, psprintf("a SELECT that does not read %s", ES_LOG_NAME),
					   "A view is made from the events.",
					   "Read es_log, without a schema, in FROM.");
	if (count.log > 1)
		es_view_refuse(NULL, psprintf("%s, mentioned more than once,", ES_LOG_NAME),
					   "Rows would depend on several events, which may be in different batches.",
					   "Make a view of each, and join their tables in a query; or use FILTER, es_first() and es_last().");

	cte_walker((Node *) query, &count.ctes);

	while (query != NULL)
	{
		FindContext context = {query, NIL, count.ctes, 0, NULL};
		EsLogLevel *level = palloc(sizeof(EsLogLevel));

		if (parsed->levels != NIL)
		{
			check_clauses(query);
			check_subquery(query);
		}

		ancestors = lcons(query, ancestors);
		context.ancestors = ancestors;
		if (!find_in_from(&context, (Node *) query->jointree, false))
			es_view_refuse(NULL, "a subquery over es_log in an expression",
						   "It would depend on events other than that of the row.",
						   "Make a view of the subquery, and join its table in a query; or use FILTER, es_first() and es_last().");

		level->query = query;
		level->rtindex = context.rtindex;
		parsed->levels = lappend(parsed->levels, level);
		query = context.next;
	}
}

/* ---------- columns of es_log ---------- */

static AttrNumber
log_column(List *levels, int n, Node *expr)
{
	EsLogLevel *level = list_nth(levels, n);
	Var		   *var = (Var *) expr;
	RangeTblEntry *rte;

	if (!IsA(expr, Var) || var->varlevelsup != 0 || var->varattno < 0)
		return 0;

	rte = rt_fetch(var->varno, level->query->rtable);
	if (rte->rtekind == RTE_JOIN && var->varattno > 0)
		return log_column(levels, n, list_nth(rte->joinaliasvars, var->varattno - 1));
	if (var->varno != level->rtindex || var->varattno == 0)
		return 0;
	if (n + 1 == list_length(levels))
		return var->varattno;
	return log_column(levels, n + 1,
					  (Node *) list_nth_node(TargetEntry,
											 ((EsLogLevel *) list_nth(levels, n + 1))->query->targetList,
											 var->varattno - 1)->expr);
}

AttrNumber
es_view_log_column(const EsParsed *parsed, Node *expr)
{
	return expr == NULL ? 0 : log_column(parsed->levels, 0, expr);
}

typedef struct UsesContext
{
	const EsStore *store;
	Query	   *base;			/* the query whose FROM has es_log */
	int			rtindex;
	int			depth;			/* below base, -1: not within it */
} UsesContext;

/*
 * The order of an aggregate's rows is no use of the position: any ascending
 * numbers will do.
 */
static bool
uses_walker(Node *node, void *arg)
{
	UsesContext *context = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		return context->depth >= 0 && (int) var->varlevelsup == context->depth &&
			(int) var->varno == context->rtindex &&
			(var->varattno == 0 || var->varattno == ES_LOG_POSITION ||
			 var->varattno == ES_LOG_COMMITTED_AT ||
			 var->varattno == ES_LOG_TX || var->varattno == ES_LOG_ORDINAL);
	}
	if (IsA(node, Aggref))
	{
		Aggref	   *aggref = (Aggref *) node;
		bool		ours = es_view_aggregate_is_ours(context->store, aggref, NULL);
		ListCell   *lc;

		foreach(lc, aggref->args)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, lc);

			if (tle->resjunk || (ours && foreach_current_index(lc) > 0))
				continue;
			if (uses_walker((Node *) tle->expr, context))
				return true;
		}
		return uses_walker((Node *) aggref->aggfilter, context);
	}
	if (IsA(node, Query))
	{
		int			depth = context->depth;
		bool		result;

		if ((Query *) node == context->base)
			context->depth = 0;
		else if (depth >= 0)
			context->depth++;
		result = query_tree_walker((Query *) node, uses_walker, (void *) context,
								   QTW_IGNORE_JOINALIASES);
		context->depth = depth;
		return result;
	}
	return expression_tree_walker(node, uses_walker, (void *) context);
}

bool
es_view_uses_position(const EsStore *store, const EsParsed *parsed)
{
	EsLogLevel *level = llast(parsed->levels);
	UsesContext context = {store, level->query, level->rtindex, -1};

	return uses_walker((Node *) parsed->query, &context);
}

/* ---------- functions and relations ---------- */

typedef struct CheckContext
{
	const EsStore *store;
	const char *text;			/* of the query; NULL within a view */
	Oid			view;			/* the view that it is within, or InvalidOid */
} CheckContext;

/* Functions of pg_catalog that depend on the moment, session or user */
static const char *const moment_functions[] = {
	"now", "transaction_timestamp", "statement_timestamp", "current_setting",
	"current_schema", "current_schemas", "current_user", "session_user",
	"getpgusername", "inet_client_addr", "inet_client_port", "inet_server_addr",
	"inet_server_port", "pg_backend_pid", "txid_current", "pg_current_xact_id",
	"txid_current_if_assigned", "pg_current_xact_id_if_assigned",
	"txid_current_snapshot", "pg_current_snapshot", "pg_my_temp_schema",
	"pg_postmaster_start_time", "pg_conf_load_time", "pg_trigger_depth",
	"txid_status", "pg_xact_status", "pg_visible_in_snapshot",
	"current_database", "version",
};

#define LOCK_DETAIL		"Reading for a view locks no rows."
#define LOCK_HINT		"Leave it out."
#define MOMENT_DETAIL	"Its value depends on when and by whom a batch is processed."
#define MOMENT_HINT		"Use recorded_at of es_log, or a column of the event's data or metadata."

/*
 * Refuses a function; called for all of a node.
 */
static bool
function_checker(Oid funcid, void *arg)
{
	CheckContext *context = arg;
	char		volatility = func_volatile(funcid);
	char	   *name = get_func_name(funcid);
	int			i;

	if (name == NULL || get_func_prokind(funcid) == PROKIND_AGGREGATE)
		return false;

	if (volatility == PROVOLATILE_VOLATILE)
		es_view_refuse(NULL, psprintf("volatile function \"%s\"", name),
					   "It may return something else each time, so that the view could not be made again.",
					   "Put the value into the event when it is appended, or use es_create_projection().");

	if (volatility != PROVOLATILE_IMMUTABLE &&
		getExtensionOfObject(ProcedureRelationId, funcid) == context->store->extension)
		es_view_refuse(NULL, psprintf("function \"%s\"", name),
					   "Its value depends on the session, or on events other than that of the row.",
					   "Use the columns of es_log, es_first() and es_last().");

	if (get_func_namespace(funcid) == PG_CATALOG_NAMESPACE)
	{
		for (i = 0; i < (int) lengthof(moment_functions); i++)
		{
			if (strcmp(name, moment_functions[i]) == 0)
				es_view_refuse(NULL, psprintf("function \"%s\"", name),
							   MOMENT_DETAIL, MOMENT_HINT);
		}
		if (strcmp(name, "age") == 0 && volatility != PROVOLATILE_IMMUTABLE)
			es_view_refuse(NULL, "function \"age\" with one argument",
						   MOMENT_DETAIL,
						   "Keep the time, and compute its age in a query over the view's table.");
	}
	return false;
}

/*
 * Name of CURRENT_DATE and the like.
 */
static const char *
value_function_name(SQLValueFunctionOp op)
{
	switch (op)
	{
		case SVFOP_CURRENT_DATE:
			return "CURRENT_DATE";
		case SVFOP_CURRENT_TIME:
		case SVFOP_CURRENT_TIME_N:
			return "CURRENT_TIME";
		case SVFOP_CURRENT_TIMESTAMP:
		case SVFOP_CURRENT_TIMESTAMP_N:
			return "CURRENT_TIMESTAMP";
		case SVFOP_LOCALTIME:
		case SVFOP_LOCALTIME_N:
			return "LOCALTIME";
		case SVFOP_LOCALTIMESTAMP:
		case SVFOP_LOCALTIMESTAMP_N:
			return "LOCALTIMESTAMP";
		case SVFOP_CURRENT_ROLE:
			return "CURRENT_ROLE";
		case SVFOP_CURRENT_USER:
			return "CURRENT_USER";
		case SVFOP_USER:
			return "USER";
		case SVFOP_SESSION_USER:
			return "SESSION_USER";
		case SVFOP_CURRENT_CATALOG:
			return "CURRENT_CATALOG";
		case SVFOP_CURRENT_SCHEMA:
			return "CURRENT_SCHEMA";
	}
	return "a value of the session";
}

/*
 * Refuses 'now', 'today' and the like, which the parser has made a constant
 * of.
 */
static void
check_constant(Const *constant, const CheckContext *context)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};
	const char *start;
	int			i;

	if (context->text == NULL || constant->location < 0 ||
		TypeCategory(constant->consttype) != TYPCATEGORY_DATETIME)
		return;

	/* 'now', E'now' or $$now$$ */
	start = context->text + constant->location;
	if (*start == 'e' || *start == 'E')
		start++;
	if (*start == '$')
		start = strchr(start + 1, '$');
	else if (*start != '\'')
		start = NULL;
	if (start == NULL)
		return;
	for (start++; isspace((unsigned char) *start);)
		start++;
	for (i = 0; i < (int) lengthof(words); i++)
	{
		if (pg_strncasecmp(start, words[i], strlen(words[i])) == 0)
			es_view_refuse((Node *) constant, psprintf("'%s'", words[i]),
						   MOMENT_DETAIL, MOMENT_HINT);
	}
}

static bool check_walker(Node *node, void *arg);

/*
 * Refuses relations of the extension, also when a view of the user's reads
 * them.
 */
static void
check_relation(Oid relid, const CheckContext *context)
{
	char		relkind = get_rel_relkind(relid);

	/* Before PostgreSQL 16 a view's query has entries for OLD and NEW. */
	if (relid == context->view)
		return;

	if (getExtensionOfObject(RelationRelationId, relid) == context->store->extension)
		es_view_refuse(NULL, psprintf("relation \"%s.%s\"",
									  get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid)),
					   "It shows all events and not those of the batch.",
					   "Read es_log, without a schema, once.");

	/* Until PostgreSQL 16 the rule of a view names the view itself, as old. */
	if (relkind == RELKIND_VIEW && relid != context->view)
	{
		CheckContext below = *context;
		Relation	rel = relation_open(relid, AccessShareLock);
		Query	   *query = copyObject(get_view_query(rel));

		relation_close(rel, NoLock);
		check_stack_depth();
		below.text = NULL;
		below.view = relid;
		check_walker((Node *) query, &below);
	}
}

static bool
check_walker(Node *node, void *arg)
{
	CheckContext *context = arg;

	if (node == NULL)
		return false;

	check_functions_in_node(node, function_checker, (void *) context);

	switch (nodeTag(node))
	{
		case T_SQLValueFunction:
			es_view_refuse(context->text ? node : NULL, value_function_name(((SQLValueFunction *) node)->op),
						   MOMENT_DETAIL, MOMENT_HINT);
			break;
		case T_NextValueExpr:
			es_view_refuse(NULL, "nextval()",
						   "It returns something else each time, so that the view could not be made again.",
						   "Use position of es_log.");
			break;
		case T_Const:
			check_constant((Const *) node, context);
			break;
		case T_CommonTableExpr:
			if (strncmp(((CommonTableExpr *) node)->ctename, "es_", 3) == 0)
				es_view_refuse(NULL, psprintf("\"%s\" as the name of a common table expression",
											  ((CommonTableExpr *) node)->ctename),
							   "Names that begin with es_ are for the statements that are made from the query.",
							   "Use another name.");
			break;
		case T_RangeTblEntry:
			if (((RangeTblEntry *) node)->rtekind == RTE_RELATION)
				check_relation(((RangeTblEntry *) node)->relid, context);
			if (((RangeTblEntry *) node)->tablesample != NULL)
				es_view_refuse(NULL, "TABLESAMPLE",
							   "Which rows it returns is a matter of chance.",
							   "Leave it out.");
			return false;
		case T_Query:
			if (((Query *) node)->rowMarks != NIL)
				es_view_refuse(NULL, "FOR UPDATE or FOR SHARE", LOCK_DETAIL, LOCK_HINT);
			return query_tree_walker((Query *) node, check_walker, (void *) context,
									 QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
		default:
			break;
	}
	return expression_tree_walker(node, check_walker, (void *) context);
}

void
es_view_check(const EsStore *store, EsParsed *parsed)
{
	CheckContext context = {store, parsed->text, InvalidOid};

	if (parsed->query->commandType != CMD_SELECT)
		es_view_refuse(NULL, "a statement that is not a SELECT",
					   "A view is one SELECT over es_log.",
					   "Use es_create_projection() to run other statements.");

	parsed->levels = NIL;
	check_walker((Node *) parsed->query, &context);
	find_log(parsed);
}
