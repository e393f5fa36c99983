/*-------------------------------------------------------------------------
 *
 * parse.c
 *	  From the text of a view to its Query.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  es_log is an ephemeral named relation, as the transition tables of a
 *	  trigger are: these come before tables and views of that name in any
 *	  schema.  So what the query means does not depend on the search_path, and
 *	  the same text can be run over a batch.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/typcache.h"

#include "view/query.h"

void
es_view_error_callback(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

/*
 * Returns the one SELECT that the text consists of.
 */
static RawStmt *
parse_raw(const char *text)
{
	List	   *statements = raw_parser(text, RAW_PARSE_DEFAULT);
	RawStmt    *raw;

	if (list_length(statements) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a view is empty"),
				 errhint("Give one SELECT over es_log.")));
	if (list_length(statements) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a view consists of several statements"),
				 errdetail("A view is one SELECT over es_log."),
				 errhint("Use es_create_projection() to run several statements for each batch.")));

	raw = linitial_node(RawStmt, statements);
	if (!IsA(raw->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a view is not a SELECT"),
				 errdetail("A view is one SELECT over es_log."),
				 errhint("Use es_create_projection() to run other statements for each batch.")));
	if (((SelectStmt *) raw->stmt)->intoClause != NULL)
		es_view_refuse(NULL, "SELECT INTO",
					   "A view has a table of its own.",
					   "Leave INTO out.");
	return raw;
}

/*
 * Analyzes a statement in whose scope es_log is the batch.
 */
static Query *
analyze_raw(const EsStore *store, RawStmt *raw, const char *text)
{
	Oid			relid = get_relname_relid(ES_LOG_NAME, store->namespace_oid);
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));
	QueryEnvironment *env = create_queryEnv();

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("view \"%s\" of the extension is missing", ES_LOG_NAME)));

	enr->md.name = pstrdup(ES_LOG_NAME);
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = lookup_rowtype_tupdesc_copy(get_rel_type_id(relid), -1);
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = 1000;
	register_ENR(env, enr);

	return parse_analyze_fixedparams(raw, text, NULL, 0, env);
}

void
es_view_parse(const EsStore *store, const char *text, EsParsed *parsed)
{
	parsed->text = text;
	parsed->query = analyze_raw(store, parse_raw(text), text);
	es_view_check(store, parsed);
}

static bool add_position(SelectStmt *stmt, List *with, bool nested);

/*
 * Adds the position to a common table expression that has es_log.
 */
static bool
add_position_to_cte(List *with, const char *name)
{
	ListCell   *lc;

	foreach(lc, with)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (strcmp(cte->ctename, name) == 0)
			return IsA(cte->ctequery, SelectStmt) &&
				add_position((SelectStmt *) cte->ctequery, with, true);
	}
	return false;
}

/*
 * Looks for es_log in an item of FROM, and makes subqueries that have it
 * return its position.  Returns NIL, or the name of the position here.
 */
static List *
find_position(Node *item, List *with)
{
	List	   *found;

	if (IsA(item, RangeVar))
	{
		RangeVar   *var = (RangeVar *) item;
		char	   *name = var->alias ? var->alias->aliasname : var->relname;

		if (var->schemaname != NULL)
			return NIL;
		if (add_position_to_cte(with, var->relname))
			return list_make2(makeString(name), makeString(ES_POSITION_NAME));
		if (strcmp(var->relname, ES_LOG_NAME) == 0)
			return list_make2(makeString(name),
							  var->alias && var->alias->colnames != NIL ?
							  linitial(var->alias->colnames) :
							  makeString("position"));
	}
	else if (IsA(item, RangeSubselect))
	{
		RangeSubselect *sub = (RangeSubselect *) item;

		if (sub->alias && IsA(sub->subquery, SelectStmt) &&
			add_position((SelectStmt *) sub->subquery, with, true))
			return list_make2(makeString(sub->alias->aliasname),
							  makeString(ES_POSITION_NAME));
	}
	else if (IsA(item, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) item;

		found = find_position(join->larg, with);
		return found != NIL ? found : find_position(join->rarg, with);
	}
	return NIL;
}

/*
 * Adds es_log's position to the columns of a SELECT that reads it and, at the
 * top, to those of its subqueries only.  Returns whether it reads es_log.
 */
static bool
add_position(SelectStmt *stmt, List *with, bool nested)
{
	ListCell   *lc;

	if (stmt->withClause)
		with = list_concat_copy(stmt->withClause->ctes, with);

	foreach(lc, stmt->fromClause)
	{
		List	   *found = find_position((Node *) lfirst(lc), with);

		if (found != NIL)
		{
			if (nested)
			{
				ColumnRef  *column = makeNode(ColumnRef);
				ResTarget  *target = makeNode(ResTarget);

				column->fields = found;
				column->location = -1;
				target->name = pstrdup(ES_POSITION_NAME);
				target->val = (Node *) column;
				target->location = -1;
				stmt->targetList = lappend(stmt->targetList, target);
			}
			return true;
		}
	}
	return false;
}

/*
 * Makes functions in FROM number their rows.
 */
static void
add_ordinality(Node *item)
{
	if (IsA(item, RangeFunction))
	{
		RangeFunction *function = (RangeFunction *) item;

		if (function->ordinality)
			return;

		/* What ROWS FROM needs, as WITH ORDINALITY goes with no other form. */
		if (function->coldeflist != NIL)
		{
			List	   *only = linitial_node(List, function->functions);

			lsecond(only) = function->coldeflist;
			function->coldeflist = NIL;
			function->is_rowsfrom = true;
		}
		function->ordinality = true;
	}
	else if (IsA(item, JoinExpr) && ((JoinExpr *) item)->alias == NULL)
	{
		add_ordinality(((JoinExpr *) item)->larg);
		add_ordinality(((JoinExpr *) item)->rarg);
	}
}

/*
 * Has a function in FROM got numbers of rows already?
 */
static bool
has_ordinality(Node *item)
{
	if (IsA(item, RangeFunction))
		return ((RangeFunction *) item)->ordinality;
	if (IsA(item, JoinExpr))
		return has_ordinality(((JoinExpr *) item)->larg) ||
			has_ordinality(((JoinExpr *) item)->rarg);
	return false;
}

bool
es_view_parse_ordered(const EsStore *store, const char *text, int ncolumns,
					  EsParsed *parsed)
{
	RawStmt    *raw = parse_raw(text);
	SelectStmt *stmt = (SelectStmt *) raw->stmt;
	ListCell   *lc;
	bool		numbered = false;
	int			n = 0;

	add_position(stmt, NIL, false);

	/* The user may mean his own by "ordinality": a second one would clash. */
	foreach(lc, stmt->fromClause)
		numbered = numbered || has_ordinality((Node *) lfirst(lc));
	foreach(lc, stmt->fromClause)
	{
		if (!numbered)
			add_ordinality((Node *) lfirst(lc));
	}

	parsed->text = text;
	parsed->query = analyze_raw(store, raw, text);
	foreach(lc, parsed->query->targetList)
	{
		if (!lfirst_node(TargetEntry, lc)->resjunk)
			n++;
	}
	if (n != ncolumns)
		return false;

	es_view_check(store, parsed);
	return true;
}
