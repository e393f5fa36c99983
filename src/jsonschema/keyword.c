/*-------------------------------------------------------------------------
 *
 * keyword.c
 *	  What each keyword of a schema puts into its node.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Everything is allocated in the current context, which is that of the
 *	  schema.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "jsonschema/keyword.h"

#define KEYWORD_ARGS	EsJsonCompiler *compiler, EsJsonNode *node, \
						const JsonbValue *schema, const char *keyword, \
						const JsonbValue *value

/*
 * Raises 22023 unless a keyword of a place has a value of one of the types.
 */
static void
demand_type_at(const EsJsonPlace *place, const char *keyword, const JsonbValue *value,
			   int types)
{
	if ((es_json_type(value) & types) == 0)
		es_json_complain(place, keyword,
						 psprintf("must be of type %s, is %s",
								  es_json_type_names(types), es_json_show(value, 60)), NULL);
}

static void
demand_type(const EsJsonNode *node, const char *keyword, const JsonbValue *value,
			int types)
{
	demand_type_at(node->place, keyword, value, types);
}

/*
 * The object rules of a node, made with the first keyword that needs them; the
 * same for the other types.
 */
static EsJsonObjectRules *
object_rules(EsJsonNode *node)
{
	if (node->object == NULL)
	{
		node->object = palloc0(sizeof(EsJsonObjectRules));
		node->object->max = PG_INT64_MAX;
	}
	return node->object;
}

static EsJsonArrayRules *
array_rules(EsJsonNode *node)
{
	if (node->array == NULL)
	{
		node->array = palloc0(sizeof(EsJsonArrayRules));
		node->array->max = PG_INT64_MAX;
		node->array->min_contains = 1;
		node->array->max_contains = PG_INT64_MAX;
	}
	return node->array;
}

static EsJsonStringRules *
string_rules(EsJsonNode *node)
{
	if (node->string == NULL)
	{
		node->string = palloc0(sizeof(EsJsonStringRules));
		node->string->max = PG_INT64_MAX;
	}
	return node->string;
}

static EsJsonNumberRules *
number_rules(EsJsonNode *node)
{
	if (node->number == NULL)
		node->number = palloc0(sizeof(EsJsonNumberRules));
	return node->number;
}

/*
 * The node of a subschema at a keyword, or a step below it.
 */
static EsJsonNode *
compile_at(EsJsonCompiler *compiler, EsJsonNode *node, const EsJsonPlace *place,
		   const JsonbValue *value)
{
	EsJsonTarget target;

	target.value = *value;
	target.place = place;
	target.resource = node->resource;
	return es_json_compile_target(compiler, &target);
}

static EsJsonNode *
compile_subschema(EsJsonCompiler *compiler, EsJsonNode *node, const char *keyword,
				  const JsonbValue *value)
{
	return compile_at(compiler, node,
					  es_json_place_name(node->place, keyword, strlen(keyword)),
					  value);
}

/*
 * The nodes of an array of subschemas.
 */
static EsJsonNode **
compile_subschemas(EsJsonCompiler *compiler, EsJsonNode *node, const char *keyword,
				   const JsonbValue *value, int *nnodes)
{
	const EsJsonPlace *place = es_json_place_name(node->place, keyword, strlen(keyword));
	EsJsonNode **nodes;
	EsJsonWalk	walk;
	JsonbValue	member;

	demand_type(node, keyword, value, ES_JSON_ARRAY);
	if (es_json_count(value) == 0)
		es_json_complain(node->place, keyword, "must not be empty", NULL);
	*nnodes = es_json_count(value);
	nodes = palloc(*nnodes * sizeof(EsJsonNode *));
	es_json_walk_begin(&walk, value);
	while (es_json_walk_next(&walk, &member))
	{
		int			number = walk.next - 1;

		nodes[number] = compile_at(compiler, node, es_json_place_number(place, number),
								   &member);
	}
	return nodes;
}

