/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  Rows into es_events.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  There are two ways.  The direct one hands tuples to the table access
 *	  method and their keys to the indexes, as COPY does, without parser,
 *	  planner and executor.  It knows nothing of triggers, check constraints,
 *	  generated columns, partitions and forced row security; when es_events
 *	  has any of them besides our own, the other way is taken: an INSERT
 *	  through SPI, as the owner of es_events, which the BEFORE trigger of
 *	  trigger.c versions like any other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "core/guc.h"
#include "log/log.h"

/* Slots filled before they are handed to the access method together */
#define MAX_SLOTS		256

/*
 * What all rows of one call have in common.
 */
typedef struct CommonValues
{
	Datum		tenant_id;
	Datum		stream_id;
	TimestampTz recorded_at;
	int64		version;		/* of the next row */
	EsPlace		place;			/* of the next row */
} CommonValues;

/*
 * Fills a slot with the next row.  The slot then points to the event's data.
 */
static void
fill_slot(TupleTableSlot *slot, CommonValues *common, const EsNewEvent *event)
{
	Datum	   *values = slot->tts_values;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, false, Natts_es_events * sizeof(bool));
	values[Anum_es_events_tenant_id - 1] = common->tenant_id;
	values[Anum_es_events_stream_id - 1] = common->stream_id;
	values[Anum_es_events_version - 1] = Int64GetDatum(common->version++);
	values[Anum_es_events_event_id - 1] = UUIDPGetDatum(&event->id);
	values[Anum_es_events_event_type - 1] = event->type;
	values[Anum_es_events_schema_version - 1] = Int32GetDatum(event->schema_version);
	values[Anum_es_events_data - 1] = event->data;
	values[Anum_es_events_metadata - 1] = event->metadata;
	values[Anum_es_events_recorded_at - 1] = TimestampTzGetDatum(common->recorded_at);
	values[Anum_es_events_tx - 1] = Int64GetDatum(common->place.tx);
	values[Anum_es_events_ordinal - 1] = Int32GetDatum(common->place.ordinal++);
	ExecStoreVirtualTuple(slot);
}

/*
 * Hands the rows of the slots to the table access method.
 */
static void
insert_tuples(Relation events, TupleTableSlot **slots, int n,
			  MemoryContext row_context)
{
	MemoryContext old_context;

	/* It copies each row: into memory that is reset. */
	old_context = MemoryContextSwitchTo(row_context);
	if (n == 1)
		table_tuple_insert(events, slots[0], GetCurrentCommandId(true), 0,
						   NULL);
	else
		table_multi_insert(events, slots, n, GetCurrentCommandId(true), 0,
						   NULL);
	MemoryContextSwitchTo(old_context);
}

/*
 * Fills values with the keys of a row in an index.
 */
static void
get_keys(const EsEventIndex *known, TupleTableSlot *slot, Datum *values)
{
	int			key;

	for (key = 0; key < known->nkeys; key++)
		values[key] = slot->tts_values[known->keys[key] - 1];
}

/*
 * Puts the rows of the slots into an index that we made.
 *
 * It is a plain B-tree, which wants nothing of an IndexInfo but that there is
 * one.  What does not go straight into a leaf goes by index_insert().
 */
static void
insert_entries(Relation events, Relation index, const EsEventIndex *known,
			   EsLeaf *leaf, TupleTableSlot **slots, int n)
{
	IndexInfo	info;
	IndexTuple	tuples[MAX_SLOTS];
	bool		nulls[INDEX_MAX_KEYS] = {false};
	Datum		values[INDEX_MAX_KEYS];
	int			row;
	int			done;

	for (row = 0; row < n; row++)
	{
		get_keys(known, slots[row], values);
		tuples[row] = index_form_tuple(RelationGetDescr(index), values, nulls);
		tuples[row]->t_tid = slots[row]->tts_tid;
	}

	memset(&info, 0, sizeof(info));
	info.type = T_IndexInfo;
	for (row = 0; row < n; row += done)
	{
		done = es_leaf_insert(events, index, leaf, &tuples[row], n - row);
		if (done > 0)
			continue;
		get_keys(known, slots[row], values);
		index_insert(index, values, nulls, &slots[row]->tts_tid, events,
					 known->unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
					 false, &info);
		done = 1;
	}
}

/*
 * Puts the rows of the slots into the indexes that we made, one index after
 * the other, so that its pages stay at hand.
 *
 * Rows of other streams, and of other transactions, have their entries in the
 * primary key elsewhere; those in the other indexes are behind the ones before.
 */
