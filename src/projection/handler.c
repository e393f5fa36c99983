/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  Projections that do something for each event: SQL or a function for
 *	  each event type.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Handlers run in the order of positions.  What one of them sets (SET
 *	  search_path and the like) is undone behind its event, so that it does not
 *	  matter where a batch begins.  The tenant of the session is that of the
 *	  event.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/params.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "core/compat.h"
#include "core/guc.h"
#include "log/log.h"
#include "projection/handler.h"

/*
 * What is prepared for a projection.
 */
typedef struct PreparedHandlers
{
	MemoryContext context;		/* of all this; of the projection's */
	EsHandlerNames names;
	bool		complete;
	int			nstatements;
	int			nhandlers;
	EsHandler  *handlers;		/* sorted by event type; NULL: '*' is last */
	EsHandler  *others;			/* of '*' */
	int			attributes[ES_EVENT_COLUMNS];	/* of es_log, for es_event */
} PreparedHandlers;

/*
 * A batch in work.
 */
typedef struct HandlerBatch
{
	PreparedHandlers *prepared;
	bool		is_inline;
	TupleTableSlot *slot;
	TupleDesc	event_desc;		/* of es_event */
	ParamListInfo params;
	EsHandlerRun *run;
	EsCause		cause;			/* the event */
	MemoryContext context;		/* of an event */
} HandlerBatch;

/* ---------- preparing ---------- */

static void
free_handlers(void *arg)
{
	PreparedHandlers *prepared = arg;
	int			i;
	ListCell   *lc;

	for (i = 0; i < prepared->nhandlers; i++)
	{
		foreach(lc, prepared->handlers[i].statements)
			SPI_freeplan(((EsHandlerStatement *) lfirst(lc))->plan);
	}
	MemoryContextDelete(prepared->context);
}

/*
 * Fills in what the names of the parameters need.
 */
static void
set_names(const EsStore *store, PreparedHandlers *prepared)
{
	EsHandlerNames *names = &prepared->names;
	TupleDesc	event_desc;
	int			i;
	int			j;

	names->columns = es_batch_tupdesc(store);
	names->whole = names->columns->natts + 1;
	names->event_type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
										CStringGetDatum("es_event"),
										ObjectIdGetDatum(store->namespace_oid));
	event_desc = lookup_rowtype_tupdesc(names->event_type, -1);
	if (event_desc->natts != ES_EVENT_COLUMNS)
		elog(ERROR, "type es_event has %d columns", event_desc->natts);
	for (i = 0; i < ES_EVENT_COLUMNS; i++)
	{
		prepared->attributes[i] = -1;
		for (j = 0; j < names->columns->natts; j++)
		{
			if (strcmp(NameStr(TupleDescAttr(event_desc, i)->attname),
					   NameStr(TupleDescAttr(names->columns, j)->attname)) == 0)
				prepared->attributes[i] = j;
		}
		if (prepared->attributes[i] < 0)
			elog(ERROR, "es_log has no column \"%s\"",
				 NameStr(TupleDescAttr(event_desc, i)->attname));
	}
	ReleaseTupleDesc(event_desc);
}

/*
 * Compares event types: any order does.
 */
static int
compare_types(const char *a, int a_length, const char *b, int b_length)
{
	if (a_length != b_length)
		return a_length < b_length ? -1 : 1;
	return memcmp(a, b, a_length);
}

static int
compare_handlers(const void *a, const void *b)
{
	const EsHandler *left = a;
	const EsHandler *right = b;

	if (left->event_type == NULL || right->event_type == NULL)
		return (left->event_type == NULL) - (right->event_type == NULL);
	return compare_types(left->event_type, left->length,
						 right->event_type, right->length);
}

/*
 * Returns the place of a handler in the array: a new one, or that of the text
 * before, which is of the same event type.
 */
static EsHandler *
get_place(PreparedHandlers *prepared, const EsHandlerText *text)
{
	bool		other = strcmp(text->event_type, "*") == 0;
	EsHandler  *handler;

	if (prepared->nhandlers > 0)
	{
		handler = &prepared->handlers[prepared->nhandlers - 1];
		if (handler->event_type == NULL ? other :
			strcmp(handler->event_type, text->event_type) == 0)
			return handler;
	}
	handler = &prepared->handlers[prepared->nhandlers++];
	handler->event_type = other ? NULL : text->event_type;
	handler->length = (int) strlen(text->event_type);
	return handler;
}

/*
 * Names the handler in the context of an error.
 */
static void
add_handler_context(void *arg)
{
	errcontext("handler of \"%s\"", ((EsHandlerText *) arg)->event_type);
}

static void
prepare_texts(const EsProjection *projection, PreparedHandlers *prepared)
{
	ErrorContextCallback callback;
	ListCell   *lc;

	callback.callback = add_handler_context;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	foreach(lc, projection->handlers)
	{
		EsHandlerText *text = lfirst(lc);

		callback.arg = text;
		es_handler_prepare(prepared->context, get_place(prepared, text),
						   &prepared->names, text->text,
						   &prepared->nstatements);
	}
	error_context_stack = callback.previous;
}

