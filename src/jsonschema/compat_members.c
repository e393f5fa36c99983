/*-------------------------------------------------------------------------
 *
 * compat_members.c
 *	  Comparing what schemas say about the members of objects and the items of
 *	  arrays.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A property that the writer's schema says nothing about is taken to be
 *	  left out by the writer; see jsonschema.h.  One that it only requires is
 *	  there, with any value.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "jsonschema/compat.h"

static const EsJsonPath *
name_path(EsJsonPath *path, const EsJsonPath *parent, const char *name, int len)
{
	path->parent = parent;
	path->name = name;
	path->len = len;
	path->number = 0;
	path->is_name = false;
	return path;
}

static JsonbValue *
copy_value(const JsonbValue *value)
{
	JsonbValue *copy = palloc(sizeof(JsonbValue));

	*copy = *value;
	return copy;
}

/*
 * Finds a member of a member: schema's "properties", there the name.
 */
static bool
get_within(const JsonbValue *schema, const char *keyword, const char *name, int len,
		   JsonbValue *value)
{
	JsonbValue	members;

	return es_json_get(schema, keyword, &members) && es_json_is_object(&members) &&
		getKeyJsonValueFromContainer(members.val.binary.data, name, len, value) != NULL;
}

static bool
matches(const char *pattern, int pattern_len, const char *name, int len)
{
	char	   *problem;
	EsJsonPattern *compiled = es_json_pattern_compile(pattern, pattern_len,
													  CurrentMemoryContext, &problem);

	return compiled != NULL && es_json_pattern_matches(compiled, name, len);
}

/*
 * Adds the schemas of "patternProperties" of a schema that a name matches.
 */
static List *
add_matching(List *list, const JsonbValue *schema, const char *name, int len)
{
	JsonbValue	patterns;
	JsonbValue	value;
	EsJsonWalk	walk;

	if (!es_json_get(schema, "patternProperties", &patterns) || !es_json_is_object(&patterns))
		return list;
	es_json_walk_begin(&walk, &patterns);
	while (es_json_walk_next(&walk, &value))
	{
		if (matches(walk.key, walk.key_len, name, len))
			list = lappend(list, copy_value(&value));
	}
	return list;
}

/*
 * Adds all that one schema says about a member.
 */
static List *
add_saying(List *list, const JsonbValue *schema, const char *name, int len)
{
	int			before = list_length(list);
	JsonbValue	value;

	if (get_within(schema, "properties", name, len, &value))
		list = lappend(list, copy_value(&value));
	list = add_matching(list, schema, name, len);
	if (list_length(list) == before && es_json_get(schema, "additionalProperties", &value))
		list = lappend(list, copy_value(&value));
	return list;
}

/*
 * All that the writer's schemas say about a member; NIL if they say nothing.
 */
static List *
member_schemas(const EsJsonView *writer, const char *name, int len)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, writer->schemas)
		result = add_saying(result, lfirst(lc), name, len);
	return result;
}

/*
 * Do all alternatives of an "anyOf" or "oneOf" say something about a member?
 */
static bool
alternatives_say(const JsonbValue *schema, const char *keyword, const char *name, int len)
{
	JsonbValue	alternatives;
	JsonbValue	alternative;
	EsJsonWalk	walk;

	if (!es_json_get(schema, keyword, &alternatives) || !es_json_is_array(&alternatives))
		return false;
	es_json_walk_begin(&walk, &alternatives);
	while (es_json_walk_next(&walk, &alternative))
	{
		if (add_saying(NIL, &alternative, name, len) == NIL)
			return false;
	}
	return true;
}

/*
 * Does the writer require a member, be it only sometimes, without saying in
 * each case what it is?
 */
static bool
may_be_anything(const EsJsonView *writer, const char *name, int len)
{
	ListCell   *lc;

	foreach(lc, writer->schemas)
	{
		if (alternatives_say(lfirst(lc), "anyOf", name, len) ||
			alternatives_say(lfirst(lc), "oneOf", name, len))
			return false;
	}
	return es_json_view_requires(writer, name, len) ||
		(writer->chosen != NULL && es_json_view_requires(writer->chosen, name, len));
}

/*
 * Compares what the reader says about a member with what the writer says.
 *
 * If that is nothing, some of the schemas may say something that hold for some
 * values only; then each of them counts.  A required member of which nothing is
 * said may be anything.
 */
