/*-------------------------------------------------------------------------
 *
 * append_args.c
 *	  The arguments of the append functions, checked.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Everything that is wrong with a call by itself is found here, before
 *	  any lock is taken.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "core/compat.h"
#include "core/error.h"
#include "core/names.h"
#include "core/uuid.h"
#include "log/log.h"

/*
 * An array argument, taken apart.
 */
typedef struct ArrayArg
{
	int			n;
	Datum	   *values;
	bool	   *nulls;
} ArrayArg;

void
es_check_schema_version(int32 schema_version)
{
	if (schema_version < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schema version must be greater than zero"),
				 errdetail("It is %d.", schema_version)));
}

/*
 * Raises the error for an argument that must not be NULL.
 */
static void
raise_null(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be null", what)));
}

/*
 * Error context callback: names the event of the batch that is being read.
 */
static void
event_context(void *arg)
{
	errcontext("event %d of the batch", *(int *) arg);
}

void
es_push_event_context(ErrorContextCallback *callback, int *number)
{
	callback->callback = event_context;
	callback->arg = number;
	callback->previous = error_context_stack;
	error_context_stack = callback;
}

void
es_append_args_stream(FunctionCallInfo fcinfo, EsAppend *append)
{
	text	   *stream;

	if (PG_ARGISNULL(0))
		raise_null("stream id");
	stream = PG_GETARG_TEXT_PP(0);
	append->appended = NULL;
	append->stream_id = PointerGetDatum(stream);
	es_stream_key_make_own(&append->key, VARDATA_ANY(stream),
						   VARSIZE_ANY_EXHDR(stream));
}

void
es_append_args_expected(FunctionCallInfo fcinfo, int arg, EsAppend *append)
{
	if (PG_ARGISNULL(arg))
	{
		append->expected = ES_VERSION_ANY;
		return;
	}

	append->expected = PG_GETARG_INT64(arg);
	if (append->expected < ES_VERSION_EXISTS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid expected version: %lld",
						(long long) append->expected),
				 errhint("Use NULL for any version, 0 for a new stream, -1 for an existing one, or the version that the stream must have.")));
}

/*
 * Checks the type of an event and stores it in *event.
 */
static void
set_type(EsNewEvent *event, Datum type)
{
	text	   *name = DatumGetTextPP(type);

	es_name_check("event type", VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name),
				  ES_MAX_EVENT_TYPE);
	event->type = PointerGetDatum(name);
}

/*
 * Checks metadata that might be NULL, completes it from the defaults of the
 * call, and stores it in *event.
 */
static void
set_metadata(EsNewEvent *event, Datum defaults, Datum metadata, bool isnull)
{
	if (isnull)
		event->metadata = defaults;
	else
	{
		es_check_metadata(metadata);
		event->metadata = es_metadata_merge(defaults, metadata);
	}
}

void
es_append_args_single(FunctionCallInfo fcinfo, EsAppend *append)
{
	EsNewEvent *event = append->events;

	es_append_args_stream(fcinfo, append);
	if (PG_ARGISNULL(1))
		raise_null("event type");
	set_type(event, PG_GETARG_DATUM(1));

	if (PG_ARGISNULL(2))
		raise_null("event data");
	event->data = PG_GETARG_DATUM(2);

	set_metadata(event, es_metadata_default(), PG_GETARG_DATUM(3),
				 PG_ARGISNULL(3));
	es_append_args_expected(fcinfo, 4, append);

	append->nevents = 1;
	append->has_ids = !PG_ARGISNULL(5);
	if (append->has_ids)
		event->id = *PG_GETARG_UUID_P(5);
	else
		es_uuid_v7_generate(&event->id);

	event->schema_version = PG_ARGISNULL(6) ? 1 : PG_GETARG_INT32(6);
	es_check_schema_version(event->schema_version);
}

/*
 * Takes an array argument apart; n < 0 accepts any length.
 *
 * Returns false when the argument is NULL.
 */
