/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  The registry of event types: es_event_types in memory.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Each process that needs the types keeps them.  Whoever writes to the
 *	  table, by whatever way, fires a trigger that invalidates the table's
 *	  relation cache entry; that reaches every process and marks what it keeps
 *	  as stale.  It also invalidates es_events: plans that read events as they
 *	  are stored must be made again when events get an upcaster.
 *
 *	  Each append takes in such invalidations before it looks: who begins to
 *	  append after a version was retired knows of it.  Who has begun before, and
 *	  waits for his stream, may not: his event may be recorded after the
 *	  retirement.
 *
 *	  What was read is one piece that is thrown away as a whole, once nobody
 *	  holds it: an upcaster of a query that runs, a check of a transaction.
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
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "core/guc.h"
#include "types/registry.h"

PG_FUNCTION_INFO_V1(es_event_types_changed);

/*
 * An entry of the index: a version by its name and number.
 */
typedef struct IndexKey
{
	const char *name;
	int			len;
	int32		schema_version;
} IndexKey;

typedef struct IndexEntry
{
	IndexKey	key;
	uint32		hash;
	char		status;
	EsTypeVersion *version;
} IndexEntry;

static inline uint32
hash_key(IndexKey key)
{
	return hash_combine(hash_bytes((const unsigned char *) key.name, key.len),
						murmurhash32((uint32) key.schema_version));
}

static inline bool
equal_keys(IndexKey a, IndexKey b)
{
	return a.schema_version == b.schema_version && a.len == b.len &&
		memcmp(a.name, b.name, a.len) == 0;
}

#define SH_PREFIX types
#define SH_ELEMENT_TYPE IndexEntry
#define SH_KEY_TYPE IndexKey
#define SH_KEY key
#define SH_HASH_KEY(tb, key) hash_key(key)
#define SH_EQUAL(tb, a, b) equal_keys(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) (a)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/*
 * What this process knows.
 */
static struct
{
	Oid			table;			/* OID of es_event_types when it was read */
	bool		fresh;			/* is what follows what the table says? */
	bool		empty;
	EsTypes    *types;
} registry;

static void
invalidate(Datum arg, Oid relid)
{
	if (relid == registry.table || !OidIsValid(relid))
		registry.fresh = false;
}

void
es_types_init(void)
{
	CacheRegisterRelcacheCallback(invalidate, (Datum) 0);
	es_type_code_init();
	es_type_check_init();
	es_types_feed_init();
}

void
es_types_changed(void)
{
	registry.fresh = false;
}

/* ---------- reading ---------- */

/*
 * Raises an error when the table is not as this library knows it.
 */
static void
check_table(Relation table)
{
	static const Oid types[Natts_es_event_types] = {
		TEXTOID, INT4OID, TEXTOID, TEXTOID, BOOLOID, TEXTOID, JSONBOID,
		TEXTOID, TEXTOID, TEXTOID, NAMEOID, TEXTARRAYOID, TIMESTAMPTZOID
	};
	TupleDesc	desc = RelationGetDescr(table);
	int			i;

	for (i = 0; i < Natts_es_event_types; i++)
	{
		if (i >= desc->natts || TupleDescAttr(desc, i)->attisdropped ||
			TupleDescAttr(desc, i)->atttypid != types[i])
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" does not have the columns that it should have",
							RelationGetRelationName(table))));
	}
}

static EsTypeStatus
parse_status(const char *status)
{
	if (strcmp(status, "draft") == 0)
		return ES_TYPE_DRAFT;
	if (strcmp(status, "deprecated") == 0)
		return ES_TYPE_DEPRECATED;
	if (strcmp(status, "retired") == 0)
		return ES_TYPE_RETIRED;
	return ES_TYPE_ACTIVE;
}