static EsJsonApplicator *
add_applicator(EsJsonNode *node, EsJsonApplicatorKind kind)
{
	EsJsonApplicator *applicator;

	if (node->applicators == NULL)
		node->applicators = palloc(sizeof(EsJsonApplicator));
	else
		node->applicators = repalloc(node->applicators,
									 (node->napplicators + 1) * sizeof(EsJsonApplicator));
	applicator = &node->applicators[node->napplicators++];
	memset(applicator, 0, sizeof(EsJsonApplicator));
	applicator->kind = kind;
	return applicator;
}

/*
 * Adds an applicator with nodes that are there already: compiling them may add
 * to the same node.
 */
static void
add_nodes(EsJsonNode *node, EsJsonApplicatorKind kind, EsJsonNode **nodes, int nnodes)
{
	EsJsonApplicator *applicator = add_applicator(node, kind);

	applicator->nodes = nodes;
	applicator->nnodes = nnodes;
}

static EsJsonNode **
one_node(EsJsonNode *node)
{
	EsJsonNode **nodes = palloc(sizeof(EsJsonNode *));

	nodes[0] = node;
	return nodes;
}

static void
compile_ref(KEYWORD_ARGS)
{
	EsJsonTarget target;

	(void) es_json_find_target(compiler, node->place, keyword, node->resource,
							   value, &target);
	add_nodes(node, ES_JSON_REF, one_node(es_json_compile_target(compiler, &target)), 1);
}

/*
 * A "$dynamicRef" is a "$ref" unless it ends in the name of a dynamic anchor.
 */
static void
compile_dynamic_ref(KEYWORD_ARGS)
{
	EsJsonTarget target;
	const char *anchor = es_json_find_target(compiler, node->place, keyword,
											 node->resource, value, &target);
	EsJsonNode **nodes = one_node(es_json_compile_target(compiler, &target));

	add_nodes(node, anchor != NULL ? ES_JSON_DYNAMIC_REF : ES_JSON_REF, nodes, 1);
	node->applicators[node->napplicators - 1].anchor = anchor;
	if (anchor != NULL)
		compiler->schema->is_dynamic = true;
}

static void
compile_all_of(KEYWORD_ARGS)
{
	int			nnodes;
	EsJsonNode **nodes = compile_subschemas(compiler, node, keyword, value, &nnodes);

	add_nodes(node, ES_JSON_ALL_OF, nodes, nnodes);
}

static void
compile_any_of(KEYWORD_ARGS)
{
	int			nnodes;
	EsJsonNode **nodes = compile_subschemas(compiler, node, keyword, value, &nnodes);

	add_nodes(node, ES_JSON_ANY_OF, nodes, nnodes);
}

static void
compile_one_of(KEYWORD_ARGS)
{
	int			nnodes;
	EsJsonNode **nodes = compile_subschemas(compiler, node, keyword, value, &nnodes);

	add_nodes(node, ES_JSON_ONE_OF, nodes, nnodes);
}

static void
compile_not(KEYWORD_ARGS)
{
	add_nodes(node, ES_JSON_NOT,
			  one_node(compile_subschema(compiler, node, keyword, value)), 1);
}

/*
 * "if", with "then" and "else" beside it; these mean nothing without it.
 */
static void
compile_if(KEYWORD_ARGS)
{
	EsJsonNode **nodes = palloc0(3 * sizeof(EsJsonNode *));
	JsonbValue	branch;

	nodes[0] = compile_subschema(compiler, node, keyword, value);
	if (es_json_get(schema, "then", &branch))
		nodes[1] = compile_subschema(compiler, node, "then", &branch);
	if (es_json_get(schema, "else", &branch))
		nodes[2] = compile_subschema(compiler, node, "else", &branch);
	add_nodes(node, ES_JSON_IF, nodes, 3);
}

/*
 * "then" or "else": used by "if", but must be a schema without it too.
 */
static void
compile_branch(KEYWORD_ARGS)
{
	(void) compile_subschema(compiler, node, keyword, value);
}

