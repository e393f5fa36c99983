/*-------------------------------------------------------------------------
 *
 * execute.c
 *	  es_execute: a command, from the stream's state to its new events, in one
 *	  call.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The stream is locked first.  What is read then is what the new events
 *	  stand behind: nobody can come between, so that nothing has to be decided
 *	  again.  Whoever is second waits for the lock and finds the events of the
 *	  first in the state.
 *
 *	  Nothing is read twice.  Who has the lock has seen the head of the stream;
 *	  when the state that this process keeps ends with that row, it is the
 *	  state.  The new events are folded as they were handed to the table, unless
 *	  somebody may have changed them on their way (insert.c says so); then they
 *	  are read.
 *
 *	  In a transaction that has a snapshot of its own (REPEATABLE READ,
 *	  SERIALIZABLE), a stream that has moved behind it gives 40001 before
 *	  anything is decided.
 *
 *	  The right to execute the function is the right to append what decide
 *	  says, and to see the state that it is given.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "command/command.h"
#include "log/log.h"

PG_FUNCTION_INFO_V1(es_execute);

/* Columns of the answer */
#define N_ANSWER_COLUMNS	4

/*
 * A call of es_execute.
 */
typedef struct Execution
{
	EsAppend	append;			/* the stream, what is expected, the events */
	EsAppended	appended;		/* what has become of them */
	int			nfolded;		/* how many of them conclude() has folded */
	TupleTableSlot *row;		/* the last of these */
	Datum		command;		/* jsonb */
	bool		has_id;
	pg_uuid_t	command_id;
	pg_uuid_t	first_id;		/* of its first event, if it has an id */
	Datum		metadata;		/* jsonb; 0: none was given */
	const EsAggregate *aggregate;
	Relation	events;
	EsStore		store;
	EsStream   *stream;
	EsFold	   *fold;
} Execution;

/*
 * What it leads to.
 */
typedef struct Outcome
{
	int64		version;
	Jsonb	   *events;
	Datum		state;
	bool		state_isnull;
	bool		repeated;
} Outcome;

/*
 * Raises an error for an argument that must not be NULL.
 */
static void
check_not_null(FunctionCallInfo fcinfo, int arg, const char *what)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
}

/*
 * Takes the arguments, and finds the aggregate.
 */
static void
get_arguments(FunctionCallInfo fcinfo, Execution *execution)
{
	es_append_args_stream(fcinfo, &execution->append);
	check_not_null(fcinfo, 1, "command");
	execution->command = JsonbPGetDatum(PG_GETARG_JSONB_P(1));
	execution->has_id = !PG_ARGISNULL(2);
	if (execution->has_id)
		execution->command_id = *PG_GETARG_UUID_P(2);
	es_append_args_expected(fcinfo, 3, &execution->append);
	execution->metadata = PG_ARGISNULL(4) ? (Datum) 0 :
		JsonbPGetDatum(PG_GETARG_JSONB_P(4));
	execution->append.appended = &execution->appended;
	execution->appended.known = false;
	if (execution->metadata != (Datum) 0)
		es_check_metadata(execution->metadata);
}

/*
 * Finds the aggregate that decides.
 */
static const EsAggregate *
find_aggregate(FunctionCallInfo fcinfo, Execution *execution)
{
	const char *name = PG_ARGISNULL(5) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(5));
	const EsAggregate *aggregate = es_aggregate_find(&execution->store, name,
													 &execution->append.key);

	if (!OidIsValid(aggregate->decide))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("aggregate \"%s\" has no decide function",
						aggregate->name),
				 errhint("Give it one with es_alter_aggregate(name, decide => ...).")));
	return aggregate;
}

/*
 * Names what is decided about in the context of an error.
 */
static void
add_context(void *arg)
{
	const Execution *execution = arg;

	errcontext("command for stream \"%.*s\", aggregate \"%s\"",
			   execution->append.key.stream_len, execution->append.key.stream,
			   execution->aggregate->name);
}

/*
 * Returns the metadata that completes that of the events.
 */
static Datum
get_defaults(const Execution *execution)
{
	Datum		defaults = execution->has_id ?
		es_metadata_default_of_command(&execution->command_id) :
		es_metadata_default();

	return execution->metadata == (Datum) 0 ? defaults :
		es_metadata_merge(defaults, execution->metadata);
}

/*
 * Gives the events the ids that tell that the command has been executed.
 */
static void
set_ids(Execution *execution)
{
	EsAppend   *append = &execution->append;
	int			i;

	if (append->has_ids)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("events of a command that has an id must not have ids of their own"),
				 errdetail("Their ids are made from the command's, so that it can be told when it is repeated."),
				 errhint("Leave \"id\" out of the events that the decide function returns, or command_id out of the call.")));
	for (i = 0; i < append->nevents; i++)
		es_command_nth_id(&append->events[i].id, &execution->first_id, i + 1);
}

/*
 * Lets the aggregate decide; fills the events of the append.  *state is that of
 * the stream.
 */
static void
decide(Execution *execution, const EsState *state)
{
	ErrorContextCallback callback;
	Datum		value;
	bool		isnull;
	Jsonb	   *events;

	callback.callback = add_context;
	callback.arg = execution;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	value = es_fold_result(execution->fold, state, &isnull);
	events = es_decide(execution->aggregate, value, isnull,
					   execution->command);
	execution->append.nevents = 0;
	if (events != NULL)
		es_append_args_events(events, get_defaults(execution),
							  &execution->append);
	if (execution->has_id && execution->append.nevents > 0)
		set_ids(execution);
	error_context_stack = callback.previous;
}

