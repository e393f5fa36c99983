/*-------------------------------------------------------------------------
 *
 * diff.c
 *	  es_json_diff: what changed between two JSON values.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Objects are compared key by key.  Of arrays, what is equal at the
 *	  beginning and at the end is left out; what is between is compared element
 *	  by element, and what one of them has more is added or removed.  The
 *	  operations, done in order, make the second value of the first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "aggregate/diff.h"

PG_FUNCTION_INFO_V1(es_json_diff);

/*
 * A comparison that goes on.
 */
typedef struct Diff
{
	JsonbParseState *state;
	StringInfoData path;		/* to where it is */
} Diff;

/*
 * The members of an object or the elements of an array.
 */
typedef struct Members
{
	int			n;
	JsonbValue *keys;			/* of an object */
	JsonbValue *values;
} Members;

static void compare(Diff *diff, JsonbValue *before, JsonbValue *after);

/* ---------- values ---------- */

/*
 * Makes a JsonbValue of a jsonb: a scalar, or a container.
 */
static void
get_root(Jsonb *jsonb, JsonbValue *value)
{
	if (JB_ROOT_IS_SCALAR(jsonb))
		*value = *getIthJsonbValueFromContainer(&jsonb->root, 0);
	else
	{
		value->type = jbvBinary;
		value->val.binary.data = &jsonb->root;
		value->val.binary.len = VARSIZE_ANY_EXHDR(jsonb);
	}
}

static bool
is_object(const JsonbValue *value)
{
	return value->type == jbvBinary &&
		JsonContainerIsObject(value->val.binary.data);
}

static bool
is_array(const JsonbValue *value)
{
	return value->type == jbvBinary &&
		JsonContainerIsArray(value->val.binary.data);
}

/*
 * Are the values equal?
 */
static bool
is_equal(JsonbValue *a, JsonbValue *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type)
	{
		case jbvNull:
			return true;
		case jbvBool:
			return a->val.boolean == b->val.boolean;
		case jbvNumeric:
			return DatumGetBool(DirectFunctionCall2(numeric_eq,
													NumericGetDatum(a->val.numeric),
													NumericGetDatum(b->val.numeric)));
		case jbvString:
			return a->val.string.len == b->val.string.len &&
				memcmp(a->val.string.val, b->val.string.val,
					   a->val.string.len) == 0;
		case jbvBinary:
			return is_object(a) == is_object(b) &&
				compareJsonbContainers(a->val.binary.data,
									   b->val.binary.data) == 0;
		default:
			elog(ERROR, "unexpected jsonb value type: %d", (int) a->type);
	}
	return false;				/* keep the compiler quiet */
}

/*
 * Takes a container apart.
 */
static void
get_members(JsonbContainer *container, Members *members)
{
	JsonbIterator *it = JsonbIteratorInit(container);
	int			size = JsonContainerSize(container);
	JsonbIteratorToken token;
	JsonbValue	value;

	members->n = 0;
	members->keys = palloc(Max(size, 1) * sizeof(JsonbValue));
	members->values = palloc(Max(size, 1) * sizeof(JsonbValue));

	/* the first token is the container itself */
	(void) JsonbIteratorNext(&it, &value, true);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			members->keys[members->n] = value;
		else if (token == WJB_VALUE || token == WJB_ELEM)
			members->values[members->n++] = value;
	}
}

/* ---------- the result ---------- */

static void
push_string(Diff *diff, JsonbIteratorToken token, const char *data, int len)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = pstrdup(data);
	value.val.string.len = len;
	(void) pushJsonbValue(&diff->state, token, &value);
}

static void
push_member(Diff *diff, const char *key, JsonbValue *value)
{
	if (value == NULL)
		return;
	push_string(diff, WJB_KEY, key, strlen(key));
	(void) pushJsonbValue(&diff->state, WJB_VALUE, value);
}

/*
 * Adds an operation for where the comparison is: NULL is no value.
 */
static void
push_operation(Diff *diff, JsonbValue *before, JsonbValue *after)
{
	const char *op = before == NULL ? "add" : after == NULL ? "remove" : "replace";

	(void) pushJsonbValue(&diff->state, WJB_BEGIN_OBJECT, NULL);
	push_string(diff, WJB_KEY, "op", 2);
	push_string(diff, WJB_VALUE, op, strlen(op));
	push_string(diff, WJB_KEY, "path", 4);
	push_string(diff, WJB_VALUE, diff->path.data, diff->path.len);
	push_member(diff, "old", before);
	push_member(diff, "value", after);
	(void) pushJsonbValue(&diff->state, WJB_END_OBJECT, NULL);
}

