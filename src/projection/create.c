/*-------------------------------------------------------------------------
 *
 * create.c
 *	  es_create_view and es_create_projection.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A projection is complete when the call returns: a view has taken in the
 *	  log up to the position that it begins at.  All of it happens in the
 *	  caller's transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "core/compat.h"
#include "core/partition.h"
#include "core/user_code.h"
#include "projection/rebuild.h"

PG_FUNCTION_INFO_V1(es_create_view);
PG_FUNCTION_INFO_V1(es_create_projection);

/* Columns of es_projection_definitions to insert */
enum
{
	NAME, OWNER, KIND, QUERY, STATEMENTS, HANDLERS, RELATION, TABLES,
	REFRESH_EVERY, CONCURRENTLY, ON_ERROR, MAX_RETRIES, BATCH_SIZE,
	PARTITIONS, CATEGORIES, EVENT_TYPES, TENANTS, SETTINGS, AFTER_POSITION,
	N_COLUMNS
};

static const char *const insert_sql =
	"INSERT INTO %s.es_projection_definitions (name, owner, kind, query, statements,"
	" handlers, relation, tables, refresh_every, refresh_concurrently, on_error, max_retries,"
	" batch_size, partitions, categories, event_types, tenants, settings, after_position)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";

static const char *const set_tables_sql =
	"UPDATE %s.es_projection_definitions SET relation = $2, state_table = $3 WHERE id = $1";

/*
 * A row to be inserted.
 */
typedef struct NewRow
{
	char	   *name;
	bool		is_inline;
	bool		from_now;
	int64		after_position;
	int32		partitions;
	Datum		values[N_COLUMNS];
	char		nulls[N_COLUMNS + 1];
} NewRow;

static void
set_column(NewRow *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = ' ';
}

static void
set_text(NewRow *row, int column, const char *value)
{
	set_column(row, column, CStringGetTextDatum(value));
}

/*
 * Takes an argument over as it is, if it is not NULL.
 */
static void
copy_argument(NewRow *row, int column, FunctionCallInfo fcinfo, int argument)
{
	if (!PG_ARGISNULL(argument))
		set_column(row, column, PG_GETARG_DATUM(argument));
}

/*
 * Takes over an array of texts that must not be empty or have NULLs.
 */
static void
copy_texts(NewRow *row, int column, FunctionCallInfo fcinfo, int argument,
		   const char *name)
{
	Datum		value;

	if (es_arg_texts(fcinfo, argument, name, false, &value))
		set_column(row, column, value);
}

/*
 * Takes over a number that must not be below a limit.
 */
static void
copy_number(NewRow *row, int column, FunctionCallInfo fcinfo, int argument,
			const char *name, int32 minimum)
{
	Datum		value;

	if (es_arg_number(fcinfo, argument, name, minimum, PG_INT32_MAX, &value))
		set_column(row, column, value);
}

/*
 * Returns an argument that must be one of two words; NULL is the first one.
 */
static const char *
get_word(FunctionCallInfo fcinfo, int argument, const char *name,
		 const char *first, const char *second)
{
	const char *word = es_arg_word(fcinfo, argument, name, first, second);

	return word != NULL ? word : first;
}

/*
 * Begins a row with what all kinds have: name, and the arguments from `first`
 * on: mode, after_position, partitions, categories, event_types, tenants,
 * on_error, max_retries, batch_size.
 */
