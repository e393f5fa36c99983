/*-------------------------------------------------------------------------
 *
 * alter.c
 *	  Pause, resume, rename, drop, and change projections.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  All of them lock the store, then the projection's tasks, which waits for
 *	  a batch that is running, and for an inline projection es_events against
 *	  appends: nobody runs the projection while it changes, or knows it as it
 *	  was.
 *
 *	  Tables are changed as the current user: what he may do to them,
 *	  PostgreSQL says.  A table that its owner has dropped or renamed himself
 *	  is in nobody's way here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "core/compat.h"
#include "core/partition.h"
#include "projection/projection.h"

PG_FUNCTION_INFO_V1(es_pause_projection);
PG_FUNCTION_INFO_V1(es_resume_projection);
PG_FUNCTION_INFO_V1(es_rename_projection);
PG_FUNCTION_INFO_V1(es_drop_projection);
PG_FUNCTION_INFO_V1(es_alter_projection);

static const char *const set_paused_sql =
	"UPDATE %s.es_projection_definitions SET paused = $2 WHERE id = $1";

static const char *const set_name_sql =
	"UPDATE %s.es_projection_definitions SET name = $2 WHERE id = $1";

static const char *const set_options_sql =
	"UPDATE %s.es_projection_definitions SET on_error = coalesce($2, on_error),"
	" max_retries = CASE WHEN $3 IS NULL THEN max_retries WHEN $3 >= 0 THEN $3 END,"
	" batch_size = CASE WHEN $4 IS NULL THEN batch_size WHEN $4 > 0 THEN $4 END,"
	" categories = CASE WHEN $5 IS NULL THEN categories ELSE nullif($5, '{}') END,"
	" event_types = CASE WHEN $6 IS NULL THEN event_types ELSE nullif($6, '{}') END,"
	" tenants = CASE WHEN $7 IS NULL THEN tenants ELSE nullif($7, '{}') END,"
	" owner = coalesce($8, owner), partitions = coalesce($9, partitions)"
	" WHERE id = $1";

static const char *const delete_sql =
	"DELETE FROM %s.es_projection_definitions WHERE id = $1";

static const char *const delete_failures_sql =
	"DELETE FROM %s.es_projection_failures WHERE projection_id = $1";

static const char *const delete_dead_letters_sql =
	"DELETE FROM %s.es_dead_letters WHERE projection_id = $1";

/*
 * Locks the projection that the first argument names, and returns it, pinned.
 */
static EsProjection *
begin(EsStore *store, FunctionCallInfo fcinfo, const char *function)
{
	char	   *name = es_arg_projection_name(fcinfo, 0);
	EsProjection *projection;
	uint64		serial;

	PreventCommandIfReadOnly(function);
	if (!es_catalog_lock_store(store))
		es_catalog_get_store(store);	/* raises the error */
	projection = es_registry_find(store, name, false);

	/* Until nobody has changed it while we waited for the locks. */
	do
	{
		es_projection_check_owner(projection);
		serial = projection->serial;
		es_task_lock_all(projection);
		if (projection->is_inline)
			es_mode_lock_appends(store);
		projection = es_registry_find(store, name, false);
	} while (projection->serial != serial);
	es_projection_pin(projection);
	return projection;
}

/*
 * Runs a statement of ours whose first parameter is the projection's id.
 */
static void
change(const EsStore *store, const EsProjection *projection, const char *sql,
	   Oid type, Datum value)
{
	Oid			types[] = {INT4OID, type};
	Datum		values[] = {Int32GetDatum(projection->id), value};

	SPI_connect();
	(void) es_registry_execute(store, sql, OidIsValid(type) ? 2 : 1, types,
							   values, NULL);
	SPI_finish();
}

/*
 * Returns the qualified name of a table of the projection's, NULL if it is not
 * there (any more).
 */
static char *
get_table(Oid relid)
{
	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_RELATION)
		return NULL;
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/* ---------- pause and resume ---------- */

/*
 * SQL: es_pause_projection(name text) returns void
 */
Datum
es_pause_projection(PG_FUNCTION_ARGS)
{
	EsStore		store;
	EsProjection *projection = begin(&store, fcinfo, "es_pause_projection()");

	if (projection->is_inline)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("projection \"%s\" is inline and cannot be paused",
						projection->name),
				 errdetail("Events that are appended meanwhile would be lost to it."),
				 errhint("Make it async first, with es_alter_projection(name, mode => 'async').")));
	change(&store, projection, set_paused_sql, BOOLOID, BoolGetDatum(true));
	es_projection_unpin(projection);
	PG_RETURN_VOID();
}