/*
 * Goes down to a member of an object; returns the length of the path to return
 * to.
 */
static int
enter_key(Diff *diff, const JsonbValue *key)
{
	int			len = diff->path.len;
	int			i;

	appendStringInfoChar(&diff->path, '/');
	for (i = 0; i < key->val.string.len; i++)
	{
		char		c = key->val.string.val[i];

		if (c == '~')
			appendStringInfoString(&diff->path, "~0");
		else if (c == '/')
			appendStringInfoString(&diff->path, "~1");
		else
			appendStringInfoChar(&diff->path, c);
	}
	return len;
}

static void
leave(Diff *diff, int len)
{
	diff->path.len = len;
	diff->path.data[len] = '\0';
}

/*
 * Compares what is at an index of two arrays.
 */
static void
compare_element(Diff *diff, int index, JsonbValue *before, JsonbValue *after)
{
	int			len = diff->path.len;

	appendStringInfo(&diff->path, "/%d", index);
	if (before != NULL && after != NULL)
		compare(diff, before, after);
	else
		push_operation(diff, before, after);
	leave(diff, len);
}

/* ---------- comparing ---------- */

/*
 * Compares keys as jsonb sorts them: by length, then by bytes.
 */
static int
compare_keys(const JsonbValue *a, const JsonbValue *b)
{
	if (a->val.string.len != b->val.string.len)
		return a->val.string.len < b->val.string.len ? -1 : 1;
	return memcmp(a->val.string.val, b->val.string.val, a->val.string.len);
}

static void
compare_objects(Diff *diff, JsonbContainer *before, JsonbContainer *after)
{
	Members		old;
	Members		new;
	int			i = 0;
	int			j = 0;

	get_members(before, &old);
	get_members(after, &new);
	while (i < old.n || j < new.n)
	{
		int			order = i >= old.n ? 1 : j >= new.n ? -1 :
			compare_keys(&old.keys[i], &new.keys[j]);
		int			len = enter_key(diff, order <= 0 ? &old.keys[i] : &new.keys[j]);

		if (order == 0)
			compare(diff, &old.values[i++], &new.values[j++]);
		else if (order < 0)
			push_operation(diff, &old.values[i++], NULL);
		else
			push_operation(diff, NULL, &new.values[j++]);
		leave(diff, len);
	}
}

static void
compare_arrays(Diff *diff, JsonbContainer *before, JsonbContainer *after)
{
	Members		old;
	Members		new;
	int			first = 0;
	int			last = 0;		/* equal ones at the end */
	int			common;
	int			i;

	get_members(before, &old);
	get_members(after, &new);
	common = Min(old.n, new.n);
	while (first < common && is_equal(&old.values[first], &new.values[first]))
		first++;
	while (last < common - first &&
		   is_equal(&old.values[old.n - 1 - last], &new.values[new.n - 1 - last]))
		last++;

	for (i = first; i < common - last; i++)
		compare_element(diff, i, &old.values[i], &new.values[i]);

	/* from the end, so that indexes stay what they are */
	for (i = old.n - last - 1; i >= common - last; i--)
		compare_element(diff, i, &old.values[i], NULL);
	for (i = common - last; i < new.n - last; i++)
		compare_element(diff, i, NULL, &new.values[i]);
}

/*
 * Compares two values and adds what makes one of the other.
 */
static void
compare(Diff *diff, JsonbValue *before, JsonbValue *after)
{
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (is_equal(before, after))
		return;
	if (is_object(before) && is_object(after))
		compare_objects(diff, before->val.binary.data, after->val.binary.data);
	else if (is_array(before) && is_array(after))
		compare_arrays(diff, before->val.binary.data, after->val.binary.data);
	else
		push_operation(diff, before, after);
}

Jsonb *
es_json_diff_make(Jsonb *before, Jsonb *after)
{
	Diff		diff;
	JsonbValue	old;
	JsonbValue	new;

	diff.state = NULL;
	initStringInfo(&diff.path);
	if (before != NULL)
		get_root(before, &old);
	if (after != NULL)
		get_root(after, &new);

	(void) pushJsonbValue(&diff.state, WJB_BEGIN_ARRAY, NULL);
	if (before != NULL && after != NULL)
		compare(&diff, &old, &new);
	else if (before != NULL || after != NULL)
		push_operation(&diff, before != NULL ? &old : NULL,
					   after != NULL ? &new : NULL);
	return JsonbValueToJsonb(pushJsonbValue(&diff.state, WJB_END_ARRAY, NULL));
}

/*
 * SQL: es_json_diff(before jsonb, after jsonb) returns jsonb
 */
Datum
es_json_diff(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(es_json_diff_make(PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0),
										PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1)));
}