/*
 * A type by its name; 0 if there is none.
 */
static int
type_of_name(const JsonbValue *name)
{
	static const struct
	{
		const char *name;
		int			type;
	}			types[] = {
		{"null", ES_JSON_NULL},
		{"boolean", ES_JSON_BOOLEAN},
		{"integer", ES_JSON_INTEGER},
		{"number", ES_JSON_NUMBER | ES_JSON_INTEGER},
		{"string", ES_JSON_STRING},
		{"array", ES_JSON_ARRAY},
		{"object", ES_JSON_OBJECT},
	};
	int			i;

	for (i = 0; name->type == jbvString && i < (int) lengthof(types); i++)
	{
		if (es_json_key_is(name->val.string.val, name->val.string.len, types[i].name))
			return types[i].type;
	}
	return 0;
}

static void
compile_type(KEYWORD_ARGS)
{
	EsJsonWalk	walk;
	JsonbValue	member = *value;
	int			types = type_of_name(value);

	if (es_json_is_array(value))
	{
		es_json_walk_begin(&walk, value);
		while (es_json_walk_next(&walk, &member))
		{
			int			type = type_of_name(&member);

			if (type == 0)
			{
				types = 0;
				break;
			}
			types |= type;
		}
	}
	if (types == 0)
		es_json_complain(node->place, keyword,
						 psprintf("must be null, boolean, integer, number, string, array or object, or an array of some of them, is %s",
								  es_json_show(value, 60)), NULL);
	node->types = types;
}

/*
 * "enum" and "const"; a schema with both gets what is in both.
 */
static void
compile_enum(KEYWORD_ARGS)
{
	EsJsonWalk	walk;
	JsonbValue	member;
	int			n = 0;
	int			i;
	JsonbValue *values;

	demand_type(node, keyword, value, ES_JSON_ARRAY);
	values = palloc((es_json_count(value) + 1) * sizeof(JsonbValue));
	es_json_walk_begin(&walk, value);
	while (es_json_walk_next(&walk, &member))
	{
		bool		allowed = node->enumeration == NULL;

		for (i = 0; !allowed && i < node->nenumeration; i++)
			allowed = es_json_compare(&node->enumeration[i], &member) == 0;
		if (allowed)
			values[n++] = member;
	}
	node->enumeration = values;
	node->nenumeration = n;
}

static void
compile_const(KEYWORD_ARGS)
{
	bool		allowed = node->enumeration == NULL;
	int			i;

	for (i = 0; !allowed && i < node->nenumeration; i++)
		allowed = es_json_compare(&node->enumeration[i], value) == 0;
	node->enumeration = palloc(sizeof(JsonbValue));
	node->enumeration[0] = *value;
	node->nenumeration = allowed ? 1 : 0;
	node->is_const = true;
}

/*
 * A limit of a length or a count: an integer that is not negative.
 */
static int64
get_limit(EsJsonNode *node, const char *keyword, const JsonbValue *value)
{
	int32		limit;

	demand_type(node, keyword, value, ES_JSON_INTEGER);
	if (!es_json_small_integer(value->val.numeric, &limit))
		limit = PG_INT32_MAX;	/* no jsonb has as many of anything */
	if (es_json_sign(value->val.numeric) < 0)
		es_json_complain(node->place, keyword, "must not be negative", NULL);
	return limit;
}

static void
compile_min_length(KEYWORD_ARGS)
{
	string_rules(node)->min = get_limit(node, keyword, value);
}

static void
compile_max_length(KEYWORD_ARGS)
{
	string_rules(node)->max = get_limit(node, keyword, value);
}

static void
compile_min_items(KEYWORD_ARGS)
{
	array_rules(node)->min = get_limit(node, keyword, value);
}

static void
compile_max_items(KEYWORD_ARGS)
{
	array_rules(node)->max = get_limit(node, keyword, value);
}

