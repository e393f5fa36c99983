/*-------------------------------------------------------------------------
 *
 * save.c
 *	  Snapshots, by whoever has the state in hand.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A snapshot is a cache: to save one must not fail what it is for, and not
 *	  hold it up.  It is written in a subtransaction; of those who come by at
 *	  the same time one does it, and nobody waits for anything.
 *
 *	  A transaction that only reads gets an xid that way, once in
 *	  snapshot_every events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "aggregate/fold.h"
#include "catalog/statement.h"
#include "core/compat.h"
#include "core/locks.h"

/* One that was saved by hand stays. */
static const char *const insert_sql =
	"INSERT INTO %s.es_snapshots AS s (tenant_id, stream_id, version, aggregate, state, definition)"
	" VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT ON CONSTRAINT es_snapshots_pkey"
	" DO UPDATE SET state = EXCLUDED.state, created_at = EXCLUDED.created_at, definition = EXCLUDED.definition"
	" WHERE s.definition IS NOT NULL";

static const char *const delete_old_sql =
	"DELETE FROM %s.es_snapshots s WHERE s.tenant_id = $1 AND s.stream_id = $2 AND s.aggregate = $3"
	" AND s.definition IS NOT NULL AND (s.definition <> $4 OR $5 > 0 AND s.version NOT IN"
	" (SELECT k.version FROM %s.es_snapshots k WHERE k.tenant_id = $1 AND k.stream_id = $2"
	" AND k.aggregate = $3 AND k.definition = $4 ORDER BY k.version DESC LIMIT $5))";

static const char *const delete_all_sql =
	"DELETE FROM %s.es_snapshots WHERE aggregate = $1 AND definition IS NOT NULL";

/* Locks that a transaction keeps to its end */
#define MAX_KEPT_LOCKS		32

/* ---------- finding ---------- */

/*
 * Opens the primary key of es_snapshots.
 */
static Relation
open_index(const EsStore *store)
{
	Oid			oid = get_relname_relid("es_snapshots_pkey",
										store->namespace_oid);
	Relation	index;

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("event store is damaged"),
				 errdetail("Index \"es_snapshots_pkey\" is missing.")));
	index = index_open(oid, AccessShareLock);
	if (index->rd_index->indrelid != store->snapshots ||
		index->rd_index->indnkeyatts != 4)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("event store is damaged"),
				 errdetail("Index \"es_snapshots_pkey\" was changed.")));
	return index;
}

/*
 * Is the snapshot in the slot one that this fold has made?
 */
static bool
is_usable(const EsFold *fold, TupleTableSlot *slot)
{
	const EsAggregate *aggregate = &fold->entry->aggregate;
	bool		isnull;
	Datum		value = slot_getattr(slot, Anum_es_snapshots_definition, &isnull);
	text	   *name;

	if (isnull ||
		memcmp(DatumGetUUIDP(value), &aggregate->definition, UUID_LEN) != 0)
		return false;
	name = DatumGetTextPP(slot_getattr(slot, Anum_es_snapshots_aggregate,
									   &isnull));
	return VARSIZE_ANY_EXHDR(name) == strlen(aggregate->name) &&
		memcmp(VARDATA_ANY(name), aggregate->name, VARSIZE_ANY_EXHDR(name)) == 0;
}

int64
es_snapshot_find(EsFold *fold, const EsStreamKey *key, Snapshot snapshot,
				 int64 at_most, Datum *state)
{
	Relation	snapshots = table_open(fold->store.snapshots, AccessShareLock);
	Relation	index = open_index(&fold->store);
	TupleTableSlot *slot = table_slot_create(snapshots, NULL);
	ScanKeyData keys[3];
	IndexScanDesc scan;
	int64		version = 0;

	es_events_stream_keys(keys, key);	/* the columns have the same numbers */
	ScanKeyInit(&keys[2], Anum_es_snapshots_version, BTLessEqualStrategyNumber,
				F_INT8LE, Int64GetDatum(at_most));
	scan = index_beginscan_compat(snapshots, index, snapshot, 3, 0);
	index_rescan(scan, keys, 3, NULL, 0);
	while (version == 0 &&
		   index_getnext_slot(scan, BackwardScanDirection, slot))
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		if (!is_usable(fold, slot))
			continue;
		version = DatumGetInt64(slot_getattr(slot, Anum_es_snapshots_version,
											 &isnull));
		if (state != NULL)
			*state = PointerGetDatum(PG_DETOAST_DATUM_COPY(slot_getattr(slot,
																		Anum_es_snapshots_state,
																		&isnull)));
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, AccessShareLock);
	table_close(snapshots, AccessShareLock);
	return version;
}

/* ---------- saving ---------- */

