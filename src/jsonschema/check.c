/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Does a value fit a schema?  What holds for any value, strings, numbers,
 *	  and the keywords that apply further schemas to the same value.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"

#include "jsonschema/check.h"

/* Bytes of a value that a message shows. */
#define MAX_SHOWN	60

/* So many alternatives of an "anyOf" or "oneOf" tell why they do not fit. */
#define MAX_REASONS	4

bool
es_json_check_quietly(EsJsonCheck *check, const EsJsonNode *node,
					  const JsonbValue *value, const EsJsonPath *path,
					  EsJsonMarks *marks)
{
	int			wanted = check->wanted;
	bool		ok;

	check->wanted = 0;
	ok = es_json_check_node(check, node, value, path, marks);
	check->wanted = wanted;
	return ok;
}

/*
 * Is a value of one of the types of a node?
 */
static inline bool
has_type(const JsonbValue *value, int types)
{
	switch (value->type)
	{
		case jbvNull:
			return (types & ES_JSON_NULL) != 0;
		case jbvBool:
			return (types & ES_JSON_BOOLEAN) != 0;
		case jbvString:
			return (types & ES_JSON_STRING) != 0;
		case jbvNumeric:
			return (types & ES_JSON_NUMBER) != 0 ||
				((types & ES_JSON_INTEGER) != 0 &&
				 es_json_is_integral(value->val.numeric));
		default:
			return (types & (es_json_is_object(value) ? ES_JSON_OBJECT : ES_JSON_ARRAY)) != 0;
	}
}

static bool
report_type(EsJsonCheck *check, const EsJsonNode *node, const JsonbValue *value,
			const EsJsonPath *path)
{
	int			type = es_json_type(value);
	bool		fraction = value->type == jbvNumeric && (node->types & ES_JSON_INTEGER) != 0;

	if (check->wanted == 0)
		return false;
	return es_json_report(check, node, "type", path, "must be of type %s, is %s",
						  es_json_type_names(node->types),
						  fraction ? es_json_show(value, MAX_SHOWN) : es_json_type_names(type));
}

static bool
check_enum(EsJsonCheck *check, const EsJsonNode *node, const JsonbValue *value,
		   const EsJsonPath *path)
{
	int			i;

	for (i = 0; i < node->nenumeration; i++)
	{
		const JsonbValue *allowed = &node->enumeration[i];

		if (allowed->type == value->type &&
			(value->type != jbvString || allowed->val.string.len == value->val.string.len) &&
			es_json_compare(allowed, value) == 0)
			return true;
	}
	return es_json_report_enum(check, node, value, path);
}

static inline int
compare(Numeric a, const JsonbValue *b)
{
	return es_json_compare_numbers(b->val.numeric, a);
}

static bool
is_multiple(const EsJsonNumberRules *rules, Numeric number)
{
	int32		integer;

	if (rules->multiple_of_integer != 0 && es_json_small_integer(number, &integer))
		return integer % rules->multiple_of_integer == 0;
	return es_json_is_multiple(number, rules->multiple_of);
}

static const char *
show_number(Numeric number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = number;
	return es_json_show(&value, MAX_SHOWN);
}

static bool
report_number(EsJsonCheck *check, const EsJsonNode *node, const char *keyword,
			  const char *must, Numeric limit, const JsonbValue *value,
			  const EsJsonPath *path)
{
	if (check->wanted == 0)
		return false;
	return es_json_report(check, node, keyword, path, "must be %s %s, is %s", must,
						  show_number(limit), show_number(value->val.numeric));
}

static bool
check_number(EsJsonCheck *check, const EsJsonNode *node, const JsonbValue *value,
			 const EsJsonPath *path)
{
	const EsJsonNumberRules *rules = node->number;
	bool		ok = true;

	if (rules->minimum != NULL)
		DEMAND(compare(rules->minimum, value) >= 0 ||
			   report_number(check, node, "minimum", "at least",
							 rules->minimum, value, path));
	if (rules->exclusive_minimum != NULL)
		DEMAND(compare(rules->exclusive_minimum, value) > 0 ||
			   report_number(check, node, "exclusiveMinimum", "greater than",
							 rules->exclusive_minimum, value, path));
	if (rules->maximum != NULL)
		DEMAND(compare(rules->maximum, value) <= 0 ||
			   report_number(check, node, "maximum", "at most",
							 rules->maximum, value, path));
	if (rules->exclusive_maximum != NULL)
		DEMAND(compare(rules->exclusive_maximum, value) < 0 ||
			   report_number(check, node, "exclusiveMaximum", "less than",
							 rules->exclusive_maximum, value, path));
	if (rules->multiple_of != NULL)
		DEMAND(is_multiple(rules, value->val.numeric) ||
			   report_number(check, node, "multipleOf", "a multiple of",
							 rules->multiple_of, value, path));
	return ok;
}

