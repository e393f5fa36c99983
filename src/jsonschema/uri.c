/*-------------------------------------------------------------------------
 *
 * uri.c
 *	  URIs as far as schemas need them: resolving references.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "jsonschema/uri.h"

/*
 * The parts of a URI reference, without its fragment.  A part that is not
 * there has a NULL text; the path is always there.
 */
typedef struct Part
{
	const char *text;
	int			len;
} Part;

typedef struct Uri
{
	Part		scheme;			/* without ":" */
	Part		authority;		/* without "//" */
	Part		path;
	Part		query;			/* without "?" */
} Uri;

/*
 * The length of the scheme that a reference begins with, 0 if it has none.
 */
static int
scheme_length(const char *text, int len)
{
	int			i;

	for (i = 0; i < len; i++)
	{
		char		c = text[i];
		bool		letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (c == ':')
			return i;
		if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' ||
									c == '-' || c == '.')))
			return 0;
	}
	return 0;
}

/*
 * Splits a reference of len bytes, its fragment left out, into its parts.
 */
static void
split(const char *text, int len, Uri *uri)
{
	const char *end = text + len;
	const char *p = text;
	const char *stop;

	memset(uri, 0, sizeof(Uri));
	uri->scheme.len = scheme_length(text, len);
	if (uri->scheme.len > 0)
	{
		uri->scheme.text = text;
		p += uri->scheme.len + 1;
	}
	if (end - p >= 2 && p[0] == '/' && p[1] == '/')
	{
		p += 2;
		stop = p;
		while (stop < end && *stop != '/' && *stop != '?')
			stop++;
		uri->authority.text = p;
		uri->authority.len = stop - p;
		p = stop;
	}
	stop = p;
	while (stop < end && *stop != '?')
		stop++;
	uri->path.text = p;
	uri->path.len = stop - p;
	if (stop < end)
	{
		uri->query.text = stop + 1;
		uri->query.len = end - stop - 1;
	}
}

/*
 * Removes the last segment of what stands behind "from", with its slash.
 */
static void
remove_segment(StringInfo buf, int from)
{
	while (buf->len > from && buf->data[buf->len - 1] != '/')
		buf->len--;
	if (buf->len > from)
		buf->len--;
	buf->data[buf->len] = '\0';
}

/*
 * Appends a path without its "." and ".." segments (RFC 3986, 5.2.4).
 */
static void
append_path(StringInfo buf, const char *path)
{
	int			from = buf->len;
	const char *p = path;

	while (*p != '\0')
	{
		int			len;

		if (strncmp(p, "../", 3) == 0)
			p += 3;
		else if (strncmp(p, "./", 2) == 0 || strncmp(p, "/./", 3) == 0)
			p += 2;
		else if (strcmp(p, "/.") == 0)
		{
			appendStringInfoChar(buf, '/');
			break;
		}
		else if (strncmp(p, "/../", 4) == 0)
		{
			p += 3;
			remove_segment(buf, from);
		}
		else if (strcmp(p, "/..") == 0)
		{
			remove_segment(buf, from);
			appendStringInfoChar(buf, '/');
			break;
		}
		else if (strcmp(p, ".") == 0 || strcmp(p, "..") == 0)
			break;
		else
		{
			len = strcspn(p + 1, "/") + 1;
			appendBinaryStringInfo(buf, p, len);
			p += len;
		}
	}
}

/*
 * The path of a reference that is relative to the directory of the base
 * (RFC 3986, 5.2.3).
 */
static char *
merge_paths(const Uri *base, const Uri *reference)
{
	int			len = base->path.len;

	if (base->authority.text != NULL && len == 0)
		return psprintf("/%.*s", reference->path.len, reference->path.text);
	while (len > 0 && base->path.text[len - 1] != '/')
		len--;
	return psprintf("%.*s%.*s", len, base->path.text,
					reference->path.len, reference->path.text);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * Decodes what is percent-encoded; what is no such code stays as it is.
 */
static char *
percent_decode(const char *text)
{
	StringInfoData buf;
	const char *p;

	initStringInfo(&buf);
	for (p = text; *p != '\0'; p++)
	{
		if (p[0] == '%' && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0)
		{
			appendStringInfoChar(&buf, hex_digit(p[1]) * 16 + hex_digit(p[2]));
			p += 2;
		}
		else
			appendStringInfoChar(&buf, *p);
	}
	return buf.data;
}

char *
es_json_uri_resolve(const char *base_text, const char *reference_text,
					char **fragment)
{
	StringInfoData buf;
	const char *hash = strchr(reference_text, '#');
	int			len = hash != NULL ? hash - reference_text : (int) strlen(reference_text);
	Uri			base;
	Uri			reference;
	const Uri  *authority_from;
	Part		query;
	char	   *path;

	*fragment = hash != NULL ? percent_decode(hash + 1) : NULL;
	if (len == 0)
		return pstrdup(base_text);

	split(base_text, strlen(base_text), &base);
	split(reference_text, len, &reference);
	authority_from = reference.scheme.text != NULL ||
		reference.authority.text != NULL ? &reference : &base;
	query = reference.query;
	if (authority_from == &reference || reference.path.len > 0)
		path = authority_from == &reference || reference.path.text[0] == '/' ?
			pnstrdup(reference.path.text, reference.path.len) :
			merge_paths(&base, &reference);
	else
	{
		path = pnstrdup(base.path.text, base.path.len);
		if (query.text == NULL)
			query = base.query;
	}

	initStringInfo(&buf);
	if (reference.scheme.text != NULL)
		appendStringInfo(&buf, "%.*s:", reference.scheme.len, reference.scheme.text);
	else if (base.scheme.text != NULL)
		appendStringInfo(&buf, "%.*s:", base.scheme.len, base.scheme.text);
	if (authority_from->authority.text != NULL)
		appendStringInfo(&buf, "//%.*s", authority_from->authority.len,
						 authority_from->authority.text);
	append_path(&buf, path);
	if (query.text != NULL)
		appendStringInfo(&buf, "?%.*s", query.len, query.text);
	return buf.data;
}
