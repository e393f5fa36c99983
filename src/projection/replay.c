/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  es_rebuild for projections that run statements or handlers.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  What SQL does to tables is only known by running it.  It is run over the
 *	  whole log with empty tables of the same names, in a schema of their own
 *	  that comes first in its search_path; what they hold then is copied to new
 *	  heaps of the real ones.  Which tables these are was told when the
 *	  projection was made (tables).
 *
 *	  SQL that names such a table with its schema would get at the real one.
 *	  PostgreSQL's counters of this transaction tell whether that has happened,
 *	  and the rebuild fails then.
 *
 *	  The copies have defaults, checks, indexes and identities, but no triggers
 *	  and no foreign keys, which are checked at the end.
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
#include "core/guc.h"
#include "log/log.h"
#include "projection/rebuild.h"

/* Events of a batch, if the projection has no number of its own */
#define BATCH		10000

/*
 * A table, and what stands in for it.
 */
typedef struct Shadow
{
	Oid			relid;
	char	   *real_name;		/* qualified, as is the next one */
	char	   *name;
	char	   *columns;		/* a list to SELECT */
	EsNewHeap  *heap;
	Oid			filenode;		/* of the real table, and what has happened */
	int64		counts;			/* to it, before the replay */
} Shadow;

static void
execute_sql(const char *sql)
{
	int			result;

	/* SPI's memory goes with its connection. */
	SPI_connect();
	result = SPI_execute(sql, false, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", sql,
			 SPI_result_code_string(result));
	SPI_finish();
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
	int			i;

	for (i = 0; i < (int) lengthof(counters); i++)
		n += DatumGetInt64(DirectFunctionCall1(counters[i],
											   ObjectIdGetDatum(relid)));
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

/*
 * Lists the columns of a table, by name, and as something to SELECT.
 */
static List *
get_columns(Oid relid, char **select)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *names = NIL;
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	for (i = 0; i < desc->natts; i++)
	{
		char	   *name = pstrdup(NameStr(TupleDescAttr(desc, i)->attname));

		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		appendStringInfo(&sql, "%s%s", names == NIL ? "" : ", ",
						 quote_identifier(name));
		names = lappend(names, name);
	}
	table_close(rel, NoLock);
	*select = sql.data;
	return names;
}

/*
 * Makes the new heap of a table, and its stand-in, as the owner.
 */
static Shadow *
make_shadow(const EsProjection *projection, const char *schema, Oid relid)
{
	Shadow	   *shadow = palloc0(sizeof(Shadow));
	char	   *name = get_rel_name(relid);
	List	   *columns;

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("a table of projection \"%s\" does not exist any more",
						projection->name)));
	columns = get_columns(relid, &shadow->columns);
	shadow->relid = relid;
	shadow->heap = es_heap_make(projection, relid, columns);
	shadow->real_name = es_view_relation_name(relid);
	shadow->name = quote_qualified_identifier(schema, name);
	execute_sql(psprintf("CREATE TABLE %s (LIKE %s INCLUDING ALL)",
						 shadow->name, shadow->real_name));
	shadow->filenode = get_filenode(relid);
	shadow->counts = count_uses(relid);
	return shadow;
}

/*
 * Makes them all; returns a list of Shadow *.
 */
static List *
make_shadows(const EsStore *store, const EsProjection *projection,
			 const char *schema)
{
	List	   *shadows = NIL;
	EsRunAs		saved;
	ListCell   *lc;

	es_run_as(store, projection, &saved);
	foreach(lc, projection->tables)
		shadows = lappend(shadows, make_shadow(projection, schema,
											   lfirst_oid(lc)));
	es_run_as_end(&saved);
	return shadows;
}

/*
 * Returns a projection that finds the stand-ins first.
 */
