/*-------------------------------------------------------------------------
 *
 * views.c
 *	  Projections that are a SELECT over es_log, kept in a table.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A batch is merged into the table by one statement (room view).  There
 *	  are two of them: one reads a batch; the other reads the log itself,
 *	  from a position to another, which is quicker where there is much to
 *	  catch up on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "projection/projection.h"
#include "view/view.h"

typedef struct PreparedView
{
	char	   *table;			/* names that the statements have */
	char	   *state;			/* NULL: there is none */
	bool		has_pieces;		/* do they order by the number of the piece? */
	SPIPlanPtr	merge_batch;
	SPIPlanPtr	merge_range;	/* with parameters: after, upto */
} PreparedView;

static void
free_plans(void *prepared)
{
	PreparedView *view = prepared;

	if (view->merge_batch != NULL)
		SPI_freeplan(view->merge_batch);
	if (view->merge_range != NULL)
		SPI_freeplan(view->merge_range);
}

/*
 * Appends the condition that a column's value is one of a list.
 */
static void
append_filter(StringInfo sql, const char *expression, List *values)
{
	ListCell   *lc;

	if (values == NIL)
		return;
	appendStringInfo(sql, " AND %s OPERATOR(pg_catalog.=) ANY (ARRAY[",
					 expression);
	foreach(lc, values)
		appendStringInfo(sql, "%s%s::pg_catalog.text",
						 lc == list_head(values) ? "" : ", ",
						 quote_literal_cstr(lfirst(lc)));
	appendStringInfoString(sql, "])");
}

char *
es_view_source(const EsStore *store, const EsProjection *projection)
{
	const char *schema = quote_identifier(get_namespace_name(store->namespace_oid));
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT * FROM %s.es_log l"
					 " WHERE l.position OPERATOR(pg_catalog.>) $1"
					 " AND l.position OPERATOR(pg_catalog.<=) $2", schema);
	append_filter(&sql, psprintf("%s.es_category(l.stream_id)", schema),
				  projection->filter.categories);
	append_filter(&sql, "l.event_type", projection->filter.event_types);
	append_filter(&sql, "l.tenant_id", projection->filter.tenants);
	return sql.data;
}

EsView *
es_view_of(const EsStore *store, const EsProjection *projection)
{
	EsView	   *view = es_view_analyze(store, projection->query);

	if (view->needs_state != OidIsValid(projection->state_table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the tables of projection \"%s\" do not fit its query",
						projection->name),
				 errhint("Define it anew with es_alter_view.")));
	return view;
}

void
es_view_check_mode(const EsView *view, const char *name, int partitions,
				   bool is_inline)
{
	if (partitions > 1 && view->order_dependent && !view->keyed_by_stream)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("projection \"%s\" cannot be split into partitions",
						name),
				 errdetail("Its query has aggregates that depend on the order of events, over events of several streams; partitions apply those in no common order."),
				 errhint("Add stream_id to GROUP BY, or do without partitions.")));
	if (is_inline && view->uses_position)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("projection \"%s\" cannot be inline", name),
				 errdetail("Its query uses the position or time of commit of events, which are not known before the commit."),
				 errhint("Use mode async, or recorded_at, stream_id and version.")));
}

/*
 * Returns the name of a table of the view's.
 */
static char *
get_table(const EsProjection *projection, Oid relid)
{
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table of projection \"%s\" does not exist any more",
						projection->name),
				 errhint("Remove the projection with es_drop_projection, and create it again.")));
	return es_view_relation_name(relid);
}

/*
 * Forgets statements that name the tables as they are not called any more: the
 * owner has renamed them, or moved them to another schema.  And those that
 * were made when there were no upcasters, if there are any now.
 */
static void
check_statements(const EsStore *store, const EsProjection *projection,
				 PreparedView *prepared, const char *table, const char *state)
{
	bool		has_pieces = es_types_have_upcasters(store);

	if (prepared->table != NULL && strcmp(prepared->table, table) == 0 &&
		prepared->has_pieces == has_pieces &&
		(state == NULL || strcmp(prepared->state, state) == 0))
		return;
	free_plans(prepared);
	prepared->merge_batch = prepared->merge_range = NULL;
	prepared->has_pieces = has_pieces;
	prepared->table = MemoryContextStrdup(projection->context, table);
	prepared->state = state ?
		MemoryContextStrdup(projection->context, state) : NULL;
}

/*
 * Prepares one of the two statements, unless it is.
 */
static SPIPlanPtr
prepare(const EsStore *store, EsProjection *projection, bool range)
{
	PreparedView *prepared = projection->prepared;
	char	   *table = get_table(projection, projection->relation);
	char	   *state = OidIsValid(projection->state_table) ?
		get_table(projection, projection->state_table) : NULL;
	Oid			types[] = {INT8OID, INT8OID};
	EsView	   *view;
	char	   *sql;
	SPIPlanPtr *plan;

	if (prepared == NULL)
	{
		prepared = MemoryContextAllocZero(projection->context,
										  sizeof(PreparedView));
		projection->prepared = prepared;
		projection->free_prepared = free_plans;
	}
	check_statements(store, projection, prepared, table, state);
	plan = range ? &prepared->merge_range : &prepared->merge_batch;
	if (*plan != NULL)
		return *plan;

	view = es_view_of(store, projection);
	sql = es_view_merge_sql(view, table, state,
							range ? es_view_source(store, projection) : NULL);
	*plan = es_prepare_statement(sql, range ? 2 : 0, types);
	return *plan;
}

static void
check_view(const EsStore *store, EsProjection *projection)
{
	es_batch_register(store, NULL);
	es_check_statement(prepare(store, projection, false));
}

static void
run_view(const EsStore *store, EsProjection *projection, EsBatch *batch)
{
	if (batch->events != NULL)
	{
		es_batch_register(store, batch);
		es_run_statement(prepare(store, projection, false), NULL, NULL);
	}
	else
	{
		Datum		values[] = {
			Int64GetDatum(batch->after), Int64GetDatum(batch->upto)
		};

		es_run_statement(prepare(store, projection, true), values, NULL);
	}
}

const EsKindRoutine es_view_routine = {
	.check = check_view,
	.run = run_view
};