static void
compile_min_contains(KEYWORD_ARGS)
{
	array_rules(node)->min_contains = get_limit(node, keyword, value);
}

static void
compile_max_contains(KEYWORD_ARGS)
{
	array_rules(node)->max_contains = get_limit(node, keyword, value);
}

static void
compile_min_properties(KEYWORD_ARGS)
{
	object_rules(node)->min = get_limit(node, keyword, value);
}

static void
compile_max_properties(KEYWORD_ARGS)
{
	object_rules(node)->max = get_limit(node, keyword, value);
}

static Numeric
get_number(EsJsonNode *node, const char *keyword, const JsonbValue *value)
{
	demand_type(node, keyword, value, ES_JSON_NUMBER);
	return value->val.numeric;
}

static void
compile_minimum(KEYWORD_ARGS)
{
	number_rules(node)->minimum = get_number(node, keyword, value);
}

static void
compile_exclusive_minimum(KEYWORD_ARGS)
{
	number_rules(node)->exclusive_minimum = get_number(node, keyword, value);
}

static void
compile_maximum(KEYWORD_ARGS)
{
	number_rules(node)->maximum = get_number(node, keyword, value);
}

static void
compile_exclusive_maximum(KEYWORD_ARGS)
{
	number_rules(node)->exclusive_maximum = get_number(node, keyword, value);
}

static void
compile_multiple_of(KEYWORD_ARGS)
{
	EsJsonNumberRules *rules = number_rules(node);

	rules->multiple_of = get_number(node, keyword, value);
	if (es_json_sign(rules->multiple_of) <= 0)
		es_json_complain(node->place, keyword, "must be greater than 0", NULL);
	if (!es_json_small_integer(rules->multiple_of, &rules->multiple_of_integer))
		rules->multiple_of_integer = 0;
}

/*
 * Compiles a regular expression that stands at a keyword.
 */
static EsJsonPattern *
get_pattern(const EsJsonPlace *place, const char *keyword, const char *source, int len)
{
	char	   *problem;
	EsJsonPattern *pattern = es_json_pattern_compile(source, len, CurrentMemoryContext,
													 &problem);

	if (pattern == NULL)
		es_json_complain(place, keyword,
						 psprintf("is no regular expression that can be used: %s", problem),
						 NULL);
	return pattern;
}

static void
compile_pattern(KEYWORD_ARGS)
{
	demand_type(node, keyword, value, ES_JSON_STRING);
	string_rules(node)->pattern = get_pattern(node->place, keyword, value->val.string.val,
											  value->val.string.len);
}

static void
compile_prefix_items(KEYWORD_ARGS)
{
	int			nnodes;
	EsJsonNode **nodes = compile_subschemas(compiler, node, keyword, value, &nnodes);

	array_rules(node)->prefix = nodes;
	array_rules(node)->nprefix = nnodes;
}

static void
compile_items(KEYWORD_ARGS)
{
	if (es_json_is_array(value))
		es_json_complain(node->place, keyword, "must be a schema, is an array",
						 "An array of schemas is called \"prefixItems\" since draft 2020-12.");
	array_rules(node)->items = compile_subschema(compiler, node, keyword, value);
}

static void
compile_contains(KEYWORD_ARGS)
{
	array_rules(node)->contains = compile_subschema(compiler, node, keyword, value);
}

static void
compile_unique_items(KEYWORD_ARGS)
{
	demand_type(node, keyword, value, ES_JSON_BOOLEAN);
	if (value->val.boolean)
		array_rules(node)->unique = true;
}

static void
compile_unevaluated_items(KEYWORD_ARGS)
{
	array_rules(node)->unevaluated = compile_subschema(compiler, node, keyword, value);
}

/*
 * What is said about a name; made if nothing has been said before.  The names
 * stay in their order.
 */
