/*-------------------------------------------------------------------------
 *
 * fold.c
 *	  Events into a state.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The functions run as the aggregate's owner, and cannot write (see
 *	  core/user_code.h).  Nothing of a state is copied from event to event:
 *	  two memory contexts take turns, one holds the state, evolve makes the
 *	  next one in the other, which is then the one that holds it.
 *
 *	  Making evolve ready to run takes longer than a step.  A fold that has
 *	  ended well waits with its aggregate for the next use; when it is used, it
 *	  belongs to the caller's memory context, so that an error frees it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/typcache.h"

#include "aggregate/fold.h"
#include "core/compat.h"

/* A fold that holds more memory is not kept: its functions hoard something. */
#define MAX_IDLE_SIZE	(256 * 1024)

/*
 * Takes the fold that waits for its next use; returns NULL if there is none,
 * or none that is good: what it is made of may have changed.
 */
static EsFold *
take_idle(const EsStore *store, EsAggregateEntry *entry)
{
	EsFold	   *fold = entry->idle;

	if (fold == NULL || entry->generation != es_aggregate_generation())
		return NULL;
	InvokeFunctionExecuteHook(entry->aggregate.evolve);
	entry->idle = NULL;
	MemoryContextSetParent(fold->context, CurrentMemoryContext);
	fold->store = *store;
	fold->transaction = es_aggregate_transaction();
	fold->untouched = false;
	fold->key = NULL;
	fold->version = 0;
	return fold;
}

/*
 * Makes a fold.
 */
static EsFold *
make_fold(const EsStore *store, EsAggregateEntry *entry)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_store fold",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext previous = MemoryContextSwitchTo(context);
	EsFold	   *fold = palloc0(sizeof(EsFold));
	TupleDesc	desc;
	int			i;

	fold->store = *store;
	fold->entry = entry;
	fold->transaction = es_aggregate_transaction();
	fold->context = context;
	for (i = 0; i < 2; i++)
		fold->contexts[i] = AllocSetContextCreate(context,
												  "event_store state",
												  ALLOCSET_DEFAULT_SIZES);
	fold->upcaster = es_upcaster_begin(store);
	desc = lookup_rowtype_tupdesc(es_event_type_oid(store), -1);
	fold->event_desc = CreateTupleDescCopy(desc);
	ReleaseTupleDesc(desc);
	es_prepare_evolve(fold);
	MemoryContextSwitchTo(previous);
	return fold;
}

EsFold *
es_fold_begin(const EsStore *store, const EsAggregate *aggregate)
{
	EsAggregateEntry *entry = (EsAggregateEntry *) aggregate;
	EsFold	   *fold = take_idle(store, entry);

	return fold != NULL ? fold : make_fold(store, entry);
}

/*
 * Empties both contexts.
 */
static void
clear_contexts(EsFold *fold)
{
	if (fold->call != NULL)
		ReScanExprContext(fold->call->fake->curaggcontext);
	else
		MemoryContextReset(fold->contexts[0]);
	MemoryContextReset(fold->contexts[1]);
	fold->current = 0;
}

void
es_fold_end(EsFold *fold)
{
	EsAggregateEntry *entry = fold->entry;

	if (fold->upcast != NULL)
		ExecDropSingleTupleTableSlot(fold->upcast);
	fold->upcast = NULL;
	if (!entry->reusable || entry->idle != NULL || fold->upcaster != NULL ||
		entry->generation != es_aggregate_generation())
	{
		MemoryContextDelete(fold->context);
		return;
	}
	clear_contexts(fold);
	if (MemoryContextMemAllocated(fold->context, true) > MAX_IDLE_SIZE)
	{
		MemoryContextDelete(fold->context);
		return;
	}
	MemoryContextSetParent(fold->context, entry->aggregate.context);
	entry->idle = fold;
}

/* ---------- running as the owner ---------- */

/*
 * Names the event in the context of an error, and tells who tries to write why
 * he cannot.
 */
