/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Is an event what its type says?
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Schemas are compiled once in a process, and so are checks that consist
 *	  of PostgreSQL's own functions.  What calls functions of users is made
 *	  ready to run once in a transaction: after an error nobody knows in which
 *	  state such functions have left what they keep, so that the end of the
 *	  (sub)transaction throws it away.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "core/error.h"
#include "core/guc.h"
#include "core/user_code.h"
#include "jsonschema/jsonschema.h"
#include "types/registry.h"

/*
 * A check expression, ready to run.
 */
struct EsTypeCheck
{
	MemoryContext context;		/* of this and all it has */
	EsTypeVersion *version;
	uint64		functions;		/* as in the code that it was made of */
	uint64		data_types;
	bool		trusted;
	Oid			owner;
	ExprContext *econtext;
	ParamListInfo params;
	ExprState  *state;
	int			nest_level;		/* transaction that runs it; 0: idle */
	EsTypeCheck *outer;			/* that was running when it began to */
	MemoryContextCallback callback;
};

/* Those that are running, the innermost first */
static EsTypeCheck *running = NULL;

/* For what checking a schema needs; empty between two events */
static MemoryContext scratch = NULL;

/* ---------- schemas ---------- */

static void
add_schema_context(void *arg)
{
	const EsTypeDefinition *row = arg;

	errcontext("JSON Schema of event type \"%s\" version %d", row->event_type,
			   row->schema_version);
}

/*
 * Compiles the schema of a version.  It was compiled when it was registered; but
 * a restore, or whoever owns the table, puts in what he likes.
 */
static void
compile_schema(EsTypeVersion *version)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_store type schema",
												  ALLOCSET_SMALL_SIZES);
	ErrorContextCallback callback;

	callback.callback = add_schema_context;
	callback.arg = unconstify(EsTypeDefinition *, version->row);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	version->schema = es_json_schema_compile(version->row->json_schema, context);
	error_context_stack = callback.previous;
	MemoryContextSetParent(context, version->types->context);
}

void
es_type_free_schema(EsTypeVersion *version)
{
	if (version->schema != NULL)
		es_json_schema_free(version->schema);
	version->schema = NULL;
}

static void
check_schema(EsTypeVersion *version, const EsCheckedEvent *event)
{
	const EsTypeDefinition *row = version->row;
	EsJsonSchemaProblem problem;
	MemoryContext previous;

	if (version->schema == NULL)
		compile_schema(version);
	if (scratch == NULL)
		scratch = AllocSetContextCreate(TopMemoryContext,
										"event_store type check",
										ALLOCSET_DEFAULT_SIZES);

	/* What an event that was refused has left is not needed any more. */
	MemoryContextReset(scratch);
	previous = MemoryContextSwitchTo(scratch);
	if (!es_json_schema_check(version->schema, DatumGetJsonbP(event->data),
							  &problem))
	{
		MemoryContextSwitchTo(previous);
		ereport(ERROR,
				(errcode(ES_ERRCODE_EVENT_REFUSED),
				 errmsg("event \"%s\" version %d refused by its JSON Schema",
						row->event_type, row->schema_version),
				 errdetail("%s: %s (rule %s).",
						   problem.path[0] == '\0' ? "data" : problem.path,
						   problem.message,
						   problem.rule[0] == '\0' ? "/" : problem.rule),
				 errhint("The schema is in es_event_types. Events of another shape are another version.")));
	}
	MemoryContextSwitchTo(previous);
	MemoryContextReset(scratch);
}

/* ---------- check expressions ---------- */

/*
 * Forgets a check whose memory goes.
 */
static void
forget_check(void *arg)
{
	EsTypeCheck *check = arg;
	EsTypeCheck **link;

	if (check->version->running == check)
		check->version->running = NULL;
	for (link = &running; *link != NULL; link = &(*link)->outer)
	{
		if (*link == check)
		{
			*link = check->outer;
			break;
		}
	}
}

