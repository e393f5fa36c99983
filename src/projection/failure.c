/*-------------------------------------------------------------------------
 *
 * failure.c
 *	  What becomes of a batch that fails.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A failure is noted in es_projection_failures, in the transaction that
 *	  would have applied the batch, and tried again after a while that doubles
 *	  each time.  When the retries are used up the task has failed, until
 *	  es_resume_projection.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/guc.h"
#include "projection/projection.h"

/* A retry waits at most so many times as long as the first. */
#define MAX_BACKOFF		60

static const char *const read_sql =
	"SELECT attempts, failed, retry_at FROM %s.es_projection_failures"
	" WHERE projection_id = $1 AND partition = $2";

static const char *const note_sql =
	"INSERT INTO %s.es_projection_failures (projection_id, partition, attempts, failed, retry_at,"
	" error_code, error_message, error_detail, error_context, first_position, last_position, failed_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
	" ON CONFLICT (projection_id, partition) DO UPDATE SET"
	" attempts = excluded.attempts, failed = excluded.failed, retry_at = excluded.retry_at,"
	" error_code = excluded.error_code, error_message = excluded.error_message,"
	" error_detail = excluded.error_detail, error_context = excluded.error_context,"
	" first_position = excluded.first_position, last_position = excluded.last_position,"
	" failed_at = excluded.failed_at";

static const char *const clear_sql =
	"DELETE FROM %s.es_projection_failures WHERE projection_id = $1 AND partition = $2";

/* What es_failure_is_resting has read last */
static struct
{
	int32		projection_id;
	int			partition;
	int			attempts;		/* 0: there is no failure */
} last_read;

bool
es_failure_is_resting(const EsStore *store, int32 projection_id,
					  int partition, TimestampTz *retry_at)
{
	Oid			types[] = {INT4OID, INT4OID};
	Datum		values[] = {Int32GetDatum(projection_id), Int32GetDatum(partition)};
	bool		failed = false;

	last_read.projection_id = projection_id;
	last_read.partition = partition;
	last_read.attempts = 0;
	*retry_at = DT_NOEND;

	SPI_connect();
	if (es_registry_execute(store, read_sql, lengthof(types), types, values,
							NULL) == 1)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		Datum		value;

		last_read.attempts = DatumGetInt32(SPI_getbinval(row, desc, 1, &isnull));
		failed = DatumGetBool(SPI_getbinval(row, desc, 2, &isnull));
		value = SPI_getbinval(row, desc, 3, &isnull);
		if (!failed && !isnull)
			*retry_at = DatumGetTimestampTz(value);
	}
	SPI_finish();
	if (last_read.attempts == 0)
		return false;
	return failed || *retry_at > GetCurrentTimestamp();
}

void
es_failure_clear(const EsStore *store, int32 projection_id, int partition)
{
	Oid			types[] = {INT4OID, INT4OID};
	Datum		values[] = {Int32GetDatum(projection_id), Int32GetDatum(partition)};

	if (last_read.projection_id == projection_id &&
		last_read.partition == partition && last_read.attempts == 0)
		return;
	SPI_connect();
	(void) es_registry_execute(store, clear_sql, lengthof(types), types,
							   values, NULL);
	SPI_finish();
}

/*
 * Writes the failure down.
 */
static void
note(const EsStore *store, const EsProjection *projection,
	 const EsBatch *batch, const ErrorData *error, int attempts, bool failed,
	 TimestampTz retry_at)
{
	Oid			types[] = {
		INT4OID, INT4OID, INT4OID, BOOLOID, TIMESTAMPTZOID, TEXTOID, TEXTOID,
		TEXTOID, TEXTOID, INT8OID, INT8OID, TIMESTAMPTZOID
	};
	Datum		values[lengthof(types)];
	char		nulls[lengthof(types) + 1];

	memset(nulls, ' ', lengthof(types));
	nulls[lengthof(types)] = '\0';
	values[0] = Int32GetDatum(projection->id);
	values[1] = Int32GetDatum(batch->partition);
	values[2] = Int32GetDatum(attempts);
	values[3] = BoolGetDatum(failed);
	values[4] = TimestampTzGetDatum(retry_at);
	if (failed)
		nulls[4] = 'n';
	values[5] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[6] = CStringGetTextDatum(error->message ? error->message : "");
	values[7] = CStringGetTextDatum(error->detail ? error->detail : "");
	if (error->detail == NULL)
		nulls[7] = 'n';
	values[8] = CStringGetTextDatum(error->context ? error->context : "");
	if (error->context == NULL)
		nulls[8] = 'n';
	values[9] = Int64GetDatum(batch->after + 1);
	values[10] = Int64GetDatum(batch->upto);
	values[11] = TimestampTzGetDatum(GetCurrentTimestamp());

	SPI_connect();
	(void) es_registry_execute(store, note_sql, lengthof(types), types,
							   values, nulls);
	SPI_finish();
}

bool
es_failure_handle(const EsStore *store, EsProjection *projection,
				  int partition, EsBatch *batch, const ErrorData *error,
				  TimestampTz *retry_at)
{
	int			max_retries = projection->max_retries >= 0 ?
		projection->max_retries : es_guc_projection_max_retries;
	int			attempts = last_read.attempts + 1;
	bool		failed = attempts > max_retries;
	int64		factor = attempts > 6 ? MAX_BACKOFF : Min(1 << (attempts - 1), MAX_BACKOFF);

	*retry_at = failed ? DT_NOEND :
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									factor * es_guc_projection_retry_time);
	note(store, projection, batch, error, attempts, failed, *retry_at);
	return false;
}