static Datum
make_text(const char *data, int len)
{
	return PointerGetDatum(cstring_to_text_with_len(data, len));
}

void
es_snapshot_write(EsFold *fold, const EsStreamKey *key, const EsState *state)
{
	EsAggregate *aggregate = &fold->entry->aggregate;
	Oid			insert_types[] = {TEXTOID, TEXTOID, INT8OID, TEXTOID, JSONBOID, UUIDOID};
	Oid			delete_types[] = {TEXTOID, TEXTOID, TEXTOID, UUIDOID, INT4OID};
	Datum		values[6];

	values[4] = es_fold_freeze(fold, state);
	SPI_connect();
	values[0] = make_text(key->tenant, key->tenant_len);
	values[1] = make_text(key->stream, key->stream_len);
	values[2] = Int64GetDatum(state->version);
	values[3] = CStringGetTextDatum(aggregate->name);
	values[5] = UUIDPGetDatum(&aggregate->definition);
	(void) es_catalog_execute(&fold->store, insert_sql, 6, insert_types,
								values, NULL, false);

	values[2] = values[3];
	values[3] = values[5];
	values[4] = Int32GetDatum(aggregate->keep);
	(void) es_catalog_execute(&fold->store, delete_old_sql, 5, delete_types,
								values, NULL, false);
	SPI_finish();
}

int64
es_snapshot_delete(const EsStore *store, const char *aggregate)
{
	Oid			types[] = {TEXTOID};
	Datum		values[1];
	int64		deleted;

	SPI_connect();
	values[0] = CStringGetTextDatum(aggregate);
	deleted = (int64) es_catalog_execute(store, delete_all_sql, 1, types,
										   values, NULL, false);
	SPI_finish();
	return deleted;
}

/*
 * May this transaction save a snapshot?  Not where it cannot write, and not
 * where what others have saved meanwhile would fail it.
 */
static bool
can_save(void)
{
	return !RecoveryInProgress() && !XactReadOnly && !IsInParallelMode() &&
		!IsolationUsesXactSnapshot();
}

/*
 * May the transaction keep another lock that says that it has saved a snapshot?
 * The shared table of locks has room for a few of each session, and a query
 * over many streams may save one for each.  Where the lock is missing, those
 * who come by find out when they try to save the same snapshot.
 */
static bool
may_keep_lock(void)
{
	static uint64 transaction = 0;
	static int	kept = 0;

	if (transaction != es_aggregate_transaction())
	{
		transaction = es_aggregate_transaction();
		kept = 0;
	}
	return kept++ < MAX_KEPT_LOCKS;
}

/*
 * Writes the snapshot unless another session has saved one; returns whether it
 * did.  The caller has the right to save one of the stream.
 */
static bool
save_if_due(EsFold *fold, const EsStreamKey *key, EsState *state)
{
	int			guc_level;
	int64		newest;
	bool		due;

	/* Taking the locks also tells of what has changed meanwhile. */
	if (!ConditionalLockRelationOid(fold->store.snapshots, RowExclusiveLock) ||
		fold->entry->generation != es_aggregate_generation())
		return false;
	newest = es_snapshot_find(fold, key, SnapshotSelf, PG_INT64_MAX, NULL);
	due = newest < state->version &&
		state->version - newest >= fold->entry->aggregate.snapshot_every;
	if (due)
	{
		guc_level = NewGUCNestLevel();
		(void) set_config_option("lock_timeout", "1", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
		es_snapshot_write(fold, key, state);
		AtEOXact_GUC(false, guc_level);
		newest = state->version;
	}
	state->snapshot_version = newest;
	return due;
}

/*
 * Saves a snapshot unless another session has done so, or is about to; nothing
 * is waited for.
 */
static void
save(EsFold *fold, const EsStreamKey *key, EsState *state)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (key->hash >> 32),
						 (uint32) key->hash, ES_LOCK_SNAPSHOT);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return;
	if (!save_if_due(fold, key, state) || !may_keep_lock())
		LockRelease(&tag, ExclusiveLock, false);
}

/*
 * Deals with an error: cancelling is not ours to catch, a lock that was not to
 * be had means nothing, all else is a warning.
 */
static void
report_failure(const EsFold *fold, const EsStreamKey *key, ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		return;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("could not save a snapshot of stream \"%.*s\" by aggregate \"%s\": %s",
					key->stream_len, key->stream,
					fold->entry->aggregate.name, error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0));
}

void
es_snapshot_save(EsFold *fold, const EsStreamKey *key, EsState *state)
{
	int			every = fold->entry->aggregate.snapshot_every;
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	if (every == 0 || state->version - state->snapshot_version < every ||
		!can_save())
		return;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		save(fold, key, state);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		report_failure(fold, key, error);
		FreeErrorData(error);
	}
	PG_END_TRY();
}
