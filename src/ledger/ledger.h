/*-------------------------------------------------------------------------
 *
 * ledger.h
 *	  The ledger es_commits: which transactions hold which positions.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A transaction that appended n events holds n positions in a row; an
 *	  event's position is the first of them plus its ordinal.  A row of
 *	  es_commits stands for the transactions of a batch, packed (entry.c),
 *	  in the order of their positions.
 *
 *	  Only the sequencer writes it, under a lock that makes it the only one.
 *	  Rows are never changed, but small neighbours are put together.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_LEDGER_LEDGER_H
#define ES_LEDGER_LEDGER_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "utils/snapshot.h"

#include "catalog/catalog.h"

/*
 * A committed transaction that appended events.
 */
typedef struct EsCommit
{
	int64		tx;				/* es_events.tx of its events */
	int32		nevents;		/* how many, at least 1 */
	TimestampTz committed_at;
	XLogRecPtr	end_lsn;		/* behind its commit record; invalid if it is
								 * not taken from the WAL */
} EsCommit;

/*
 * Where the ledger ends.
 */
typedef struct EsLedgerTail
{
	int64		head;			/* last position, 0 when there is none */
	int64		first_position; /* of the newest row, 0 when there is none */
	XLogRecPtr	end_lsn;		/* of the newest row */
	TimestampTz committed_at;	/* of the last transaction, 0 when there is none */
	int64		max_tx;			/* greatest tx in the newest row */
	int			nsmall;			/* about how many small rows stand at the end */
} EsLedgerTail;

/*
 * Returns the last position that the snapshot sees, 0 when there is none.
 *
 * Takes ACCESS SHARE on es_commits for the while.  Raises XX001 for a damaged
 * row, like all functions here that read one.
 */
extern int64 es_ledger_head(const EsStore *store, Snapshot snapshot);

/*
 * Fills *tail from the newest rows that the snapshot sees.
 */
extern void es_ledger_read_tail(const EsStore *store, Snapshot snapshot,
								EsLedgerTail *tail);

/*
 * Gives the transactions the positions behind tail->head, in the order of the
 * array, and moves *tail.
 *
 * Needs a transaction; takes ROW EXCLUSIVE on es_commits to its end.  The
 * caller makes sure that nobody else writes, that *tail is true, and that no
 * transaction of the array is in the ledger yet.  After an abort *tail must be
 * read again.  Makes as many rows as needed: a row has a limited number of
 * entries and a limited width of tx_range, so that looking for a tx does not
 * find too many rows; and either all of its transactions have an end_lsn, or
 * none.  Commands and snapshots that come after it see the rows.
 *
 * Raises 54000 when the positions are used up, and internal_error for a
 * transaction that cannot be.
 */
extern void es_ledger_append(const EsStore *store, EsLedgerTail *tail,
							 const EsCommit *commits, int ncommits);

/*
 * Puts small rows at the end of the ledger together, if there are enough of
 * them (tail->nsmall tells without looking) for it to be worth while.
 *
 * Positions do not change; tail->head, end_lsn and committed_at neither.  Needs
 * a transaction, and takes the same lock as es_ledger_append.  To be called
 * now and then, in the transaction of an append or in one of its own.  Returns
 * how many rows went.
 */
extern int	es_ledger_tidy(const EsStore *store, EsLedgerTail *tail);

/*
 * Finds a transaction; returns false when the snapshot sees none of that
 * number in the ledger.
 *
 * Fills *first_position with the position of its first event, and *commit
 * (but for end_lsn).  Either may be NULL.
 */
extern bool es_ledger_find(const EsStore *store, Snapshot snapshot, int64 tx,
						   int64 *first_position, EsCommit *commit);

#endif							/* ES_LEDGER_LEDGER_H */
