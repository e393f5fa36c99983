/*-------------------------------------------------------------------------
 *
 * args.c
 *	  Arguments that functions about projections have in common.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "core/names.h"
#include "projection/projection.h"

#define MAX_PROJECTION_NAME		255

void
es_arg_raise(const char *name, const char *problem, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s %s", name, problem),
			 hint ? errhint("%s", hint) : 0));
}

char *
es_arg_projection_name(FunctionCallInfo fcinfo, int argument)
{
	char	   *name;

	if (PG_ARGISNULL(argument))
		es_arg_raise("name", "must not be NULL", NULL);
	name = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	es_name_check("projection name", name, strlen(name), MAX_PROJECTION_NAME);
	return name;
}

bool
es_arg_texts(FunctionCallInfo fcinfo, int argument, const char *name,
			 bool may_be_empty, Datum *value)
{
	ArrayType  *array;

	if (PG_ARGISNULL(argument))
		return false;
	array = PG_GETARG_ARRAYTYPE_P(argument);
	if (ARR_NDIM(array) > 1 || (ARR_NDIM(array) == 0 && !may_be_empty))
		es_arg_raise(name, may_be_empty ? "must be an array of one dimension" :
					 "must be an array of one dimension with at least one element",
					 NULL);
	if (array_contains_nulls(array))
		es_arg_raise(name, "must not contain NULL", NULL);
	*value = PointerGetDatum(array);
	return true;
}

bool
es_arg_number(FunctionCallInfo fcinfo, int argument, const char *name,
			  int32 minimum, int32 maximum, Datum *value)
{
	int32		number;

	if (PG_ARGISNULL(argument))
		return false;
	number = PG_GETARG_INT32(argument);
	if (number < minimum && maximum == PG_INT32_MAX)
		es_arg_raise(name, psprintf("must be %d or more", minimum), NULL);
	if (number < minimum || number > maximum)
		es_arg_raise(name, psprintf("must be between %d and %d", minimum, maximum),
					 NULL);
	*value = Int32GetDatum(number);
	return true;
}

const char *
es_arg_word(FunctionCallInfo fcinfo, int argument, const char *name,
			const char *first, const char *second)
{
	char	   *word;

	if (PG_ARGISNULL(argument))
		return NULL;
	word = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	if (strcmp(word, first) != 0 && strcmp(word, second) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid %s: \"%s\"", name, word),
				 errhint("It can be \"%s\" or \"%s\".", first, second)));
	return strcmp(word, first) == 0 ? first : second;
}

char *
es_view_state_name(const char *table)
{
	return psprintf("%.*s_es_state",
					pg_mbcliplen(table, strlen(table), NAMEDATALEN - 10), table);
}
