/*-------------------------------------------------------------------------
 *
 * logscan.c
 *	  The events of a range of positions, in order.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The ledger tells the order of the transactions; where their events are
 *	  is known to the index on (tx, ordinal).  To look up each transaction by
 *	  itself would cost a descent of that index for each, and the usual one has
 *	  a single event.  But transactions that are committed one after the other
 *	  began one after the other, more or less: they are neighbours in the index.
 *	  So the scan takes a group of events from the ledger, sorts it by tx, reads
 *	  the index over runs of near tx, and notes the TIDs in an array by position.
 *	  Then it fetches the rows in order of position, which is nearly the order
 *	  in which they were written.  Groups grow, so that a small LIMIT stays
 *	  cheap.
 *
 *	  The transactions of a group are read whole, but for large ones, of which
 *	  a group takes a piece.
 *
 *	  A rolled-back savepoint gives its ordinals back, and leaves dead entries
 *	  in the index until a vacuum: several TIDs may claim a place, of which one
 *	  is visible.  Holding TIDs without a pin on the index page is safe, as in
 *	  any scan with an MVCC snapshot: a row that takes the place of a vacuumed
 *	  one is not visible to the snapshot.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/itup.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "core/compat.h"
#include "ledger/logscan.h"
#include "ledger/rows.h"

/* A transaction with as many events is large. */
#define LARGE			256

/* Events of a group; the last transaction may exceed it. */
#define MAX_GROUP		1024
#define MAX_PLACES		(MAX_GROUP + LARGE)

/* Transactions further apart are not read in one run. */
#define MAX_GAP			32

/* After as many entries that nobody wants the index is searched anew. */
#define MAX_STRANGERS	64

/* Sizes of the first groups; their sums are a bit above 10, 100, 500, 1000. */
static const int group_sizes[] = {16, 96, 400, 512, MAX_GROUP};

/*
 * Events of one transaction that belong to a group.
 */
typedef struct Part
{
	int64		tx;
	int64		first_position; /* of the transaction */
	TimestampTz committed_at;
	int32		from;			/* ordinals wanted */
	int32		to;
	int			place;			/* of the first ordinal in the array of TIDs */
	bool		large;
} Part;

/*
 * A further TID for a place.
 */
typedef struct Rival
{
	int			place;
	ItemPointerData tid;
} Rival;

struct EsLogScan
{
	Relation	events;
	Relation	index;			/* on (tx, ordinal) */
	Snapshot	snapshot;
	bool		forward;
	int64		from;
	int64		to;

	/* the way along the ledger */
	EsLedgerScan ledger;
	bool		in_row;			/* is there a current row? */
	int			entry;			/* the next entry of the row */
	int64		entry_position; /* its first position */
	int64		position;		/* the next to be taken */

	/* the group */
	int			group_number;
	int			group_size;
	int			nparts;
	int			nplaces;
	int			part;			/* the current one */
	int32		ordinal;		/* the next one of it */
	Part		parts[MAX_PLACES];
	Part	   *sorted[MAX_PLACES];	/* by tx, large ones last */
	ItemPointerData tids[MAX_PLACES];
	Rival	   *rivals;
	int			nrivals;
	int			max_rivals;
	MemoryContext context;

	/* scans of the index: over a run of transactions, and of a single one */
	IndexScanDesc run;			/* NULL until it is needed */
	IndexScanDesc single;		/* likewise */
	IndexFetchTableData *fetch;
	TupleTableSlot *slot;
};

void		(*es_log_scan_progress) (int64 position) = NULL;