static EsJsonProperty *
get_property(EsJsonObjectRules *rules, const char *name, int len)
{
	int			low = 0;
	int			high = rules->nproperties;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		EsJsonProperty *property = &rules->properties[middle];
		int			order = es_json_compare_keys(property->name, property->len, name, len);

		if (order == 0)
			return property;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}

	/* The size doubles at each power of 2. */
	if (rules->properties == NULL)
		rules->properties = palloc(sizeof(EsJsonProperty));
	else if ((rules->nproperties & (rules->nproperties - 1)) == 0)
		rules->properties = repalloc_huge(rules->properties,
										  2 * (Size) rules->nproperties * sizeof(EsJsonProperty));
	memmove(&rules->properties[low + 1], &rules->properties[low],
			(rules->nproperties - low) * sizeof(EsJsonProperty));
	rules->nproperties++;
	memset(&rules->properties[low], 0, sizeof(EsJsonProperty));
	rules->properties[low].name = name;
	rules->properties[low].len = len;
	return &rules->properties[low];
}

static void
compile_properties(KEYWORD_ARGS)
{
	const EsJsonPlace *place = es_json_place_name(node->place, keyword, strlen(keyword));
	EsJsonWalk	walk;
	JsonbValue	member;

	demand_type(node, keyword, value, ES_JSON_OBJECT);
	(void) object_rules(node);
	es_json_walk_begin(&walk, value);
	while (es_json_walk_next(&walk, &member))
	{
		EsJsonNode *child = compile_at(compiler, node,
									   es_json_place_name(place, walk.key, walk.key_len),
									   &member);
		EsJsonProperty *property = get_property(node->object, walk.key, walk.key_len);

		property->named = true;
		property->node = child;
	}
}

/*
 * Raises 22023 unless a value is an array of strings.
 */
static void
demand_names(const EsJsonPlace *place, const char *keyword, const JsonbValue *value)
{
	EsJsonWalk	walk;
	JsonbValue	member;

	demand_type_at(place, keyword, value, ES_JSON_ARRAY);
	es_json_walk_begin(&walk, value);
	while (es_json_walk_next(&walk, &member))
	{
		if (member.type != jbvString)
			es_json_complain(place, keyword,
							 psprintf("must be an array of strings, but has %s",
									  es_json_show(&member, 60)), NULL);
	}
}

static void
compile_required(KEYWORD_ARGS)
{
	EsJsonWalk	walk;
	JsonbValue	member;

	demand_names(node->place, keyword, value);
	es_json_walk_begin(&walk, value);
	while (es_json_walk_next(&walk, &member) && member.type == jbvString)
		get_property(object_rules(node), member.val.string.val,
					 member.val.string.len)->required = true;
}

static void
compile_pattern_properties(KEYWORD_ARGS)
{
	const EsJsonPlace *place = es_json_place_name(node->place, keyword, strlen(keyword));
	EsJsonObjectRules *rules = object_rules(node);
	EsJsonPatternProperty *patterns;
	EsJsonWalk	walk;
	JsonbValue	member;

	demand_type(node, keyword, value, ES_JSON_OBJECT);
	patterns = palloc0((es_json_count(value) + 1) * sizeof(EsJsonPatternProperty));
	es_json_walk_begin(&walk, value);
	while (es_json_walk_next(&walk, &member))
	{
		EsJsonPatternProperty *pattern = &patterns[walk.next - 1];
		const EsJsonPlace *here = es_json_place_name(place, walk.key, walk.key_len);

		pattern->pattern = get_pattern(here, NULL, walk.key, walk.key_len);
		pattern->node = compile_at(compiler, node, here, &member);
	}
	rules->patterns = patterns;
	rules->npatterns = es_json_count(value);
}

static void
compile_additional_properties(KEYWORD_ARGS)
{
	object_rules(node)->additional = compile_subschema(compiler, node, keyword, value);
}

static void
compile_property_names(KEYWORD_ARGS)
{
	object_rules(node)->names = compile_subschema(compiler, node, keyword, value);
}

static void
compile_unevaluated_properties(KEYWORD_ARGS)
{
	object_rules(node)->unevaluated = compile_subschema(compiler, node, keyword, value);
}