List *
es_types_parse_settings(Datum value)
{
	Datum	   *elements;
	bool	   *nulls;
	List	   *list = NIL;
	int			n;
	int			i;

	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false,
					  TYPALIGN_INT, &elements, &nulls, &n);
	for (i = 0; i < n; i++)
	{
		if (!nulls[i])
			list = lappend(list, TextDatumGetCString(elements[i]));
	}
	return list;
}

static char *
get_string(const Datum *values, const bool *nulls, int attnum)
{
	return nulls[attnum - 1] ? NULL : TextDatumGetCString(values[attnum - 1]);
}

/*
 * Makes a definition of a row.  The output plugin upcasts only: under its
 * historic snapshot the rest is left out, because what is stored out of line
 * may have been vacuumed away.
 */
static EsTypeDefinition *
make_definition(HeapTuple tuple, TupleDesc desc, bool for_upcasting)
{
	EsTypeDefinition *row = palloc0(sizeof(EsTypeDefinition));
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(desc->natts * sizeof(bool));

	heap_deform_tuple(tuple, desc, values, nulls);
	row->event_type = get_string(values, nulls, Anum_es_event_types_event_type);
	row->schema_version =
		DatumGetInt32(values[Anum_es_event_types_schema_version - 1]);
	row->status = parse_status(get_string(values, nulls,
										  Anum_es_event_types_status));
	if (!for_upcasting)
	{
		if (!nulls[Anum_es_event_types_json_schema - 1])
			row->json_schema =
				DatumGetJsonbPCopy(values[Anum_es_event_types_json_schema - 1]);
		row->check_expression = get_string(values, nulls,
										   Anum_es_event_types_check_expression);
	}
	row->upcaster = get_string(values, nulls, Anum_es_event_types_upcaster);
	row->owner = pstrdup(NameStr(*DatumGetName(values[Anum_es_event_types_owner - 1])));
	row->settings = es_types_parse_settings(values[Anum_es_event_types_settings - 1]);
	pfree(values);
	pfree(nulls);
	return row;
}

