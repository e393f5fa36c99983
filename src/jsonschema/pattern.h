/*-------------------------------------------------------------------------
 *
 * pattern.h
 *	  Regular expressions of ECMA-262 in the engine of PostgreSQL.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  JSON Schema has the expressions of ECMAScript with its flag "u".  A
 *	  simple one (simple.c) is matched here; all others are translated
 *	  (translate.c) for PostgreSQL's engine, under the collation "C", so that
 *	  they mean the same in every database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_JSONSCHEMA_PATTERN_H
#define ES_JSONSCHEMA_PATTERN_H

#include "mb/pg_wchar.h"

typedef struct EsJsonPattern EsJsonPattern;
typedef struct EsJsonSimple EsJsonSimple;

/*
 * Compiles a pattern; it lives in the given context, and is freed with it.
 *
 * Returns NULL for one that cannot be used, and says why in *problem.
 */
extern EsJsonPattern *es_json_pattern_compile(const char *source, int len,
											  MemoryContext context,
											  char **problem);

/* Does a text match somewhere? */
extern bool es_json_pattern_matches(EsJsonPattern *pattern, const char *text,
									int len);

/* The source of a pattern. */
extern const char *es_json_pattern_source(const EsJsonPattern *pattern);

/*
 * translate.c: translates a pattern; NULL, and why in *problem, if that cannot
 * be done.
 */
extern pg_wchar *es_json_pattern_translate(const pg_wchar *source, int len,
										   int *result_len, char **problem);

/* simple.c: compiles a pattern if it is simple; otherwise NULL. */
extern EsJsonSimple *es_json_simple_compile(const char *source, int len);

/* simple.c: does a text match somewhere? */
extern bool es_json_simple_matches(const EsJsonSimple *simple,
								   const char *text, int len);

/*
 * category.c: the ranges of a general category of Unicode by its short or
 * long name ("Lu", "Uppercase_Letter"), as pairs of the first and last code
 * point in ascending order, palloc'd; NULL if there is none of the name.
 */
extern uint32 *es_json_category_ranges(const char *name, int len,
											 int *nranges);

#endif							/* ES_JSONSCHEMA_PATTERN_H */
