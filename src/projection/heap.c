/*-------------------------------------------------------------------------
 *
 * heap.c
 *	  New heaps for tables that are in use: making, filling, swapping.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Until the swap the table is locked SHARE UPDATE EXCLUSIVE only: it is
 *	  read and written, by this projection's worker too, but not altered.  The
 *	  new heap belongs to this transaction alone, and goes with it when it
 *	  fails.
 *
 *	  Row triggers of the table do not fire for rows of the new heap.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/cluster.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "core/compat.h"
#include "projection/rebuild.h"

/* Rows and bytes that are written at once */
#define MAX_ROWS		500
#define MAX_BYTES		65536

/* ---------- making ---------- */

/*
 * Finds the columns, by name, in a table.
 */
static void
find_columns(const EsProjection *projection, Relation rel, List *names,
			 AttrNumber *columns)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			n = 0;
	int			i;
	ListCell   *lc;

	for (i = 0; i < desc->natts; i++)
	{
		char	   *name = NameStr(TupleDescAttr(desc, i)->attname);
		int			place = 0;

		if (TupleDescAttr(desc, i)->attisdropped ||
			is_virtual_column_compat(TupleDescAttr(desc, i)))
			continue;
		foreach(lc, names)
		{
			if (strcmp(lfirst(lc), name) == 0)
				break;
			place++;
		}
		if (lc == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" has a column that projection \"%s\" knows nothing of: \"%s\"",
							RelationGetRelationName(rel), projection->name, name),
					 errdetail("A rebuild would leave it empty."),
					 errhint("Move it to a table of its own, or add it to the definition with es_alter_view.")));
		columns[place] = i + 1;
		n++;
	}
	if (n != list_length(names))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a column of table \"%s\" was dropped or renamed",
						RelationGetRelationName(rel)),
				 errhint("Define projection \"%s\" anew with es_alter_view.",
						 projection->name)));
}

/*
 * Opens and locks a table, with what is needed to make it a new heap.
 */
static Relation
open_table(const EsProjection *projection, Oid relid)
{
	Relation	rel = try_table_open(relid, ShareUpdateExclusiveLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("a table of projection \"%s\" does not exist any more",
						projection->name),
				 errhint("Drop the projection, and create it again.")));
	if (rel->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a plain table", RelationGetRelationName(rel))));
	if (!relation_ownercheck_compat(relid, get_role_oid(projection->owner, false)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table \"%s\" does not belong to role \"%s\", the owner of projection \"%s\"",
						RelationGetRelationName(rel), projection->owner,
						projection->name)));
	CheckTableNotInUse(rel, "rebuild");
	return rel;
}

void
es_heap_lock(const EsProjection *projection, Oid relid)
{
	table_close(open_table(projection, relid), NoLock);
}

void
es_heap_check(const EsProjection *projection, Oid relid, List *columns)
{
	Relation	rel = open_table(projection, relid);
	AttrNumber *numbers = palloc0(sizeof(AttrNumber) * (list_length(columns) + 1));

	find_columns(projection, rel, columns, numbers);
	pfree(numbers);
	table_close(rel, NoLock);
}

EsNewHeap *
es_heap_make(const EsProjection *projection, Oid relid, List *columns)
{
	EsNewHeap  *result = palloc0(sizeof(EsNewHeap));
	Relation	rel = open_table(projection, relid);

	result->relid = relid;
	result->ncolumns = list_length(columns);
	result->columns = palloc0(sizeof(AttrNumber) * (result->ncolumns + 1));
	find_columns(projection, rel, columns, result->columns);
	result->heap = make_new_heap(relid, rel->rd_rel->reltablespace,
								 rel->rd_rel->relam,
								 rel->rd_rel->relpersistence,
								 ShareUpdateExclusiveLock);
	LockRelationOid(result->heap, AccessExclusiveLock);
	table_close(rel, NoLock);
	return result;
}

/* ---------- filling ---------- */

/*
 * Rows on their way to a heap.
 */
typedef struct Writer
{
	EsNewHeap  *target;
	Relation	heap;
	Relation	table;			/* whose constraints hold; NULL: it has none */
	ResultRelInfo info;			/* of the table */
	TupleTableSlot *row;		/* being put together */
	TupleTableSlot *slots[MAX_ROWS];
	int			nslots;
	Size		bytes;
	BulkInsertState bulk;
} Writer;

typedef struct Receiver
{
	DestReceiver pub;
	List	   *heaps;
	Writer	   *writers;
	EState	   *estate;			/* for constraints */
	CommandId	cid;
	MemoryContext row_context;
	uint64		nrows;
} Receiver;

#define INSERT_OPTIONS	(TABLE_INSERT_SKIP_FSM | TABLE_INSERT_FROZEN)

