/*-------------------------------------------------------------------------
 *
 * rows.h
 *	  Rows of es_commits: reading them, and walking along the ledger.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Whoever owns the table can put rows into it, and a dump may be damaged:
 *	  nothing of a row is believed before it was looked at.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_LEDGER_ROWS_H
#define ES_LEDGER_ROWS_H

#include "access/relscan.h"
#include "access/sdir.h"
#include "access/skey.h"
#include "access/xlogdefs.h"
#include "executor/tuptable.h"
#include "storage/itemptr.h"
#include "utils/snapshot.h"

#include "catalog/catalog.h"
#include "ledger/entry.h"

/*
 * A row of es_commits, unpacked.
 */
typedef struct EsLedgerRow
{
	ItemPointerData tid;
	int64		first_position;
	int64		last_position;
	XLogRecPtr	end_lsn;
	int64		min_tx;
	int64		max_tx;
	int			nentries;
	EsEntry		entries[ES_MAX_ENTRIES];
} EsLedgerRow;

/*
 * A walk along the ledger.
 */
typedef struct EsLedgerScan
{
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	ScanKeyData key;
	ScanDirection direction;
	bool		seeking;		/* not at the first row yet */
	bool		done;
	int64		from;			/* where the walk begins */
	int64		expected;		/* position that must come next, 0 if any */
	EsLedgerRow row;			/* the current row */
} EsLedgerScan;

/*
 * Opens es_commits with the lock given, and makes sure that its columns and
 * its index are what this library takes them for.
 */
extern Relation es_ledger_open(const EsStore *store, LOCKMODE lockmode);

/*
 * Makes sure that an index of es_commits is of the access method given, over
 * the column given and nothing else.
 */
extern void es_ledger_check_index(Relation commits, Relation index, Oid am,
								  AttrNumber column);

/*
 * Fills *row from the columns of a row, the entries from their packed form.
 *
 * Returns NULL, or what is wrong with the row, like es_entries_unpack.
 */
extern const char *es_ledger_row_fill(EsLedgerRow *row, int64 first_position,
									  int64 last_position,
									  XLogRecPtr end_lsn, const char *entries,
									  Size size);

/*
 * The same from a slot; raises XX001 when something is wrong with the row.
 */
extern void es_ledger_row_read(EsLedgerRow *row, TupleTableSlot *slot);

/* Raises XX001 for what is wrong with the ledger near a position. */
extern void es_ledger_raise_damage(int64 position, const char *detail);

/*
 * Begins a walk along the ledger (open, locked) at the row that holds the
 * position from.  Forward, if no row holds it, at the next one; backward, at
 * the one before.
 */
extern void es_ledger_begin_scan(EsLedgerScan *scan, Relation commits,
								 const EsStore *store, Snapshot snapshot,
								 ScanDirection direction, int64 from);

/*
 * Goes to the next row, scan->row; returns false at the end.
 *
 * Raises XX001 when the row is damaged or does not join up with the one before.
 */
extern bool es_ledger_next(EsLedgerScan *scan);

/* To be called at the end; after an error PostgreSQL cleans up. */
extern void es_ledger_end_scan(EsLedgerScan *scan);

#endif							/* ES_LEDGER_ROWS_H */