static void
compare_member(EsJsonCompat *compat, const JsonbValue *rule, const EsJsonView *writer,
			   const char *name, int len, const EsJsonPath *path)
{
	List	   *writers = member_schemas(writer, name, len);
	EsJsonPath	here;
	ListCell   *lc;

	(void) name_path(&here, path, name, len);
	if (writers != NIL || writer->is_partial || may_be_anything(writer, name, len))
	{
		es_json_compat_compare(compat, rule, writers, &here);
		return;
	}
	if (writer->chosen == NULL)
		return;
	foreach(lc, writer->chosen->schemas)
	{
		writers = add_saying(NIL, lfirst(lc), name, len);
		if (writers != NIL)
			es_json_compat_compare(compat, rule, writers, &here);
	}
}

/*
 * The schemas of a view, with those that hold for some values only.
 */
static List *
all_schemas(const EsJsonView *view)
{
	return view->chosen == NULL ? view->schemas :
		list_concat_copy(view->schemas, view->chosen->schemas);
}

void
es_json_compat_properties(EsJsonCompat *compat, const JsonbValue *schema,
						  const EsJsonView *writer, const EsJsonPath *path)
{
	JsonbValue	properties;
	JsonbValue	value;
	EsJsonWalk	walk;

	(void) es_json_get(schema, "properties", &properties);
	es_json_walk_begin(&walk, &properties);
	while (es_json_walk_next(&walk, &value))
		compare_member(compat, &value, writer, walk.key, walk.key_len, path);
}

/*
 * Compares one pattern of the reader's with all that the writer's schemas say
 * about names.
 */
static void
compare_pattern(EsJsonCompat *compat, const char *pattern, int len, const JsonbValue *rule,
				const JsonbValue *writer, const EsJsonView *view, const EsJsonPath *path)
{
	JsonbValue	members;
	JsonbValue	value;
	EsJsonWalk	walk;
	EsJsonPath	here;

	if (es_json_get(writer, "properties", &members) && es_json_is_object(&members))
	{
		es_json_walk_begin(&walk, &members);
		while (es_json_walk_next(&walk, &value))
		{
			if (matches(pattern, len, walk.key, walk.key_len))
				compare_member(compat, rule, view, walk.key, walk.key_len, path);
		}
	}
	if (es_json_get(writer, "required", &members) && es_json_is_array(&members))
	{
		es_json_walk_begin(&walk, &members);
		while (es_json_walk_next(&walk, &value))
		{
			JsonbValue	own;

			if (value.type == jbvString &&
				!get_within(writer, "properties", value.val.string.val, value.val.string.len, &own) &&
				matches(pattern, len, value.val.string.val, value.val.string.len))
				compare_member(compat, rule, view, value.val.string.val,
							   value.val.string.len, path);
		}
	}
	(void) name_path(&here, path, pattern, len);
	if (get_within(writer, "patternProperties", pattern, len, &value))
		es_json_compat_compare(compat, rule, list_make1(&value), &here);
	else if (es_json_get(writer, "patternProperties", &value) &&
			 es_json_count(&value) > 0)
		es_json_compat_break(compat, &here,
							 "cannot tell which properties of before match this pattern");
	else if (es_json_get(writer, "additionalProperties", &value))
		es_json_compat_compare(compat, rule, list_make1(&value), &here);
}

void
es_json_compat_patterns(EsJsonCompat *compat, const JsonbValue *schema,
						const EsJsonView *writer, const EsJsonPath *path)
{
	JsonbValue	patterns;
	JsonbValue	rule;
	EsJsonWalk	walk;
	ListCell   *lc;

	(void) es_json_get(schema, "patternProperties", &patterns);
	es_json_walk_begin(&walk, &patterns);
	while (es_json_walk_next(&walk, &rule))
	{
		if (writer->is_partial)
			es_json_compat_break(compat, path, "cannot tell which properties of before match the pattern \"%.*s\"",
								 walk.key_len, walk.key);
		foreach(lc, all_schemas(writer))
			compare_pattern(compat, walk.key, walk.key_len, &rule, lfirst(lc), writer, path);
	}
}

/*
 * Do some of the reader's schemas name a member, by itself or by a pattern?
 */
static bool
is_named(List *schemas, const char *name, int len)
{
	ListCell   *lc;

	foreach(lc, schemas)
	{
		JsonbValue	value;

		if (get_within(lfirst(lc), "properties", name, len, &value) ||
			add_matching(NIL, lfirst(lc), name, len) != NIL)
			return true;
	}
	return false;
}

