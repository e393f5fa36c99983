/*-------------------------------------------------------------------------
 *
 * snapshot.c
 *	  The trigger of es_snapshots.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A snapshot of a version that the stream has not reached would be
 *	  believed as soon as it gets there.  A foreign key could refuse it too,
 *	  but would lock, and thereby write to, the row of the event.
 *
 *	  A row that brings created_at, inserted by the owner of the table, is a
 *	  copy from a dump: it might come before the events, as pg_restore loads
 *	  tables in parallel.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/catalog.h"
#include "catalog/events.h"
#include "core/compat.h"
#include "core/names.h"

PG_FUNCTION_INFO_V1(es_snapshots_before_write);

/*
 * Returns a column of the row; raises an error when it is NULL.
 */
static Datum
get_column(HeapTuple row, TupleDesc desc, int attnum, const char *what)
{
	bool		isnull;
	Datum		value = heap_getattr(row, attnum, desc, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	return value;
}

/*
 * Raises an error when the stream has not reached the snapshot's version.
 */
static void
check_reached(const EsStreamKey *key, int64 version)
{
	EsStore		store;
	Relation	events = es_catalog_open_events(AccessShareLock, &store);
	int64		head = es_events_read_head(events, &store, key, SnapshotSelf,
										   version, NULL, NULL, NULL, NULL);

	/* The lock of the index stays, and so does this one, which comes first. */
	relation_close(events, NoLock);
	if (version > head)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("snapshot of stream \"%.*s\" is beyond the stream",
						key->stream_len, key->stream),
				 errdetail("The snapshot is of version %lld, the stream is at version %lld.",
						   (long long) version, (long long) head),
				 errhint("Save the version up to which the state was folded.")));
}

/*
 * Checks the names and the version of a snapshot.
 */
static void
check_row(HeapTuple row, TupleDesc desc, bool is_copy)
{
	EsStreamKey key;
	text	   *tenant;
	text	   *stream;
	text	   *aggregate;
	int64		version;

	tenant = DatumGetTextPP(get_column(row, desc, Anum_es_snapshots_tenant_id,
									   "tenant id"));
	stream = DatumGetTextPP(get_column(row, desc, Anum_es_snapshots_stream_id,
									   "stream id"));
	es_stream_key_make(&key, VARDATA_ANY(tenant), VARSIZE_ANY_EXHDR(tenant),
					   VARDATA_ANY(stream), VARSIZE_ANY_EXHDR(stream));

	aggregate = DatumGetTextPP(get_column(row, desc,
										  Anum_es_snapshots_aggregate,
										  "aggregate"));
	es_name_check_maybe_empty("aggregate", VARDATA_ANY(aggregate),
							  VARSIZE_ANY_EXHDR(aggregate), ES_MAX_AGGREGATE);

	(void) get_column(row, desc, Anum_es_snapshots_state, "state");
	version = DatumGetInt64(get_column(row, desc, Anum_es_snapshots_version,
									   "version"));
	if (version < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version must be greater than zero"),
				 errdetail("It is %lld.", (long long) version)));

	if (!is_copy)
		check_reached(&key, version);
}

/*
 * SQL: trigger BEFORE INSERT OR UPDATE ON es_snapshots FOR EACH ROW
 */
Datum
es_snapshots_before_write(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	EsStore		store;
	TupleDesc	desc;
	HeapTuple	row;
	bool		update;
	bool		no_time;
	int			column = Anum_es_snapshots_created_at;
	Datum		now;
	bool		isnull = false;

	if (CALLED_AS_TRIGGER(fcinfo))
		es_catalog_get_store(&store);
	if (!CALLED_AS_TRIGGER(fcinfo) ||
		RelationGetRelid(trigdata->tg_relation) != store.snapshots ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function can only be called as the trigger it was made for")));

	desc = RelationGetDescr(trigdata->tg_relation);
	update = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event);
	row = update ? trigdata->tg_newtuple : trigdata->tg_trigtuple;

	no_time = heap_attisnull(row, column, desc);
	check_row(row, desc, !update && !no_time &&
			  relation_ownercheck_compat(RelationGetRelid(trigdata->tg_relation),
										 GetUserId()));
	if (!no_time)
		return PointerGetDatum(row);

	now = TimestampTzGetDatum(GetCurrentTimestamp());
	return PointerGetDatum(heap_modify_tuple_by_cols(row, desc, 1, &column,
													 &now, &isnull));
}
