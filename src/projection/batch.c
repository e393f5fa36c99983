/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  The next events of the log, as a relation called es_log.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A batch is a tuplestore that statements see as an ephemeral named
 *	  relation, as triggers see their transition tables.  It hides the view
 *	  es_log from statements that do not qualify the name.
 *
 *	  An event may be read as another one, or several (room types).  A
 *	  projection that takes some types of events gets into its batch those that
 *	  may become one of them, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "core/compat.h"
#include "core/partition.h"
#include "ledger/log_fdw.h"
#include "ledger/logscan.h"
#include "ledger/rows.h"
#include "projection/projection.h"

/* Events that do not match count for a batch, too, if only so much. */
#define SCAN_FACTOR		10

/* What the planner takes for the size of a batch. */
#define TYPICAL_BATCH	1000

TupleDesc
es_batch_tupdesc(const EsStore *store)
{
	static TupleDesc cached = NULL;
	static Oid	cached_for = InvalidOid;
	Oid			relid = get_relname_relid("es_log", store->namespace_oid);

	if (cached == NULL || cached_for != relid)
	{
		Relation	rel = relation_open(relid, AccessShareLock);
		MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);

		/* The old one stays: plans may point to it. */
		cached = CreateTupleDescCopy(RelationGetDescr(rel));
		cached_for = relid;
		MemoryContextSwitchTo(previous);
		relation_close(rel, AccessShareLock);
	}
	return cached;
}

EsBatch *
es_batch_begin(const EsStore *store)
{
	EsBatch    *batch = palloc0(sizeof(EsBatch));

	batch->tupdesc = es_batch_tupdesc(store);
	batch->events = tuplestore_begin_heap(false, false, work_mem);
	if (es_types_have_upcasters(store))
	{
		MemoryContext previous;

		batch->upcaster_context = AllocSetContextCreate(CurrentMemoryContext,
														"event_store batch upcaster",
														ALLOCSET_SMALL_SIZES);
		previous = MemoryContextSwitchTo(batch->upcaster_context);
		batch->upcaster = es_upcaster_begin(store);
		MemoryContextSwitchTo(previous);
	}
	return batch;
}

void
es_batch_end(EsBatch *batch)
{
	if (batch->events != NULL)
		tuplestore_end(batch->events);
	if (batch->upcaster_context != NULL)
		MemoryContextDelete(batch->upcaster_context);
	pfree(batch);
}

void
es_batch_add(EsBatch *batch, TupleTableSlot *row)
{
	tuplestore_puttupleslot(batch->events, row);
	batch->nevents++;
}

/*
 * Is the text one of the list?
 */
static bool
is_one_of(List *list, const char *data, int length)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		const char *candidate = lfirst(lc);

		if (strncmp(candidate, data, length) == 0 && candidate[length] == '\0')
			return true;
	}
	return false;
}

/*
 * Points to the text in a column.  It may be compressed or short: *copy is what
 * the caller must pfree if it is not the value itself.
 */
static const char *
get_text(TupleTableSlot *event, AttrNumber column, int *length)
{
	bool		isnull;
	text	   *value = DatumGetTextPP(slot_getattr(event, column, &isnull));

	*length = (int) VARSIZE_ANY_EXHDR(value);
	return VARDATA_ANY(value);
}

/*
 * Does the projection take events of the type?
 */
static bool
takes_type(const EsProjection *projection, Datum event_type)
{
	text	   *type;

	if (projection->filter.event_types == NIL)
		return true;
	type = DatumGetTextPP(event_type);
	return is_one_of(projection->filter.event_types, VARDATA_ANY(type),
					 (int) VARSIZE_ANY_EXHDR(type));
}

/*
 * Is an event read as something else than is stored?
 */
static bool
is_to_upcast(EsUpcaster *upcaster, TupleTableSlot *event)
{
	if (upcaster == NULL)
		return false;
	slot_getsomeattrs(event, Anum_es_events_schema_version);
	return es_upcaster_wants(upcaster,
							 event->tts_values[Anum_es_events_event_type - 1],
							 DatumGetInt32(event->tts_values[Anum_es_events_schema_version - 1]));
}

/*
 * Does the projection's partition take the event, of whatever type?
 */
