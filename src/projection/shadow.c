/*-------------------------------------------------------------------------
 *
 * shadow.c
 *	  Stand-ins: tables in which new contents of others are made.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  They are in a schema of their own, which nobody else sees before it is
 *	  dropped again.
 *
 *	  Those of a view are what its query demands.  For statements and handlers,
 *	  of which only running them tells what they do, they are like the tables
 *	  that the projection was told to write, and found first in the
 *	  search_path.  SQL that names such a table with its schema would get at
 *	  the real one: PostgreSQL's counters of this transaction tell whether that
 *	  has happened, and the rebuild fails then.  The stand-ins have defaults,
 *	  checks, indexes and identities, but no triggers and no foreign keys, which
 *	  are checked at the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "core/compat.h"
#include "log/log.h"
#include "projection/rebuild.h"

/* Events of a batch, if the projection has no number of its own */
#define BATCH		10000

/* A view takes so many events of the log at once. */
#define RANGE		1000000

/* ---------- making ---------- */

/*
 * Returns a name for the schema that nobody has taken.  That of another rebuild
 * of the projection is not to be seen, but waited for.
 */
static char *
get_schema_name(const EsProjection *projection)
{
	char	   *name = psprintf("es_rebuild_%d", projection->id);
	int			i;

	for (i = 2; OidIsValid(get_namespace_oid(name, true)); i++)
		name = psprintf("es_rebuild_%d_%d", projection->id, i);
	return name;
}

void
es_shadow_begin(EsRebuild *rebuild, const EsStore *store,
				EsProjection *projection, int workers)
{
	memset(rebuild, 0, sizeof(*rebuild));
	rebuild->store = store;
	rebuild->projection = projection;
	rebuild->copy = es_projection_copy(projection, projection->settings);
	rebuild->position = projection->after_position;
	rebuild->workers = workers;
	rebuild->schema = get_schema_name(projection);
	rebuild->schema_oid = NamespaceCreate(rebuild->schema,
										  get_role_oid(projection->owner, false),
										  false);
	CommandCounterIncrement();
	if (projection->skip)
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		rebuild->dead_letters = es_rebuild_dead_letters(store, projection);
		PopActiveSnapshot();
	}
}

/*
 * Returns the number of times that this transaction has read or written a
 * table.
 */
static int64
count_uses(Oid relid)
{
	static const PGFunction counters[] = {
		pg_stat_get_xact_numscans, pg_stat_get_xact_tuples_fetched,
		pg_stat_get_xact_tuples_inserted, pg_stat_get_xact_tuples_updated,
		pg_stat_get_xact_tuples_deleted
	};
	int64		n = 0;
	Relation	rel;
	ListCell   *lc;
	int			i;

	for (i = 0; i < (int) lengthof(counters); i++)
		n += DatumGetInt64(DirectFunctionCall1(counters[i],
											   ObjectIdGetDatum(relid)));

	/* A scan of an index counts for the index, and may find no row. */
	rel = table_open(relid, AccessShareLock);
	foreach(lc, RelationGetIndexList(rel))
		n += DatumGetInt64(DirectFunctionCall1(pg_stat_get_xact_numscans,
											   ObjectIdGetDatum(lfirst_oid(lc))));
	table_close(rel, NoLock);
	return n;
}

static Oid
get_filenode(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Oid			filenode = rel->rd_rel->relfilenode;

	table_close(rel, NoLock);
	return filenode;
}

void
es_shadow_add(EsRebuild *rebuild, Oid relid, Oid shadow, List *columns)
{
	EsShadow   *entry = palloc0(sizeof(EsShadow));

	if (relid != shadow)
	{
		es_heap_check(rebuild->projection, relid, columns);
		rebuild->locked = lappend_oid(rebuild->locked, relid);
	}
	entry->relid = relid;
	entry->shadow = shadow;
	entry->real_name = es_view_relation_name(relid);
	entry->name = es_view_relation_name(shadow);
	entry->columns = columns;
	entry->filenode = get_filenode(relid);
	entry->uses = count_uses(relid);
	rebuild->shadows = lappend(rebuild->shadows, entry);
}

/*
 * Returns a relation of the stand-ins' schema.
 */
