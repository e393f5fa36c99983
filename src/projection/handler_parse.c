/*-------------------------------------------------------------------------
 *
 * handler_parse.c
 *	  From the text of a handler to its plans.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The text is the name of a function, or SQL.  In SQL the columns of the
 *	  event are known by name, as the variables of a PL/pgSQL function would
 *	  be: a column of a table that the statement uses comes first, and
 *	  event.<column> always is the event's.
 *
 *	  They have the collation of the database and not that of es_log: a key
 *	  that is compared with stream_id can thus use its index.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"

#include "core/compat.h"
#include "core/expression.h"
#include "projection/handler.h"

/* ---------- names ---------- */

/*
 * Makes the parameter that a name stands for; NULL if it stands for none.
 */
static Node *
make_param(EsHandlerNames *names, const char *name, int location)
{
	Param	   *param;
	int			i;

	for (i = 0; i < names->columns->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(names->columns, i)->attname), name) == 0)
			break;
	}
	if (i == names->columns->natts)
		return NULL;
	if (i < ES_LOG_OWN_COLUMNS)
		names->uses_position = true;

	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = i + 1;
	param->paramtype = TupleDescAttr(names->columns, i)->atttypid;
	param->paramtypmod = -1;
	param->paramcollid = get_typcollation(param->paramtype);
	param->location = location;
	return (Node *) param;
}

/*
 * Makes the parameter that is the event as a whole.
 */
static Node *
make_whole(EsHandlerNames *names, int location)
{
	Param	   *param = makeNode(Param);

	names->uses_whole = true;
	param->paramkind = PARAM_EXTERN;
	param->paramid = names->whole;
	param->paramtype = names->event_type;
	param->paramtypmod = -1;
	param->paramcollid = InvalidOid;
	param->location = location;
	return (Node *) param;
}

static const char *
get_field(const ColumnRef *ref, int number)
{
	Node	   *field = list_nth(ref->fields, number);

	return IsA(field, String) ? strVal(field) : "";
}

/*
 * Parser hook: event.<column>
 */
static Node *
before_column(ParseState *pstate, ColumnRef *ref)
{
	if (list_length(ref->fields) != 2 ||
		strcmp(get_field(ref, 0), ES_EVENT_NAME) != 0)
		return NULL;
	return make_param(pstate->p_ref_hook_state, get_field(ref, 1),
					  ref->location);
}

/*
 * Parser hook: a name that may be that of a column in scope
 */
static Node *
after_column(ParseState *pstate, ColumnRef *ref, Node *found)
{
	EsHandlerNames *names = pstate->p_ref_hook_state;
	const char *name = get_field(ref, 0);

	if (found != NULL || list_length(ref->fields) != 1)
		return NULL;
	if (strcmp(name, ES_EVENT_NAME) == 0)
		return make_whole(names, ref->location);
	return make_param(names, name, ref->location);
}

static void
set_up_parser(ParseState *pstate, void *arg)
{
	pstate->p_pre_columnref_hook = before_column;
	pstate->p_post_columnref_hook = after_column;
	pstate->p_ref_hook_state = arg;
}

/* ---------- functions ---------- */

/*
 * Finds the function of a handler.
 */
static Oid
find_function(const EsHandlerNames *names, List *name)
{
	ObjectWithArgs *object = makeNode(ObjectWithArgs);
	Oid			function;

	object->objname = name;
	object->objargs = list_make1(makeTypeNameFromOid(names->event_type, -1));
	function = LookupFuncWithArgs(OBJECT_ROUTINE, object, true);

	if (!OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s does not exist",
						func_signature_string(name, 1, NIL, &names->event_type)),
				 errhint("A handler is SQL, or the name of a function whose only argument has the type %s.",
						 format_type_be_qualified(names->event_type))));
	return function;
}

/*
 * Returns the statement that calls a function with the event.
 */
static char *
get_call(Oid function)
{
	char		kind = get_func_prokind(function);
	char	   *name = quote_qualified_identifier(get_namespace_name(get_func_namespace(function)),
												  get_func_name(function));

	if (kind != PROKIND_FUNCTION && kind != PROKIND_PROCEDURE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is neither a function nor a procedure", name)));
	return psprintf("%s %s(%s)", kind == PROKIND_FUNCTION ? "SELECT" : "CALL",
					name, ES_EVENT_NAME);
}

/* ---------- statements ---------- */

/*
 * May a function do more than compute a value?  Those of PostgreSQL do not,
 * but for what changes a setting.
 */
static bool
is_hostile_function(Oid function, void *context)
{
	if (function < FirstNormalObjectId)
		return function == F_SET_CONFIG;
	return func_volatile(function) == PROVOLATILE_VOLATILE;
}

static bool
is_hostile(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_hostile_function, context))
		return true;
	if (IsA(node, Query))
	{
		if (((Query *) node)->commandType == CMD_UTILITY)
			return true;
		return query_tree_walker((Query *) node, is_hostile, context, 0);
	}
	return expression_tree_walker(node, is_hostile, context);
}

/*
 * Prepares a statement.
 */
static void
add_statement(MemoryContext context, EsHandler *handler,
			  EsHandlerNames *names, const char *sql, Oid function, int number)
{
	EsHandlerStatement *statement;
	SPIPrepareOptions options;
	SPIPlanPtr	plan;
	MemoryContext previous;
	ListCell   *lc;

	memset(&options, 0, sizeof(options));
	options.parserSetup = set_up_parser;
	options.parserSetupArg = names;
	options.cursorOptions = CURSOR_OPT_GENERIC_PLAN;
	plan = SPI_prepare_extended(sql, &options);
	if (plan == NULL)
		elog(ERROR, "could not prepare statement: %s",
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);

	previous = MemoryContextSwitchTo(context);
	statement = palloc0(sizeof(EsHandlerStatement));
	statement->number = number;
	statement->plan = plan;
	statement->function = function;
	handler->statements = lappend(handler->statements, statement);
	MemoryContextSwitchTo(previous);

	foreach(lc, SPI_plan_get_plan_sources(plan))
	{
		if (is_hostile((Node *) ((CachedPlanSource *) lfirst(lc))->query_list,
					   NULL))
			statement->hostile = true;
	}
	handler->hostile |= statement->hostile;
}

void
es_handler_prepare(MemoryContext context, EsHandler *handler,
				   EsHandlerNames *names, const char *text, int *number)
{
	List	   *name = es_sql_parse_name(text);
	ErrorContextCallback callback;
	List	   *parsed;
	ListCell   *lc;

	if (name != NIL)
	{
		Oid			function = find_function(names, name);

		add_statement(context, handler, names, get_call(function), function,
					  (*number)++);
		return;
	}

	es_sql_push_text(&callback, text);
	parsed = raw_parser(text, RAW_PARSE_DEFAULT);
	error_context_stack = callback.previous;

	foreach(lc, parsed)
	{
		RawStmt    *raw = lfirst_node(RawStmt, lc);
		const char *start = text + raw->stmt_location;

		/* a length of 0 is the rest of the text */
		add_statement(context, handler, names,
					  raw->stmt_len > 0 ? pnstrdup(start, raw->stmt_len) : start,
					  InvalidOid, (*number)++);
	}
}
