/*-------------------------------------------------------------------------
 *
 * compat_rules.c
 *	  Comparing schemas keyword by keyword.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "jsonschema/compat.h"

#define MAX_SHOWN	60

/* A comparison of one keyword of the reader's. */
typedef struct Rule
{
	EsJsonCompat *compat;
	const JsonbValue *schema;	/* that the keyword stands in */
	const EsJsonView *reader;
	const EsJsonView *writer;
	const EsJsonPath *path;
	const char *keyword;
	const JsonbValue *value;
} Rule;

static const char *
show(const JsonbValue *value)
{
	return es_json_show(value, MAX_SHOWN);
}

/*
 * Says that it cannot tell, unless the writer has the same keyword.
 */
static void
compare_text(const Rule *rule)
{
	JsonbValue	value;

	if (!es_json_view_get(rule->writer, rule->keyword, rule->value, &value) ||
		!es_json_compat_same(rule->compat, rule->value, &value))
		es_json_compat_break(rule->compat, rule->path,
							 "cannot tell whether \"%s\" accepts all that was accepted before",
							 rule->keyword);
}

static void
compare_type(const Rule *rule)
{
	int			before = es_json_view_types(rule->writer);
	int			now = es_json_schema_types(rule->schema);
	int			missing = before & ~now;

	if (missing == 0)
		return;
	if (before == ES_JSON_ANY)
		es_json_compat_break(rule->compat, rule->path, "must be of type %s now",
							 es_json_type_names(now));
	else if (missing == ES_JSON_NUMBER && (now & ES_JSON_INTEGER) != 0)
		es_json_compat_break(rule->compat, rule->path,
							 "a number with a fraction is not accepted any more");
	else
		es_json_compat_break(rule->compat, rule->path, "type %s is not accepted any more",
							 es_json_type_names(missing));
}

/*
 * The strongest bound that the writer's "keyword" sets, and whether it is an
 * exclusive one; NULL if there is none.  sign is 1 for lower bounds and -1 for
 * upper ones.
 */
static Numeric
strongest(const EsJsonView *view, const char *keyword, const char *exclusive_keyword,
		  int sign, bool *exclusive)
{
	Numeric		best = NULL;
	ListCell   *lc;
	int			i;

	*exclusive = false;
	foreach(lc, view->schemas)
	{
		for (i = 0; i < 2; i++)
		{
			const char *name = i == 0 ? keyword : exclusive_keyword;
			JsonbValue	value;
			int			order;

			if (name == NULL || !es_json_get(lfirst(lc), name, &value) ||
				value.type != jbvNumeric)
				continue;
			order = best == NULL ? 1 : sign * es_json_compare_numbers(value.val.numeric, best);
			if (order > 0)
			{
				best = value.val.numeric;
				*exclusive = i == 1;
			}
			else if (order == 0 && i == 1)
				*exclusive = true;
		}
	}
	return best;
}

/*
 * "minimum" and the like.
 */
static void
compare_bound(const Rule *rule)
{
	bool		is_lower = strcmp(rule->keyword, "minimum") == 0 ||
		strcmp(rule->keyword, "exclusiveMinimum") == 0;
	bool		is_exclusive = rule->keyword[0] == 'e';
	int			sign = is_lower ? 1 : -1;
	bool		exclusive;
	Numeric		bound = strongest(rule->writer, is_lower ? "minimum" : "maximum",
								  is_lower ? "exclusiveMinimum" : "exclusiveMaximum",
								  sign, &exclusive);
	int			order = bound == NULL ? -1 :
		sign * es_json_compare_numbers(bound, rule->value->val.numeric);

	if (order > 0 || (order == 0 && (exclusive || !is_exclusive)))
		return;
	es_json_compat_break(rule->compat, rule->path, "must be %s %s now",
						 is_exclusive ? (is_lower ? "greater than" : "less than") :
						 (is_lower ? "at least" : "at most"), show(rule->value));
}

/*
 * "minLength" and the like.
 */
