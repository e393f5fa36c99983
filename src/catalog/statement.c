/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  Statements of our own on the extension's tables.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "catalog/statement.h"

/* In which nobody can have planted anything; the workers have it anyway. */
#define SAFE_SEARCH_PATH	"pg_catalog, pg_temp"

/*
 * A statement, prepared.
 */
typedef struct CachedStatement
{
	const char *sql;			/* with %s; its address is the key */
	Oid			namespace_oid;
	char	   *schema;
	SPIPlanPtr	plan;
} CachedStatement;

static List *statements = NIL;	/* of CachedStatement *, in TopMemoryContext */

/*
 * Returns sql with the schema in place of each %s.
 */
static char *
put_schema(const char *sql, const char *schema)
{
	StringInfoData buf;
	const char *at = sql;
	const char *next;

	initStringInfo(&buf);
	while ((next = strstr(at, "%s")) != NULL)
	{
		appendBinaryStringInfo(&buf, at, next - at);
		appendStringInfoString(&buf, schema);
		at = next + 2;
	}
	appendStringInfoString(&buf, at);
	return buf.data;
}

/*
 * Returns the saved plan of a statement, made anew when the schema has changed.
 */
static SPIPlanPtr
get_plan(const EsStore *store, const char *sql, int nargs, Oid *types)
{
	const char *schema = quote_identifier(get_namespace_name(store->namespace_oid));
	CachedStatement *statement = NULL;
	MemoryContext previous;
	ListCell   *lc;
	SPIPlanPtr	plan;

	foreach(lc, statements)
	{
		CachedStatement *candidate = lfirst(lc);

		if (candidate->sql == sql)
			statement = candidate;
	}
	if (statement != NULL && statement->plan != NULL &&
		statement->namespace_oid == store->namespace_oid &&
		strcmp(statement->schema, schema) == 0)
		return statement->plan;

	plan = SPI_prepare(put_schema(sql, schema), nargs, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", sql,
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);

	previous = MemoryContextSwitchTo(TopMemoryContext);
	if (statement == NULL)
	{
		statement = palloc0(sizeof(CachedStatement));
		statement->sql = sql;
		statements = lappend(statements, statement);
	}
	if (statement->plan != NULL)
		SPI_freeplan(statement->plan);
	if (statement->schema != NULL)
		pfree(statement->schema);
	statement->plan = plan;
	statement->schema = pstrdup(schema);
	statement->namespace_oid = store->namespace_oid;
	MemoryContextSwitchTo(previous);
	return plan;
}

uint64
es_catalog_execute(const EsStore *store, const char *sql, int nargs,
				   Oid *types, Datum *values, const char *nulls,
				   bool read_only)
{
	Oid			userid;
	int			sec_context;
	int			guc_level = NewGUCNestLevel();
	int			result;

	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(store->owner,
						   sec_context | SECURITY_LOCAL_USERID_CHANGE);
	if (strcmp(namespace_search_path, SAFE_SEARCH_PATH) != 0)
		(void) set_config_option("search_path", SAFE_SEARCH_PATH,
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
	result = SPI_execute_plan(get_plan(store, sql, nargs, types), values,
							  nulls, read_only, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", sql,
			 SPI_result_code_string(result));

	/* After an error the end of the (sub)transaction restores both. */
	AtEOXact_GUC(false, guc_level);
	SetUserIdAndSecContext(userid, sec_context);
	return SPI_processed;
}