static Oid
get_shadow(const EsRebuild *rebuild, const char *name)
{
	return get_relname_relid(name, rebuild->schema_oid);
}

void
es_shadow_make_view(EsRebuild *rebuild, const EsView *view)
{
	EsProjection *copy = rebuild->copy;
	char	   *table = get_rel_name(rebuild->projection->relation);
	char	   *state;
	ListCell   *lc;

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("a table of projection \"%s\" does not exist any more",
						rebuild->projection->name),
				 errhint("Drop the projection, and create it again.")));
	state = es_view_state_name(table);
	foreach(lc, es_view_create_sql(view,
								   quote_qualified_identifier(rebuild->schema, table),
								   view->needs_state ?
								   quote_qualified_identifier(rebuild->schema, state) : NULL))
		es_run_command(lfirst(lc));
	copy->relation = get_shadow(rebuild, table);
	copy->state_table = view->needs_state ? get_shadow(rebuild, state) : InvalidOid;
}

/*
 * Returns settings in which the search_path begins with the stand-ins.
 */
static List *
redirect(const EsRebuild *rebuild)
{
	static const char *const path = "search_path=";
	List	   *settings = NIL;
	ListCell   *lc;

	foreach(lc, rebuild->projection->settings)
	{
		char	   *setting = lfirst(lc);

		if (strncmp(setting, path, strlen(path)) == 0)
		{
			const char *schemas = setting + strlen(path);
			bool		empty = schemas[strspn(schemas, " ")] == '\0';

			setting = psprintf("%s%s%s%s", path,
							   quote_identifier(rebuild->schema),
							   empty ? "" : ", ", schemas);
		}
		settings = lappend(settings, setting);
	}
	return settings;
}

void
es_shadow_make_tables(EsRebuild *rebuild)
{
	const EsProjection *projection = rebuild->projection;
	EsRunAs		saved;
	ListCell   *lc;

	if (projection->tables == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("projection \"%s\" cannot be rebuilt", projection->name),
				 errdetail("It was not told which tables its SQL writes."),
				 errhint("Create it with es_create_projection(..., tables => '{...}').")));
	es_run_as(rebuild->store, projection, &saved);
	foreach(lc, projection->tables)
	{
		Oid			relid = lfirst_oid(lc);
		char	   *name = get_rel_name(relid);
		Oid			shadow;
		List	   *columns;

		if (name == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("a table of projection \"%s\" does not exist any more",
							projection->name)));
		if (list_member_oid(rebuild->locked, relid))
			continue;			/* was named twice */
		shadow = get_shadow(rebuild, name);
		if (OidIsValid(shadow))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("projection \"%s\" cannot be rebuilt: two of its tables are called \"%s\"",
							projection->name, name),
					 errdetail("A rebuild runs its SQL with other tables of the same names, which it has to find by its search_path."),
					 errhint("Rename one of them.")));
		es_run_command(psprintf("CREATE TABLE %s (LIKE %s INCLUDING ALL)",
							 quote_qualified_identifier(rebuild->schema, name),
							 es_view_relation_name(relid)));
		columns = es_rebuild_columns(relid);
		es_shadow_add(rebuild, relid, get_shadow(rebuild, name), columns);
	}
	es_run_as_end(&saved);
	rebuild->copy = es_projection_copy(projection, redirect(rebuild));
}

/* ---------- filling ---------- */

void
es_shadow_fill(EsRebuild *rebuild)
{
	const EsStore *store = rebuild->store;
	EsRunAs		saved;
	List	   *heaps;
	int64		head = es_task_head(store);

	PushActiveSnapshot(GetTransactionSnapshot());
	heaps = es_view_build(store, rebuild->copy, rebuild->position, head,
						  rebuild->workers, &rebuild->events);
	PopActiveSnapshot();
	es_run_as(store, rebuild->copy, &saved);
	es_heap_swap(heaps);
	es_run_as_end(&saved);
	rebuild->position = head;
}

/*
 * Takes events that are dead letters out of a batch.
 */