static void
compare_limit(const Rule *rule)
{
	bool		is_lower = rule->keyword[1] == 'i';
	bool		exclusive;
	Numeric		limit = strongest(rule->writer, rule->keyword, NULL, is_lower ? 1 : -1,
								  &exclusive);
	const char *noun = strstr(rule->keyword, "Length") != NULL ? "character" :
		strstr(rule->keyword, "Items") != NULL ? "item" : "property";
	int32		number = PG_INT32_MAX;

	if (limit != NULL &&
		(is_lower ? 1 : -1) * es_json_compare_numbers(limit, rule->value->val.numeric) >= 0)
		return;
	if (is_lower && es_json_sign(rule->value->val.numeric) == 0)
		return;
	(void) es_json_small_integer(rule->value->val.numeric, &number);
	es_json_compat_break(rule->compat, rule->path, "must have at %s %s now",
						 is_lower ? "least" : "most", es_json_number_of(number, noun));
}

static void
compare_multiple(const Rule *rule)
{
	Numeric		of = rule->value->val.numeric;
	ListCell   *lc;

	foreach(lc, rule->writer->schemas)
	{
		JsonbValue	value;

		if (es_json_get(lfirst(lc), rule->keyword, &value) && value.type == jbvNumeric &&
			es_json_is_multiple(value.val.numeric, of))
			return;
	}

	/* Integers are multiples of what 1 is a multiple of. */
	if ((es_json_view_types(rule->writer) & ES_JSON_NUMBER) == 0 &&
		es_json_is_multiple(int64_to_numeric(1), of))
		return;
	es_json_compat_break(rule->compat, rule->path, "must be a multiple of %s now",
						 show(rule->value));
}

static void
compare_pattern(const Rule *rule)
{
	JsonbValue	value;

	if (es_json_view_get(rule->writer, rule->keyword, rule->value, &value))
		return;
	if (es_json_view_get(rule->writer, rule->keyword, NULL, &value))
		es_json_compat_break(rule->compat, rule->path,
							 "cannot tell whether the pattern %s accepts all that %s does",
							 show(rule->value), show(&value));
	else
		es_json_compat_break(rule->compat, rule->path, "must match the pattern %s now",
							 show(rule->value));
}

static void
compare_unique(const Rule *rule)
{
	JsonbValue	value;

	if (rule->value->val.boolean &&
		!es_json_view_get(rule->writer, rule->keyword, rule->value, &value))
		es_json_compat_break(rule->compat, rule->path, "must not have equal items now");
}

static void
compare_values(const Rule *rule)
{
	if (strcmp(rule->keyword, "const") == 0)
		es_json_compat_break(rule->compat, rule->path, "must be %s now", show(rule->value));
	else
		es_json_compat_break(rule->compat, rule->path, "must be one of %s now",
							 show(rule->value));
}

static void
compare_properties(const Rule *rule)
{
	es_json_compat_properties(rule->compat, rule->schema, rule->writer, rule->path);
}

static void
compare_patterns(const Rule *rule)
{
	es_json_compat_patterns(rule->compat, rule->schema, rule->writer, rule->path);
}

static void
compare_additional(const Rule *rule)
{
	es_json_compat_others(rule->compat, rule->value, list_make1((void *) rule->schema),
						  rule->writer, rule->path);
}

/*
 * "unevaluatedProperties" counts what all schemas of the reader's name, unless
 * some of them are chosen by the value.
 */
static void
compare_unevaluated(const Rule *rule)
{
	static const char *const choosing[] = {"anyOf", "oneOf", "if", "dependentSchemas"};
	JsonbValue	value;
	int			i;

	for (i = 0; i < (int) lengthof(choosing); i++)
	{
		if (es_json_view_get(rule->reader, choosing[i], NULL, &value))
		{
			es_json_compat_break(rule->compat, rule->path,
								 "cannot tell whether \"%s\" accepts all that was accepted before",
								 rule->keyword);
			return;
		}
	}
	es_json_compat_others(rule->compat, rule->value, rule->reader->schemas,
						  rule->writer, rule->path);
}

static void
compare_required(const Rule *rule)
{
	es_json_compat_required(rule->compat, rule->value, rule->writer, rule->path);
}

static void
compare_dependent(const Rule *rule)
{
	es_json_compat_dependent(rule->compat, rule->value, rule->writer, rule->path);
}

/*
 * "items" and "prefixItems" belong together: the first of them that is there
 * does both.
 */