static void
add_context(void *arg)
{
	EsFolding  *folding = arg;
	EsFold	   *fold = folding->fold;

	if (geterrcode() == ERRCODE_READ_ONLY_SQL_TRANSACTION &&
		!folding->user.read_only)
		errhint("The functions of an aggregate compute states and must not write: they run whenever a state is read.");
	if (fold->key->stream == NULL)
		return;					/* a scan of streams, at its beginning */
	if (fold->version > 0)
		errcontext("event %lld of stream \"%.*s\", folded by aggregate \"%s\"",
				   (long long) fold->version, fold->key->stream_len,
				   fold->key->stream, fold->entry->aggregate.name);
	else
		errcontext("stream \"%.*s\", folded by aggregate \"%s\"",
				   fold->key->stream_len, fold->key->stream,
				   fold->entry->aggregate.name);
}

void
es_fold_enter(EsFold *fold, const EsStreamKey *key, EsFolding *folding)
{
	folding->key = fold->key;
	folding->version = fold->version;
	folding->fold = fold;
	fold->key = key;
	fold->version = 0;
	es_user_code_enter(&folding->user, fold->entry->aggregate.owner,
					   fold->entry->aggregate.settings);
	folding->callback.callback = add_context;
	folding->callback.arg = folding;
	folding->callback.previous = error_context_stack;
	error_context_stack = &folding->callback;
}

void
es_fold_leave(EsFold *fold, EsFolding *folding)
{
	error_context_stack = folding->callback.previous;
	es_user_code_leave(&folding->user);
	fold->key = folding->key;
	fold->version = folding->version;
}

/* ---------- states ---------- */

/*
 * Copies a value of the state's type into the current memory context.
 */
static Datum
copy_state(EsFold *fold, Datum value)
{
	if (fold->call == NULL)
		return datumCopy(value, false, -1);
	return datumCopy(value, fold->call->state_byval, fold->call->state_len);
}

void
es_fold_reset(EsFold *fold, EsState *state)
{
	const EsAggregate *aggregate = &fold->entry->aggregate;
	MemoryContext previous;

	clear_contexts(fold);
	fold->untouched = true;
	memset(state, 0, sizeof(*state));
	if (fold->call == NULL)
	{
		state->value = aggregate->initial_state;
		state->isnull = aggregate->initial_isnull;
		return;
	}

	/* the function may change its own state in place */
	state->isnull = fold->call->init_isnull;
	if (state->isnull)
		return;
	previous = MemoryContextSwitchTo(fold->contexts[0]);
	state->value = copy_state(fold, fold->call->init);
	MemoryContextSwitchTo(previous);
}

void
es_fold_set(EsFold *fold, EsState *state, int64 version, Datum value,
			bool isnull)
{
	MemoryContext previous;

	clear_contexts(fold);
	fold->untouched = false;
	memset(state, 0, sizeof(*state));
	state->version = version;
	state->isnull = isnull;
	if (isnull)
		return;
	previous = MemoryContextSwitchTo(fold->contexts[0]);
	state->value = copy_state(fold, value);
	MemoryContextSwitchTo(previous);
}

/* ---------- steps ---------- */

/*
 * Forms an es_event, in the current memory context.
 */
static Datum
form_event(EsFold *fold, TupleTableSlot *row)
{
	Datum	   *columns = row->tts_values;
	Datum		values[MaxTupleAttributeNumber];
	bool		nulls[MaxTupleAttributeNumber];
	Datum		data = columns[Anum_es_events_data - 1];
	int			natts = fold->event_desc->natts;
	HeapTuple	tuple;

	memset(nulls, true, natts * sizeof(bool));
	memset(nulls, false, Min(natts, 10) * sizeof(bool));
	nulls[0] = true;			/* position */

	/* once, and not with each use of it */
	if (VARATT_IS_COMPRESSED(data) || VARATT_IS_EXTERNAL(data))
		data = PointerGetDatum(PG_DETOAST_DATUM(data));
	values[0] = (Datum) 0;
	values[1] = columns[Anum_es_events_stream_id - 1];
	values[2] = columns[Anum_es_events_version - 1];
	values[3] = columns[Anum_es_events_event_type - 1];
	values[4] = columns[Anum_es_events_schema_version - 1];
	values[5] = data;
	values[6] = columns[Anum_es_events_metadata - 1];
	values[7] = columns[Anum_es_events_event_id - 1];
	values[8] = columns[Anum_es_events_recorded_at - 1];
	values[9] = columns[Anum_es_events_tenant_id - 1];
	tuple = heap_form_tuple(fold->event_desc, values, nulls);
	return HeapTupleGetDatum(tuple);
}

