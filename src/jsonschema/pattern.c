/*-------------------------------------------------------------------------
 *
 * pattern.c
 *	  Patterns: compiling and matching them.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "miscadmin.h"
#include "regex/regex.h"
#include "utils/memutils.h"

#include "jsonschema/jsonschema.h"
#include "jsonschema/pattern.h"

/* Texts up to this length are converted on the stack. */
#define SHORT_TEXT	256

struct EsJsonPattern
{
	char	   *source;
	EsJsonSimple *simple;		/* or NULL, and then: */
	regex_t		regex;
	MemoryContextCallback callback;
};

/*
 * Frees a regular expression: before PostgreSQL 16 it is not in a memory
 * context.
 */
static void
free_regex(void *arg)
{
	pg_regfree(&((EsJsonPattern *) arg)->regex);
}

/*
 * Compiles the translation of a pattern; returns what is wrong with it, or
 * NULL.
 */
static char *
compile_regex(EsJsonPattern *pattern, const pg_wchar *translated, int len,
			  MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	int			result = pg_regcomp(&pattern->regex, translated, len,
									REG_ADVANCED | REG_NOSUB, C_COLLATION_OID);
	char		message[100];

	MemoryContextSwitchTo(old);
	if (result == REG_OKAY)
	{
		pattern->callback.func = free_regex;
		pattern->callback.arg = pattern;
		MemoryContextRegisterResetCallback(context, &pattern->callback);
		return NULL;
	}

	/* It may have been cancelled. */
	CHECK_FOR_INTERRUPTS();
	pg_regerror(result, &pattern->regex, message, sizeof(message));
	return pstrdup(message);
}

EsJsonPattern *
es_json_pattern_compile(const char *source, int len, MemoryContext context,
						char **problem)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	EsJsonPattern *pattern = palloc0(sizeof(EsJsonPattern));
	pg_wchar   *wide;
	pg_wchar   *translated;
	int			wide_len;

	pattern->source = pnstrdup(source, len);
	*problem = NULL;
	if (pg_mbstrlen_with_len(source, len) > ES_JSON_SCHEMA_MAX_PATTERN)
		*problem = psprintf("it is longer than %d characters", ES_JSON_SCHEMA_MAX_PATTERN);
	else
		pattern->simple = es_json_simple_compile(source, len);
	MemoryContextSwitchTo(old);
	if (*problem != NULL)
		return NULL;
	if (pattern->simple != NULL)
		return pattern;

	wide = palloc((len + 1) * sizeof(pg_wchar));
	wide_len = pg_mb2wchar_with_len(source, wide, len);
	translated = es_json_pattern_translate(wide, wide_len, &wide_len, problem);
	if (translated == NULL)
		return NULL;
	*problem = compile_regex(pattern, translated, wide_len, context);
	pfree(wide);
	pfree(translated);
	return *problem == NULL ? pattern : NULL;
}

bool
es_json_pattern_matches(EsJsonPattern *pattern, const char *text, int len)
{
	pg_wchar	buffer[SHORT_TEXT];
	pg_wchar   *wide = buffer;
	int			wide_len;
	int			result;
	char		message[100];

	if (pattern->simple != NULL)
		return es_json_simple_matches(pattern->simple, text, len);

	if (len >= SHORT_TEXT)
		wide = MemoryContextAllocHuge(CurrentMemoryContext,
									  ((Size) len + 1) * sizeof(pg_wchar));
	wide_len = pg_mb2wchar_with_len(text, wide, len);
	result = pg_regexec(&pattern->regex, wide, wide_len, 0, NULL, 0, NULL, 0);
	if (wide != buffer)
		pfree(wide);
	if (result == REG_OKAY)
		return true;
	if (result == REG_NOMATCH)
		return false;

	CHECK_FOR_INTERRUPTS();
	pg_regerror(result, &pattern->regex, message, sizeof(message));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_REGULAR_EXPRESSION),
			 errmsg("regular expression failed: %s", message),
			 errdetail("It is the pattern \"%s\" of a JSON schema.", pattern->source)));
	return false;				/* not reached */
}

const char *
es_json_pattern_source(const EsJsonPattern *pattern)
{
	return pattern->source;
}
