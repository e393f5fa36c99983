/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  Where the store's tables are.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  One process sees one database, which has the extension at most once, so
 *	  that one static entry is cache enough.  The entry is found through
 *	  pg_extension, never through a search_path, so that no object of a user
 *	  can take the place of ours.
 *
 *	  Invalidation: DROP EXTENSION, CREATE EXTENSION again, ALTER TABLE and
 *	  CREATE TRIGGER in other sessions all send a relation invalidation for
 *	  es_events.  The callback only counts; the entry is rebuilt at its next
 *	  use.  An invalidation that arrives while the entry is being built makes
 *	  it good for that one use only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
#include "core/compat.h"
#include "core/names.h"

/* Versions of the extension's SQL that this library can serve */
static const char *const served_versions[] = {ES_VERSION};

static EsStore cached;
static bool cached_valid = false;
static bool building = false;
static uint64 invalidations = 0;

typedef struct EventColumn
{
	const char *name;
	Oid			type;
} EventColumn;

static const EventColumn event_columns[Natts_es_events] = {
	{"tenant_id", TEXTOID},
	{"stream_id", TEXTOID},
	{"version", INT8OID},
	{"event_id", UUIDOID},
	{"event_type", TEXTOID},
	{"schema_version", INT4OID},
	{"data", JSONBOID},
	{"metadata", JSONBOID},
	{"recorded_at", TIMESTAMPTZOID},
	{"tx", INT8OID},
	{"ordinal", INT4OID},
};

/*
 * Notes that a relation changed.  May not touch anything but our variables.
 */
static void
relcache_callback(Datum arg, Oid relid)
{
	if (building || relid == InvalidOid ||
		relid == cached.events || relid == cached.tx_sequence ||
		relid == cached.snapshots)
	{
		invalidations++;
		cached_valid = false;
	}
}

void
es_catalog_init(void)
{
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
}

/*
 * Raises the error for a store whose objects are not what they were.
 */
static void
raise_damaged(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("event store is damaged"),
			 errdetail("%s is missing or was changed.", what),
			 errhint("Save what is left of the events, drop the extension \"%s\", create it again and restore a dump.",
					 ES_EXTENSION_NAME)));
}

/*
 * Compares the version of the installed SQL with what the library serves.
 */
static void
check_extension_version(const char *installed)
{
	int			i;

	for (i = 0; i < lengthof(served_versions); i++)
	{
		if (strcmp(installed, served_versions[i]) == 0)
			return;
	}

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("library and SQL objects of the extension \"%s\" do not fit together",
					ES_EXTENSION_NAME),
			 errdetail("The library has version %s, the SQL objects in this database have version %s.",
					   ES_VERSION, installed),
			 errhint("Run ALTER EXTENSION %s UPDATE, or install the library of that version and reconnect.",
					 ES_EXTENSION_NAME)));
}

/*
 * Looks the extension up in pg_extension; returns its schema.
 */
static Oid
find_extension(void)
{
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			result = InvalidOid;
	char	   *version = NULL;

	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum(ES_EXTENSION_NAME));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		datum = heap_getattr(tuple, Anum_pg_extension_extversion,
										 RelationGetDescr(rel), &isnull);

		result = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
		version = isnull ? pstrdup("") : TextDatumGetCString(datum);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	if (!OidIsValid(result))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"%s\" is not installed in this database",
						ES_EXTENSION_NAME),
				 errhint("Run CREATE EXTENSION %s.", ES_EXTENSION_NAME)));

	check_extension_version(version);
	return result;
}

/*
 * Finds a relation of the extension by name.
 */
static Oid
find_relation(const char *name, Oid namespace_oid)
{
	Oid			relid = get_relname_relid(name, namespace_oid);

	if (!OidIsValid(relid))
		raise_damaged(psprintf("Relation \"%s\"", name));
	return relid;
}

/*
 * Makes sure that the columns of es_events are where the numbers say.
 */
static void
check_columns(Relation events)
{
	TupleDesc	desc = RelationGetDescr(events);
	int			i;

	if (desc->natts < Natts_es_events)
		raise_damaged("A column of table \"es_events\"");

	for (i = 0; i < Natts_es_events; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->atttypid != event_columns[i].type ||
			strcmp(NameStr(att->attname), event_columns[i].name) != 0)
			raise_damaged(psprintf("Column \"%s\" of table \"es_events\"",
								   event_columns[i].name));
	}
}

