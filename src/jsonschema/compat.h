/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Comparing schemas; private to the room.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_JSONSCHEMA_COMPAT_H
#define ES_JSONSCHEMA_COMPAT_H

#include "jsonschema/check.h"

/* Schemas of one side that hold for a value at the same time. */
typedef struct EsJsonView
{
	List	   *schemas;		/* of JsonbValue *, objects */
	bool		is_never;		/* the schema false is among them */
	bool		is_partial;		/* there is more, which cannot be followed */
	struct EsJsonView *chosen;	/* those that hold for some values only, or
								 * NULL */
} EsJsonView;

/* Pairs that are being compared, innermost first. */
typedef struct EsJsonPair
{
	const struct EsJsonPair *outer;
	const JsonbContainer *reader;
	const EsJsonView *writer;
} EsJsonPair;

typedef struct EsJsonCompat
{
	JsonbValue	reader_root;	/* or null: its references are not followed */
	JsonbValue	writer_root;
	bool		same_roots;
	const EsJsonPair *pairs;
	int		   *left;			/* comparisons that may still be made */
	List	   *breaks;			/* of char * */
	int			max;
} EsJsonCompat;

/*
 * The types that all schemas of a view allow.  In this room's comparisons
 * ES_JSON_NUMBER stands for the numbers with a fraction only.
 */
extern int	es_json_view_types(const EsJsonView *view);

/* The types of one schema's "type", in the same way. */
extern int	es_json_schema_types(const JsonbValue *schema);

/*
 * Finds a keyword in a view, in any of its schemas; if equal is not NULL, one
 * with that value.
 */
extern bool es_json_view_get(const EsJsonView *view, const char *keyword,
							 const JsonbValue *equal, JsonbValue *value);

/* Notes something that breaks. */
extern void es_json_compat_break(EsJsonCompat *compat, const EsJsonPath *path,
								 const char *format,...) pg_attribute_printf(3, 4);

/* Do two subschemas mean the same, as they are the same text? */
extern bool es_json_compat_same(const EsJsonCompat *compat, const JsonbValue *reader,
								const JsonbValue *writer);

/*
 * Compares a subschema of the reader's with those of the writer's that hold for
 * the same value: a List of JsonbValue *, NIL if there are none.
 */
extern void es_json_compat_compare(EsJsonCompat *compat, const JsonbValue *reader,
								   List *writers, const EsJsonPath *path);

/* Is there nothing that breaks? */
extern bool es_json_compat_fits(EsJsonCompat *compat, const JsonbValue *reader,
								List *writers);

/* compat_rules.c: compares the keywords of one schema of the reader's. */
extern void es_json_compat_rules(EsJsonCompat *compat, const JsonbValue *schema,
								 const EsJsonView *reader, const EsJsonView *writer,
								 const EsJsonPath *path);

/* compat_members.c: the same for keywords of objects and arrays. */
extern void es_json_compat_properties(EsJsonCompat *compat, const JsonbValue *schema,
									  const EsJsonView *writer, const EsJsonPath *path);
extern void es_json_compat_patterns(EsJsonCompat *compat, const JsonbValue *schema,
									const EsJsonView *writer, const EsJsonPath *path);
extern void es_json_compat_others(EsJsonCompat *compat, const JsonbValue *rule,
								  List *named_by, const EsJsonView *writer,
								  const EsJsonPath *path);
extern void es_json_compat_required(EsJsonCompat *compat, const JsonbValue *names,
									const EsJsonView *writer, const EsJsonPath *path);
extern void es_json_compat_dependent(EsJsonCompat *compat, const JsonbValue *rule,
									 const EsJsonView *writer, const EsJsonPath *path);
extern void es_json_compat_items(EsJsonCompat *compat, const JsonbValue *schema,
								 const EsJsonView *writer, const EsJsonPath *path);

/* compat_members.c: is a name among the required ones of a view? */
extern bool es_json_view_requires(const EsJsonView *view, const char *name, int len);

#endif							/* ES_JSONSCHEMA_COMPAT_H */
