/*-------------------------------------------------------------------------
 *
 * code.c
 *	  The expressions of event types: parsed and planned as their owners.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A plan is kept by the process.  It has functions inlined, whose
 *	  definitions and privileges may change: whenever any function or schema
 *	  does, or a data type if the plan is not made of PostgreSQL's own things
 *	  alone, it is made again.
 *
 *	  What is registered has been checked; but a row may come from a restore,
 *	  and functions and roles may have been dropped since.  So everything is
 *	  checked again here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "core/user_code.h"
#include "types/registry.h"

/* Counters of changes that this process has heard of */
static uint64 function_changes = 1;
static uint64 data_type_changes = 1;

static const EsExpressionName param_names[] = {
	[ES_TYPE_DATA] = {"data", JSONBOID, InvalidOid},
	[ES_TYPE_METADATA] = {"metadata", JSONBOID, InvalidOid},
	[ES_TYPE_EVENT_TYPE] = {"event_type", TEXTOID, DEFAULT_COLLATION_OID},
	[ES_TYPE_SCHEMA_VERSION] = {"schema_version", INT4OID, InvalidOid},
	[ES_TYPE_STREAM_ID] = {"stream_id", TEXTOID, DEFAULT_COLLATION_OID},
};

static void
note_change(Datum arg, int cacheid, uint32 hashvalue)
{
	if (cacheid == TYPEOID)
		data_type_changes++;
	else
		function_changes++;
}

void
es_type_code_init(void)
{
	CacheRegisterSyscacheCallback(PROCOID, note_change, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, note_change, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, note_change, (Datum) 0);
}

uint64
es_type_code_changes(void)
{
	return function_changes;
}

ParamListInfo
es_type_make_params(int nparams)
{
	ParamListInfo params = makeParamList(nparams);
	int			i;

	for (i = 0; i < nparams; i++)
	{
		params->params[i].value = (Datum) 0;
		params->params[i].isnull = true;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = param_names[i].type;
	}
	return params;
}

Oid
es_type_owner(const EsTypeVersion *version)
{
	Oid			owner = get_role_oid(version->row->owner, true);

	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\", the owner of event type \"%s\" version %d, does not exist",
						version->row->owner, version->row->event_type,
						version->row->schema_version),
				 errhint("Give it another owner with es_alter_event_type(event_type, schema_version, owner => ...).")));
	return owner;
}

bool
es_type_is_upcast_event(Oid type)
{
	TupleDesc	desc;
	HeapTuple	tuple;
	bool		result;

	if (get_typtype(type) != TYPTYPE_COMPOSITE)
		return false;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	result = strcmp(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname),
					"es_upcast_event") == 0;
	ReleaseSysCache(tuple);
	if (!result)
		return false;

	desc = lookup_rowtype_tupdesc(type, -1);
	result = desc->natts == 3 &&
		TupleDescAttr(desc, 0)->atttypid == TEXTOID &&
		TupleDescAttr(desc, 1)->atttypid == INT4OID &&
		TupleDescAttr(desc, 2)->atttypid == JSONBOID;
	ReleaseTupleDesc(desc);
	return result;
}

/*
 * Makes an upcaster return what it may; raises an error if it cannot.
 */
static Expr *
coerce_upcaster(Expr *expr)
{
	Oid			type = exprType((Node *) expr);
	bool		is_set = expression_returns_set((Node *) expr);
	Node	   *coerced;

	if (es_type_is_upcast_event(type) || (type == JSONBOID && !is_set))
		return expr;
	if (!is_set && es_type_is_upcast_event(get_element_type(type)))
		return expr;
	if (!is_set && (type == UNKNOWNOID || type == JSONOID))
	{
		coerced = coerce_to_target_type(NULL, (Node *) expr, type, JSONBOID, -1,
										COERCION_ASSIGNMENT,
										COERCE_IMPLICIT_CAST, -1);
		if (coerced != NULL)
			return (Expr *) coerced;
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("an upcaster must not return %s%s", is_set ? "SETOF " : "",
					format_type_be(type)),
			 errhint("It returns the new data as jsonb; or es_upcast_event, an array or a set of it, to rename or split the event: es_upcast_to(event_type, schema_version, data) makes one.")));
}

static Expr *
coerce_check(Expr *expr)
{
	Oid			type = exprType((Node *) expr);
	Node	   *coerced;

	coerced = coerce_to_target_type(NULL, (Node *) expr, type, BOOLOID, -1,
									COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
	if (coerced == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("a check must return boolean, not %s",
						format_type_be(type))));
	return (Expr *) coerced;
}

static Expr *
parse(const EsTypeVersion *version, bool is_check)
{
	if (is_check)
		return coerce_check(es_expression_parse(version->row->check_expression,
												"a check", param_names,
												ES_CHECK_PARAMS, false));
	return coerce_upcaster(es_expression_parse(version->row->upcaster,
											   "an upcaster", param_names,
											   ES_UPCAST_PARAMS, true));
}

Expr *
es_type_parse_upcaster(const EsTypeVersion *version)
{
	EsUserCode	saved;
	Expr	   *expr;

	es_user_code_enter(&saved, es_type_owner(version), version->row->settings);
	expr = parse(version, false);
	es_user_code_leave(&saved);
	return expr;
}

/*
 * Parses and plans; as the owner, with his settings.
 */
static void
plan(EsTypeCode *code, const EsTypeVersion *version, bool is_check,
	 MemoryContext context)
{
	Oid			owner = es_type_owner(version);
	MemoryContext previous;
	EsUserCode	saved;
	Expr	   *expr;

	es_user_code_enter(&saved, owner, version->row->settings);
	expr = es_expression_plan(parse(version, is_check), &code->trusted);
	es_user_code_leave(&saved);

	previous = MemoryContextSwitchTo(context);
	code->expr = copyObject(expr);
	MemoryContextSwitchTo(previous);
	code->result_type = exprType((Node *) expr);
	code->returns_set = expression_returns_set((Node *) expr);
}

/*
 * Returns the code if it is right, made again if need be.
 */
static const EsTypeCode *
get_code(EsTypeCode *code, const EsTypeVersion *version, bool is_check)
{
	EsTypeCode	made;
	MemoryContext work;
	MemoryContext previous;

	if (likely(code->context != NULL && code->functions == function_changes &&
			   (code->trusted || code->data_types == data_type_changes)))
		return code;

	/*
	 * Planning may run functions, which may read the registry anew: the
	 * caller's must outlive that.
	 */
	es_types_hold(version->types, CurrentMemoryContext);

	memset(&made, 0, sizeof(made));
	made.functions = function_changes;
	made.data_types = data_type_changes;
	made.context = AllocSetContextCreate(CurrentMemoryContext,
										 "event_store type code",
										 ALLOCSET_SMALL_SIZES);
	work = AllocSetContextCreate(CurrentMemoryContext,
								 "event_store type planning",
								 ALLOCSET_DEFAULT_SIZES);
	previous = MemoryContextSwitchTo(work);
	plan(&made, version, is_check, made.context);
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(work);

	/* Planning may have run code that planned it, too. */
	if (code->context != NULL)
		MemoryContextDelete(code->context);
	MemoryContextSetParent(made.context, version->types->context);
	*code = made;
	return code;
}

const EsTypeCode *
es_type_upcaster(EsTypeVersion *version)
{
	return get_code(&version->upcaster, version, false);
}

const EsTypeCode *
es_type_check(EsTypeVersion *version)
{
	return get_code(&version->check, version, true);
}