static bool
takes(const EsProjection *projection, int partition, TupleTableSlot *event)
{
	const EsEventFilter *filter = &projection->filter;
	const char *data;
	int			length;

	if (filter->tenants != NIL)
	{
		data = get_text(event, Anum_es_events_tenant_id, &length);
		if (!is_one_of(filter->tenants, data, length))
			return false;
	}
	if (filter->categories == NIL && projection->partitions == 1)
		return true;

	data = get_text(event, Anum_es_events_stream_id, &length);
	if (projection->partitions > 1 &&
		es_stream_partition_of(data, length, projection->partitions) != partition)
		return false;
	if (filter->categories != NIL)
	{
		const char *hyphen = memchr(data, '-', length);

		if (!is_one_of(filter->categories, data,
					   hyphen != NULL ? (int) (hyphen - data) : length))
			return false;
	}
	return true;
}

bool
es_batch_add_event(EsBatch *batch, const EsProjection *projection,
				   int partition, TupleTableSlot *event, int64 position,
				   TimestampTz committed_at)
{
	Datum		values[Natts_es_log_events];
	bool		nulls[Natts_es_log_events];
	bool		to_upcast = is_to_upcast(batch->upcaster, event);
	bool		isnull;

	if ((!to_upcast &&
		 !takes_type(projection, slot_getattr(event, Anum_es_events_event_type,
											  &isnull))) ||
		!takes(projection, partition, event))
		return false;
	slot_getsomeattrs(event, Natts_es_events);
	values[0] = Int64GetDatum(position);
	values[1] = TimestampTzGetDatum(committed_at);
	nulls[0] = nulls[1] = false;
	memcpy(values + ES_LOG_OWN_COLUMNS, event->tts_values,
		   Natts_es_events * sizeof(Datum));
	memcpy(nulls + ES_LOG_OWN_COLUMNS, event->tts_isnull,
		   Natts_es_events * sizeof(bool));
	values[Anum_es_log_events_piece - 1] = Int64GetDatum(1);
	nulls[Anum_es_log_events_piece - 1] = false;
	tuplestore_putvalues(batch->events, batch->tupdesc, values, nulls);
	batch->nevents++;
	batch->to_upcast |= to_upcast;
	return true;
}

/*
 * Adds what an event is read as, as far as the projection takes it.  One that
 * cannot become of a type that it takes is none of its business, even if it
 * cannot be upcast.
 */
static void
add_upcast(EsBatch *upcast, const EsProjection *projection,
		   EsUpcaster *upcaster, const Datum *stored, bool *nulls)
{
	Datum		values[Natts_es_log_events];
	text	   *stream;
	EsEventName name;
	EsPiece		piece;
	EsPiece    *pieces;
	int			npieces;
	int			i;

#define COLUMN(name) (values[Anum_es_log_events_##name - 1])
	memcpy(values, stored, sizeof(values));
	stream = DatumGetTextPP(COLUMN(stream_id));
	name.stream = VARDATA_ANY(stream);
	name.stream_len = VARSIZE_ANY_EXHDR(stream);
	name.version = DatumGetInt64(COLUMN(version));
	name.position = upcast->is_inline ? 0 : DatumGetInt64(COLUMN(position));
	piece.event_type = COLUMN(event_type);
	piece.schema_version = DatumGetInt32(COLUMN(schema_version));
	piece.data = COLUMN(data);
	if (!takes_type(projection, piece.event_type) &&
		es_upcaster_keeps_type(upcaster, piece.event_type, piece.schema_version))
		return;
	pieces = es_upcaster_apply(upcaster, &piece, COLUMN(metadata), &name,
							   &npieces);
	for (i = 0; i < npieces; i++)
	{
		if (!takes_type(projection, pieces[i].event_type))
			continue;
		COLUMN(event_type) = pieces[i].event_type;
		COLUMN(schema_version) = Int32GetDatum(pieces[i].schema_version);
		COLUMN(data) = pieces[i].data;
		COLUMN(piece) = Int64GetDatum(i + 1);
		tuplestore_putvalues(upcast->events, upcast->tupdesc, values, nulls);
		upcast->nevents++;
	}
#undef COLUMN
}