static void
insert_own_entries(Relation events, const EsStore *store, EsStream *stream,
				   TupleTableSlot **slots, int n, MemoryContext row_context)
{
	static EsLeaf ends[ES_N_INDEXES];
	MemoryContext old_context = MemoryContextSwitchTo(row_context);
	int			i;

	for (i = 0; i < ES_N_INDEXES; i++)
	{
		Relation	index = index_open(store->indexes[i], RowExclusiveLock);

		insert_entries(events, index, &es_event_indexes[i],
					   i == ES_INDEX_PKEY ? &stream->leaf : &ends[i],
					   slots, n);

		/*
		 * Its lock is kept to the end of the transaction, like the lock on the
		 * table: the next append of the transaction then finds it taken.
		 */
		index_close(index, NoLock);
	}
	MemoryContextSwitchTo(old_context);
}

/*
 * Puts the rows of the slots into all indexes of es_events, the user's too,
 * whatever they are.
 */
static void
insert_all_entries(Relation events, TupleTableSlot **slots, int n)
{
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *rri = makeNode(ResultRelInfo);
	int			i;

	/*
	 * As CatalogOpenIndexes does: InitResultRelInfo would copy our triggers,
	 * which nobody is to fire here.
	 */
	rri->ri_RelationDesc = events;
	ExecOpenIndices(rri, false);
	for (i = 0; i < n; i++)
	{
		list_free(exec_insert_index_tuples_compat(rri, slots[i], estate));
		ResetPerTupleExprContext(estate);
	}
	ExecCloseIndices(rri);
	FreeExecutorState(estate);
}

/*
 * Makes the slots for the rows of a batch, in the current memory context.
 *
 * Each slot pins the descriptor of the relation, and remembers that to be able
 * to clean up; for a batch a copy that nobody has to pin is cheaper.
 */
static void
make_slots(Relation events, bool heap, TupleTableSlot **slots, int n)
{
	TupleDesc	desc = RelationGetDescr(events);
	int			i;

	if (n > 1)
		desc = CreateTupleDescCopy(desc);

	/* A heap takes a virtual slot as it is; others might want their own. */
	for (i = 0; i < n; i++)
		slots[i] = MakeSingleTupleTableSlot(desc,
											heap ? &TTSOpsVirtual :
											table_slot_callbacks(events));
}

/*
 * The direct way.
 */
static void
insert_direct(Relation events, const EsStore *store, EsStream *stream,
			  CommonValues *common, const EsAppend *append)
{
	TupleTableSlot *slots[MAX_SLOTS];
	MemoryContext row_context = CurrentMemoryContext;
	bool		batch = append->nevents > 1;
	bool		heap = (events->rd_tableam == GetHeapamTableAmRoutine());
	int			nslots = Min(append->nevents, MAX_SLOTS);
	int			done;
	int			n;
	int			i;

	if (batch)
		row_context = AllocSetContextCreate(CurrentMemoryContext,
											"event_store log rows",
											ALLOCSET_DEFAULT_SIZES);
	make_slots(events, heap, slots, nslots);

	for (done = 0; done < append->nevents; done += n)
	{
		n = Min(append->nevents - done, MAX_SLOTS);
		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < n; i++)
			fill_slot(slots[i], common, &append->events[done + i]);

		insert_tuples(events, slots, n, row_context);
		if (store->only_our_indexes && heap)
			insert_own_entries(events, store, stream, slots, n, row_context);
		else
			insert_all_entries(events, slots, n);
		if (batch)
			MemoryContextReset(row_context);
	}

	for (i = 0; i < nslots; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	if (batch)
		MemoryContextDelete(row_context);
}

/*
 * Runs the INSERT of one event; its tx, ordinal and time come from the trigger.
 */
static void
insert_one_indirect(Relation events, const EsStore *store, SPIPlanPtr plan,
					EsStream *stream, CommonValues *common,
					const EsNewEvent *event)
{
	Datum		args[8];
	int			result;

	args[0] = common->tenant_id;
	args[1] = common->stream_id;
	args[2] = Int64GetDatum(common->version);
	args[3] = UUIDPGetDatum(&event->id);
	args[4] = event->type;
	args[5] = Int32GetDatum(event->schema_version);
	args[6] = event->data;
	args[7] = event->metadata;

	result = SPI_execute_plan(plan, args, NULL, false, 0);
	(void) es_stream_lock(events, store, &stream->key, common->version);
	if (result != SPI_OK_INSERT || SPI_processed != 1 ||
		stream->head < common->version)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("event was not stored in stream \"%.*s\"",
						stream->key.stream_len, stream->key.stream),
				 errdetail("A trigger or rule of the table \"es_events\" suppressed the row or sent it elsewhere.")));
	common->version++;
}

