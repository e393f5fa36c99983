/*-------------------------------------------------------------------------
 *
 * value.h
 *	  JSON values as they lie in a jsonb: walking, comparing, showing them.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  JsonbIterator allocates for each container and looks every offset up
 *	  anew; a walk does neither.  A value is a JsonbValue of one of the types
 *	  jbvNull, jbvBool, jbvNumeric, jbvString and jbvBinary (an array or an
 *	  object) that points into the jsonb.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_JSONSCHEMA_VALUE_H
#define ES_JSONSCHEMA_VALUE_H

#include "utils/jsonb.h"
#include "utils/numeric.h"

/* The types of JSON, as bits; a number without a fraction is both of them. */
#define ES_JSON_NULL		0x01
#define ES_JSON_BOOLEAN		0x02
#define ES_JSON_INTEGER		0x04
#define ES_JSON_NUMBER		0x08
#define ES_JSON_STRING		0x10
#define ES_JSON_ARRAY		0x20
#define ES_JSON_OBJECT		0x40
#define ES_JSON_ANY			0x7f

/*
 * A walk over the elements of an array or the pairs of an object, in the
 * order in which they are stored (keys by length, then by bytes).
 */
typedef struct EsJsonWalk
{
	const JEntry *entries;
	const char *base;			/* where the data begin */
	uint32		count;			/* elements or pairs */
	uint32		next;			/* the one to come */
	uint32		first_value;	/* entry of the first value */
	uint32		key_offset;		/* where the data of the next key begin */
	uint32		offset;			/* and those of the next value */
	const char *key;			/* of an object, after es_json_walk_next */
	int			key_len;
} EsJsonWalk;

static inline bool
es_json_is_object(const JsonbValue *value)
{
	return value->type == jbvBinary &&
		JsonContainerIsObject(value->val.binary.data);
}

static inline bool
es_json_is_array(const JsonbValue *value)
{
	return value->type == jbvBinary &&
		JsonContainerIsArray(value->val.binary.data);
}

/* The number of elements or pairs of an array or object. */
static inline uint32
es_json_count(const JsonbValue *value)
{
	return JsonContainerSize(value->val.binary.data);
}

/* Begins a walk over an array or object. */
static inline void
es_json_walk_begin(EsJsonWalk *walk, const JsonbValue *value)
{
	const JsonbContainer *container = value->val.binary.data;

	walk->entries = container->children;
	walk->count = JsonContainerSize(container);
	walk->next = 0;
	walk->key_offset = 0;
	walk->key = NULL;
	walk->key_len = 0;
	if (JsonContainerIsObject(container))
	{
		walk->first_value = walk->count;
		walk->base = (const char *) (container->children + 2 * walk->count);
		walk->offset = walk->count == 0 ? 0 :
			getJsonbOffset(container, walk->count);
	}
	else
	{
		walk->first_value = 0;
		walk->base = (const char *) (container->children + walk->count);
		walk->offset = 0;
	}
}

/* The value of an entry whose data lie between two offsets. */
static inline void
es_json_fill(JEntry entry, const char *base, uint32 start, uint32 end,
			 JsonbValue *value)
{
	switch (entry & JENTRY_TYPEMASK)
	{
		case JENTRY_ISSTRING:
			value->type = jbvString;
			value->val.string.val = (char *) base + start;
			value->val.string.len = end - start;
			break;
		case JENTRY_ISNUMERIC:
			value->type = jbvNumeric;
			value->val.numeric = (Numeric) (base + INTALIGN(start));
			break;
		case JENTRY_ISBOOL_FALSE:
			value->type = jbvBool;
			value->val.boolean = false;
			break;
		case JENTRY_ISBOOL_TRUE:
			value->type = jbvBool;
			value->val.boolean = true;
			break;
		case JENTRY_ISCONTAINER:
			value->type = jbvBinary;
			value->val.binary.data = (JsonbContainer *) (base + INTALIGN(start));
			value->val.binary.len = end - INTALIGN(start);
			break;
		default:
			value->type = jbvNull;
			break;
	}
}

/*
 * Steps to the next element or pair; false at the end.  The key of a pair is
 * in the walk then.
 */
static inline bool
es_json_walk_next(EsJsonWalk *walk, JsonbValue *value)
{
	JEntry		entry;
	uint32		start = walk->offset;

	if (walk->next >= walk->count)
		return false;
	if (walk->first_value != 0)
	{
		walk->key = walk->base + walk->key_offset;
		entry = walk->entries[walk->next];
		JBE_ADVANCE_OFFSET(walk->key_offset, entry);
		walk->key_len = walk->base + walk->key_offset - walk->key;
	}
	entry = walk->entries[walk->first_value + walk->next];
	JBE_ADVANCE_OFFSET(walk->offset, entry);
	es_json_fill(entry, walk->base, start, walk->offset, value);
	walk->next++;
	return true;
}

/* The order of the keys of an object. */
static inline int
es_json_compare_keys(const char *a, int a_len, const char *b, int b_len)
{
	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	return memcmp(a, b, a_len);
}

static inline bool
es_json_key_is(const char *key, int key_len, const char *name)
{
	return key_len == (int) strlen(name) && memcmp(key, name, key_len) == 0;
}

/* The whole of a jsonb as a value. */
extern void es_json_root(Jsonb *jsonb, JsonbValue *value);

/* Finds a member of an object by its name; false if there is none. */
extern bool es_json_get(const JsonbValue *object, const char *name,
						JsonbValue *value);

/* The type of a value, as bits. */
extern int	es_json_type(const JsonbValue *value);

/* Has a number no fraction? 1.0 has none. */
extern bool es_json_is_integral(Numeric number);

/* Less than 0, 0 or more, as with numeric_cmp. */
extern int	es_json_compare_numbers(Numeric a, Numeric b);

/* A number as an int32; false if it has a fraction or is out of range. */
extern bool es_json_small_integer(Numeric number, int32 *result);

/* -1, 0 or 1. */
extern int	es_json_sign(Numeric number);

/* Is a number a multiple of another one, exactly? */
extern bool es_json_is_multiple(Numeric number, Numeric of);

/*
 * An order of all values, 0 if they are equal by the rules of JSON: numbers by
 * their value, objects whatever the order of their members.
 */
extern int	es_json_compare(const JsonbValue *a, const JsonbValue *b);

/* What to call the types of a mask in a message: "integer or null". */
extern char *es_json_type_names(int mask);

/*
 * A value as it is shown in messages: scalars as JSON, at most max bytes of
 * it; of arrays and objects only that they are some, unless they are short.
 */
extern char *es_json_show(const JsonbValue *value, int max);

#endif							/* ES_JSONSCHEMA_VALUE_H */