static EsJsonDependency *
add_dependency(EsJsonObjectRules *rules, const char *name, int len)
{
	EsJsonDependency *dependency;

	if (rules->dependencies == NULL)
		rules->dependencies = palloc(sizeof(EsJsonDependency));
	else
		rules->dependencies = repalloc(rules->dependencies,
									   (rules->ndependencies + 1) * sizeof(EsJsonDependency));
	dependency = &rules->dependencies[rules->ndependencies++];
	memset(dependency, 0, sizeof(EsJsonDependency));
	dependency->name = name;
	dependency->len = len;
	return dependency;
}

static void
compile_dependent_required(KEYWORD_ARGS)
{
	const EsJsonPlace *place = es_json_place_name(node->place, keyword, strlen(keyword));
	EsJsonWalk	walk;
	JsonbValue	names;

	demand_type(node, keyword, value, ES_JSON_OBJECT);
	es_json_walk_begin(&walk, value);
	while (es_json_walk_next(&walk, &names))
	{
		EsJsonDependency *dependency;
		EsJsonWalk	inner;
		JsonbValue	name;

		demand_names(es_json_place_name(place, walk.key, walk.key_len), NULL, &names);
		dependency = add_dependency(object_rules(node), walk.key, walk.key_len);
		dependency->nrequired = es_json_count(&names);
		dependency->required = palloc((dependency->nrequired + 1) * sizeof(JsonbValue));
		es_json_walk_begin(&inner, &names);
		while (es_json_walk_next(&inner, &name))
			dependency->required[inner.next - 1] = name;
	}
}

static void
compile_dependent_schemas(KEYWORD_ARGS)
{
	const EsJsonPlace *place = es_json_place_name(node->place, keyword, strlen(keyword));
	EsJsonWalk	walk;
	JsonbValue	member;

	demand_type(node, keyword, value, ES_JSON_OBJECT);
	es_json_walk_begin(&walk, value);
	while (es_json_walk_next(&walk, &member))
	{
		EsJsonNode *child = compile_at(compiler, node,
									   es_json_place_name(place, walk.key, walk.key_len),
									   &member);

		add_dependency(object_rules(node), walk.key, walk.key_len)->node = child;
	}
}

/*
 * "$defs": what is in it must be schemas, also booleans and what no schema
 * can be.
 */
static void
compile_defs(KEYWORD_ARGS)
{
	const EsJsonPlace *place = es_json_place_name(node->place, keyword, strlen(keyword));
	EsJsonWalk	walk;
	JsonbValue	member;

	demand_type(node, keyword, value, ES_JSON_OBJECT);
	es_json_walk_begin(&walk, value);
	while (es_json_walk_next(&walk, &member))
		(void) compile_at(compiler, node,
						  es_json_place_name(place, walk.key, walk.key_len), &member);
}

/*
 * Keywords that are annotations, of which only the type matters.
 */
static void
check_string(KEYWORD_ARGS)
{
	demand_type(node, keyword, value, ES_JSON_STRING);
}

