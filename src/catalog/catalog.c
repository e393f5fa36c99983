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
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_index.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "catalog/catalog.h"
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

const EsEventIndex es_event_indexes[ES_N_INDEXES] = {
	[ES_INDEX_PKEY] = {
		"es_events_pkey", true, 3,
		{Anum_es_events_tenant_id, Anum_es_events_stream_id, Anum_es_events_version},
		"Run ALTER TABLE es_events ADD CONSTRAINT es_events_pkey PRIMARY KEY (tenant_id, stream_id, version)."
	},
	[ES_INDEX_TX_ORDINAL] = {
		"es_events_tx_ordinal_key", true, 2,
		{Anum_es_events_tx, Anum_es_events_ordinal},
		"Run ALTER TABLE es_events ADD CONSTRAINT es_events_tx_ordinal_key UNIQUE (tx, ordinal)."
	},
	[ES_INDEX_EVENT_ID] = {
		"es_events_event_id_idx", false, 1,
		{Anum_es_events_event_id},
		"Run CREATE INDEX es_events_event_id_idx ON es_events (event_id)."
	}
};

/*
 * What was found wrong with the store.
 */
typedef struct Problem
{
	const char *what;			/* begins a sentence */
	const char *hint;			/* NULL for the general one */
} Problem;

/*
 * Notes that a relation changed.  May not touch anything but our variables.
 */
static void
relcache_callback(Datum arg, Oid relid)
{
	if (building || relid == InvalidOid ||
		relid == cached.events || relid == cached.tx_sequence ||
		relid == cached.snapshots || relid == cached.commits ||
		relid == cached.sequencer_state)
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
 * Compares the version of the installed SQL with what the library serves.
 */
static void
check_extension_version(const char *installed)
{
	int			i;

	for (i = 0; i < (int) lengthof(served_versions); i++)
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
 * Looks the extension up in pg_extension; fills in where it is.
 */
static void
find_extension(EsStore *store)
{
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
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

		store->extension = ((Form_pg_extension) GETSTRUCT(tuple))->oid;
		store->namespace_oid = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
		store->owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
		version = isnull ? pstrdup("") : TextDatumGetCString(datum);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	if (!OidIsValid(store->extension))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"%s\" is not installed in this database",
						ES_EXTENSION_NAME),
				 errhint("Run CREATE EXTENSION %s.", ES_EXTENSION_NAME)));

	check_extension_version(version);
}

/*
 * Finds a relation of the extension by name and kind; notes a problem if there
 * is none.
 */
static Oid
find_relation(const char *name, char relkind, Oid namespace_oid,
			  Problem *problem)
{
	Oid			relid = get_relname_relid(name, namespace_oid);

	if (OidIsValid(relid) && get_rel_relkind(relid) == relkind)
		return relid;

	problem->what = psprintf("Relation \"%s\"", name);
	return InvalidOid;
}

/*
 * Makes sure that the columns of es_events are where the numbers say.
 */
static bool
check_columns(Relation events, Problem *problem)
{
	TupleDesc	desc = RelationGetDescr(events);
	int			i;

	for (i = 0; i < Natts_es_events; i++)
	{
		Form_pg_attribute att = i < desc->natts ? TupleDescAttr(desc, i) : NULL;

		if (att == NULL || att->attisdropped ||
			att->atttypid != event_columns[i].type ||
			strcmp(NameStr(att->attname), event_columns[i].name) != 0)
		{
			problem->what = psprintf("Column \"%s\" of table \"es_events\"",
									 event_columns[i].name);
			return false;
		}
	}
	return true;
}

/*
 * Is the index a B-tree over the columns that our scans take it for?
 */
static bool
index_matches(Relation index, Oid events, const EsEventIndex *wanted)
{
	Form_pg_index form = index->rd_index;
	int			i;

	if (form->indrelid != events || index->rd_rel->relam != BTREE_AM_OID ||
		!form->indisvalid || !form->indisready || !form->indislive ||
		form->indnkeyatts != wanted->nkeys ||
		(wanted->unique && !(form->indisunique && form->indimmediate)) ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL))
		return false;

	for (i = 0; i < wanted->nkeys; i++)
	{
		if (form->indkey.values[i] != wanted->keys[i] ||
			(index->rd_indoption[i] & INDOPTION_DESC) != 0 ||
			(event_columns[wanted->keys[i] - 1].type == TEXTOID &&
			 index->rd_indcollation[i] != C_COLLATION_OID))
			return false;
	}
	return true;
}

/*
 * Finds an index of es_events (locked) and looks whether it is what we need;
 * notes a problem if not.  Clears *as_made if it is more than what we made: the
 * user may have put another one in its place.
 */
