/*-------------------------------------------------------------------------
 *
 * events.h
 *	  Stream keys, and scans of es_events by its indexes.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CATALOG_EVENTS_H
#define ES_CATALOG_EVENTS_H

#include "access/genam.h"
#include "access/relscan.h"
#include "access/sdir.h"
#include "access/skey.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

#include "catalog/catalog.h"
#include "catalog/leaf.h"

/*
 * A stream's name.  The pointers are the caller's.
 */
typedef struct EsStreamKey
{
	const char *tenant;
	int			tenant_len;
	const char *stream;
	int			stream_len;
	uint64		hash;			/* of both */
} EsStreamKey;

/*
 * A scan of es_events by one of its indexes.
 */
typedef struct EsEventScan
{
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;		/* the current row */
} EsEventScan;

/*
 * Makes the key of a stream of the tenant given.
 *
 * Checks the names (see names.h).  The result points into the arguments.
 */
extern void es_stream_key_make(EsStreamKey *key, const char *tenant,
							   int tenant_len, const char *stream,
							   int stream_len);

/*
 * The same for the session's tenant, which is copied into the current memory
 * context.
 */
extern void es_stream_key_make_own(EsStreamKey *key, const char *stream,
								   int stream_len);

/* Do the two name the same stream? */
extern bool es_stream_key_equal(const EsStreamKey *a, const EsStreamKey *b);

/*
 * Begins a scan of events (open, locked) by the index given.
 *
 * With SnapshotSelf the scan is part of an append: the lock on the index is
 * then the one that inserting takes, and is kept to the end of the
 * transaction, like that on the table; taking it once is cheaper than giving
 * it back and taking it again.
 *
 * The keys must live as long as the scan.  To be ended with
 * es_events_end_scan; after an error PostgreSQL cleans up.
 */
extern void es_events_begin_scan(EsEventScan *scan, Relation events,
								 Oid index, Snapshot snapshot, ScanKey keys,
								 int nkeys);

/* Returns the next row, in a slot of the scan, or NULL at the end. */
extern TupleTableSlot *es_events_next(EsEventScan *scan,
									  ScanDirection direction);

extern void es_events_end_scan(EsEventScan *scan);

/*
 * Fills two scan keys for the events of a stream by the primary key; the
 * texts are allocated in the current memory context.
 */
extern void es_events_stream_keys(ScanKey keys, const EsStreamKey *key);

/*
 * Fills three scan keys for the events of a transaction with ordinals from
 * `from` to before `to`, by the index on (tx, ordinal).
 */
extern void es_events_place_keys(ScanKey keys, int64 tx, int32 from, int32 to);

/* Is the row one of the stream's? */
extern bool es_events_row_in_stream(TupleTableSlot *slot,
									const EsStreamKey *key);

/*
 * Which row of es_events an event is: two with the same mark are the same, also
 * if one was seen by a transaction that rolled back.
 */
typedef struct EsEventMark
{
	pg_uuid_t	event_id;
	TransactionId xmin;			/* who wrote it */
} EsEventMark;

/* Fills the mark of a row. */
extern void es_events_get_mark(TupleTableSlot *slot, EsEventMark *mark);

static inline bool
es_events_same_mark(const EsEventMark *a, const EsEventMark *b)
{
	return a->xmin == b->xmin &&
		memcmp(&a->event_id, &b->event_id, UUID_LEN) == 0;
}

/*
 * Finds the newest event of a stream that the snapshot shows.
 *
 * at_least is a guess at its version, 0 if there is none: the nearer, the fewer
 * index entries are read; one that is too high costs a second scan.  Returns
 * the version, or 0; sets *recorded_at and *mark when not NULL, and *moved, when
 * not NULL, to whether the transaction's own snapshot does not show the event
 * though it is another transaction's.
 *
 * leaf, which may be NULL, is where the stream's newest entry in the primary
 * key was seen last, and is set to where it is.
 */
extern int64 es_events_read_head(Relation events, const EsStore *store,
								 const EsStreamKey *key, Snapshot snapshot,
								 int64 at_least, EsLeaf *leaf,
								 TimestampTz *recorded_at, EsEventMark *mark,
								 bool *moved);

/*
 * Finds the newest event of a stream for which `counts` is true, of those that
 * the snapshot shows; returns its version, or 0.
 *
 * Where it is true for an event it must be for all events before.  Looks at
 * about as many events as the number of versions has binary digits.
 */
typedef bool (*EsEventCounts) (TupleTableSlot *slot, void *arg);
extern int64 es_events_find_last(Relation events, const EsStore *store,
								 const EsStreamKey *key, Snapshot snapshot,
								 EsEventCounts counts, void *arg);

/*
 * Finds the newest event of a stream that was recorded at or before a time, of
 * those that the snapshot shows; returns its version, or 0.
 *
 * Of events of one time all count or none.
 */
extern int64 es_events_version_at(Relation events, const EsStore *store,
								  const EsStreamKey *key, Snapshot snapshot,
								  TimestampTz as_of);

/*
 * Returns the version of the event with that id in the stream, 0 if none.
 *
 * Sees what is committed now and what this transaction did; the stream must
 * be locked if the answer is to stay true.
 */
extern int64 es_events_find_id(Relation events, const EsStore *store,
							   const EsStreamKey *key, const pg_uuid_t *id);

/*
 * Counts the rows of a transaction with ordinals from `from` to before `to`,
 * as es_events_find_id sees them.
 */
extern int64 es_events_count_places(Relation events, const EsStore *store,
									int64 tx, int32 from, int32 to);

#endif							/* ES_CATALOG_EVENTS_H */
