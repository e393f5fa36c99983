/*-------------------------------------------------------------------------
 *
 * events.c
 *	  Stream keys, and scans of es_events by its indexes.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/events.h"
#include "core/compat.h"
#include "core/guc.h"
#include "core/names.h"

/*
 * Hashes a stream's name.
 *
 * The length of the tenant goes into the seed, so that the border between the
 * two names counts.
 */
static uint64
hash_key(const EsStreamKey *key)
{
	uint64		seed = (uint64) key->tenant_len;

	if (key->tenant_len > 0)
		seed = hash_bytes_extended((const unsigned char *) key->tenant,
								   key->tenant_len, seed);
	return hash_bytes_extended((const unsigned char *) key->stream,
							   key->stream_len, seed);
}

void
es_stream_key_make(EsStreamKey *key, const char *tenant, int tenant_len,
				   const char *stream, int stream_len)
{
	es_name_check("stream id", stream, stream_len, ES_MAX_STREAM_ID);
	es_name_check_maybe_empty("tenant id", tenant, tenant_len,
							  ES_MAX_TENANT_ID);

	key->tenant = tenant;
	key->tenant_len = tenant_len;
	key->stream = stream;
	key->stream_len = stream_len;
	key->hash = hash_key(key);
}

void
es_stream_key_make_own(EsStreamKey *key, const char *stream, int stream_len)
{
	/* a copy: code of the user's might change the setting while we use it */
	char	   *tenant = pstrdup(es_guc_get_tenant());

	es_stream_key_make(key, tenant, strlen(tenant), stream, stream_len);
}

bool
es_stream_key_equal(const EsStreamKey *a, const EsStreamKey *b)
{
	return a->stream_len == b->stream_len && a->tenant_len == b->tenant_len &&
		memcmp(a->stream, b->stream, a->stream_len) == 0 &&
		memcmp(a->tenant, b->tenant, a->tenant_len) == 0;
}

void
es_events_begin_scan(EsEventScan *scan, Relation events, Oid index,
					 Snapshot snapshot, ScanKey keys, int nkeys)
{
	scan->index = index_open(index, snapshot == SnapshotSelf ?
							 RowExclusiveLock : AccessShareLock);
	scan->slot = table_slot_create(events, NULL);
	scan->scan = index_beginscan_compat(events, scan->index, snapshot, nkeys,
										0);
	index_rescan(scan->scan, keys, nkeys, NULL, 0);
}

TupleTableSlot *
es_events_next(EsEventScan *scan, ScanDirection direction)
{
	CHECK_FOR_INTERRUPTS();
	if (index_getnext_slot(scan->scan, direction, scan->slot))
		return scan->slot;
	return NULL;
}

void
es_events_end_scan(EsEventScan *scan)
{
	bool		keep_lock = (scan->scan->xs_snapshot == SnapshotSelf);

	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, keep_lock ? NoLock : AccessShareLock);
}

void
es_events_stream_keys(ScanKey keys, const EsStreamKey *key)
{
	text	   *tenant = cstring_to_text_with_len(key->tenant, key->tenant_len);
	text	   *stream = cstring_to_text_with_len(key->stream, key->stream_len);

	ScanKeyEntryInitialize(&keys[0], 0, Anum_es_events_tenant_id,
						   BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
						   F_TEXTEQ, PointerGetDatum(tenant));
	ScanKeyEntryInitialize(&keys[1], 0, Anum_es_events_stream_id,
						   BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
						   F_TEXTEQ, PointerGetDatum(stream));
}

/*
 * Does the text datum hold these bytes?
 */
static bool
text_is(Datum datum, const char *data, int len)
{
	text	   *value = DatumGetTextPP(datum);

	return (int) VARSIZE_ANY_EXHDR(value) == len &&
		memcmp(VARDATA_ANY(value), data, len) == 0;
}

bool
es_events_row_in_stream(TupleTableSlot *slot, const EsStreamKey *key)
{
	slot_getsomeattrs(slot, Anum_es_events_stream_id);
	return text_is(slot->tts_values[Anum_es_events_stream_id - 1],
				   key->stream, key->stream_len) &&
		text_is(slot->tts_values[Anum_es_events_tenant_id - 1],
				key->tenant, key->tenant_len);
}

/*
 * Says whether the row is another transaction's and newer than the snapshot
 * of this transaction.
 */
