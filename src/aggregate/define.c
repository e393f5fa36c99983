/*-------------------------------------------------------------------------
 *
 * define.c
 *	  es_create_aggregate, es_alter_aggregate, es_drop_aggregate.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "aggregate/fold.h"
#include "catalog/statement.h"
#include "core/compat.h"
#include "core/names.h"

PG_FUNCTION_INFO_V1(es_create_aggregate);
PG_FUNCTION_INFO_V1(es_alter_aggregate);
PG_FUNCTION_INFO_V1(es_drop_aggregate);

/* Columns of es_aggregates, as the statements number them */
enum
{
	NAME, CATEGORY, EVOLVE, INITIAL_STATE, DECIDE, SNAPSHOT_EVERY, KEEP, OWNER,
	SETTINGS, N_COLUMNS
};

static Oid	column_types[N_COLUMNS] = {
	TEXTOID, TEXTOID, TEXTOID, JSONBOID, TEXTOID, INT4OID, INT4OID, NAMEOID,
	TEXTARRAYOID
};

static const char *const insert_sql =
	"INSERT INTO %s.es_aggregates (name, category, evolve, initial_state, decide, snapshot_every, keep, owner, settings)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/* 0 stands for NULL */
static const char *const update_sql =
	"UPDATE %s.es_aggregates SET evolve = coalesce($3, evolve), initial_state = coalesce($4, initial_state),"
	" decide = coalesce($5, decide), snapshot_every = nullif(coalesce($6, snapshot_every), 0),"
	" keep = nullif(coalesce($7, keep), 0), owner = coalesce($8, owner), settings = coalesce($9, settings)"
	" WHERE name = $1";

static const char *const delete_sql =
	"DELETE FROM %s.es_aggregates WHERE name = $1";

/*
 * Columns to be written.
 */
typedef struct Row
{
	Datum		values[N_COLUMNS];
	char		nulls[N_COLUMNS + 1];
} Row;

static void
set_column(Row *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = ' ';
}

/*
 * Returns the first argument, the name of an aggregate.
 */
static char *
get_name(FunctionCallInfo fcinfo)
{
	text	   *name;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name must not be null")));
	name = PG_GETARG_TEXT_PP(0);
	es_name_check("name of an aggregate", VARDATA_ANY(name),
				  VARSIZE_ANY_EXHDR(name), ES_MAX_AGGREGATE);
	return text_to_cstring(name);
}

/*
 * Makes sure that a category can be one.
 */
static void
check_category(const char *category)
{
	es_name_check("category", category, strlen(category), ES_MAX_AGGREGATE);
	if (strchr(category, '-') != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("category \"%s\" has a hyphen in it", category),
				 errdetail("The category of a stream is what stands before the first hyphen of its id."),
				 errhint("Give the category: es_create_aggregate(name, category => ...).")));
}

/*
 * Takes over a number that must not be below a limit.
 */
static void
take_number(Row *row, int column, FunctionCallInfo fcinfo, int argument,
			const char *name, int minimum, const char *hint)
{
	if (PG_ARGISNULL(argument))
		return;
	if (PG_GETARG_INT32(argument) < minimum)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be at least %d", name, minimum),
				 errdetail("It is %d.", PG_GETARG_INT32(argument)),
				 errhint("%s", hint)));
	set_column(row, column, PG_GETARG_DATUM(argument));
}

/*
 * Takes over the name of a function.
 */
static void
take_function(Row *row, int column, Oid function)
{
	set_column(row, column,
			   CStringGetTextDatum(format_procedure_qualified(function)));
}

static void
set_owner(Row *row, Oid owner)
{
	Name		name = palloc0(NAMEDATALEN);

	namestrcpy(name, GetUserNameFromId(owner, false));
	set_column(row, OWNER, NameGetDatum(name));
}

/*
 * Runs a statement and makes sure that the aggregate, if there is one then, can
 * be made ready to run.
 */
static void
write_row(const EsStore *store, const char *sql, Row *row, const char *name)
{
	const EsAggregate *aggregate;

	SPI_connect();
	(void) es_catalog_execute(store, sql, N_COLUMNS, column_types,
							  row->values, row->nulls, false);
	SPI_finish();
	aggregate = es_aggregate_lookup(store, name);
	if (aggregate != NULL)
	{
		es_aggregate_check_usable(aggregate);
		es_fold_end(es_fold_begin(store, aggregate));
	}
}

/*
 * SQL: es_create_aggregate(name text, category text, evolve regproc,
 * initial_state jsonb, snapshot_every integer, keep integer, decide regproc)
 * returns void
 */
