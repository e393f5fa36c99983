/*-------------------------------------------------------------------------
 *
 * schema.h
 *	  The compiled form of a schema; private to the room.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Compiling goes in two steps.  The index (refs.c) walks over a document
 *	  and notes where each subschema stands, to which resource ("$id") it
 *	  belongs, and the anchors.  Then compile.c makes a node of each subschema
 *	  that the root contains or refers to; a recursive schema gives a cyclic
 *	  graph of nodes.  All of it lives in the context of the schema and points
 *	  into the copies of the documents there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_JSONSCHEMA_SCHEMA_H
#define ES_JSONSCHEMA_SCHEMA_H

#include "utils/hsearch.h"

#include "core/compat.h"
#include "jsonschema/jsonschema.h"
#include "jsonschema/pattern.h"
#include "jsonschema/value.h"

#define ES_JSON_DIALECT	"https://json-schema.org/draft/2020-12/schema"

typedef struct EsJsonNode EsJsonNode;
typedef struct EsJsonResource EsJsonResource;

/*
 * Where a subschema stands: a step from the place around it.  The step is a
 * name, or, where that is NULL, a number.  The root of a document has no
 * parent, and the URI of the document as its name, "" for the schema itself.
 */
typedef struct EsJsonPlace
{
	const struct EsJsonPlace *parent;
	const char *name;
	int			len;
	int			number;
} EsJsonPlace;

/* A name that "$anchor" or "$dynamicAnchor" gives to a subschema. */
typedef struct EsJsonAnchor
{
	const char *name;
	bool		dynamic;
	JsonbValue	value;			/* the subschema */
	const EsJsonPlace *place;
	EsJsonNode *node;			/* of a dynamic one, when all is compiled */
} EsJsonAnchor;

/* A document, or what is embedded in one with an "$id" of its own. */
struct EsJsonResource
{
	char	   *uri;			/* absolute, or "" */
	JsonbValue	root;
	const EsJsonPlace *place;
	List	   *anchors;		/* of EsJsonAnchor * */
	bool		validates;		/* the validation vocabulary is in use */
};

/* What "properties" and "required" say about a name. */
typedef struct EsJsonProperty
{
	const char *name;
	int			len;
	bool		named;			/* stands in "properties" */
	bool		required;
	EsJsonNode *node;			/* NULL if any value will do */
} EsJsonProperty;

typedef struct EsJsonPatternProperty
{
	EsJsonPattern *pattern;
	EsJsonNode *node;
} EsJsonPatternProperty;

/* "dependentRequired" or "dependentSchemas" for one name. */
typedef struct EsJsonDependency
{
	const char *name;
	int			len;
	int			nrequired;
	JsonbValue *required;		/* strings */
	EsJsonNode *node;			/* or a schema for the whole object */
} EsJsonDependency;

typedef struct EsJsonObjectRules
{
	int64		min;			/* properties */
	int64		max;
	int			nproperties;
	EsJsonProperty *properties; /* in the order of the keys of a jsonb */
	int			npatterns;
	EsJsonPatternProperty *patterns;
	EsJsonNode *additional;		/* NULL: no rule */
	EsJsonNode *names;
	int			ndependencies;
	EsJsonDependency *dependencies;
	EsJsonNode *unevaluated;
} EsJsonObjectRules;

typedef struct EsJsonArrayRules
{
	int64		min;			/* items */
	int64		max;
	int			nprefix;
	EsJsonNode **prefix;
	EsJsonNode *items;			/* NULL: no rule */
	EsJsonNode *contains;
	int64		min_contains;
	int64		max_contains;
	bool		unique;
	EsJsonNode *unevaluated;
} EsJsonArrayRules;

typedef struct EsJsonStringRules
{
	int64		min;			/* characters */
	int64		max;
	EsJsonPattern *pattern;
} EsJsonStringRules;

typedef struct EsJsonNumberRules
{
	Numeric		minimum;		/* NULL: no rule */
	Numeric		exclusive_minimum;
	Numeric		maximum;
	Numeric		exclusive_maximum;
	Numeric		multiple_of;
	int32		multiple_of_integer;	/* the same if it is a small integer, else
										 * 0 */
} EsJsonNumberRules;

/* What applies further schemas to the same value. */
typedef enum EsJsonApplicatorKind
{
	ES_JSON_REF,
	ES_JSON_DYNAMIC_REF,
	ES_JSON_ALL_OF,
	ES_JSON_ANY_OF,
	ES_JSON_ONE_OF,
	ES_JSON_NOT,
	ES_JSON_IF
} EsJsonApplicatorKind;