static bool
get_array(FunctionCallInfo fcinfo, int arg, const char *what, int n,
		  ArrayArg *result)
{
	ArrayType  *array;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	if (PG_ARGISNULL(arg))
		return false;

	array = PG_GETARG_ARRAYTYPE_P(arg);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must be a one-dimensional array", what)));

	switch (ARR_ELEMTYPE(array))
	{
		case UUIDOID:
			typlen = UUID_LEN;
			typbyval = false;
			typalign = TYPALIGN_CHAR;
			break;
		case INT4OID:
			typlen = sizeof(int32);
			typbyval = true;
			typalign = TYPALIGN_INT;
			break;
		default:				/* text, jsonb */
			typlen = -1;
			typbyval = false;
			typalign = TYPALIGN_INT;
			break;
	}
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign,
					  &result->values, &result->nulls, &result->n);

	if (n >= 0 && result->n != n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("arrays of a batch must have equal lengths"),
				 errdetail("There are %d event types and %d %s.", n,
						   result->n, what)));
	return true;
}

/*
 * Raises the error for a NULL among the elements of an array.
 */
static void
check_no_nulls(const ArrayArg *array, const char *what)
{
	int			i;

	for (i = 0; i < array->n; i++)
	{
		if (array->nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not contain nulls", what),
					 errdetail("Element %d is null.", i + 1)));
	}
}

/*
 * Gives every event of a batch an id, the caller's or a new one.
 */
static void
set_batch_ids(FunctionCallInfo fcinfo, EsAppend *append)
{
	ArrayArg	ids;
	int			i;

	append->has_ids = get_array(fcinfo, 5, "event ids", append->nevents, &ids);
	if (append->has_ids)
	{
		check_no_nulls(&ids, "event ids");
		for (i = 0; i < append->nevents; i++)
			append->events[i].id = *DatumGetUUIDP(ids.values[i]);
	}
	else
	{
		for (i = 0; i < append->nevents; i++)
			es_uuid_v7_generate(&append->events[i].id);
	}
	append->has_ids = append->has_ids && append->nevents > 0;
}

void
es_append_args_batch(FunctionCallInfo fcinfo, EsAppend *append)
{
	ArrayArg	types;
	ArrayArg	data;
	ArrayArg	metadata;
	ArrayArg	versions;
	bool		has_metadata;
	bool		has_versions;
	Datum		defaults;
	ErrorContextCallback context;
	int			number;

	es_append_args_stream(fcinfo, append);
	if (!get_array(fcinfo, 1, "event types", -1, &types))
		raise_null("event types");
	if (!get_array(fcinfo, 2, "event data", types.n, &data))
		raise_null("event data");
	check_no_nulls(&types, "event types");
	check_no_nulls(&data, "event data");
	has_metadata = get_array(fcinfo, 3, "metadata", types.n, &metadata);
	es_append_args_expected(fcinfo, 4, append);
	has_versions = get_array(fcinfo, 6, "schema versions", types.n, &versions);

	append->nevents = types.n;
	append->events = palloc(sizeof(EsNewEvent) * Max(types.n, 1));
	defaults = es_metadata_default();
	es_push_event_context(&context, &number);
	for (number = 1; number <= types.n; number++)
	{
		int			i = number - 1;
		EsNewEvent *event = &append->events[i];

		set_type(event, types.values[i]);
		event->data = data.values[i];
		set_metadata(event, defaults,
					 has_metadata ? metadata.values[i] : (Datum) 0,
					 !has_metadata || metadata.nulls[i]);
		event->schema_version = (has_versions && !versions.nulls[i]) ?
			DatumGetInt32(versions.values[i]) : 1;
		es_check_schema_version(event->schema_version);
	}
	error_context_stack = context.previous;
	set_batch_ids(fcinfo, append);
}

/*
 * Raises the error for an event of es_append_json that is not as it must be.
 */
static void
raise_json_event(int number, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid event in JSON array"),
			 errdetail("Event %d %s.", number, detail),
			 errhint("An event is an object with the keys \"type\" and \"data\" and, where wanted, \"metadata\", \"id\" and \"schema_version\".")));
}

/*
 * Reads the schema version of an event of es_append_json.
 */
static int32
json_schema_version(const JsonbValue *value, int number)
{
	Datum		version;

	if (value->type != jbvNumeric)
		raise_json_event(number, "has a \"schema_version\" that is not a number");

	/* Rounding would hide a mistake: 1.5 is no version. */
	version = DirectFunctionCall1(numeric_int4,
								  NumericGetDatum(value->val.numeric));
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq,
										  NumericGetDatum(value->val.numeric),
										  DirectFunctionCall1(int4_numeric,
															  version))))
		raise_json_event(number, "has a \"schema_version\" that is not an integer");
	return DatumGetInt32(version);
}

