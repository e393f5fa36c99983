/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  What a command has appended, as JSON.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The events are taken from their rows, the first time too: what a trigger
 *	  of the user's has made of them is what the answer says.  Where nobody can
 *	  have made anything of them, the rows are those that were handed to the
 *	  table (see execute.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "command/command.h"

struct EsAnswer
{
	MemoryContext context;
	JsonbParseState *state;
	int64		version;		/* of the last event that was added */
};

EsAnswer *
es_answer_begin(void)
{
	EsAnswer   *answer = palloc0(sizeof(EsAnswer));

	answer->context = CurrentMemoryContext;
	(void) pushJsonbValue(&answer->state, WJB_BEGIN_ARRAY, NULL);
	return answer;
}

/*
 * Adds a key with a value to the object in work.
 */
static void
push_pair(EsAnswer *answer, const char *key, JsonbValue *value)
{
	JsonbValue	name;

	name.type = jbvString;
	name.val.string.val = unconstify(char *, key);
	name.val.string.len = (int) strlen(key);
	(void) pushJsonbValue(&answer->state, WJB_KEY, &name);
	(void) pushJsonbValue(&answer->state, WJB_VALUE, value);
}

static void
push_string(EsAnswer *answer, const char *key, char *string)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = string;
	value.val.string.len = (int) strlen(string);
	push_pair(answer, key, &value);
}

static void
push_number(EsAnswer *answer, const char *key, int64 number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	push_pair(answer, key, &value);
}

static void
push_jsonb(EsAnswer *answer, const char *key, Datum datum)
{
	JsonbValue	value;

	/* a copy: the value points into it, and the row will be another */
	JsonbToJsonbValue(DatumGetJsonbPCopy(datum), &value);
	push_pair(answer, key, &value);
}

void
es_answer_add(EsFold *fold, TupleTableSlot *stored, Datum event,
			  const EsState *state, void *arg)
{
	EsAnswer   *answer = arg;
	Datum	   *values;
	int64		version;
	MemoryContext previous;

	slot_getsomeattrs(stored, Natts_es_events);
	values = stored->tts_values;
	version = DatumGetInt64(values[Anum_es_events_version - 1]);
	if (version == answer->version)
		return;					/* another piece of the same event */

	answer->version = version;
	previous = MemoryContextSwitchTo(answer->context);
	(void) pushJsonbValue(&answer->state, WJB_BEGIN_OBJECT, NULL);

	/* in the order of jsonb, so that it need not sort them */
	push_string(answer, "id",
				DatumGetCString(DirectFunctionCall1(uuid_out,
													values[Anum_es_events_event_id - 1])));
	push_jsonb(answer, "data", values[Anum_es_events_data - 1]);
	push_string(answer, "type",
				TextDatumGetCString(values[Anum_es_events_event_type - 1]));
	push_number(answer, "version", version);
	push_jsonb(answer, "metadata", values[Anum_es_events_metadata - 1]);
	push_number(answer, "schema_version",
				DatumGetInt32(values[Anum_es_events_schema_version - 1]));
	(void) pushJsonbValue(&answer->state, WJB_END_OBJECT, NULL);
	MemoryContextSwitchTo(previous);
}

Jsonb *
es_answer_end(EsAnswer *answer)
{
	return JsonbValueToJsonb(pushJsonbValue(&answer->state, WJB_END_ARRAY, NULL));
}