/*
 * Raises the error for a function that has returned NULL.
 */
static void
raise_null(EsFold *fold, TupleTableSlot *row)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("function %s returned null",
					format_procedure(fold->entry->aggregate.evolve)),
			 errdetail("It was called with an event of type \"%s\".",
					   TextDatumGetCString(row->tts_values[Anum_es_events_event_type - 1])),
			 errhint("Return the state as it is for events that do not change it.")));
}

/*
 * Calls the evolve function; the current memory context is the one without the
 * state.
 */
static void
step_function(EsFold *fold, TupleTableSlot *row, Datum event, EsState *state)
{
	ExprContext *econtext = fold->econtext;
	ParamExternData *params = econtext->ecxt_param_list_info->params;
	Datum		result;
	bool		isnull;

	econtext->ecxt_per_tuple_memory = CurrentMemoryContext;
	econtext->ecxt_scantuple = row;
	params[0].value = state->value;
	params[0].isnull = state->isnull;
	params[1].value = event;
	params[1].isnull = false;
	result = ExecEvalExpr(fold->evolve, econtext, &isnull);
	if (isnull)
		raise_null(fold, row);
	if (!state->isnull && result == state->value)
		return;

	/* The row goes away: what points into it must be copied. */
	if (result == row->tts_values[Anum_es_events_data - 1] ||
		result == row->tts_values[Anum_es_events_metadata - 1])
		result = PointerGetDatum(PG_DETOAST_DATUM_COPY(result));
	else
		result = PointerGetDatum(PG_DETOAST_DATUM(result));
	state->value = result;
	state->isnull = false;
	fold->current = 1 - fold->current;
}

/*
 * Puts a new value of an aggregate's state into its context and frees the old
 * one, like nodeAgg.c.
 */
static void
replace_state(EsFold *fold, EsState *state, Datum value, bool isnull)
{
	EsAggregateCall *call = fold->call;
	MemoryContext previous = MemoryContextSwitchTo(fold->contexts[0]);

	if (isnull)
		value = (Datum) 0;
	else if (call->state_byval ||
			 (DatumIsReadWriteExpandedObject(value, false, call->state_len) &&
			  MemoryContextGetParent(DatumGetEOHP(value)->eoh_context) == CurrentMemoryContext))
		 /* it is there already */ ;
	else
		value = copy_state(fold, value);

	if (!state->isnull && !call->state_byval)
	{
		if (DatumIsReadWriteExpandedObject(state->value, false, call->state_len))
			DeleteExpandedObject(state->value);
		else
			pfree(DatumGetPointer(state->value));
	}
	MemoryContextSwitchTo(previous);
	state->value = value;
	state->isnull = isnull;
}

/*
 * Calls the transition function of an aggregate.
 */
static void
step_aggregate(EsFold *fold, Datum event, EsState *state)
{
	EsAggregateCall *call = fold->call;
	LOCAL_FCINFO(fcinfo, 2);
	Datum		result;

	if (call->transition.fn_strict && state->isnull)
	{
		/* the first value is the state, and NULL stays NULL */
		if (fold->untouched)
			replace_state(fold, state, event, false);
		return;
	}
	InitFunctionCallInfoData(*fcinfo, &call->transition, 2, InvalidOid,
							 (fmNodePtr) call->fake, NULL);
	fcinfo->args[0].value = state->value;
	fcinfo->args[0].isnull = state->isnull;
	fcinfo->args[1].value = event;
	fcinfo->args[1].isnull = false;
	result = FunctionCallInvoke(fcinfo);
	if (fcinfo->isnull != state->isnull || result != state->value ||
		call->state_byval)
		replace_state(fold, state, result, fcinfo->isnull);
}