static void
compare_items(const Rule *rule)
{
	JsonbValue	value;

	if (strcmp(rule->keyword, "prefixItems") == 0 ||
		!es_json_get(rule->schema, "prefixItems", &value))
		es_json_compat_items(rule->compat, rule->schema, rule->writer, rule->path);
}

/*
 * Keywords that mean something together with others in the same schema: all of
 * them must be the same in one of the writer's.
 */
static void
compare_together(const Rule *rule)
{
	static const char *const groups[][4] = {
		{"contains", "minContains", "maxContains", NULL},
		{"if", "then", "else", NULL},
		{"unevaluatedItems", "items", "prefixItems", "contains"},
	};
	ListCell   *lc;
	int			group = rule->keyword[0] == 'c' ? 0 : rule->keyword[0] == 'i' ? 1 : 2;
	int			i;

	foreach(lc, rule->writer->schemas)
	{
		bool		same = true;

		for (i = 0; i < 4 && groups[group][i] != NULL; i++)
		{
			JsonbValue	ours;
			JsonbValue	theirs;
			bool		has_ours = es_json_get(rule->schema, groups[group][i], &ours);
			bool		has_theirs = es_json_get(lfirst(lc), groups[group][i], &theirs);

			if (has_ours != has_theirs ||
				(has_ours && !es_json_compat_same(rule->compat, &ours, &theirs)))
				same = false;
		}
		if (same)
			return;
	}
	es_json_compat_break(rule->compat, rule->path,
						 "cannot tell whether \"%s\" accepts all that was accepted before",
						 rule->keyword);
}

/*
 * Does what the writer accepts, together with one more schema, fit one of the
 * alternatives?
 */
static bool
fits_any(const Rule *rule, const JsonbValue *more)
{
	List	   *writers = list_copy(rule->writer->schemas);
	EsJsonWalk	walk;
	JsonbValue	alternative;

	if (more != NULL)
		writers = lappend(writers, (void *) more);
	es_json_walk_begin(&walk, rule->value);
	while (es_json_walk_next(&walk, &alternative))
	{
		if (es_json_compat_fits(rule->compat, &alternative, writers))
			return true;
	}
	return false;
}

/*
 * "anyOf": each alternative of the writer's must fit one of the reader's.
 */
static void
compare_any_of(const Rule *rule)
{
	JsonbValue	alternatives;
	JsonbValue	alternative;
	EsJsonWalk	walk;

	if (fits_any(rule, NULL))
		return;
	if (!es_json_view_get(rule->writer, "anyOf", NULL, &alternatives) &&
		!es_json_view_get(rule->writer, "oneOf", NULL, &alternatives))
	{
		es_json_compat_break(rule->compat, rule->path,
							 "cannot tell whether \"%s\" accepts all that was accepted before",
							 rule->keyword);
		return;
	}
	es_json_walk_begin(&walk, &alternatives);
	while (es_json_walk_next(&walk, &alternative))
	{
		if (!fits_any(rule, &alternative))
			es_json_compat_break(rule->compat, rule->path,
								 "cannot tell whether what the alternative %d accepted fits \"%s\"",
								 walk.next - 1, rule->keyword);
	}
}