EsLogScan *
es_log_scan_begin(Relation events, Relation commits, const EsStore *store,
				  Snapshot snapshot, ScanDirection direction, int64 from,
				  int64 to, int64 wanted)
{
	EsLogScan  *scan = palloc(sizeof(EsLogScan));

	/* The arrays stay as they are: most of them may never be used. */
	memset(scan, 0, offsetof(EsLogScan, parts));
	scan->events = events;
	scan->snapshot = snapshot;
	scan->forward = ScanDirectionIsForward(direction);
	scan->from = from;
	scan->to = to;
	scan->position = scan->forward ? from : to;
	scan->group_size = wanted > 0 ? (int) Min(wanted, MAX_GROUP) : group_sizes[0];
	scan->rivals = NULL;
	scan->nrivals = 0;
	scan->max_rivals = 0;
	scan->context = CurrentMemoryContext;
	scan->run = NULL;
	scan->single = NULL;
	scan->fetch = table_index_fetch_begin(events);
	scan->index = index_open(store->indexes[ES_INDEX_TX_ORDINAL],
							 AccessShareLock);
	scan->slot = table_slot_create(events, NULL);
	es_ledger_begin_scan(&scan->ledger, commits, store, snapshot,
						 scan->forward ? ForwardScanDirection :
						 BackwardScanDirection, scan->position);
	return scan;
}

void
es_log_scan_end(EsLogScan *scan)
{
	if (scan->run != NULL)
		index_endscan(scan->run);
	if (scan->single != NULL)
		index_endscan(scan->single);
	table_index_fetch_end(scan->fetch);
	es_ledger_end_scan(&scan->ledger);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, AccessShareLock);
	if (scan->rivals != NULL)
		pfree(scan->rivals);
	pfree(scan);
}

/*
 * Goes to the entry with the next position wanted; returns false if there is
 * none.
 */
static bool
seek_entry(EsLogScan *scan)
{
	const EsLedgerRow *row = &scan->ledger.row;

	if (scan->forward ? scan->position > scan->to :
		scan->position < scan->from)
		return false;

	if (!scan->in_row ||
		(scan->forward ? scan->entry >= row->nentries : scan->entry < 0))
	{
		if (!es_ledger_next(&scan->ledger))
			return false;
		scan->in_row = true;
		if (scan->forward)
		{
			scan->entry = 0;
			scan->entry_position = row->first_position;
			scan->position = Max(scan->position, row->first_position);
		}
		else
		{
			scan->entry = row->nentries - 1;
			scan->entry_position = row->last_position -
				row->entries[scan->entry].nevents + 1;
			scan->position = Min(scan->position, row->last_position);
		}
	}

	/* At the start it may be in the middle of the row. */
	if (scan->forward)
	{
		while (scan->entry_position + row->entries[scan->entry].nevents <= scan->position)
			scan->entry_position += row->entries[scan->entry++].nevents;
		return scan->position <= scan->to;
	}
	while (scan->entry_position > scan->position)
		scan->entry_position -= row->entries[--scan->entry].nevents;
	return scan->position >= scan->from;
}

/*
 * Takes the next transaction of the ledger, or a piece of a large one with at
 * most room events; returns false at the end.
 */
static bool
take_part(EsLogScan *scan, Part *part, int room)
{
	const EsEntry *entry;
	int64		first;

	if (!seek_entry(scan))
		return false;
	entry = &scan->ledger.row.entries[scan->entry];
	first = scan->entry_position;

	part->tx = entry->tx;
	part->first_position = first;
	part->committed_at = entry->committed_at;
	part->large = entry->nevents >= LARGE;
	part->from = (int32) (Max(first, scan->from) - first);
	part->to = (int32) (Min(first + entry->nevents - 1, scan->to) - first);
	if (scan->forward)
	{
		part->from = (int32) (scan->position - first);
		if (part->large && part->to - part->from >= room)
			part->to = part->from + room - 1;
		scan->position = first + part->to + 1;
		if (part->to == entry->nevents - 1)
		{
			scan->entry++;
			scan->entry_position = scan->position;
		}
	}
	else
	{
		part->to = (int32) (scan->position - first);
		if (part->large && part->to - part->from >= room)
			part->from = part->to - room + 1;
		scan->position = first + part->from - 1;
		if (part->from == 0 && --scan->entry >= 0)
			scan->entry_position -= scan->ledger.row.entries[scan->entry].nevents;
	}
	return true;
}

/*
 * Orders parts by tx, large ones behind the others.
 */
