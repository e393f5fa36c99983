/*-------------------------------------------------------------------------
 *
 * checkpoint.c
 *	  How far the tasks have come: es_checkpoints.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A batch inserts a row, and the row with the greatest position counts.
 *	  Looking for it goes backward along the primary key and meets it first,
 *	  however many deleted rows lie behind it that a long transaction keeps
 *	  from being removed.  A row that each batch updates would be found behind
 *	  all its versions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "projection/projection.h"
#include "worker/tasks.h"

/* Rows are deleted once in so many batches. */
#define TIDY_EVERY	256

static const char *const read_sql =
	"SELECT c.position, c.events, c.batches, c.applied_at FROM %s.es_checkpoints c"
	" WHERE c.projection_id = $1 AND c.partition = $2"
	" ORDER BY c.projection_id DESC, c.partition DESC, c.position DESC LIMIT 1";

static const char *const write_sql =
	"INSERT INTO %s.es_checkpoints (projection_id, partition, position, events, batches, applied_at)"
	" VALUES ($1, $2, $3, $4, $5, $6)"
	" ON CONFLICT (projection_id, partition, position) DO UPDATE SET"
	" events = excluded.events, batches = excluded.batches, applied_at = excluded.applied_at";

static const char *const tidy_sql =
	"DELETE FROM %s.es_checkpoints WHERE projection_id = $1 AND partition = $2 AND position < $3";

static const char *const delete_sql =
	"DELETE FROM %s.es_checkpoints WHERE projection_id = $1";

static int64
get_int64(int column)
{
	bool		isnull;

	/* no column may be NULL */
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, column,
									   &isnull));
}

bool
es_checkpoint_read(const EsStore *store, int32 projection_id, int partition,
				   EsCheckpoint *checkpoint)
{
	Oid			types[] = {INT4OID, INT4OID};
	Datum		values[] = {Int32GetDatum(projection_id), Int32GetDatum(partition)};
	bool		found;

	SPI_connect();
	found = es_registry_execute(store, read_sql, lengthof(types), types,
								values, NULL) == 1;
	if (found)
	{
		checkpoint->position = get_int64(1);
		checkpoint->events = get_int64(2);
		checkpoint->batches = get_int64(3);
		checkpoint->applied_at = get_int64(4);
	}
	SPI_finish();
	return found;
}

void
es_checkpoint_write(const EsStore *store, int32 projection_id, int partition,
					const EsCheckpoint *checkpoint)
{
	Oid			types[] = {INT4OID, INT4OID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID};
	Datum		values[] = {
		Int32GetDatum(projection_id), Int32GetDatum(partition),
		Int64GetDatum(checkpoint->position), Int64GetDatum(checkpoint->events),
		Int64GetDatum(checkpoint->batches),
		TimestampTzGetDatum(checkpoint->applied_at)
	};

	SPI_connect();
	(void) es_registry_execute(store, write_sql, lengthof(types), types,
							   values, NULL);
	if (checkpoint->batches % TIDY_EVERY == 0)
		(void) es_registry_execute(store, tidy_sql, 3, types, values, NULL);
	SPI_finish();
}

void
es_checkpoint_delete(const EsStore *store, int32 projection_id)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(projection_id)};

	SPI_connect();
	(void) es_registry_execute(store, delete_sql, 1, types, values, NULL);
	SPI_finish();

	/* How far workers know it to be is out of date then. */
	es_tasks_changed();
}