static EsProjection *
redirect(const EsProjection *projection, const char *schema)
{
	static const char *const path = "search_path=";
	List	   *settings = NIL;
	ListCell   *lc;

	foreach(lc, projection->settings)
	{
		char	   *setting = lfirst(lc);

		if (strncmp(setting, path, strlen(path)) == 0)
			setting = psprintf("%s%s, %s", path, quote_identifier(schema),
							   setting + strlen(path));
		settings = lappend(settings, setting);
	}
	return es_projection_copy(projection, settings);
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
 * Runs a partition over the log; returns the number of events.
 */
static int64
replay_partition(const EsStore *store, EsProjection *projection, int partition,
				 int64 head)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_store replay batch",
												  ALLOCSET_DEFAULT_SIZES);
	List	   *dead_letters = projection->skip ?
		es_rebuild_dead_letters(store, projection) : NIL;
	int64		after = projection->after_position;
	int64		events = 0;

	while (after < head)
	{
		MemoryContext previous = MemoryContextSwitchTo(context);
		EsBatch    *batch;

		CHECK_FOR_INTERRUPTS();
		PushActiveSnapshot(GetTransactionSnapshot());
		batch = es_batch_read(store, projection, partition, after, head,
							  projection->batch_size > 0 ?
							  projection->batch_size : BATCH);
		batch = without_dead_letters(store, batch, dead_letters);
		if (batch->nevents > 0)
			es_apply(store, projection, batch);
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
 * Runs the projection over the log, with the stand-ins.
 */
static int64
replay(const EsStore *store, EsProjection *projection, const char *schema,
	   int64 head)
{
	EsProjection *copy = redirect(projection, schema);
	volatile int64 events = 0;
	volatile int guc_level = NewGUCNestLevel();
	int			i;

	(void) set_config_option("track_counts", "on", PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	es_progress_begin(projection, projection->after_position, head);
	es_xact_replaying = true;
	PG_TRY();
	{
		for (i = 0; i < copy->partitions; i++)
			events += replay_partition(store, copy, i, head);
	}
	PG_FINALLY();
	{
		es_xact_replaying = false;
		es_progress_end();
		if (copy->free_prepared != NULL)
			copy->free_prepared(copy->prepared);
		copy->free_prepared = NULL;
	}
	PG_END_TRY();
	AtEOXact_GUC(false, guc_level);
	return events;
}

/*
 * Makes sure that the SQL has not got at a real table.
 */
static void
check_shadow(const EsProjection *projection, const Shadow *shadow)
{
	if (count_uses(shadow->relid) == shadow->counts &&
		get_filenode(shadow->relid) == shadow->filenode)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("projection \"%s\" cannot be rebuilt: its SQL uses table %s by its qualified name, or by way of a function or view",
					projection->name, shadow->real_name),
			 errdetail("A rebuild runs it with other tables of the same names, which it has to find by its search_path."),
			 errhint("Leave out the schema, in functions too, or empty the tables and create the projection again.")));
}

/*
 * Moves the sequence of an identity column on to where that of the stand-in is.
 */
static void
move_identity(const Shadow *shadow, const char *column)
{
	const char *name = quote_literal_cstr(column);

	execute_sql(psprintf("SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence(%s, %s),"
						 " GREATEST(pg_catalog.nextval(pg_catalog.pg_get_serial_sequence(%s, %s)),"
						 " pg_catalog.nextval(pg_catalog.pg_get_serial_sequence(%s, %s))))",
						 quote_literal_cstr(shadow->real_name), name,
						 quote_literal_cstr(shadow->real_name), name,
						 quote_literal_cstr(shadow->name), name));
}

/*
 * Copies what the stand-in holds to the new heap.
 */
static void
copy_shadow(const Shadow *shadow)
{
	Relation	rel = table_open(shadow->relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	SPI_connect();
	(void) es_heap_fill(psprintf("SELECT %s FROM %s", shadow->columns,
								 shadow->name),
						0, NULL, NULL, list_make1(shadow->heap));
	SPI_finish();
	for (i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attidentity != '\0' &&
			!TupleDescAttr(desc, i)->attisdropped)
			move_identity(shadow, NameStr(TupleDescAttr(desc, i)->attname));
	}
	table_close(rel, NoLock);
}

/*
 * Copies all of them, as the owner; returns the new heaps.
 */
static List *
copy_shadows(const EsStore *store, const EsProjection *projection,
			 List *shadows)
{
	List	   *heaps = NIL;
	EsRunAs		saved;
	ListCell   *lc;

	foreach(lc, shadows)
		check_shadow(projection, lfirst(lc));
	PushActiveSnapshot(GetTransactionSnapshot());
	es_run_as(store, projection, &saved);
	foreach(lc, shadows)
	{
		Shadow	   *shadow = lfirst(lc);

		copy_shadow(shadow);
		heaps = lappend(heaps, shadow->heap);
	}
	es_run_as_end(&saved);
	PopActiveSnapshot();
	return heaps;
}

List *
es_replay(const EsStore *store, EsProjection *projection, int64 head,
		  int64 *events)
{
	char	   *schema = psprintf("es_rebuild_%d", projection->id);
	ObjectAddress address;
	List	   *shadows;
	List	   *heaps;

	if (projection->tables == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("projection \"%s\" cannot be rebuilt", projection->name),
				 errdetail("It was not told which tables its SQL writes."),
				 errhint("Create it with es_create_projection(..., tables => '{...}').")));

	ObjectAddressSet(address, NamespaceRelationId,
					 NamespaceCreate(schema,
									 get_role_oid(projection->owner, false),
									 false));
	CommandCounterIncrement();
	shadows = make_shadows(store, projection, schema);
	*events = replay(store, projection, schema, head);
	heaps = copy_shadows(store, projection, shadows);
	performDeletion(&address, DROP_CASCADE,
					PERFORM_DELETION_INTERNAL | PERFORM_DELETION_QUIETLY);
	return heaps;
}
