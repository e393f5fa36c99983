/*-------------------------------------------------------------------------
 *
 * report.c
 *	  What a check has to say about values that do not fit.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "jsonschema/check.h"

/* So many values of an enum are shown, and so many bytes of each. */
#define MAX_SHOWN_VALUES	8
#define MAX_SHOWN_BYTES		60

const char *
es_json_number_of(int64 n, const char *noun)
{
	int			len = strlen(noun);

	if (n == 1)
		return psprintf(INT64_FORMAT " %s", n, noun);
	if (noun[len - 1] == 'y')
		return psprintf(INT64_FORMAT " %.*sies", n, len - 1, noun);
	return psprintf(INT64_FORMAT " %ss", n, noun);
}

char *
es_json_path_pointer(const EsJsonPath *path)
{
	StringInfoData buf;
	const EsJsonPath **steps;
	const EsJsonPath *p;
	int			n = 0;
	int			i;
	int			j;

	for (p = path; p != NULL; p = p->parent)
		n++;
	steps = palloc((n + 1) * sizeof(EsJsonPath *));
	for (p = path, i = n; p != NULL; p = p->parent)
		steps[--i] = p;
	initStringInfo(&buf);
	for (i = 0; i < n; i++)
	{
		appendStringInfoChar(&buf, '/');
		if (steps[i]->name == NULL)
			appendStringInfo(&buf, "%d", steps[i]->number);
		for (j = 0; steps[i]->name != NULL && j < steps[i]->len; j++)
		{
			char		c = steps[i]->name[j];

			if (c == '~' || c == '/')
				appendStringInfo(&buf, "~%d", c == '/');
			else
				appendStringInfoChar(&buf, c);
		}
	}
	pfree(steps);
	return buf.data;
}

static void
add_problem(EsJsonCheck *check, const EsJsonNode *node, const char *keyword,
			const EsJsonPath *path, const char *message)
{
	EsJsonSchemaProblem *problem = palloc(sizeof(EsJsonSchemaProblem));

	problem->path = es_json_path_pointer(path);
	problem->rule = es_json_place_pointer(node->place, keyword);
	problem->message = path != NULL && path->is_name ?
		psprintf("its name %s", message) : pstrdup(message);
	check->problems = lappend(check->problems, problem);
	check->wanted--;
}

bool
es_json_report(EsJsonCheck *check, const EsJsonNode *node, const char *keyword,
			   const EsJsonPath *path, const char *format,...)
{
	StringInfoData buf;

	if (check->wanted == 0)
		return false;
	initStringInfo(&buf);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&buf, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&buf, needed);
	}
	add_problem(check, node, keyword, path, buf.data);
	pfree(buf.data);
	return false;
}

bool
es_json_report_enum(EsJsonCheck *check, const EsJsonNode *node,
					const JsonbValue *value, const EsJsonPath *path)
{
	StringInfoData buf;
	int			i;

	if (check->wanted == 0)
		return false;
	if (node->is_const && node->nenumeration == 1)
		return es_json_report(check, node, "const", path, "must be %s, is %s",
							  es_json_show(&node->enumeration[0], MAX_SHOWN_BYTES),
							  es_json_show(value, MAX_SHOWN_BYTES));
	if (node->nenumeration == 0)
		return es_json_report(check, node, node->is_const ? "const" : "enum", path,
							  "is not allowed, as no value is");
	initStringInfo(&buf);
	for (i = 0; i < node->nenumeration && i < MAX_SHOWN_VALUES; i++)
		appendStringInfo(&buf, "%s%s", i == 0 ? "" : ", ",
						 es_json_show(&node->enumeration[i], MAX_SHOWN_BYTES));
	if (node->nenumeration > MAX_SHOWN_VALUES)
		appendStringInfo(&buf, " or one of %d more", node->nenumeration - MAX_SHOWN_VALUES);
	return es_json_report(check, node, "enum", path, "must be one of %s, is %s",
						  buf.data, es_json_show(value, MAX_SHOWN_BYTES));
}
