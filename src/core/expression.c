/*-------------------------------------------------------------------------
 *
 * expression.c
 *	  SQL expressions that users register, over values that have names.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Parsing needs the search_path, planning and running the rights of the
 *	  expression's owner: see user_code.h.
 *
 *	  An expression is trusted if nothing in it can run what a user has
 *	  written, or depends on who runs it and with which settings: built-in
 *	  immutable functions, and a few others, over built-in types.  A built-in
 *	  function is not harmless for being that: table_to_xml() reads tables.
 *	  Hence the list is of what is allowed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/keywords.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "core/expression.h"

/* ---------- texts and names ---------- */

/*
 * Reads a name, quoted or not; returns what comes behind it, NULL if there is
 * none.
 */
static const char *
read_name(const char *at, List **names)
{
	StringInfoData name;
	const char *start;

	while (scanner_isspace(*at))
		at++;
	if (*at == '"')
	{
		initStringInfo(&name);
		for (at++; *at != '\0' && (*at != '"' || at[1] == '"'); at++)
		{
			if (*at == '"')
				at++;
			appendStringInfoChar(&name, *at);
		}
		if (*at != '"' || name.len == 0)
			return NULL;
		truncate_identifier(name.data, name.len, false);
		*names = lappend(*names, makeString(name.data));
		at++;
	}
	else
	{
		start = at;
		while (isalnum((unsigned char) *at) || *at == '_' || *at == '$' ||
			   IS_HIGHBIT_SET(*at))
			at++;
		if (at == start || isdigit((unsigned char) *start) || *start == '$')
			return NULL;
		*names = lappend(*names,
						 makeString(downcase_truncate_identifier(start, at - start,
																 false)));
	}
	while (scanner_isspace(*at))
		at++;
	return at;
}

List *
es_sql_parse_name(const char *text)
{
	List	   *names = NIL;
	const char *at = text;

	for (;;)
	{
		at = read_name(at, &names);
		if (at == NULL)
			return NIL;
		if (*at == '\0')
			return names;
		if (*at++ != '.')
			return NIL;
	}
}

/*
 * Error context: says where in the text the error is, and not where in the
 * statement that the text came with.
 */
static void
add_position(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(arg);
	}
}

void
es_sql_push_text(ErrorContextCallback *callback, const char *text)
{
	callback->callback = add_position;
	callback->arg = unconstify(char *, text);
	callback->previous = error_context_stack;
	error_context_stack = callback;
}

/* ---------- parsing ---------- */

/*
 * The names that an expression may use; for the parser's hook.
 */
typedef struct Names
{
	const EsExpressionName *names;
	int			nnames;
} Names;

/*
 * Parser hook: makes the parameter that a name stands for.
 */
static Node *
make_param(ParseState *pstate, ColumnRef *ref)
{
	const Names *names = pstate->p_ref_hook_state;
	Node	   *field = linitial(ref->fields);
	Param	   *param;
	int			i;

	if (list_length(ref->fields) != 1 || !IsA(field, String))
		return NULL;
	for (i = 0; i < names->nnames; i++)
	{
		if (strcmp(names->names[i].name, strVal(field)) == 0)
			break;
	}
	if (i == names->nnames)
		return NULL;

	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = i + 1;
	param->paramtype = names->names[i].type;
	param->paramtypmod = -1;
	param->paramcollid = names->names[i].collation;
	param->location = ref->location;
	return (Node *) param;
}

/*
 * Is it a word of SQL, as "true"?
 */
static bool
is_reserved(const char *text, const char *name)
{
	int			number = ScanKeywordLookup(name, &ScanKeywords);

	return number >= 0 && strchr(text, '"') == NULL &&
		ScanKeywordCategories[number] == RESERVED_KEYWORD;
}

/*
 * Raises the error for a bare name that means nothing.
 */
static void
raise_unknown_name(const char *name, const char *what, const Names *names)
{
	StringInfoData list;
	int			i;

	initStringInfo(&list);
	for (i = 0; i < names->nnames; i++)
		appendStringInfo(&list, "%s%s", i == 0 ? "" : ", ", names->names[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_FUNCTION),
			 errmsg("\"%s\" is neither a function nor known to %s", name, what),
			 errdetail("What is known is: %s.", list.data)));
}