static bool
is_news(Relation events, TupleTableSlot *slot)
{
	bool		isnull;
	TransactionId xmin;

	if (table_tuple_satisfies_snapshot(events, slot, GetTransactionSnapshot()))
		return false;

	xmin = DatumGetTransactionId(slot_getsysattr(slot,
												 MinTransactionIdAttributeNumber,
												 &isnull));
	return !TransactionIdIsCurrentTransactionId(xmin);
}

void
es_events_get_mark(TupleTableSlot *slot, EsEventMark *mark)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, Anum_es_events_event_id, &isnull);

	mark->event_id = *DatumGetUUIDP(value);
	value = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull);
	mark->xmin = DatumGetTransactionId(value);
}

/*
 * What is asked about the newest event of a stream.
 */
typedef struct HeadAnswer
{
	int64		version;		/* 0: there is none */
	TimestampTz *recorded_at;	/* the others may be NULL */
	EsEventMark *mark;
	bool	   *moved;
} HeadAnswer;

static void
answer(Relation events, TupleTableSlot *slot, HeadAnswer *head)
{
	bool		isnull;

	head->version = DatumGetInt64(slot_getattr(slot, Anum_es_events_version,
											   &isnull));
	if (head->recorded_at != NULL)
		*head->recorded_at =
			DatumGetTimestampTz(slot_getattr(slot, Anum_es_events_recorded_at,
											 &isnull));
	if (head->mark != NULL)
		es_events_get_mark(slot, head->mark);
	if (head->moved != NULL)
		*head->moved = is_news(events, slot);
}

/*
 * Looks at the newest entries on the leaf where the stream ends; returns
 * whether that has answered it.
 */
static bool
read_head_from_leaf(Relation events, const EsStore *store,
					const EsStreamKey *key, EsLeaf *leaf, HeadAnswer *head)
{
	Relation	index = index_open(store->indexes[ES_INDEX_PKEY],
								   RowExclusiveLock);
	EsLeafEntries entries;
	TupleTableSlot *slot;
	IndexFetchTableData *fetch;
	bool		found = false;
	int			i;

	CHECK_FOR_INTERRUPTS();
	if (!es_leaf_find_newest(events, index, key->tenant, key->tenant_len,
							 key->stream, key->stream_len, leaf, &entries))
	{
		index_close(index, NoLock);
		return false;
	}

	slot = table_slot_create(events, NULL);
	fetch = table_index_fetch_begin(events);
	for (i = 0; i < entries.n && !found; i++)
	{
		bool		call_again = false;

		found = table_index_fetch_tuple(fetch, &entries.tids[i], SnapshotSelf,
										slot, &call_again, NULL);
	}
	if (found)
	{
		pgstat_count_heap_fetch(index);
		answer(events, slot, head);
	}
	table_index_fetch_end(fetch);
	ExecDropSingleTupleTableSlot(slot);
	ReleaseBuffer(entries.buffer);
	index_close(index, NoLock);
	return found || entries.all;
}

int64
es_events_read_head(Relation events, const EsStore *store,
					const EsStreamKey *key, Snapshot snapshot,
					int64 at_least, EsLeaf *leaf, TimestampTz *recorded_at,
					EsEventMark *mark, bool *moved)
{
	HeadAnswer	head = {0, recorded_at, mark, moved};
	EsLeaf		nowhere = {0};
	EsEventScan scan;
	ScanKeyData keys[3];
	TupleTableSlot *slot;

	if (snapshot == SnapshotSelf &&
		read_head_from_leaf(events, store, key, leaf != NULL ? leaf : &nowhere,
							&head))
		return head.version;

	/*
	 * A B-tree scan reads all entries of the page that match before it returns
	 * the first, a hundred where the stream is long.
	 */
	es_events_stream_keys(keys, key);
	ScanKeyInit(&keys[2], Anum_es_events_version, BTGreaterEqualStrategyNumber,
				F_INT8GE, Int64GetDatum(at_least));
	es_events_begin_scan(&scan, events, store->indexes[ES_INDEX_PKEY],
						 snapshot, keys, at_least > 0 ? 3 : 2);
	slot = es_events_next(&scan, BackwardScanDirection);
	if (slot == NULL && at_least > 0)
	{
		es_events_end_scan(&scan);
		es_events_begin_scan(&scan, events, store->indexes[ES_INDEX_PKEY],
							 snapshot, keys, 2);
		slot = es_events_next(&scan, BackwardScanDirection);
	}
	if (slot != NULL)
		answer(events, slot, &head);
	es_events_end_scan(&scan);
	return head.version;
}

/*
 * Looks at the newest event of a stream up to a version; returns its version,
 * or 0, and whether it counts.
 *
 * Versions have no holes, except where a dump is being restored.
 */