/*
 * Prepares all handlers, unless they are.  What an error has left is thrown
 * away.
 */
static PreparedHandlers *
prepare(const EsStore *store, EsProjection *projection)
{
	PreparedHandlers *prepared = projection->prepared;
	MemoryContext context;

	if (prepared != NULL && prepared->complete)
		return prepared;
	projection->prepared = NULL;
	if (prepared != NULL)
		free_handlers(prepared);

	context = AllocSetContextCreate(projection->context,
									"event_store handlers",
									ALLOCSET_SMALL_SIZES);
	prepared = MemoryContextAllocZero(context, sizeof(PreparedHandlers));
	prepared->context = context;
	prepared->handlers =
		MemoryContextAllocZero(context, list_length(projection->handlers) *
							   sizeof(EsHandler));
	projection->prepared = prepared;
	projection->free_prepared = free_handlers;
	set_names(store, prepared);
	prepare_texts(projection, prepared);
	qsort(prepared->handlers, prepared->nhandlers, sizeof(EsHandler),
		  compare_handlers);
	if (prepared->nhandlers > 0 &&
		prepared->handlers[prepared->nhandlers - 1].event_type == NULL)
		prepared->others = &prepared->handlers[prepared->nhandlers - 1];
	prepared->complete = true;
	return prepared;
}

/*
 * Raises an error for handlers that need what an inline projection cannot give
 * them.
 */
static void
check_inline(const EsProjection *projection, const PreparedHandlers *prepared)
{
	if (prepared->names.uses_position)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("projection \"%s\" cannot be inline", projection->name),
				 errdetail("Its handlers use the position or time of commit of events, which are not known before the commit."),
				 errhint("Use mode async, or recorded_at, stream_id and version.")));
}

static void
check_handler(EsHandler *handler)
{
	ListCell   *lc;

	foreach(lc, handler->statements)
	{
		EsHandlerStatement *statement = lfirst(lc);

		es_check_statement(statement->plan);
		if (OidIsValid(statement->function) &&
			!may_execute_compat(statement->function, GetUserId()))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for function %s",
							format_procedure(statement->function))));
	}
}

static void
check_handlers(const EsStore *store, EsProjection *projection)
{
	PreparedHandlers *prepared = prepare(store, projection);
	ErrorContextCallback callback;
	EsHandlerText text;
	int			i;

	if (projection->is_inline)
		check_inline(projection, prepared);
	callback.callback = add_handler_context;
	callback.arg = &text;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	for (i = 0; i < prepared->nhandlers; i++)
	{
		EsHandler  *handler = &prepared->handlers[i];

		text.event_type = handler->event_type == NULL ? "*" :
			unconstify(char *, handler->event_type);
		check_handler(handler);
	}
	error_context_stack = callback.previous;
}

/* ---------- running ---------- */

static EsHandler *
find_handler(PreparedHandlers *prepared, const char *type, int length)
{
	int			low = 0;
	int			high = prepared->nhandlers - (prepared->others != NULL);

	while (low < high)
	{
		int			middle = (low + high) / 2;
		EsHandler  *handler = &prepared->handlers[middle];
		int			order = compare_types(type, length, handler->event_type,
										  handler->length);

		if (order == 0)
			return handler;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return prepared->others;
}

/*
 * Returns the attribute of es_log, whose number is known from the table of
 * events.
 */
#define LOG_ATTRIBUTE(anum) (ES_LOG_OWN_COLUMNS + (anum) - 1)

/*
 * Makes the tenant of the event that of the session.
 */
static void
set_tenant(HandlerBatch *work)
{
	text	   *tenant = DatumGetTextPP(work->slot->tts_values[LOG_ATTRIBUTE(Anum_es_events_tenant_id)]);
	int			length = (int) VARSIZE_ANY_EXHDR(tenant);
	const char *current = es_guc_get_tenant();

	if (strncmp(current, VARDATA_ANY(tenant), length) == 0 &&
		current[length] == '\0')
		return;
	(void) set_config_option("event_store.tenant_id", text_to_cstring(tenant),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

/*
 * Makes the event the cause of what its handler appends.  apply.c takes that
 * back.
 */
static void
set_cause(HandlerBatch *work)
{
	Datum	   *values = work->slot->tts_values;

	work->cause.event_id = *DatumGetUUIDP(values[LOG_ATTRIBUTE(Anum_es_events_event_id)]);
	work->cause.metadata = values[LOG_ATTRIBUTE(Anum_es_events_metadata)];
	(void) es_append_set_cause(&work->cause);
}

/*
 * Makes the event as a whole, a value of es_event.
 */
static Datum
make_event(HandlerBatch *work)
{
	Datum		values[ES_EVENT_COLUMNS];
	bool		nulls[ES_EVENT_COLUMNS];
	int			i;

	for (i = 0; i < ES_EVENT_COLUMNS; i++)
	{
		int			attribute = work->prepared->attributes[i];
		ParamExternData *param = &work->params->params[attribute];

		values[i] = param->value;
		nulls[i] = param->isnull ||
			(work->is_inline && attribute < ES_LOG_OWN_COLUMNS);
	}
	return heap_copy_tuple_as_datum(heap_form_tuple(work->event_desc, values,
													nulls),
									work->event_desc);
}

/*
 * Gives the parameters the values of the event in the slot.
 */
static void
set_values(HandlerBatch *work)
{
	TupleTableSlot *slot = work->slot;
	TupleDesc	desc = slot->tts_tupleDescriptor;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		ParamExternData *param = &work->params->params[i];

		param->value = slot->tts_values[i];
		param->isnull = slot->tts_isnull[i];

		/* once, and not each time it is used */
		if (!param->isnull && TupleDescAttr(desc, i)->attlen == -1 &&
			VARATT_IS_EXTENDED(DatumGetPointer(param->value)) &&
			!VARATT_IS_SHORT(DatumGetPointer(param->value)))
			param->value = PointerGetDatum(PG_DETOAST_DATUM(param->value));
	}
	if (work->prepared->names.uses_whole)
	{
		work->params->params[i].value = make_event(work);
		work->params->params[i].isnull = false;
	}
}

/*
 * Raises an error when a statement that was parsed again has come to use what
 * it was not given: a column that had the name is gone.
 */
static void
raise_changed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("a table of the handler has changed"),
			 errdetail("\"%s\" is the event now, and was a column before.",
					   ES_EVENT_NAME)));
}