static void
begin_row(NewRow *row, FunctionCallInfo fcinfo, int first)
{
	Name		owner = palloc(NAMEDATALEN);

	memset(row, 0, sizeof(*row));
	memset(row->nulls, 'n', N_COLUMNS);
	row->name = es_arg_projection_name(fcinfo, 0);
	set_text(row, NAME, row->name);
	namestrcpy(owner, GetUserNameFromId(GetUserId(), false));
	set_column(row, OWNER, NameGetDatum(owner));

	row->is_inline = strcmp(get_word(fcinfo, first, "mode", "async", "inline"),
							"inline") == 0;
	row->from_now = PG_ARGISNULL(first + 1);
	if (!row->from_now)
	{
		row->after_position = PG_GETARG_INT64(first + 1);
		if (row->after_position < 0)
			es_arg_raise("after_position", "must not be negative",
						  "0 begins at the first event, NULL at the next one.");
	}
	row->partitions = PG_ARGISNULL(first + 2) ? 1 : PG_GETARG_INT32(first + 2);
	if (row->partitions < 1 || row->partitions > ES_MAX_PARTITIONS)
		es_arg_raise("partitions",
					  psprintf("must be between 1 and %d", ES_MAX_PARTITIONS),
					  NULL);
	set_column(row, PARTITIONS, Int32GetDatum(row->partitions));
	copy_texts(row, CATEGORIES, fcinfo, first + 3, "categories");
	copy_texts(row, EVENT_TYPES, fcinfo, first + 4, "event_types");
	copy_texts(row, TENANTS, fcinfo, first + 5, "tenants");
	set_text(row, ON_ERROR, get_word(fcinfo, first + 6, "on_error", "stop", "skip"));
	copy_number(row, MAX_RETRIES, fcinfo, first + 7, "max_retries", 0);
	copy_number(row, BATCH_SIZE, fcinfo, first + 8, "batch_size", 1);
	set_column(row, CONCURRENTLY, BoolGetDatum(false));
	set_column(row, SETTINGS, es_user_code_capture_settings());
}

/*
 * Inserts the row and returns the projection.
 */
static EsProjection *
insert_row(const EsStore *store, NewRow *row)
{
	static Oid	types[N_COLUMNS] = {
		TEXTOID, NAMEOID, TEXTOID, TEXTOID, TEXTARRAYOID, JSONBOID,
		REGCLASSOID, REGCLASSARRAYOID, INTERVALOID, BOOLOID, TEXTOID, INT4OID,
		INT4OID, INT4OID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, INT8OID
	};

	if (es_registry_find(store, row->name, true) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("projection \"%s\" already exists", row->name)));
	SPI_connect();
	(void) es_registry_execute(store, insert_sql, N_COLUMNS, types,
							   row->values, row->nulls);
	SPI_finish();
	return es_registry_find(store, row->name, false);
}

/*
 * Writes the first checkpoints of a projection.
 */
static void
write_checkpoints(const EsStore *store, const EsProjection *projection,
				  int64 position, int64 events)
{
	int			i;

	for (i = 0; i < projection->partitions; i++)
	{
		EsCheckpoint checkpoint = {position, i == 0 ? events : 0, 0, 0};

		checkpoint.applied_at = GetCurrentTimestamp();
		es_checkpoint_write(store, projection->id, i, &checkpoint);
	}
}

/*
 * Sets and returns where the projection begins, as far as the log goes.
 */
static int64
set_start(NewRow *row, int64 head)
{
	int64		start = row->from_now ? head : row->after_position;

	if (start > head)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("after_position %lld is beyond the end of the log",
						(long long) row->after_position),
				 errdetail("The last position is %lld.", (long long) head)));
	set_column(row, AFTER_POSITION, Int64GetDatum(start));
	return start;
}

/*
 * Locks the store and gives it back; returns the last position of the log.
 */
static int64
begin(EsStore *store)
{
	PreventCommandIfReadOnly("creating a projection");
	if (!es_catalog_lock_store(store))
		es_catalog_get_store(store);	/* raises the error */
	return es_task_head(store);
}

/* ---------- views ---------- */

/*
 * Makes the table's name from that of the projection.
 */
static char *
get_table_name(const char *name, char **state)
{
	List	   *names = string_to_qualified_name_list_compat(name);
	RangeVar   *range = makeRangeVarFromNameList(names);
	Oid			schema_oid = RangeVarGetCreationNamespace(range);
	char	   *schema = get_namespace_name(schema_oid);
	char	   *base = range->relname;

	if (isAnyTempNamespace(schema_oid))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("the table of a projection cannot be temporary")));
	*state = quote_qualified_identifier(schema, es_view_state_name(base));
	return quote_qualified_identifier(schema, base);
}

