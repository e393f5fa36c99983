/*-------------------------------------------------------------------------
 *
 * feed_table.c
 *	  Which tables hold events, as the feed sees them.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A table holds events if it, or a table that it is a partition of, is
 *	  called es_events and stands in the schema of the extension.  Looking
 *	  that up takes catalogs; the answer is remembered for each table that a
 *	  change was decoded of, so that a change of another table costs one look
 *	  into a hash table.
 *
 *	  The catalogs are read under the historic snapshot of the change: the
 *	  answer is that for the table as it was then.  Whatever may change it
 *	  (renaming, moving to another schema, attaching, changing columns) is in
 *	  the WAL together with an invalidation of the relation, which PostgreSQL
 *	  executes between the changes.  Our callback only marks, because an
 *	  invalidation may arrive while an answer is being looked up.
 *
 *	  Callbacks cannot be taken back and a process may have several decoding
 *	  contexts, one after the other, so that the hash table lives in the
 *	  memory of the context and a variable points to it as long as it lives.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "core/names.h"
#include "decode/feed_table.h"

#define EVENTS_TABLE	"es_events"

/* So many tables are remembered before they are all forgotten */
#define MAX_TABLES		10000

/*
 * What is remembered of a table.
 */
typedef struct TableEntry
{
	Oid			relid;			/* the key */
	uint64		generation;		/* of the answer; 0 if there is none */
	bool		is_ancestor;	/* do answers for partitions depend on it? */
	bool		holds_events;
	EsFeedTable table;			/* if it holds events */
} TableEntry;

typedef struct FeedColumn
{
	const char *name;
	Oid			type;
} FeedColumn;

static const FeedColumn feed_columns[ES_FEED_NCOLUMNS] = {
	[ES_FEED_TENANT_ID] = {"tenant_id", TEXTOID},
	[ES_FEED_STREAM_ID] = {"stream_id", TEXTOID},
	[ES_FEED_VERSION] = {"version", INT8OID},
	[ES_FEED_EVENT_ID] = {"event_id", UUIDOID},
	[ES_FEED_EVENT_TYPE] = {"event_type", TEXTOID},
	[ES_FEED_SCHEMA_VERSION] = {"schema_version", INT4OID},
	[ES_FEED_DATA] = {"data", JSONBOID},
	[ES_FEED_METADATA] = {"metadata", JSONBOID},
	[ES_FEED_RECORDED_AT] = {"recorded_at", TIMESTAMPTZOID},
	[ES_FEED_TX] = {"tx", INT8OID},
	[ES_FEED_ORDINAL] = {"ordinal", INT4OID},
};

static HTAB *tables = NULL;
static MemoryContext tables_context = NULL;
static uint64 generation = 1;

/*
 * Marks the answers that may have become wrong.
 */
static void
relcache_callback(Datum arg, Oid relid)
{
	TableEntry *entry;

	if (tables == NULL)
		return;
	if (!OidIsValid(relid))
	{
		generation++;
		return;
	}
	entry = hash_search(tables, &relid, HASH_FIND, NULL);
	if (entry == NULL)
		return;
	entry->generation = 0;
	if (entry->is_ancestor)
		generation++;
}

/*
 * Forgets the hash table before its memory goes, unless it is another one by
 * now.
 */
static void
context_callback(void *arg)
{
	if (tables_context == arg)
	{
		tables = NULL;
		tables_context = NULL;
	}
}

/*
 * Makes the hash table, empty.
 */