static EsBatch *
without_dead_letters(const EsStore *store, EsBatch *batch, List *positions)
{
	EsBatch    *result;
	TupleTableSlot *slot;

	if (positions == NIL || batch->nevents == 0)
		return batch;
	result = es_batch_begin(store);
	result->after = batch->after;
	result->upto = batch->upto;
	result->partition = batch->partition;
	result->to_upcast = batch->to_upcast;
	slot = MakeSingleTupleTableSlot(batch->tupdesc, &TTSOpsMinimalTuple);
	tuplestore_rescan(batch->events);
	while (tuplestore_gettupleslot(batch->events, true, false, slot))
	{
		bool		isnull;
		int64		position = DatumGetInt64(slot_getattr(slot, 1, &isnull));
		ListCell   *lc;

		foreach(lc, positions)
		{
			if (*(int64 *) lfirst(lc) == position)
				break;
		}
		if (lc == NULL)
			es_batch_add(result, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	es_batch_end(batch);
	return result;
}

/*
 * Makes the next batch: of a view that takes all events, a range of the log.
 */
static EsBatch *
next_batch(const EsRebuild *rebuild, int partition, int64 after, int64 upto)
{
	const EsProjection *copy = rebuild->copy;
	EsBatch    *batch;

	if (copy->kind == ES_PROJECTION_VIEW && rebuild->dead_letters == NIL &&
		copy->filter.categories == NIL && copy->filter.event_types == NIL &&
		copy->filter.tenants == NIL && copy->partitions == 1)
	{
		batch = palloc0(sizeof(EsBatch));
		batch->after = after;
		batch->upto = Min(upto, after + RANGE);
		batch->nevents = batch->upto - after;
		return batch;
	}
	batch = es_batch_read(rebuild->store, copy, partition, after, upto,
						  copy->batch_size > 0 ? copy->batch_size : BATCH);
	return without_dead_letters(rebuild->store, batch, rebuild->dead_letters);
}

/*
 * Runs a partition up to a position; returns the number of events.
 */
static int64
advance_partition(const EsRebuild *rebuild, int partition, int64 upto)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_store rebuild batch",
												  ALLOCSET_DEFAULT_SIZES);
	int64		after = rebuild->position;
	int64		events = 0;

	while (after < upto)
	{
		MemoryContext previous = MemoryContextSwitchTo(context);
		EsBatch    *batch;

		CHECK_FOR_INTERRUPTS();
		PushActiveSnapshot(GetTransactionSnapshot());
		batch = next_batch(rebuild, partition, after, upto);
		if (batch->nevents > 0)
			es_apply(rebuild->store, rebuild->copy, batch);
		after = batch->upto;
		events += batch->nevents;
		es_batch_end(batch);
		PopActiveSnapshot();
		CommandCounterIncrement();
		MemoryContextSwitchTo(previous);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
	return events;
}

/*
 * Reads the dead letters as they are now: the stand-ins leave them out on their
 * way to a position.
 */
static void
update_dead_letters(EsRebuild *rebuild, int64 upto)
{
	List	   *letters;
	List	   *passed = NIL;
	ListCell   *lc;

	if (!rebuild->copy->skip)
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	letters = es_rebuild_dead_letters(rebuild->store, rebuild->copy);
	PopActiveSnapshot();
	foreach(lc, rebuild->dead_letters)
	{
		if (*(int64 *) lfirst(lc) <= rebuild->position)
			passed = lappend(passed, lfirst(lc));
	}
	foreach(lc, letters)
	{
		int64		position = *(int64 *) lfirst(lc);

		if (position > rebuild->position && position <= upto)
			passed = lappend(passed, lfirst(lc));
	}
	rebuild->dead_letters = passed;
}

void
es_shadow_advance(EsRebuild *rebuild, int64 upto)
{
	int			guc_level = NewGUCNestLevel();
	volatile int64 events = 0;
	int			i;

	update_dead_letters(rebuild, upto);
	(void) set_config_option("track_counts", "on", PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	es_progress_begin(rebuild->copy, rebuild->projection->after_position, upto);
	es_xact_replaying = true;
	PG_TRY();
	{
		for (i = 0; i < rebuild->copy->partitions; i++)
			events += advance_partition(rebuild, i, upto);
	}
	PG_FINALLY();
	{
		es_xact_replaying = false;
		es_progress_end();
		if (rebuild->copy->free_prepared != NULL)
			rebuild->copy->free_prepared(rebuild->copy->prepared);
		rebuild->copy->prepared = NULL;
		rebuild->copy->free_prepared = NULL;
	}
	PG_END_TRY();
	AtEOXact_GUC(false, guc_level);
	rebuild->events += events;
	rebuild->position = Max(rebuild->position, upto);
}

/* ---------- copying ---------- */

/*
 * Makes sure that the SQL has not got at a real table.
 */
static void
check_uses(const EsRebuild *rebuild, const EsShadow *shadow)
{
	if (shadow->relid == shadow->shadow ||
		(count_uses(shadow->relid) == shadow->uses &&
		 get_filenode(shadow->relid) == shadow->filenode))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("projection \"%s\" cannot be rebuilt: its SQL uses table %s by its qualified name, or by way of a function or view",
					rebuild->projection->name, shadow->real_name),
			 errdetail("A rebuild runs it with other tables of the same names, which it has to find by its search_path."),
			 errhint("Leave out the schema, in functions too, or empty the tables and create the projection again.")));
}