/*
 * SQL: es_resume_projection(name text) returns void
 */
Datum
es_resume_projection(PG_FUNCTION_ARGS)
{
	EsStore		store;
	EsProjection *projection = begin(&store, fcinfo, "es_resume_projection()");

	change(&store, projection, delete_failures_sql, InvalidOid, 0);
	change(&store, projection, set_paused_sql, BOOLOID, BoolGetDatum(false));
	es_projection_unpin(projection);
	PG_RETURN_VOID();
}

/* ---------- rename ---------- */

/*
 * Gives a table another name, and moves it to another schema if it is given.
 */
static void
rename_table(Oid relid, const char *schema, const char *name)
{
	char	   *table = get_table(relid);
	char	   *old_schema;

	if (table == NULL)
		return;
	old_schema = get_namespace_name(get_rel_namespace(relid));
	if (schema != NULL && strcmp(schema, old_schema) != 0)
	{
		es_run_command(psprintf("ALTER TABLE %s SET SCHEMA %s", table,
							 quote_identifier(schema)));
		table = get_table(relid);
	}
	if (strcmp(get_rel_name(relid), name) != 0)
		es_run_command(psprintf("ALTER TABLE %s RENAME TO %s", table,
							 quote_identifier(name)));
}

/*
 * SQL: es_rename_projection(name text, new_name text) returns void
 */
Datum
es_rename_projection(PG_FUNCTION_ARGS)
{
	EsStore		store;
	EsProjection *projection = begin(&store, fcinfo, "es_rename_projection()");
	char	   *name = es_arg_projection_name(fcinfo, 1);

	if (es_registry_find(&store, name, true) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("projection \"%s\" already exists", name)));
	if (projection->kind == ES_PROJECTION_VIEW)
	{
		RangeVar   *range = makeRangeVarFromNameList(string_to_qualified_name_list_compat(name));

		rename_table(projection->relation, range->schemaname, range->relname);
		rename_table(projection->state_table, range->schemaname,
					 es_view_state_name(range->relname));
	}
	change(&store, projection, set_name_sql, TEXTOID, CStringGetTextDatum(name));
	es_projection_unpin(projection);
	PG_RETURN_VOID();
}

/* ---------- drop ---------- */

/*
 * SQL: es_drop_projection(name text, keep_table boolean) returns void
 */
Datum
es_drop_projection(PG_FUNCTION_ARGS)
{
	EsStore		store;
	EsProjection *projection = begin(&store, fcinfo, "es_drop_projection()");
	bool		keep_table = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);

	if (projection->kind == ES_PROJECTION_VIEW)
	{
		char	   *table = keep_table ? NULL : get_table(projection->relation);
		char	   *state = get_table(projection->state_table);

		if (table != NULL || state != NULL)
			es_run_command(psprintf("DROP TABLE %s%s%s", table ? table : "",
								 table && state ? ", " : "",
								 state ? state : ""));
	}
	change(&store, projection, delete_failures_sql, InvalidOid, 0);
	change(&store, projection, delete_dead_letters_sql, InvalidOid, 0);
	es_checkpoint_delete(&store, projection->id);
	change(&store, projection, delete_sql, InvalidOid, 0);
	es_projection_unpin(projection);
	PG_RETURN_VOID();
}

/* ---------- change ---------- */

/* Arguments of es_alter_projection */
enum
{
	ARG_NAME, ARG_MODE, ARG_PARTITIONS, ARG_ON_ERROR, ARG_MAX_RETRIES,
	ARG_BATCH_SIZE, ARG_CATEGORIES, ARG_EVENT_TYPES, ARG_TENANTS, ARG_OWNER
};

/* Parameters of set_options_sql */
enum
{
	ID, ON_ERROR, MAX_RETRIES, BATCH_SIZE, CATEGORIES, EVENT_TYPES, TENANTS,
	OWNER, PARTITIONS, N_OPTIONS
};

/*
 * What es_alter_projection is to change.
 */
typedef struct Options
{
	const char *mode;			/* NULL: leave it */
	int			partitions;		/* 0: leave it */
	char	   *owner;			/* NULL: leave it */
	bool		filter;			/* is there a new one? */
	Datum		values[N_OPTIONS];
	char		nulls[N_OPTIONS + 1];
} Options;

/*
 * Takes the arguments over.
 */
