/*-------------------------------------------------------------------------
 *
 * generate.c
 *	  The statements that make, fill, merge and verify the table of a view.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  What the user wrote is taken from his query's tree and deparsed, with
 *	  all names qualified.  What is put around it uses names that begin with
 *	  es_, which his own WITH may not have (check.c), and qualified operators.
 *
 *	  A merge of a view whose columns are computed from aggregates:
 *
 *	  es_merged    the batch's states, merged into the state table
 *	  es_leaves    of the groups that changed: keys, aggregates, carried values
 *	  (INSERT)     the columns, computed from them, into the view's table
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "view/query.h"

#define FILLFACTOR	80			/* leaves room for updates in the page */

/* ---------- deparsing ---------- */

/*
 * Lets names be deparsed with their schemas, and constants such that they mean
 * the same whatever the settings; returns what end_deparse needs.
 */
static int
begin_deparse(void)
{
	static const char *const settings[][2] = {
		{"search_path", ""},
		{"DateStyle", "ISO"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "1"},
	};
	int			level = NewGUCNestLevel();
	int			i;

	for (i = 0; i < (int) lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

static void
end_deparse(int level)
{
	AtEOXact_GUC(true, level);
}

static char *
deparse(Query *query)
{
	int			level = begin_deparse();
	char	   *sql = pg_get_querydef(copyObject(query), false);

	end_deparse(level);
	return sql;
}

char *
es_view_query_sql(const EsView *view)
{
	return deparse(((EsViewQuery *) view->private)->query);
}

/*
 * The query over the states: keys and states in place of the columns.
 */
static char *
partial_sql(const EsViewQuery *query)
{
	Query	   *partial = copyObject(query->query);
	ListCell   *lc;

	partial->targetList = NIL;
	foreach(lc, query->keys)
	{
		TargetEntry *tle = copyObject(lfirst_node(TargetEntry, lc));

		tle->resno = list_length(partial->targetList) + 1;
		partial->targetList = lappend(partial->targetList, tle);
	}
	foreach(lc, query->states)
	{
		EsViewState *state = lfirst(lc);

		partial->targetList = lappend(partial->targetList,
									  makeTargetEntry(copyObject(state->expr),
													  list_length(partial->targetList) + 1,
													  state->name, false));
	}
	return deparse(partial);
}

/*
 * The query's common table expressions that do not lead to es_log.
 */
static List *
other_ctes(const EsViewQuery *query)
{
	List	   *result = NIL;
	ListCell   *lc;
	ListCell   *level;

	foreach(lc, query->query->cteList)
	{
		bool		leads = false;

		foreach(level, query->levels)
			leads |= ((EsLogLevel *) lfirst(level))->query ==
				(Query *) lfirst_node(CommonTableExpr, lc)->ctequery;
		if (!leads)
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/*
 * Appends a column of es_leaves to the query over it.
 */
static void
add_leaf(Query *derived, Node *expr, AttrNumber column, char *name)
{
	Var		   *var = makeVar(1, column, exprType(expr), exprTypmod(expr),
							  exprCollation(expr), 0);

	derived->targetList = lappend(derived->targetList,
								  makeTargetEntry((Expr *) var,
												  list_length(derived->targetList) + 1,
												  name, false));
}

/*
 * Appends the columns of the state table: keys and states, which come behind
 * the first nleaves columns of es_leaves.
 */
static void
add_states(Query *derived, const EsViewQuery *query, int nleaves)
{
	RangeTblEntry *rte = linitial_node(RangeTblEntry, derived->rtable);
	ListCell   *lc;

	foreach(lc, query->keys)
		add_leaf(derived, (Node *) lfirst_node(TargetEntry, lc)->expr,
				 foreach_current_index(lc) + 1, psprintf("k%d", foreach_current_index(lc) + 1));
	foreach(lc, query->states)
	{
		char	   *name = psprintf("s%d", foreach_current_index(lc) + 1);

		rte->eref->colnames = lappend(rte->eref->colnames, makeString(name));
		add_leaf(derived, (Node *) ((EsViewState *) lfirst(lc))->expr,
				 nleaves + foreach_current_index(lc) + 1, name);
	}
}

/*
 * The derived columns, over es_leaves; and, if asked for, those of the state
 * table.
 */
static char *
derived_sql(const EsViewQuery *query, bool with_states)
{
	Query	   *derived = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	int			nleaves = list_length(query->keys) +
		list_length(query->aggregates) + list_length(query->carried);
	ListCell   *lc;
	int			i;

	rte->rtekind = RTE_CTE;
	rte->ctename = pstrdup("es_leaves");
	rte->eref = makeAlias("es_leaves", NIL);
	for (i = 1; i <= nleaves; i++)
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(psprintf("l%d", i)));
	rte->inFromCl = true;
	ref->rtindex = 1;

	derived->commandType = CMD_SELECT;
	derived->querySource = QSRC_ORIGINAL;
	derived->canSetTag = true;
	derived->rtable = list_make1(rte);
	derived->jointree = makeFromExpr(list_make1(ref), NULL);
	derived->hasSubLinks = query->query->hasSubLinks;
	if (derived->hasSubLinks)
		derived->cteList = other_ctes(query);
	foreach(lc, query->derived)
	{
		TargetEntry *tle = copyObject(lfirst_node(TargetEntry, lc));

		tle->resno = foreach_current_index(lc) + 1;
		derived->targetList = lappend(derived->targetList, tle);
	}
	if (with_states)
		add_states(derived, query, nleaves);
	return deparse(derived);
}

/* ---------- parts of statements ---------- */

/*
 * Replaces $o, $n, $d (or $1, $2) in a template; NULL: nothing to replace.
 */
static char *
substitute(const char *template, const char *o, const char *n, const char *d)
{
	StringInfoData buf;
	const char *p;

	initStringInfo(&buf);
	for (p = template; *p; p++)
	{
		if (*p != '$')
		{
			appendStringInfoChar(&buf, *p);
			continue;
		}
		p++;
		appendStringInfoString(&buf,
							   *p == 'o' || *p == '1' ? o :
							   *p == 'n' || *p == '2' ? n : d);
	}
	return buf.data;
}

/*
 * What a state is after the merge, if its column is called name.
 */
static char *
merged_sql(const EsViewState *state, const char *name)
{
	char	   *o = psprintf("es_old.%s", quote_identifier(name));
	char	   *n = psprintf("excluded.%s", quote_identifier(name));

	return state->merge == NULL ? n : substitute(state->merge, o, n, state->delimiter);
}

/*
 * An aggregate's value, from SQL for its states.
 */
static char *
final_sql(const EsViewAggregate *aggregate, char *const *states)
{
	if (aggregate->final == NULL)
		return states[0];
	return substitute(aggregate->final,
					  psprintf("(%s)", states[0]),
					  aggregate->nstates > 1 ? psprintf("(%s)", states[1]) : "", "");
}

/*
 * Begins a list's next member.
 */
static void
append_comma(StringInfo buf, bool *first)
{
	if (!*first)
		appendStringInfoString(buf, ", ");
	*first = false;
}

static void
append_column_names(StringInfo buf, const EsView *view)
{
	ListCell   *lc;
	bool		first = true;

	foreach(lc, view->columns)
	{
		append_comma(buf, &first);
		appendStringInfoString(buf, quote_identifier(((EsViewColumn *) lfirst(lc))->name));
	}
}

/*
 * Names of the columns of the state table, or of one state after the other as
 * they are called in a relation.
 */
static void
append_state_names(StringInfo buf, const EsViewQuery *query, const char *prefix)
{
	ListCell   *lc;
	bool		first = true;

	foreach(lc, query->keys)
	{
		append_comma(buf, &first);
		appendStringInfo(buf, "%s%s", prefix,
						 quote_identifier(lfirst_node(TargetEntry, lc)->resname));
	}
	foreach(lc, query->states)
	{
		append_comma(buf, &first);
		appendStringInfo(buf, "%s%s", prefix,
						 quote_identifier(((EsViewState *) lfirst(lc))->name));
	}
}

/*
 * The key as ON CONFLICT and constraints name it.
 */
static void
append_key(StringInfo buf, const EsView *view)
{
	ListCell   *lc;
	bool		first = true;

	if (view->shape == ES_VIEW_SINGLE)
		appendStringInfoString(buf, "(true)");
	foreach(lc, view->columns)
	{
		EsViewColumn *column = lfirst(lc);

		if (!column->is_key)
			continue;
		append_comma(buf, &first);
		appendStringInfoString(buf, quote_identifier(column->name));
	}
}

/*
 * ORDER BY the key, for a SELECT whose columns are those of the view, or begin
 * with the keys.
 */
static void
append_order(StringInfo buf, const EsViewQuery *query, bool keys_first)
{
	ListCell   *lc;
	bool		first = true;

	foreach(lc, query->key_columns)
	{
		appendStringInfoString(buf, first ? " ORDER BY " : ", ");
		appendStringInfo(buf, "%d",
						 1 + (keys_first ? foreach_current_index(lc) : lfirst_int(lc)));
		first = false;
	}
}

/*
 * WITH, up to where the next common table expression or the statement follows.
 */
static void
append_with(StringInfo buf, const char *source, bool more)
{
	if (source != NULL)
		appendStringInfo(buf, "WITH " ES_LOG_NAME " AS NOT MATERIALIZED (%s)%s",
						 source, more ? ", " : " ");
	else if (more)
		appendStringInfoString(buf, "WITH ");
}

/* ---------- CREATE ---------- */

static void
append_column(StringInfo buf, const char *name, Oid type, int32 typmod,
			  Oid collation, bool not_null)
{
	appendStringInfo(buf, "%s %s", quote_identifier(name),
					 format_type_extended(type, typmod,
										  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	if (OidIsValid(collation) && collation != get_typcollation(type))
		appendStringInfo(buf, " COLLATE %s", generate_collation_name(collation));
	if (not_null)
		appendStringInfoString(buf, " NOT NULL");
}

/*
 * The end of CREATE TABLE, and the statements behind it.
 */
static List *
finish_table(const EsView *view, StringInfo buf, const char *table,
			 bool updated, const char *comment)
{
	List	   *statements;
	bool		not_null = true;
	ListCell   *lc;

	foreach(lc, view->columns)
	{
		EsViewColumn *column = lfirst(lc);

		not_null &= column->not_null || !column->is_key;
	}
	if (view->shape == ES_VIEW_GROUPED)
	{
		appendStringInfo(buf, ", %s (", not_null ? "PRIMARY KEY" : "UNIQUE NULLS NOT DISTINCT");
		append_key(buf, view);
		appendStringInfoChar(buf, ')');
	}
	appendStringInfoChar(buf, ')');
	if (updated)
		appendStringInfo(buf, " WITH (fillfactor = %d)", FILLFACTOR);

	statements = list_make1(buf->data);
	if (view->shape == ES_VIEW_SINGLE)
		statements = lappend(statements,
							 psprintf("CREATE UNIQUE INDEX ON %s ((true))", table));
	return lappend(statements,
				   psprintf("COMMENT ON TABLE %s IS %s", table, quote_literal_cstr(comment)));
}

/*
 * Is there something to update in rows of the view's table?
 */
static bool
has_updates(const EsView *view)
{
	const EsViewQuery *query = view->private;
	int			i;

	for (i = 0; i < list_length(view->columns); i++)
	{
		if (query->sources[i] != ES_SOURCE_KEY && query->sources[i] != ES_SOURCE_FIXED)
			return view->shape != ES_VIEW_PLAIN;
	}
	return false;
}

List *
es_view_create_sql(const EsView *view, const char *table, const char *state)
{
	const EsViewQuery *query = view->private;
	int			level = begin_deparse();
	StringInfoData buf;
	List	   *statements;
	ListCell   *lc;
	bool		first = true;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE TABLE %s (", table);
	foreach(lc, view->columns)
	{
		EsViewColumn *column = lfirst(lc);

		append_comma(&buf, &first);
		append_column(&buf, column->name, column->type, column->typmod,
					  column->collation, column->not_null);
	}
	statements = finish_table(view, &buf, table, has_updates(view),
							  "read model kept by event_store: see es_projections");

	if (view->needs_state)
	{
		initStringInfo(&buf);
		appendStringInfo(&buf, "CREATE TABLE %s (", state);
		first = true;
		foreach(lc, query->key_columns)
		{
			EsViewColumn *column = list_nth(view->columns, lfirst_int(lc));

			append_comma(&buf, &first);
			append_column(&buf, column->name, column->type, column->typmod,
						  column->collation, column->not_null);
		}
		foreach(lc, query->states)
		{
			EsViewState *column = lfirst(lc);

			append_comma(&buf, &first);
			append_column(&buf, column->name, exprType((Node *) column->expr),
						  exprTypmod((Node *) column->expr),
						  exprCollation((Node *) column->expr), column->not_null);
		}
		statements = list_concat(statements,
								 finish_table(view, &buf, state, true,
											  psprintf("what event_store computes the columns of %s from", table)));
	}
	end_deparse(level);
	return statements;
}

/* ---------- fill and merge ---------- */

/*
 * The state of a column that is its own state.
 */
static const EsViewState *
state_of_column(const EsViewQuery *query, int column)
{
	TargetEntry *tle = list_nth(query->query->targetList, column);
	ListCell   *lc;

	foreach(lc, query->states)
	{
		if (equal(((EsViewState *) lfirst(lc))->expr, tle->expr))
			return lfirst(lc);
	}
	elog(ERROR, "column %d of the view has no state", column + 1);
}

/*
 * es_leaves: columns l1, l2 ... , computed from the columns of es_merged; with
 * the states themselves behind them, as s1, s2 ... , if asked for.
 */
static void
append_leaves(StringInfo buf, const EsView *view, bool with_states)
{
	const EsViewQuery *query = view->private;
	const char *const prefix = "es_merged";
	ListCell   *lc;
	bool		first = true;
	int			i;

	appendStringInfoString(buf, "es_leaves (");
	for (i = 1; i <= list_length(query->keys) + list_length(query->aggregates) + list_length(query->carried); i++)
		appendStringInfo(buf, "%sl%d", i > 1 ? ", " : "", i);
	for (i = 1; with_states && i <= list_length(query->states); i++)
		appendStringInfo(buf, ", s%d", i);
	appendStringInfoString(buf, ") AS (SELECT ");

	foreach(lc, query->keys)
	{
		append_comma(buf, &first);
		appendStringInfo(buf, "%s.%s", prefix,
						 quote_identifier(lfirst_node(TargetEntry, lc)->resname));
	}
	foreach(lc, query->aggregates)
	{
		const EsViewAggregate *aggregate = lfirst(lc);
		char	   *states[2] = {NULL, NULL};

		for (i = 0; i < aggregate->nstates; i++)
		{
			const EsViewState *state = aggregate->states[i];

			states[i] = psprintf("%s.%s", prefix, quote_identifier(state->name));
		}
		append_comma(buf, &first);
		appendStringInfoString(buf, final_sql(aggregate, states));
	}
	foreach(lc, query->carried)
	{
		append_comma(buf, &first);
		appendStringInfo(buf, "%s.%s", prefix,
						 quote_identifier(((EsViewState *) lfirst(lc))->name));
	}
	foreach(lc, with_states ? query->states : NIL)
		appendStringInfo(buf, ", %s.%s", prefix,
						 quote_identifier(((EsViewState *) lfirst(lc))->name));
	appendStringInfoString(buf, " FROM es_merged)");
}

/*
 * ON CONFLICT of the view's table.
 */
static void
append_conflict(StringInfo buf, const EsView *view)
{
	const EsViewQuery *query = view->private;
	bool		first = true;
	int			i;

	appendStringInfoString(buf, " ON CONFLICT (");
	append_key(buf, view);
	if (!has_updates(view))
	{
		appendStringInfoString(buf, ") DO NOTHING");
		return;
	}
	appendStringInfoString(buf, ") DO UPDATE SET ");
	for (i = 0; i < list_length(view->columns); i++)
	{
		const char *name = ((EsViewColumn *) list_nth(view->columns, i))->name;
		EsViewSource source = query->sources[i];

		if (source == ES_SOURCE_KEY || source == ES_SOURCE_FIXED)
			continue;
		append_comma(buf, &first);
		appendStringInfo(buf, "%s = ", quote_identifier(name));
		if (source == ES_SOURCE_STATE && !view->needs_state)
			appendStringInfoString(buf, merged_sql(state_of_column(query, i), name));
		else
			appendStringInfo(buf, "excluded.%s", quote_identifier(name));
	}
}

/*
 * es_merged: the states, written to the state table.
 */
static void
append_merged(StringInfo buf, const EsView *view, const char *state, bool merge)
{
	const EsViewQuery *query = view->private;
	ListCell   *lc;
	bool		first = true;

	appendStringInfo(buf, "es_merged AS (INSERT INTO %s AS es_old (", state);
	append_state_names(buf, query, "");
	appendStringInfo(buf, ") (%s)", partial_sql(query));
	if (merge)
	{
		append_order(buf, query, true);
		appendStringInfoString(buf, " ON CONFLICT (");
		append_key(buf, view);
		appendStringInfoString(buf, ") DO UPDATE SET ");
		foreach(lc, query->states)
		{
			const EsViewState *column = lfirst(lc);

			append_comma(buf, &first);
			appendStringInfo(buf, "%s = %s", quote_identifier(column->name),
							 merged_sql(column, column->name));
		}
	}
	appendStringInfoString(buf, " RETURNING ");
	append_state_names(buf, query, "es_old.");
	appendStringInfoString(buf, "), ");
}

static char *
write_sql(const EsView *view, const char *table, const char *state,
		  const char *source, bool merge)
{
	const EsViewQuery *query = view->private;
	StringInfoData buf;

	initStringInfo(&buf);
	append_with(&buf, source, view->needs_state);
	if (view->needs_state)
	{
		append_merged(&buf, view, state, merge);
		append_leaves(&buf, view, false);
		appendStringInfoChar(&buf, ' ');
	}
	appendStringInfo(&buf, "INSERT INTO %s AS es_old (", table);
	append_column_names(&buf, view);
	appendStringInfo(&buf, ") (%s)",
					 view->needs_state ? derived_sql(query, false) : deparse(query->query));
	if (merge && view->shape != ES_VIEW_PLAIN)
	{
		append_order(&buf, query, false);
		append_conflict(&buf, view);
	}
	return buf.data;
}

char *
es_view_fill_sql(const EsView *view, const char *table, const char *state,
				 const char *source)
{
	return write_sql(view, table, state, source, false);
}

char *
es_view_rows_sql(const EsView *view, const char *source)
{
	const EsViewQuery *query = view->private;
	StringInfoData buf;

	initStringInfo(&buf);
	append_with(&buf, source, view->needs_state);
	if (!view->needs_state)
	{
		appendStringInfo(&buf, "(%s)", deparse(query->query));
		return buf.data;
	}
	appendStringInfoString(&buf, "es_merged (");
	append_state_names(&buf, query, "");
	appendStringInfo(&buf, ") AS (%s), ", partial_sql(query));
	append_leaves(&buf, view, true);
	appendStringInfo(&buf, " (%s)", derived_sql(query, true));
	return buf.data;
}

char *
es_view_merge_sql(const EsView *view, const char *table, const char *state,
				  const char *source)
{
	return write_sql(view, table, state, source, true);
}

char *
es_view_relation_name(Oid relid)
{
	char	   *name = get_rel_name(relid);
	char	   *schema = name ? get_namespace_name(get_rel_namespace(relid)) : NULL;

	if (schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	return quote_qualified_identifier(schema, name);
}