/*
 * Throws away the checks that an aborting subtransaction has interrupted.
 */
static void
at_subtransaction(SubXactEvent event, SubTransactionId mine,
				  SubTransactionId parent, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (running != NULL &&
		   running->nest_level >= GetCurrentTransactionNestLevel())
		MemoryContextDelete(running->context);
}

void
es_type_check_init(void)
{
	RegisterSubXactCallback(at_subtransaction, NULL);
}

/*
 * Makes a check ready to run; it lives as long as the memory context.
 */
static EsTypeCheck *
make_check(EsTypeVersion *version, const EsTypeCode *code, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "event_store check",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext previous = MemoryContextSwitchTo(context);
	EsTypeCheck *check = palloc0(sizeof(EsTypeCheck));
	EsUserCode	saved;

	check->context = context;
	check->version = version;
	check->functions = code->functions;
	check->data_types = code->data_types;
	check->trusted = code->trusted;
	check->owner = es_type_owner(version);
	check->params = es_type_make_params(ES_CHECK_PARAMS);
	check->econtext = CreateStandaloneExprContext();
	check->econtext->ecxt_param_list_info = check->params;
	es_user_code_enter(&saved, check->owner, NIL);
	check->state = ExecInitExprWithParams(copyObject(code->expr), check->params);
	es_user_code_leave(&saved);

	/* The callback that is registered last is called first. */
	if (!check->trusted)
		es_types_hold(version->types, context);
	check->callback.func = forget_check;
	check->callback.arg = check;
	MemoryContextRegisterResetCallback(context, &check->callback);
	MemoryContextSwitchTo(previous);
	return check;
}

/*
 * Returns a check that is not running.
 */
static EsTypeCheck *
get_check(EsTypeVersion *version)
{
	const EsTypeCode *code = es_type_check(version);
	EsTypeCheck *check = version->running;

	if (check != NULL && check->nest_level > 0)
		return make_check(version, code, CurrentMemoryContext);
	if (check != NULL && check->functions == code->functions &&
		check->data_types == code->data_types)
		return check;
	if (check != NULL)
		MemoryContextDelete(check->context);
	version->running = make_check(version, code, code->trusted ?
								  version->types->context :
								  TopTransactionContext);
	return version->running;
}

/*
 * Runs a check that calls functions of users.
 */
static Datum
run_untrusted(EsTypeCheck *check, bool *isnull)
{
	const EsTypeDefinition *row = check->version->row;
	EsUserCode	saved;
	Datum		result;

	check->nest_level = GetCurrentTransactionNestLevel();
	check->outer = running;
	running = check;
	es_user_code_enter(&saved, check->owner, row->settings);
	result = ExecEvalExprSwitchContext(check->state, check->econtext, isnull);
	es_user_code_leave(&saved);
	running = check->outer;
	check->nest_level = 0;
	return result;
}

static void
add_check_context(void *arg)
{
	const EsTypeDefinition *row = arg;

	errcontext("check of event type \"%s\" version %d", row->event_type,
			   row->schema_version);
}

static void
set_param(EsTypeCheck *check, EsTypeParam number, Datum value)
{
	check->params->params[number].value = value;
	check->params->params[number].isnull = false;
}

/*
 * Sets the parameters and runs the check.
 */
