/*-------------------------------------------------------------------------
 *
 * logscan.h
 *	  The events of a range of positions, in order.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_LEDGER_LOGSCAN_H
#define ES_LEDGER_LOGSCAN_H

#include "access/sdir.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "utils/snapshot.h"

#include "catalog/catalog.h"

typedef struct EsLogScan EsLogScan;

/*
 * Begins a scan of the events with positions from `from` to `to`, which there
 * need not be.
 *
 * events is es_events, open and locked, as is es_commits; the snapshot is an
 * MVCC snapshot that somebody keeps registered.  wanted is a guess at how many
 * events will be asked for, 0 if there is none: it makes no difference but in
 * speed.  The scan is allocated in the current memory context.
 */
extern EsLogScan *es_log_scan_begin(Relation events, Relation commits,
									const EsStore *store, Snapshot snapshot,
									ScanDirection direction, int64 from,
									int64 to, int64 wanted);

/*
 * Returns the next event, as a row of es_events in a slot of the scan that is
 * good until the next call, or NULL at the end.
 *
 * Raises XX001 for a damaged ledger, and for an event that is missing.
 */
extern TupleTableSlot *es_log_scan_next(EsLogScan *scan, int64 *position,
										TimestampTz *committed_at);

/*
 * Called by scans of this process now and then, about every thousand events,
 * with the position they have come to; NULL: nobody wants to know.  Whoever
 * sets it takes it back, after an error too.
 */
extern void (*es_log_scan_progress) (int64 position);

/* To be called at the end; after an error PostgreSQL cleans up. */
extern void es_log_scan_end(EsLogScan *scan);

#endif							/* ES_LEDGER_LOGSCAN_H */
