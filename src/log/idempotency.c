/*-------------------------------------------------------------------------
 *
 * idempotency.c
 *	  Is this append a retry of one that succeeded?
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A client whose connection broke does not know whether its append
 *	  committed.  It repeats the call with the same event ids.  If all of
 *	  them are in the stream, in the same order, one behind the other, right
 *	  behind the expected version where one was stated, the call succeeded
 *	  before and gets the same answer again.
 *
 *	  Type, schema version and data must be the same; metadata need not,
 *	  because a retry has a trace of its own.
 *
 *	  Ids are looked for with SnapshotSelf under the lock on the stream, like
 *	  the head.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"

#include "core/compat.h"
#include "core/error.h"
#include "log/log.h"

void
es_raise_event_id_reused(const EsStreamKey *key, const pg_uuid_t *id,
						 int64 version)
{
	ereport(ERROR,
			(errcode(ES_ERRCODE_EVENT_ID_REUSED),
			 errmsg("event id %s is already used in stream \"%.*s\"",
					DatumGetCString(DirectFunctionCall1(uuid_out,
														UUIDPGetDatum(id))),
					key->stream_len, key->stream),
			 errdetail("The event at version %lld has it.", (long long) version),
			 errhint("Give new events new ids; to retry an append, send the same events with the same expected version.")));
}

/*
 * Raises PE002 for a call that is neither new nor a retry, with the reason.
 */
static void
raise_no_retry(const EsAppend *append, int i, const char *detail)
{
	ereport(ERROR,
			(errcode(ES_ERRCODE_EVENT_ID_REUSED),
			 errmsg("event id %s is already used in stream \"%.*s\"",
					DatumGetCString(DirectFunctionCall1(uuid_out,
														UUIDPGetDatum(&append->events[i].id))),
					append->key.stream_len, append->key.stream),
			 errdetail("%s", detail),
			 errhint("Give new events new ids; to retry an append, send the same events with the same expected version.")));
}

/*
 * Is the stored event the one of the call?  Sets *same_id.
 */
static bool
same_event(TupleTableSlot *slot, const EsNewEvent *event, bool *same_id)
{
	text	   *type = DatumGetTextPP(event->type);
	text	   *stored_type;
	Jsonb	   *stored;
	Jsonb	   *given;

	slot_getallattrs(slot);
	*same_id = memcmp(DatumGetUUIDP(slot->tts_values[Anum_es_events_event_id - 1]),
					  &event->id, UUID_LEN) == 0;
	if (!*same_id)
		return false;

	stored_type = DatumGetTextPP(slot->tts_values[Anum_es_events_event_type - 1]);
	stored = DatumGetJsonbP(slot->tts_values[Anum_es_events_data - 1]);
	given = DatumGetJsonbP(event->data);
	return VARSIZE_ANY_EXHDR(stored_type) == VARSIZE_ANY_EXHDR(type) &&
		memcmp(VARDATA_ANY(stored_type), VARDATA_ANY(type),
			   VARSIZE_ANY_EXHDR(type)) == 0 &&
		DatumGetInt32(slot->tts_values[Anum_es_events_schema_version - 1]) ==
		event->schema_version &&
		compareJsonbContainers(&stored->root, &given->root) == 0;
}

/*
 * Compares the events of the call with those of the stream from a version on.
 *
 * Returns how many ids match, from the first on without a break; raises PE002
 * for an event that has the same id and says something else.
 */
static int
count_matches(Relation events, const EsStore *store, const EsAppend *append,
			  int64 first)
{
	EsEventScan scan;
	ScanKeyData keys[3];
	TupleTableSlot *slot;
	int			n = 0;

	es_events_stream_keys(keys, &append->key);
	ScanKeyInit(&keys[2], Anum_es_events_version, BTGreaterEqualStrategyNumber,
				F_INT8GE, Int64GetDatum(first));
	es_events_begin_scan(&scan, events, store->indexes[ES_INDEX_PKEY], SnapshotSelf, keys,
						 3);

	while (n < append->nevents &&
		   (slot = es_events_next(&scan, ForwardScanDirection)) != NULL)
	{
		bool		same_id;

		if (same_event(slot, &append->events[n], &same_id))
			n++;
		else if (same_id)
			raise_no_retry(append, n, psprintf("The event at version %lld has it, but another type, schema version or data.",
											   (long long) (first + n)));
		else
			break;
	}

	es_events_end_scan(&scan);
	return n;
}

/*
 * qsort comparator for ids.
 */
static int
compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, UUID_LEN);
}

/*
 * Raises PE002 when the call has one id twice.
 */
static void
check_distinct_ids(const EsAppend *append)
{
	pg_uuid_t  *ids;
	int			i;

	if (append->nevents < 2)
		return;

	ids = palloc(sizeof(pg_uuid_t) * append->nevents);
	for (i = 0; i < append->nevents; i++)
		ids[i] = append->events[i].id;
	qsort(ids, append->nevents, sizeof(pg_uuid_t), compare_ids);

	for (i = 1; i < append->nevents; i++)
	{
		if (memcmp(&ids[i - 1], &ids[i], UUID_LEN) == 0)
			ereport(ERROR,
					(errcode(ES_ERRCODE_EVENT_ID_REUSED),
					 errmsg("event id %s is used twice in one call",
							DatumGetCString(DirectFunctionCall1(uuid_out,
																UUIDPGetDatum(&ids[i])))),
					 errhint("Give every event an id of its own.")));
	}
	pfree(ids);
}

/*
 * Raises PE002 when the stream has an id of the call.
 */
static void
check_none_used(Relation events, const EsStore *store, const EsAppend *append)
{
	int			i;

	for (i = 0; i < append->nevents; i++)
	{
		int64		version = es_events_find_id(events, store, &append->key,
											   &append->events[i].id);

		if (version > 0)
			es_raise_event_id_reused(&append->key, &append->events[i].id,
									 version);
	}
}

/*
 * Raises PE002 for a call of which the first n events are in the stream, from
 * a version on, and the others are not there, or not in this order.
 */
static void
raise_partial(const EsAppend *append, int64 first, int n)
{
	raise_no_retry(append, 0,
				   psprintf("The stream has the first %d of the %d events of the call, from version %lld on, but the next one does not follow.",
							n, append->nevents, (long long) first));
}

int64
es_find_retry(Relation events, const EsStore *store, const EsStream *stream,
			  const EsAppend *append)
{
	bool		stated = (append->expected != ES_VERSION_ANY &&
						  append->expected != ES_VERSION_EXISTS);
	int64		first = 0;
	int			n;

	check_distinct_ids(append);
	if (stream->head == 0)
		return 0;

	/* Where would the first event be, had the call succeeded before? */
	if (!stated)
		first = es_events_find_id(events, store, &append->key,
								  &append->events[0].id);
	else if (append->expected < stream->head)
		first = append->expected + 1;

	if (first == 0)
	{
		/* Nowhere: the ids must be new, if the append is to go on. */
		if (!stated || append->expected == stream->head)
			check_none_used(events, store, append);
		return 0;
	}

	n = count_matches(events, store, append, first);
	if (n == append->nevents)
		return first + n - 1;
	if (n > 0)
		raise_partial(append, first, n);
	return 0;					/* the version is wrong, and that is all */
}