/*
 * Returns the call that a bare name of a function stands for; NULL if the text
 * is no name, or one of the names.
 */
static Node *
parse_call(const char *text, const char *what, const Names *names)
{
	List	   *name = es_sql_parse_name(text);
	ColumnRef  *argument;
	int			i;

	if (name == NIL ||
		(list_length(name) == 1 && is_reserved(text, strVal(linitial(name)))))
		return NULL;
	for (i = 0; i < names->nnames; i++)
	{
		if (list_length(name) == 1 &&
			strcmp(strVal(linitial(name)), names->names[i].name) == 0)
			return NULL;
	}
	if (list_length(name) == 1 &&
		FuncnameGetCandidates(name, -1, NIL, false, false, false, true) == NULL)
		raise_unknown_name(strVal(linitial(name)), what, names);
	argument = makeNode(ColumnRef);
	argument->fields = list_make1(makeString(pstrdup(names->names[0].name)));
	argument->location = -1;
	return (Node *) makeFuncCall(name, list_make1(argument),
								 COERCE_EXPLICIT_CALL, -1);
}

/*
 * Is it more than an expression: "*", or one with a label?  The latter may be
 * what is left of an operator: "a AND".
 */
static bool
is_column(const ResTarget *target)
{
	return target->name != NULL ||
		(IsA(target->val, ColumnRef) &&
		 IsA(llast(((ColumnRef *) target->val)->fields), A_Star));
}

/*
 * Parses a text that must be an expression, and nothing but one.
 */
static Node *
parse_raw(const char *text, const char *what)
{
	List	   *parsed = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select;

	select = (SelectStmt *) linitial_node(RawStmt, parsed)->stmt;
	if (!IsA(select, SelectStmt) || list_length(select->targetList) != 1 ||
		select->distinctClause != NIL || select->fromClause != NIL ||
		select->whereClause != NULL || select->groupClause != NIL ||
		select->havingClause != NULL || select->windowClause != NIL ||
		select->valuesLists != NIL || select->sortClause != NIL ||
		select->limitOffset != NULL || select->limitCount != NULL ||
		select->lockingClause != NIL || select->withClause != NULL ||
		select->op != SETOP_NONE ||
		is_column(linitial_node(ResTarget, select->targetList)))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s must be one expression", what)));
	return linitial_node(ResTarget, select->targetList)->val;
}

/*
 * Refuses what is more than a value made of values.
 */
static void
check_parsed(const ParseState *pstate, const char *what)
{
	if (pstate->p_hasAggs)
		ereport(ERROR,
				(errcode(ERRCODE_GROUPING_ERROR),
				 errmsg("aggregate functions are not allowed in %s", what)));
	if (pstate->p_hasWindowFuncs)
		ereport(ERROR,
				(errcode(ERRCODE_WINDOWING_ERROR),
				 errmsg("window functions are not allowed in %s", what)));
	if (pstate->p_hasSubLinks)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("subqueries are not allowed in %s", what),
				 errhint("A function may have one.")));
}

/*
 * Refuses sets where they cannot be: all but what a function as a whole returns.
 */
static void
check_set(Node *expr, const char *what, bool allow_set)
{
	if (!expression_returns_set(expr))
		return;
	if (allow_set && IsA(expr, FuncExpr) &&
		!expression_returns_set((Node *) ((FuncExpr *) expr)->args))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("set-returning functions are not allowed in %s", what),
			 allow_set ? errdetail("The set must be what a function returns, as it is.") : 0));
}

static bool
is_volatile_function(Oid function, void *context)
{
	if (func_volatile(function) != PROVOLATILE_VOLATILE)
		return false;
	*(Oid *) context = function;
	return true;
}

static bool
find_volatile(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_volatile_function, context))
		return true;
	return expression_tree_walker(node, find_volatile, context);
}

/*
 * Refuses functions that may give something else each time: what an event is
 * read as must not depend on who reads it when.
 */
