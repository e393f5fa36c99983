/*-------------------------------------------------------------------------
 *
 * feed.c
 *	  Upcasts the events of the output plugin's feed.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  An event is read as the registry said when it was written: the table is
 *	  read under the historic snapshot of the change, for which it is declared
 *	  a user_catalog_table.  What was read is kept for as long as the snapshot
 *	  shows the same committed changes of catalogs, and no invalidation of the
 *	  table has come: it is in the WAL with the change.
 *
 *	  Under such a snapshot nothing but catalogs can be read.  So only upcasters
 *	  run here that are made of PostgreSQL's own immutable functions (see
 *	  expression.c); they need nobody's identity and no settings.
 *
 *	  It also means that a mended upcaster does not help a consumer past an
 *	  event that was written before: he reads it as it is stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "decode/decode.h"
#include "types/registry.h"

/*
 * What tells one historic snapshot from another.
 */
typedef struct SnapshotKey
{
	TransactionId xmin;
	TransactionId xmax;
	uint32		xcnt;
	int32		subxcnt;
	CommandId	curcid;
} SnapshotKey;

/*
 * What is known in the decoding context; its memory goes with it.
 */
static struct
{
	MemoryContext session;		/* NULL: there is none */
	MemoryContext context;		/* of the upcaster */
	bool		fresh;
	SnapshotKey key;
	Oid			table;
	EsUpcaster *upcaster;		/* NULL: no type has one */
	EsFeedPiece *result;		/* of the last call; NULL: none */
} feed;

static void
invalidate(Datum arg, Oid relid)
{
	if (relid == feed.table || !OidIsValid(relid))
		feed.fresh = false;
}

/*
 * Forgets what is known before its memory goes.
 */
static void
forget(void *arg)
{
	if (feed.session == arg)
	{
		feed.session = NULL;
		feed.context = NULL;
		feed.upcaster = NULL;
		feed.fresh = false;
	}
}

static void
begin_session(MemoryContext session)
{
	MemoryContextCallback *callback =
		MemoryContextAlloc(session, sizeof(MemoryContextCallback));

	callback->func = forget;
	callback->arg = session;
	MemoryContextRegisterResetCallback(session, callback);
	feed.session = session;
	feed.context = NULL;
	feed.upcaster = NULL;
	feed.fresh = false;
}

static void
get_key(SnapshotKey *key)
{
	Snapshot	snapshot = GetCatalogSnapshot(InvalidOid);

	memset(key, 0, sizeof(*key));
	key->xmin = snapshot->xmin;
	key->xmax = snapshot->xmax;
	key->xcnt = snapshot->xcnt;
	key->subxcnt = snapshot->subxcnt;
	key->curcid = snapshot->curcid;
}

/*
 * Is the table still there?  If the extension was dropped later, its rows are
 * gone, whatever the historic snapshot shows; events of that time come as they
 * are stored.
 */
static bool
exists_now(Oid relid)
{
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetNonHistoricCatalogSnapshot(RelationRelationId));
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, ClassOidIndexId, true, snapshot, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * Reads the registry as the snapshot shows it.
 */
static void
read_registry(Oid schema, const SnapshotKey *key)
{
	MemoryContext previous;

	if (feed.context != NULL)
		MemoryContextDelete(feed.context);
	feed.upcaster = NULL;
	feed.result = NULL;
	feed.context = AllocSetContextCreate(feed.session,
										 "event_store feed upcaster",
										 ALLOCSET_DEFAULT_SIZES);

	/* The mark goes up first: an invalidation may arrive meanwhile. */
	feed.fresh = true;
	feed.key = *key;
	feed.table = get_relname_relid(ES_EVENT_TYPES, schema);
	if (!OidIsValid(feed.table) || !exists_now(feed.table))
		return;
	PG_TRY();
	{
		Relation	table = table_open(feed.table, AccessShareLock);

		previous = MemoryContextSwitchTo(feed.context);
		feed.upcaster = es_upcaster_begin_from(es_types_read(table,
															  GetCatalogSnapshot(feed.table)));
		MemoryContextSwitchTo(previous);
		table_close(table, AccessShareLock);
		if (feed.upcaster != NULL)
			es_upcaster_trust_only(feed.upcaster);
	}
	PG_CATCH();
	{
		feed.fresh = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * Tells how to get past an event that cannot be upcast: to mend the upcaster
 * does not help, for events are read as the registry said then.
 */
static void
add_context(void *arg)
{
	errcontext("upcasting for the feed, as event types were then; with the option upcast = false events come as they are stored");
}

static EsPiece *
apply(const EsFeedPiece *stored, Datum metadata, const EsFeedEventName *name,
	  int *npieces)
{
	ErrorContextCallback callback;
	EsPiece    *pieces;
	EsPiece		piece;
	EsEventName event;

	callback.callback = add_context;
	callback.arg = NULL;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	piece.event_type = stored->event_type;
	piece.schema_version = stored->schema_version;
	piece.data = stored->data;
	event.stream = name->stream;
	event.stream_len = name->stream_len;
	event.version = name->version;
	event.position = 0;
	pieces = es_upcaster_apply(feed.upcaster, &piece, metadata, &event, npieces);

	error_context_stack = callback.previous;
	return pieces;
}

/*
 * What is called for each event of a feed.
 */
static EsFeedPiece *
upcast(MemoryContext session, Oid schema, EsFeedPiece *stored, Datum metadata,
	   const EsFeedEventName *name, EsFeedWantsType wants, const void *arg,
	   int *npieces)
{
	bool		push;
	SnapshotKey key;
	EsPiece    *pieces = NULL;
	EsFeedPiece *result;
	int			i;

	if (feed.session != session)
		begin_session(session);
	get_key(&key);
	if (!feed.fresh || memcmp(&key, &feed.key, sizeof(key)) != 0)
		read_registry(schema, &key);

	*npieces = 1;
	if (feed.upcaster == NULL ||
		!es_upcaster_wants(feed.upcaster, stored->event_type,
						   stored->schema_version))
		return stored;

	/* To make constants of calls of es_upcast_to takes one. */
	push = !ActiveSnapshotSet();
	if (push)
		PushActiveSnapshot(GetCatalogSnapshot(InvalidOid));
	if (!wants(stored->event_type, arg) &&
		es_upcaster_keeps_type(feed.upcaster, stored->event_type,
							   stored->schema_version))
		*npieces = 0;
	else
		pieces = apply(stored, metadata, name, npieces);
	if (push)
		PopActiveSnapshot();

	/* The caller frees what he has per object. */
	if (feed.result != NULL)
		pfree(feed.result);
	feed.result = result = MemoryContextAlloc(feed.context,
											  Max(*npieces, 1) * sizeof(EsFeedPiece));
	for (i = 0; i < *npieces; i++)
	{
		result[i].event_type = pieces[i].event_type;
		result[i].schema_version = pieces[i].schema_version;
		result[i].data = pieces[i].data;
	}
	return result;
}

void
es_types_feed_init(void)
{
	CacheRegisterRelcacheCallback(invalidate, (Datum) 0);
	es_feed_upcast_hook = upcast;
}