static int64
look_up_to(Relation events, const EsStore *store, const EsStreamKey *key,
		   Snapshot snapshot, int64 version, EsEventCounts counts, void *arg,
		   bool *does_count)
{
	StrategyNumber strategy[] = {BTEqualStrategyNumber, BTLessStrategyNumber};
	Oid			function[] = {F_INT8EQ, F_INT8LT};
	ScanKeyData keys[3];
	int64		found = 0;
	int			i;

	es_events_stream_keys(keys, key);
	for (i = 0; found == 0 && i < (int) lengthof(strategy); i++)
	{
		EsEventScan scan;
		TupleTableSlot *slot;
		bool		isnull;

		ScanKeyInit(&keys[2], Anum_es_events_version, strategy[i], function[i],
					Int64GetDatum(version));
		es_events_begin_scan(&scan, events, store->indexes[ES_INDEX_PKEY],
							 snapshot, keys, lengthof(keys));
		slot = es_events_next(&scan, BackwardScanDirection);
		if (slot != NULL)
		{
			found = DatumGetInt64(slot_getattr(slot, Anum_es_events_version,
											   &isnull));
			*does_count = counts(slot, arg);
		}
		es_events_end_scan(&scan);
	}
	return found;
}

int64
es_events_find_last(Relation events, const EsStore *store,
					const EsStreamKey *key, Snapshot snapshot,
					EsEventCounts counts, void *arg)
{
	bool		does_count = false;
	int64		result = 0;
	int64		low = 0;		/* up to it all count */
	int64		high;			/* does not */

	high = es_events_read_head(events, store, key, snapshot, 0, NULL, NULL,
							   NULL, NULL);

	/* As a rule it is the newest. */
	if (high == 0 ||
		(look_up_to(events, store, key, snapshot, high, counts, arg,
					&does_count) == high && does_count))
		return high;
	while (high - low > 1)
	{
		int64		middle = low + (high - low) / 2;
		int64		version = look_up_to(events, store, key, snapshot, middle,
										 counts, arg, &does_count);

		if (version <= low)
			low = middle;		/* there are none between them */
		else if (does_count)
		{
			result = version;
			low = middle;
		}
		else
			high = version;
	}
	return result;
}

/*
 * Was the event recorded at the time or before?
 */
static bool
recorded_by(TupleTableSlot *slot, void *arg)
{
	bool		isnull;
	Datum		recorded_at = slot_getattr(slot, Anum_es_events_recorded_at,
										   &isnull);

	return DatumGetTimestampTz(recorded_at) <= *(TimestampTz *) arg;
}

int64
es_events_version_at(Relation events, const EsStore *store,
					 const EsStreamKey *key, Snapshot snapshot,
					 TimestampTz as_of)
{
	return es_events_find_last(events, store, key, snapshot, recorded_by,
							   &as_of);
}

int64
es_events_find_id(Relation events, const EsStore *store,
				  const EsStreamKey *key, const pg_uuid_t *id)
{
	EsEventScan scan;
	ScanKeyData skey;
	TupleTableSlot *slot;
	int64		version = 0;

	ScanKeyInit(&skey, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(id));
	es_events_begin_scan(&scan, events, store->indexes[ES_INDEX_EVENT_ID], SnapshotSelf,
						 &skey, 1);

	/* Other streams may have an event with the same id. */
	while (version == 0 &&
		   (slot = es_events_next(&scan, ForwardScanDirection)) != NULL)
	{
		bool		isnull;

		if (es_events_row_in_stream(slot, key))
			version = DatumGetInt64(slot_getattr(slot, Anum_es_events_version,
												 &isnull));
	}
	es_events_end_scan(&scan);
	return version;
}

void
es_events_place_keys(ScanKey keys, int64 tx, int32 from, int32 to)
{
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(tx));
	ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_INT4GE,
				Int32GetDatum(from));
	ScanKeyInit(&keys[2], 2, BTLessStrategyNumber, F_INT4LT,
				Int32GetDatum(to));
}

int64
es_events_count_places(Relation events, const EsStore *store, int64 tx,
					   int32 from, int32 to)
{
	EsEventScan scan;
	ScanKeyData keys[3];
	int64		found = 0;

	es_events_place_keys(keys, tx, from, to);
	es_events_begin_scan(&scan, events, store->indexes[ES_INDEX_TX_ORDINAL], SnapshotSelf,
						 keys, 3);
	while (es_events_next(&scan, ForwardScanDirection) != NULL)
		found++;
	es_events_end_scan(&scan);
	return found;
}