static bool
report_length(EsJsonCheck *check, const EsJsonNode *node, const char *keyword,
			  const char *must, int64 limit, int64 length, const EsJsonPath *path)
{
	if (check->wanted == 0)
		return false;
	return es_json_report(check, node, keyword, path, "must have %s %s, has " INT64_FORMAT,
						  must, es_json_number_of(limit, "character"), length);
}

static bool
check_string(EsJsonCheck *check, const EsJsonNode *node, const JsonbValue *value,
			 const EsJsonPath *path)
{
	const EsJsonStringRules *rules = node->string;
	const char *text = value->val.string.val;
	int			bytes = value->val.string.len;
	bool		ok = true;

	/* Characters are counted only if the bytes do not tell. */
	if (bytes > rules->max || rules->min > bytes / pg_database_encoding_max_length())
	{
		int64		length = pg_mbstrlen_with_len(text, bytes);

		DEMAND(length >= rules->min ||
			   report_length(check, node, "minLength", "at least", rules->min, length, path));
		DEMAND(length <= rules->max ||
			   report_length(check, node, "maxLength", "at most", rules->max, length, path));
	}
	if (rules->pattern != NULL && !es_json_pattern_matches(rules->pattern, text, bytes))
	{
		ok = false;
		if (check->wanted > 0)
			(void) es_json_report(check, node, "pattern", path,
								  "must match the pattern \"%s\", is %s",
								  es_json_pattern_source(rules->pattern),
								  es_json_show(value, MAX_SHOWN));
	}
	return ok;
}

/*
 * Tells why none of some alternatives fits, if there are few.
 */
static char *
reasons(EsJsonCheck *check, const EsJsonApplicator *applicator, const JsonbValue *value,
		const EsJsonPath *path)
{
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < applicator->nnodes && applicator->nnodes <= MAX_REASONS; i++)
	{
		EsJsonCheck own = *check;
		EsJsonSchemaProblem *problem;
		char	   *here = es_json_path_pointer(path);

		own.wanted = 1;
		own.problems = NIL;
		(void) es_json_check_node(&own, applicator->nodes[i], value, path, NULL);
		if (own.problems == NIL)
			continue;
		problem = linitial(own.problems);
		appendStringInfoString(&buf, buf.len == 0 ? ": " : "; ");
		if (strcmp(problem->path, here) != 0)
			appendStringInfo(&buf, "%s ", problem->path + strlen(here));
		appendStringInfoString(&buf, problem->message);
	}
	return buf.data;
}

/*
 * Applies a schema, and takes over what it has evaluated if the value fits.
 */
static pg_noinline bool
try_node(EsJsonCheck *check, const EsJsonNode *node, const JsonbValue *value,
		 const EsJsonPath *path, EsJsonMarks *marks)
{
	EsJsonMarks own;
	bool		ok;

	if (marks == NULL)
		return es_json_check_quietly(check, node, value, path, NULL);
	es_json_marks_begin(&own, marks->count);
	ok = es_json_check_quietly(check, node, value, path, &own);
	if (ok)
		es_json_marks_add(marks, &own);
	es_json_marks_end(&own);
	return ok;
}

static bool
check_any_of(EsJsonCheck *check, const EsJsonNode *node, const EsJsonApplicator *applicator,
			 const JsonbValue *value, const EsJsonPath *path, EsJsonMarks *marks)
{
	bool		ok = false;
	int			i;

	/* All of them count for what is evaluated, otherwise the first will do. */
	for (i = 0; i < applicator->nnodes && (!ok || marks != NULL); i++)
	{
		if (try_node(check, applicator->nodes[i], value, path, marks))
			ok = true;
	}
	if (ok || check->wanted == 0)
		return ok;
	return es_json_report(check, node, "anyOf", path, "must fit at least one of %s%s",
						  es_json_number_of(applicator->nnodes, "schema"),
						  reasons(check, applicator, value, path));
}