/*
 * The way through SPI, as the owner of es_events.
 *
 * Triggers of the table's owner run with a search_path that the caller has no
 * say in: they run with the owner's rights.
 */
static void
insert_indirect(Relation events, const EsStore *store, EsStream *stream,
				CommonValues *common, const EsAppend *append)
{
	Oid			types[8] = {TEXTOID, TEXTOID, INT8OID, UUIDOID, TEXTOID,
	INT4OID, JSONBOID, JSONBOID};
	Oid			save_userid;
	int			save_sec_context;
	int			save_nestlevel;
	char	   *query;
	SPIPlanPtr	plan;
	int			i;

	if (!store->before_trigger)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trigger \"zz_es_events_before_insert\" of table \"%s\" is missing or disabled",
						RelationGetRelationName(events)),
				 errhint("Run ALTER TABLE ... ENABLE ALWAYS TRIGGER zz_es_events_before_insert.")));

	GetUserIdAndSecContext(&save_userid, &save_sec_context);
	SetUserIdAndSecContext(events->rd_rel->relowner,
						   save_sec_context | SECURITY_LOCAL_USERID_CHANGE);
	save_nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	query = psprintf("INSERT INTO %s (tenant_id, stream_id, version, event_id,"
					 " event_type, schema_version, data, metadata)"
					 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(events)),
												RelationGetRelationName(events)));
	plan = SPI_prepare(query, lengthof(types), types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	for (i = 0; i < append->nevents; i++)
		insert_one_indirect(events, store, plan, stream, common,
							&append->events[i]);
	SPI_finish();

	/* After an error the end of the (sub)transaction restores both. */
	AtEOXact_GUC(true, save_nestlevel);
	SetUserIdAndSecContext(save_userid, save_sec_context);
}

/*
 * Notes what the rows of a call have become: exactly what was handed to the
 * access method, since nobody else had them in hands.
 */
static void
note_appended(Relation events, EsStream *stream, const CommonValues *common,
			  const EsAppend *append)
{
	EsEventMark mark;

	/* another access method may have its own ideas of an xmin */
	if (events->rd_tableam != GetHeapamTableAmRoutine())
		return;
	mark.event_id = append->events[append->nevents - 1].id;
	mark.xmin = GetCurrentTransactionId();
	es_stream_set_mark(stream, &mark);
	if (append->appended == NULL)
		return;
	append->appended->known = true;
	append->appended->tenant_id = common->tenant_id;
	append->appended->first = common->version;
	append->appended->recorded_at = common->recorded_at;
	append->appended->place = common->place;
	append->appended->mark = mark;
}

void
es_appended_row(const EsAppend *append, int number, TupleTableSlot *slot)
{
	const EsAppended *appended = append->appended;
	CommonValues common;

	Assert(appended->known);
	common.tenant_id = appended->tenant_id;
	common.stream_id = append->stream_id;
	common.recorded_at = appended->recorded_at;
	common.version = appended->first + number;
	common.place.tx = appended->place.tx;
	common.place.ordinal = appended->place.ordinal + number;
	fill_slot(slot, &common, &append->events[number]);
}

void
es_insert_events(Relation events, const EsStore *store, EsStream *stream,
				 const EsAppend *append)
{
	CommonValues common;
	CommonValues first;

	if (append->appended != NULL)
		append->appended->known = false;
	es_stream_check_room(stream, append->nevents);
	common.tenant_id =
		PointerGetDatum(cstring_to_text_with_len(append->key.tenant,
												 append->key.tenant_len));
	common.stream_id = append->stream_id;
	common.version = stream->head + 1;

	if (!store->direct_insert)
	{
		insert_indirect(events, store, stream, &common, append);
		return;
	}

	common.recorded_at = es_stream_next_time(stream);
	common.place = es_xact_take_places(store, append->nevents,
									   true);
	first = common;
	insert_direct(events, store, stream, &common, append);
	es_stream_advance(stream, stream->head + append->nevents,
					  common.recorded_at);
	note_appended(events, stream, &first, append);
}