static bool
has_pattern(List *schemas, const char *pattern, int len)
{
	ListCell   *lc;

	foreach(lc, schemas)
	{
		JsonbValue	value;

		if (get_within(lfirst(lc), "patternProperties", pattern, len, &value))
			return true;
	}
	return false;
}

/*
 * Compares what the reader says about other properties with the names and
 * patterns of one of the writer's schemas.
 */
static void
compare_others(EsJsonCompat *compat, const JsonbValue *rule, List *named_by,
			   const JsonbValue *schema, const EsJsonView *writer, const EsJsonPath *path)
{
	JsonbValue	members;
	JsonbValue	value;
	EsJsonWalk	walk;
	EsJsonPath	here;

	if (es_json_get(schema, "properties", &members) && es_json_is_object(&members))
	{
		es_json_walk_begin(&walk, &members);
		while (es_json_walk_next(&walk, &value))
		{
			if (!is_named(named_by, walk.key, walk.key_len))
				compare_member(compat, rule, writer, walk.key, walk.key_len, path);
		}
	}
	if (es_json_get(schema, "patternProperties", &members) && es_json_is_object(&members))
	{
		es_json_walk_begin(&walk, &members);
		while (es_json_walk_next(&walk, &value))
		{
			if (!has_pattern(named_by, walk.key, walk.key_len))
				es_json_compat_compare(compat, rule, list_make1(&value),
									   name_path(&here, path, walk.key, walk.key_len));
		}
	}
}

/*
 * What the writer says about properties that it does not name: a list of
 * schemas, NIL if it says nothing.
 */
static List *
other_schemas(const EsJsonView *writer)
{
	List	   *result = NIL;
	List	   *unevaluated = NIL;
	bool		has_additional = false;
	JsonbValue	value;
	ListCell   *lc;

	foreach(lc, writer->schemas)
	{
		if (es_json_get(lfirst(lc), "additionalProperties", &value))
			result = lappend(result, copy_value(&value));
	}
	foreach(lc, all_schemas(writer))
	{
		if (es_json_get(lfirst(lc), "additionalProperties", &value))
			has_additional = true;
		if (es_json_get(lfirst(lc), "unevaluatedProperties", &value))
			unevaluated = lappend(unevaluated, copy_value(&value));
	}

	/* "unevaluatedProperties" is for what no other keyword has looked at. */
	if (!has_additional && !writer->is_partial && list_length(unevaluated) == 1 &&
		!(writer->chosen != NULL &&
		  es_json_view_get(writer->chosen, "unevaluatedProperties", NULL, &value)))
		result = unevaluated;
	return result;
}

/*
 * "additionalProperties", and "unevaluatedProperties" where it is the same:
 * rule is its schema, named_by the schemas whose names and patterns do not
 * count.
 */
void
es_json_compat_others(EsJsonCompat *compat, const JsonbValue *rule, List *named_by,
					  const EsJsonView *writer, const EsJsonPath *path)
{
	List	   *others = other_schemas(writer);
	EsJsonPath	here;
	ListCell   *lc;

	foreach(lc, all_schemas(writer))
		compare_others(compat, rule, named_by, lfirst(lc), writer, path);
	if (rule->type == jbvBool && !rule->val.boolean)
	{
		if (!es_json_compat_fits(compat, rule, others))
			es_json_compat_break(compat, path, "properties that the schema does not name are not allowed any more");
	}
	else
		es_json_compat_compare(compat, rule, others, name_path(&here, path, "*", 1));
}

/*
 * Is a string among the items of an array?
 */
static bool
has_string(const JsonbValue *array, const char *text, int len)
{
	EsJsonWalk	walk;
	JsonbValue	item;

	if (!es_json_is_array(array))
		return false;
	es_json_walk_begin(&walk, array);
	while (es_json_walk_next(&walk, &item))
	{
		if (item.type == jbvString && item.val.string.len == len &&
			memcmp(item.val.string.val, text, len) == 0)
			return true;
	}
	return false;
}

bool
es_json_view_requires(const EsJsonView *view, const char *name, int len)
{
	ListCell   *lc;

	foreach(lc, view->schemas)
	{
		JsonbValue	required;

		if (es_json_get(lfirst(lc), "required", &required) && has_string(&required, name, len))
			return true;
	}
	return false;
}