/*
 * Runs the handler of the event in the slot.
 */
static void
handle_event(HandlerBatch *work)
{
	MemoryContext previous = MemoryContextSwitchTo(work->context);
	TupleTableSlot *slot = work->slot;
	bool		uses_whole = work->prepared->names.uses_whole;
	int			guc_level = 0;
	text	   *type;
	EsHandler  *handler;
	ListCell   *lc;

	slot_getallattrs(slot);
	type = DatumGetTextPP(slot->tts_values[LOG_ATTRIBUTE(Anum_es_events_event_type)]);
	handler = find_handler(work->prepared, VARDATA_ANY(type),
						   (int) VARSIZE_ANY_EXHDR(type));
	if (handler != NULL)
	{
		set_tenant(work);
		set_cause(work);
		set_values(work);
		if (handler->hostile)
			guc_level = NewGUCNestLevel();
		foreach(lc, handler->statements)
			es_handler_run_statement(work->run, lfirst(lc));
		if (handler->hostile)
			AtEOXact_GUC(false, guc_level);
		if (work->prepared->names.uses_whole != uses_whole)
			raise_changed();
	}
	MemoryContextSwitchTo(previous);
	MemoryContextReset(work->context);
}

/*
 * Names the event in the context of an error.
 */
static void
add_event_context(void *arg)
{
	HandlerBatch *work = arg;
	TupleTableSlot *slot = work->slot;
	char	   *type;

	if (TTS_EMPTY(slot))
		return;
	slot_getallattrs(slot);
	type = TextDatumGetCString(slot->tts_values[LOG_ATTRIBUTE(Anum_es_events_event_type)]);
	if (work->is_inline)
		errcontext("handler of \"%s\"", type);
	else
		errcontext("handler of \"%s\", event at position %lld", type,
				   (long long) DatumGetInt64(slot->tts_values[0]));
}

static ParamListInfo
make_params(const EsHandlerNames *names)
{
	ParamListInfo params = makeParamList(names->whole);
	int			i;

	for (i = 0; i < names->columns->natts; i++)
		params->params[i].ptype = TupleDescAttr(names->columns, i)->atttypid;
	params->params[i].ptype = names->event_type;
	params->params[i].isnull = true;
	return params;
}

static void
run_handlers(const EsStore *store, EsProjection *projection, EsBatch *batch)
{
	HandlerBatch work;
	ErrorContextCallback callback;

	work.prepared = prepare(store, projection);
	work.is_inline = batch->is_inline;
	if (work.is_inline)
		check_inline(projection, work.prepared);
	work.slot = MakeSingleTupleTableSlot(batch->tupdesc, &TTSOpsMinimalTuple);
	work.event_desc = lookup_rowtype_tupdesc(work.prepared->names.event_type, -1);
	work.params = make_params(&work.prepared->names);
	work.context = AllocSetContextCreate(CurrentMemoryContext,
										 "event_store event",
										 ALLOCSET_DEFAULT_SIZES);
	work.run = es_handler_run_begin(work.prepared->nstatements, work.params);

	callback.callback = add_event_context;
	callback.arg = &work;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	tuplestore_rescan(batch->events);
	while (tuplestore_gettupleslot(batch->events, true, false, work.slot))
		handle_event(&work);
	error_context_stack = callback.previous;

	es_handler_run_end(work.run);
	ReleaseTupleDesc(work.event_desc);
	ExecDropSingleTupleTableSlot(work.slot);
}

const EsKindRoutine es_handler_routine = {
	.check = check_handlers,
	.run = run_handlers
};