static Oid
find_index(const EsEventIndex *wanted, Oid namespace_oid, Oid events,
		   bool *as_made, Problem *problem)
{
	Oid			relid = find_relation(wanted->name, RELKIND_INDEX,
									  namespace_oid, problem);
	Relation	index;
	bool		matches;

	problem->hint = wanted->hint;
	if (!OidIsValid(relid))
		return InvalidOid;

	index = index_open(relid, AccessShareLock);
	matches = index_matches(index, events, wanted);

	/* More columns, or another constraint, are for the executor to fill. */
	if (index->rd_index->indnatts != wanted->nkeys ||
		index->rd_index->indisunique != wanted->unique ||
		index->rd_index->indisexclusion)
		*as_made = false;
	index_close(index, AccessShareLock);
	if (!matches)
	{
		problem->what = psprintf("Index \"%s\"", wanted->name);
		return InvalidOid;
	}
	problem->hint = NULL;
	return relid;
}

/*
 * Finds a trigger function of the extension; notes a problem if there is none.
 */
static Oid
find_trigger_function(const char *name, Oid namespace_oid, Problem *problem)
{
	oidvector  *noargs = buildoidvector(NULL, 0);
	Oid			result;

	result = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
							 CStringGetDatum(name), PointerGetDatum(noargs),
							 ObjectIdGetDatum(namespace_oid));
	if (!OidIsValid(result))
		problem->what = psprintf("Function \"%s()\"", name);
	return result;
}

/*
 * Looks through the INSERT triggers of es_events, of which before and after are
 * our functions.
 *
 * Sets before_trigger and late_trigger, and returns whether there are others
 * than our own.  PostgreSQL fires them in the order in which they stand in the
 * array.  No catalog may be looked up meanwhile: the relation cache replaces
 * the array at an invalidation, also that of an open relation.
 */
static bool
inspect_insert_triggers(TriggerDesc *desc, Oid before, Oid after,
						EsStore *store)
{
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
		!events->rd_rel->relispartition &&
		!events->rd_rel->relhasrules &&
		RelationGetDescr(events)->natts == Natts_es_events &&
		!(constr != NULL && (constr->num_check > 0 ||
							 constr->has_generated_stored)) &&
		!(events->rd_rel->relrowsecurity && events->rd_rel->relforcerowsecurity);
}

/*
 * Finds the other relations that the store consists of.
 */
static bool
find_other_relations(EsStore *store, Problem *problem)
{
	const struct
	{
		Oid		   *oid;
		const char *name;
		char		relkind;
	}			wanted[] = {
		{&store->tx_sequence, "es_tx_seq", RELKIND_SEQUENCE},
		{&store->snapshots, "es_snapshots", RELKIND_RELATION},
		{&store->commits, "es_commits", RELKIND_RELATION},
		{&store->commits_pkey, "es_commits_pkey", RELKIND_INDEX},
		{&store->commits_tx_range, "es_commits_tx_range_idx", RELKIND_INDEX},
		{&store->sequencer_state, "es_sequencer_state", RELKIND_RELATION},
		{&store->sequencer_state_pkey, "es_sequencer_state_pkey", RELKIND_INDEX},
	};
	int			i;

	for (i = 0; i < (int) lengthof(wanted); i++)
	{
		*wanted[i].oid = find_relation(wanted[i].name, wanted[i].relkind,
									   store->namespace_oid, problem);
		if (!OidIsValid(*wanted[i].oid))
			return false;
	}
	return true;
}

/*
 * Reads the key of the store, the one row of es_store_key.
 */
static bool
read_key(EsStore *store, Problem *problem)
{
	Oid			relid = find_relation("es_store_key", RELKIND_RELATION,
									  store->namespace_oid, problem);
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull = true;

	if (!OidIsValid(relid))
		return false;
	rel = table_open(relid, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Datum		key = heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull);

		if (!isnull)
			store->key = *DatumGetUUIDP(key);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	if (isnull)
		problem->what = "The row of table \"es_store_key\"";
	return !isnull;
}

/*
 * Builds the entry from es_events, which is open and locked, so that its
 * indexes stay what they are.  Returns false with a problem noted.
 */
