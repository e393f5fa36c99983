/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  Triggers of es_events: plain INSERT and COPY are appends, and nothing
 *	  else is possible.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  BEFORE INSERT, for each row: the row gets its version, tx and ordinal
 *	  under the lock on its stream, exactly as es_append would give them.
 *
 *	  The row may still get lost after that, by ON CONFLICT DO NOTHING on a
 *	  unique index that the user added, and would leave a hole.  (A trigger
 *	  that fires after ours is refused.)  The AFTER trigger of the statement
 *	  therefore looks for every place that was given out.
 *
 *	  Rows that bring tx and ordinal are copies of events recorded elsewhere,
 *	  a dump that is restored or the publisher of a subscription.  They are
 *	  kept as they are, in any order: neighbouring versions of a stream may
 *	  stand on different pages of the dumped table, and come in different
 *	  transactions.  Only the owner of the table may do that, and locks out
 *	  other writers meanwhile; es_check() tells whether the whole came out
 *	  well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "core/error.h"
#include "core/names.h"
#include "core/uuid.h"
#include "log/log.h"
#include "types/types.h"

PG_FUNCTION_INFO_V1(es_events_before_insert);
PG_FUNCTION_INFO_V1(es_events_after_insert);
PG_FUNCTION_INFO_V1(es_events_immutable);

/*
 * Greatest tx that a copied event may have: the sequence is moved behind it
 * and must have numbers left.
 */
#define MAX_COPIED_TX	(PG_INT64_MAX / 2)

/*
 * A row on its way into es_events.
 */
typedef struct Row
{
	Datum		values[Natts_es_events];
	bool		nulls[Natts_es_events];
} Row;

#define ROW_VALUE(row, column)	((row)->values[Anum_es_events_##column - 1])
#define ROW_NULL(row, column)	((row)->nulls[Anum_es_events_##column - 1])

/*
 * Raises an error unless the function is called as the trigger it is, of
 * es_events: the columns of another table are not what we take them for.
 */
static TriggerData *
get_trigger_data(FunctionCallInfo fcinfo, TriggerEvent wanted, EsStore *store)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (CALLED_AS_TRIGGER(fcinfo))
		es_catalog_get_store(store);

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		RelationGetRelid(trigdata->tg_relation) != store->events ||
		(trigdata->tg_event & (TRIGGER_EVENT_ROW | TRIGGER_EVENT_TIMINGMASK |
							   TRIGGER_EVENT_OPMASK)) != wanted)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function can only be called as the trigger it was made for")));
	return trigdata;
}

/*
 * Sets a column of the row.
 */
static void
set_value(Row *row, int attnum, Datum value)
{
	row->values[attnum - 1] = value;
	row->nulls[attnum - 1] = false;
}

/*
 * Raises an error for a column that the row must bring.
 */
static void
check_present(const Row *row, int attnum, const char *what)
{
	if (row->nulls[attnum - 1])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
}

/*
 * Checks the names in a row and makes the key of its stream.
 */
static void
check_names(const Row *row, EsStreamKey *key)
{
	text	   *tenant;
	text	   *stream;
	text	   *type;

	check_present(row, Anum_es_events_tenant_id, "tenant id");
	check_present(row, Anum_es_events_stream_id, "stream id");
	check_present(row, Anum_es_events_event_type, "event type");
	check_present(row, Anum_es_events_data, "event data");

	type = DatumGetTextPP(ROW_VALUE(row, event_type));
	es_name_check("event type", VARDATA_ANY(type), VARSIZE_ANY_EXHDR(type),
				  ES_MAX_EVENT_TYPE);
	tenant = DatumGetTextPP(ROW_VALUE(row, tenant_id));
	stream = DatumGetTextPP(ROW_VALUE(row, stream_id));
	es_stream_key_make(key, VARDATA_ANY(tenant), VARSIZE_ANY_EXHDR(tenant),
					   VARDATA_ANY(stream), VARSIZE_ANY_EXHDR(stream));
}

/*
 * Fills what an event may leave out, and checks what it brings.
 */
static void
complete_event(Row *row)
{
	if (ROW_NULL(row, metadata))
		set_value(row, Anum_es_events_metadata, es_metadata_default());
	else
	{
		es_check_metadata(ROW_VALUE(row, metadata));
		set_value(row, Anum_es_events_metadata,
				  es_metadata_merge(es_metadata_default(),
									ROW_VALUE(row, metadata)));
	}

	if (ROW_NULL(row, schema_version))
		set_value(row, Anum_es_events_schema_version, Int32GetDatum(1));
	else
		es_check_schema_version(DatumGetInt32(ROW_VALUE(row, schema_version)));

	if (ROW_NULL(row, event_id))
	{
		pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

		es_uuid_v7_generate(id);
		set_value(row, Anum_es_events_event_id, UUIDPGetDatum(id));
	}
}