/*
 * Moves the sequence of an identity column on to where that of the stand-in is.
 */
static void
move_identity(const EsShadow *shadow, const char *column)
{
	const char *name = quote_literal_cstr(column);
	const char *real = quote_literal_cstr(shadow->real_name);

	es_run_command(psprintf("SELECT pg_catalog.setval(s.seqrelid::pg_catalog.regclass,"
							" CASE WHEN s.seqincrement OPERATOR(pg_catalog.>) 0 THEN GREATEST(n.a, n.b) ELSE LEAST(n.a, n.b) END)"
							" FROM pg_catalog.pg_sequence s, (SELECT pg_catalog.nextval(pg_catalog.pg_get_serial_sequence(%s, %s)) AS a,"
							" pg_catalog.nextval(pg_catalog.pg_get_serial_sequence(%s, %s)) AS b) n"
							" WHERE s.seqrelid OPERATOR(pg_catalog.=) pg_catalog.pg_get_serial_sequence(%s, %s)::pg_catalog.regclass",
							real, name, quote_literal_cstr(shadow->name), name,
							real, name));
}

static void
move_identities(const EsShadow *shadow)
{
	Relation	rel = table_open(shadow->relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attidentity != '\0' &&
			!TupleDescAttr(desc, i)->attisdropped)
			move_identity(shadow, NameStr(TupleDescAttr(desc, i)->attname));
	}
	table_close(rel, NoLock);
}

/*
 * Copies one to a new heap of the real table.
 */
static EsNewHeap *
copy_shadow(const EsRebuild *rebuild, const EsShadow *shadow)
{
	EsNewHeap  *heap = es_heap_make(rebuild->projection, shadow->relid,
									shadow->columns);
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	foreach(lc, shadow->columns)
		appendStringInfo(&sql, "%s%s", lc == list_head(shadow->columns) ? "" : ", ",
						 quote_identifier(lfirst(lc)));
	appendStringInfo(&sql, " FROM %s", shadow->name);
	SPI_connect();
	(void) es_heap_fill(sql.data, 0, NULL, NULL, list_make1(heap));
	SPI_finish();
	if (shadow->relid != shadow->shadow)
		move_identities(shadow);
	return heap;
}

void
es_shadow_copy(EsRebuild *rebuild)
{
	EsRunAs		saved;
	ListCell   *lc;

	foreach(lc, rebuild->shadows)
		check_uses(rebuild, lfirst(lc));

	rebuild->heaps = NIL;
	PushActiveSnapshot(GetTransactionSnapshot());
	es_run_as(rebuild->store, rebuild->projection, &saved);
	es_rebuild_set_workers(rebuild->workers);
	foreach(lc, rebuild->shadows)
		rebuild->heaps = lappend(rebuild->heaps,
								 copy_shadow(rebuild, lfirst(lc)));
	es_run_as_end(&saved);
	PopActiveSnapshot();
}

void
es_shadow_end(EsRebuild *rebuild)
{
	ObjectAddress address;

	ObjectAddressSet(address, NamespaceRelationId, rebuild->schema_oid);
	performDeletion(&address, DROP_CASCADE,
					PERFORM_DELETION_INTERNAL | PERFORM_DELETION_QUIETLY);
}