/*
 * Folds an event as it is to be read.
 */
static void
fold_event(EsFold *fold, TupleTableSlot *stored, TupleTableSlot *row,
		   EsState *state, EsFoldEach each, void *arg)
{
	int			other = 1 - fold->current;
	MemoryContext previous = MemoryContextSwitchTo(fold->contexts[other]);
	Datum		event = (Datum) 0;

	if (fold->needs_event || each != NULL)
		event = form_event(fold, row);
	if (fold->call != NULL)
		step_aggregate(fold, event, state);
	else
		step_function(fold, row, event, state);
	fold->untouched = false;
	MemoryContextSwitchTo(previous);

	if (each != NULL)
		each(fold, stored, event, state, arg);
	MemoryContextReset(fold->contexts[1 - fold->current]);
}

/*
 * Folds an event that is to be read as something else.
 */
static void
fold_pieces(EsFold *fold, TupleTableSlot *row, EsState *state,
			EsFoldEach each, void *arg)
{
	TupleTableSlot *slot = fold->upcast;
	EsPiece		stored;
	EsPiece    *pieces;
	EsEventName name;
	int			npieces;
	int			i;

	stored.event_type = row->tts_values[Anum_es_events_event_type - 1];
	stored.schema_version =
		DatumGetInt32(row->tts_values[Anum_es_events_schema_version - 1]);
	stored.data = row->tts_values[Anum_es_events_data - 1];
	name.stream = fold->key->stream;
	name.stream_len = fold->key->stream_len;
	name.version = state->version;
	name.position = 0;
	pieces = es_upcaster_apply(fold->upcaster, &stored,
							   row->tts_values[Anum_es_events_metadata - 1],
							   &name, &npieces);

	if (slot == NULL)
	{
		MemoryContext previous = MemoryContextSwitchTo(fold->context);

		slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(row->tts_tupleDescriptor),
										&TTSOpsVirtual);
		fold->upcast = slot;
		MemoryContextSwitchTo(previous);
	}
	for (i = 0; i < npieces; i++)
	{
		ExecClearTuple(slot);
		memset(slot->tts_isnull, true,
			   slot->tts_tupleDescriptor->natts * sizeof(bool));
		memcpy(slot->tts_values, row->tts_values,
			   Anum_es_events_recorded_at * sizeof(Datum));
		memset(slot->tts_isnull, false,
			   Anum_es_events_recorded_at * sizeof(bool));
		slot->tts_values[Anum_es_events_event_type - 1] = pieces[i].event_type;
		slot->tts_values[Anum_es_events_schema_version - 1] =
			Int32GetDatum(pieces[i].schema_version);
		slot->tts_values[Anum_es_events_data - 1] = pieces[i].data;
		ExecStoreVirtualTuple(slot);
		fold_event(fold, row, slot, state, each, arg);
	}
}

void
es_fold_row(EsFold *fold, TupleTableSlot *row, EsState *state,
			EsFoldEach each, void *arg)
{
	slot_getsomeattrs(row, Anum_es_events_recorded_at);
	state->version = DatumGetInt64(row->tts_values[Anum_es_events_version - 1]);
	state->folded++;
	fold->version = state->version;

	if (fold->upcaster != NULL &&
		es_upcaster_wants(fold->upcaster,
						  row->tts_values[Anum_es_events_event_type - 1],
						  DatumGetInt32(row->tts_values[Anum_es_events_schema_version - 1])))
		fold_pieces(fold, row, state, each, arg);
	else
		fold_event(fold, row, row, state, each, arg);
}

/* ---------- results ---------- */

/*
 * Calls the final function of an aggregate.
 */
