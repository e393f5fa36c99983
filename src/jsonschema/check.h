/*-------------------------------------------------------------------------
 *
 * check.h
 *	  Checking values against nodes; private to the room.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_JSONSCHEMA_CHECK_H
#define ES_JSONSCHEMA_CHECK_H

#include "jsonschema/schema.h"

/* Where the check is in the value; on the stack, one for each step. */
typedef struct EsJsonPath
{
	const struct EsJsonPath *parent;	/* NULL at the root, as the path itself */
	const char *name;			/* of a member, or NULL */
	int			len;
	int			number;			/* of an item */
	bool		is_name;		/* the name itself is checked, not the member */
} EsJsonPath;

/* The resources that were entered and not left yet, innermost first. */
typedef struct EsJsonScope
{
	struct EsJsonScope *outer;
	const EsJsonResource *resource;
} EsJsonScope;

/* The dynamic references that are being followed, innermost first. */
typedef struct EsJsonFollowed
{
	struct EsJsonFollowed *outer;
	const EsJsonNode *node;
	const JsonbValue *value;
} EsJsonFollowed;

/* A check. */
typedef struct EsJsonCheck
{
	const EsJsonSchema *schema;
	int			wanted;			/* so many problems more; 0: just say whether */
	List	   *problems;
	EsJsonScope *scope;
	EsJsonFollowed *followed;
} EsJsonCheck;

/*
 * For functions with a "check" and a result "ok": a condition that must be
 * true; if it is not, goes on only if more problems are wanted.
 */
#define DEMAND(condition) \
	do { \
		if (!(condition)) \
		{ \
			ok = false; \
			if (check->wanted == 0) \
				return false; \
		} \
	} while (0)

#define ES_JSON_FEW_BITS	128

/*
 * Which members or items of a value have been evaluated by some keyword, for
 * "unevaluatedProperties" and "unevaluatedItems".
 */
typedef struct EsJsonMarks
{
	uint32		count;
	bool		all;
	uint64	   *bits;			/* few, or palloc'd */
	uint64		few[ES_JSON_FEW_BITS / 64];
} EsJsonMarks;

/*
 * Does a value fit a node?
 *
 * Reports problems, as far as some are wanted, and goes on after the first
 * only then.  marks is NULL if nobody needs to know what was evaluated.
 */
extern bool es_json_check_node(EsJsonCheck *check, const EsJsonNode *node,
							   const JsonbValue *value, const EsJsonPath *path,
							   EsJsonMarks *marks);

/* The same, without reporting anything. */
extern bool es_json_check_quietly(EsJsonCheck *check, const EsJsonNode *node,
								  const JsonbValue *value, const EsJsonPath *path,
								  EsJsonMarks *marks);

/* The rules for objects and arrays. */
extern bool es_json_check_object(EsJsonCheck *check, const EsJsonNode *node,
								 const JsonbValue *value, const EsJsonPath *path,
								 EsJsonMarks *marks);
extern bool es_json_check_array(EsJsonCheck *check, const EsJsonNode *node,
								const JsonbValue *value, const EsJsonPath *path,
								EsJsonMarks *marks);

/* "unevaluatedProperties" or "unevaluatedItems" for what has no mark. */
extern bool es_json_check_unevaluated(EsJsonCheck *check, const EsJsonNode *rule,
									  const JsonbValue *value,
									  const EsJsonPath *path, EsJsonMarks *marks);

/* Marks: a set of none, one more of them, those of another set. */
extern void es_json_marks_begin(EsJsonMarks *marks, uint32 count);
extern void es_json_marks_end(EsJsonMarks *marks);
extern void es_json_marks_add(EsJsonMarks *marks, const EsJsonMarks *others);

static inline void
es_json_mark(EsJsonMarks *marks, uint32 number)
{
	if (marks != NULL)
		marks->bits[number >> 6] |= UINT64CONST(1) << (number & 63);
}

/*
 * report.c: notes a problem, if one is wanted; always false.
 *
 * The message is made by a format, and only if it is wanted.
 */
extern bool es_json_report(EsJsonCheck *check, const EsJsonNode *node,
						   const char *keyword, const EsJsonPath *path,
						   const char *format,...) pg_attribute_printf(5, 6);

/* report.c: the same for a value that is not in the "enum" or "const". */
extern bool es_json_report_enum(EsJsonCheck *check, const EsJsonNode *node,
								const JsonbValue *value, const EsJsonPath *path);

/* report.c: "1 item", "3 items", "2 properties". */
extern const char *es_json_number_of(int64 n, const char *noun);

/* report.c: the JSON Pointer of a path. */
extern char *es_json_path_pointer(const EsJsonPath *path);

#endif							/* ES_JSONSCHEMA_CHECK_H */