static const struct
{
	const char *keyword;
	int			types;			/* for which it matters */
	void		(*compare) (const Rule *rule);
	bool		by_values;		/* can be tried on single values */
}			rules[] = {
	{"additionalProperties", ES_JSON_OBJECT, compare_additional, false},
	{"anyOf", ES_JSON_ANY, compare_any_of, false},
	{"const", ES_JSON_ANY, compare_values, true},
	{"contains", ES_JSON_ARRAY, compare_together, false},
	{"dependentRequired", ES_JSON_OBJECT, compare_dependent, false},
	{"dependentSchemas", ES_JSON_OBJECT, compare_text, false},
	{"enum", ES_JSON_ANY, compare_values, true},
	{"exclusiveMaximum", ES_JSON_NUMBER | ES_JSON_INTEGER, compare_bound, true},
	{"exclusiveMinimum", ES_JSON_NUMBER | ES_JSON_INTEGER, compare_bound, true},
	{"if", ES_JSON_ANY, compare_together, false},
	{"items", ES_JSON_ARRAY, compare_items, false},
	{"maxItems", ES_JSON_ARRAY, compare_limit, true},
	{"maxLength", ES_JSON_STRING, compare_limit, true},
	{"maxProperties", ES_JSON_OBJECT, compare_limit, true},
	{"maximum", ES_JSON_NUMBER | ES_JSON_INTEGER, compare_bound, true},
	{"minItems", ES_JSON_ARRAY, compare_limit, true},
	{"minLength", ES_JSON_STRING, compare_limit, true},
	{"minProperties", ES_JSON_OBJECT, compare_limit, true},
	{"minimum", ES_JSON_NUMBER | ES_JSON_INTEGER, compare_bound, true},
	{"multipleOf", ES_JSON_NUMBER | ES_JSON_INTEGER, compare_multiple, true},
	{"not", ES_JSON_ANY, compare_text, false},
	{"oneOf", ES_JSON_ANY, compare_text, false},
	{"pattern", ES_JSON_STRING, compare_pattern, true},
	{"patternProperties", ES_JSON_OBJECT, compare_patterns, false},
	{"prefixItems", ES_JSON_ARRAY, compare_items, false},
	{"properties", ES_JSON_OBJECT, compare_properties, false},
	{"propertyNames", ES_JSON_OBJECT, compare_text, false},
	{"required", ES_JSON_OBJECT, compare_required, true},
	{"type", ES_JSON_ANY, compare_type, true},
	{"unevaluatedItems", ES_JSON_ARRAY, compare_together, false},
	{"unevaluatedProperties", ES_JSON_OBJECT, compare_unevaluated, false},
	{"uniqueItems", ES_JSON_ARRAY, compare_unique, true},
};

/*
 * A schema with one keyword only.
 */
static EsJsonSchema *
schema_of_keyword(const char *keyword, const JsonbValue *value)
{
	JsonbParseState *state = NULL;
	JsonbValue	key;
	JsonbValue	copy = *value;
	JsonbValue *result;

	key.type = jbvString;
	key.val.string.val = (char *) keyword;
	key.val.string.len = strlen(keyword);
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	(void) pushJsonbValue(&state, WJB_KEY, &key);
	(void) pushJsonbValue(&state, WJB_VALUE, &copy);
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return es_json_schema_compile(JsonbValueToJsonb(result), CurrentMemoryContext);
}

static void
try_value(const Rule *rule, const EsJsonSchema *schema, const JsonbValue *value)
{
	JsonbValue	copy = *value;

	if (!es_json_schema_check(schema, JsonbValueToJsonb(&copy), NULL))
		es_json_compat_break(rule->compat, rule->path,
							 strcmp(rule->keyword, "enum") == 0 ?
							 "value %s is not in the enum any more" :
							 "value %s is not accepted any more", show(value));
}

/*
 * If the writer's schema lists the values that there may be, tries each of
 * them; false if there is no list.
 */
static bool
try_values(const Rule *rule)
{
	EsJsonSchema *schema;
	JsonbValue	values;
	JsonbValue	value;
	EsJsonWalk	walk;
	bool		single = es_json_view_get(rule->writer, "const", NULL, &values);

	if (!single && !es_json_view_get(rule->writer, "enum", NULL, &values))
		return false;
	schema = schema_of_keyword(rule->keyword, rule->value);
	if (single)
		try_value(rule, schema, &values);
	else
	{
		es_json_walk_begin(&walk, &values);
		while (es_json_walk_next(&walk, &value))
			try_value(rule, schema, &value);
	}
	es_json_schema_free(schema);
	return true;
}

void
es_json_compat_rules(EsJsonCompat *compat, const JsonbValue *schema,
					 const EsJsonView *reader, const EsJsonView *writer,
					 const EsJsonPath *path)
{
	int			types = es_json_view_types(writer);
	Rule		rule = {compat, schema, reader, writer, path, NULL, NULL};
	JsonbValue	value;
	int			i;

	for (i = 0; i < (int) lengthof(rules); i++)
	{
		rule.keyword = rules[i].keyword;
		rule.value = &value;
		if ((types & rules[i].types) != 0 && es_json_get(schema, rule.keyword, &value) &&
			!(rules[i].by_values && try_values(&rule)))
			rules[i].compare(&rule);
	}
}