List *
es_types_read(Relation table, Snapshot snapshot)
{
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *rows = NIL;

	check_table(table);
	scan = systable_beginscan(table, InvalidOid, false, snapshot, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		rows = lappend(rows, make_definition(tuple, RelationGetDescr(table),
											 HistoricSnapshotActive()));
	systable_endscan(scan);
	return rows;
}

/* ---------- in memory ---------- */

static int
compare_rows(const ListCell *a, const ListCell *b)
{
	const EsTypeDefinition *left = lfirst(a);
	const EsTypeDefinition *right = lfirst(b);
	int			result = strcmp(left->event_type, right->event_type);

	if (result != 0)
		return result;
	return left->schema_version < right->schema_version ? -1 :
		left->schema_version > right->schema_version;
}

EsTypes *
es_types_make(List *definitions)
{
	EsTypes    *types = palloc0(sizeof(EsTypes));
	List	   *rows = list_copy(definitions);
	ListCell   *lc;

	list_sort(rows, compare_rows);
	types->context = CurrentMemoryContext;
	types->nversions = list_length(rows);
	types->versions = palloc0(Max(types->nversions, 1) * sizeof(EsTypeVersion));
	types->index = types_create(CurrentMemoryContext,
								Max(types->nversions, 8), NULL);
	foreach(lc, rows)
	{
		int			i = foreach_current_index(lc);
		EsTypeVersion *version = &types->versions[i];
		IndexKey	key;
		bool		found;

		version->row = lfirst(lc);
		version->types = types;
		version->name_len = strlen(version->row->event_type);
		version->number = i;
		version->is_upcast_to = version->row->upcaster != NULL &&
			version->row->status != ES_TYPE_DRAFT;
		types->has_upcasters |= version->is_upcast_to;

		key.name = version->row->event_type;
		key.len = version->name_len;
		key.schema_version = version->row->schema_version;
		types_insert(types->index, key, &found)->version = version;
	}
	list_free(rows);
	return types;
}

/*
 * Frees the registry as it was, if nobody holds it any more.
 */
static void
free_if_unused(EsTypes *types)
{
	int			i;

	if (types == NULL || types->holders > 0)
		return;
	for (i = 0; i < types->nversions; i++)
	{
		if (types->versions[i].schema != NULL)
			es_type_free_schema(&types->versions[i]);
	}
	MemoryContextDelete(types->context);
}

static void
release(void *arg)
{
	EsTypes    *types = arg;

	types->holders--;
	if (types != registry.types)
		free_if_unused(types);
}

void
es_types_hold(EsTypes *types, MemoryContext context)
{
	MemoryContextCallback *callback;

	if (!types->is_kept)
		return;
	callback = MemoryContextAlloc(context, sizeof(MemoryContextCallback));
	callback->func = release;
	callback->arg = types;
	types->holders++;
	MemoryContextRegisterResetCallback(context, callback);
}

/*
 * Reads the table, as it is now: a transaction's own snapshot may be old.
 * While a parallel query runs it is the only one there is.
 */
static EsTypes *
read_registry(const EsStore *store)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "event_store event types",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext previous;
	Snapshot	snapshot;
	Relation	table;
	EsTypes    *types;

	PG_TRY();
	{
		table = table_open(registry.table, AccessShareLock);
		snapshot = RegisterSnapshot(IsInParallelMode() ?
									GetActiveSnapshot() : GetLatestSnapshot());
		previous = MemoryContextSwitchTo(context);
		types = es_types_make(es_types_read(table, snapshot));
		MemoryContextSwitchTo(previous);
		UnregisterSnapshot(snapshot);
		table_close(table, AccessShareLock);
	}
	PG_CATCH();
	{
		registry.fresh = false;
		MemoryContextDelete(context);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return types;
}

EsTypes *
es_types_get(const EsStore *store)
{
	EsTypes    *old = registry.types;
	EsTypes    *types;

	if (likely(registry.fresh))
		return registry.types;

	registry.table = get_relname_relid(ES_EVENT_TYPES, store->namespace_oid);
	if (!OidIsValid(registry.table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is missing", ES_EVENT_TYPES)));
	registry.fresh = true;		/* unless somebody changes it from here on */
	types = read_registry(store);
	if (IsInParallelMode())
		registry.fresh = false;
	types->is_kept = true;
	registry.types = types;
	registry.empty = types->nversions == 0;
	free_if_unused(old);
	return types;
}

EsTypeVersion *
es_types_find(EsTypes *types, const char *event_type, int len,
			  int32 schema_version)
{
	IndexKey	key = {event_type, len, schema_version};
	IndexEntry *entry = types_lookup(types->index, key);

	return entry != NULL ? entry->version : NULL;
}

EsTypeVersion *
es_types_find_newest(EsTypes *types, const char *event_type, int len)
{
	int			i;

	for (i = types->nversions - 1; i >= 0; i--)
	{
		EsTypeVersion *version = &types->versions[i];

		if (version->name_len == len &&
			memcmp(version->row->event_type, event_type, len) == 0)
			return version;
	}
	return NULL;
}

bool
es_types_nothing_to_check(const EsStore *store)
{
	/* A transaction that has its locks already would not hear of it. */
	AcceptInvalidationMessages();
	if (unlikely(!registry.fresh))
		(void) es_types_get(store);
	return registry.empty && es_guc_strict_types == ES_STRICT_TYPES_OFF;
}

bool
es_types_have_upcasters(const EsStore *store)
{
	return es_types_get(store)->has_upcasters;
}

/*
 * SQL: trigger function of es_event_types, after whatever was written to it
 */
Datum
es_event_types_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	EsStore		store;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by the trigger manager",
						"es_event_types_changed")));
	es_types_changed();
	CacheInvalidateRelcache(trigger->tg_relation);
	es_catalog_get_store(&store);
	CacheInvalidateRelcacheByRelid(store.events);
	return PointerGetDatum(NULL);	/* not SQL's NULL: a trigger must not */
}
