/*-------------------------------------------------------------------------
 *
 * refs.c
 *	  The index of a schema: where its subschemas stand, and what references
 *	  refer to.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Only what the draft says to be a subschema is one: an "$id" in an "enum"
 *	  is data.  A JSON Pointer may point to anything, though; what it points to
 *	  gets into the index then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "jsonschema/schema.h"
#include "jsonschema/uri.h"

/* Colours of the search for cycles. */
#define WHITE	0
#define GREY	1
#define BLACK	2

static void index_schema(EsJsonCompiler *compiler, const JsonbValue *value,
						 const EsJsonPlace *place, EsJsonResource *resource);

static EsJsonPlace *
make_place(const EsJsonPlace *parent, const char *name, int len, int number)
{
	EsJsonPlace *place = palloc(sizeof(EsJsonPlace));

	place->parent = parent;
	place->name = name;
	place->len = len;
	place->number = number;
	return place;
}

const EsJsonPlace *
es_json_place_name(const EsJsonPlace *parent, const char *name, int len)
{
	return make_place(parent, name, len, 0);
}

const EsJsonPlace *
es_json_place_number(const EsJsonPlace *parent, int number)
{
	return make_place(parent, NULL, 0, number);
}

/*
 * A string of a schema as a C string; raises 22023 if it is none.
 */
static char *
get_string(const EsJsonPlace *place, const char *keyword,
		   const JsonbValue *value)
{
	if (value->type != jbvString)
		es_json_complain(place, keyword, "must be a string", NULL);
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static EsJsonResource *
find_resource(EsJsonCompiler *compiler, const char *uri)
{
	ListCell   *lc;

	foreach(lc, compiler->schema->resources)
	{
		EsJsonResource *resource = lfirst(lc);

		if (strcmp(resource->uri, uri) == 0)
			return resource;
	}
	return NULL;
}

/*
 * Looks at the vocabularies of a metaschema that a document brings: is that
 * of validation among them?  Raises 22023 if one is required that is unknown.
 */
static bool
uses_validation(const EsJsonPlace *place, const JsonbValue *metaschema)
{
	static const char *const known[] = {
		"core", "applicator", "unevaluated", "validation", "meta-data",
		"format-annotation", "content"
	};
	const char *prefix = "https://json-schema.org/draft/2020-12/vocab/";
	JsonbValue	vocabulary;
	JsonbValue	required;
	EsJsonWalk	walk;
	bool		result = false;

	if (!es_json_get(metaschema, "$vocabulary", &vocabulary) ||
		!es_json_is_object(&vocabulary))
		return true;
	es_json_walk_begin(&walk, &vocabulary);
	while (es_json_walk_next(&walk, &required))
	{
		char	   *uri = pnstrdup(walk.key, walk.key_len);
		bool		is_known = false;
		int			i;

		for (i = 0; i < (int) lengthof(known); i++)
		{
			if (strncmp(uri, prefix, strlen(prefix)) == 0 &&
				strcmp(uri + strlen(prefix), known[i]) == 0)
				is_known = true;
		}
		if (required.type == jbvBool && required.val.boolean && !is_known)
			es_json_complain(place, "$schema",
							 psprintf("its metaschema requires the vocabulary \"%s\", which is not known", uri),
							 NULL);
		if (is_known && strcmp(uri + strlen(prefix), "validation") == 0)
			result = true;
	}
	return result;
}

/*
 * Reads "$schema" of the root of a resource: it must be this draft, or a
 * metaschema among the documents.
 */
static void
read_dialect(EsJsonCompiler *compiler, EsJsonResource *resource,
			 const JsonbValue *value)
{
	JsonbValue	dialect;
	JsonbValue	metaschema;
	char	   *uri;
	char	   *fragment;

	if (!es_json_get(value, "$schema", &dialect))
		return;
	uri = es_json_uri_resolve("", get_string(resource->place, "$schema", &dialect),
							  &fragment);
	if (strcmp(uri, ES_JSON_DIALECT) == 0)
		resource->validates = true;
	else if (es_json_get(&compiler->documents, uri, &metaschema))
		resource->validates = uses_validation(resource->place, &metaschema);
	else
		es_json_complain(resource->place, "$schema",
						 psprintf("is %s, which is not known", es_json_show(&dialect, 100)),
						 "Use \"" ES_JSON_DIALECT "\", or leave it out.");
}

static EsJsonResource *
make_resource(EsJsonCompiler *compiler, const char *uri,
			  const JsonbValue *value, const EsJsonPlace *place,
			  const EsJsonResource *around)
{
	EsJsonResource *resource = palloc0(sizeof(EsJsonResource));

	resource->uri = pstrdup(uri);
	resource->root = *value;
	resource->place = place;
	resource->validates = around == NULL || around->validates;
	compiler->schema->resources = lappend(compiler->schema->resources, resource);
	read_dialect(compiler, resource, value);
	return resource;
}

/*
 * Notes the anchor that a keyword gives to a subschema, if it is there.
 */
static void
read_anchor(EsJsonResource *resource, const JsonbValue *value,
			const EsJsonPlace *place, const char *keyword)
{
	EsJsonAnchor *anchor;
	JsonbValue	name;
	ListCell   *lc;
	const char *p;

	if (!es_json_get(value, keyword, &name))
		return;
	anchor = palloc0(sizeof(EsJsonAnchor));
	anchor->name = get_string(place, keyword, &name);
	anchor->dynamic = strcmp(keyword, "$dynamicAnchor") == 0;
	anchor->value = *value;
	anchor->place = place;
	for (p = anchor->name; *p != '\0'; p++)
	{
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_' ||
			  (p > anchor->name && ((*p >= '0' && *p <= '9') || *p == '-' || *p == '.'))))
			break;
	}
	if (p == anchor->name || *p != '\0')
		es_json_complain(place, keyword, "must be a name of letters, digits, \"-\", \"_\" and \".\", beginning with a letter or \"_\"", NULL);
	foreach(lc, resource->anchors)
	{
		EsJsonAnchor *other = lfirst(lc);

		if (strcmp(other->name, anchor->name) == 0 && other->place != place)
			es_json_complain(place, keyword,
							 psprintf("the anchor \"%s\" is there twice", anchor->name), NULL);
	}
	resource->anchors = lappend(resource->anchors, anchor);
}

