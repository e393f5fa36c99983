/*-------------------------------------------------------------------------
 *
 * jsonschema.h
 *	  JSON Schema, draft 2020-12, for jsonb.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A schema is compiled once and then checked against many values.  All
 *	  keywords of the draft are known; "format" and "content…" are annotations
 *	  only, as the draft has it.  Nothing is ever fetched: a schema may refer
 *	  to itself, to what is embedded in it, to the metaschemas of the draft,
 *	  and to documents that the caller hands over.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_JSONSCHEMA_JSONSCHEMA_H
#define ES_JSONSCHEMA_JSONSCHEMA_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* What es_json_schema_compile refuses, with ERRCODE_PROGRAM_LIMIT_EXCEEDED. */
#define ES_JSON_SCHEMA_MAX_SIZE		(16 * 1024 * 1024)	/* bytes of jsonb */
#define ES_JSON_SCHEMA_MAX_NODES	100000	/* subschemas */
#define ES_JSON_SCHEMA_MAX_PATTERN	4096	/* characters */

/* A compiled schema. */
typedef struct EsJsonSchema EsJsonSchema;

/*
 * Where and why a value does not fit; strings palloc'd in the current
 * context.
 */
typedef struct EsJsonSchemaProblem
{
	char	   *path;			/* JSON Pointer into the value, "" = all of it */
	char	   *rule;			/* JSON Pointer into the schema, or an URI with
								 * one: "/properties/quantity/minimum" */
	char	   *message;		/* "must be at least 1, is -3" */
} EsJsonSchemaProblem;

/*
 * Compiles a schema.
 *
 * The compiled form lives in a child context of the given one until
 * es_json_schema_free or the end of that context; the Jsonb is copied.
 * Raises 22023 for what is no schema of the draft, with a detail that names
 * the place by a JSON Pointer, 54000 for one beyond the limits above, and
 * 54001 for one nested too deeply.
 */
extern EsJsonSchema *es_json_schema_compile(Jsonb *schema, MemoryContext context);

/*
 * The same, with documents that the schema may refer to: an object whose keys
 * are URIs and whose values are schemas.  NULL: none.
 */
extern EsJsonSchema *es_json_schema_compile_with(Jsonb *schema, Jsonb *documents,
												 MemoryContext context);

/* Frees a compiled schema and its regular expressions. */
extern void es_json_schema_free(EsJsonSchema *schema);

/*
 * Does the value fit the schema?
 *
 * If not, and problem is not NULL, the first problem is put there.  Allocates
 * nothing while the value fits, except for regular expressions that are not
 * simple, "unevaluated…" and "uniqueItems" on large values.  Raises 54001 for
 * a value that is nested too deeply for the stack.
 */
extern bool es_json_schema_check(const EsJsonSchema *schema, Jsonb *instance,
								 EsJsonSchemaProblem *problem);

/*
 * All problems of the value, at most max_problems: a List of
 * EsJsonSchemaProblem *; NIL if it fits.
 */
extern List *es_json_schema_check_all(const EsJsonSchema *schema,
									  Jsonb *instance, int max_problems);

/*
 * What data that is valid by the schema "writer" might be refused by the
 * schema "reader": a List of char *, at most max, each naming the path and
 * what stands in the way: "/quantity: is required now".  NIL: nothing.
 *
 * Where it cannot tell it says so: "/x: cannot tell whether …".  Equal schemas
 * never break.  Two things are taken as they are meant, not as they are
 * written: a property that the writer's schema does not name, and says nothing
 * about by additionalProperties or patternProperties, is taken to be left out
 * by the writer, so that adding an optional property breaks nothing (if it is
 * required, it may be anything); and "format" is an annotation.  Raises what es_json_schema_compile raises.
 */
extern List *es_json_schema_breaks(Jsonb *reader, Jsonb *writer, int max);

#endif							/* ES_JSONSCHEMA_JSONSCHEMA_H */
