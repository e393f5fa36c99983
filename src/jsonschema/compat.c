/*-------------------------------------------------------------------------
 *
 * compat.c
 *	  What data that are valid by one schema might be refused for by another.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A schema says what is refused, so each rule of the reader's must follow
 *	  from the writer's.  Each side is a list of schemas that hold at the same
 *	  time (View): one, and those that it brings in by "$ref" and "allOf".  Every
 *	  schema of the reader is gone through keyword by keyword; of the writer's
 *	  list, one that is strict enough will do.
 *
 *	  In recursive schemas a pair is taken to be compatible while it is being
 *	  compared: what breaks shows where it stands.  Schemas that refer to their
 *	  parts from several places can make more pairs than there is time or memory
 *	  for; then the comparison says that it cannot tell.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "jsonschema/compat.h"
#include "jsonschema/uri.h"

/* So many pairs of subschemas are compared. */
#define MAX_COMPARISONS	(2 * ES_JSON_SCHEMA_MAX_NODES)

static void add_schema(EsJsonView *view, const JsonbValue *schema, const JsonbValue *root);

void
es_json_compat_break(EsJsonCompat *compat, const EsJsonPath *path, const char *format,...)
{
	StringInfoData buf;
	char	   *pointer;

	if (list_length(compat->breaks) >= compat->max)
		return;
	initStringInfo(&buf);
	pointer = es_json_path_pointer(path);
	if (pointer[0] != '\0')
		appendStringInfo(&buf, "%s: ", pointer);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&buf, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&buf, needed);
	}
	compat->breaks = lappend(compat->breaks, buf.data);
}

/*
 * Follows a reference within a document; false if it leads elsewhere.
 */
static bool
follow(const JsonbValue *root, const JsonbValue *reference, JsonbValue *target)
{
	char	   *text;
	char	   *fragment;

	if (reference->type != jbvString || !es_json_is_object(root))
		return false;
	text = pnstrdup(reference->val.string.val, reference->val.string.len);
	if (text[0] != '#')
		return false;
	(void) es_json_uri_resolve("", text, &fragment);
	*target = *root;
	if (fragment[0] == '\0')
		return true;
	return fragment[0] == '/' && es_json_follow_pointer(fragment, target);
}

/*
 * Adds what a schema brings in for some values only.
 */
static void
add_chosen(EsJsonView *view, const JsonbValue *schema, const JsonbValue *root)
{
	static const char *const keywords[] = {
		"anyOf", "oneOf", "dependentSchemas", "if", "then", "else"
	};
	JsonbValue	value;
	JsonbValue	branch;
	EsJsonWalk	walk;
	int			i;

	for (i = 0; i < (int) lengthof(keywords); i++)
	{
		if (!es_json_get(schema, keywords[i], &value))
			continue;
		if (view->chosen == NULL)
		{
			view->chosen = palloc0(sizeof(EsJsonView));
			view->chosen->chosen = view->chosen;
		}
		if (i >= 3)				/* a schema by itself */
			add_schema(view->chosen, &value, root);
		else if (value.type == jbvBinary)
		{
			es_json_walk_begin(&walk, &value);
			while (es_json_walk_next(&walk, &branch))
				add_schema(view->chosen, &branch, root);
		}
	}
	if (view->chosen != NULL && view->chosen->is_partial)
		view->is_partial = true;
}

/*
 * Adds what a schema brings in: by "$ref", if it can be followed, and by
 * "allOf".
 */
static void
add_brought_in(EsJsonView *view, const JsonbValue *schema, const JsonbValue *root)
{
	JsonbValue	value;
	JsonbValue	target;
	EsJsonWalk	walk;

	if (es_json_get(schema, "$ref", &value))
	{
		if (follow(root, &value, &target))
			add_schema(view, &target, root);
		else
			view->is_partial = true;
	}
	if (es_json_get(schema, "$dynamicRef", &value))
		view->is_partial = true;
	if (es_json_get(schema, "allOf", &value) && es_json_is_array(&value))
	{
		es_json_walk_begin(&walk, &value);
		while (es_json_walk_next(&walk, &target))
			add_schema(view, &target, root);
	}
	add_chosen(view, schema, root);
}

/*
 * Adds a schema to a view, unless it is there already.
 */