static void
get_options(FunctionCallInfo fcinfo, const EsProjection *projection,
			Options *options)
{
	const char *on_error = es_arg_word(fcinfo, ARG_ON_ERROR, "on_error",
									   "stop", "skip");
	Datum	   *values = options->values;
	char	   *nulls = options->nulls;

	memset(options, 0, sizeof(*options));
	memset(nulls, 'n', N_OPTIONS);
	values[ID] = Int32GetDatum(projection->id);
	nulls[ID] = ' ';
	options->mode = es_arg_word(fcinfo, ARG_MODE, "mode", "async", "inline");
	if (on_error != NULL)
	{
		values[ON_ERROR] = CStringGetTextDatum(on_error);
		nulls[ON_ERROR] = ' ';
	}
	if (es_arg_number(fcinfo, ARG_MAX_RETRIES, "max_retries", -1, PG_INT32_MAX,
					  &values[MAX_RETRIES]))
		nulls[MAX_RETRIES] = ' ';
	if (es_arg_number(fcinfo, ARG_BATCH_SIZE, "batch_size", 0, PG_INT32_MAX,
					  &values[BATCH_SIZE]))
		nulls[BATCH_SIZE] = ' ';
	if (es_arg_texts(fcinfo, ARG_CATEGORIES, "categories", true,
					 &values[CATEGORIES]))
		nulls[CATEGORIES] = ' ';
	if (es_arg_texts(fcinfo, ARG_EVENT_TYPES, "event_types", true,
					 &values[EVENT_TYPES]))
		nulls[EVENT_TYPES] = ' ';
	if (es_arg_texts(fcinfo, ARG_TENANTS, "tenants", true, &values[TENANTS]))
		nulls[TENANTS] = ' ';
	options->filter = nulls[CATEGORIES] == ' ' || nulls[EVENT_TYPES] == ' ' ||
		nulls[TENANTS] == ' ';
	if (!PG_ARGISNULL(ARG_OWNER))
	{
		options->owner = pstrdup(NameStr(*PG_GETARG_NAME(ARG_OWNER)));
		values[OWNER] = PG_GETARG_DATUM(ARG_OWNER);
		nulls[OWNER] = ' ';
	}
	if (es_arg_number(fcinfo, ARG_PARTITIONS, "partitions", 1,
					  ES_MAX_PARTITIONS, &values[PARTITIONS]))
	{
		options->partitions = DatumGetInt32(values[PARTITIONS]);
		nulls[PARTITIONS] = ' ';
	}
}

/*
 * Splits the projection anew: brings all its partitions to one position, and
 * begins with the new ones there.
 */
static void
split(const EsStore *store, EsProjection *projection, int partitions)
{
	EsCheckpoint total = {0};
	EsCheckpoint checkpoint;
	int			i;

	for (i = 0; i < projection->partitions; i++)
	{
		if (es_checkpoint_read(store, projection->id, i, &checkpoint))
			total.position = Max(total.position, checkpoint.position);
	}
	for (i = 0; i < projection->partitions; i++)
	{
		(void) es_task_catch_up(store, projection, i, total.position);
		if (!es_checkpoint_read(store, projection->id, i, &checkpoint))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("projection \"%s\" has no checkpoint for partition %d",
							projection->name, i),
					 errhint("Rebuild it with es_rebuild.")));
		total.events += checkpoint.events;
		total.batches += checkpoint.batches;
		total.applied_at = Max(total.applied_at, checkpoint.applied_at);
	}
	es_checkpoint_delete(store, projection->id);
	for (i = 0; i < partitions; i++)
	{
		es_checkpoint_write(store, projection->id, i, &total);
		total.events = total.batches = 0;
	}
	change(store, projection, delete_failures_sql, InvalidOid, 0);
}

/*
 * Moves the checkpoints over the events that the projection does not take as
 * it is now: a worker has passed them, perhaps, and only it knows.  A filter
 * that takes them must not find them again.
 */
static void
settle(const EsStore *store, EsProjection *projection)
{
	int64		head = es_task_head(store);
	int			i;

	PushActiveSnapshot(GetTransactionSnapshot());
	for (i = 0; i < projection->partitions; i++)
	{
		EsCheckpoint checkpoint;
		int64		position;
		bool		found = false;

		if (!es_checkpoint_read(store, projection->id, i, &checkpoint))
			continue;
		position = checkpoint.position;
		while (position < head && !found)
		{
			EsBatch    *batch = es_batch_read(store, projection, i, position,
											  head, 1);

			CHECK_FOR_INTERRUPTS();
			found = batch->nevents > 0;
			position = found ? batch->upto - 1 : batch->upto;
			es_batch_end(batch);
		}
		if (position == checkpoint.position)
			continue;
		checkpoint.position = position;
		es_checkpoint_write(store, projection->id, i, &checkpoint);
	}
	PopActiveSnapshot();
}