/*
 * Makes the resource that "$id" of a subschema begins, if it has one; at the
 * root of a document that resource is there already, and may get a second
 * name.
 */
static EsJsonResource *
read_id(EsJsonCompiler *compiler, const JsonbValue *value,
		const EsJsonPlace *place, EsJsonResource *resource)
{
	EsJsonResource *other;
	JsonbValue	id;
	char	   *uri;
	char	   *fragment;

	if (!es_json_get(value, "$id", &id))
		return resource;
	uri = es_json_uri_resolve(resource->uri, get_string(place, "$id", &id), &fragment);
	if (fragment != NULL && fragment[0] != '\0')
		es_json_complain(place, "$id", "must not have a fragment",
						 "A name within a document is given by \"$anchor\".");
	other = find_resource(compiler, uri);
	if (other != NULL && other->place != place)
		es_json_complain(place, "$id",
						 psprintf("is that of another schema, at \"%s\"",
								  es_json_place_pointer(other->place, NULL)), NULL);
	if (other != NULL)
		return other;
	return make_resource(compiler, uri, value, place, resource);
}

/*
 * Puts the subschemas of a keyword into the index.
 */
static void
index_keyword(EsJsonCompiler *compiler, EsJsonHolds holds, const JsonbValue *value,
			  const EsJsonPlace *place, EsJsonResource *resource)
{
	EsJsonWalk	walk;
	JsonbValue	member;

	if (holds == ES_JSON_HOLDS_SCHEMA)
		index_schema(compiler, value, place, resource);
	else if ((holds == ES_JSON_HOLDS_SCHEMAS && es_json_is_array(value)) ||
			 (holds == ES_JSON_HOLDS_NAMED && es_json_is_object(value)))
	{
		es_json_walk_begin(&walk, value);
		while (es_json_walk_next(&walk, &member))
			index_schema(compiler, &member,
						 holds == ES_JSON_HOLDS_NAMED ?
						 es_json_place_name(place, walk.key, walk.key_len) :
						 es_json_place_number(place, walk.next - 1),
						 resource);
	}
}

/*
 * Puts a subschema and all below it into the index; one that is there already
 * is left.  What is no schema is left too: compiling complains about it, unless
 * nobody ever asks for it.
 */