static int
compare_parts(const void *a, const void *b)
{
	const Part *x = *(Part *const *) a;
	const Part *y = *(Part *const *) b;

	if (x->large != y->large)
		return x->large ? 1 : -1;
	return x->tx < y->tx ? -1 : x->tx > y->tx;
}

/*
 * Notes where an event of the group is.
 */
static void
note_place(EsLogScan *scan, int place, ItemPointer tid)
{
	if (!ItemPointerIsValid(&scan->tids[place]))
	{
		scan->tids[place] = *tid;
		return;
	}

	if (scan->nrivals >= scan->max_rivals)
	{
		scan->max_rivals = Max(scan->max_rivals * 2, 64);
		if (scan->rivals == NULL)
			scan->rivals = MemoryContextAlloc(scan->context,
											  scan->max_rivals * sizeof(Rival));
		else
			scan->rivals = repalloc_huge(scan->rivals,
										 scan->max_rivals * sizeof(Rival));
	}
	scan->rivals[scan->nrivals].place = place;
	scan->rivals[scan->nrivals].tid = *tid;
	scan->nrivals++;
}

/*
 * Sets an index scan to keys; makes it if it is NULL.
 */
static IndexScanDesc
set_scan(EsLogScan *scan, IndexScanDesc *desc, ScanKey keys, int nkeys)
{
	if (*desc == NULL)
	{
		MemoryContext old_context = MemoryContextSwitchTo(scan->context);

		*desc = index_beginscan_compat(scan->events, scan->index,
									   scan->snapshot, nkeys, 0);
		(*desc)->xs_want_itup = true;
		MemoryContextSwitchTo(old_context);
	}
	index_rescan(*desc, keys, nkeys, NULL, 0);
	return *desc;
}

/*
 * Begins to read the index over the events of transactions from the first part
 * to the last; if that is the same, only the ordinals wanted.
 */
static IndexScanDesc
begin_run(EsLogScan *scan, const Part *first, const Part *last)
{
	ScanKeyData keys[3];

	if (first == last)
	{
		ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ,
					Int64GetDatum(first->tx));
		ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_INT4GE,
					Int32GetDatum(first->from));
		ScanKeyInit(&keys[2], 2, BTLessEqualStrategyNumber, F_INT4LE,
					Int32GetDatum(first->to));
		return set_scan(scan, &scan->single, keys, 3);
	}
	ScanKeyInit(&keys[0], 1, BTGreaterEqualStrategyNumber, F_INT8GE,
				Int64GetDatum(first->tx));
	ScanKeyInit(&keys[1], 1, BTLessEqualStrategyNumber, F_INT8LE,
				Int64GetDatum(last->tx));
	return set_scan(scan, &scan->run, keys, 2);
}

/*
 * Reads the index over a run of parts: *first to *last of the sorted array.
 */
static void
read_run(EsLogScan *scan, Part **first, Part **last)
{
	TupleDesc	desc = RelationGetDescr(scan->index);
	IndexScanDesc run = begin_run(scan, *first, *last);
	int			strangers = 0;
	ItemPointer tid;

	while ((tid = index_getnext_tid(run, ForwardScanDirection)) != NULL)
	{
		IndexTuple	itup = run->xs_itup;
		bool		isnull;
		int64		tx = DatumGetInt64(index_getattr(itup, 1, desc, &isnull));
		int32		ordinal = DatumGetInt32(index_getattr(itup, 2, desc, &isnull));

		while ((*first)->tx < tx)
			first++;
		if ((*first)->tx == tx && ordinal <= (*first)->to)
		{
			/* A group may begin in the middle of its first transaction. */
			if (ordinal >= (*first)->from)
				note_place(scan, (*first)->place + ordinal - (*first)->from,
						   tid);
			strangers = 0;
			continue;
		}

		/*
		 * Somebody else's event, or what a savepoint left.  There may be any
		 * number of them.
		 */
		if (++strangers < MAX_STRANGERS)
			continue;
		CHECK_FOR_INTERRUPTS();

		/* This gives back the pin on the page of the index. */
		index_rescan(run, NULL, run->numberOfKeys, NULL, 0);
		if ((*first)->tx == tx)
		{
			if (first == last)
				break;
			first++;
		}
		run = begin_run(scan, *first, *last);
		strangers = 0;
	}
}