static bool
check_one_of(EsJsonCheck *check, const EsJsonNode *node, const EsJsonApplicator *applicator,
			 const JsonbValue *value, const EsJsonPath *path, EsJsonMarks *marks)
{
	int			first = -1;
	int			second = -1;
	int			i;

	for (i = 0; i < applicator->nnodes && second < 0; i++)
	{
		if (!try_node(check, applicator->nodes[i], value, path, marks))
			continue;
		if (first < 0)
			first = i;
		else
			second = i;
	}
	if (first >= 0 && second < 0)
		return true;
	if (check->wanted == 0)
		return false;
	if (first < 0)
		return es_json_report(check, node, "oneOf", path, "must fit exactly one of %s%s",
							  es_json_number_of(applicator->nnodes, "schema"),
							  reasons(check, applicator, value, path));
	return es_json_report(check, node, "oneOf", path,
						  "must fit exactly one of %s, fits those at %d and %d",
						  es_json_number_of(applicator->nnodes, "schema"), first, second);
}

static bool
check_if(EsJsonCheck *check, const EsJsonApplicator *applicator, const JsonbValue *value,
		 const EsJsonPath *path, EsJsonMarks *marks)
{
	const EsJsonNode *branch;

	/* Without both branches it only tells what it has evaluated. */
	if (applicator->nodes[1] == NULL && applicator->nodes[2] == NULL && marks == NULL)
		return true;
	branch = applicator->nodes[try_node(check, applicator->nodes[0], value, path, marks) ? 1 : 2];
	return branch == NULL || es_json_check_node(check, branch, value, path, marks);
}

/*
 * What a dynamic reference refers to: the anchor of its name in the outermost
 * resource that has one.
 */
static const EsJsonNode *
resolve_dynamic(EsJsonCheck *check, const EsJsonApplicator *applicator)
{
	const EsJsonNode *node = applicator->nodes[0];
	EsJsonScope *scope;

	for (scope = check->scope; scope != NULL; scope = scope->outer)
	{
		ListCell   *lc;

		foreach(lc, scope->resource->anchors)
		{
			EsJsonAnchor *anchor = lfirst(lc);

			if (anchor->dynamic && strcmp(anchor->name, applicator->anchor) == 0)
				node = anchor->node;
		}
	}
	return node;
}

static bool
check_dynamic_ref(EsJsonCheck *check, const EsJsonApplicator *applicator,
				  const JsonbValue *value, const EsJsonPath *path, EsJsonMarks *marks)
{
	EsJsonFollowed followed;
	EsJsonFollowed *outer;
	bool		ok;

	followed.node = resolve_dynamic(check, applicator);
	followed.value = value;
	followed.outer = check->followed;
	for (outer = check->followed; outer != NULL; outer = outer->outer)
	{
		if (outer->node == followed.node && outer->value == value)
			es_json_complain(followed.node->place, NULL,
							 "comes back to itself without a step into the data", NULL);
	}
	check->followed = &followed;
	ok = es_json_check_node(check, followed.node, value, path, marks);
	check->followed = followed.outer;
	return ok;
}

static bool
check_applicator(EsJsonCheck *check, const EsJsonNode *node,
				 const EsJsonApplicator *applicator, const JsonbValue *value,
				 const EsJsonPath *path, EsJsonMarks *marks)
{
	bool		ok = true;
	int			i;

	switch (applicator->kind)
	{
		case ES_JSON_REF:
		case ES_JSON_ALL_OF:
			for (i = 0; i < applicator->nnodes; i++)
				DEMAND(es_json_check_node(check, applicator->nodes[i], value, path, marks));
			return ok;
		case ES_JSON_DYNAMIC_REF:
			return check_dynamic_ref(check, applicator, value, path, marks);
		case ES_JSON_ANY_OF:
			return check_any_of(check, node, applicator, value, path, marks);
		case ES_JSON_ONE_OF:
			return check_one_of(check, node, applicator, value, path, marks);
		case ES_JSON_NOT:
			if (!es_json_check_quietly(check, applicator->nodes[0], value, path, NULL))
				return true;
			return es_json_report(check, node, "not", path,
								  "must not fit the schema of \"not\"");
		case ES_JSON_IF:
			return check_if(check, applicator, value, path, marks);
	}
	return true;
}

