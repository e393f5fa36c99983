/*-------------------------------------------------------------------------
 *
 * simple.c
 *	  Patterns that need no engine: "^[A-Z]{3}-[0-9]+$".
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  PostgreSQL's engine builds its automaton anew for each match, which costs
 *	  more than all else that a usual schema asks for.  Most patterns of
 *	  schemas are a sequence of characters and classes of ASCII, each with a
 *	  quantifier.  Where what may follow a repetition has no character in
 *	  common with it, taking as many as there are is always right, and matching
 *	  is one pass without going back.  All other patterns are not simple.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "jsonschema/pattern.h"

#define MAX_ITEMS	64
#define MAX_UNANCHORED	100	/* characters */
#define NO_LIMIT	PG_INT32_MAX

/* What an item takes besides ASCII. */
#define OTHERS_NONE	0
#define OTHERS_ALL	1
#define OTHERS_DOT	2			/* all but U+2028 and U+2029 */

/* A class of characters, min to max times. */
typedef struct PatternItem
{
	uint64		ascii[2];
	int			others;
	int32		min;
	int32		max;
} PatternItem;

struct EsJsonSimple
{
	bool		from_start;		/* "^" */
	bool		to_end;			/* "$" */
	int			nitems;
	PatternItem		items[FLEXIBLE_ARRAY_MEMBER];
};

/* While a pattern is read. */
typedef struct Reader
{
	const char *p;
	const char *end;
} Reader;

static void
add_range(PatternItem *item, int first, int last)
{
	int			c;

	for (c = first; c <= last; c++)
		item->ascii[c >> 6] |= UINT64CONST(1) << (c & 63);
}

static void
negate(PatternItem *item)
{
	item->ascii[0] = ~item->ascii[0];
	item->ascii[1] = ~item->ascii[1];
	item->others = OTHERS_ALL;
}

/*
 * Adds the class that an escape stands for; false if it stands for none.
 */
static bool
add_class(PatternItem *item, char c)
{
	switch (c)
	{
		case 'w':
			add_range(item, 'A', 'Z');
			add_range(item, 'a', 'z');
			add_range(item, '_', '_');
			/* fall through */
		case 'd':
			add_range(item, '0', '9');
			return true;
		default:
			return false;
	}
}

/*
 * Reads what follows a backslash where it is a character of ASCII, or a class;
 * returns the character, 0 for a class that was added, or -1.
 */
static int
read_escape(Reader *reader, PatternItem *item)
{
	char		c;

	if (reader->p >= reader->end)
		return -1;
	c = *reader->p++;
	if (add_class(item, c))
		return 0;
	switch (c)
	{
		case 't':
			return '\t';
		case 'n':
			return '\n';
		case 'r':
			return '\r';
		default:
			return c != '\0' && strchr("^$\\.*+?()[]{}|/-", c) != NULL ? c : -1;
	}
}

/*
 * Reads a member of a class in brackets; results as those of read_escape.
 */
static int
read_member(Reader *reader, PatternItem *item)
{
	char		c = *reader->p++;

	if (IS_HIGHBIT_SET(c))
		return -1;
	return c == '\\' ? read_escape(reader, item) : c;
}

/*
 * Reads a class in brackets; false if it is not simple.
 */
static bool
read_brackets(Reader *reader, PatternItem *item)
{
	bool		negated = false;

	if (reader->p < reader->end && *reader->p == '^')
	{
		negated = true;
		reader->p++;
	}
	while (reader->p < reader->end && *reader->p != ']')
	{
		int			first = read_member(reader, item);
		int			last = first;

		if (first < 0)
			return false;
		if (reader->end - reader->p >= 2 && reader->p[0] == '-' && reader->p[1] != ']')
		{
			reader->p++;
			last = read_member(reader, item);
			if (first == 0 || last < first)
				return false;
		}
		if (first > 0)
			add_range(item, first, last);
	}
	if (reader->p >= reader->end)
		return false;
	reader->p++;
	if (negated)
		negate(item);
	return true;
}

/*
 * Reads a number of at most 6 digits; -1 if there is none.
 */
static int32
read_number(Reader *reader)
{
	int32		n = -1;
	int			digits = 0;

	while (reader->p < reader->end && *reader->p >= '0' && *reader->p <= '9' && digits++ < 6)
		n = Max(n, 0) * 10 + (*reader->p++ - '0');
	return n;
}

/*
 * Reads a quantifier, if there is one; false if it is not simple.
 */
static bool
read_quantifier(Reader *reader, PatternItem *item)
{
	char		c = reader->p < reader->end ? *reader->p : '\0';

	item->min = item->max = 1;
	if (c != '*' && c != '+' && c != '?' && c != '{')
		return true;
	reader->p++;
	if (c == '*' || c == '?')
		item->min = 0;
	if (c == '*' || c == '+')
		item->max = NO_LIMIT;
	if (c == '{')
	{
		item->min = item->max = read_number(reader);
		if (reader->p < reader->end && *reader->p == ',')
		{
			reader->p++;
			item->max = read_number(reader);
			if (item->max < 0 && reader->p < reader->end && *reader->p == '}')
				item->max = NO_LIMIT;
		}
		if (item->min < 0 || item->max < item->min ||
			reader->p >= reader->end || *reader->p != '}')
			return false;
		reader->p++;
	}
	/* A lazy one, or one too many. */
	return reader->p >= reader->end || strchr("*+?{", *reader->p) == NULL;
}

