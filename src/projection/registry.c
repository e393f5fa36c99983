/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  The registry of projections: es_projection_definitions as structs.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Each process that needs the projections keeps them in memory.  Whoever
 *	  writes to the table, by whatever way, fires a trigger that invalidates
 *	  the table's relation cache entry; that reaches every process, and marks
 *	  what it keeps as stale.
 *
 *	  A projection whose row has not changed keeps its struct, and thereby the
 *	  plans that were prepared for it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/statement.h"
#include "core/compat.h"
#include "core/locks.h"
#include "projection/projection.h"
#include "worker/tasks.h"

PG_FUNCTION_INFO_V1(es_projection_definitions_changed);

#define TABLE	"es_projection_definitions"

/*
 * What this process knows; everything in TopMemoryContext or children of it.
 */
static struct
{
	bool		callbacks;		/* are they registered? */
	Oid			table;			/* OID of the table when it was read */
	bool		fresh;			/* is what follows what the table says? */
	bool		has_inline;		/* is one of them inline? */
	List	   *projections;	/* of Entry * */
	List	   *reading;		/* those that are being read */
	List	   *result;			/* the same as EsProjection *, for callers */
	List	   *retired;		/* pinned entries that are not current */
	uint64		last_serial;
} registry;

/*
 * A projection and what the registry needs to know of it.
 */
typedef struct Entry
{
	EsProjection projection;	/* must be first */
	char	   *fingerprint;	/* its row as text, and OIDs: another table may
								 * have the name of one that was dropped */
	int			pins;
	bool		seen;			/* in the round of reading that goes on */
} Entry;

static void
invalidate(Datum arg, Oid relid)
{
	if (relid == registry.table || !OidIsValid(relid))
		registry.fresh = false;
}

/*
 * Drops the pins of a transaction that ends.
 */
static void
forget_pins(XactEvent event, void *arg)
{
	ListCell   *lc;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	foreach(lc, registry.projections)
		((Entry *) lfirst(lc))->pins = 0;
	foreach(lc, registry.retired)
		((Entry *) lfirst(lc))->pins = 0;
}

static void
register_callbacks(void)
{
	if (registry.callbacks)
		return;
	CacheRegisterRelcacheCallback(invalidate, (Datum) 0);
	RegisterXactCallback(forget_pins, NULL);
	registry.callbacks = true;
}

/*
 * Frees an entry that nobody uses.
 */
static void
free_entry(Entry *entry)
{
	if (entry->projection.prepared != NULL &&
		entry->projection.free_prepared != NULL)
		entry->projection.free_prepared(entry->projection.prepared);
	MemoryContextDelete(entry->projection.context);
}

/*
 * Frees the retired entries that are not pinned any more.
 */
static void
free_retired(void)
{
	List	   *kept = NIL;
	List	   *old = registry.retired;
	MemoryContext previous;
	ListCell   *lc;

	if (old == NIL)
		return;
	previous = MemoryContextSwitchTo(TopMemoryContext);
	foreach(lc, old)
	{
		Entry	   *entry = lfirst(lc);

		if (entry->pins > 0)
			kept = lappend(kept, entry);
		else
			free_entry(entry);
	}
	MemoryContextSwitchTo(previous);
	registry.retired = kept;
	list_free(old);
	MemoryContextSwitchTo(previous);
}

/* ---------- statements ---------- */

/* Is this process running a statement of ours that may write? */
static bool writing = false;

/*
 * Runs a statement of ours; what it writes to the registry is no restore.
 */
static uint64
execute(const EsStore *store, const char *sql, int nargs, Oid *types,
		Datum *values, const char *nulls, bool read_only)
{
	uint64		processed;

	writing = !read_only;
	PG_TRY();
	{
		processed = es_catalog_execute(store, sql, nargs, types, values, nulls,
									   read_only);
	}
	PG_FINALLY();
	{
		writing = false;
	}
	PG_END_TRY();
	return processed;
}

uint64
es_registry_execute(const EsStore *store, const char *sql, int nargs,
					Oid *types, Datum *values, const char *nulls)
{
	return execute(store, sql, nargs, types, values, nulls, false);
}