static void
index_schema(EsJsonCompiler *compiler, const JsonbValue *value,
			 const EsJsonPlace *place, EsJsonResource *resource)
{
	const JsonbContainer *container;
	EsJsonEntry *entry;
	EsJsonWalk	walk;
	JsonbValue	member;
	bool		found;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (!es_json_is_object(value))
		return;
	container = value->val.binary.data;
	entry = hash_search(compiler->entries, &container, HASH_ENTER, &found);
	if (found)
		return;
	if (hash_get_num_entries(compiler->entries) > ES_JSON_SCHEMA_MAX_NODES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("JSON schema is too large"),
				 errdetail("It has more than %d subschemas.", ES_JSON_SCHEMA_MAX_NODES)));
	entry->node = NULL;
	entry->place = place;
	resource = read_id(compiler, value, place, resource);
	entry->resource = resource;
	read_anchor(resource, value, place, "$anchor");
	read_anchor(resource, value, place, "$dynamicAnchor");

	es_json_walk_begin(&walk, value);
	while (es_json_walk_next(&walk, &member))
	{
		EsJsonHolds holds = es_json_keyword_holds(walk.key, walk.key_len);

		if (holds != ES_JSON_HOLDS_NONE)
			index_keyword(compiler, holds, &member,
						  es_json_place_name(place, walk.key, walk.key_len),
						  resource);
	}
}

EsJsonResource *
es_json_index_document(EsJsonCompiler *compiler, const JsonbValue *root,
					   const char *uri)
{
	const EsJsonPlace *place = make_place(NULL, pstrdup(uri), strlen(uri), 0);
	EsJsonResource *resource = make_resource(compiler, uri, root, place, NULL);

	index_schema(compiler, root, place, resource);

	/* One with another "$id" has its anchors there; both names lead to them. */
	if (es_json_is_object(root))
	{
		const JsonbContainer *container = root->val.binary.data;
		EsJsonEntry *entry = hash_search(compiler->entries, &container,
										 HASH_FIND, NULL);

		resource->anchors = entry->resource->anchors;
	}
	return resource;
}

EsJsonEntry *
es_json_index_entry(EsJsonCompiler *compiler, const EsJsonTarget *target)
{
	const JsonbContainer *container = target->value.val.binary.data;

	index_schema(compiler, &target->value, target->place, target->resource);
	return hash_search(compiler->entries, &container, HASH_FIND, NULL);
}

/*
 * The resource of a URI: one that is known, or the root of a document that the
 * caller has handed over, or a metaschema.  NULL if there is none.
 */
static EsJsonResource *
load_resource(EsJsonCompiler *compiler, const char *uri)
{
	EsJsonResource *resource = find_resource(compiler, uri);
	const char *text;
	JsonbValue	root;

	if (resource != NULL)
		return resource;
	if (es_json_get(&compiler->documents, uri, &root))
		return es_json_index_document(compiler, &root, uri);
	text = es_json_metaschema(uri);
	if (text != NULL)
	{
		Datum		parsed = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));

		es_json_root(DatumGetJsonbP(parsed), &root);
		return es_json_index_document(compiler, &root, uri);
	}
	return NULL;
}

/*
 * Takes the next step of a JSON Pointer, "~0" and "~1" decoded; *pointer stands
 * at a slash and is moved behind the step.
 */
static char *
next_step(const char **pointer)
{
	const char *p = *pointer + 1;
	char	   *step = palloc(strlen(p) + 1);
	char	   *out = step;

	for (; *p != '\0' && *p != '/'; p++)
	{
		if (p[0] == '~' && (p[1] == '0' || p[1] == '1'))
		{
			*out++ = p[1] == '0' ? '~' : '/';
			p++;
		}
		else
			*out++ = *p;
	}
	*out = '\0';
	*pointer = p;
	return step;
}

/*
 * Moves a target by a step of a JSON Pointer; false if there is nothing.
 */
static bool
take_step(EsJsonTarget *target, const char *step)
{
	if (es_json_is_object(&target->value))
	{
		JsonbValue	object = target->value;

		target->place = es_json_place_name(target->place, step, strlen(step));
		return es_json_get(&object, step, &target->value);
	}
	if (es_json_is_array(&target->value) && step[0] != '\0' && strlen(step) < 9 &&
		strspn(step, "0123456789") == strlen(step) &&
		(step[0] != '0' || step[1] == '\0'))
	{
		EsJsonWalk	walk;
		JsonbValue	array = target->value;
		uint32		wanted = atoi(step);

		target->place = es_json_place_number(target->place, wanted);
		if (wanted >= es_json_count(&array))
			return false;
		es_json_walk_begin(&walk, &array);
		while (walk.next <= wanted)
			(void) es_json_walk_next(&walk, &target->value);
		return true;
	}
	return false;
}