/*
 * Reads an item with its quantifier; false if it is not simple.
 */
static bool
read_item(Reader *reader, PatternItem *item)
{
	char		c = *reader->p++;
	int			literal = c;

	memset(item, 0, sizeof(PatternItem));
	if (IS_HIGHBIT_SET(c) || strchr("^$*+?(){}|]", c) != NULL)
		return false;
	if (c == '[')
	{
		if (!read_brackets(reader, item))
			return false;
		literal = 0;
	}
	else if (c == '.')
	{
		add_range(item, '\n', '\n');
		add_range(item, '\r', '\r');
		negate(item);
		item->others = OTHERS_DOT;
		literal = 0;
	}
	else if (c == '\\')
	{
		literal = read_escape(reader, item);
		if (literal < 0)
			return false;
	}
	if (literal > 0)
		add_range(item, literal, literal);
	return read_quantifier(reader, item);
}

static bool
overlap(const PatternItem *a, const PatternItem *b)
{
	return (a->ascii[0] & b->ascii[0]) != 0 || (a->ascii[1] & b->ascii[1]) != 0 ||
		(a->others != OTHERS_NONE && b->others != OTHERS_NONE);
}

/*
 * A pattern that is tried at each character must not read far each time.
 */
static bool
is_short(const EsJsonSimple *simple)
{
	int64		longest = 0;
	int			i;

	for (i = 0; i < simple->nitems; i++)
		longest += simple->items[i].max;
	return simple->from_start || longest <= MAX_UNANCHORED;
}

/*
 * May each repetition take as many characters as there are?
 */
static bool
is_greedy(const EsJsonSimple *simple)
{
	int			i;
	int			j;

	for (i = 0; i < simple->nitems; i++)
	{
		if (simple->items[i].min == simple->items[i].max)
			continue;
		for (j = i + 1; j < simple->nitems; j++)
		{
			if (overlap(&simple->items[i], &simple->items[j]))
				return false;
			if (simple->items[j].min > 0)
				break;
		}
	}
	return true;
}

EsJsonSimple *
es_json_simple_compile(const char *source, int len)
{
	PatternItem		items[MAX_ITEMS];
	Reader		reader = {source, source + len};
	EsJsonSimple head;
	EsJsonSimple *simple;

	memset(&head, 0, sizeof(head));
	if (len > 0 && *source == '^')
	{
		head.from_start = true;
		reader.p++;
	}
	while (reader.p < reader.end)
	{
		if (*reader.p == '$' && reader.p + 1 == reader.end)
		{
			head.to_end = true;
			break;
		}
		if (head.nitems >= MAX_ITEMS || !read_item(&reader, &items[head.nitems]))
			return NULL;
		head.nitems++;
	}
	simple = palloc(offsetof(EsJsonSimple, items) + head.nitems * sizeof(PatternItem));
	memcpy(simple, &head, offsetof(EsJsonSimple, items));
	memcpy(simple->items, items, head.nitems * sizeof(PatternItem));
	if (!is_greedy(simple) || !is_short(simple))
	{
		pfree(simple);
		return NULL;
	}
	return simple;
}

/*
 * The length of the character at p if an item takes it, otherwise 0.
 */
static inline int
taken(const PatternItem *item, const char *p, const char *end)
{
	unsigned char c = (unsigned char) *p;
	int			len;

	if (c < 0x80)
		return (item->ascii[c >> 6] >> (c & 63)) & 1;
	if (item->others == OTHERS_NONE)
		return 0;
	len = Min(pg_mblen(p), end - p);
	if (item->others == OTHERS_DOT && len == 3 &&
		GetDatabaseEncoding() == PG_UTF8 &&
		(memcmp(p, "\xe2\x80\xa8", 3) == 0 || memcmp(p, "\xe2\x80\xa9", 3) == 0))
		return 0;
	return len;
}

/*
 * Does the pattern match from p on?
 */
static bool
matches_at(const EsJsonSimple *simple, const char *p, const char *end)
{
	int			i;

	for (i = 0; i < simple->nitems; i++)
	{
		const PatternItem *item = &simple->items[i];
		int32		n;

		for (n = 0; n < item->max && p < end; n++)
		{
			int			len = taken(item, p, end);

			if (len == 0)
				break;
			p += len;
		}
		if (n < item->min)
			return false;
	}
	return !simple->to_end || p == end;
}

bool
es_json_simple_matches(const EsJsonSimple *simple, const char *text, int len)
{
	const char *end = text + len;
	const char *p = text;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (matches_at(simple, p, end))
			return true;
		if (simple->from_start || p >= end)
			return false;
		p += IS_HIGHBIT_SET(*p) ? Min(pg_mblen(p), end - p) : 1;
	}
}