/*
 * The keywords of a node that go by the type of the value, and its
 * applicators.
 */
static bool
check_rules(EsJsonCheck *check, const EsJsonNode *node, const JsonbValue *value,
			const EsJsonPath *path, EsJsonMarks *marks)
{
	bool		ok = true;
	int			i;

	if (node->types != ES_JSON_ANY)
		DEMAND(has_type(value, node->types) || report_type(check, node, value, path));
	if (node->enumeration != NULL)
		DEMAND(check_enum(check, node, value, path));
	switch (value->type)
	{
		case jbvNumeric:
			if (node->number != NULL)
				DEMAND(check_number(check, node, value, path));
			break;
		case jbvString:
			if (node->string != NULL)
				DEMAND(check_string(check, node, value, path));
			break;
		case jbvBinary:
			if (es_json_is_object(value))
			{
				if (node->object != NULL)
					DEMAND(es_json_check_object(check, node, value, path, marks));
			}
			else if (node->array != NULL)
				DEMAND(es_json_check_array(check, node, value, path, marks));
			break;
		default:
			break;
	}
	for (i = 0; i < node->napplicators; i++)
		DEMAND(check_applicator(check, node, &node->applicators[i], value, path, marks));
	return ok;
}

/*
 * A node with "unevaluatedProperties" or "unevaluatedItems" sees what its own
 * keywords have evaluated, and nobody else's.
 */
static pg_noinline bool
check_with_marks(EsJsonCheck *check, const EsJsonNode *node, const EsJsonNode *rule,
				 const JsonbValue *value, const EsJsonPath *path, EsJsonMarks *marks)
{
	EsJsonMarks own;
	bool		ok;

	es_json_marks_begin(&own, es_json_count(value));
	ok = check_rules(check, node, value, path, &own);
	/* What does not fit has evaluated nothing, so there is no telling then. */
	if (ok)
		ok = es_json_check_unevaluated(check, rule, value, path, &own);
	if (ok && marks != NULL)
		es_json_marks_add(marks, &own);
	es_json_marks_end(&own);
	return ok;
}

bool
es_json_check_node(EsJsonCheck *check, const EsJsonNode *node, const JsonbValue *value,
				   const EsJsonPath *path, EsJsonMarks *marks)
{
	const EsJsonNode *rule = NULL;
	EsJsonScope scope;
	bool		ok;

	if (node->anything)
		return true;
	if (node->never)
		return es_json_report(check, node, NULL, path, "is not allowed");
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();

	scope.outer = check->scope;
	scope.resource = node->resource;
	if (check->schema->is_dynamic &&
		(check->scope == NULL || check->scope->resource != node->resource))
		check->scope = &scope;
	if (value->type == jbvBinary)
	{
		if (es_json_is_object(value))
			rule = node->object != NULL ? node->object->unevaluated : NULL;
		else
			rule = node->array != NULL ? node->array->unevaluated : NULL;
	}
	ok = rule == NULL ? check_rules(check, node, value, path, marks) :
		check_with_marks(check, node, rule, value, path, marks);
	check->scope = scope.outer;
	return ok;
}

static List *
check_root(const EsJsonSchema *schema, Jsonb *instance, int wanted, bool *ok)
{
	EsJsonCheck check;
	JsonbValue	root;

	memset(&check, 0, sizeof(check));
	check.schema = schema;
	check.wanted = wanted;
	es_json_root(instance, &root);
	*ok = es_json_check_node(&check, schema->root, &root, NULL, NULL);
	return check.problems;
}

bool
es_json_schema_check(const EsJsonSchema *schema, Jsonb *instance,
					 EsJsonSchemaProblem *problem)
{
	bool		ok;

	(void) check_root(schema, instance, 0, &ok);
	if (!ok && problem != NULL)
		*problem = *(EsJsonSchemaProblem *) linitial(check_root(schema, instance, 1, &ok));
	return ok;
}

List *
es_json_schema_check_all(const EsJsonSchema *schema, Jsonb *instance, int max_problems)
{
	bool		ok;

	return check_root(schema, instance, max_problems, &ok);
}
