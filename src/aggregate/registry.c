/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  The registry of aggregates: es_aggregates as structs.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Each process keeps what it has read of the table.  Whoever writes to it,
 *	  in whatever way, fires a trigger that invalidates the table's relation
 *	  cache entry, which reaches every process.  Changes of functions, roles,
 *	  their members, schemas and operators make it read again, too: which functions the names
 *	  mean, what they do and how they are planned may have changed.
 *
 *	  Nothing is changed in place: an entry that was handed out stays as it is
 *	  to the end of the transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "aggregate/fold.h"
#include "core/compat.h"

PG_FUNCTION_INFO_V1(es_aggregates_changed);

/* Columns of es_aggregates */
enum
{
	NAME = 1, CATEGORY, EVOLVE, INITIAL_STATE, DECIDE, SNAPSHOT_EVERY, KEEP,
	OWNER, SETTINGS
};

/*
 * What this process knows.
 */
static struct
{
	bool		callbacks;		/* are they registered? */
	Oid			table;			/* OID of the table when it was read */
	bool		fresh;			/* is what follows what the table says? */
	uint64		generation;		/* see es_aggregate_generation() */
	uint64		transaction;	/* see es_aggregate_transaction() */
	uint64		upcast;			/* fingerprint of the upcasters */
	List	   *entries;		/* of EsAggregateEntry *, TopMemoryContext */
	List	   *retired;		/* those that are not current */
	List	   *watched;		/* OIDs, see es_aggregate_watch() */
} registry;

static void
make_stale(void)
{
	registry.fresh = false;
	registry.generation++;
}

static void
relation_changed(Datum arg, Oid relid)
{
	if (relid == registry.table || !OidIsValid(relid) ||
		list_member_oid(registry.watched, relid))
	{
		make_stale();
		es_cache_clear();
	}
}

static void
catalog_changed(Datum arg, int cacheid, uint32 hash)
{
	make_stale();
}

/*
 * Frees, at the end of a transaction, the entries that are not current.
 */
static void
transaction_ended(XactEvent event, void *arg)
{
	ListCell   *lc;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	registry.transaction++;
	foreach(lc, registry.retired)
		MemoryContextDelete(((EsAggregateEntry *) lfirst(lc))->aggregate.context);
	list_free(registry.retired);
	registry.retired = NIL;
}

static void
register_callbacks(void)
{
	if (registry.callbacks)
		return;
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AGGFNOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(OPEROID, catalog_changed, (Datum) 0);
	RegisterXactCallback(transaction_ended, NULL);
	registry.callbacks = true;
}

uint64
es_aggregate_generation(void)
{
	return registry.generation;
}

uint64
es_aggregate_transaction(void)
{
	return registry.transaction;
}

void
es_aggregate_watch(Oid relid)
{
	MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);

	registry.watched = list_append_unique_oid(registry.watched, relid);
	MemoryContextSwitchTo(previous);
}

Oid
es_aggregate_table(const EsStore *store)
{
	Oid			table = get_relname_relid("es_aggregates", store->namespace_oid);

	if (!OidIsValid(table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("event store is damaged"),
				 errdetail("Table \"es_aggregates\" is missing.")));
	return table;
}

/* ---------- reading ---------- */

static char *
get_string(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static int
get_int(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

static List *
get_settings(HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, SETTINGS, desc, &isnull);
	List	   *settings = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	int			i;

	if (isnull)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false,
					  TYPALIGN_INT, &elements, &nulls, &n);
	for (i = 0; i < n; i++)
	{
		if (!nulls[i])
			settings = lappend(settings, TextDatumGetCString(elements[i]));
	}
	return settings;
}

/*
 * Makes an entry from a row, in a context of its own below the current one.
 */