static Datum
call_final(EsAggregateCall *call, const EsState *state, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, 2);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, &call->final, call->final_nargs,
							 InvalidOid, (fmNodePtr) call->fake, NULL);
	fcinfo->args[0].value = MakeExpandedObjectReadOnly(state->value,
													   state->isnull,
													   call->state_len);
	fcinfo->args[0].isnull = state->isnull;
	fcinfo->args[1].value = (Datum) 0;
	fcinfo->args[1].isnull = true;
	if (call->final.fn_strict && (state->isnull || call->final_nargs > 1))
	{
		*isnull = true;
		return (Datum) 0;
	}
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull;
	return result;
}

/*
 * The value of an aggregate function, as jsonb.
 */
static Datum
finish_aggregate(EsFold *fold, const EsState *state, bool *isnull)
{
	EsAggregateCall *call = fold->call;
	Datum		value;

	if (OidIsValid(call->final.fn_oid))
		value = call_final(call, state, isnull);
	else
	{
		*isnull = state->isnull;
		value = MakeExpandedObjectReadOnly(state->value, state->isnull,
										   call->state_len);
	}
	if (*isnull)
		return (Datum) 0;
	if (call->result_type == JSONBOID)
		return PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	return FunctionCall1(&call->to_jsonb, value);
}

Datum
es_fold_result(EsFold *fold, const EsState *state, bool *isnull)
{
	EsUserCode	user;
	Datum		result;

	if (fold->call == NULL)
	{
		*isnull = state->isnull;
		return state->isnull ? (Datum) 0 : datumCopy(state->value, false, -1);
	}
	es_user_code_enter(&user, fold->entry->aggregate.owner,
					   fold->entry->aggregate.settings);
	result = finish_aggregate(fold, state, isnull);
	es_user_code_leave(&user);
	return result;
}

/*
 * Sets what the text of a state is to be written with, and read: nothing must
 * be lost or mean something else, however the aggregate's owner likes to see
 * numbers and times.
 */
static void
set_state_format(void)
{
	es_user_code_apply_settings(list_make4("DateStyle=ISO, MDY",
										   "IntervalStyle=postgres",
										   "extra_float_digits=3",
										   "search_path=pg_catalog, pg_temp"));
}

Datum
es_fold_freeze(EsFold *fold, const EsState *state)
{
	JsonbValue	string;
	EsUserCode	user;

	if (fold->call == NULL || fold->call->state_type == JSONBOID)
		return state->value;
	es_user_code_enter(&user, fold->entry->aggregate.owner,
					   fold->entry->aggregate.settings);
	set_state_format();
	string.type = jbvString;
	string.val.string.val = OutputFunctionCall(&fold->call->output,
											   MakeExpandedObjectReadOnly(state->value, false,
																		  fold->call->state_len));
	string.val.string.len = strlen(string.val.string.val);
	es_user_code_leave(&user);
	return JsonbPGetDatum(JsonbValueToJsonb(&string));
}

void
es_fold_thaw(EsFold *fold, EsState *state, int64 version, Datum frozen)
{
	EsAggregateCall *call = fold->call;
	Jsonb	   *jsonb = DatumGetJsonbP(frozen);
	JsonbValue *string;
	int			guc_level;

	if (call == NULL || call->state_type == JSONBOID)
	{
		es_fold_set(fold, state, version, JsonbPGetDatum(jsonb), false);
		return;
	}
	string = JB_ROOT_IS_SCALAR(jsonb) ?
		getIthJsonbValueFromContainer(&jsonb->root, 0) : NULL;
	if (string == NULL || string->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("snapshot of stream \"%.*s\" at version %lld is damaged",
						fold->key->stream_len, fold->key->stream,
						(long long) version),
				 errhint("Delete it with es_delete_snapshots().")));
	guc_level = NewGUCNestLevel();
	set_state_format();
	es_fold_set(fold, state, version,
				InputFunctionCall(&call->input,
								  pnstrdup(string->val.string.val,
										   string->val.string.len),
								  call->input_param, -1),
				false);
	AtEOXact_GUC(false, guc_level);
}