static void
begin_writer(Receiver *receiver, Writer *writer, EsNewHeap *target)
{
	memset(writer, 0, sizeof(*writer));
	writer->target = target;
	writer->heap = table_open(target->heap, NoLock);
	writer->row = MakeSingleTupleTableSlot(RelationGetDescr(writer->heap),
										   &TTSOpsVirtual);
	memset(writer->row->tts_isnull, true,
		   RelationGetDescr(writer->heap)->natts * sizeof(bool));
	writer->bulk = GetBulkInsertState();
	writer->table = table_open(target->relid, NoLock);
	InitResultRelInfo(&writer->info, writer->table, 0, NULL, 0);
}

/*
 * Executor start: also gets the number of the command, which cannot be got any
 * more when parallel workers run.
 */
static void
start_receiver(DestReceiver *self, int operation, TupleDesc desc)
{
	Receiver   *receiver = (Receiver *) self;
	int			i = 0;
	ListCell   *lc;

	receiver->cid = GetCurrentCommandId(true);
	receiver->estate = CreateExecutorState();
	receiver->row_context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_store rebuild rows",
												  ALLOCSET_DEFAULT_SIZES);
	receiver->writers = palloc(list_length(receiver->heaps) * sizeof(Writer));
	foreach(lc, receiver->heaps)
		begin_writer(receiver, &receiver->writers[i++], lfirst(lc));
}

/*
 * Writes the rows that have been collected.
 */
static void
flush_writer(Receiver *receiver, Writer *writer)
{
	MemoryContext previous;
	int			i;

	if (writer->nslots == 0)
		return;
	previous = MemoryContextSwitchTo(receiver->row_context);
	table_multi_insert(writer->heap, writer->slots, writer->nslots,
					   receiver->cid, INSERT_OPTIONS, writer->bulk);
	MemoryContextSwitchTo(previous);
	MemoryContextReset(receiver->row_context);
	for (i = 0; i < writer->nslots; i++)
		ExecClearTuple(writer->slots[i]);
	writer->nslots = 0;
	writer->bytes = 0;
}

/*
 * Takes a row of the query's result over.
 */
static void
write_row(Receiver *receiver, Writer *writer, TupleTableSlot *source)
{
	const EsNewHeap *target = writer->target;
	TupleTableSlot *row = writer->row;
	TupleTableSlot *slot;
	int			i;

	ExecClearTuple(row);
	for (i = 0; i < target->ncolumns; i++)
	{
		row->tts_values[target->columns[i] - 1] =
			source->tts_values[target->first + i];
		row->tts_isnull[target->columns[i] - 1] =
			source->tts_isnull[target->first + i];
	}
	ExecStoreVirtualTuple(row);
	if (RelationGetDescr(writer->table)->constr != NULL)
	{
		ExecConstraints(&writer->info, row, receiver->estate);
		ResetPerTupleExprContext(receiver->estate);
	}

	if (writer->slots[writer->nslots] == NULL)
		writer->slots[writer->nslots] = table_slot_create(writer->heap, NULL);
	slot = writer->slots[writer->nslots++];
	ExecCopySlot(slot, row);
	slot->tts_tableOid = RelationGetRelid(writer->heap);
	writer->bytes += heap_compute_data_size(RelationGetDescr(writer->heap),
											row->tts_values, row->tts_isnull);
	if (writer->nslots >= MAX_ROWS || writer->bytes >= MAX_BYTES)
		flush_writer(receiver, writer);
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	Receiver   *receiver = (Receiver *) self;
	int			i;

	slot_getallattrs(slot);
	for (i = 0; i < list_length(receiver->heaps); i++)
		write_row(receiver, &receiver->writers[i], slot);
	receiver->nrows++;
	return true;
}

