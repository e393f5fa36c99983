/*-------------------------------------------------------------------------
 *
 * find.h
 *	  Finding transactions in the ledger.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_LEDGER_FIND_H
#define ES_LEDGER_FIND_H

#include "utils/snapshot.h"

#include "catalog/catalog.h"
#include "ledger/entry.h"

typedef struct EsTxFinder EsTxFinder;

/*
 * Begins to look for transactions in the ledger (open, locked) as the snapshot
 * shows it.  Allocated in the current memory context.
 */
extern EsTxFinder *es_tx_finder_begin(Relation commits, const EsStore *store,
									  Snapshot snapshot);

/*
 * Finds a transaction; returns its entry, good until the next call, and the
 * position of its first event, or NULL if it is not in the ledger.
 */
extern const EsEntry *es_tx_finder_find(EsTxFinder *finder, int64 tx,
										int64 *first_position);

/* To be called at the end; after an error PostgreSQL cleans up. */
extern void es_tx_finder_end(EsTxFinder *finder);

#endif							/* ES_LEDGER_FIND_H */
