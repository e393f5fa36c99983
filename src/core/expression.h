/*-------------------------------------------------------------------------
 *
 * expression.h
 *	  SQL expressions that users register, over values that have names.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CORE_EXPRESSION_H
#define ES_CORE_EXPRESSION_H

#include "nodes/execnodes.h"
#include "nodes/params.h"
#include "nodes/primnodes.h"

/*
 * A name that an expression may use: parameter number i + 1 for the i-th.
 */
typedef struct EsExpressionName
{
	const char *name;
	Oid			type;
	Oid			collation;		/* InvalidOid if the type has none */
} EsExpressionName;

/*
 * Parses and analyzes an expression, with the search_path of now; returns the
 * tree, with external parameters for the names.
 *
 * A bare name of a function, "f" or "schema.f", that is none of the names, is
 * taken for a call with the first of them.  what is what errors call it ("the
 * upcaster").  Raises PostgreSQL's own errors for what does not parse or
 * resolve, 42P10/0A000 for aggregates, window functions, subqueries and sets (if
 * allow_set is false), and 42P17 for VOLATILE functions.
 */
extern Expr *es_expression_parse(const char *text, const char *what,
								 const EsExpressionName *names, int nnames,
								 bool allow_set);

/*
 * Plans an expression (inlines functions, folds constants) and makes it ready
 * to run, in the current memory context.  *trusted is set to whether it calls
 * nothing but PostgreSQL's own functions, so that nobody need change identity.
 */
extern ExprState *es_expression_prepare(Expr *expr, ParamListInfo params,
										bool *trusted);

/*
 * The first half of that: what is planned can be kept and made ready to run
 * again, as long as no function changes.
 */
extern Expr *es_expression_plan(Expr *expr, bool *trusted);

/*
 * Returns the name, as a list of strings, that a text is; NIL if it is more
 * than a name, qualified and quoted or not.
 */
extern List *es_sql_parse_name(const char *text);

/*
 * Makes errors point into the text that is parsed, and not into the statement
 * that it came with; until the caller puts error_context_stack back.
 */
extern void es_sql_push_text(ErrorContextCallback *callback, const char *text);

#endif							/* ES_CORE_EXPRESSION_H */