/*
 * Reads one key of an event of es_append_json.  *has_id is set with the id.
 */
static void
set_json_key(EsNewEvent *event, Datum defaults, const JsonbValue *key,
			 JsonbValue *value, int number, bool *has_id)
{
	const char *name = key->val.string.val;
	int			len = key->val.string.len;

#define KEY_IS(literal) \
	(len == sizeof(literal) - 1 && memcmp(name, literal, sizeof(literal) - 1) == 0)

	if (KEY_IS("type"))
	{
		if (value->type != jbvString)
			raise_json_event(number, "has a \"type\" that is not a string");
		set_type(event,
				 PointerGetDatum(cstring_to_text_with_len(value->val.string.val,
														  value->val.string.len)));
	}
	else if (KEY_IS("data"))
		event->data = JsonbPGetDatum(JsonbValueToJsonb(value));
	else if (KEY_IS("metadata"))
		set_metadata(event, defaults, JsonbPGetDatum(JsonbValueToJsonb(value)),
					 value->type == jbvNull);
	else if (KEY_IS("schema_version"))
	{
		if (value->type != jbvNull)
			event->schema_version = json_schema_version(value, number);
		es_check_schema_version(event->schema_version);
	}
	else if (KEY_IS("id"))
	{
		char	   *string;

		if (value->type != jbvString)
			raise_json_event(number, "has an \"id\" that is not a string");
		string = pnstrdup(value->val.string.val, value->val.string.len);
		event->id = *DatumGetUUIDP(DirectFunctionCall1(uuid_in,
													   CStringGetDatum(string)));
		*has_id = true;
	}
	else
		raise_json_event(number, psprintf("has the unrecognized key \"%.*s\"", len,
										  name));
#undef KEY_IS
}

/*
 * Reads one event of es_append_json; returns whether it has an id.
 */
static bool
set_json_event(EsNewEvent *event, Datum defaults, JsonbContainer *object,
			   int number)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;
	bool		has_id = false;

	event->type = (Datum) 0;
	event->data = (Datum) 0;
	event->metadata = defaults;
	event->schema_version = 1;

	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&it, &value, true);
		set_json_key(event, defaults, &key, &value, number, &has_id);
	}

	if (event->type == (Datum) 0)
		raise_json_event(number, "has no \"type\"");
	if (event->data == (Datum) 0)
		raise_json_event(number, "has no \"data\"");
	return has_id;
}

/*
 * Either all events of a batch have an id or none: a batch that is identified
 * in parts could not be retried.
 */
static void
set_json_ids(EsAppend *append, int nids, int without)
{
	int			i;

	if (nids > 0 && nids < append->nevents)
		raise_json_event(without, "has no \"id\", though others have one");

	append->has_ids = (nids > 0);
	if (!append->has_ids)
	{
		for (i = 0; i < append->nevents; i++)
			es_uuid_v7_generate(&append->events[i].id);
	}
}

void
es_append_args_events(const Jsonb *events, Datum defaults, EsAppend *append)
{
	int			nids = 0;
	int			without = 0;
	ErrorContextCallback context;
	int			number;

	if (!JB_ROOT_IS_ARRAY(events) || JB_ROOT_IS_SCALAR(events))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("events must be a JSON array of objects")));

	append->nevents = JB_ROOT_COUNT(events);
	append->events = palloc(sizeof(EsNewEvent) * Max(append->nevents, 1));
	es_push_event_context(&context, &number);
	for (number = 1; number <= append->nevents; number++)
	{
		JsonbValue *element =
			getIthJsonbValueFromContainer(unconstify(JsonbContainer *, &events->root),
										  number - 1);

		if (element->type != jbvBinary ||
			!JsonContainerIsObject(element->val.binary.data))
			raise_json_event(number, "is not an object");
		if (set_json_event(&append->events[number - 1], defaults,
						   element->val.binary.data, number))
			nids++;
		else if (without == 0)
			without = number;
	}
	error_context_stack = context.previous;
	set_json_ids(append, nids, without);
}

void
es_append_args_json(FunctionCallInfo fcinfo, EsAppend *append)
{
	Jsonb	   *events;

	es_append_args_stream(fcinfo, append);
	if (PG_ARGISNULL(1))
		raise_null("events");
	events = PG_GETARG_JSONB_P(1);
	es_append_args_expected(fcinfo, 2, append);
	es_append_args_events(events, es_metadata_default(), append);
}