/*
 * Returns the next row that has been appended; an EsFoldNext.
 */
static TupleTableSlot *
next_appended(void *source)
{
	Execution  *execution = source;

	if (execution->nfolded == execution->append.nevents)
		return NULL;
	es_appended_row(&execution->append, execution->nfolded++, execution->row);
	return execution->row;
}

/*
 * Folds the events that have just been appended, as they were handed to the
 * table.
 */
static void
fold_appended(Execution *execution, EsState *state, EsAnswer *answer)
{
	execution->nfolded = 0;
	execution->row =
		MakeSingleTupleTableSlot(RelationGetDescr(execution->events),
								 &TTSOpsVirtual);
	es_fold_advance_by(execution->fold, &execution->append.key, next_appended,
					   execution, state, es_answer_add, answer);
	ExecDropSingleTupleTableSlot(execution->row);
	state->mark = execution->appended.mark;
}

/*
 * Folds the stream up to a version and fills the outcome from it: *state is
 * that before the first of the command's events.
 */
static void
conclude(Execution *execution, EsState *state, int64 version, Outcome *outcome)
{
	EsAnswer   *answer = es_answer_begin();
	EsLoadLimit limit = {version};

	outcome->version = version;
	if (execution->appended.known)
		fold_appended(execution, state, answer);
	else if (version > state->version)
		es_fold_advance(execution->fold, execution->events,
						&execution->append.key, SnapshotSelf, limit, state,
						es_answer_add, answer);
	outcome->events = es_answer_end(answer);
	outcome->state = es_fold_result(execution->fold, state,
									&outcome->state_isnull);
}

/*
 * Gives the answer of the first time to a command that has been executed.
 */
static void
answer_again(Execution *execution, int64 first, int64 last, Outcome *outcome)
{
	EsLoadLimit limit = {first - 1};
	EsState		state;

	es_fold_load(execution->fold, execution->events, &execution->append.key,
				 SnapshotSelf, limit, &state);
	conclude(execution, &state, last, outcome);
	outcome->repeated = true;
}

/*
 * Executes the command.
 */
static void
execute(Execution *execution, Outcome *outcome)
{
	EsAppend   *append = &execution->append;
	const EsStream *stream = execution->stream;
	EsState		state;
	int64		version;

	es_check_expected(stream, append->expected);
	es_fold_load_newest(execution->fold, execution->events, &append->key,
						stream->head, stream->mark_known ? &stream->mark : NULL,
						&state);
	if (state.version != stream->head)
		elog(ERROR, "stream \"%.*s\" is at version %lld, its state at %lld",
			 append->key.stream_len, append->key.stream,
			 (long long) stream->head, (long long) state.version);

	decide(execution, &state);
	version = state.version;
	if (append->nevents > 0)
	{
		/* Nobody has come between; the ids of a command are new. */
		append->expected = version;
		append->has_ids = append->has_ids && !execution->has_id;
		version = es_append_events(append);
	}
	conclude(execution, &state, version, outcome);
	outcome->repeated = false;
	es_fold_keep(execution->fold, &append->key, &state);
}

/*
 * Returns the outcome as a row.
 */
static Datum
make_row(const Outcome *outcome)
{
	static TupleDesc desc = NULL;
	Datum		values[N_ANSWER_COLUMNS];
	bool		nulls[N_ANSWER_COLUMNS] = {false};

	if (desc == NULL)
	{
		MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
		TupleDesc	made = CreateTemplateTupleDesc(N_ANSWER_COLUMNS);

		TupleDescInitEntry(made, 1, "version", INT8OID, -1, 0);
		TupleDescInitEntry(made, 2, "events", JSONBOID, -1, 0);
		TupleDescInitEntry(made, 3, "state", JSONBOID, -1, 0);
		TupleDescInitEntry(made, 4, "repeated", BOOLOID, -1, 0);
		desc = BlessTupleDesc(made);
		MemoryContextSwitchTo(previous);
	}

	values[0] = Int64GetDatum(outcome->version);
	values[1] = JsonbPGetDatum(outcome->events);
	values[2] = outcome->state;
	nulls[2] = outcome->state_isnull;
	values[3] = BoolGetDatum(outcome->repeated);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * SQL: es_execute(stream_id text, command jsonb, command_id uuid,
 *				   expected_version bigint, metadata jsonb, aggregate text,
 *				   OUT version bigint, OUT events jsonb, OUT state jsonb,
 *				   OUT repeated boolean)
 */
Datum
es_execute(PG_FUNCTION_ARGS)
{
	Execution	execution;
	Outcome		outcome;
	int64		first = 0;
	int64		last = 0;

	es_check_may_write("es_execute()");
	get_arguments(fcinfo, &execution);
	execution.events = es_catalog_open_events(RowExclusiveLock,
											  &execution.store);
	execution.aggregate = find_aggregate(fcinfo, &execution);
	execution.fold = es_fold_begin(&execution.store, execution.aggregate);
	execution.stream = es_stream_lock(execution.events, &execution.store,
									  &execution.append.key,
									  execution.append.expected);
	if (execution.has_id)
	{
		es_command_first_id(&execution.first_id, &execution.append.key,
							&execution.command_id);
		if (execution.stream->head > 0)
			first = es_command_find(execution.events, &execution.store,
									&execution.append.key,
									&execution.first_id, &last);
	}
	if (first > 0)
		answer_again(&execution, first, last, &outcome);
	else
		execute(&execution, &outcome);

	es_fold_end(execution.fold);
	/* The lock stays, as after an append. */
	relation_close(execution.events, NoLock);
	return make_row(&outcome);
}
