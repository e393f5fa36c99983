/*-------------------------------------------------------------------------
 *
 * build.c
 *	  Builds a view from the log, and tells how far it has come.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The query is a plain SELECT whose rows are written by this process: so
 *	  the planner can give it parallel workers, which take pieces of the log.
 *	  An INSERT ... SELECT would have none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "core/compat.h"
#include "ledger/logscan.h"
#include "projection/rebuild.h"
#include "view/view.h"

static const char *const dead_letters_sql =
	"SELECT d.position FROM %s.es_dead_letters d WHERE d.projection_id = $1 ORDER BY d.position";

/* What is being built */
static struct
{
	const EsProjection *projection;
	int64		after;
	int64		upto;
} progress;

/*
 * Called by scans of the log.
 */
static void
report(int64 position)
{
	if (position > progress.after && position <= progress.upto)
		es_task_report_progress(progress.projection, position - progress.after,
								progress.upto - progress.after);
}

void
es_progress_begin(const EsProjection *projection, int64 after, int64 upto)
{
	progress.projection = projection;
	progress.after = after;
	progress.upto = upto;
	es_task_report_progress(projection, 0, upto - after);
	es_log_scan_progress = report;
}

void
es_progress_end(void)
{
	es_log_scan_progress = NULL;
}

List *
es_rebuild_dead_letters(const EsStore *store, const EsProjection *projection)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(projection->id)};
	List	   *positions = NIL;
	uint64		n;
	uint64		i;

	SPI_connect();
	n = es_registry_query(store, dead_letters_sql, lengthof(types), types,
						  values, NULL);
	MemoryContextSwitchTo(context);
	for (i = 0; i < n; i++)
	{
		int64	   *position = palloc(sizeof(int64));
		bool		isnull;

		*position = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i],
												SPI_tuptable->tupdesc, 1,
												&isnull));
		positions = lappend(positions, position);
	}
	SPI_finish();
	MemoryContextSwitchTo(context);
	return positions;
}

char *
es_rebuild_source(const EsStore *store, const EsProjection *projection)
{
	char	   *source = es_view_source(store, projection);
	const char *comma = "";
	StringInfoData sql;
	ListCell   *lc;

	if (!projection->skip)
		return source;
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT * FROM (%s) l WHERE l.position OPERATOR(pg_catalog.<>) ALL ('{",
					 source);
	foreach(lc, es_rebuild_dead_letters(store, projection))
	{
		appendStringInfo(&sql, "%s%lld", comma, (long long) *(int64 *) lfirst(lc));
		comma = ",";
	}
	appendStringInfoString(&sql, "}'::pg_catalog.int8[])");
	return sql.data;
}

List *
es_rebuild_columns(Oid relid)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *names = NIL;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped &&
			!is_virtual_column_compat(TupleDescAttr(desc, i)))
			names = lappend(names, pstrdup(NameStr(TupleDescAttr(desc, i)->attname)));
	}
	relation_close(rel, NoLock);
	return names;
}

/*
 * Makes the heaps of a view: its table, and the state table if it has one.
 */
static List *
make_heaps(const EsProjection *projection, const EsView *view)
{
	List	   *names = NIL;
	List	   *heaps;
	ListCell   *lc;

	foreach(lc, view->columns)
		names = lappend(names, ((EsViewColumn *) lfirst(lc))->name);
	heaps = list_make1(es_heap_make(projection, projection->relation, names));
	if (view->needs_state)
	{
		EsNewHeap  *state = es_heap_make(projection, projection->state_table,
										 es_rebuild_columns(projection->state_table));

		state->first = list_length(names);
		heaps = lappend(heaps, state);
	}
	return heaps;
}

void
es_rebuild_set_workers(int workers)
{
	if (workers >= 0)
		(void) set_config_option("max_parallel_workers_per_gather",
								 psprintf("%d", workers), PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
}

/*
 * Counts the events of a range that the projection takes.
 */
static int64
count_events(const EsStore *store, const EsProjection *projection,
			 const char *source, Oid *types, Datum *values)
{
	/* There may be several rows of an event. */
	const char *count = es_types_have_upcasters(store) ?
		"DISTINCT e.position" : "*";
	bool		isnull;

	if (projection->filter.categories == NIL &&
		projection->filter.event_types == NIL &&
		projection->filter.tenants == NIL)
		return DatumGetInt64(values[1]) - DatumGetInt64(values[0]);
	(void) SPI_execute_with_args(psprintf("SELECT pg_catalog.count(%s) FROM (%s) e",
										  count, source),
								 2, types, values, NULL, true, 0);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Fills the heaps, as the owner and with SPI.
 */
static List *
build(const EsStore *store, EsProjection *projection, int64 after, int64 upto,
	  int workers, int64 *events)
{
	Oid			types[] = {INT8OID, INT8OID};
	Datum		values[] = {Int64GetDatum(after), Int64GetDatum(upto)};
	char	   *source = es_rebuild_source(store, projection);
	EsView	   *view = es_view_of(store, projection);
	List	   *heaps;

	es_rebuild_set_workers(workers);
	heaps = make_heaps(projection, view);
	(void) es_heap_fill(es_view_rows_sql(view, source), lengthof(types), types,
						values, heaps);
	*events = count_events(store, projection, source, types, values);
	return heaps;
}

/*
 * The same, telling how far it has come.
 */
static List *
build_with_progress(const EsStore *store, EsProjection *projection,
					int64 after, int64 upto, int workers, int64 *events)
{
	List	   *volatile heaps = NIL;

	es_progress_begin(projection, after, upto);
	PG_TRY();
	{
		heaps = build(store, projection, after, upto, workers, events);
	}
	PG_FINALLY();
	{
		es_progress_end();
	}
	PG_END_TRY();
	return heaps;
}

List *
es_view_build(const EsStore *store, EsProjection *projection, int64 after,
			  int64 upto, int workers, int64 *events)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *heaps;
	List	   *result = NIL;
	EsRunAs		saved;
	ListCell   *lc;

	es_run_as(store, projection, &saved);
	SPI_connect();
	heaps = build_with_progress(store, projection, after, upto, workers,
								events);

	/* what SPI's memory holds goes with it: columns, too */
	MemoryContextSwitchTo(context);
	foreach(lc, heaps)
	{
		EsNewHeap  *heap = palloc(sizeof(EsNewHeap));

		*heap = *(EsNewHeap *) lfirst(lc);
		heap->columns = NULL;
		heap->ncolumns = 0;
		result = lappend(result, heap);
	}
	SPI_finish();
	MemoryContextSwitchTo(context);
	es_run_as_end(&saved);
	return result;
}