static void
end_writer(Receiver *receiver, Writer *writer)
{
	int			i;

	flush_writer(receiver, writer);
	for (i = 0; i < MAX_ROWS && writer->slots[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(writer->slots[i]);
	ExecDropSingleTupleTableSlot(writer->row);
	FreeBulkInsertState(writer->bulk);
	table_finish_bulk_insert(writer->heap, INSERT_OPTIONS);
	table_close(writer->heap, NoLock);
	table_close(writer->table, NoLock);
}

static void
end_receiver(DestReceiver *self)
{
	Receiver   *receiver = (Receiver *) self;
	int			i;

	for (i = 0; i < list_length(receiver->heaps); i++)
		end_writer(receiver, &receiver->writers[i]);
	FreeExecutorState(receiver->estate);
	MemoryContextDelete(receiver->row_context);
}

static void
destroy_receiver(DestReceiver *self)
{
}

/*
 * Lets a query have no parallel workers, for this GUC level, if a CHECK
 * constraint is to be looked at while it runs: its functions may run SQL, which
 * nobody can begin whose query has workers.
 */
static void
check_workers(List *heaps)
{
	ListCell   *lc;

	foreach(lc, heaps)
	{
		Relation	rel = table_open(((EsNewHeap *) lfirst(lc))->relid, NoLock);
		TupleConstr *constr = RelationGetDescr(rel)->constr;

		if (constr != NULL && constr->num_check > 0)
			es_rebuild_set_workers(0);
		table_close(rel, NoLock);
	}
}

uint64
es_heap_fill(const char *sql, int nargs, Oid *types, Datum *values,
			 List *heaps)
{
	Receiver	receiver = {0};
	SPIExecuteOptions options = {0};
	int			guc_level = NewGUCNestLevel();
	int			result;
	int			i;

	receiver.pub.receiveSlot = receive_row;
	receiver.pub.rStartup = start_receiver;
	receiver.pub.rShutdown = end_receiver;
	receiver.pub.rDestroy = destroy_receiver;
	receiver.pub.mydest = DestTransientRel;
	receiver.heaps = heaps;
	options.dest = &receiver.pub;
	options.params = makeParamList(nargs);
	for (i = 0; i < nargs; i++)
	{
		options.params->params[i].value = values[i];
		options.params->params[i].isnull = false;
		options.params->params[i].pflags = PARAM_FLAG_CONST;
		options.params->params[i].ptype = types[i];
	}
	check_workers(heaps);
	result = SPI_execute_extended(sql, &options);
	AtEOXact_GUC(false, guc_level);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\": %s", sql,
			 SPI_result_code_string(result));
	CommandCounterIncrement();
	return receiver.nrows;
}

/* ---------- swapping ---------- */

/*
 * Makes sure that a foreign key holds.
 */
static void
check_foreign_key(Form_pg_constraint constraint)
{
	Trigger		trigger = {0};
	Relation	from = table_open(constraint->conrelid, ShareRowExclusiveLock);
	Relation	to = table_open(constraint->confrelid, ShareRowExclusiveLock);

	trigger.tgname = NameStr(constraint->conname);
	trigger.tgenabled = TRIGGER_FIRES_ON_ORIGIN;
	trigger.tgisinternal = true;
	trigger.tgconstrrelid = constraint->confrelid;
	trigger.tgconstrindid = constraint->conindid;
	trigger.tgconstraint = constraint->oid;
	if (!RI_Initial_Check(&trigger, from, to))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("foreign key \"%s\" cannot be checked",
						NameStr(constraint->conname)),
				 errdetail("The owner of the projection may not read both tables, or row security keeps him from it.")));
	table_close(to, NoLock);
	table_close(from, NoLock);
}

/*
 * Checks the foreign keys from a table, or those to it.
 */
static void
check_foreign_keys(Oid relid, AttrNumber column)
{
	Relation	constraints = table_open(ConstraintRelationId, AccessShareLock);
	List	   *found = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	ListCell   *lc;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(constraints,
							  column == Anum_pg_constraint_conrelid ?
							  ConstraintRelidTypidNameIndexId : InvalidOid,
							  column == Anum_pg_constraint_conrelid, NULL, 1,
							  &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);

		if (constraint->contype == CONSTRAINT_FOREIGN &&
			constraint->convalidated)
			found = lappend(found, heap_copytuple(tuple));
	}
	systable_endscan(scan);
	table_close(constraints, AccessShareLock);

	foreach(lc, found)
		check_foreign_key((Form_pg_constraint) GETSTRUCT((HeapTuple) lfirst(lc)));
}

/*
 * Gives a table its new heap.
 */
static void
swap_heap(const EsNewHeap *heap)
{
	Relation	rel = table_open(heap->relid, NoLock);
	char		persistence = rel->rd_rel->relpersistence;

	CheckTableNotInUse(rel, "rebuild");
	pgstat_count_truncate(rel);
	table_close(rel, NoLock);

	/* indexes are built anew, and belong to it as before */
	finish_heap_swap(heap->relid, heap->heap, false, false, true, true,
					 RecentXmin, ReadNextMultiXactId(), persistence);
}

void
es_heap_swap(List *heaps)
{
	ListCell   *lc;

	foreach(lc, heaps)
		swap_heap(lfirst(lc));
}

void
es_heap_check_foreign_keys(List *heaps)
{
	ListCell   *lc;

	foreach(lc, heaps)
	{
		EsNewHeap  *heap = lfirst(lc);

		check_foreign_keys(heap->relid, Anum_pg_constraint_conrelid);
		check_foreign_keys(heap->relid, Anum_pg_constraint_confrelid);
	}
}
