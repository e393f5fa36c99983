/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  The ledger es_commits: writing it, and where it ends.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Rows are written without SPI: a batch is one row as a rule, and there may
 *	  be a thousand of them a second.  The triggers that keep users away from
 *	  the table are not fired.
 *
 *	  A batch is small when appends are rare, and a row costs much more than
 *	  an entry.  So small rows at the end of the ledger are put together from
 *	  time to time (es_ledger_tidy).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "core/compat.h"
#include "ledger/ledger.h"
#include "ledger/rows.h"

/* A row with fewer entries is small. */
#define SMALL_ROW		128

/* So many small rows are put together, and so many are looked at at most. */
#define TIDY_WHEN		64
#define TIDY_AT_MOST	256
#define COUNT_AT_MOST	128

/* So far back the index on tx_range is rid of entries for rows that went. */
#define SWEEP_WIDTH		8192

/*
 * A writer of rows.
 */
typedef struct Writer
{
	Relation	commits;
	ResultRelInfo *rri;			/* its indexes, open */
	EState	   *estate;
	TupleTableSlot *slot;
	TypeCacheEntry *range_type;
	MemoryContext context;		/* of one row */
	EsPacker	packer;
} Writer;

int64
es_ledger_head(const EsStore *store, Snapshot snapshot)
{
	Relation	commits = es_ledger_open(store, AccessShareLock);
	EsLedgerScan scan;
	int64		head = 0;

	es_ledger_begin_scan(&scan, commits, store, snapshot,
						 BackwardScanDirection, PG_INT64_MAX);
	if (es_ledger_next(&scan))
		head = scan.row.last_position;
	es_ledger_end_scan(&scan);
	table_close(commits, AccessShareLock);
	return head;
}

void
es_ledger_read_tail(const EsStore *store, Snapshot snapshot,
					EsLedgerTail *tail)
{
	Relation	commits = es_ledger_open(store, AccessShareLock);
	EsLedgerScan scan;

	memset(tail, 0, sizeof(*tail));
	es_ledger_begin_scan(&scan, commits, store, snapshot,
						 BackwardScanDirection, PG_INT64_MAX);
	while (tail->nsmall < COUNT_AT_MOST && es_ledger_next(&scan))
	{
		const EsLedgerRow *row = &scan.row;

		if (tail->head == 0)
		{
			tail->head = row->last_position;
			tail->first_position = row->first_position;
			tail->end_lsn = row->end_lsn;
			tail->committed_at = row->entries[row->nentries - 1].committed_at;
			tail->max_tx = row->max_tx;
		}
		if (row->nentries >= SMALL_ROW)
			break;
		tail->nsmall++;
	}
	es_ledger_end_scan(&scan);
	table_close(commits, AccessShareLock);
}

/*
 * Opens the ledger for writing.
 */
static void
writer_begin(Writer *writer, const EsStore *store)
{
	writer->commits = es_ledger_open(store, RowExclusiveLock);

	/*
	 * As CatalogOpenIndexes does: InitResultRelInfo would copy the triggers,
	 * which nobody is to fire here.
	 */
	writer->rri = makeNode(ResultRelInfo);
	writer->rri->ri_RelationDesc = writer->commits;
	ExecOpenIndices(writer->rri, false);
	writer->estate = CreateExecutorState();
	writer->slot = table_slot_create(writer->commits, NULL);
	writer->range_type = lookup_type_cache(INT8RANGEOID,
										   TYPECACHE_RANGE_INFO);
	writer->context = AllocSetContextCreate(CurrentMemoryContext,
											"event_store ledger row",
											ALLOCSET_SMALL_SIZES);
	es_packer_reset(&writer->packer);
}

static void
writer_end(Writer *writer)
{
	MemoryContextDelete(writer->context);
	ExecDropSingleTupleTableSlot(writer->slot);
	ExecCloseIndices(writer->rri);
	FreeExecutorState(writer->estate);
	table_close(writer->commits, NoLock);

	/* What comes next in this transaction is to see it. */
	CommandCounterIncrement();
}

/*
 * Makes the range of transactions for the column.
 */
static Datum
make_tx_range(Writer *writer, int64 min_tx, int64 max_tx)
{
	RangeBound	lower = {0};
	RangeBound	upper = {0};

	lower.val = Int64GetDatum(min_tx);
	lower.inclusive = true;
	lower.lower = true;
	upper.val = Int64GetDatum(max_tx + 1);
	return PointerGetDatum(make_range_compat(writer->range_type, &lower,
											 &upper, false));
}

/*
 * Writes what is packed as a row that begins at the position given, and makes
 * the packer empty; returns the position of its last event.
 */
