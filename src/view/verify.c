/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  The query that compares a view's table with what it should be.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  With a key, rows are matched by a FULL JOIN.  IS NOT DISTINCT FROM can
 *	  be neither merged nor hashed; keys that may be NULL are compared as
 *	  records, for which two NULLs are equal.
 *
 *	  Without a key, rows are counted: how often here, how often there.
 *
 *	  Values are compared by the default equality of their type; those of
 *	  types without one (json) as text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "view/query.h"

/*
 * Has the type an equality that GROUP BY can use?
 */
static bool
is_comparable(Oid type)
{
	TypeCacheEntry *cache = lookup_type_cache(type,
											  TYPECACHE_EQ_OPR | TYPECACHE_CMP_PROC);

	return OidIsValid(cache->eq_opr) && OidIsValid(cache->cmp_proc);
}

/*
 * The qualified equality operator of a type.
 */
static char *
equality_sql(Oid type)
{
	Oid			oper = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(oper));
	Form_pg_operator form;
	char	   *sql;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", oper);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	sql = psprintf("OPERATOR(%s.%s)",
				   quote_identifier(get_namespace_name(form->oprnamespace)),
				   NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return sql;
}

/*
 * Appends expressions for the columns of a relation called alias, whose names
 * there are c1, c2 ...; only the keys, or all.
 */
static void
append_columns(StringInfo buf, const EsView *view, const char *alias,
			   bool keys_only)
{
	ListCell   *lc;
	bool		first = true;

	foreach(lc, view->columns)
	{
		if (keys_only && !((EsViewColumn *) lfirst(lc))->is_key)
			continue;
		appendStringInfo(buf, "%s%s.c%d", first ? "" : ", ", alias,
						 foreach_current_index(lc) + 1);
		first = false;
	}
}

/*
 * A condition: the columns are equal, the keys or the others.
 */
static void
append_equal(StringInfo buf, const EsView *view, bool keys)
{
	ListCell   *lc;
	bool		first = true;

	foreach(lc, view->columns)
	{
		EsViewColumn *column = lfirst(lc);
		int			n = foreach_current_index(lc) + 1;
		bool		comparable = is_comparable(column->type);
		const char *cast = comparable ? "" : "::pg_catalog.text";
		const char *equals = equality_sql(comparable ? column->type : TEXTOID);

		if (column->is_key != keys)
			continue;
		if (!first)
			appendStringInfoString(buf, " AND ");
		first = false;
		if (column->not_null)
			appendStringInfo(buf, "e.c%d%s %s t.c%d%s", n, cast, equals, n, cast);
		else
			appendStringInfo(buf, "coalesce(e.c%d%s %s t.c%d%s, e.c%d IS NULL AND t.c%d IS NULL)",
							 n, cast, equals, n, cast, n, n);
	}
	if (first)
		appendStringInfoString(buf, "true");
}

/*
 * A scalar subquery: a row as jsonb, from columns alias.c1, alias.c2 ...
 */
static void
append_row(StringInfo buf, const EsView *view, const char *alias)
{
	const char *row = "es_row";
	ListCell   *lc;

	/* A column of that name would be taken for the row. */
	for (lc = list_head(view->columns); lc != NULL;)
	{
		if (strcmp(((EsViewColumn *) lfirst(lc))->name, row) == 0)
		{
			row = psprintf("%s_", row);
			lc = list_head(view->columns);
		}
		else
			lc = lnext(view->columns, lc);
	}

	appendStringInfo(buf, "(SELECT pg_catalog.to_jsonb(%s) FROM (SELECT ", row);
	foreach(lc, view->columns)
	{
		int			n = foreach_current_index(lc) + 1;

		appendStringInfo(buf, "%s%s.c%d AS %s", n > 1 ? ", " : "", alias, n,
						 quote_identifier(((EsViewColumn *) lfirst(lc))->name));
	}
	appendStringInfo(buf, ") AS %s)", row);
}

/*
 * c1, c2 ..., for a list of aliases.
 */
static void
append_aliases(StringInfo buf, const EsView *view)
{
	int			i;

	for (i = 1; i <= list_length(view->columns); i++)
		appendStringInfo(buf, "%sc%d", i > 1 ? ", " : "", i);
}

/*
 * The columns by their names; comparable: those that are not as text.
 */