static bool
inspect_events(Relation events, EsStore *store, Problem *problem)
{
	Oid			nsp = store->namespace_oid;
	Oid			before;
	Oid			after;
	bool		as_made = true;
	int			i;

	if (!check_columns(events, problem))
		return false;

	for (i = 0; i < ES_N_INDEXES; i++)
	{
		store->indexes[i] = find_index(&es_event_indexes[i], nsp,
									   store->events, &as_made, problem);
		if (!OidIsValid(store->indexes[i]))
			return false;
	}
	store->only_our_indexes = as_made &&
		list_length(RelationGetIndexList(events)) == ES_N_INDEXES;

	if (!find_other_relations(store, problem) ||
		!read_key(store, problem) ||
		!OidIsValid(before = find_trigger_function("es_events_before_insert",
												   nsp, problem)) ||
		!OidIsValid(after = find_trigger_function("es_events_after_insert",
												  nsp, problem)))
		return false;

	store->direct_insert =
		allows_direct_insert(events,
							 inspect_insert_triggers(events->trigdesc, before,
													 after, store));
	return true;
}

/*
 * Builds the entry; returns false with a problem noted.
 */
static bool
build_store(EsStore *store, Problem *problem)
{
	Relation	events;
	bool		result;

	memset(store, 0, sizeof(*store));
	memset(problem, 0, sizeof(*problem));
	find_extension(store);
	store->events = find_relation("es_events", RELKIND_RELATION,
								  store->namespace_oid, problem);
	if (!OidIsValid(store->events))
		return false;
	events = try_relation_open(store->events, AccessShareLock);
	if (events == NULL)
	{
		problem->what = "Table \"es_events\"";
		return false;
	}
	result = inspect_events(events, store, problem);
	relation_close(events, AccessShareLock);
	return result;
}

void
es_catalog_get_store(EsStore *store)
{
	uint64		before;
	bool		found;
	Problem		problem;

	if (cached_valid)
	{
		*store = cached;
		return;
	}

	/*
	 * What is missing may be on its way out or in: it is damage only if nothing
	 * changed while we looked.
	 */
	do
	{
		CHECK_FOR_INTERRUPTS();
		before = invalidations;
		building = true;
		PG_TRY();
		{
			found = build_store(store, &problem);
			if (!found)
				AcceptInvalidationMessages();
		}
		PG_FINALLY();
		{
			building = false;
		}
		PG_END_TRY();
	} while (!found && invalidations != before);

	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("event store is damaged"),
				 errdetail("%s is missing or was changed.", problem.what),
				 problem.hint ? errhint("%s", problem.hint) :
				 errhint("Save what is left of the events, drop the extension \"%s\", create it again and restore a dump.",
						 ES_EXTENSION_NAME)));

	cached = *store;
	cached_valid = (invalidations == before);
}

uint64
es_catalog_store_id(const EsStore *store)
{
	uint64		id;

	memcpy(&id, store->key.data, sizeof(id));
	return id == 0 ? 1 : id;
}

bool
es_catalog_lock_store(EsStore *store)
{
	/*
	 * Taking a lock accepts invalidations: if the entry is still good then, so
	 * is the extension.
	 */
	if (cached_valid)
	{
		Oid			known = cached.extension;

		LockDatabaseObject(ExtensionRelationId, known, 0, AccessShareLock);
		if (cached_valid)
		{
			*store = cached;
			return true;
		}
		UnlockDatabaseObject(ExtensionRelationId, known, 0, AccessShareLock);
	}

	for (;;)
	{
		Oid			extension = get_extension_oid(ES_EXTENSION_NAME, true);

		if (!OidIsValid(extension))
			return false;
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);

		/* It may have waited for DROP EXTENSION. */
		if (get_extension_oid(ES_EXTENSION_NAME, true) == extension)
			break;
		UnlockDatabaseObject(ExtensionRelationId, extension, 0,
							 AccessShareLock);
	}
	es_catalog_get_store(store);
	return true;
}

bool
es_catalog_has_projections(const EsStore *store)
{
	Oid			relid = get_relname_relid("es_projection_definitions",
										  store->namespace_oid);
	Snapshot	snapshot;
	Relation	relation;
	SysScanDesc scan;
	bool		result;

	if (!OidIsValid(relid))
		return false;
	relation = table_open(relid, AccessShareLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = systable_beginscan(relation, InvalidOid, false, snapshot, 0, NULL);
	result = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(relation, AccessShareLock);
	return result;
}

Relation
es_catalog_open_events(LOCKMODE lockmode, EsStore *store)
{
	for (;;)
	{
		Relation	events;
		Oid			relid;

		es_catalog_get_store(store);
		events = try_relation_open(store->events, lockmode);
		if (events != NULL && cached_valid)
			return events;

		/*
		 * Taking the lock may have waited for somebody who dropped or changed
		 * the table: look again.  Under the lock the answer holds, even if
		 * something else is invalidated meanwhile.
		 */
		cached_valid = false;
		if (events != NULL)
		{
			relid = store->events;
			es_catalog_get_store(store);
			if (store->events == relid)
				return events;
			relation_close(events, lockmode);
		}
		CHECK_FOR_INTERRUPTS();
	}
}