static int64
writer_flush(Writer *writer, int64 first_position, XLogRecPtr end_lsn)
{
	MemoryContext old_context = MemoryContextSwitchTo(writer->context);
	TupleTableSlot *slot = writer->slot;
	int64		last_position = first_position + writer->packer.nevents - 1;
	Datum	   *values = slot->tts_values;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true,
		   slot->tts_tupleDescriptor->natts * sizeof(bool));
	memset(slot->tts_isnull, false, Natts_es_commits * sizeof(bool));
	values[Anum_es_commits_first_position - 1] = Int64GetDatum(first_position);
	values[Anum_es_commits_last_position - 1] = Int64GetDatum(last_position);
	values[Anum_es_commits_tx_range - 1] =
		make_tx_range(writer, writer->packer.min_tx, writer->packer.max_tx);
	values[Anum_es_commits_end_lsn - 1] = LSNGetDatum(end_lsn);
	values[Anum_es_commits_entries - 1] =
		PointerGetDatum(es_packer_finish(&writer->packer));
	ExecStoreVirtualTuple(slot);

	table_tuple_insert(writer->commits, slot, GetCurrentCommandId(true), 0,
					   NULL);
	(void) exec_insert_index_tuples_compat(writer->rri, slot, writer->estate);
	ResetPerTupleExprContext(writer->estate);
	ExecClearTuple(slot);

	MemoryContextSwitchTo(old_context);
	MemoryContextReset(writer->context);
	es_packer_reset(&writer->packer);
	return last_position;
}

/*
 * Writes what is packed behind the tail, which moves.
 */
static void
append_row(Writer *writer, EsLedgerTail *tail, XLogRecPtr end_lsn)
{
	if (writer->packer.nevents > PG_INT64_MAX - 1 - tail->head)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("positions have reached their greatest number")));

	if (writer->packer.nentries < SMALL_ROW)
		tail->nsmall++;
	else
		tail->nsmall = 0;
	tail->max_tx = writer->packer.max_tx;
	tail->committed_at = writer->packer.last.committed_at;
	tail->end_lsn = end_lsn;
	tail->first_position = tail->head + 1;
	tail->head = writer_flush(writer, tail->first_position, end_lsn);
}

void
es_ledger_append(const EsStore *store, EsLedgerTail *tail,
				 const EsCommit *commits, int ncommits)
{
	Writer	   *writer;
	XLogRecPtr	end_lsn = InvalidXLogRecPtr;
	int			i;

	if (ncommits == 0)
		return;
	writer = palloc(sizeof(Writer));
	writer_begin(writer, store);
	for (i = 0; i < ncommits; i++)
	{
		EsEntry		entry;

		entry.tx = commits[i].tx;
		entry.nevents = commits[i].nevents;
		entry.committed_at = commits[i].committed_at;
		if (entry.tx < 1 || entry.tx == PG_INT64_MAX || entry.nevents < 1 ||
			!IS_VALID_TIMESTAMP(entry.committed_at))
			elog(ERROR, "transaction %lld with %d events cannot be in the ledger",
				 (long long) entry.tx, entry.nevents);

		/* A row is taken from the WAL, or it is not. */
		if (i > 0 &&
			(XLogRecPtrIsInvalid(end_lsn) != XLogRecPtrIsInvalid(commits[i].end_lsn) ||
			 !es_packer_add(&writer->packer, &entry)))
			append_row(writer, tail, end_lsn);
		if (writer->packer.nentries == 0)
			(void) es_packer_add(&writer->packer, &entry);
		end_lsn = commits[i].end_lsn;
	}
	append_row(writer, tail, end_lsn);
	writer_end(writer);
	pfree(writer);
}

/*
 * A small row at the end of the ledger.
 */
typedef struct SmallRow
{
	ItemPointerData tid;
	int64		first_position;
	XLogRecPtr	end_lsn;
	int			nentries;
	EsEntry    *entries;
} SmallRow;

/*
 * Small rows next to each other that fit into one.
 */
typedef struct RowGroup
{
	const SmallRow *rows;
	int			nrows;			/* their entries are in the packer */
} RowGroup;

/*
 * Reads the small rows at the end of the ledger, the newest first; returns how
 * many.
 */
static int
read_small_rows(Relation commits, const EsStore *store, Snapshot snapshot,
				SmallRow *rows)
{
	EsLedgerScan *scan = palloc(sizeof(EsLedgerScan));
	int			n = 0;

	es_ledger_begin_scan(scan, commits, store, snapshot,
						 BackwardScanDirection, PG_INT64_MAX);
	while (n < TIDY_AT_MOST && es_ledger_next(scan) &&
		   scan->row.nentries < SMALL_ROW)
	{
		SmallRow   *row = &rows[n++];
		Size		size = scan->row.nentries * sizeof(EsEntry);

		row->tid = scan->row.tid;
		row->first_position = scan->row.first_position;
		row->end_lsn = scan->row.end_lsn;
		row->nentries = scan->row.nentries;
		row->entries = palloc(size);
		memcpy(row->entries, scan->row.entries, size);
	}
	es_ledger_end_scan(scan);
	pfree(scan);
	return n;
}