static void
add_schema(EsJsonView *view, const JsonbValue *schema, const JsonbValue *root)
{
	JsonbValue *copy;
	ListCell   *lc;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (schema->type == jbvBool && !schema->val.boolean)
		view->is_never = true;
	if (!es_json_is_object(schema))
		return;
	foreach(lc, view->schemas)
	{
		if (((JsonbValue *) lfirst(lc))->val.binary.data == schema->val.binary.data)
			return;
	}
	copy = palloc(sizeof(JsonbValue));
	*copy = *schema;
	view->schemas = lappend(view->schemas, copy);
	add_brought_in(view, schema, root);
}

/*
 * A type as a bit, integers and other numbers apart.
 */
static int
type_bit(const JsonbValue *value)
{
	int			type = es_json_type(value);

	return (type & ES_JSON_INTEGER) != 0 ? ES_JSON_INTEGER : type;
}

int
es_json_schema_types(const JsonbValue *schema)
{
	static const char *const names[] = {
		"null", "boolean", "integer", "number", "string", "array", "object"
	};
	JsonbValue	value;
	JsonbValue	member;
	EsJsonWalk	walk;
	int			types = 0;
	int			i;

	if (!es_json_get(schema, "type", &value))
		return ES_JSON_ANY;
	for (i = 0; i < (int) lengthof(names); i++)
	{
		if (value.type == jbvString &&
			es_json_key_is(value.val.string.val, value.val.string.len, names[i]))
			types |= 1 << i;
		if (!es_json_is_array(&value))
			continue;
		es_json_walk_begin(&walk, &value);
		while (es_json_walk_next(&walk, &member))
		{
			if (member.type == jbvString &&
				es_json_key_is(member.val.string.val, member.val.string.len, names[i]))
				types |= 1 << i;
		}
	}
	return (types & ES_JSON_NUMBER) != 0 ? types | ES_JSON_INTEGER : types;
}

/*
 * The types of the values of "enum" and "const" of one schema.
 */
static int
types_of_values(const JsonbValue *schema)
{
	JsonbValue	value;
	JsonbValue	member;
	EsJsonWalk	walk;
	int			types = ES_JSON_ANY;

	if (es_json_get(schema, "const", &value))
		types &= type_bit(&value);
	if (es_json_get(schema, "enum", &value) && es_json_is_array(&value))
	{
		int			found = 0;

		es_json_walk_begin(&walk, &value);
		while (es_json_walk_next(&walk, &member))
			found |= type_bit(&member);
		types &= found;
	}
	return types;
}

int
es_json_view_types(const EsJsonView *view)
{
	int			types = view->is_never ? 0 : ES_JSON_ANY;
	ListCell   *lc;

	foreach(lc, view->schemas)
		types &= es_json_schema_types(lfirst(lc)) & types_of_values(lfirst(lc));
	return types;
}

bool
es_json_view_get(const EsJsonView *view, const char *keyword, const JsonbValue *equal,
				 JsonbValue *value)
{
	ListCell   *lc;

	foreach(lc, view->schemas)
	{
		if (es_json_get(lfirst(lc), keyword, value) &&
			(equal == NULL || es_json_compare(value, equal) == 0))
			return true;
	}
	return false;
}

/*
 * Is there a keyword of a name in a schema, at any depth?
 */
static bool
has_keyword(const JsonbValue *value, const char *name)
{
	EsJsonWalk	walk;
	JsonbValue	member;

	check_stack_depth();
	if (value->type != jbvBinary)
		return false;
	es_json_walk_begin(&walk, value);
	while (es_json_walk_next(&walk, &member))
	{
		if ((walk.key != NULL && es_json_key_is(walk.key, walk.key_len, name)) ||
			has_keyword(&member, name))
			return true;
	}
	return false;
}

bool
es_json_compat_same(const EsJsonCompat *compat, const JsonbValue *reader,
					const JsonbValue *writer)
{
	/* With references the same text may mean different things. */
	return es_json_compare(reader, writer) == 0 &&
		(compat->same_roots ||
		 (!has_keyword(reader, "$ref") && !has_keyword(reader, "$dynamicRef")));
}

/*
 * Is the same being compared already, further up?
 */
static bool
is_open(const EsJsonCompat *compat, const JsonbContainer *reader, const EsJsonView *writer)
{
	const EsJsonPair *pair;

	for (pair = compat->pairs; pair != NULL; pair = pair->outer)
	{
		ListCell   *a;
		ListCell   *b;
		bool		same = pair->reader == reader &&
			list_length(pair->writer->schemas) == list_length(writer->schemas);

		if (!same)
			continue;
		forboth(a, pair->writer->schemas, b, writer->schemas)
		{
			if (((JsonbValue *) lfirst(a))->val.binary.data !=
				((JsonbValue *) lfirst(b))->val.binary.data)
				same = false;
		}
		if (same)
			return true;
	}
	return false;
}