static const EsJsonKeyword keywords[] = {
	{"$anchor", ES_JSON_HOLDS_NONE, false, NULL},
	{"$comment", ES_JSON_HOLDS_NONE, false, check_string},
	{"$defs", ES_JSON_HOLDS_NAMED, false, compile_defs},
	{"$dynamicAnchor", ES_JSON_HOLDS_NONE, false, NULL},
	{"$dynamicRef", ES_JSON_HOLDS_NONE, false, compile_dynamic_ref},
	{"$id", ES_JSON_HOLDS_NONE, false, NULL},
	{"$ref", ES_JSON_HOLDS_NONE, false, compile_ref},
	{"$schema", ES_JSON_HOLDS_NONE, false, check_string},
	{"additionalProperties", ES_JSON_HOLDS_SCHEMA, false, compile_additional_properties},
	{"allOf", ES_JSON_HOLDS_SCHEMAS, false, compile_all_of},
	{"anyOf", ES_JSON_HOLDS_SCHEMAS, false, compile_any_of},
	{"const", ES_JSON_HOLDS_NONE, true, compile_const},
	{"contains", ES_JSON_HOLDS_SCHEMA, false, compile_contains},
	{"contentEncoding", ES_JSON_HOLDS_NONE, false, check_string},
	{"contentMediaType", ES_JSON_HOLDS_NONE, false, check_string},
	{"contentSchema", ES_JSON_HOLDS_SCHEMA, false, compile_branch},
	{"dependentRequired", ES_JSON_HOLDS_NONE, true, compile_dependent_required},
	{"dependentSchemas", ES_JSON_HOLDS_NAMED, false, compile_dependent_schemas},
	{"else", ES_JSON_HOLDS_SCHEMA, false, compile_branch},
	{"enum", ES_JSON_HOLDS_NONE, true, compile_enum},
	{"exclusiveMaximum", ES_JSON_HOLDS_NONE, true, compile_exclusive_maximum},
	{"exclusiveMinimum", ES_JSON_HOLDS_NONE, true, compile_exclusive_minimum},
	{"format", ES_JSON_HOLDS_NONE, false, check_string},
	{"if", ES_JSON_HOLDS_SCHEMA, false, compile_if},
	{"items", ES_JSON_HOLDS_SCHEMA, false, compile_items},
	{"maxContains", ES_JSON_HOLDS_NONE, true, compile_max_contains},
	{"maxItems", ES_JSON_HOLDS_NONE, true, compile_max_items},
	{"maxLength", ES_JSON_HOLDS_NONE, true, compile_max_length},
	{"maxProperties", ES_JSON_HOLDS_NONE, true, compile_max_properties},
	{"maximum", ES_JSON_HOLDS_NONE, true, compile_maximum},
	{"minContains", ES_JSON_HOLDS_NONE, true, compile_min_contains},
	{"minItems", ES_JSON_HOLDS_NONE, true, compile_min_items},
	{"minLength", ES_JSON_HOLDS_NONE, true, compile_min_length},
	{"minProperties", ES_JSON_HOLDS_NONE, true, compile_min_properties},
	{"minimum", ES_JSON_HOLDS_NONE, true, compile_minimum},
	{"multipleOf", ES_JSON_HOLDS_NONE, true, compile_multiple_of},
	{"not", ES_JSON_HOLDS_SCHEMA, false, compile_not},
	{"oneOf", ES_JSON_HOLDS_SCHEMAS, false, compile_one_of},
	{"pattern", ES_JSON_HOLDS_NONE, true, compile_pattern},
	{"patternProperties", ES_JSON_HOLDS_NAMED, false, compile_pattern_properties},
	{"prefixItems", ES_JSON_HOLDS_SCHEMAS, false, compile_prefix_items},
	{"properties", ES_JSON_HOLDS_NAMED, false, compile_properties},
	{"propertyNames", ES_JSON_HOLDS_SCHEMA, false, compile_property_names},
	{"required", ES_JSON_HOLDS_NONE, true, compile_required},
	{"then", ES_JSON_HOLDS_SCHEMA, false, compile_branch},
	{"type", ES_JSON_HOLDS_NONE, true, compile_type},
	{"unevaluatedItems", ES_JSON_HOLDS_SCHEMA, false, compile_unevaluated_items},
	{"unevaluatedProperties", ES_JSON_HOLDS_SCHEMA, false, compile_unevaluated_properties},
	{"uniqueItems", ES_JSON_HOLDS_NONE, true, compile_unique_items},
};

const EsJsonKeyword *
es_json_keyword(const char *name, int len)
{
	int			low = 0;
	int			high = lengthof(keywords);

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		int			order = strncmp(keywords[middle].name, name, len);

		if (order == 0 && keywords[middle].name[len] != '\0')
			order = 1;
		if (order == 0)
			return &keywords[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
