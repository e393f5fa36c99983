/*-------------------------------------------------------------------------
 *
 * value.c
 *	  JSON values as they lie in a jsonb: comparing and showing them.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "jsonschema/value.h"

/* Containers above this size are not written out to see how long they are. */
#define MAX_SHOWN_CONTAINER	256

void
es_json_root(Jsonb *jsonb, JsonbValue *value)
{
	JsonbContainer *root = &jsonb->root;

	value->type = jbvBinary;
	value->val.binary.data = root;
	value->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
	if (JsonContainerIsScalar(root))
	{
		JsonbValue	array = *value;
		EsJsonWalk	walk;

		es_json_walk_begin(&walk, &array);
		(void) es_json_walk_next(&walk, value);
	}
}

bool
es_json_get(const JsonbValue *object, const char *name, JsonbValue *value)
{
	return es_json_is_object(object) &&
		getKeyJsonValueFromContainer(object->val.binary.data, name,
									 strlen(name), value) != NULL;
}

int
es_json_type(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return ES_JSON_NULL;
		case jbvBool:
			return ES_JSON_BOOLEAN;
		case jbvString:
			return ES_JSON_STRING;
		case jbvNumeric:
			return es_json_is_integral(value->val.numeric) ?
				ES_JSON_NUMBER | ES_JSON_INTEGER : ES_JSON_NUMBER;
		default:
			return es_json_is_object(value) ? ES_JSON_OBJECT : ES_JSON_ARRAY;
	}
}

bool
es_json_is_integral(Numeric number)
{
	return DatumGetInt32(DirectFunctionCall1(numeric_min_scale,
											 NumericGetDatum(number))) == 0;
}

int
es_json_compare_numbers(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a),
											 NumericGetDatum(b)));
}

bool
es_json_small_integer(Numeric number, int32 *result)
{
	bool		failed = false;

	if (!es_json_is_integral(number))
		return false;
	*result = numeric_int4_opt_error(number, &failed);
	return !failed;
}

int
es_json_sign(Numeric number)
{
	Datum		sign = DirectFunctionCall1(numeric_sign, NumericGetDatum(number));

	return DatumGetInt32(DirectFunctionCall1(numeric_int4, sign));
}

bool
es_json_is_multiple(Numeric number, Numeric of)
{
	Datum		rest = DirectFunctionCall2(numeric_mod, NumericGetDatum(number),
										   NumericGetDatum(of));
	int32		integer;
	bool		result = es_json_small_integer(DatumGetNumeric(rest), &integer) &&
		integer == 0;

	pfree(DatumGetPointer(rest));
	return result;
}

/*
 * The order of the types; the two of numbers count as one.
 */
static int
type_rank(const JsonbValue *value)
{
	return value->type != jbvBinary ? (int) value->type :
		es_json_is_object(value) ? 100 : 101;
}

/*
 * Compares two arrays or two objects: by their counts, then member by member.
 */
static int
compare_containers(const JsonbValue *a, const JsonbValue *b)
{
	EsJsonWalk	walk_a;
	EsJsonWalk	walk_b;
	JsonbValue	value_a;
	JsonbValue	value_b;

	check_stack_depth();
	if (es_json_count(a) != es_json_count(b))
		return es_json_count(a) < es_json_count(b) ? -1 : 1;
	es_json_walk_begin(&walk_a, a);
	es_json_walk_begin(&walk_b, b);
	while (es_json_walk_next(&walk_a, &value_a))
	{
		int			order;

		(void) es_json_walk_next(&walk_b, &value_b);
		order = es_json_compare_keys(walk_a.key, walk_a.key_len,
									 walk_b.key, walk_b.key_len);
		if (order == 0)
			order = es_json_compare(&value_a, &value_b);
		if (order != 0)
			return order;
	}
	return 0;
}

int
es_json_compare(const JsonbValue *a, const JsonbValue *b)
{
	int			rank = type_rank(a);

	if (rank != type_rank(b))
		return rank < type_rank(b) ? -1 : 1;
	switch (a->type)
	{
		case jbvNull:
			return 0;
		case jbvBool:
			return (int) a->val.boolean - (int) b->val.boolean;
		case jbvString:
			return es_json_compare_keys(a->val.string.val, a->val.string.len,
										b->val.string.val, b->val.string.len);
		case jbvNumeric:
			return es_json_compare_numbers(a->val.numeric, b->val.numeric);
		default:
			return compare_containers(a, b);
	}
}

char *
es_json_type_names(int mask)
{
	static const char *const names[] = {
		"null", "boolean", "integer", "number", "string", "array", "object"
	};
	StringInfoData buf;
	int			rest;
	int			i;

	if ((mask & ES_JSON_NUMBER) != 0)
		mask &= ~ES_JSON_INTEGER;
	initStringInfo(&buf);
	rest = mask;
	for (i = 0; i < (int) lengthof(names); i++)
	{
		if ((mask & (1 << i)) == 0)
			continue;
		rest &= ~(1 << i);
		if (buf.len > 0)
			appendStringInfoString(&buf, rest == 0 ? " or " : ", ");
		appendStringInfoString(&buf, names[i]);
	}
	return buf.data;
}

/*
 * Cuts a text to max bytes, at the end of a character.
 */
static char *
cut(char *text, int max)
{
	int			len = strlen(text);
	int			kept;

	if (len <= max)
		return text;
	kept = pg_mbcliplen(text, len, max);
	return psprintf("%.*s...", kept, text);
}

char *
es_json_show(const JsonbValue *value, int max)
{
	StringInfoData buf;

	switch (value->type)
	{
		case jbvNull:
			return pstrdup("null");
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		case jbvNumeric:
			return cut(DatumGetCString(DirectFunctionCall1(numeric_out,
														   NumericGetDatum(value->val.numeric))),
					   max);
		case jbvString:
			{
				/* No more of it than can be shown: it may be long. */
				int			len = pg_mbcliplen(value->val.string.val,
											   value->val.string.len, max);
				char	   *start = pnstrdup(value->val.string.val, len);

				initStringInfo(&buf);
				escape_json(&buf, start);
				if (len < value->val.string.len)
					appendStringInfoString(&buf, "...");
				return buf.data;
			}
		default:
			if (value->val.binary.len <= MAX_SHOWN_CONTAINER)
			{
				initStringInfo(&buf);
				(void) JsonbToCString(&buf, value->val.binary.data,
									  value->val.binary.len);
				if (buf.len <= max)
					return buf.data;
			}
			return pstrdup(es_json_is_object(value) ? "an object" : "an array");
	}
}