void
es_batch_upcast(const EsStore *store, const EsProjection *projection,
				EsBatch *batch, EsBatch *upcast)
{
	/* An upcaster that has failed must go with the subtransaction. */
	MemoryContext context = AllocSetContextCreate(CurTransactionContext,
												  "event_store upcast batch",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext row_context = AllocSetContextCreate(context,
													  "event_store upcast row",
													  ALLOCSET_DEFAULT_SIZES);
	MemoryContext previous = MemoryContextSwitchTo(context);
	TupleTableSlot *row = MakeSingleTupleTableSlot(batch->tupdesc,
												   &TTSOpsMinimalTuple);
	EsUpcaster *upcaster = es_upcaster_begin(store);

	*upcast = *batch;
	MemoryContextSwitchTo(CurTransactionContext);
	upcast->events = tuplestore_begin_heap(false, false, work_mem);
	upcast->nevents = 0;
	MemoryContextSwitchTo(row_context);
	tuplestore_rescan(batch->events);
	while (tuplestore_gettupleslot(batch->events, true, false, row))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(row);
		if (upcaster != NULL)
			add_upcast(upcast, projection, upcaster, row->tts_values,
					   row->tts_isnull);
		else if (takes_type(projection,
							row->tts_values[Anum_es_log_events_event_type - 1]))
			es_batch_add(upcast, row);
		MemoryContextReset(row_context);
	}
	ExecDropSingleTupleTableSlot(row);
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(context);
}

EsBatch *
es_batch_read(const EsStore *store, const EsProjection *projection,
			  int partition, int64 after, int64 upto, int64 max_events)
{
	EsBatch    *batch = es_batch_begin(store);
	int64		left = max_events * SCAN_FACTOR;
	MemoryContext row_context;
	MemoryContext previous;
	Relation	events;
	Relation	commits;
	EsLogScan  *scan;
	TupleTableSlot *event;
	int64		position = after;
	TimestampTz committed_at;

	batch->partition = partition;
	batch->after = after;
	events = table_open(store->events, AccessShareLock);
	commits = es_ledger_open(store, AccessShareLock);
	scan = es_log_scan_begin(events, commits, store, GetActiveSnapshot(),
							 ForwardScanDirection, after + 1, upto,
							 Min(max_events, upto - after));
	row_context = AllocSetContextCreate(CurrentMemoryContext,
										"event_store batch row",
										ALLOCSET_DEFAULT_SIZES);
	while ((event = es_log_scan_next(scan, &position, &committed_at)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		previous = MemoryContextSwitchTo(row_context);
		(void) es_batch_add_event(batch, projection, partition, event,
								  position, committed_at);
		MemoryContextSwitchTo(previous);
		MemoryContextReset(row_context);
		if (batch->nevents >= max_events || --left <= 0)
			break;
	}
	batch->upto = event != NULL ? position : upto;
	es_log_scan_end(scan);
	MemoryContextDelete(row_context);
	relation_close(commits, NoLock);
	relation_close(events, NoLock);
	return batch;
}

EsBatch *
es_batch_slice(EsBatch *batch, int64 first, int64 last)
{
	EsBatch    *slice = palloc0(sizeof(EsBatch));
	TupleTableSlot *row = MakeSingleTupleTableSlot(batch->tupdesc,
												   &TTSOpsMinimalTuple);
	int64		number = 0;

	slice->tupdesc = batch->tupdesc;
	slice->partition = batch->partition;
	slice->is_inline = batch->is_inline;
	slice->to_upcast = batch->to_upcast;
	slice->events = tuplestore_begin_heap(false, false, work_mem);
	slice->after = batch->after;
	slice->upto = batch->upto;

	tuplestore_rescan(batch->events);
	while (number < last &&
		   tuplestore_gettupleslot(batch->events, true, false, row))
	{
		bool		isnull;

		if (number >= first)
		{
			es_batch_add(slice, row);
			if (number == last - 1 && last < batch->nevents)
				slice->upto = DatumGetInt64(slot_getattr(row, 1, &isnull));
		}
		else if (number == first - 1)
			slice->after = DatumGetInt64(slot_getattr(row, 1, &isnull));
		number++;
	}
	ExecDropSingleTupleTableSlot(row);
	return slice;
}

void
es_batch_register(const EsStore *store, EsBatch *batch)
{
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));
	int			result;

	enr->md.name = "es_log";
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = es_batch_tupdesc(store);
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = TYPICAL_BATCH;
	enr->reldata = batch != NULL ? batch->events :
		tuplestore_begin_heap(false, false, work_mem);
	result = SPI_register_relation(enr);
	if (result != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation failed: %s",
			 SPI_result_code_string(result));
}
