/*-------------------------------------------------------------------------
 *
 * report.c
 *	  What there is to say of projections: failures, and how far builds are.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "projection/projection.h"
#include "worker/tasks.h"

/* A line of progress is logged so often. */
#define LOG_EVERY_MS	5000

static const char *const failure_sql =
	"SELECT attempts, failed, error_code, error_message, first_position, last_position"
	" FROM %s.es_projection_failures"
	" WHERE projection_id = $1 AND ($2 < 0 OR partition = $2)"
	" ORDER BY failed DESC, partition LIMIT 1";

/*
 * Returns a column of the first row as a string in the context given.
 */
static char *
copy_string(MemoryContext context, int column)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0],
									 SPI_tuptable->tupdesc, column);

	return MemoryContextStrdup(context, value == NULL ? "" : value);
}

bool
es_failure_read(const EsStore *store, int32 projection_id, int partition,
				EsFailure *failure)
{
	Oid			types[] = {INT4OID, INT4OID};
	Datum		values[] = {Int32GetDatum(projection_id), Int32GetDatum(partition)};
	MemoryContext context = CurrentMemoryContext;
	bool		found;

	SPI_connect();
	found = es_registry_execute(store, failure_sql, lengthof(types), types,
								values, NULL) == 1;
	if (found)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		failure->attempts = DatumGetInt32(SPI_getbinval(row, desc, 1, &isnull));
		failure->failed = DatumGetBool(SPI_getbinval(row, desc, 2, &isnull));
		failure->code = copy_string(context, 3);
		failure->message = copy_string(context, 4);
		failure->first_position = DatumGetInt64(SPI_getbinval(row, desc, 5, &isnull));
		failure->last_position = DatumGetInt64(SPI_getbinval(row, desc, 6, &isnull));
	}
	SPI_finish();
	return found;
}

void
es_task_report_progress(const EsProjection *projection, int64 done,
						int64 total)
{
	static int32 known_id = 0;
	static TimestampTz logged_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	es_tasks_show_build(projection->id, done, total);
	if (known_id != projection->id || done == 0)
	{
		known_id = projection->id;
		logged_at = now;
		return;
	}
	if (!TimestampDifferenceExceeds(logged_at, now, LOG_EVERY_MS))
		return;
	logged_at = now;
	ereport(LOG,
			(errmsg("projection \"%s\": built from %lld of %lld events (%d %%)",
					projection->name, (long long) done, (long long) total,
					total > 0 ? (int) (done * 100.0 / total) : 100),
			 errhidestmt(true), errhidecontext(true)));
}