static bool
run_check(EsTypeCheck *check, const EsCheckedEvent *event)
{
	MemoryContext previous;
	Datum		result;
	bool		isnull;

	ResetExprContext(check->econtext);
	previous = MemoryContextSwitchTo(check->econtext->ecxt_per_tuple_memory);
	set_param(check, ES_TYPE_DATA, event->data);
	set_param(check, ES_TYPE_METADATA, event->metadata);
	check->params->params[ES_TYPE_METADATA].isnull =
		DatumGetPointer(event->metadata) == NULL;
	set_param(check, ES_TYPE_EVENT_TYPE, event->event_type);
	set_param(check, ES_TYPE_SCHEMA_VERSION, Int32GetDatum(event->schema_version));
	if (event->stream != NULL)
		set_param(check, ES_TYPE_STREAM_ID,
				  PointerGetDatum(cstring_to_text_with_len(event->stream,
														   event->stream_len)));
	else
		check->params->params[ES_TYPE_STREAM_ID].isnull = true;
	MemoryContextSwitchTo(previous);

	if (check->trusted)
		result = ExecEvalExprSwitchContext(check->state, check->econtext, &isnull);
	else
		result = run_untrusted(check, &isnull);
	return isnull || DatumGetBool(result);
}

static void
check_expression(EsTypeVersion *version, const EsCheckedEvent *event)
{
	const EsTypeDefinition *row = version->row;
	ErrorContextCallback callback;
	EsTypeCheck *check;

	callback.callback = add_check_context;
	callback.arg = unconstify(EsTypeDefinition *, row);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	check = get_check(version);
	if (!run_check(check, event))
	{
		error_context_stack = callback.previous;
		ereport(ERROR,
				(errcode(ES_ERRCODE_EVENT_REFUSED),
				 errmsg("event \"%s\" version %d refused by its check",
						row->event_type, row->schema_version),
				 errdetail("The check is: %s", row->check_expression),
				 errhint("The check is in es_event_types. Events of another shape are another version.")));
	}
	if (check->version->running != check)
		MemoryContextDelete(check->context);
	error_context_stack = callback.previous;
}

/* ---------- all ---------- */

/*
 * Says, as event_store.strict_types wants it, that nobody has registered a
 * version.
 */
static void
complain_unregistered(EsTypes *types, const char *name, int len,
					  int32 schema_version, bool is_draft)
{
	bool		type_known = es_types_find_newest(types, name, len) != NULL;

	ereport(es_guc_strict_types == ES_STRICT_TYPES_ON ? ERROR : WARNING,
			(errcode(ES_ERRCODE_UNKNOWN_EVENT_TYPE),
			 is_draft ?
			 errmsg("version %d of event type \"%.*s\" is a draft",
					schema_version, len, name) :
			 type_known ?
			 errmsg("version %d of event type \"%.*s\" is not registered",
					schema_version, len, name) :
			 errmsg("event type \"%.*s\" is not registered", len, name),
			 errdetail("event_store.strict_types is \"%s\".",
					   es_guc_strict_types == ES_STRICT_TYPES_ON ? "on" : "warn"),
			 is_draft ?
			 errhint("Make it active with es_set_event_type_status.") :
			 errhint("Register it with es_register_event_type.")));
}

void
es_types_check(const EsStore *store, const EsCheckedEvent *event)
{
	EsTypes    *types = es_types_get(store);
	text	   *type = DatumGetTextPP(event->event_type);
	const char *name = VARDATA_ANY(type);
	int			len = VARSIZE_ANY_EXHDR(type);
	EsTypeVersion *version = es_types_find(types, name, len,
										   event->schema_version);
	bool		is_draft;

	is_draft = version != NULL && version->row->status == ES_TYPE_DRAFT;
	if ((version == NULL || is_draft) &&
		es_guc_strict_types != ES_STRICT_TYPES_OFF)
		complain_unregistered(types, name, len, event->schema_version, is_draft);
	if (version == NULL)
		return;
	if (version->row->status == ES_TYPE_RETIRED)
		ereport(ERROR,
				(errcode(ES_ERRCODE_EVENT_REFUSED),
				 errmsg("event \"%s\" version %d refused: it is retired",
						version->row->event_type, event->schema_version),
				 errhint("es_event_types has the versions that can be appended.")));
	if (version->row->json_schema != NULL)
		check_schema(version, event);
	if (version->row->check_expression != NULL)
		check_expression(version, event);
}