static EsAggregateEntry *
make_entry(HeapTuple tuple, TupleDesc desc)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_store aggregate",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext previous = MemoryContextSwitchTo(context);
	EsAggregateEntry *entry = palloc0(sizeof(EsAggregateEntry));
	EsAggregate *aggregate = &entry->aggregate;
	Datum		initial;
	bool		isnull;

	aggregate->context = context;
	aggregate->name = get_string(tuple, desc, NAME);
	aggregate->category = get_string(tuple, desc, CATEGORY);
	aggregate->snapshot_every = get_int(tuple, desc, SNAPSHOT_EVERY);
	aggregate->keep = get_int(tuple, desc, KEEP);
	aggregate->settings = get_settings(tuple, desc);
	initial = heap_getattr(tuple, INITIAL_STATE, desc, &isnull);
	aggregate->initial_isnull = isnull;
	if (!isnull)
		aggregate->initial_state =
			PointerGetDatum(PG_DETOAST_DATUM_COPY(initial));

	entry->evolve_name = get_string(tuple, desc, EVOLVE);
	entry->decide_name = get_string(tuple, desc, DECIDE);
	initial = heap_getattr(tuple, OWNER, desc, &isnull);
	entry->owner_name = pstrdup(NameStr(*DatumGetName(initial)));
	MemoryContextSwitchTo(previous);
	return entry;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(((EsAggregateEntry *) lfirst(a))->aggregate.name,
				  ((EsAggregateEntry *) lfirst(b))->aggregate.name);
}

/*
 * Reads the table, as it is now: a transaction's own snapshot may be old.
 */
static void
read_table(const EsStore *store)
{
	MemoryContext reading = AllocSetContextCreate(CurrentMemoryContext,
												  "event_store aggregates",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext previous = MemoryContextSwitchTo(reading);
	List	   *entries = NIL;
	Relation	relation;
	Snapshot	snapshot;
	SysScanDesc scan;
	HeapTuple	tuple;
	uint64		generation;
	ListCell   *lc;

	registry.table = es_aggregate_table(store);
	relation = table_open(registry.table, AccessShareLock);
	generation = registry.generation;
	snapshot = RegisterSnapshot(GetCatalogSnapshot(registry.table));
	scan = systable_beginscan(relation, InvalidOid, false, snapshot, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		entries = lappend(entries, make_entry(tuple, RelationGetDescr(relation)));
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(relation, AccessShareLock);
	list_sort(entries, compare_names);

	/* Nothing can fail from here on but for want of memory. */
	MemoryContextSwitchTo(TopMemoryContext);
	registry.retired = list_concat(registry.retired, registry.entries);
	list_free(registry.entries);
	registry.entries = NIL;
	foreach(lc, entries)
	{
		EsAggregateEntry *entry = lfirst(lc);

		entry->generation = generation;
		registry.entries = lappend(registry.entries, entry);
		MemoryContextSetParent(entry->aggregate.context, TopMemoryContext);
	}
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(reading);
	registry.fresh = (registry.generation == generation);
}

/*
 * Returns the function with a name like "schema.f(jsonb,schema.es_event)", or
 * InvalidOid.
 */
static Oid
find_function(const char *name)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = CStringGetTextDatum(name);
	fcinfo->args[0].isnull = false;
	result = to_regprocedure(fcinfo);
	return fcinfo->isnull ? InvalidOid : DatumGetObjectId(result);
}

/*
 * Finds the functions, as the aggregate's owner, who may use their schemas.
 */
static void
find_functions(EsAggregateEntry *entry)
{
	EsAggregate *aggregate = &entry->aggregate;
	Oid			userid;
	int			sec_context;

	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(aggregate->owner,
						   sec_context | SECURITY_LOCAL_USERID_CHANGE);
	aggregate->evolve = find_function(entry->evolve_name);
	aggregate->decide = entry->decide_name != NULL ?
		find_function(entry->decide_name) : InvalidOid;
	SetUserIdAndSecContext(userid, sec_context);
	aggregate->is_sql_aggregate = OidIsValid(aggregate->evolve) &&
		get_func_prokind(aggregate->evolve) == PROKIND_AGGREGATE;
}

/*
 * Fills in what the names of an entry stand for today.
 */
static void
resolve(const EsStore *store, EsAggregateEntry *entry)
{
	if (entry->resolved)
		return;
	entry->aggregate.owner = get_role_oid(entry->owner_name, true);
	if (OidIsValid(entry->aggregate.owner))
		find_functions(entry);
	if (OidIsValid(entry->aggregate.evolve))
		es_aggregate_fingerprint(store, entry, &entry->aggregate.definition);
	entry->resolved = true;
}

/*
 * Makes sure that the entries are what the table says.
 */
static void
refresh(const EsStore *store)
{
	uint64		upcast = es_types_upcast_fingerprint(store);

	register_callbacks();
	if (registry.upcast != upcast)
		make_stale();

	/* What changes while it is read is for the next time. */
	if (!registry.fresh)
	{
		registry.upcast = upcast;
		read_table(store);
	}
}

/* ---------- finding ---------- */

const EsAggregate *
es_aggregate_lookup(const EsStore *store, const char *name)
{
	ListCell   *lc;

	refresh(store);
	foreach(lc, registry.entries)
	{
		EsAggregateEntry *entry = lfirst(lc);

		if (strcmp(entry->aggregate.name, name) == 0)
		{
			resolve(store, entry);
			return &entry->aggregate;
		}
	}
	return NULL;
}

/*
 * Returns the length of the category at the beginning of the stream's id.
 */
static int
get_category_len(const EsStreamKey *stream)
{
	const char *hyphen = memchr(stream->stream, '-', stream->stream_len);

	return hyphen == NULL ? stream->stream_len :
		(int) (hyphen - stream->stream);
}

/*
 * Finds the one aggregate for the category of the stream.
 */
static EsAggregateEntry *
find_by_category(const EsStreamKey *stream)
{
	EsAggregateEntry *found = NULL;
	int			len = get_category_len(stream);
	ListCell   *lc;

	foreach(lc, registry.entries)
	{
		EsAggregateEntry *entry = lfirst(lc);

		if ((int) strlen(entry->aggregate.category) != len ||
			memcmp(entry->aggregate.category, stream->stream, len) != 0)
			continue;
		if (found != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_AMBIGUOUS_FUNCTION),
					 errmsg("category \"%s\" has several aggregates",
							entry->aggregate.category),
					 errdetail("Two of them are \"%s\" and \"%s\".",
							   found->aggregate.name, entry->aggregate.name),
					 errhint("Say which one: aggregate => '%s'.",
							 found->aggregate.name)));
		found = entry;
	}
	return found;
}