void
es_json_compat_required(EsJsonCompat *compat, const JsonbValue *names,
						const EsJsonView *writer, const EsJsonPath *path)
{
	EsJsonWalk	walk;
	JsonbValue	name;
	EsJsonPath	here;

	es_json_walk_begin(&walk, names);
	while (es_json_walk_next(&walk, &name))
	{
		if (name.type == jbvString &&
			!es_json_view_requires(writer, name.val.string.val, name.val.string.len))
			es_json_compat_break(compat,
								 name_path(&here, path, name.val.string.val, name.val.string.len),
								 "is required now");
	}
}

/*
 * Does the writer require a property if there is another one?
 */
static bool
requires_with(const EsJsonView *writer, const char *name, int len, const JsonbValue *required)
{
	ListCell   *lc;

	foreach(lc, writer->schemas)
	{
		JsonbValue	names;

		if (get_within(lfirst(lc), "dependentRequired", name, len, &names) &&
			has_string(&names, required->val.string.val, required->val.string.len))
			return true;
	}
	return es_json_view_requires(writer, required->val.string.val, required->val.string.len);
}

void
es_json_compat_dependent(EsJsonCompat *compat, const JsonbValue *rule,
						 const EsJsonView *writer, const EsJsonPath *path)
{
	EsJsonWalk	walk;
	EsJsonWalk	inner;
	JsonbValue	names;
	JsonbValue	name;
	EsJsonPath	here;

	es_json_walk_begin(&walk, rule);
	while (es_json_walk_next(&walk, &names))
	{
		if (!es_json_is_array(&names))
			continue;
		es_json_walk_begin(&inner, &names);
		while (es_json_walk_next(&inner, &name))
		{
			if (name.type == jbvString && !requires_with(writer, walk.key, walk.key_len, &name))
				es_json_compat_break(compat,
									 name_path(&here, path, name.val.string.val,
											   name.val.string.len),
									 "is required now if there is \"%.*s\"",
									 walk.key_len, walk.key);
		}
	}
}

/*
 * An item of "prefixItems" of a schema by its number, or its "items"; false if
 * it says nothing about the item.
 */
static bool
get_item(const JsonbValue *schema, int number, JsonbValue *value)
{
	JsonbValue	prefix;
	EsJsonWalk	walk;

	if (es_json_get(schema, "prefixItems", &prefix) && es_json_is_array(&prefix) &&
		number < (int) es_json_count(&prefix))
	{
		es_json_walk_begin(&walk, &prefix);
		while ((int) walk.next <= number)
			(void) es_json_walk_next(&walk, value);
		return true;
	}
	return es_json_get(schema, "items", value);
}

static int
prefix_length(const JsonbValue *schema)
{
	JsonbValue	prefix;

	return es_json_get(schema, "prefixItems", &prefix) && es_json_is_array(&prefix) ?
		es_json_count(&prefix) : 0;
}

void
es_json_compat_items(EsJsonCompat *compat, const JsonbValue *schema,
					 const EsJsonView *writer, const EsJsonPath *path)
{
	int			length = prefix_length(schema);
	JsonbValue	limit;
	int32		most = PG_INT32_MAX;
	JsonbValue	value;
	EsJsonPath	here;
	ListCell   *lc;
	int			i;

	foreach(lc, writer->schemas)
	{
		length = Max(length, prefix_length(lfirst(lc)));
		if (es_json_get(lfirst(lc), "maxItems", &limit) && limit.type == jbvNumeric)
		{
			int32		own;

			if (es_json_small_integer(limit.val.numeric, &own))
				most = Min(most, own);
		}
	}

	/* Each item that has a schema of its own, and then one for all others. */
	for (i = 0; i <= length && i < most; i++)
	{
		List	   *writers = NIL;
		JsonbValue	theirs;

		CHECK_FOR_INTERRUPTS();
		if (!get_item(schema, i, &value))
			continue;
		foreach(lc, writer->schemas)
		{
			if (get_item(lfirst(lc), i, &theirs))
				writers = lappend(writers, copy_value(&theirs));
		}
		if (i == length)
			(void) name_path(&here, path, "*", 1);
		else
		{
			(void) name_path(&here, path, NULL, 0);
			here.number = i;
		}
		es_json_compat_compare(compat, &value, writers, &here);
	}
}