/*
 * Finds the rows of the group.
 */
static void
read_places(EsLogScan *scan)
{
	Part	  **sorted = scan->sorted;
	bool		in_order = true;
	int			i;
	int			n;

	memset(scan->tids, 0, scan->nplaces * sizeof(ItemPointerData));
	scan->nrivals = 0;
	for (i = 0; i < scan->nparts; i++)
	{
		sorted[i] = &scan->parts[i];
		if (i > 0 && compare_parts(&sorted[i - 1], &sorted[i]) > 0)
			in_order = false;
	}
	if (!in_order)
		qsort(sorted, scan->nparts, sizeof(Part *), compare_parts);

	for (i = 0; i < scan->nparts; i += n)
	{
		n = 1;
		while (i + n < scan->nparts && !sorted[i + n]->large &&
			   sorted[i + n]->tx - sorted[i + n - 1]->tx <= MAX_GAP)
			n++;
		read_run(scan, &sorted[i], &sorted[i + n - 1]);
	}
}

/*
 * Takes the next group of events; returns false at the end.
 */
static bool
next_group(EsLogScan *scan)
{
	CHECK_FOR_INTERRUPTS();
	scan->nparts = 0;
	scan->nplaces = 0;
	while (scan->nplaces < scan->group_size)
	{
		Part	   *part = &scan->parts[scan->nparts];

		if (!take_part(scan, part, scan->group_size - scan->nplaces))
			break;
		part->place = scan->nplaces;
		scan->nplaces += part->to - part->from + 1;
		scan->nparts++;
	}
	if (scan->nparts == 0)
		return false;
	if (es_log_scan_progress != NULL)
		es_log_scan_progress(scan->parts[0].first_position +
							 scan->parts[0].from);

	read_places(scan);
	scan->part = 0;
	scan->ordinal = scan->forward ? scan->parts[0].from : scan->parts[0].to;
	if (scan->group_number < (int) lengthof(group_sizes) - 1)
		scan->group_number++;
	scan->group_size = Max(group_sizes[scan->group_number], scan->group_size);
	return true;
}

/*
 * Fetches the row of a place of the group; returns false if there is none.
 */
static bool
fetch_place(EsLogScan *scan, int place)
{
	bool		call_again = false;
	int			i;

	if (table_index_fetch_tuple(scan->fetch, &scan->tids[place], scan->snapshot,
								scan->slot, &call_again, NULL))
		return true;
	for (i = 0; i < scan->nrivals; i++)
	{
		if (scan->rivals[i].place != place)
			continue;
		call_again = false;
		if (table_index_fetch_tuple(scan->fetch, &scan->rivals[i].tid,
									scan->snapshot, scan->slot, &call_again,
									NULL))
			return true;
	}
	return false;
}

TupleTableSlot *
es_log_scan_next(EsLogScan *scan, int64 *position, TimestampTz *committed_at)
{
	const Part *part = &scan->parts[scan->part];
	int			place;

	/* Is there one left in this part, in this group? */
	if (scan->part >= scan->nparts ||
		(scan->forward ? scan->ordinal > part->to :
		 scan->ordinal < part->from))
	{
		if (scan->part + 1 < scan->nparts)
		{
			part = &scan->parts[++scan->part];
			scan->ordinal = scan->forward ? part->from : part->to;
		}
		else if (next_group(scan))
			part = &scan->parts[0];
		else
		{
			scan->nparts = 0;
			ExecClearTuple(scan->slot);
			return NULL;
		}
	}

	place = part->place + scan->ordinal - part->from;
	*position = part->first_position + scan->ordinal;
	*committed_at = part->committed_at;
	if (!ItemPointerIsValid(&scan->tids[place]) || !fetch_place(scan, place))
		es_ledger_raise_damage(*position,
							   psprintf("The event with ordinal %d of transaction %lld is in the ledger, but not in the table \"es_events\".",
										scan->ordinal, (long long) part->tx));
	scan->ordinal += scan->forward ? 1 : -1;
	return scan->slot;
}