/*
 * Raises an error unless the projection can be split so.
 */
static void
check_split(const EsStore *store, const EsProjection *projection,
			int partitions, bool is_inline)
{
	if (partitions > 1 && (is_inline || projection->kind == ES_PROJECTION_REFRESH))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("projection \"%s\" cannot be split into partitions",
						projection->name),
				 is_inline ?
				 errdetail("It is inline: an appending transaction runs all of it.") :
				 errdetail("It refreshes a materialized view.")));
	if (partitions > 1 && projection->kind == ES_PROJECTION_VIEW)
	{
		EsRunAs		saved;

		es_run_as(store, projection, &saved);
		es_view_check_mode(es_view_of(store, projection), projection->name,
						   partitions, false);
		es_run_as_end(&saved);
	}
}

/*
 * Makes the tables of a view another role's.
 */
static void
change_owner(const EsProjection *projection, const char *owner)
{
	Oid			tables[] = {projection->relation, projection->state_table};
	int			i;

	check_can_set_role_compat(GetUserId(), get_role_oid(owner, false));
	if (projection->kind != ES_PROJECTION_VIEW)
		return;
	for (i = 0; i < (int) lengthof(tables); i++)
	{
		char	   *table = get_table(tables[i]);

		if (table != NULL)
			es_run_command(psprintf("ALTER TABLE %s OWNER TO %s", table,
								 quote_identifier(owner)));
	}
}

/*
 * Changes all but the mode; returns the projection as it is now, pinned.
 */
static EsProjection *
change_options(const EsStore *store, EsProjection *projection,
			   Options *options)
{
	static Oid	types[N_OPTIONS] = {
		INT4OID, TEXTOID, INT4OID, INT4OID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, NAMEOID, INT4OID
	};

	if (options->owner != NULL)
		change_owner(projection, options->owner);
	if (options->filter && !projection->is_inline)
		settle(store, projection);
	if (options->partitions > 0 && options->partitions != projection->partitions)
		split(store, projection, options->partitions);
	SPI_connect();
	(void) es_registry_execute(store, set_options_sql, N_OPTIONS, types,
							   options->values, options->nulls);
	SPI_finish();
	if (options->filter && projection->kind == ES_PROJECTION_VIEW)
		ereport(NOTICE,
				(errmsg("the new filter of projection \"%s\" holds for events to come",
						projection->name),
				 errhint("es_rebuild(name) applies it to all events.")));

	es_projection_unpin(projection);
	projection = es_registry_find_id(store, projection->id);
	es_projection_pin(projection);
	if (options->owner != NULL)
	{
		es_apply_check(store, projection);
		if (projection->is_inline)
			es_mode_check_owner(store, projection);
	}
	return projection;
}

/*
 * SQL: es_alter_projection(name text, mode text, partitions integer,
 *		on_error text, max_retries integer, batch_size integer,
 *		categories text[], event_types text[], tenants text[], owner name)
 *		returns void
 */
Datum
es_alter_projection(PG_FUNCTION_ARGS)
{
	EsStore		store;
	EsProjection *projection = begin(&store, fcinfo, "es_alter_projection()");
	int32		id = projection->id;
	Options		options;
	bool		is_inline;

	get_options(fcinfo, projection, &options);
	is_inline = options.mode == NULL ? projection->is_inline :
		strcmp(options.mode, "inline") == 0;
	check_split(&store, projection, options.partitions, is_inline);
	if (is_inline != projection->is_inline)
		es_mode_prepare(&store);

	if (projection->is_inline && !is_inline)
	{
		es_mode_set_async(&store, projection);
		projection = es_registry_find_id(&store, id);
		es_projection_pin(projection);
	}
	projection = change_options(&store, projection, &options);
	if (is_inline && !projection->is_inline)
	{
		if (projection->paused)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("projection \"%s\" is paused and cannot be made inline",
							projection->name),
					 errhint("Resume it first, with es_resume_projection(name).")));
		es_mode_set_inline(&store, projection);
	}
	PG_RETURN_VOID();
}
