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
 *	  each time.  When the retries are used up, the batch is halved again and
 *	  again until the first event is found that fails by itself.
 *
 *	  Policy "stop": the events before it are applied, and the task has failed
 *	  there until es_resume_projection.
 *
 *	  Policy "skip": it becomes a dead letter, and so does each one behind it
 *	  that fails; all others are applied, in order, and the task goes on.
 *
 *	  Some errors are not the fault of an event: no memory, no space, no
 *	  table, no right, a lock that others hold.  Skipping events does not help
 *	  against them, it would only empty the log into the dead letters.  So when
 *	  the first events of a batch all fail with the same one of these, the task
 *	  stops whatever its policy is.
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

/* So many events, or all of the batch, tell that it is not the events. */
#define ENOUGH_TO_STOP	10

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
 * Returns the error's message, which may be missing.
 */
static const char *
get_message(const ErrorData *error)
{
	return error->message ? error->message : "";
}

/*
 * Writes the failure down: of events first to last.
 */
static void
note(const EsStore *store, const EsProjection *projection, int partition,
	 const ErrorData *error, int attempts, TimestampTz retry_at, int64 first,
	 int64 last)
{
	Oid			types[] = {
		INT4OID, INT4OID, INT4OID, BOOLOID, TIMESTAMPTZOID, TEXTOID, TEXTOID,
		TEXTOID, TEXTOID, INT8OID, INT8OID, TIMESTAMPTZOID
	};
	Datum		values[lengthof(types)];
	char		nulls[lengthof(types) + 1];
	bool		failed = TIMESTAMP_IS_NOEND(retry_at);

	memset(nulls, ' ', lengthof(types));
	nulls[lengthof(types)] = '\0';
	values[0] = Int32GetDatum(projection->id);
	values[1] = Int32GetDatum(partition);
	values[2] = Int32GetDatum(attempts);
	values[3] = BoolGetDatum(failed);
	values[4] = TimestampTzGetDatum(retry_at);
	if (failed)
		nulls[4] = 'n';
	values[5] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[6] = CStringGetTextDatum(get_message(error));
	values[7] = CStringGetTextDatum(error->detail ? error->detail : "");
	if (error->detail == NULL)
		nulls[7] = 'n';
	values[8] = CStringGetTextDatum(error->context ? error->context : "");
	if (error->context == NULL)
		nulls[8] = 'n';
	values[9] = Int64GetDatum(first);
	values[10] = Int64GetDatum(last);
	values[11] = TimestampTzGetDatum(GetCurrentTimestamp());

	SPI_connect();
	(void) es_registry_execute(store, note_sql, lengthof(types), types,
							   values, nulls);
	SPI_finish();
}

/*
 * Tells the server log of events that were skipped.  Who runs projections by
 * hand has other means to see them.
 */
static void
log_dead_letters(const EsProjection *projection, List *dead)
{
	EsDeadLetter *first = linitial(dead);

	if (MyBackendType != B_BG_WORKER)
		return;
	ereport(WARNING,
			(errcode(first->error->sqlerrcode),
			 errmsg_plural("projection \"%s\" has skipped %d event: %s",
						   "projection \"%s\" has skipped %d events: %s",
						   list_length(dead),
						   projection->name, list_length(dead),
						   get_message(first->error)),
			 errdetail("The first one is at position %lld.",
					   (long long) first->position),
			 errhint("See es_dead_letters; try them again with es_retry_dead_letters.")));
}

/* ---------- bisecting ---------- */

/*
 * Is an error one that an event can hardly be the cause of?
 */
static bool
is_environmental(int code)
{
	switch (ERRCODE_TO_CATEGORY(code))
	{
		case MAKE_SQLSTATE('0', '8', '0', '0', '0'):	/* connection */
		case MAKE_SQLSTATE('4', '0', '0', '0', '0'):	/* deadlock, serialization */
		case MAKE_SQLSTATE('4', '2', '0', '0', '0'):	/* no such object, no right */
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'):	/* memory, space, connections */
		case MAKE_SQLSTATE('5', '5', '0', '0', '0'):	/* in use, lock not available */
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'):	/* canceled, shutdown */
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'):	/* system, files */
			return true;
		default:
			return false;
	}
}

/*
 * Does each try that ends with this error take long?
 */
static bool
is_slow(int code)
{
	int			category = ERRCODE_TO_CATEGORY(code);

	return category == MAKE_SQLSTATE('4', '0', '0', '0', '0') ||
		category == MAKE_SQLSTATE('5', '5', '0', '0', '0') ||
		category == MAKE_SQLSTATE('5', '7', '0', '0', '0');
}

/*
 * A batch that is taken apart.
 */
typedef struct Search
{
	const EsStore *store;
	EsProjection *projection;
	bool		skip;			/* go on behind an event that fails */
	int64		applied;		/* events */
	List	   *dead;			/* of EsDeadLetter *, in order */
} Search;

/*
 * Takes an event, all there is in a batch, for the cause of an error.  Returns
 * false when the search is at its end.
 */
static bool
found(Search *search, EsBatch *batch, ErrorData *error)
{
	search->dead = lappend(search->dead, es_dead_letter_make(batch, error));
	if (!search->skip)
		return false;
	return search->applied > 0 || list_length(search->dead) < ENOUGH_TO_STOP ||
		!es_failure_is_common(search->dead);
}

