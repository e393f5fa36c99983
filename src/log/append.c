/*-------------------------------------------------------------------------
 *
 * append.c
 *	  es_append, es_append_batch, es_append_json: what an append decides.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The right to execute one of the functions is the right to append; the
 *	  caller needs none on es_events.  That makes the function responsible for
 *	  what the executor would check: read-only transactions, recovery, NULLs,
 *	  and the user's own triggers and constraints (see insert.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "core/error.h"
#include "log/log.h"
#include "types/types.h"

EsAfterAppend es_log_after_append_hook = NULL;

PG_FUNCTION_INFO_V1(es_append);
PG_FUNCTION_INFO_V1(es_append_batch);
PG_FUNCTION_INFO_V1(es_append_json);

/*
 * Says why a stream is not at the expected version.
 */
static const char *
wrong_version_detail(const EsStream *stream, int64 expected)
{
	if (stream->moved)
		return "Another transaction appended to this stream after this transaction took its snapshot.";
	if (stream->head == 0)
		return "The stream does not exist.";
	if (expected == ES_VERSION_NO_STREAM)
		return "The stream exists already.";
	if (expected > stream->head)
		return "The stream ends before the expected version.";
	return "Another append to this stream came first.";
}

void
es_raise_wrong_version(const EsStream *stream, int64 expected)
{
	const char *detail = wrong_version_detail(stream, expected);
	const char *hint = stream->moved ?
		"Repeat the whole transaction." :
		"Read the stream again and retry.";

	if (expected == ES_VERSION_EXISTS)
		ereport(ERROR,
				(errcode(ES_ERRCODE_WRONG_EXPECTED_VERSION),
				 errmsg("wrong version of stream \"%.*s\": expected an existing stream, found none",
						stream->key.stream_len, stream->key.stream),
				 errdetail("%s", detail)));

	/* "expected 7, found 7" would be no help */
	if (stream->head == expected)
		ereport(ERROR,
				(errcode(ES_ERRCODE_WRONG_EXPECTED_VERSION),
				 errmsg("wrong version of stream \"%.*s\": version %lld is newer than the snapshot of this transaction",
						stream->key.stream_len, stream->key.stream,
						(long long) expected),
				 errdetail("%s", detail),
				 errhint("%s", hint)));

	ereport(ERROR,
			(errcode(ES_ERRCODE_WRONG_EXPECTED_VERSION),
			 errmsg("wrong version of stream \"%.*s\": expected %lld, found %lld",
					stream->key.stream_len, stream->key.stream,
					(long long) expected, (long long) stream->head),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}

void
es_check_not_moved(const EsStream *stream)
{
	if (stream->moved)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access to stream \"%.*s\" due to concurrent append",
						stream->key.stream_len, stream->key.stream),
				 errdetail("Another transaction appended to this stream after this transaction took its snapshot."),
				 errhint("The transaction might succeed if retried.")));
}

void
es_check_expected(const EsStream *stream, int64 expected)
{
	if (expected == ES_VERSION_ANY || expected == ES_VERSION_EXISTS)
	{
		if (expected == ES_VERSION_EXISTS && stream->head == 0)
			es_raise_wrong_version(stream, expected);
		es_check_not_moved(stream);
	}
	else if (stream->head != expected || stream->moved)
		es_raise_wrong_version(stream, expected);
}

/*
 * Raises the error for events that their types refuse.
 */
static void
check_types(const EsStore *store, const EsAppend *append)
{
	ErrorContextCallback context;
	EsCheckedEvent checked;
	int			number;

	if (es_types_nothing_to_check(store))
		return;
	checked.stream = append->key.stream;
	checked.stream_len = append->key.stream_len;
	if (append->nevents > 1)
		es_push_event_context(&context, &number);
	for (number = 1; number <= append->nevents; number++)
	{
		const EsNewEvent *event = &append->events[number - 1];

		CHECK_FOR_INTERRUPTS();
		checked.event_type = event->type;
		checked.schema_version = event->schema_version;
		checked.data = event->data;
		checked.metadata = event->metadata;
		es_types_check(store, &checked);
	}
	if (append->nevents > 1)
		error_context_stack = context.previous;
}

/*
 * Events are checked before anything is locked; but the events of a call that
 * brings ids may be recorded already, by types that have changed since. Where
 * the row is inserted by SQL, the trigger checks what other triggers have made
 * of it.
 */
int64
es_append_events(const EsAppend *append)
{
	EsStore		store;
	Relation	events;
	EsStream   *stream;
	int64		result = 0;

	events = es_catalog_open_events(RowExclusiveLock, &store);
	if (store.direct_insert && !append->has_ids)
		check_types(&store, append);
	stream = es_stream_lock(events, &store, &append->key, append->expected);

	if (append->has_ids)
		result = es_find_retry(events, &store, stream, append);

	if (result == 0)
	{
		if (store.direct_insert && append->has_ids)
			check_types(&store, append);
		es_check_expected(stream, append->expected);

		/* The same as a retry will get, also if a trigger appends more. */
		result = stream->head + append->nevents;
		if (append->nevents > 0)
		{
			es_insert_events(events, &store, stream, append);
			if (es_log_after_append_hook != NULL)
				es_log_after_append_hook(events, &store);
		}
	}

	/* The lock stays: it tells a locker of the whole table that we write. */
	relation_close(events, NoLock);
	return result;
}

void
es_check_may_write(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
	PreventCommandDuringRecovery(function);
}

/*
 * SQL: es_append(stream_id text, event_type text, data jsonb, metadata jsonb,
 *				  expected_version bigint, event_id uuid, schema_version int)
 *		returns bigint
 */
Datum
es_append(PG_FUNCTION_ARGS)
{
	EsAppend	append;
	EsNewEvent	event;

	es_check_may_write("es_append()");
	append.events = &event;
	es_append_args_single(fcinfo, &append);
	PG_RETURN_INT64(es_append_events(&append));
}

/*
 * SQL: es_append_batch(stream_id text, event_types text[], data jsonb[],
 *						metadata jsonb[], expected_version bigint,
 *						event_ids uuid[], schema_versions int[])
 *		returns bigint
 */
Datum
es_append_batch(PG_FUNCTION_ARGS)
{
	EsAppend	append;

	es_check_may_write("es_append_batch()");
	es_append_args_batch(fcinfo, &append);
	PG_RETURN_INT64(es_append_events(&append));
}

/*
 * SQL: es_append_json(stream_id text, events jsonb, expected_version bigint)
 *		returns bigint
 */
Datum
es_append_json(PG_FUNCTION_ARGS)
{
	EsAppend	append;

	es_check_may_write("es_append_json()");
	es_append_args_json(fcinfo, &append);
	PG_RETURN_INT64(es_append_events(&append));
}
