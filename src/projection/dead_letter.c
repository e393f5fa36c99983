/*-------------------------------------------------------------------------
 *
 * dead_letter.c
 *	  Events that a projection has skipped: es_dead_letters.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A dead letter names the event and does not copy it: the log keeps it.
 *
 *	  To try one again is to apply it late, behind events that came after it.
 *	  That is right for what does not depend on the order of events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/partition.h"
#include "projection/projection.h"
#include "worker/tasks.h"

PG_FUNCTION_INFO_V1(es_retry_dead_letters);
PG_FUNCTION_INFO_V1(es_discard_dead_letters);

static const char *const write_sql =
	"INSERT INTO %s.es_dead_letters (projection_id, position, partition, tenant_id, stream_id,"
	" version, event_type, attempts, error_code, error_message, error_detail, failed_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9, $10, $11)"
	" ON CONFLICT (projection_id, position) DO UPDATE SET"
	" attempts = es_dead_letters.attempts + 1, error_code = excluded.error_code,"
	" error_message = excluded.error_message, error_detail = excluded.error_detail,"
	" failed_at = excluded.failed_at";

static const char *const newest_sql =
	"SELECT error_code FROM %s.es_dead_letters WHERE projection_id = $1"
	" ORDER BY projection_id DESC, position DESC LIMIT 1";

static const char *const list_sql =
	"SELECT position, stream_id FROM %s.es_dead_letters"
	" WHERE projection_id = $1 AND ($2 IS NULL OR position = $2) ORDER BY position";

static const char *const delete_sql =
	"DELETE FROM %s.es_dead_letters WHERE projection_id = $1 AND ($2 IS NULL OR position = $2)";

EsDeadLetter *
es_dead_letter_make(EsBatch *batch, ErrorData *error)
{
	EsDeadLetter *letter = palloc0(sizeof(EsDeadLetter));
	TupleTableSlot *row = MakeSingleTupleTableSlot(batch->tupdesc,
												   &TTSOpsMinimalTuple);

	tuplestore_rescan(batch->events);
	if (!tuplestore_gettupleslot(batch->events, true, false, row))
		elog(ERROR, "batch without an event");
	slot_getallattrs(row);
#define COLUMN(name) \
	(row->tts_values[ES_LOG_OWN_COLUMNS + Anum_es_events_##name - 1])
	letter->partition = batch->partition;
	letter->position = DatumGetInt64(row->tts_values[0]);
	letter->tenant = TextDatumGetCString(COLUMN(tenant_id));
	letter->stream = TextDatumGetCString(COLUMN(stream_id));
	letter->version = DatumGetInt64(COLUMN(version));
	letter->event_type = TextDatumGetCString(COLUMN(event_type));
	letter->error = error;
#undef COLUMN
	ExecDropSingleTupleTableSlot(row);
	return letter;
}

void
es_dead_letters_write(const EsStore *store, const EsProjection *projection,
					  List *letters)
{
	Oid			types[] = {
		INT4OID, INT8OID, INT4OID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID,
		TEXTOID, TEXTOID, TIMESTAMPTZOID
	};
	ListCell   *lc;

	SPI_connect();
	foreach(lc, letters)
	{
		EsDeadLetter *letter = lfirst(lc);
		const ErrorData *error = letter->error;
		Datum		values[lengthof(types)];
		char		nulls[lengthof(types) + 1];

		memset(nulls, ' ', lengthof(types));
		nulls[lengthof(types)] = '\0';
		values[0] = Int32GetDatum(projection->id);
		values[1] = Int64GetDatum(letter->position);
		values[2] = Int32GetDatum(letter->partition);
		values[3] = CStringGetTextDatum(letter->tenant);
		values[4] = CStringGetTextDatum(letter->stream);
		values[5] = Int64GetDatum(letter->version);
		values[6] = CStringGetTextDatum(letter->event_type);
		values[7] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
		values[8] = CStringGetTextDatum(error->message ? error->message : "");
		values[9] = CStringGetTextDatum(error->detail ? error->detail : "");
		if (error->detail == NULL)
			nulls[9] = 'n';
		values[10] = TimestampTzGetDatum(GetCurrentTimestamp());
		(void) es_registry_execute(store, write_sql, lengthof(types), types,
								   values, nulls);
	}
	SPI_finish();
}

bool
es_dead_letter_is_repeated(const EsStore *store,
						   const EsProjection *projection, int code)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(projection->id)};
	bool		repeated;

	SPI_connect();
	repeated = es_registry_execute(store, newest_sql, 1, types, values, NULL) == 1 &&
		strcmp(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
			   unpack_sql_state(code)) == 0;
	SPI_finish();
	return repeated;
}

/* ---------- SQL ---------- */

/*
 * Runs a statement whose parameters are a projection and a position, or NULL;
 * with SPI connected.
 */
