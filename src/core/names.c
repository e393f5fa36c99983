/*-------------------------------------------------------------------------
 *
 * names.c
 *	  Names that users give: their limits and how they are checked.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "core/names.h"

/*
 * Finds a control character: U+0000 to U+001F, U+007F, and in UTF-8
 * U+0080 to U+009F.
 *
 * They would make names that look alike on a terminal and differ, and break
 * line-oriented tools.  Bytes of multibyte characters are above 0x7F in every
 * server encoding, so that looking at single bytes is safe.
 */
static bool
has_control_character(const char *data, int len)
{
	bool		utf8 = (GetDatabaseEncoding() == PG_UTF8);
	int			i;

	for (i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) data[i];

		if (c < 0x20 || c == 0x7f)
			return true;
		if (utf8 && c == 0xc2 && i + 1 < len &&
			(unsigned char) data[i + 1] < 0xa0)
			return true;
	}
	return false;
}

const char *
es_name_problem(const char *data, int len, int max_len)
{
	static char buffer[64];

	if (len > max_len)
	{
		snprintf(buffer, sizeof(buffer), "is longer than %d bytes", max_len);
		return buffer;
	}
	if (has_control_character(data, len))
		return "contains a control character";
	return NULL;
}

/*
 * Raises the error for a name with a problem.
 */
static void
raise_name_problem(const char *kind, int len, int max_len)
{
	if (len > max_len)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
				 errmsg("%s is too long", kind),
				 errdetail("It has %d bytes; the limit is %d, so that an index entry can always hold it.",
						   len, max_len)));

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must not contain control characters", kind)));
}

void
es_name_check_maybe_empty(const char *kind, const char *data, int len,
						  int max_len)
{
	if (len > max_len || has_control_character(data, len))
		raise_name_problem(kind, len, max_len);
}

void
es_name_check(const char *kind, const char *data, int len, int max_len)
{
	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", kind)));

	es_name_check_maybe_empty(kind, data, len, max_len);
}