/*
 * Compares a view of the reader's with one of the writer's.
 */
static void
compare_views(EsJsonCompat *compat, const EsJsonView *reader, const EsJsonView *writer,
			  const EsJsonPath *path)
{
	ListCell   *lc;

	if (writer->is_never)
		return;
	if (reader->is_never)
	{
		es_json_compat_break(compat, path, "is not allowed any more");
		return;
	}
	if (reader->is_partial)
		es_json_compat_break(compat, path, "cannot tell whether what a reference refers to has changed");
	foreach(lc, reader->schemas)
		es_json_compat_rules(compat, lfirst(lc), reader, writer, path);
}

void
es_json_compat_compare(EsJsonCompat *compat, const JsonbValue *reader, List *writers,
					   const EsJsonPath *path)
{
	EsJsonView *reader_view;
	EsJsonView *writer_view;
	EsJsonPair	pair;
	ListCell   *lc;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (list_length(compat->breaks) >= compat->max)
		return;
	if (--*compat->left < 0)
	{
		es_json_compat_break(compat, path, "cannot tell, as comparing the schemas takes more than %d comparisons",
							 MAX_COMPARISONS);
		compat->max = list_length(compat->breaks);
		return;
	}
	writer_view = palloc0(sizeof(EsJsonView));
	foreach(lc, writers)
	{
		if (es_json_compat_same(compat, reader, lfirst(lc)))
			return;
		add_schema(writer_view, lfirst(lc), &compat->writer_root);
	}
	reader_view = palloc0(sizeof(EsJsonView));
	add_schema(reader_view, reader, &compat->reader_root);
	if (!es_json_is_object(reader))
	{
		compare_views(compat, reader_view, writer_view, path);
		return;
	}
	if (is_open(compat, reader->val.binary.data, writer_view))
		return;
	pair.outer = compat->pairs;
	pair.reader = reader->val.binary.data;
	pair.writer = writer_view;
	compat->pairs = &pair;
	compare_views(compat, reader_view, writer_view, path);
	compat->pairs = pair.outer;
}

bool
es_json_compat_fits(EsJsonCompat *compat, const JsonbValue *reader, List *writers)
{
	EsJsonCompat own = *compat;

	own.breaks = NIL;
	own.max = 1;
	es_json_compat_compare(&own, reader, writers, NULL);
	return own.breaks == NIL;
}

/*
 * The root of a schema, unless what is embedded in it has an "$id" of its own:
 * then references are relative to that, and are not followed here.
 */
static void
get_root(Jsonb *schema, JsonbValue *root)
{
	EsJsonWalk	walk;
	JsonbValue	member;

	es_json_root(schema, root);
	if (!es_json_is_object(root))
		return;
	es_json_walk_begin(&walk, root);
	while (es_json_walk_next(&walk, &member))
	{
		if (has_keyword(&member, "$id"))
		{
			root->type = jbvNull;
			return;
		}
	}
}

List *
es_json_schema_breaks(Jsonb *reader, Jsonb *writer, int max)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext own = AllocSetContextCreate(caller, "JSON schema comparison",
											  ALLOCSET_DEFAULT_SIZES);
	EsJsonCompat compat;
	int			left = MAX_COMPARISONS;
	JsonbValue	reader_value;
	JsonbValue	writer_value;
	List	   *result = NIL;
	ListCell   *lc;

	MemoryContextSwitchTo(own);

	/* What is wrong with one of them is found here. */
	(void) es_json_schema_compile(reader, own);
	(void) es_json_schema_compile(writer, own);

	memset(&compat, 0, sizeof(compat));
	compat.max = max;
	compat.left = &left;
	es_json_root(reader, &reader_value);
	es_json_root(writer, &writer_value);
	get_root(reader, &compat.reader_root);
	get_root(writer, &compat.writer_root);
	compat.same_roots = es_json_compare(&reader_value, &writer_value) == 0;
	if (!compat.same_roots)
		es_json_compat_compare(&compat, &reader_value, list_make1(&writer_value), NULL);

	MemoryContextSwitchTo(caller);
	foreach(lc, compat.breaks)
		result = lappend(result, pstrdup(lfirst(lc)));
	MemoryContextDelete(own);
	return result;
}