static void
make_tables(void)
{
	HASHCTL		control = {
		.keysize = sizeof(Oid),
		.entrysize = sizeof(TableEntry),
		.hcxt = tables_context
	};
	HTAB	   *old = tables;

	tables = NULL;
	if (old != NULL)
		hash_destroy(old);
	tables = hash_create("event_store feed tables", 128, &control,
						 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
es_feed_table_start(MemoryContext context)
{
	static bool registered = false;
	MemoryContextCallback *callback;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
		registered = true;
	}

	callback = MemoryContextAlloc(context, sizeof(MemoryContextCallback));
	callback->func = context_callback;
	callback->arg = context;

	/* The old one, if there is one, belongs to a context that will go. */
	tables = NULL;
	tables_context = context;
	MemoryContextRegisterResetCallback(context, callback);
	make_tables();
}

/*
 * Returns the schema of the extension, InvalidOid if it is not there.
 */
static Oid
find_schema(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			result = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum(ES_EXTENSION_NAME));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		result = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * Is this the name and the schema of es_events?
 */
static bool
is_events_table(const char *name, Oid namespace_oid)
{
	return name != NULL && strcmp(name, EVENTS_TABLE) == 0 &&
		namespace_oid == find_schema();
}

/*
 * Returns the entry for a table, a new one if there is none.
 */
static TableEntry *
get_entry(Oid relid)
{
	bool		found;
	TableEntry *entry = hash_search(tables, &relid, HASH_ENTER, &found);

	if (!found)
	{
		entry->generation = 0;
		entry->is_ancestor = false;
		entry->holds_events = false;
	}
	return entry;
}

/*
 * Is the relation es_events, or a partition of it, at whatever level?
 *
 * The ancestors get entries, so that we hear when one of them is renamed.
 */
static bool
belongs_to_events(Relation relation)
{
	List	   *ancestors;
	ListCell   *cell;

	if (is_events_table(RelationGetRelationName(relation),
						RelationGetNamespace(relation)))
		return true;
	if (!relation->rd_rel->relispartition)
		return false;

	ancestors = get_partition_ancestors(RelationGetRelid(relation));
	foreach(cell, ancestors)
		get_entry(lfirst_oid(cell))->is_ancestor = true;
	foreach(cell, ancestors)
	{
		Oid			ancestor = lfirst_oid(cell);

		if (is_events_table(get_rel_name(ancestor),
							get_rel_namespace(ancestor)))
			return true;
	}
	return false;
}

/*
 * Finds the columns by their names and types.
 *
 * A table that lacks some cannot be shown.  That is no error: the table was
 * like that at this place of the WAL and will ever have been, so that the slot
 * would never come past it.
 */
static bool
find_columns(Relation relation, EsFeedTable *table)
{
	TupleDesc	desc = RelationGetDescr(relation);
	int			i;

	for (i = 0; i < ES_FEED_NCOLUMNS; i++)
	{
		int			j;

		table->attnums[i] = InvalidAttrNumber;
		for (j = 0; j < desc->natts; j++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, j);

			if (!att->attisdropped && att->atttypid == feed_columns[i].type &&
				strcmp(NameStr(att->attname), feed_columns[i].name) == 0)
				table->attnums[i] = att->attnum;
		}
		if (table->attnums[i] == InvalidAttrNumber)
		{
			ereport(WARNING,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("changes of table \"%s\" are not in the feed",
							RelationGetRelationName(relation)),
					 errdetail("It has no column \"%s\" of the type that the event store gave it.",
							   feed_columns[i].name)));
			return false;
		}
	}
	return true;
}

const EsFeedTable *
es_feed_table_find(Relation relation)
{
	TableEntry *entry;

	if (hash_get_num_entries(tables) > MAX_TABLES)
		make_tables();
	entry = get_entry(RelationGetRelid(relation));
	if (entry->generation != generation)
	{
		/*
		 * The mark goes up first: an invalidation that arrives meanwhile
		 * makes the answer good for this one use only.  No error may leave a
		 * mark on half an answer.
		 */
		entry->holds_events = false;
		entry->generation = generation;
		PG_TRY();
		{
			entry->holds_events = belongs_to_events(relation) &&
				find_columns(relation, &entry->table);
			if (entry->holds_events)
				entry->table.schema = find_schema();
		}
		PG_CATCH();
		{
			entry->generation = 0;
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	return entry->holds_events ? &entry->table : NULL;
}