uint64
es_registry_query(const EsStore *store, const char *sql, int nargs,
				  Oid *types, Datum *values, const char *nulls)
{
	return execute(store, sql, nargs, types, values, nulls, true);
}

/* ---------- reading ---------- */

enum
{
	ID = 1, NAME, OWNER, KIND, QUERY, STATEMENTS, HANDLERS, RELATION,
	STATE_TABLE, TABLES, REFRESH_EVERY, CONCURRENTLY, MODE, PAUSED, ON_ERROR,
	MAX_RETRIES, BATCH_SIZE, PARTITIONS, CATEGORIES, EVENT_TYPES, TENANTS,
	SETTINGS, AFTER_POSITION, FINGERPRINT
};

static const char *const read_sql =
	"SELECT d.id, d.name, d.owner, d.kind, d.query, d.statements, d.handlers,"
	" d.relation::pg_catalog.oid, d.state_table::pg_catalog.oid, d.tables::pg_catalog.oid[],"
	" (EXTRACT(epoch FROM d.refresh_every) * 1000000)::bigint, d.refresh_concurrently, d.mode,"
	" d.paused, d.on_error, d.max_retries, d.batch_size, d.partitions,"
	" d.categories, d.event_types, d.tenants, d.settings, d.after_position,"
	" pg_catalog.concat_ws(' ', d, d.relation::pg_catalog.oid, d.state_table::pg_catalog.oid, d.tables::pg_catalog.oid[])"
	" FROM %s." TABLE " d ORDER BY d.id";

/* The row that is being read */
static HeapTuple row;

static Datum
get(int column, bool *isnull)
{
	return SPI_getbinval(row, SPI_tuptable->tupdesc, column, isnull);
}

static char *
get_string(int column)
{
	return SPI_getvalue(row, SPI_tuptable->tupdesc, column);
}

static int64
get_int(int column, int64 if_null)
{
	bool		isnull;
	Datum		value = get(column, &isnull);

	if (isnull)
		return if_null;
	return column == REFRESH_EVERY || column == AFTER_POSITION ? DatumGetInt64(value) :
		DatumGetInt32(value);
}