static void
append_names(StringInfo buf, const EsView *view, const char *alias,
			 bool comparable)
{
	ListCell   *lc;

	foreach(lc, view->columns)
	{
		EsViewColumn *column = lfirst(lc);

		appendStringInfo(buf, "%s%s.%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 alias, quote_identifier(column->name),
						 comparable && !is_comparable(column->type) ? "::pg_catalog.text" : "");
	}
}

static void
append_keyed(StringInfo buf, const EsView *view, const char *table,
			 const char *query)
{
	ListCell   *lc;
	bool		nullable = false;

	foreach(lc, view->columns)
	{
		EsViewColumn *column = lfirst(lc);

		nullable |= column->is_key && !column->not_null;
	}

	appendStringInfoString(buf,
						   "SELECT CASE WHEN t.m IS NULL THEN 'missing'::pg_catalog.text"
						   " WHEN e.m IS NULL THEN 'unexpected' ELSE 'different' END AS difference,"
						   " CASE WHEN e.m THEN ");
	append_row(buf, view, "e");
	appendStringInfoString(buf, " END AS expected, CASE WHEN t.m THEN ");
	append_row(buf, view, "t");
	appendStringInfoString(buf, " END AS actual FROM (SELECT true, ");
	append_names(buf, view, "es_query", false);
	appendStringInfo(buf, " FROM (%s) AS es_query) AS e (m, ", query);
	append_aliases(buf, view);
	appendStringInfoString(buf, ") FULL JOIN (SELECT true, ");
	append_names(buf, view, "es_table", false);
	appendStringInfo(buf, " FROM %s AS es_table) AS t (m, ", table);
	append_aliases(buf, view);
	appendStringInfoString(buf, ") ON ");
	if (nullable)
	{
		appendStringInfoString(buf, "ROW(");
		append_columns(buf, view, "e", true);
		appendStringInfoString(buf, ")::pg_catalog.record OPERATOR(pg_catalog.=) ROW(");
		append_columns(buf, view, "t", true);
		appendStringInfoString(buf, ")::pg_catalog.record");
	}
	else
		append_equal(buf, view, true);
	appendStringInfoString(buf, " WHERE e.m IS NULL OR t.m IS NULL OR NOT (");
	append_equal(buf, view, false);
	appendStringInfoChar(buf, ')');
}

static void
append_counted(StringInfo buf, const EsView *view, const char *table,
			   const char *query)
{
	appendStringInfoString(buf,
						   "SELECT CASE WHEN d.n OPERATOR(pg_catalog.>) 0::bigint THEN 'missing'::pg_catalog.text"
						   " ELSE 'unexpected' END AS difference,"
						   " CASE WHEN d.n OPERATOR(pg_catalog.>) 0::bigint THEN ");
	append_row(buf, view, "d");
	appendStringInfoString(buf, " END AS expected,"
						   " CASE WHEN d.n OPERATOR(pg_catalog.<) 0::bigint THEN ");
	append_row(buf, view, "d");
	appendStringInfoString(buf, " END AS actual FROM (SELECT ");
	append_columns(buf, view, "u", false);
	appendStringInfoString(buf, ", pg_catalog.count(*) FILTER (WHERE u.expected)"
						   " OPERATOR(pg_catalog.-) pg_catalog.count(*) FILTER (WHERE NOT u.expected)"
						   " FROM (SELECT true, ");
	append_names(buf, view, "es_query", true);
	appendStringInfo(buf, " FROM (%s) AS es_query UNION ALL SELECT false, ", query);
	append_names(buf, view, "es_table", true);
	appendStringInfo(buf, " FROM %s AS es_table) AS u (expected, ", table);
	append_aliases(buf, view);
	appendStringInfoString(buf, ") GROUP BY ");
	append_columns(buf, view, "u", false);
	appendStringInfoString(buf, ") AS d (");
	append_aliases(buf, view);
	appendStringInfoString(buf, ", n), pg_catalog.generate_series(1::bigint, pg_catalog.abs(d.n))"
						   " WHERE d.n OPERATOR(pg_catalog.<>) 0::bigint");
}

char *
es_view_verify_sql(const EsView *view, const char *table, const char *source)
{
	StringInfoData buf;
	char	   *query = es_view_query_sql(view);

	initStringInfo(&buf);
	if (source != NULL)
		appendStringInfo(&buf, "WITH " ES_LOG_NAME " AS NOT MATERIALIZED (%s) ", source);
	if (view->shape == ES_VIEW_PLAIN)
		append_counted(&buf, view, table, query);
	else
		append_keyed(&buf, view, table, query);
	return buf.data;
}
