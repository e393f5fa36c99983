/*-------------------------------------------------------------------------
 *
 * keyword.h
 *	  The keywords of JSON Schema.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_JSONSCHEMA_KEYWORD_H
#define ES_JSONSCHEMA_KEYWORD_H

#include "jsonschema/schema.h"

/*
 * Puts what a keyword says into a node; schema is the subschema around it.
 */
typedef void (*EsJsonKeywordCompiler) (EsJsonCompiler *compiler, EsJsonNode *node,
									   const JsonbValue *schema,
									   const char *keyword,
									   const JsonbValue *value);

typedef struct EsJsonKeyword
{
	const char *name;
	EsJsonHolds holds;
	bool		validates;		/* belongs to the validation vocabulary */
	EsJsonKeywordCompiler compile;
} EsJsonKeyword;

/* A keyword by its name, or NULL. */
extern const EsJsonKeyword *es_json_keyword(const char *name, int len);

/* compile.c: the node of a subschema, which is made if it is not there yet. */
extern EsJsonNode *es_json_compile_target(EsJsonCompiler *compiler,
										  const EsJsonTarget *target);

#endif							/* ES_JSONSCHEMA_KEYWORD_H */
