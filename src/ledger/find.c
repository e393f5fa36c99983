/*-------------------------------------------------------------------------
 *
 * find.c
 *	  Finding transactions in the ledger.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The index knows in which rows a transaction may be: those whose range
 *	  includes its number, a few as a rule.  They are unpacked until it is
 *	  found.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "core/compat.h"
#include "ledger/find.h"
#include "ledger/ledger.h"
#include "ledger/rows.h"

struct EsTxFinder
{
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	bool		has_row;		/* the row read last is kept: neighbours are
								 * often in it */
	EsLedgerRow row;
};

EsTxFinder *
es_tx_finder_begin(Relation commits, const EsStore *store, Snapshot snapshot)
{
	EsTxFinder *finder = palloc(sizeof(EsTxFinder));

	finder->index = index_open(store->commits_tx_range, AccessShareLock);
	es_ledger_check_index(commits, finder->index, GIST_AM_OID,
						  Anum_es_commits_tx_range);
	finder->slot = table_slot_create(commits, NULL);
	finder->scan = index_beginscan_compat(commits, finder->index, snapshot, 1,
										  0);
	finder->has_row = false;
	return finder;
}

void
es_tx_finder_end(EsTxFinder *finder)
{
	index_endscan(finder->scan);
	ExecDropSingleTupleTableSlot(finder->slot);
	index_close(finder->index, AccessShareLock);
	pfree(finder);
}

/*
 * Looks for a transaction in the current row.
 */
static const EsEntry *
find_in_row(const EsLedgerRow *row, int64 tx, int64 *first_position)
{
	int64		position = row->first_position;
	int			i;

	if (tx < row->min_tx || tx > row->max_tx)
		return NULL;
	for (i = 0; i < row->nentries; i++)
	{
		if (row->entries[i].tx == tx)
		{
			*first_position = position;
			return &row->entries[i];
		}
		position += row->entries[i].nevents;
	}
	return NULL;
}

const EsEntry *
es_tx_finder_find(EsTxFinder *finder, int64 tx, int64 *first_position)
{
	const EsEntry *entry;
	ScanKeyData key;

	if (finder->has_row)
	{
		entry = find_in_row(&finder->row, tx, first_position);
		if (entry != NULL)
			return entry;
	}

	ScanKeyEntryInitialize(&key, 0, 1, RANGESTRAT_CONTAINS_ELEM,
						   ANYELEMENTOID, InvalidOid, F_RANGE_CONTAINS_ELEM,
						   Int64GetDatum(tx));
	index_rescan(finder->scan, &key, 1, NULL, 0);
	while (index_getnext_slot(finder->scan, ForwardScanDirection, finder->slot))
	{
		CHECK_FOR_INTERRUPTS();
		es_ledger_row_read(&finder->row, finder->slot);
		ExecClearTuple(finder->slot);
		finder->has_row = true;
		entry = find_in_row(&finder->row, tx, first_position);
		if (entry != NULL)
			return entry;
	}
	return NULL;
}

bool
es_ledger_find(const EsStore *store, Snapshot snapshot, int64 tx,
			   int64 *first_position, EsCommit *commit)
{
	Relation	commits = es_ledger_open(store, AccessShareLock);
	EsTxFinder *finder = es_tx_finder_begin(commits, store, snapshot);
	int64		position;
	const EsEntry *entry = es_tx_finder_find(finder, tx, &position);
	bool		found = (entry != NULL);

	if (found && first_position != NULL)
		*first_position = position;
	if (found && commit != NULL)
	{
		commit->tx = tx;
		commit->nevents = entry->nevents;
		commit->committed_at = entry->committed_at;
		commit->end_lsn = InvalidXLogRecPtr;
	}
	es_tx_finder_end(finder);
	table_close(commits, AccessShareLock);
	return found;
}