typedef struct EsJsonApplicator
{
	EsJsonApplicatorKind kind;
	int			nnodes;
	EsJsonNode **nodes;			/* of "if": if, then, else, each maybe NULL */
	const char *anchor;			/* of "$dynamicRef" */
} EsJsonApplicator;

/* A compiled subschema. */
struct EsJsonNode
{
	const EsJsonPlace *place;
	EsJsonResource *resource;
	bool		never;			/* the schema false */
	bool		anything;		/* no keyword of it refuses or marks anything */
	uint8		types;			/* ES_JSON_…, ES_JSON_ANY without "type" */
	uint8		color;			/* of the search for cycles */
	JsonbValue *enumeration;	/* of "enum" or "const", or NULL */
	int			nenumeration;
	bool		is_const;
	EsJsonObjectRules *object;	/* NULL: no rules, as below */
	EsJsonArrayRules *array;
	EsJsonStringRules *string;
	EsJsonNumberRules *number;
	int			napplicators;
	EsJsonApplicator *applicators;
};

struct EsJsonSchema
{
	MemoryContext context;
	EsJsonNode *root;
	List	   *resources;		/* of EsJsonResource * */
	bool		is_dynamic;		/* has a "$dynamicRef" that depends on scope */
};

/* What the index knows of a subschema that is an object. */
typedef struct EsJsonEntry
{
	const JsonbContainer *container;	/* key */
	const EsJsonPlace *place;
	EsJsonResource *resource;
	EsJsonNode *node;			/* NULL until it is compiled */
} EsJsonEntry;

/* While a schema is compiled. */
typedef struct EsJsonCompiler
{
	EsJsonSchema *schema;
	JsonbValue	documents;		/* object, or jbvNull */
	HTAB	   *entries;		/* of EsJsonEntry */
	int			nnodes;
	List	   *nodes;			/* of EsJsonNode *, all of them */
} EsJsonCompiler;

/* A subschema with where it stands and to what it belongs. */
typedef struct EsJsonTarget
{
	JsonbValue	value;
	const EsJsonPlace *place;
	EsJsonResource *resource;
} EsJsonTarget;

/* Which keywords have subschemas, and how. */
typedef enum EsJsonHolds
{
	ES_JSON_HOLDS_NONE,
	ES_JSON_HOLDS_SCHEMA,
	ES_JSON_HOLDS_SCHEMAS,		/* an array of them */
	ES_JSON_HOLDS_NAMED			/* an object of them */
} EsJsonHolds;

/* compile.c: does a keyword hold subschemas? */
extern EsJsonHolds es_json_keyword_holds(const char *name, int len);

/* compile.c: raises 22023 for what is wrong at a keyword of a place. */
ES_NORETURN extern void es_json_complain(const EsJsonPlace *place,
										 const char *keyword,
										 const char *reason, const char *hint);

/* compile.c: the JSON Pointer of a place, with the keyword if not NULL. */
extern char *es_json_place_pointer(const EsJsonPlace *place,
								   const char *keyword);

/* refs.c: the place of a step from another one. */
extern const EsJsonPlace *es_json_place_name(const EsJsonPlace *parent,
											 const char *name, int len);
extern const EsJsonPlace *es_json_place_number(const EsJsonPlace *parent,
											   int number);

/*
 * refs.c: makes the index of a document, whose root is a resource of the
 * given URI, and returns that.
 */
extern EsJsonResource *es_json_index_document(EsJsonCompiler *compiler,
											  const JsonbValue *root,
											  const char *uri);

/* refs.c: what the index knows of a subschema; makes an entry if need be. */
extern EsJsonEntry *es_json_index_entry(EsJsonCompiler *compiler,
										const EsJsonTarget *target);

/*
 * refs.c: finds what a reference of a resource refers to.  Returns the
 * anchor's name if the reference ends in one that is dynamic, otherwise NULL.
 */
extern const char *es_json_find_target(EsJsonCompiler *compiler,
									   const EsJsonPlace *place,
									   const char *keyword,
									   EsJsonResource *resource,
									   const JsonbValue *reference,
									   EsJsonTarget *target);

/* refs.c: follows a JSON Pointer from a value; false if there is nothing. */
extern bool es_json_follow_pointer(const char *pointer, JsonbValue *value);

/* refs.c: raises 22023 if a node comes back to itself without a step into the data. */
extern void es_json_refuse_cycles(EsJsonCompiler *compiler);

/* metaschema.c: the text of a metaschema of the draft, or NULL. */
extern const char *es_json_metaschema(const char *uri);

#endif							/* ES_JSONSCHEMA_SCHEMA_H */