static void
check_volatile(Node *expr, const char *what)
{
	Oid			function = InvalidOid;

	if (!contain_volatile_functions(expr))
		return;
	(void) find_volatile(expr, &function);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("volatile functions are not allowed in %s", what),
			 OidIsValid(function) ?
			 errdetail("Function %s is volatile.", format_procedure(function)) : 0,
			 errhint("A function that only computes a value can be declared IMMUTABLE, or STABLE if it reads tables.")));
}

Expr *
es_expression_parse(const char *text, const char *what,
					const EsExpressionName *names, int nnames, bool allow_set)
{
	Names		known = {names, nnames};
	ParseState *pstate = make_parsestate(NULL);
	ErrorContextCallback callback;
	Node	   *expr;

	es_sql_push_text(&callback, text);
	pstate->p_sourcetext = text;
	pstate->p_pre_columnref_hook = make_param;
	pstate->p_ref_hook_state = &known;

	expr = parse_call(text, what, &known);
	if (expr == NULL)
		expr = parse_raw(text, what);
	expr = transformExpr(pstate, expr, EXPR_KIND_OTHER);
	assign_expr_collations(pstate, expr);
	check_parsed(pstate, what);
	error_context_stack = callback.previous;

	check_set(expr, what, allow_set);
	check_volatile(expr, what);
	free_parsestate(pstate);
	return (Expr *) expr;
}

/* ---------- planning ---------- */

/*
 * May somebody else's code run when a value of this type is worked on?
 */
static bool
is_foreign_type(Oid type)
{
	return type >= FirstNormalObjectId || type == RECORDOID ||
		type == RECORDARRAYOID;
}

static bool
is_foreign_argument(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, List))
		return expression_tree_walker(node, is_foreign_argument, context);
	return is_foreign_type(exprType(node));
}

/*
 * Does a value of this type look different with other settings?
 */
static bool
is_plain_type(Oid type)
{
	switch (type)
	{
		case JSONBOID:
		case TEXTOID:
		case VARCHAROID:
		case UNKNOWNOID:
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case UUIDOID:
			return true;
		default:
			return false;
	}
}

/*
 * Functions that are not immutable for some types only.
 */
static bool
is_immutable_for(Oid function, Node *node)
{
	ListCell   *lc;

	if (function != F_JSONB_BUILD_OBJECT_ANY &&
		function != F_JSONB_BUILD_OBJECT_ &&
		function != F_JSONB_BUILD_ARRAY_ANY &&
		function != F_JSONB_BUILD_ARRAY_ && function != F_TO_JSONB &&
		function != F_CONCAT)
		return false;
	if (!IsA(node, FuncExpr) || ((FuncExpr *) node)->funcvariadic)
		return false;
	foreach(lc, ((FuncExpr *) node)->args)
	{
		if (!is_plain_type(exprType(lfirst(lc))))
			return false;
	}
	return true;
}

static bool
is_untrusted_function(Oid function, void *context)
{
	return function >= FirstNormalObjectId ||
		(func_volatile(function) != PROVOLATILE_IMMUTABLE &&
		 !is_immutable_for(function, context));
}

static bool
is_untrusted(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_List:
		case T_Const:
		case T_Param:
		case T_RowExpr:
		case T_ArrayExpr:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
		case T_BoolExpr:
		case T_NullTest:
		case T_BooleanTest:
			/* these put values together, or choose between them */
			break;
		case T_FuncExpr:
		case T_NamedArgExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_CoerceViaIO:
		case T_RelabelType:
		case T_SubscriptingRef:
		case T_MinMaxExpr:
			if (is_foreign_type(exprType(node)) ||
				expression_tree_walker(node, is_foreign_argument, NULL) ||
				check_functions_in_node(node, is_untrusted_function, node))
				return true;
			break;
		default:
			return true;
	}
	return expression_tree_walker(node, is_untrusted, context);
}

Expr *
es_expression_plan(Expr *expr, bool *trusted)
{
	Expr	   *planned = expression_planner(expr);

	*trusted = !is_untrusted((Node *) planned, NULL);
	return planned;
}

ExprState *
es_expression_prepare(Expr *expr, ParamListInfo params, bool *trusted)
{
	return ExecInitExprWithParams(es_expression_plan(expr, trusted), params);
}