const EsAggregate *
es_aggregate_find(const EsStore *store, const char *name,
				  const EsStreamKey *stream)
{
	const EsAggregate *aggregate = NULL;

	if (name != NULL)
	{
		aggregate = es_aggregate_lookup(store, name);
		if (aggregate == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("aggregate \"%s\" does not exist", name),
					 errhint("The table es_aggregates lists those that do.")));
	}
	else
	{
		EsAggregateEntry *entry;

		refresh(store);
		entry = find_by_category(stream);
		if (entry == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("category \"%.*s\" has no aggregate",
							get_category_len(stream), stream->stream),
					 errhint("Make one with es_create_aggregate(), or name one that is made for another category.")));
		resolve(store, entry);
		aggregate = &entry->aggregate;
	}
	es_aggregate_check_usable(aggregate);
	return aggregate;
}

void
es_aggregate_check_usable(const EsAggregate *aggregate)
{
	const EsAggregateEntry *entry = (const EsAggregateEntry *) aggregate;

	if (!OidIsValid(aggregate->owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\", the owner of aggregate \"%s\", does not exist",
						entry->owner_name, aggregate->name),
				 errhint("Give the aggregate another owner with es_alter_aggregate(name, owner => ...).")));
	if (!OidIsValid(aggregate->evolve))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s, by which aggregate \"%s\" evolves, does not exist",
						entry->evolve_name, aggregate->name),
				 errhint("Make the function again, or give the aggregate another one with es_alter_aggregate(name, evolve => ...).")));
}

void
es_aggregate_check_owner(const EsAggregate *aggregate)
{
	if (superuser() ||
		(OidIsValid(aggregate->owner) &&
		 has_privs_of_role(GetUserId(), aggregate->owner)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("must be owner of aggregate \"%s\"", aggregate->name),
			 errdetail("It belongs to role \"%s\".",
					   ((const EsAggregateEntry *) aggregate)->owner_name)));
}

void
es_aggregate_invalidate(const EsStore *store)
{
	CacheInvalidateRelcacheByRelid(es_aggregate_table(store));
}

/*
 * SQL: trigger function of es_aggregates, after each statement that writes to
 * it
 */
Datum
es_aggregates_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function can only be called as the trigger it was made for")));
	make_stale();
	CacheInvalidateRelcache(trigger->tg_relation);
	PG_RETURN_POINTER(NULL);	/* not SQL's NULL: a trigger must not */
}

void
es_aggregate_init(void)
{
	/* the rest waits for the first use: most processes never see an aggregate */
	registry.generation = 1;
	registry.transaction = 1;
}