static Oid
get_oid(int column)
{
	bool		isnull;
	Datum		value = get(column, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

static bool
get_bool(int column)
{
	bool		isnull;
	Datum		value = get(column, &isnull);

	return !isnull && DatumGetBool(value);
}

/*
 * Returns an array as a list, of strings or OIDs; NULL and empty as NIL.
 */
static List *
get_list(int column)
{
	bool		isnull;
	Datum		value = get(column, &isnull);
	bool		oids = (column == TABLES);
	List	   *list = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	int			i;

	if (isnull)
		return NIL;
	if (oids)
		deconstruct_array(DatumGetArrayTypeP(value), OIDOID, sizeof(Oid),
						  true, TYPALIGN_INT, &elements, &nulls, &n);
	else
		deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false,
						  TYPALIGN_INT, &elements, &nulls, &n);
	for (i = 0; i < n; i++)
	{
		if (nulls[i])
			continue;
		if (oids)
			list = lappend_oid(list, DatumGetObjectId(elements[i]));
		else
			list = lappend(list, TextDatumGetCString(elements[i]));
	}
	return list;
}

/*
 * Returns the handlers: an object of texts, or of arrays of texts.
 */
static List *
get_handlers(void)
{
	bool		isnull;
	Datum		value = get(HANDLERS, &isnull);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;
	char	   *type = NULL;
	List	   *list = NIL;

	if (isnull)
		return NIL;
	it = JsonbIteratorInit(&DatumGetJsonbP(value)->root);
	while ((token = JsonbIteratorNext(&it, &item, false)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			type = pnstrdup(item.val.string.val, item.val.string.len);
		else if ((token == WJB_VALUE || token == WJB_ELEM) &&
				 item.type == jbvString && type != NULL)
		{
			EsHandlerText *handler = palloc(sizeof(EsHandlerText));

			handler->event_type = type;
			handler->text = pnstrdup(item.val.string.val, item.val.string.len);
			list = lappend(list, handler);
		}
	}
	return list;
}

/*
 * Returns the event types that handlers are for; NIL: all.
 */
static List *
get_handled_types(List *handlers)
{
	List	   *types = NIL;
	ListCell   *lc;

	foreach(lc, handlers)
	{
		EsHandlerText *handler = lfirst(lc);

		if (strcmp(handler->event_type, "*") == 0)
			return NIL;
		types = lappend(types, handler->event_type);
	}
	return types;
}

static EsProjectionKind
parse_kind(const char *kind)
{
	if (strcmp(kind, "view") == 0)
		return ES_PROJECTION_VIEW;
	if (strcmp(kind, "statement") == 0)
		return ES_PROJECTION_STATEMENT;
	if (strcmp(kind, "handlers") == 0)
		return ES_PROJECTION_HANDLERS;
	return ES_PROJECTION_REFRESH;
}

/*
 * Makes an entry from the current row.
 */
static Entry *
make_entry(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "event_store projection",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext previous = MemoryContextSwitchTo(context);
	Entry	   *entry = palloc0(sizeof(Entry));
	EsProjection *projection = &entry->projection;

	projection->context = context;
	projection->serial = ++registry.last_serial;
	projection->id = (int32) get_int(ID, 0);
	projection->name = get_string(NAME);
	projection->owner = get_string(OWNER);
	projection->kind = parse_kind(get_string(KIND));
	projection->query = get_string(QUERY);
	projection->statements = get_list(STATEMENTS);
	projection->handlers = get_handlers();
	projection->relation = get_oid(RELATION);
	projection->state_table = get_oid(STATE_TABLE);
	projection->tables = get_list(TABLES);
	projection->refresh_every = get_int(REFRESH_EVERY, 0);
	projection->concurrently = get_bool(CONCURRENTLY);
	projection->is_inline = strcmp(get_string(MODE), "inline") == 0;
	projection->paused = get_bool(PAUSED);
	projection->skip = strcmp(get_string(ON_ERROR), "skip") == 0;
	projection->max_retries = (int) get_int(MAX_RETRIES, -1);
	projection->batch_size = (int) get_int(BATCH_SIZE, 0);
	projection->partitions = (int) get_int(PARTITIONS, 1);
	projection->filter.categories = get_list(CATEGORIES);
	projection->filter.event_types = get_list(EVENT_TYPES);
	if (projection->filter.event_types == NIL)
		projection->filter.event_types = get_handled_types(projection->handlers);
	projection->filter.tenants = get_list(TENANTS);
	projection->settings = get_list(SETTINGS);
	projection->after_position = get_int(AFTER_POSITION, 0);
	entry->fingerprint = get_string(FINGERPRINT);
	MemoryContextSwitchTo(previous);
	return entry;
}

/*
 * Takes the current row into the new list: the entry there is, if it has not
 * changed.
 */
static void
take_row(void)
{
	char	   *fingerprint = get_string(FINGERPRINT);
	int32		id = (int32) get_int(ID, 0);
	Entry	   *entry = NULL;
	MemoryContext previous;
	ListCell   *lc;

	foreach(lc, registry.projections)
	{
		Entry	   *candidate = lfirst(lc);

		if (candidate->projection.id == id &&
			strcmp(candidate->fingerprint, fingerprint) == 0)
			entry = candidate;
	}
	if (entry == NULL)
		entry = make_entry();
	entry->seen = true;
	previous = MemoryContextSwitchTo(TopMemoryContext);
	registry.reading = lappend(registry.reading, entry);
	MemoryContextSwitchTo(previous);
}

/*
 * Puts the entries read in the place of those there were.
 */
static void
replace_entries(List *entries)
{
	List	   *old = registry.projections;
	MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
	ListCell   *lc;

	foreach(lc, old)
	{
		Entry	   *entry = lfirst(lc);

		if (!entry->seen)
			registry.retired = lappend(registry.retired, entry);
	}
	registry.projections = entries;
	list_free(old);
	list_free(registry.result);
	registry.result = NIL;
	registry.has_inline = false;
	foreach(lc, entries)
	{
		registry.has_inline |= ((Entry *) lfirst(lc))->projection.is_inline;
		((Entry *) lfirst(lc))->seen = false;
		registry.result = lappend(registry.result, lfirst(lc));
	}
	MemoryContextSwitchTo(previous);
}

/*
 * Reads the table, as it is now: a transaction's own snapshot may be old.
 */
static void
read_table(const EsStore *store)
{
	ListCell   *lc;
	uint64		i;

	registry.reading = NIL;
	registry.table = get_relname_relid(TABLE, store->namespace_oid);
	registry.fresh = true;		/* unless somebody changes it from here on */
	foreach(lc, registry.projections)
		((Entry *) lfirst(lc))->seen = false;

	SPI_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	PG_TRY();
	{
		(void) execute(store, read_sql, 0, NULL, NULL, NULL, true);
		for (i = 0; i < SPI_processed; i++)
		{
			row = SPI_tuptable->vals[i];
			take_row();
		}
	}
	PG_CATCH();
	{
		registry.fresh = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	PopActiveSnapshot();
	SPI_finish();
	replace_entries(registry.reading);
}

List *
es_registry_list(const EsStore *store)
{
	register_callbacks();
	if (!registry.fresh)
		read_table(store);
	free_retired();
	return registry.result;
}

bool
es_registry_has_inline(const EsStore *store)
{
	if (unlikely(!registry.fresh))
		(void) es_registry_list(store);
	return registry.has_inline;
}

bool
es_registry_is_stale(void)
{
	return !registry.fresh;
}

EsProjection *
es_registry_find_id(const EsStore *store, int32 id)
{
	ListCell   *lc;

	foreach(lc, es_registry_list(store))
	{
		EsProjection *projection = lfirst(lc);

		if (projection->id == id)
			return projection;
	}
	return NULL;
}

EsProjection *
es_registry_find(const EsStore *store, const char *name, bool missing_ok)
{
	ListCell   *lc;

	foreach(lc, es_registry_list(store))
	{
		EsProjection *projection = lfirst(lc);

		if (strcmp(projection->name, name) == 0)
			return projection;
	}
	if (!missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("projection \"%s\" does not exist", name),
				 errhint("The view es_projections lists those that do.")));
	return NULL;
}

EsProjection *
es_projection_copy(const EsProjection *projection, List *settings)
{
	Entry	   *entry = palloc0(sizeof(Entry));

	entry->projection = *projection;
	entry->projection.serial = ++registry.last_serial;
	entry->projection.settings = settings;
	entry->projection.prepared = NULL;
	entry->projection.free_prepared = NULL;
	entry->projection.context = CurrentMemoryContext;
	return &entry->projection;
}

void
es_projection_pin(EsProjection *projection)
{
	((Entry *) projection)->pins++;
}

void
es_projection_unpin(EsProjection *projection)
{
	Entry	   *entry = (Entry *) projection;

	if (entry->pins > 0)
		entry->pins--;
}

void
es_projection_check_owner(const EsProjection *projection)
{
	Oid			owner = get_role_oid(projection->owner, true);

	if (superuser() ||
		(OidIsValid(owner) && has_privs_of_role(GetUserId(), owner)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("must be owner of projection \"%s\"", projection->name),
			 errdetail("It belongs to role \"%s\".", projection->owner)));
}

/* ---------- restoring ---------- */

/*
 * Holds projections back until this session ends: it restores a dump, and the
 * tables that they write may not be there yet.  pg_restore -j, too, ends its
 * sessions together when all data are loaded.
 */
static void
become_restorer(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, ES_LOCK_RESTORE);
	(void) LockAcquire(&tag, RowExclusiveLock, true, false);
}

bool
es_registry_is_complete(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, ES_LOCK_RESTORE);
	return LockAcquire(&tag, ShareLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * SQL: trigger function of es_projection_definitions, after each statement
 * that writes to it
 */
Datum
es_projection_definitions_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by the trigger manager",
						"es_projection_definitions_changed")));
	register_callbacks();
	registry.fresh = false;
	CacheInvalidateRelcache(trigger->tg_relation);
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event) && !writing)
		become_restorer();
	es_tasks_changed();
	PG_RETURN_POINTER(NULL);	/* not SQL's NULL: a trigger must not */
}
