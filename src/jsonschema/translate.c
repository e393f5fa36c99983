/*-------------------------------------------------------------------------
 *
 * translate.c
 *	  From the regular expressions of ECMA-262 to those of PostgreSQL.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Both are close: groups, alternatives, quantifiers, lookaround and
 *	  references back are written alike.  What differs is the classes (\d, \w,
 *	  \s and . have fixed meanings here), some escapes, named groups, \p{...}, and
 *	  that PostgreSQL counts to 255 only.  Whatever a pattern says is read and
 *	  written anew, so that nothing gets through that has another meaning there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "jsonschema/pattern.h"

#define MAX_GROUPS		99
#define MAX_NESTING		200
#define MAX_COUNT		255		/* of PostgreSQL's quantifiers */
#define MAX_OUTPUT		(1024 * 1024)
#define NO_ATOM			(-1)

/* An open group; the outermost one is the whole pattern. */
typedef struct Group
{
	int			start;			/* in the output */
	bool		is_atom;		/* no lookaround */
	int			capture;		/* its number, 0 if it has none */
	int			branch;			/* the alternative that is being read */
} Group;

/* A group that can be referred to. */
typedef struct Capture
{
	int			branch;			/* the alternative that it stands in */
	bool		is_optional;	/* may be left out, as in "(a)?" */
} Capture;

typedef struct GroupName
{
	const pg_wchar *text;
	int			len;
	int			number;
} GroupName;

typedef struct Translator
{
	const pg_wchar *p;
	const pg_wchar *end;
	pg_wchar   *out;
	int			len;
	int			size;
	char	   *problem;		/* NULL while all is well */
	int			atom;			/* where the last atom begins, or NO_ATOM */
	Group		groups[MAX_NESTING + 1];
	int			depth;
	int			branches;		/* alternatives so far */
	int			ncaptures;
	Capture		captures[MAX_GROUPS + 1];
	int			last_capture;	/* the last one that was closed */
	int			last_capture_end;	/* in the output */
	bool		has_lookaround;
	bool		has_reference;
	GroupName	names[MAX_GROUPS];
	int			nnames;
} Translator;

/* A set of characters as ranges. */
typedef struct Set
{
	uint32	   *ranges;			/* pairs */
	int			n;
	int			size;
} Set;

static bool
fail(Translator *t, const char *problem)
{
	if (t->problem == NULL)
		t->problem = pstrdup(problem);
	return false;
}

static void
put(Translator *t, pg_wchar c)
{
	if (t->len >= t->size)
	{
		t->size *= 2;
		t->out = repalloc(t->out, t->size * sizeof(pg_wchar));
	}
	t->out[t->len++] = c;
}

static void
put_text(Translator *t, const char *text)
{
	for (; *text != '\0'; text++)
		put(t, (unsigned char) *text);
}

/*
 * Is the next character this one? Then it is taken.
 */
static bool
take(Translator *t, char c)
{
	if (t->p >= t->end || *t->p != (pg_wchar) c)
		return false;
	t->p++;
	return true;
}

static bool
take_text(Translator *t, const char *text)
{
	int			len = strlen(text);
	int			i;

	if (t->end - t->p < len)
		return false;
	for (i = 0; i < len; i++)
	{
		if (t->p[i] != (pg_wchar) text[i])
			return false;
	}
	t->p += len;
	return true;
}

static bool
is_digit(pg_wchar c)
{
	return c >= '0' && c <= '9';
}

