/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  JSON Schema in SQL.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "core/compat.h"
#include "jsonschema/jsonschema.h"

PG_FUNCTION_INFO_V1(es_json_schema_is_valid);
PG_FUNCTION_INFO_V1(es_json_schema_list_breaks);
PG_FUNCTION_INFO_V1(es_json_schema_problems);

#define MAX_PROBLEMS	100

/*
 * The schema of the calls before, in fn_extra, with the arguments that it was
 * made of: as they came, so that a compressed one is not expanded each time.
 */
typedef struct Cache
{
	EsJsonSchema *compiled;		/* or NULL */
	struct varlena *schema;
	struct varlena *documents;
} Cache;

/*
 * Is an argument the same as that of the call before?  One that is stored out
 * of line is not looked at.
 */
static bool
is_same(const struct varlena *before, const struct varlena *now)
{
	return !VARATT_IS_EXTERNAL(now) && VARSIZE_ANY(before) == VARSIZE_ANY(now) &&
		memcmp(before, now, VARSIZE_ANY(now)) == 0;
}

static struct varlena *
copy_argument(const struct varlena *argument, MemoryContext context)
{
	struct varlena *copy = MemoryContextAlloc(context, VARSIZE_ANY(argument));

	memcpy(copy, argument, VARSIZE_ANY(argument));
	return copy;
}

/*
 * The compiled form of the schema and the documents that are the first and the
 * third argument; made anew only if they are others than at the last call.
 */
static const EsJsonSchema *
get_schema(FunctionCallInfo fcinfo)
{
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	Cache	   *cache = fcinfo->flinfo->fn_extra;
	struct varlena *schema = PG_GETARG_RAW_VARLENA_P(0);
	struct varlena *documents = PG_GETARG_RAW_VARLENA_P(2);

	if (cache == NULL)
		cache = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(context, sizeof(Cache));
	if (cache->compiled != NULL && is_same(cache->schema, schema) &&
		is_same(cache->documents, documents))
		return cache->compiled;

	if (cache->compiled != NULL)
	{
		es_json_schema_free(cache->compiled);
		cache->compiled = NULL;
		pfree(cache->schema);
		pfree(cache->documents);
	}
	cache->schema = copy_argument(schema, context);
	cache->documents = copy_argument(documents, context);
	cache->compiled = es_json_schema_compile_with(PG_GETARG_JSONB_P(0),
												  PG_GETARG_JSONB_P(2), context);
	return cache->compiled;
}

/*
 * SQL: es_json_schema_is_valid(schema jsonb, data jsonb, documents jsonb)
 *		returns boolean
 */
Datum
es_json_schema_is_valid(PG_FUNCTION_ARGS)
{
	Jsonb	   *data = PG_GETARG_JSONB_P(1);
	const EsJsonSchema *schema = get_schema(fcinfo);

	PG_RETURN_BOOL(es_json_schema_check(schema, data, NULL));
}

/*
 * SQL: es_json_schema_problems(schema jsonb, data jsonb, documents jsonb)
 *		returns table (path text, rule text, message text)
 */
Datum
es_json_schema_problems(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Jsonb	   *data = PG_GETARG_JSONB_P(1);
	const EsJsonSchema *schema = get_schema(fcinfo);
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, es_json_schema_check_all(schema, data, MAX_PROBLEMS))
	{
		const EsJsonSchemaProblem *problem = lfirst(lc);
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = CStringGetTextDatum(problem->path);
		values[1] = CStringGetTextDatum(problem->rule);
		values[2] = CStringGetTextDatum(problem->message);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * SQL: es_json_schema_breaks(reader jsonb, writer jsonb) returns setof text
 */
Datum
es_json_schema_list_breaks(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *breaks = es_json_schema_breaks(PG_GETARG_JSONB_P(0),
											   PG_GETARG_JSONB_P(1), MAX_PROBLEMS);
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	foreach(lc, breaks)
	{
		Datum		value = CStringGetTextDatum(lfirst(lc));
		bool		isnull = false;

		tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
	}
	return (Datum) 0;
}