static Oid
get_relation(const char *name)
{
	List	   *names = string_to_qualified_name_list_compat(name);

	return RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, false);
}

/*
 * Makes the tables, empty, as the owner; returns their names.
 */
static void
make_tables(const EsStore *store, EsProjection *projection, const NewRow *row,
			const char *table, const char *state)
{
	Oid			types[] = {INT4OID, REGCLASSOID, REGCLASSOID};
	Datum		values[lengthof(types)];
	EsRunAs		saved;
	EsView	   *view;
	ListCell   *lc;

	es_run_as(store, projection, &saved);
	SPI_connect();
	view = es_view_analyze(store, projection->query);
	es_view_check_mode(view, row->name, row->partitions, row->is_inline);
	foreach(lc, es_view_create_sql(view, table, view->needs_state ? state : NULL))
		es_run_command(lfirst(lc));
	values[0] = Int32GetDatum(projection->id);
	values[1] = ObjectIdGetDatum(get_relation(table));
	values[2] = ObjectIdGetDatum(view->needs_state ? get_relation(state) : InvalidOid);
	SPI_finish();
	es_run_as_end(&saved);

	SPI_connect();
	(void) es_registry_execute(store, set_tables_sql, lengthof(types), types,
							   values, OidIsValid(DatumGetObjectId(values[2])) ? NULL : "  n");
	SPI_finish();
}

/*
 * Fills the tables; returns the number of events.
 */
static int64
fill_tables(const EsStore *store, EsProjection *projection, int64 after,
			int64 upto)
{
	int64		events;
	List	   *heaps = es_view_build(store, projection, after, upto, -1, &events);
	EsRunAs		saved;

	es_run_as(store, projection, &saved);
	es_heap_swap(heaps);
	es_run_as_end(&saved);
	return events;
}

/*
 * SQL: es_create_view(name, query, mode, after_position, partitions,
 * categories, event_types, tenants, on_error, max_retries, batch_size)
 * returns regclass
 */
Datum
es_create_view(PG_FUNCTION_ARGS)
{
	EsStore		store;
	NewRow		row;
	EsProjection *projection;
	char	   *table;
	char	   *state;
	int64		head = begin(&store);
	int64		start;
	int64		events = 0;

	begin_row(&row, fcinfo, 2);
	if (PG_ARGISNULL(1))
		es_arg_raise("query", "must not be NULL", NULL);
	set_text(&row, KIND, "view");
	set_column(&row, QUERY, PG_GETARG_DATUM(1));
	start = set_start(&row, head);
	table = get_table_name(row.name, &state);

	if (row.is_inline)
		es_mode_prepare(&store);
	projection = insert_row(&store, &row);
	make_tables(&store, projection, &row, table, state);
	projection = es_registry_find(&store, row.name, false);
	es_projection_pin(projection);
	es_apply_check(&store, projection);
	events = fill_tables(&store, projection, start, head);
	write_checkpoints(&store, projection, head, events);
	if (row.is_inline)
		es_mode_set_inline(&store, projection);
	PG_RETURN_OID(projection->relation);
}

/* ---------- other kinds ---------- */

/* Arguments of es_create_projection */
enum
{
	ARG_NAME, ARG_STATEMENT, ARG_STATEMENTS, ARG_HANDLERS, ARG_REFRESH,
	ARG_MODE, ARG_AFTER_POSITION, ARG_PARTITIONS, ARG_CATEGORIES,
	ARG_EVENT_TYPES, ARG_TENANTS, ARG_ON_ERROR, ARG_MAX_RETRIES,
	ARG_BATCH_SIZE, ARG_TABLES, ARG_REFRESH_EVERY, ARG_CONCURRENTLY
};

/*
 * Makes sure that handlers are an object of texts or arrays of texts.
 */