bool
es_json_follow_pointer(const char *pointer, JsonbValue *value)
{
	EsJsonTarget target;
	bool		found = true;

	target.value = *value;
	target.place = NULL;
	target.resource = NULL;
	while (found && *pointer != '\0')
		found = take_step(&target, next_step(&pointer));
	*value = target.value;
	return found;
}

/*
 * Follows a JSON Pointer from the root of a resource; false if there is
 * nothing.  The target belongs to the innermost resource on the way.
 */
static bool
follow_pointer(EsJsonCompiler *compiler, const char *pointer, EsJsonTarget *target)
{
	while (*pointer != '\0')
	{
		EsJsonEntry *entry = NULL;

		if (!take_step(target, next_step(&pointer)))
			return false;
		if (es_json_is_object(&target->value))
		{
			const JsonbContainer *container = target->value.val.binary.data;

			entry = hash_search(compiler->entries, &container, HASH_FIND, NULL);
		}
		if (entry != NULL)
		{
			target->resource = entry->resource;
			target->place = entry->place;
		}
	}
	return true;
}

static EsJsonAnchor *
find_anchor(EsJsonResource *resource, const char *name)
{
	ListCell   *lc;

	foreach(lc, resource->anchors)
	{
		EsJsonAnchor *anchor = lfirst(lc);

		if (strcmp(anchor->name, name) == 0)
			return anchor;
	}
	return NULL;
}

const char *
es_json_find_target(EsJsonCompiler *compiler, const EsJsonPlace *place,
					const char *keyword, EsJsonResource *resource,
					const JsonbValue *reference, EsJsonTarget *target)
{
	char	   *text = get_string(place, keyword, reference);
	char	   *fragment;
	char	   *uri = es_json_uri_resolve(resource->uri, text, &fragment);
	EsJsonResource *to = load_resource(compiler, uri);
	EsJsonAnchor *anchor = NULL;
	bool		found = true;

	if (to == NULL)
		es_json_complain(place, keyword,
						 psprintf("refers to %s, which is neither in the schema nor among the documents given with it",
								  es_json_show(reference, 200)),
						 "Nothing is fetched from elsewhere: put the other schema under \"$defs\", with its URI as \"$id\".");
	target->resource = to;
	target->value = to->root;
	target->place = to->place;
	if (fragment != NULL && fragment[0] == '/')
		found = follow_pointer(compiler, fragment, target);
	else if (fragment != NULL && fragment[0] != '\0')
	{
		anchor = find_anchor(to, fragment);
		found = anchor != NULL;
		if (found)
		{
			target->value = anchor->value;
			target->place = anchor->place;
		}
	}
	if (!found)
		es_json_complain(place, keyword,
						 psprintf("refers to %s, where there is nothing",
								  es_json_show(reference, 200)), NULL);
	return anchor != NULL && anchor->dynamic ? anchor->name : NULL;
}

/*
 * Visits a node in the search for cycles; nodes that are being visited are
 * grey.
 */
static void
visit_node(EsJsonNode *node)
{
	int			i;
	int			j;

	if (node == NULL || node->color == BLACK)
		return;
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (node->color == GREY)
		es_json_complain(node->place, NULL,
						 "comes back to itself without a step into the data", NULL);
	node->color = GREY;
	for (i = 0; i < node->napplicators; i++)
	{
		/* Where this one leads depends on the scope: check.c looks. */
		if (node->applicators[i].kind == ES_JSON_DYNAMIC_REF)
			continue;
		for (j = 0; j < node->applicators[i].nnodes; j++)
			visit_node(node->applicators[i].nodes[j]);
	}
	for (i = 0; node->object != NULL && i < node->object->ndependencies; i++)
		visit_node(node->object->dependencies[i].node);
	node->color = BLACK;
}

void
es_json_refuse_cycles(EsJsonCompiler *compiler)
{
	ListCell   *lc;

	foreach(lc, compiler->nodes)
		visit_node(lfirst(lc));
}
