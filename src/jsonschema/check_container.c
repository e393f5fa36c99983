/*-------------------------------------------------------------------------
 *
 * check_container.c
 *	  Does a value fit a schema?  Objects and arrays.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "jsonschema/check.h"

/* Up to so many items are compared with each other; more are sorted. */
#define FEW_ITEMS	8

void
es_json_marks_begin(EsJsonMarks *marks, uint32 count)
{
	Size		words = (count + 63) / 64;

	marks->count = count;
	marks->all = false;
	if (count <= ES_JSON_FEW_BITS)
	{
		marks->bits = marks->few;
		memset(marks->few, 0, sizeof(marks->few));
	}
	else
		marks->bits = palloc0(words * sizeof(uint64));
}

void
es_json_marks_end(EsJsonMarks *marks)
{
	if (marks->bits != marks->few)
		pfree(marks->bits);
}

void
es_json_marks_add(EsJsonMarks *marks, const EsJsonMarks *others)
{
	uint32		words = (marks->count + 63) / 64;
	uint32		i;

	if (others->all)
		marks->all = true;
	for (i = 0; i < words; i++)
		marks->bits[i] |= others->bits[i];
}

static bool
report_count(EsJsonCheck *check, const EsJsonNode *node, const char *keyword,
			 const char *must, int64 limit, const char *noun, int64 count,
			 const EsJsonPath *path)
{
	if (check->wanted == 0)
		return false;
	return es_json_report(check, node, keyword, path, "must have %s %s, has " INT64_FORMAT,
						  must, es_json_number_of(limit, noun), count);
}

/*
 * Checks a member against the node of one of the keywords for members.
 */
static inline bool
check_member(EsJsonCheck *check, const EsJsonNode *node, const EsJsonWalk *walk,
			 const JsonbValue *member, const EsJsonPath *path)
{
	EsJsonPath	here;

	if (node->anything)
		return true;
	here.parent = path;
	here.name = walk->key;
	here.len = walk->key_len;
	here.number = 0;
	here.is_name = false;
	return es_json_check_node(check, node, member, &here, NULL);
}

/*
 * Checks the name of a member.
 */
static bool
check_name(EsJsonCheck *check, const EsJsonNode *node, const EsJsonWalk *walk,
		   const EsJsonPath *path)
{
	EsJsonPath	here;
	JsonbValue	name;

	here.parent = path;
	here.name = walk->key;
	here.len = walk->key_len;
	here.number = 0;
	here.is_name = true;
	name.type = jbvString;
	name.val.string.val = (char *) walk->key;
	name.val.string.len = walk->key_len;
	return es_json_check_node(check, node, &name, &here, NULL);
}

/*
 * Checks a member against all patterns that its name matches, and, if it is in
 * neither them nor "properties", against "additionalProperties".
 */
static bool
check_other_rules(EsJsonCheck *check, const EsJsonObjectRules *rules, bool named,
				  const EsJsonWalk *walk, const JsonbValue *member,
				  const EsJsonPath *path, EsJsonMarks *marks)
{
	bool		ok = true;
	bool		evaluated = named;
	int			i;

	if (rules->names != NULL)
		DEMAND(check_name(check, rules->names, walk, path));
	for (i = 0; i < rules->npatterns; i++)
	{
		if (!es_json_pattern_matches(rules->patterns[i].pattern, walk->key, walk->key_len))
			continue;
		evaluated = true;
		DEMAND(check_member(check, rules->patterns[i].node, walk, member, path));
	}
	if (!evaluated && rules->additional != NULL)
	{
		evaluated = true;
		DEMAND(check_member(check, rules->additional, walk, member, path));
	}
	if (evaluated)
		es_json_mark(marks, walk->next - 1);
	return ok;
}

static bool
report_missing(EsJsonCheck *check, const EsJsonNode *node, const EsJsonProperty *property,
			   const EsJsonPath *path)
{
	return es_json_report(check, node, "required", path,
						  "must have the property \"%.*s\"", property->len, property->name);
}

/*
 * Goes over the members and over what is said about names in one pass: both are
 * in the same order.
 */
