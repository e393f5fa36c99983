/*-------------------------------------------------------------------------
 *
 * metadata.c
 *	  Metadata that events get by themselves: from settings, and from the
 *	  event that has caused them.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  What an event states itself wins over what its cause says, and that over
 *	  the settings event_store.correlation_id and so on, key by key.
 *
 *	  Settings are made a jsonb when the first event needs it that is appended
 *	  after one of them has changed.  What sets them, a transaction that rolls
 *	  back included, only leaves a note: it may not fail.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "core/guc.h"
#include "log/log.h"

PG_FUNCTION_INFO_V1(es_cause);

static const char *const keys[ES_N_METADATA_KEYS] = {
	[ES_METADATA_CORRELATION_ID] = "correlation_id",
	[ES_METADATA_CAUSATION_ID] = "causation_id",
	[ES_METADATA_USER_ID] = "user_id",
	[ES_METADATA_TRACEPARENT] = "traceparent",
};

/* What the settings say, in TopMemoryContext; 0: nothing */
static Datum from_settings = (Datum) 0;

/* The event whose handler is running, if any */
static const EsCause *current_cause = NULL;

Datum
es_empty_metadata(void)
{
	/* an empty object: a container header and nothing behind it */
	static union
	{
		int32		align;
		char		bytes[VARHDRSZ + sizeof(uint32)];
	}			empty;
	Jsonb	   *jsonb = (Jsonb *) empty.bytes;

	if (VARSIZE(jsonb) == 0)
	{
		jsonb->root.header = JB_FOBJECT;
		SET_VARSIZE(jsonb, sizeof(empty.bytes));
	}
	return PointerGetDatum(jsonb);
}

void
es_check_metadata(Datum metadata)
{
	Jsonb	   *jsonb = DatumGetJsonbP(metadata);

	if (!JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("metadata must be a JSON object")));
	if (PointerGetDatum(jsonb) != metadata)
		pfree(jsonb);
}

/*
 * Adds a key with a value to an object.
 */
static void
push_pair(JsonbParseState **state, EsMetadataKey key, JsonbValue *value)
{
	JsonbValue	name;

	name.type = jbvString;
	name.val.string.val = unconstify(char *, keys[key]);
	name.val.string.len = (int) strlen(keys[key]);
	(void) pushJsonbValue(state, WJB_KEY, &name);
	(void) pushJsonbValue(state, WJB_VALUE, value);
}

/*
 * The same with a string.
 */
static void
push_string(JsonbParseState **state, EsMetadataKey key, const char *string)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, string);
	value.val.string.len = (int) strlen(string);
	push_pair(state, key, &value);
}

/*
 * Looks at the settings, which have changed.
 */
static void
read_settings(void)
{
	JsonbParseState *state = NULL;
	Datum		old = from_settings;
	bool		any = false;
	int			key;
	Datum		made = (Datum) 0;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (key = 0; key < ES_N_METADATA_KEYS; key++)
	{
		const char *value = es_guc_get_metadata((EsMetadataKey) key);

		if (value[0] == '\0')
			continue;
		push_string(&state, (EsMetadataKey) key, value);
		any = true;
	}

	if (any)
	{
		Jsonb	   *jsonb = JsonbValueToJsonb(pushJsonbValue(&state,
															 WJB_END_OBJECT,
															 NULL));
		MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);

		made = datumCopy(JsonbPGetDatum(jsonb), false, -1);
		MemoryContextSwitchTo(previous);
	}
	from_settings = made;
	es_guc_metadata_changed = false;
	if (old != (Datum) 0)
		pfree(DatumGetPointer(old));
}

/*
 * Looks for a key of the cause's metadata; returns whether it is there.
 */
static bool
find_key(Jsonb *metadata, EsMetadataKey key, JsonbValue *value)
{
	return metadata != NULL && JB_ROOT_IS_OBJECT(metadata) &&
		getKeyJsonValueFromContainer(&metadata->root, keys[key],
									 (int) strlen(keys[key]), value) != NULL;
}

/*
 * Makes the metadata of what an event causes; its own may be NULL.
 */
static Jsonb *
make_caused(Jsonb *metadata, const pg_uuid_t *event_id)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;
	char	   *id = DatumGetCString(DirectFunctionCall1(uuid_out,
														 UUIDPGetDatum(event_id)));

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (find_key(metadata, ES_METADATA_CORRELATION_ID, &value) &&
		value.type != jbvNull)
		push_pair(&state, ES_METADATA_CORRELATION_ID, &value);
	else
		push_string(&state, ES_METADATA_CORRELATION_ID, id);
	push_string(&state, ES_METADATA_CAUSATION_ID, id);
	if (find_key(metadata, ES_METADATA_USER_ID, &value))
		push_pair(&state, ES_METADATA_USER_ID, &value);
	if (find_key(metadata, ES_METADATA_TRACEPARENT, &value))
		push_pair(&state, ES_METADATA_TRACEPARENT, &value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

const EsCause *
es_append_set_cause(const EsCause *cause)
{
	const EsCause *previous = current_cause;

	current_cause = cause;
	return previous;
}

Datum
es_metadata_default(void)
{
	if (unlikely(es_guc_metadata_changed))
		read_settings();
	if (unlikely(current_cause != NULL))
	{
		Datum		caused =
			JsonbPGetDatum(make_caused(DatumGetJsonbP(current_cause->metadata),
									   &current_cause->event_id));

		return from_settings == (Datum) 0 ? caused :
			es_metadata_merge(from_settings, caused);
	}

	/* A copy: the settings may change before the event is stored. */
	return from_settings == (Datum) 0 ? es_empty_metadata() :
		datumCopy(from_settings, false, -1);
}

Datum
es_metadata_default_of_command(const pg_uuid_t *command_id)
{
	Datum		defaults = es_metadata_default();
	JsonbParseState *state = NULL;

	if (current_cause != NULL)
		return defaults;
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_string(&state, ES_METADATA_CAUSATION_ID,
				DatumGetCString(DirectFunctionCall1(uuid_out,
													UUIDPGetDatum(command_id))));
	return es_metadata_merge(defaults,
							 JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state,
																			 WJB_END_OBJECT,
																			 NULL))));
}

Datum
es_metadata_merge(Datum defaults, Datum given)
{
	/* The empty object is always the same one. */
	if (likely(defaults == es_empty_metadata()))
		return given;
	return DirectFunctionCall2(jsonb_concat, defaults, given);
}

/*
 * SQL: es_cause(metadata jsonb, event_id uuid) returns jsonb
 */
Datum
es_cause(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(make_caused(PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0),
								  PG_GETARG_UUID_P(1)));
}