static uint64
execute(const EsStore *store, const char *sql, const EsProjection *projection,
		const int64 *position)
{
	Oid			types[] = {INT4OID, INT8OID};
	Datum		values[] = {Int32GetDatum(projection->id), Int64GetDatum(position ? *position : 0)};

	return es_registry_execute(store, sql, lengthof(types), types, values,
							   position ? NULL : " n");
}

static uint64
delete_letters(const EsStore *store, const EsProjection *projection,
			   const int64 *position)
{
	uint64		count;

	SPI_connect();
	count = execute(store, delete_sql, projection, position);
	SPI_finish();
	return count;
}

/*
 * Applies the event of a dead letter.  Returns whether it was.
 */
static bool
retry(const EsStore *store, EsProjection *projection, int64 position,
	  const char *stream)
{
	/* The number of partitions may have changed. */
	int			partition = projection->partitions == 1 ? 0 :
		es_stream_partition_of(stream, strlen(stream), projection->partitions);
	EsBatch    *batch = es_batch_read(store, projection, partition,
									  position - 1, position, 1);
	ErrorData  *error = NULL;
	bool		applied;

	if (batch->nevents > 0)
		error = es_task_try(store, projection, batch);
	applied = batch->nevents > 0 && error == NULL;
	if (error != NULL)
		es_dead_letters_write(store, projection,
							  list_make1(es_dead_letter_make(batch, error)));
	else
		(void) delete_letters(store, projection, &position);
	es_batch_end(batch);
	return applied;
}

/*
 * Reads which dead letters there are, into arrays.
 */
static uint64
list_letters(const EsStore *store, const EsProjection *projection,
			 const int64 *position, int64 **positions, char ***streams)
{
	MemoryContext context = CurrentMemoryContext;
	uint64		count;
	uint64		i;

	SPI_connect();
	count = execute(store, list_sql, projection, position);
	*positions = MemoryContextAllocHuge(context, (count + 1) * sizeof(int64));
	*streams = MemoryContextAllocHuge(context, (count + 1) * sizeof(char *));
	for (i = 0; i < count; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		bool		isnull;

		(*positions)[i] = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc,
													  1, &isnull));
		(*streams)[i] = MemoryContextStrdup(context,
											SPI_getvalue(row, SPI_tuptable->tupdesc, 2));
	}
	SPI_finish();
	return count;
}

/*
 * Finds the projection that is named by the first argument, for its owner.
 */
static EsProjection *
get_projection(FunctionCallInfo fcinfo, EsStore *store, const char *function)
{
	EsProjection *projection;

	PreventCommandIfReadOnly(function);
	es_apply_refuse_nested(function);
	if (!es_catalog_lock_store(store))
		es_catalog_get_store(store);	/* raises the error */
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name must not be NULL")));
	projection = es_registry_find(store, text_to_cstring(PG_GETARG_TEXT_PP(0)),
								  false);
	es_projection_check_owner(projection);
	return projection;
}

/*
 * SQL: es_retry_dead_letters(name text, position bigint) returns bigint
 */
Datum
es_retry_dead_letters(PG_FUNCTION_ARGS)
{
	EsStore		store;
	EsProjection *projection = get_projection(fcinfo, &store,
											  "es_retry_dead_letters()");
	int64		position = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1);
	int64		applied = 0;
	MemoryContext context;
	int64	   *positions;
	char	  **streams;
	uint64		count;
	uint64		i;

	es_projection_pin(projection);
	es_task_lock_all(projection);
	PushActiveSnapshot(GetTransactionSnapshot());
	count = list_letters(&store, projection,
						 PG_ARGISNULL(1) ? NULL : &position, &positions,
						 &streams);
	context = AllocSetContextCreate(CurrentMemoryContext,
									"event_store dead letter",
									ALLOCSET_DEFAULT_SIZES);
	for (i = 0; i < count; i++)
	{
		MemoryContext previous = MemoryContextSwitchTo(context);

		CHECK_FOR_INTERRUPTS();
		if (retry(&store, projection, positions[i], streams[i]))
			applied++;
		MemoryContextSwitchTo(previous);
		MemoryContextReset(context);
	}
	PopActiveSnapshot();
	MemoryContextDelete(context);
	es_projection_unpin(projection);
	es_tasks_changed();			/* workers may have found it busy */
	PG_RETURN_INT64(applied);
}

/*
 * SQL: es_discard_dead_letters(name text, position bigint) returns bigint
 */
Datum
es_discard_dead_letters(PG_FUNCTION_ARGS)
{
	EsStore		store;
	EsProjection *projection = get_projection(fcinfo, &store,
											  "es_discard_dead_letters()");
	int64		position = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1);

	/* A rebuild looks at them under the same locks. */
	es_task_lock_all(projection);
	PG_RETURN_INT64(delete_letters(&store, projection,
								   PG_ARGISNULL(1) ? NULL : &position));
}