static bool
check_members(EsJsonCheck *check, const EsJsonNode *node, const JsonbValue *value,
			  const EsJsonPath *path, EsJsonMarks *marks)
{
	const EsJsonObjectRules *rules = node->object;
	const EsJsonProperty *property = rules->properties;
	const EsJsonProperty *end = property + rules->nproperties;
	bool		others = rules->npatterns > 0 || rules->additional != NULL ||
		rules->names != NULL;
	bool		ok = true;
	EsJsonWalk	walk;
	JsonbValue	member;

	es_json_walk_begin(&walk, value);
	while ((others || property < end) && es_json_walk_next(&walk, &member))
	{
		bool		named = false;
		int			order = 1;

		while (property < end &&
			   (order = es_json_compare_keys(property->name, property->len,
											 walk.key, walk.key_len)) < 0)
		{
			DEMAND(!property->required || report_missing(check, node, property, path));
			property++;
		}
		if (property < end && order == 0)
		{
			named = property->named;
			if (property->node != NULL)
				DEMAND(check_member(check, property->node, &walk, &member, path));
			property++;
		}
		if (others)
			DEMAND(check_other_rules(check, rules, named, &walk, &member, path, marks));
		else if (named)
			es_json_mark(marks, walk.next - 1);
	}
	for (; property < end; property++)
		DEMAND(!property->required || report_missing(check, node, property, path));
	return ok;
}

static bool
has_member(const JsonbValue *object, const char *name, int len)
{
	JsonbValue	found;

	return getKeyJsonValueFromContainer(object->val.binary.data, name, len, &found) != NULL;
}

/*
 * "dependentRequired" and "dependentSchemas".
 */
static bool
check_dependencies(EsJsonCheck *check, const EsJsonNode *node, const JsonbValue *value,
				   const EsJsonPath *path, EsJsonMarks *marks)
{
	bool		ok = true;
	int			i;
	int			j;

	for (i = 0; i < node->object->ndependencies; i++)
	{
		const EsJsonDependency *dependency = &node->object->dependencies[i];

		if (!has_member(value, dependency->name, dependency->len))
			continue;
		if (dependency->node != NULL)
			DEMAND(es_json_check_node(check, dependency->node, value, path, marks));
		for (j = 0; j < dependency->nrequired; j++)
		{
			const JsonbValue *name = &dependency->required[j];

			DEMAND(has_member(value, name->val.string.val, name->val.string.len) ||
				   es_json_report(check, node, "dependentRequired", path,
								  "must have the property \"%.*s\", as it has \"%.*s\"",
								  name->val.string.len, name->val.string.val,
								  dependency->len, dependency->name));
		}
	}
	return ok;
}

bool
es_json_check_object(EsJsonCheck *check, const EsJsonNode *node, const JsonbValue *value,
					 const EsJsonPath *path, EsJsonMarks *marks)
{
	const EsJsonObjectRules *rules = node->object;
	int64		count = es_json_count(value);
	bool		ok = true;

	DEMAND(count >= rules->min ||
		   report_count(check, node, "minProperties", "at least", rules->min,
						"property", count, path));
	DEMAND(count <= rules->max ||
		   report_count(check, node, "maxProperties", "at most", rules->max,
						"property", count, path));
	DEMAND(check_members(check, node, value, path, marks));
	if (rules->ndependencies > 0)
		DEMAND(check_dependencies(check, node, value, path, marks));
	return ok;
}

/*
 * "prefixItems" and "items".
 */
static bool
check_items(EsJsonCheck *check, const EsJsonArrayRules *rules, const JsonbValue *value,
			const EsJsonPath *path, EsJsonMarks *marks)
{
	EsJsonWalk	walk;
	JsonbValue	item;
	EsJsonPath	here;
	bool		ok = true;

	here.parent = path;
	here.name = NULL;
	here.len = 0;
	here.is_name = false;
	es_json_walk_begin(&walk, value);
	while (es_json_walk_next(&walk, &item))
	{
		int			number = walk.next - 1;
		const EsJsonNode *node = number < rules->nprefix ? rules->prefix[number] : rules->items;

		if (node == NULL)
			break;
		es_json_mark(marks, number);
		here.number = number;
		DEMAND(es_json_check_node(check, node, &item, &here, NULL));
	}
	return ok;
}