static bool
is_word(pg_wchar c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/*
 * Writes a character that means itself.
 */
static void
put_literal(Translator *t, pg_wchar c)
{
	if (c < 0x80 && !is_word(c))
		put(t, '\\');
	put(t, c);
}

static void
add_range(Set *set, uint32 first, uint32 last)
{
	if (set->n >= set->size)
	{
		set->size = Max(16, 2 * set->size);
		set->ranges = set->ranges == NULL ?
			palloc(set->size * 2 * sizeof(uint32)) :
			repalloc(set->ranges, set->size * 2 * sizeof(uint32));
	}
	set->ranges[2 * set->n] = first;
	set->ranges[2 * set->n + 1] = last;
	set->n++;
}

/* The greatest character. */
static uint32
max_character(void)
{
	return GetDatabaseEncoding() == PG_UTF8 ? 0x10ffff : 0x7fffffff - 1;
}

/*
 * Adds what is not in a set whose ranges are in ascending order.
 */
static void
add_complement(Set *set, const Set *of)
{
	uint32		next = 1;
	int			i;

	for (i = 0; i < of->n; i++)
	{
		if (of->ranges[2 * i] > next)
			add_range(set, next, of->ranges[2 * i] - 1);
		next = of->ranges[2 * i + 1] + 1;
	}
	add_range(set, next, max_character());
}

/*
 * Adds the class of \d, \w or \s, or their complements.
 */
static void
add_class(Set *set, pg_wchar name)
{
	static const uint32 spaces[] = {
		0x09, 0x0d, 0x20, 0x20, 0xa0, 0xa0, 0x1680, 0x1680, 0x2000, 0x200a,
		0x2028, 0x2029, 0x202f, 0x202f, 0x205f, 0x205f, 0x3000, 0x3000, 0xfeff, 0xfeff
	};
	Set			own = {NULL, 0, 0};
	int			i;

	switch (name)
	{
		case 'd':
		case 'D':
			add_range(&own, '0', '9');
			break;
		case 'w':
		case 'W':
			add_range(&own, '0', '9');
			add_range(&own, 'A', 'Z');
			add_range(&own, '_', '_');
			add_range(&own, 'a', 'z');
			break;
		default:
			for (i = 0; i < (int) lengthof(spaces); i += 2)
			{
				if (GetDatabaseEncoding() == PG_UTF8 || spaces[i] < 0x80)
					add_range(&own, spaces[i], spaces[i + 1]);
			}
			break;
	}
	if (name >= 'a')
	{
		for (i = 0; i < own.n; i++)
			add_range(set, own.ranges[2 * i], own.ranges[2 * i + 1]);
	}
	else
		add_complement(set, &own);
	pfree(own.ranges);
}

/*
 * Adds the category of \p{...} or \P{...}, which stands after the letter.
 */
static bool
add_property(Translator *t, Set *set, bool negated)
{
	char		name[64];
	char	   *value = name;
	int			len = 0;
	Set			own = {NULL, 0, 0};
	int			i;

	if (!take(t, '{'))
		return fail(t, "\\p must be followed by the name of a property in braces");
	while (t->p < t->end && *t->p != '}' && *t->p > 0x20 && *t->p < 0x7f && len < 63)
		name[len++] = *t->p++;
	name[len] = '\0';
	if (!take(t, '}'))
		return fail(t, "\\p must be followed by the name of a property in braces");
	if (GetDatabaseEncoding() != PG_UTF8)
		return fail(t, "\\p{...} needs a database with the encoding UTF8");
	if (strncmp(name, "General_Category=", 17) == 0)
		value += 17;
	else if (strncmp(name, "gc=", 3) == 0)
		value += 3;
	if (strcmp(name, "Any") == 0)
		add_range(&own, 1, max_character());
	else if (strcmp(name, "ASCII") == 0)
		add_range(&own, 1, 0x7f);
	else
	{
		own.ranges = es_json_category_ranges(value, strlen(value), &own.n);
		if (own.ranges == NULL)
			return fail(t, psprintf("\\p{%s} is not known: only general categories of assigned characters are, as \\p{L} and \\p{Lu}",
									name));
	}
	if (negated)
		add_complement(set, &own);
	for (i = 0; !negated && i < own.n; i++)
		add_range(set, own.ranges[2 * i], own.ranges[2 * i + 1]);
	pfree(own.ranges);
	return true;
}

/*
 * Writes a set in brackets.
 */
static void
put_set(Translator *t, const Set *set, bool negated)
{
	int			i;
	int			j;

	put(t, '[');
	if (negated)
		put(t, '^');
	for (i = 0; i < set->n; i++)
	{
		for (j = 0; j < 2; j++)
		{
			uint32		c = set->ranges[2 * i + j];

			if (j == 1 && c == set->ranges[2 * i])
				break;
			if (j == 1)
				put(t, '-');
			put_literal(t, c);
		}
	}
	put(t, ']');
}

/*
 * Reads up to max hexadecimal digits, at least min; -1 if they are not there.
 */
static int32
read_hex(Translator *t, int min, int max)
{
	int32		n = 0;
	int			digits = 0;

	while (t->p < t->end && digits < max)
	{
		pg_wchar	c = *t->p;

		if (is_digit(c))
			n = n * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			n = n * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			n = n * 16 + (c - 'A' + 10);
		else
			break;
		t->p++;
		digits++;
	}
	return digits < min ? -1 : n;
}

/*
 * A code point of Unicode as a character of the database's encoding; 0, and a
 * problem, if there is none.
 */
static pg_wchar
from_unicode(Translator *t, int32 code)
{
	unsigned char buf[MAX_UNICODE_EQUIVALENT_STRING + 1];
	pg_wchar	wide[MAX_UNICODE_EQUIVALENT_STRING + 1];

	if (code <= 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
	{
		(void) fail(t, "an escape stands for a character that there is not");
		return 0;
	}
	if (GetDatabaseEncoding() == PG_UTF8 || code < 0x80)
		return code;
	pg_unicode_to_server(code, buf);
	if (pg_mb2wchar((const char *) buf, wide) != 1)
	{
		(void) fail(t, "an escape stands for a character that the database's encoding does not have");
		return 0;
	}
	return wide[0];
}

/*
 * Reads what follows "\u"; a pair of surrogates is one character.
 */
static pg_wchar
read_unicode(Translator *t)
{
	int32		code;

	if (take(t, '{'))
	{
		code = read_hex(t, 1, 6);
		if (!take(t, '}'))
			code = -1;
	}
	else
	{
		code = read_hex(t, 4, 4);
		if (code >= 0xd800 && code <= 0xdbff && take_text(t, "\\u"))
		{
			int32		low = read_hex(t, 4, 4);

			code = low >= 0xdc00 && low <= 0xdfff ?
				0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00) : -1;
		}
	}
	return from_unicode(t, code);
}

/*
 * Reads the escape of a character, whose letter has been taken; 0, and a
 * problem, if it is none.
 */
static pg_wchar
read_character_escape(Translator *t, pg_wchar c)
{
	switch (c)
	{
		case 't':
			return '\t';
		case 'n':
			return '\n';
		case 'v':
			return '\v';
		case 'f':
			return '\f';
		case 'r':
			return '\r';
		case 'c':
			if (t->p < t->end && *t->p < 0x80 && is_word(*t->p) && !is_digit(*t->p) && *t->p != '_')
				return *t->p++ & 0x1f;
			break;
		case 'x':
			return from_unicode(t, read_hex(t, 2, 2));
		case 'u':
			return read_unicode(t);
		default:
			if (c < 0x80 && !is_word(c))
				return c;
			break;
	}
	if (c == '0')
		(void) fail(t, "\\0 stands for a character that no text can have");
	else if (c > 0x20 && c < 0x7f)
		(void) fail(t, psprintf("\\%c is no escape of ECMA-262", (char) c));
	else
		(void) fail(t, "a backslash escapes what needs no escape");
	return 0;
}

static bool
is_class_name(pg_wchar c)
{
	return c == 'd' || c == 'D' || c == 'w' || c == 'W' || c == 's' || c == 'S';
}

/*
 * Reads a member of a class in brackets into *c; a class that is a member is
 * added to the set, and *c is 0.
 */
static bool
read_member(Translator *t, Set *set, pg_wchar *c)
{
	*c = *t->p++;
	if (*c != '\\')
		return true;
	if (t->p >= t->end)
		return fail(t, "it ends with a backslash");
	*c = *t->p++;
	if (is_class_name(*c))
	{
		add_class(set, *c);
		*c = 0;
		return true;
	}
	if (*c == 'p' || *c == 'P')
	{
		bool		negated = *c == 'P';

		*c = 0;
		return add_property(t, set, negated);
	}
	*c = *c == 'b' ? '\b' : read_character_escape(t, *c);
	return t->problem == NULL;
}

static bool
translate_brackets(Translator *t)
{
	Set			set = {NULL, 0, 0};
	bool		negated = take(t, '^');

	while (t->p < t->end && *t->p != ']')
	{
		pg_wchar	first;
		pg_wchar	last;

		if (!read_member(t, &set, &first))
			return false;
		last = first;
		if (t->end - t->p >= 2 && t->p[0] == '-' && t->p[1] != ']')
		{
			t->p++;
			if (!read_member(t, &set, &last))
				return false;
			if (first == 0 || last == 0)
			{
				/* A class is no end of a range: then "-" is itself. */
				add_range(&set, '-', '-');
				if (first != 0)
					add_range(&set, first, first);
				first = last;
			}
			else if (last < first)
				return fail(t, "a range in brackets is out of order");
		}
		if (first != 0)
			add_range(&set, first, last);
	}
	if (!take(t, ']'))
		return fail(t, "a bracket is not closed");
	if (set.n == 0)
	{
		/* Nothing, or with "^" anything. */
		add_range(&set, 1, max_character());
		negated = !negated;
	}
	put_set(t, &set, negated);
	pfree(set.ranges);
	return true;
}

/*
 * Reads a number; -1 if there is none, or if it is too large.
 */
static int
read_number(Translator *t)
{
	int			n = -1;

	while (t->p < t->end && is_digit(*t->p))
	{
		n = Max(n, 0) * 10 + (*t->p++ - '0');
		if (n > 1000000)
			return -1;
	}
	return n;
}

/*
 * Writes a reference to a group.
 *
 * With ECMA-262 a group that has taken no part matches the empty string, with
 * PostgreSQL nothing does: the group must have taken part for sure.
 */
static bool
put_reference(Translator *t, int number)
{
	bool		is_near = false;
	int			i;

	if (number < 1 || number > t->ncaptures || number > MAX_GROUPS)
		return fail(t, "a reference to a group stands before the group, or there is none");
	for (i = 0; i <= t->depth; i++)
	{
		if (t->groups[i].branch == t->captures[number].branch)
			is_near = true;
	}
	if (!is_near || t->captures[number].is_optional)
		return fail(t, "a reference is to a group that may have taken no part");
	t->has_reference = true;

	/* A digit behind it would be taken for one of the number. */
	put_text(t, psprintf(t->p < t->end && is_digit(*t->p) ? "(?:\\%d)" : "\\%d", number));
	return true;
}

/*
 * The name of a group, up to ">".
 */
static bool
read_group_name(Translator *t, GroupName *name)
{
	name->text = t->p;
	while (t->p < t->end && (is_word(*t->p) || *t->p == '$' || *t->p >= 0x80))
		t->p++;
	name->len = t->p - name->text;
	if (name->len == 0 || is_digit(name->text[0]) || !take(t, '>'))
		return fail(t, "the name of a group is not well-formed");
	return true;
}

static bool
put_named_reference(Translator *t)
{
	GroupName	name;
	int			i;

	if (!take(t, '<') || !read_group_name(t, &name))
		return fail(t, "\\k must be followed by the name of a group");
	for (i = 0; i < t->nnames; i++)
	{
		if (t->names[i].len == name.len &&
			memcmp(t->names[i].text, name.text, name.len * sizeof(pg_wchar)) == 0)
			return put_reference(t, t->names[i].number);
	}
	return fail(t, "a reference to a group stands before the group, or there is none");
}

static bool
translate_escape(Translator *t)
{
	Set			set = {NULL, 0, 0};
	pg_wchar	c;

	if (t->p >= t->end)
		return fail(t, "it ends with a backslash");
	t->atom = t->len;
	c = *t->p++;
	if (c == 'b' || c == 'B')
	{
		put_text(t, c == 'b' ? "\\y" : "\\Y");
		t->atom = NO_ATOM;
		return true;
	}
	if (c >= '1' && c <= '9')
	{
		t->p--;
		return put_reference(t, read_number(t));
	}
	if (c == 'k')
		return put_named_reference(t);
	if (is_class_name(c) || c == 'p' || c == 'P')
	{
		if (is_class_name(c))
			add_class(&set, c);
		else if (!add_property(t, &set, c == 'P'))
			return false;
		put_set(t, &set, false);
		pfree(set.ranges);
		return true;
	}
	c = read_character_escape(t, c);
	if (t->problem != NULL)
		return false;
	put_literal(t, c);
	return true;
}

/*
 * Numbers a group that can be referred to.
 */
static void
number_group(Translator *t)
{
	int			number = ++t->ncaptures;

	t->groups[t->depth].capture = number;
	if (number <= MAX_GROUPS)
	{
		t->captures[number].branch = t->groups[t->depth - 1].branch;
		t->captures[number].is_optional = false;
	}
}

static bool
open_group(Translator *t)
{
	Group	   *group;
	static const char *const lookarounds[] = {"?=", "?!", "?<=", "?<!"};
	int			i;

	if (t->depth >= MAX_NESTING)
		return fail(t, "its groups are nested too deeply");
	group = &t->groups[++t->depth];
	group->start = t->len;
	group->is_atom = true;
	group->capture = 0;
	group->branch = ++t->branches;
	t->atom = NO_ATOM;
	put(t, '(');
	if (t->p >= t->end || *t->p != '?')
	{
		number_group(t);
		return true;
	}
	for (i = 0; i < (int) lengthof(lookarounds); i++)
	{
		if (take_text(t, lookarounds[i]))
		{
			put_text(t, lookarounds[i]);
			group->is_atom = false;
			t->has_lookaround = true;
			return true;
		}
	}
	if (take_text(t, "?:"))
	{
		put_text(t, "?:");
		return true;
	}
	if (take_text(t, "?<"))
	{
		if (t->nnames >= MAX_GROUPS)
			return fail(t, "it has too many groups");
		if (!read_group_name(t, &t->names[t->nnames]))
			return false;
		number_group(t);
		t->names[t->nnames++].number = t->ncaptures;
		return true;
	}
	return fail(t, "a group begins with what is not known");
}

static bool
close_group(Translator *t)
{
	const Group *group = &t->groups[t->depth];

	if (t->depth == 0)
		return fail(t, "a parenthesis is closed that is not open");
	t->depth--;
	put(t, ')');
	t->atom = group->is_atom ? group->start : NO_ATOM;
	t->last_capture = group->capture;
	t->last_capture_end = t->len;
	return true;
}

/*
 * Writes the atom that was copied, with a quantifier.
 */
static void
put_repeated(Translator *t, const pg_wchar *atom, int len, int min, int max)
{
	int			i;

	for (i = 0; i < len; i++)
		put(t, atom[i]);
	put_text(t, max == min ? psprintf("{%d}", min) : psprintf("{%d,%d}", min, max));
}

/*
 * Writes an atom n times, or up to n times if it is optional, where n is more
 * than PostgreSQL counts to.
 */
static void
put_many(Translator *t, const pg_wchar *atom, int len, int n, bool optional)
{
	int			times = n / MAX_COUNT;
	int			rest = n % MAX_COUNT;

	if (times > 0)
	{
		put_text(t, "(?:");
		put_repeated(t, atom, len, optional ? 0 : MAX_COUNT, MAX_COUNT);
		put_text(t, psprintf("){%d}", times));
	}
	if (rest > 0)
		put_repeated(t, atom, len, optional ? 0 : rest, rest);
}

/*
 * Writes {min,max}, max being -1 for no limit.
 */
static bool
put_count(Translator *t, int min, int max)
{
	pg_wchar   *atom;
	int			len = t->len - t->atom;

	if (min <= MAX_COUNT && max <= MAX_COUNT)
	{
		put_text(t, max < 0 ? psprintf("{%d,}", min) :
				 max == min ? psprintf("{%d}", min) : psprintf("{%d,%d}", min, max));
		return true;
	}
	if (min > MAX_COUNT * MAX_COUNT || max > MAX_COUNT * MAX_COUNT || len > 10000)
		return fail(t, psprintf("a quantifier is beyond %d", MAX_COUNT * MAX_COUNT));
	atom = palloc((len + 1) * sizeof(pg_wchar));
	memcpy(atom, t->out + t->atom, len * sizeof(pg_wchar));
	t->len = t->atom;
	put_text(t, "(?:");
	put_many(t, atom, len, min, false);
	if (max >= 0)
		put_many(t, atom, len, max - min, true);
	else
	{
		int			i;

		for (i = 0; i < len; i++)
			put(t, atom[i]);
		put(t, '*');
	}
	put(t, ')');
	pfree(atom);
	return true;
}

/*
 * Translates a quantifier whose first character has been taken.
 */
static bool
translate_quantifier(Translator *t, pg_wchar c)
{
	bool		is_group = t->last_capture > 0 && t->last_capture <= MAX_GROUPS &&
		t->last_capture_end == t->len;
	int			min = c == '+' ? 1 : 0;

	if (t->atom == NO_ATOM)
		return fail(t, "a quantifier has nothing to repeat");
	if (c == '{')
	{
		int			max;

		max = min = read_number(t);

		if (take(t, ','))
			max = t->p < t->end && *t->p == '}' ? -1 : read_number(t);
		if (min < 0 || (max >= 0 && max < min) || !take(t, '}'))
			return fail(t, "a quantifier in braces is not well-formed");
		if (!put_count(t, min, max))
			return false;
	}
	else
		put(t, c);

	if (is_group && min == 0)
		t->captures[t->last_capture].is_optional = true;

	/* Lazy or not, it matches or it does not. */
	(void) take(t, '?');
	t->atom = NO_ATOM;
	return true;
}

static bool
translate_next(Translator *t)
{
	pg_wchar	c = *t->p++;

	switch (c)
	{
		case '(':
			return open_group(t);
		case ')':
			return close_group(t);
		case '*':
		case '+':
		case '?':
		case '{':
			return translate_quantifier(t, c);
		case '|':
			t->groups[t->depth].branch = ++t->branches;
			/* fall through */
		case '^':
		case '$':
			t->atom = NO_ATOM;
			put(t, c);
			return true;
		case '[':
			t->atom = t->len;
			return translate_brackets(t);
		case '\\':
			return translate_escape(t);
		case '.':
			t->atom = t->len;
			put_text(t, "[^\\n\\r");
			if (GetDatabaseEncoding() == PG_UTF8)
			{
				put(t, 0x2028);
				put(t, 0x2029);
			}
			put(t, ']');
			return true;
		default:
			t->atom = t->len;
			put_literal(t, c);
			return true;
	}
}

pg_wchar *
es_json_pattern_translate(const pg_wchar *source, int len, int *result_len,
						  char **problem)
{
	Translator *t = palloc0(sizeof(Translator));

	t->p = source;
	t->end = source + len;
	t->size = 2 * len + 64;
	t->out = palloc(t->size * sizeof(pg_wchar));
	t->atom = NO_ATOM;
	while (t->p < t->end && translate_next(t))
	{
		if (t->len > MAX_OUTPUT)
			(void) fail(t, "it is too large");
		if (t->problem != NULL)
			break;
	}
	if (t->problem == NULL && t->depth > 0)
		(void) fail(t, "a parenthesis is not closed");
	/* PostgreSQL does not count the groups within lookaround. */
	if (t->problem == NULL && t->has_lookaround && t->has_reference)
		(void) fail(t, "it has both lookaround and references to groups");
	*problem = t->problem;
	*result_len = t->len;
	return t->problem == NULL ? t->out : NULL;
}