static void
check_handlers(Jsonb *handlers)
{
	JsonbIterator *it = JsonbIteratorInit(&handlers->root);
	JsonbIteratorToken token;
	JsonbValue	item;
	int			n = 0;

	if (!JB_ROOT_IS_OBJECT(handlers))
		es_arg_raise("handlers", "must be an object of event types and SQL", NULL);
	while ((token = JsonbIteratorNext(&it, &item, false)) != WJB_DONE)
	{
		if (token != WJB_VALUE && token != WJB_ELEM)
			continue;
		if (item.type != jbvString)
			es_arg_raise("handlers",
						  "must have a text, or an array of texts, for each event type",
						  "Write '{\"OrderPlaced\": \"INSERT INTO ...\"}'.");
		n++;
	}
	if (n == 0)
		es_arg_raise("handlers", "must not be empty", NULL);
}

/*
 * Finds out which kind is asked for, and takes its arguments over.
 */
static void
take_kind(NewRow *row, FunctionCallInfo fcinfo)
{
	Datum		statement;

	if (PG_ARGISNULL(ARG_STATEMENT) + PG_ARGISNULL(ARG_STATEMENTS) +
		PG_ARGISNULL(ARG_HANDLERS) + PG_ARGISNULL(ARG_REFRESH) != 3)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("exactly one of statement, statements, handlers and refresh must be given")));
	if (!PG_ARGISNULL(ARG_STATEMENT))
	{
		statement = PG_GETARG_DATUM(ARG_STATEMENT);
		set_text(row, KIND, "statement");
		set_column(row, STATEMENTS,
				   PointerGetDatum(construct_array(&statement, 1, TEXTOID, -1,
												   false, TYPALIGN_INT)));
	}
	else if (!PG_ARGISNULL(ARG_STATEMENTS))
	{
		set_text(row, KIND, "statement");
		copy_texts(row, STATEMENTS, fcinfo, ARG_STATEMENTS, "statements");
	}
	else if (!PG_ARGISNULL(ARG_HANDLERS))
	{
		set_text(row, KIND, "handlers");
		check_handlers(PG_GETARG_JSONB_P(ARG_HANDLERS));
		copy_argument(row, HANDLERS, fcinfo, ARG_HANDLERS);
	}
	else
	{
		char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(ARG_REFRESH));
		Oid			relation = get_relation(name);

		if (get_rel_relkind(relation) != RELKIND_MATVIEW)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is not a materialized view", name)));
		set_text(row, KIND, "refresh");
		set_column(row, RELATION, ObjectIdGetDatum(relation));
		copy_argument(row, REFRESH_EVERY, fcinfo, ARG_REFRESH_EVERY);
		if (row->is_inline || row->partitions > 1)
			es_arg_raise("a projection that refreshes a materialized view",
						  "cannot be inline or split into partitions", NULL);
	}
	copy_argument(row, TABLES, fcinfo, ARG_TABLES);
	copy_argument(row, CONCURRENTLY, fcinfo, ARG_CONCURRENTLY);
}

/*
 * SQL: es_create_projection(name, statement, statements, handlers, refresh,
 * mode, after_position, partitions, categories, event_types, tenants,
 * on_error, max_retries, batch_size, tables, refresh_every, concurrently)
 * returns void
 */
Datum
es_create_projection(PG_FUNCTION_ARGS)
{
	EsStore		store;
	NewRow		row;
	EsProjection *projection;
	int64		head = begin(&store);
	int64		start;

	begin_row(&row, fcinfo, ARG_MODE);
	take_kind(&row, fcinfo);
	start = set_start(&row, head);
	if (row.is_inline)
		es_mode_prepare(&store);
	projection = insert_row(&store, &row);
	es_projection_pin(projection);
	es_apply_check(&store, projection);
	write_checkpoints(&store, projection, start, 0);
	if (row.is_inline)
		es_mode_set_inline(&store, projection);
	PG_RETURN_VOID();
}