Datum
es_create_aggregate(PG_FUNCTION_ARGS)
{
	char	   *name = get_name(fcinfo);
	char	   *category = PG_ARGISNULL(1) ? name :
		text_to_cstring(PG_GETARG_TEXT_PP(1));
	EsStore		store;
	Row			row;

	PreventCommandIfReadOnly("es_create_aggregate()");
	es_catalog_get_store(&store);
	check_category(category);
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("evolve must not be null")));
	es_check_evolve(&store, PG_GETARG_OID(2), !PG_ARGISNULL(3));

	memset(row.nulls, 'n', sizeof(row.nulls));
	set_column(&row, NAME, CStringGetTextDatum(name));
	set_column(&row, CATEGORY, CStringGetTextDatum(category));
	take_function(&row, EVOLVE, PG_GETARG_OID(2));
	if (!PG_ARGISNULL(3))
		set_column(&row, INITIAL_STATE, PG_GETARG_DATUM(3));
	take_number(&row, SNAPSHOT_EVERY, fcinfo, 4, "snapshot_every", 1,
				"NULL saves no snapshots.");
	take_number(&row, KEEP, fcinfo, 5, "keep", 1, "NULL keeps all.");
	if (!PG_ARGISNULL(6))
	{
		es_check_decide(PG_GETARG_OID(6));
		take_function(&row, DECIDE, PG_GETARG_OID(6));
	}
	set_owner(&row, GetUserId());
	set_column(&row, SETTINGS, es_user_code_capture_settings());

	if (es_aggregate_lookup(&store, name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("aggregate \"%s\" already exists", name),
				 errhint("es_alter_aggregate() changes it.")));
	write_row(&store, insert_sql, &row, name);
	PG_RETURN_VOID();
}

/*
 * Finds the aggregate that is to be changed, which the user must own.
 */
static const EsAggregate *
find_own(const EsStore *store, const char *name)
{
	const EsAggregate *aggregate = es_aggregate_lookup(store, name);

	if (aggregate == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("aggregate \"%s\" does not exist", name),
				 errhint("The table es_aggregates lists those that do.")));
	es_aggregate_check_owner(aggregate);
	return aggregate;
}

/*
 * SQL: es_alter_aggregate(name text, evolve regproc, initial_state jsonb,
 * snapshot_every integer, keep integer, decide regproc, owner name) returns
 * void
 */
Datum
es_alter_aggregate(PG_FUNCTION_ARGS)
{
	char	   *name = get_name(fcinfo);
	const EsAggregate *aggregate;
	EsStore		store;
	Row			row;

	PreventCommandIfReadOnly("es_alter_aggregate()");
	es_catalog_get_store(&store);
	aggregate = find_own(&store, name);

	memset(row.nulls, 'n', sizeof(row.nulls));
	set_column(&row, NAME, CStringGetTextDatum(name));
	if (!PG_ARGISNULL(1))
	{
		es_check_evolve(&store, PG_GETARG_OID(1),
						!PG_ARGISNULL(2) || !aggregate->initial_isnull);
		take_function(&row, EVOLVE, PG_GETARG_OID(1));
		/* names in it mean what they mean to who gives it */
		set_column(&row, SETTINGS, es_user_code_capture_settings());
	}
	if (!PG_ARGISNULL(2))
		set_column(&row, INITIAL_STATE, PG_GETARG_DATUM(2));
	take_number(&row, SNAPSHOT_EVERY, fcinfo, 3, "snapshot_every", 0,
				"0 saves no snapshots any more.");
	take_number(&row, KEEP, fcinfo, 4, "keep", 0, "0 keeps all.");
	if (!PG_ARGISNULL(5))
	{
		es_check_decide(PG_GETARG_OID(5));
		take_function(&row, DECIDE, PG_GETARG_OID(5));
	}
	if (!PG_ARGISNULL(6))
	{
		Oid			owner = get_role_oid(NameStr(*PG_GETARG_NAME(6)), false);

		check_can_set_role_compat(GetUserId(), owner);
		set_owner(&row, owner);
	}
	write_row(&store, update_sql, &row, name);
	PG_RETURN_VOID();
}

/*
 * SQL: es_drop_aggregate(name text) returns void
 */
Datum
es_drop_aggregate(PG_FUNCTION_ARGS)
{
	char	   *name = get_name(fcinfo);
	Oid			types[] = {TEXTOID};
	Datum		values[1];
	EsStore		store;

	PreventCommandIfReadOnly("es_drop_aggregate()");
	es_catalog_get_store(&store);
	(void) find_own(&store, name);
	(void) es_snapshot_delete(&store, name);
	values[0] = CStringGetTextDatum(name);
	SPI_connect();
	(void) es_catalog_execute(&store, delete_sql, 1, types, values, NULL,
							  false);
	SPI_finish();
	PG_RETURN_VOID();
}