/*
 * Takes the time that the row brings, if it does: an import may keep the
 * times of its events, as long as they do not go back within a stream.
 */
static TimestampTz
choose_time(const Row *row, const EsStream *stream)
{
	TimestampTz given;

	if (ROW_NULL(row, recorded_at))
		return es_stream_next_time(stream);

	/* A time in the future would stop the stream's clock until then. */
	given = DatumGetTimestampTz(ROW_VALUE(row, recorded_at));
	if (TIMESTAMP_IS_NOBEGIN(given))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("recorded_at must be finite")));
	if (given > GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("recorded_at must not be in the future"),
				 errdetail("It is %s.", timestamptz_to_str(given))));
	if (stream->head > 0 && given < stream->head_at)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("recorded_at must not go back within a stream"),
				 errdetail("The newest event of stream \"%.*s\" was recorded at %s.",
						   stream->key.stream_len, stream->key.stream,
						   timestamptz_to_str(stream->head_at))));
	return given;
}

/*
 * Raises the error for an event that its type refuses.
 */
static void
check_type(const EsStore *store, const EsStreamKey *key, const Row *row)
{
	EsCheckedEvent event;

	if (es_types_nothing_to_check(store))
		return;
	event.stream = key->stream;
	event.stream_len = key->stream_len;
	event.event_type = ROW_VALUE(row, event_type);
	event.schema_version = DatumGetInt32(ROW_VALUE(row, schema_version));
	event.data = ROW_VALUE(row, data);
	event.metadata = ROW_VALUE(row, metadata);
	es_types_check(store, &event);
}

/*
 * Makes the row the next event of its stream.
 */
static void
append_row(Relation events, const EsStore *store, const EsStreamKey *key,
		   Row *row)
{
	EsStream   *stream;
	EsPlace		place;
	TimestampTz recorded_at;
	bool		id_given = !ROW_NULL(row, event_id);

	complete_event(row);
	check_type(store, key, row);
	stream = es_stream_lock(events, store, key, ROW_NULL(row, version) ?
							ES_VERSION_ANY :
							DatumGetInt64(ROW_VALUE(row, version)) - 1);

	if (id_given && stream->head > 0)
	{
		pg_uuid_t  *id = DatumGetUUIDP(ROW_VALUE(row, event_id));
		int64		version = es_events_find_id(events, store, key, id);

		if (version > 0)
			es_raise_event_id_reused(key, id, version);
	}

	es_stream_check_room(stream, 1);
	if (ROW_NULL(row, version))
		es_check_not_moved(stream);
	else
	{
		int64		version = DatumGetInt64(ROW_VALUE(row, version));

		if (version < 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("version must be greater than zero"),
					 errdetail("It is %lld.", (long long) version)));
		if (version != stream->head + 1 || stream->moved)
			es_raise_wrong_version(stream, version - 1);
	}

	recorded_at = choose_time(row, stream);
	place = es_xact_take_places(store, 1, false);
	es_stream_advance(stream, stream->head + 1, recorded_at);

	set_value(row, Anum_es_events_version, Int64GetDatum(stream->head));
	set_value(row, Anum_es_events_recorded_at, TimestampTzGetDatum(recorded_at));
	set_value(row, Anum_es_events_tx, Int64GetDatum(place.tx));
	set_value(row, Anum_es_events_ordinal, Int32GetDatum(place.ordinal));
}

/*
 * Checks a row that is a copy of an event recorded elsewhere.
 */
static void
copy_row(Relation events, const EsStore *store, const EsStreamKey *key,
		 const Row *row)
{
	int64		tx = DatumGetInt64(ROW_VALUE(row, tx));

	if (!relation_ownercheck_compat(RelationGetRelid(events), GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to copy recorded events into table \"%s\"",
						RelationGetRelationName(events)),
				 errdetail("A row with values for \"tx\" and \"ordinal\" is a copy of a recorded event; only the table's owner may insert those."),
				 errhint("Leave both out to append a new event.")));

	check_present(row, Anum_es_events_version, "version of a recorded event");
	check_present(row, Anum_es_events_event_id, "event id of a recorded event");
	check_present(row, Anum_es_events_schema_version, "schema version of a recorded event");
	check_present(row, Anum_es_events_metadata, "metadata of a recorded event");
	check_present(row, Anum_es_events_recorded_at, "recorded_at of a recorded event");
	es_check_metadata(ROW_VALUE(row, metadata));
	es_check_schema_version(DatumGetInt32(ROW_VALUE(row, schema_version)));

	if (DatumGetInt64(ROW_VALUE(row, version)) < 1 ||
		DatumGetInt32(ROW_VALUE(row, ordinal)) < 0 ||
		tx < 1 || tx > MAX_COPIED_TX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version, tx or ordinal of a recorded event is out of range")));

	/*
	 * An event from beyond the sequence must be alone with it until that has
	 * been moved; otherwise the stream is to be had for the event.
	 */
	if (es_stream_all_locked() || es_xact_is_ahead(store->tx_sequence, tx))
	{
		es_stream_lock_all(events);
		es_xact_note_copy(store->tx_sequence, tx);
	}
	else
		(void) es_stream_lock(events, store, key, ES_VERSION_ANY);
	es_stream_forget_head(key);
	es_xact_tell_copy(store, tx);
}