static bool search_batch(Search *search, EsBatch *batch, ErrorData *error);

/*
 * Applies a part of a batch; if it fails, as much of it as can be.
 */
static bool
try_part(Search *search, EsBatch *batch, int64 first, int64 last)
{
	EsBatch    *part = es_batch_slice(batch, first, last);
	ErrorData  *error = es_task_try(search->store, search->projection, part);
	bool		go_on = true;

	CHECK_FOR_INTERRUPTS();
	if (error == NULL)
		search->applied += part->nevents;
	else
		go_on = search_batch(search, part, error);
	es_batch_end(part);
	return go_on;
}

/*
 * Finds the events that fail in a batch that has failed with an error, and
 * applies those before, between and behind them, in order.
 */
static bool
search_batch(Search *search, EsBatch *batch, ErrorData *error)
{
	int64		middle = batch->nevents / 2;

	if (batch->nevents == 1)
		return found(search, batch, error);
	return try_part(search, batch, 0, middle) &&
		try_part(search, batch, middle, batch->nevents);
}

bool
es_failure_is_common(List *dead)
{
	EsDeadLetter *first = linitial(dead);
	ListCell   *lc;

	if (!is_environmental(first->error->sqlerrcode))
		return false;
	foreach(lc, dead)
	{
		if (((EsDeadLetter *) lfirst(lc))->error->sqlerrcode !=
			first->error->sqlerrcode)
			return false;
	}
	return true;
}

/*
 * Should the task stop, although it is to skip what fails?
 */
static bool
must_stop(const Search *search)
{
	EsDeadLetter *first;

	if (search->applied > 0 || search->dead == NIL ||
		!es_failure_is_common(search->dead))
		return false;
	if (list_length(search->dead) > 1)
		return true;

	/* One event alone tells nothing, unless the one before was the same. */
	first = linitial(search->dead);
	return es_dead_letter_is_repeated(search->store, search->projection,
									  first->error->sqlerrcode);
}

/*
 * Ends the retries: finds the event, and follows the policy.
 */
static EsFailureOutcome
end_retries(const EsStore *store, EsProjection *projection, EsBatch *batch,
			ErrorData *error, EsFailureResult *result)
{
	Search		search;
	EsDeadLetter *first;

	memset(&search, 0, sizeof(search));
	search.store = store;
	search.projection = projection;
	search.skip = projection->skip;
	if (batch->nevents > 1 && !search.skip && is_slow(error->sqlerrcode))
		return ES_FAILURE_NOTED;

	(void) search_batch(&search, batch, error);
	result->events = search.applied;
	if (search.dead == NIL)
		return ES_FAILURE_OVERCOME;
	if (search.skip && !must_stop(&search))
	{
		es_dead_letters_write(store, projection, search.dead);
		log_dead_letters(projection, search.dead);
		return ES_FAILURE_OVERCOME;
	}

	first = linitial(search.dead);
	result->upto = first->position - 1;
	result->bad_position = first->position;
	result->error = first->error;
	return search.applied > 0 ? ES_FAILURE_MOVED : ES_FAILURE_NOTED;
}

/*
 * Ends the retries of a batch.  One that is but a range of the log is read as
 * events before; it may become shorter.
 */
static EsFailureOutcome
give_up(const EsStore *store, EsProjection *projection, EsBatch **batch,
		ErrorData *error, EsFailureResult *result)
{
	EsBatch    *range = *batch;

	if (projection->kind == ES_PROJECTION_REFRESH)
		return ES_FAILURE_NOTED;
	if (range->events == NULL)
	{
		*batch = es_batch_read(store, projection, range->partition,
							   range->after, range->upto,
							   es_task_batch_size(projection));
		es_batch_end(range);
		error = (*batch)->nevents > 0 ?
			es_task_try(store, projection, *batch) : NULL;
		result->upto = (*batch)->upto;
		result->events = (*batch)->nevents;
		if (error == NULL)
			return ES_FAILURE_OVERCOME;
		result->error = error;
	}
	return end_retries(store, projection, *batch, error, result);
}

EsFailureOutcome
es_failure_handle(const EsStore *store, EsProjection *projection,
				  EsBatch **batch, ErrorData *error, EsFailureResult *result)
{
	int			max_retries = projection->max_retries >= 0 ?
		projection->max_retries : es_guc_projection_max_retries;
	int			attempts = last_read.attempts + 1;
	int64		factor = attempts > 6 ? MAX_BACKOFF : Min(1 << (attempts - 1), MAX_BACKOFF);
	EsFailureOutcome outcome = ES_FAILURE_NOTED;
	bool		known;

	result->upto = (*batch)->upto;
	result->events = 0;
	result->bad_position = 0;
	result->error = error;
	if (attempts > max_retries)
	{
		result->retry_at = DT_NOEND;
		outcome = give_up(store, projection, batch, error, result);
	}
	else
		result->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   factor * es_guc_projection_retry_time);
	if (outcome == ES_FAILURE_OVERCOME)
		return outcome;

	known = result->bad_position > 0;
	note(store, projection, (*batch)->partition, result->error, attempts,
		 result->retry_at,
		 known ? result->bad_position : (*batch)->after + 1,
		 known ? result->bad_position : (*batch)->upto);
	return outcome;
}