/*
 * Finds a trigger function of the extension.
 */
static Oid
find_trigger_function(const char *name, Oid namespace_oid)
{
	oidvector  *noargs = buildoidvector(NULL, 0);
	Oid			result;

	result = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
							 CStringGetDatum(name), PointerGetDatum(noargs),
							 ObjectIdGetDatum(namespace_oid));
	if (!OidIsValid(result))
		raise_damaged(psprintf("Function \"%s()\"", name));
	return result;
}

/*
 * Looks through the INSERT triggers of es_events.
 *
 * Sets before_trigger and late_trigger, and returns whether there are others than our own.
 * PostgreSQL fires them in the order in which they stand in the array.
 */
static bool
inspect_insert_triggers(Relation events, EsStore *store)
{
	TriggerDesc *desc = events->trigdesc;
	Oid			before = find_trigger_function("es_events_before_insert",
											   store->namespace_oid);
	Oid			after = find_trigger_function("es_events_after_insert",
											  store->namespace_oid);
	bool		others = false;
	int			i;

	for (i = 0; desc != NULL && i < desc->numtriggers; i++)
	{
		Trigger    *trigger = &desc->triggers[i];

		if (!TRIGGER_FOR_INSERT(trigger->tgtype))
			continue;
		if (trigger->tgfoid == before)
			store->before_trigger =
				(trigger->tgenabled == TRIGGER_FIRES_ALWAYS ||
				 trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN);
		else if (trigger->tgfoid != after)
		{
			others = true;
			if (store->before_trigger && TRIGGER_FOR_ROW(trigger->tgtype) &&
				TRIGGER_FOR_BEFORE(trigger->tgtype) &&
				trigger->tgenabled != TRIGGER_DISABLED)
				namestrcpy(&store->late_trigger, trigger->tgname);
		}
	}

	return others;
}

/*
 * Says whether es_events is as we made it, as far as an INSERT is concerned.
 */
static bool
allows_direct_insert(Relation events, bool other_triggers)
{
	TupleConstr *constr = RelationGetDescr(events)->constr;

	return !other_triggers &&
		events->rd_rel->relkind == RELKIND_RELATION &&
		RelationGetDescr(events)->natts == Natts_es_events &&
		!(constr != NULL && (constr->num_check > 0 ||
							 constr->has_generated_stored)) &&
		!(events->rd_rel->relrowsecurity && events->rd_rel->relforcerowsecurity);
}

/*
 * Builds the entry.
 */
static void
build_store(EsStore *store)
{
	Relation	events;

	memset(store, 0, sizeof(*store));
	store->namespace_oid = find_extension();
	store->events = find_relation("es_events", store->namespace_oid);
	store->event_id_index = find_relation("es_events_event_id_idx",
										  store->namespace_oid);
	store->tx_ordinal_index = find_relation("es_events_tx_ordinal_key",
											store->namespace_oid);
	store->tx_sequence = find_relation("es_tx_seq", store->namespace_oid);
	store->snapshots = find_relation("es_snapshots", store->namespace_oid);

	events = try_relation_open(store->events, AccessShareLock);
	if (events == NULL)
		raise_damaged("Table \"es_events\"");
	store->events_pkey = relation_get_primary_key_index_compat(events);
	if (!OidIsValid(store->events_pkey))
		raise_damaged("The primary key of table \"es_events\"");
	check_columns(events);
	store->direct_insert =
		allows_direct_insert(events, inspect_insert_triggers(events, store));
	relation_close(events, AccessShareLock);
}

void
es_catalog_get_store(EsStore *store)
{
	uint64		before;

	if (cached_valid)
	{
		*store = cached;
		return;
	}

	before = invalidations;
	building = true;
	PG_TRY();
	{
		build_store(store);
	}
	PG_FINALLY();
	{
		building = false;
	}
	PG_END_TRY();

	cached = *store;
	cached_valid = (invalidations == before);
}

Relation
es_catalog_open_events(LOCKMODE lockmode, EsStore *store)
{
	for (;;)
	{
		Relation	events;

		es_catalog_get_store(store);
		events = try_relation_open(store->events, lockmode);

		/*
		 * Taking the lock may have waited for somebody who dropped or changed
		 * the table.  If so, the entry is no longer valid: look again.
		 */
		if (events != NULL && cached_valid)
			return events;
		if (events != NULL)
			relation_close(events, lockmode);
		cached_valid = false;
		CHECK_FOR_INTERRUPTS();
	}
}
