/*-------------------------------------------------------------------------
 *
 * compile.c
 *	  From a schema to its nodes.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "jsonschema/keyword.h"
#include "jsonschema/schema.h"

/*
 * Appends the steps that lead to a place; returns the root's name.
 */
static const char *
append_steps(StringInfo buf, const EsJsonPlace *place)
{
	const EsJsonPlace **steps;
	const EsJsonPlace *p;
	const char *root;
	int			n = 0;
	int			i;

	for (p = place; p->parent != NULL; p = p->parent)
		n++;
	root = p->name;
	steps = palloc((n + 1) * sizeof(EsJsonPlace *));
	for (p = place, i = n; p->parent != NULL; p = p->parent)
		steps[--i] = p;
	for (i = 0; i < n; i++)
	{
		int			j;

		appendStringInfoChar(buf, '/');
		if (steps[i]->name == NULL)
			appendStringInfo(buf, "%d", steps[i]->number);
		for (j = 0; steps[i]->name != NULL && j < steps[i]->len; j++)
		{
			if (steps[i]->name[j] == '~')
				appendStringInfoString(buf, "~0");
			else if (steps[i]->name[j] == '/')
				appendStringInfoString(buf, "~1");
			else
				appendStringInfoChar(buf, steps[i]->name[j]);
		}
	}
	pfree(steps);
	return root;
}

char *
es_json_place_pointer(const EsJsonPlace *place, const char *keyword)
{
	StringInfoData buf;
	const char *root;

	initStringInfo(&buf);
	root = append_steps(&buf, place);
	if (keyword != NULL)
		appendStringInfo(&buf, "/%s", keyword);
	return root[0] == '\0' ? buf.data : psprintf("%s#%s", root, buf.data);
}

void
es_json_complain(const EsJsonPlace *place, const char *keyword,
				 const char *reason, const char *hint)
{
	char	   *pointer = es_json_place_pointer(place, keyword);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("JSON schema is not valid"),
			 pointer[0] == '\0' ?
			 errdetail("The root of the schema %s.", reason) :
			 errdetail("\"%s\" %s.", pointer, reason),
			 hint != NULL ? errhint("%s", hint) : 0));
}

EsJsonHolds
es_json_keyword_holds(const char *name, int len)
{
	const EsJsonKeyword *keyword = es_json_keyword(name, len);

	return keyword != NULL ? keyword->holds : ES_JSON_HOLDS_NONE;
}

/*
 * Are all keywords of a node such that they refuse no value, and leave no mark
 * for "unevaluated…"?
 */
static bool
refuses_nothing(const EsJsonNode *node)
{
	return !node->never && node->types == ES_JSON_ANY &&
		node->enumeration == NULL && node->object == NULL &&
		node->array == NULL && node->string == NULL &&
		node->number == NULL && node->napplicators == 0;
}

static EsJsonNode *
make_node(EsJsonCompiler *compiler, const EsJsonTarget *target)
{
	EsJsonNode *node = palloc0(sizeof(EsJsonNode));

	if (++compiler->nnodes > ES_JSON_SCHEMA_MAX_NODES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("JSON schema is too large"),
				 errdetail("It has more than %d subschemas.", ES_JSON_SCHEMA_MAX_NODES)));
	node->place = target->place;
	node->resource = target->resource;
	node->types = ES_JSON_ANY;
	compiler->nodes = lappend(compiler->nodes, node);
	return node;
}

EsJsonNode *
es_json_compile_target(EsJsonCompiler *compiler, const EsJsonTarget *target)
{
	EsJsonEntry *entry;
	EsJsonNode *node;
	EsJsonWalk	walk;
	JsonbValue	value;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (target->value.type == jbvBool)
	{
		node = make_node(compiler, target);
		node->never = !target->value.val.boolean;
		node->anything = target->value.val.boolean;
		return node;
	}
	if (!es_json_is_object(&target->value))
		es_json_complain(target->place, NULL,
						 psprintf("must be a schema, that is an object or a boolean, is %s",
								  es_json_show(&target->value, 60)), NULL);
	entry = es_json_index_entry(compiler, target);
	if (entry->node != NULL)
		return entry->node;

	node = make_node(compiler, target);
	node->place = entry->place;
	node->resource = entry->resource;
	entry->node = node;
	es_json_walk_begin(&walk, &target->value);
	while (es_json_walk_next(&walk, &value))
	{
		const EsJsonKeyword *keyword = es_json_keyword(walk.key, walk.key_len);

		if (keyword != NULL && keyword->compile != NULL &&
			(!keyword->validates || node->resource->validates))
			keyword->compile(compiler, node, &target->value, keyword->name, &value);
	}
	node->anything = refuses_nothing(node);
	return node;
}