/*
 * Raises an error when another trigger could drop the row after us.
 */
static void
check_late_trigger(const EsStore *store, Relation events)
{
	if (NameStr(store->late_trigger)[0] != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trigger \"%s\" of table \"%s\" fires after the trigger that gives events their versions",
						NameStr(store->late_trigger),
						RelationGetRelationName(events)),
				 errdetail("If it dropped a row, the stream would have a hole."),
				 errhint("Rename the trigger, so that its name sorts before \"zz_es_events_before_insert\".")));
}

/*
 * SQL: trigger BEFORE INSERT ON es_events FOR EACH ROW
 */
Datum
es_events_before_insert(PG_FUNCTION_ARGS)
{
	EsStore		store;
	TriggerData *trigdata = get_trigger_data(fcinfo, TRIGGER_EVENT_INSERT |
											 TRIGGER_EVENT_ROW |
											 TRIGGER_EVENT_BEFORE, &store);
	Relation	events = trigdata->tg_relation;
	TupleDesc	desc = RelationGetDescr(events);
	EsStreamKey key;
	Row			row;
	int			columns[Natts_es_events];
	int			i;

	check_late_trigger(&store, events);

	if (desc->natts == Natts_es_events)
		heap_deform_tuple(trigdata->tg_trigtuple, desc, row.values, row.nulls);
	else
	{
		for (i = 0; i < Natts_es_events; i++)
			row.values[i] = heap_getattr(trigdata->tg_trigtuple, i + 1, desc,
										 &row.nulls[i]);
	}

	check_names(&row, &key);
	if (ROW_NULL(&row, tx) != ROW_NULL(&row, ordinal))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tx and ordinal must be given both or not at all"),
				 errhint("Leave both out to append a new event.")));

	if (!ROW_NULL(&row, tx))
	{
		copy_row(events, &store, &key, &row);
		return PointerGetDatum(trigdata->tg_trigtuple);
	}

	append_row(events, &store, &key, &row);
	if (desc->natts == Natts_es_events)
		return PointerGetDatum(heap_form_tuple(desc, row.values, row.nulls));
	for (i = 0; i < Natts_es_events; i++)
		columns[i] = i + 1;
	return PointerGetDatum(heap_modify_tuple_by_cols(trigdata->tg_trigtuple,
													 desc, Natts_es_events,
													 columns, row.values,
													 row.nulls));
}

/*
 * Makes sure that the rows with the ordinals given are in es_events.
 */
static void
verify_stored(Relation events, const EsStore *store, int64 tx, int32 from,
			  int32 to)
{
	int64		found = es_events_count_places(events, store, tx, from, to);

	if (found != to - from)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("events were not stored in table \"%s\"",
						RelationGetRelationName(events)),
				 errdetail("%lld of %d rows are missing; their versions would be holes.",
						   (long long) (to - from - found), to - from),
				 errhint("Do not use ON CONFLICT DO NOTHING with events.")));
}

/*
 * SQL: trigger AFTER INSERT ON es_events FOR EACH STATEMENT
 */
Datum
es_events_after_insert(PG_FUNCTION_ARGS)
{
	EsStore		store;
	TriggerData *trigdata = get_trigger_data(fcinfo, TRIGGER_EVENT_INSERT |
											 TRIGGER_EVENT_AFTER, &store);
	int64		tx;
	int32		from;
	int32		to;

	if (es_xact_unverified(&tx, &from, &to))
	{
		verify_stored(trigdata->tg_relation, &store, tx, from, to);
		es_xact_set_verified();
	}
	es_xact_settle_copies();
	if (es_log_after_append_hook != NULL)
		es_log_after_append_hook(trigdata->tg_relation, &store);
	return PointerGetDatum(NULL);
}

/*
 * SQL: triggers BEFORE UPDATE OR DELETE OR TRUNCATE ON es_events, for each
 * statement, and BEFORE UPDATE OR DELETE for each row, which also subscriptions
 * fire
 */
Datum
es_events_immutable(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	const char *command;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function can only be called as the trigger it was made for")));

	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		command = "UPDATE";
	else if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		command = "DELETE";
	else
		command = "TRUNCATE";

	ereport(ERROR,
			(errcode(ES_ERRCODE_EVENTS_IMMUTABLE),
			 errmsg("events are immutable"),
			 errdetail("%s of table \"%s\" is not possible.", command,
					   RelationGetRelationName(trigdata->tg_relation)),
			 errhint("Append an event that corrects or reverses the earlier one.")));
}
