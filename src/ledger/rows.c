/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  Rows of es_commits: reading them, and walking along the ledger.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/pg_lsn.h"
#include "utils/rel.h"

#include "core/compat.h"
#include "ledger/rows.h"

static const Oid column_types[Natts_es_commits] = {
	INT8OID, INT8OID, INT8RANGEOID, LSNOID, BYTEAOID
};

/*
 * Raises the error for a table or index that was changed.
 */
static void
raise_changed(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("event store is damaged"),
			 errdetail("%s is missing or was changed.", what),
			 errhint("Restore the table \"es_commits\" of the extension as it was.")));
}

Relation
es_ledger_open(const EsStore *store, LOCKMODE lockmode)
{
	Relation	commits = table_open(store->commits, lockmode);
	TupleDesc	desc = RelationGetDescr(commits);
	int			i;

	for (i = 0; i < Natts_es_commits; i++)
	{
		if (i >= desc->natts || TupleDescAttr(desc, i)->attisdropped ||
			TupleDescAttr(desc, i)->atttypid != column_types[i])
			raise_changed("A column of table \"es_commits\"");
	}
	return commits;
}

void
es_ledger_check_index(Relation commits, Relation index, Oid am,
					  AttrNumber column)
{
	Form_pg_index form = index->rd_index;

	if (form->indrelid != RelationGetRelid(commits) || !form->indisvalid ||
		form->indnkeyatts != 1 || form->indkey.values[0] != column ||
		index->rd_rel->relam != am ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		raise_changed(psprintf("Index \"%s\"", RelationGetRelationName(index)));
}

void
es_ledger_raise_damage(int64 position, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("ledger of positions is damaged at position %lld",
					(long long) position),
			 errdetail("%s", detail),
			 errhint("Run SELECT * FROM es_check() to see what is wrong.")));
}

const char *
es_ledger_row_fill(EsLedgerRow *row, int64 first_position,
				   int64 last_position, XLogRecPtr end_lsn,
				   const char *entries, Size size)
{
	const char *problem;
	int64		nevents = 0;
	int			i;

	if (first_position < 1 || last_position < first_position ||
		last_position == PG_INT64_MAX)
		return psprintf("Its positions, %lld to %lld, cannot be.",
						(long long) first_position,
						(long long) last_position);
	problem = es_entries_unpack(entries, size, row->entries, &row->nentries);
	if (problem != NULL)
		return problem;

	row->min_tx = row->max_tx = row->entries[0].tx;
	for (i = 0; i < row->nentries; i++)
	{
		row->min_tx = Min(row->min_tx, row->entries[i].tx);
		row->max_tx = Max(row->max_tx, row->entries[i].tx);
		nevents += row->entries[i].nevents;
	}
	if (nevents != last_position - first_position + 1)
		return psprintf("It has positions %lld to %lld, but %lld events in its entries.",
						(long long) first_position,
						(long long) last_position, (long long) nevents);
	row->first_position = first_position;
	row->last_position = last_position;
	row->end_lsn = end_lsn;
	return NULL;
}

void
es_ledger_row_read(EsLedgerRow *row, TupleTableSlot *slot)
{
	Datum	   *values;
	struct varlena *entries;
	const char *problem;
	int64		first;
	int			i;

	slot_getsomeattrs(slot, Natts_es_commits);
	values = slot->tts_values;
	first = slot->tts_isnull[0] ? 0 : DatumGetInt64(values[0]);
	for (i = 0; i < Natts_es_commits; i++)
	{
		if (slot->tts_isnull[i])
			es_ledger_raise_damage(first, "A column of a row of table \"es_commits\" is null.");
	}

	entries = PG_DETOAST_DATUM_PACKED(values[Anum_es_commits_entries - 1]);
	problem = es_ledger_row_fill(row, first,
								 DatumGetInt64(values[Anum_es_commits_last_position - 1]),
								 DatumGetLSN(values[Anum_es_commits_end_lsn - 1]),
								 VARDATA_ANY(entries),
								 VARSIZE_ANY_EXHDR(entries));
	if (problem != NULL)
		es_ledger_raise_damage(first, problem);
	if ((Pointer) entries != DatumGetPointer(values[Anum_es_commits_entries - 1]))
		pfree(entries);
	row->tid = slot->tts_tid;
}

void
es_ledger_begin_scan(EsLedgerScan *scan, Relation commits,
					 const EsStore *store, Snapshot snapshot,
					 ScanDirection direction, int64 from)
{
	scan->index = index_open(store->commits_pkey, AccessShareLock);
	es_ledger_check_index(commits, scan->index, BTREE_AM_OID,
						  Anum_es_commits_first_position);

	scan->slot = table_slot_create(commits, NULL);
	scan->scan = index_beginscan_compat(commits, scan->index, snapshot, 1, 0);
	scan->direction = direction;
	scan->from = from;
	scan->seeking = true;
	scan->done = false;
	scan->expected = 0;
	ScanKeyInit(&scan->key, 1, BTLessEqualStrategyNumber, F_INT8LE,
				Int64GetDatum(from));
	index_rescan(scan->scan, &scan->key, 1, NULL, 0);
}

/*
 * Reads the next row of the index scan; returns false if there is none.
 */
static bool
fetch_row(EsLedgerScan *scan, ScanDirection direction)
{
	if (!index_getnext_slot(scan->scan, direction, scan->slot))
		return false;
	es_ledger_row_read(&scan->row, scan->slot);
	ExecClearTuple(scan->slot);
	return true;
}

/*
 * Finds the row that a forward walk begins with.
 *
 * The one that holds the position, if any, has the greatest first_position not
 * beyond it, which is looked for backward; from there a second scan of the
 * index goes forward.
 */
static bool
seek_forward(EsLedgerScan *scan)
{
	bool		found = fetch_row(scan, BackwardScanDirection);

	ScanKeyInit(&scan->key, 1, BTGreaterStrategyNumber, F_INT8GT,
				Int64GetDatum(found ? scan->row.first_position : scan->from));
	index_rescan(scan->scan, &scan->key, 1, NULL, 0);
	if (found && scan->row.last_position >= scan->from)
		return true;
	if (found)
		scan->expected = scan->row.last_position + 1;
	return fetch_row(scan, ForwardScanDirection);
}

bool
es_ledger_next(EsLedgerScan *scan)
{
	bool		forward = ScanDirectionIsForward(scan->direction);
	bool		found;

	CHECK_FOR_INTERRUPTS();
	if (scan->done)
		return false;
	if (scan->seeking && forward)
		found = seek_forward(scan);
	else
		found = fetch_row(scan, scan->direction);
	scan->seeking = false;
	if (!found)
	{
		scan->done = true;
		return false;
	}

	if (scan->expected > 0 &&
		scan->expected != (forward ? scan->row.first_position :
						   scan->row.last_position))
		es_ledger_raise_damage(scan->row.first_position,
							   psprintf("Next to position %lld stands a row with positions %lld to %lld.",
										(long long) (forward ? scan->expected - 1 : scan->expected + 1),
										(long long) scan->row.first_position,
										(long long) scan->row.last_position));
	scan->expected = forward ? scan->row.last_position + 1 :
		scan->row.first_position - 1;
	return true;
}

void
es_ledger_end_scan(EsLedgerScan *scan)
{
	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, AccessShareLock);
}