/*
 * Makes nodes of all subschemas with dynamic anchors, of which any may be what
 * a "$dynamicRef" refers to; that may bring more documents, with more of them.
 */
static void
compile_dynamic_anchors(EsJsonCompiler *compiler)
{
	int			i;

	/* The lists may grow meanwhile. */
	for (i = 0; i < list_length(compiler->schema->resources); i++)
	{
		EsJsonResource *resource = list_nth(compiler->schema->resources, i);
		ListCell   *lc;

		foreach(lc, resource->anchors)
		{
			EsJsonAnchor *anchor = lfirst(lc);
			EsJsonTarget target;

			if (!anchor->dynamic || anchor->node != NULL)
				continue;
			target.value = anchor->value;
			target.place = anchor->place;
			target.resource = resource;
			anchor->node = es_json_compile_target(compiler, &target);
		}
	}
}

static void
compile_all(EsJsonSchema *schema, Jsonb *source, Jsonb *documents)
{
	EsJsonCompiler compiler;
	EsJsonTarget root;
	EsJsonResource *resource;
	HASHCTL		ctl;

	memset(&compiler, 0, sizeof(compiler));
	compiler.schema = schema;
	compiler.documents.type = jbvNull;
	ctl.keysize = sizeof(JsonbContainer *);
	ctl.entrysize = sizeof(EsJsonEntry);
	ctl.hcxt = schema->context;
	compiler.entries = hash_create("JSON schema", 64, &ctl,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (documents != NULL)
	{
		es_json_root(documents, &compiler.documents);
		if (!es_json_is_object(&compiler.documents))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("documents of a JSON schema must be an object"),
					 errdetail("Its keys are URIs, its values schemas.")));
	}
	es_json_root(source, &root.value);
	resource = es_json_index_document(&compiler, &root.value, "");
	root.resource = resource;
	root.place = resource->place;
	schema->root = es_json_compile_target(&compiler, &root);
	if (schema->is_dynamic)
		compile_dynamic_anchors(&compiler);
	es_json_refuse_cycles(&compiler);
	list_free(compiler.nodes);
	hash_destroy(compiler.entries);
}

/*
 * A copy of a jsonb in the current context.
 */
static Jsonb *
copy_jsonb(Jsonb *source)
{
	Jsonb	   *copy;

	if (VARSIZE(source) > ES_JSON_SCHEMA_MAX_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("JSON schema is too large"),
				 errdetail("It has %d bytes; at most %d are allowed.",
						   (int) VARSIZE(source), ES_JSON_SCHEMA_MAX_SIZE)));
	copy = palloc(VARSIZE(source));
	memcpy(copy, source, VARSIZE(source));
	return copy;
}

EsJsonSchema *
es_json_schema_compile_with(Jsonb *source, Jsonb *documents, MemoryContext context)
{
	MemoryContext own = AllocSetContextCreate(context, "JSON schema",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(own);
	EsJsonSchema *schema = palloc0(sizeof(EsJsonSchema));

	schema->context = own;
	PG_TRY();
	{
		compile_all(schema, copy_jsonb(source),
					documents != NULL ? copy_jsonb(documents) : NULL);
	}
	PG_CATCH();
	{
		/* The message is elsewhere; the caller's context may stay for long. */
		MemoryContextSwitchTo(old);
		MemoryContextDelete(own);
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	return schema;
}

EsJsonSchema *
es_json_schema_compile(Jsonb *source, MemoryContext context)
{
	return es_json_schema_compile_with(source, NULL, context);
}

void
es_json_schema_free(EsJsonSchema *schema)
{
	MemoryContextDelete(schema->context);
}