static bool
check_contains(EsJsonCheck *check, const EsJsonNode *node, const JsonbValue *value,
			   const EsJsonPath *path, EsJsonMarks *marks)
{
	const EsJsonArrayRules *rules = node->array;
	EsJsonWalk	walk;
	JsonbValue	item;
	int64		found = 0;
	bool		ok = true;

	es_json_walk_begin(&walk, value);
	while (es_json_walk_next(&walk, &item))
	{
		if (!es_json_check_quietly(check, rules->contains, &item, path, NULL))
			continue;
		es_json_mark(marks, walk.next - 1);
		found++;
		if (marks == NULL && found >= rules->min_contains &&
			rules->max_contains == PG_INT64_MAX)
			break;
	}
	DEMAND(found >= rules->min_contains ||
		   report_count(check, node, rules->min_contains == 1 ? "contains" : "minContains",
						"at least", rules->min_contains,
						"fitting item", found, path));
	DEMAND(found <= rules->max_contains ||
		   report_count(check, node, "maxContains", "at most", rules->max_contains,
						"fitting item", found, path));
	return ok;
}

/* An item with its number, to be sorted. */
typedef struct NumberedItem
{
	JsonbValue	value;
	int			number;
} NumberedItem;

static int
compare_items(const void *a, const void *b)
{
	const NumberedItem *item = a;
	const NumberedItem *other = b;
	int			order;

	CHECK_FOR_INTERRUPTS();
	order = es_json_compare(&item->value, &other->value);

	if (order != 0)
		return order;
	return item->number < other->number ? -1 : item->number > other->number;
}

/*
 * Looks for two equal items; false if there are none.
 */
static bool
find_equal_items(const JsonbValue *value, int *first, int *second)
{
	NumberedItem		few[FEW_ITEMS];
	NumberedItem	   *items = few;
	int			n = es_json_count(value);
	bool		found = false;
	EsJsonWalk	walk;
	int			i;
	int			j;

	if (n > FEW_ITEMS)
		items = MemoryContextAllocHuge(CurrentMemoryContext, (Size) n * sizeof(NumberedItem));
	es_json_walk_begin(&walk, value);
	for (i = 0; i < n; i++)
	{
		(void) es_json_walk_next(&walk, &items[i].value);
		items[i].number = i;
	}
	if (n > FEW_ITEMS)
		qsort(items, n, sizeof(NumberedItem), compare_items);
	for (i = 1; i < n && !found; i++)
	{
		for (j = n > FEW_ITEMS ? i - 1 : 0; j < i && !found; j++)
		{
			found = es_json_compare(&items[i].value, &items[j].value) == 0;
			*first = items[j].number;
			*second = items[i].number;
		}
	}
	if (items != few)
		pfree(items);
	return found;
}

static bool
check_unique(EsJsonCheck *check, const EsJsonNode *node, const JsonbValue *value,
			 const EsJsonPath *path)
{
	int			first;
	int			second;

	if (!find_equal_items(value, &first, &second))
		return true;
	return es_json_report(check, node, "uniqueItems", path,
						  "must not have equal items, has those at %d and %d", first, second);
}

bool
es_json_check_array(EsJsonCheck *check, const EsJsonNode *node, const JsonbValue *value,
					const EsJsonPath *path, EsJsonMarks *marks)
{
	const EsJsonArrayRules *rules = node->array;
	int64		count = es_json_count(value);
	bool		ok = true;

	DEMAND(count >= rules->min ||
		   report_count(check, node, "minItems", "at least", rules->min, "item", count, path));
	DEMAND(count <= rules->max ||
		   report_count(check, node, "maxItems", "at most", rules->max, "item", count, path));
	if (rules->nprefix > 0 || rules->items != NULL)
		DEMAND(check_items(check, rules, value, path, marks));
	if (rules->contains != NULL)
		DEMAND(check_contains(check, node, value, path, marks));
	if (rules->unique)
		DEMAND(check_unique(check, node, value, path));
	return ok;
}

bool
es_json_check_unevaluated(EsJsonCheck *check, const EsJsonNode *rule,
						  const JsonbValue *value, const EsJsonPath *path,
						  EsJsonMarks *marks)
{
	EsJsonWalk	walk;
	JsonbValue	member;
	EsJsonPath	here;
	bool		ok = true;

	here.parent = path;
	here.is_name = false;
	es_json_walk_begin(&walk, value);
	while (!marks->all && es_json_walk_next(&walk, &member))
	{
		uint32		number = walk.next - 1;

		if ((marks->bits[number >> 6] >> (number & 63) & 1) != 0)
			continue;
		here.name = walk.key;
		here.len = walk.key_len;
		here.number = number;
		DEMAND(es_json_check_node(check, rule, &member, &here, NULL));
	}
	marks->all = true;
	return ok;
}