/*
 * Adds the entries of a row to what is packed; returns false, and changes
 * nothing, if they do not fit.
 */
static bool
pack_row(EsPacker *packer, const SmallRow *row)
{
	EsPacker	saved = *packer;
	int			i;

	for (i = 0; i < row->nentries; i++)
	{
		if (!es_packer_add(packer, &row->entries[i]))
		{
			*packer = saved;
			return false;
		}
	}
	return true;
}

/*
 * Puts the rows of a group into one, if they are several; returns how many rows
 * went.
 */
static int
write_group(Writer *writer, RowGroup *group, Snapshot snapshot,
			EsLedgerTail *tail)
{
	/* The array has the newest first. */
	const SmallRow *newest = group->rows - (group->nrows - 1);
	int			went = Max(group->nrows - 1, 0);
	int			i;

	if (group->nrows > 0)
		tail->nsmall = writer->packer.nentries < SMALL_ROW ? tail->nsmall + 1 : 0;
	if (group->nrows > 1)
	{
		for (i = 0; i < group->nrows; i++)
			simple_table_tuple_delete(writer->commits,
									  unconstify(ItemPointerData *, &newest[i].tid),
									  snapshot);
		tail->first_position = group->rows->first_position;
		tail->max_tx = writer->packer.max_tx;
		(void) writer_flush(writer, tail->first_position, newest->end_lsn);
	}
	es_packer_reset(&writer->packer);
	group->nrows = 0;
	return went;
}

/*
 * Reads what the index on tx_range has near the rows that were just written.
 *
 * Its entries of rows that went in earlier rounds are found to be dead, and
 * their room is used again.  Without that they would pile up until a vacuum:
 * nobody else looks there while the store is written.
 */
static void
sweep_tx_index(Writer *writer, const EsStore *store, Snapshot snapshot,
			   int64 from, int64 to)
{
	Relation	index = index_open(store->commits_tx_range, AccessShareLock);
	IndexScanDesc scan;
	ScanKeyData key;

	es_ledger_check_index(writer->commits, index, GIST_AM_OID,
						  Anum_es_commits_tx_range);
	ScanKeyEntryInitialize(&key, 0, 1, RANGESTRAT_OVERLAPS, InvalidOid,
						   InvalidOid, F_RANGE_OVERLAPS,
						   make_tx_range(writer, from, to));
	scan = index_beginscan_compat(writer->commits, index, snapshot, 1, 0);
	index_rescan(scan, &key, 1, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, writer->slot))
		CHECK_FOR_INTERRUPTS();
	index_endscan(scan);
	ExecClearTuple(writer->slot);
	index_close(index, AccessShareLock);
}

int
es_ledger_tidy(const EsStore *store, EsLedgerTail *tail)
{
	MemoryContext context;
	MemoryContext old_context;
	Writer	   *writer;
	SmallRow   *rows;
	Snapshot	snapshot;
	RowGroup	group = {0};
	int			went = 0;
	int			i;

	if (tail->nsmall < TIDY_WHEN)
		return 0;

	context = AllocSetContextCreate(CurrentMemoryContext,
									"event_store ledger tidying",
									ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(context);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	writer = palloc(sizeof(Writer));
	writer_begin(writer, store);
	rows = palloc(TIDY_AT_MOST * sizeof(SmallRow));
	tail->nsmall = 0;

	for (i = read_small_rows(writer->commits, store, snapshot, rows) - 1; i >= 0; i--)
	{
		CHECK_FOR_INTERRUPTS();
		if (group.nrows > 0 &&
			(XLogRecPtrIsInvalid(group.rows->end_lsn) != XLogRecPtrIsInvalid(rows[i].end_lsn) ||
			 !pack_row(&writer->packer, &rows[i])))
			went += write_group(writer, &group, snapshot, tail);
		if (group.nrows == 0)
		{
			group.rows = &rows[i];
			if (!pack_row(&writer->packer, &rows[i]))
				continue;
		}
		group.nrows++;
	}
	went += write_group(writer, &group, snapshot, tail);

	sweep_tx_index(writer, store, snapshot,
				   Max(tail->max_tx - SWEEP_WIDTH, 1), tail->max_tx);

	/* Rows that fit nowhere must not be looked at again and again. */
	tail->nsmall = Min(tail->nsmall, TIDY_WHEN / 2);
	writer_end(writer);
	UnregisterSnapshot(snapshot);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	return went;
}
