/*-------------------------------------------------------------------------
 *
 * prepare.c
 *	  Making evolve ready to run.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  An evolve function becomes an expression, evolve($1, $2), which is
 *	  planned, so that a SQL function is inlined.  Where the result uses only
 *	  fields of the event, they are taken from the row of es_events, and no
 *	  event is formed at all.  The plan is kept with the aggregate.
 *
 *	  An aggregate function is called as nodeAgg.c does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_agg.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "aggregate/fold.h"
#include "core/compat.h"

/* Where the attributes of es_event are in es_events; 0: nowhere */
static const AttrNumber event_columns[] = {
	0,							/* position */
	Anum_es_events_stream_id,
	Anum_es_events_version,
	Anum_es_events_event_type,
	Anum_es_events_schema_version,
	Anum_es_events_data,
	Anum_es_events_metadata,
	Anum_es_events_event_id,
	Anum_es_events_recorded_at,
	Anum_es_events_tenant_id
};

static Param *
make_param(int number, Oid type)
{
	Param	   *param = makeNode(Param);

	param->paramkind = PARAM_EXTERN;
	param->paramid = number;
	param->paramtype = type;
	param->paramtypmod = -1;
	param->paramcollid = InvalidOid;
	param->location = -1;
	return param;
}

/* ---------- functions ---------- */

static bool
is_event(const Node *node)
{
	return IsA(node, Param) &&
		((const Param *) node)->paramkind == PARAM_EXTERN &&
		((const Param *) node)->paramid == 2;
}

/*
 * Puts columns of es_events in the place of fields of the event; notes whether
 * the event is used otherwise.
 */
static Node *
use_columns(Node *node, void *whole)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, FieldSelect) && is_event((Node *) ((FieldSelect *) node)->arg))
	{
		FieldSelect *field = (FieldSelect *) node;

		if (field->fieldnum == 1)
			return (Node *) makeNullConst(field->resulttype,
										  field->resulttypmod,
										  field->resultcollid);
		if (field->fieldnum <= (int) lengthof(event_columns))
			return (Node *) makeVar(1, event_columns[field->fieldnum - 1],
									field->resulttype, field->resulttypmod,
									field->resultcollid, 0);
	}
	if (is_event(node))
		*(bool *) whole = true;
	return expression_tree_mutator(node, use_columns, whole);
}

/*
 * A check_function_callback: is the function in the language SQL?  What such
 * ones keep is of no use in the next transaction.
 */
static bool
is_sql_function(Oid function, void *context)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	result = ((Form_pg_proc) GETSTRUCT(tuple))->prolang == SQLlanguageId;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Does what the expression keeps from call to call, when it is ready to run,
 * depend on something whose change is not noticed?  What has to do with users'
 * types does, with their fields, labels and constraints; we allow what is known
 * to be harmless.
 */
static bool
keeps_too_much(Node *node, void *event_type)
{
	Oid			type;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_List:
		case T_CaseWhen:
			return expression_tree_walker(node, keeps_too_much, event_type);
		case T_Var:
		case T_Const:
		case T_Param:
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_BoolExpr:
		case T_FieldSelect:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayExpr:
		case T_CaseExpr:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_SubscriptingRef:
			break;
		default:
			return true;
	}
	type = exprType(node);
	if (type != *(Oid *) event_type &&
		(type >= FirstNormalObjectId || type_is_rowtype(type)))
		return true;
	return check_functions_in_node(node, is_sql_function, NULL) ||
		expression_tree_walker(node, keeps_too_much, event_type);
}

/*
 * Plans evolve($1, $2) and keeps it with the aggregate.
 */
static void
plan_function(EsFold *fold)
{
	EsAggregateEntry *entry = fold->entry;
	List	   *args;
	Expr	   *expr;
	Oid			event_type = es_event_type_oid(&fold->store);
	bool		whole = false;
	MemoryContext previous;

	args = list_make2(make_param(1, JSONBOID), make_param(2, event_type));
	expr = (Expr *) makeFuncExpr(entry->aggregate.evolve, JSONBOID, args,
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	expr = expression_planner(expr);
	expr = (Expr *) use_columns((Node *) expr, &whole);
	entry->reusable = !keeps_too_much((Node *) expr, &event_type);
	es_aggregate_watch(get_typ_typrelid(event_type));

	previous = MemoryContextSwitchTo(entry->aggregate.context);
	expr = copyObject(expr);
	MemoryContextSwitchTo(previous);
	entry->needs_event = whole;
	entry->plan = expr;
}

/*
 * Makes the expression ready to run; the caller has changed over to the
 * owner.
 */
static void
prepare_function(EsFold *fold)
{
	ParamListInfo params = makeParamList(2);

	params->params[0].ptype = JSONBOID;
	params->params[1].ptype = es_event_type_oid(&fold->store);
	fold->evolve = ExecInitExpr(fold->entry->plan, NULL);
	fold->econtext = makeNode(ExprContext);
	fold->econtext->ecxt_per_query_memory = fold->context;
	fold->econtext->ecxt_param_list_info = params;
	fold->needs_event = fold->entry->needs_event;
}

/* ---------- aggregate functions ---------- */

/*
 * Makes a function that an aggregate function consists of ready to run; its
 * owner must be allowed to execute it.
 */
static void
prepare_part(EsFold *fold, FmgrInfo *info, Oid function, Oid owner, Expr *expr)
{
	if (!may_execute_compat(function, owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s",
						format_procedure(function)),
				 errdetail("The owner of the aggregate function must be allowed to execute it.")));
	fmgr_info_cxt(function, info, fold->context);
	fmgr_info_set_expr((Node *) expr, info);
}

/*
 * Finds out which types take the place of polymorphic ones.
 */
static void
resolve_types(EsAggregateCall *call, Oid function, Form_pg_aggregate form,
			  Form_pg_proc proc, Oid event_type)
{
	Oid			actual = event_type;
	Oid			declared = proc->proargtypes.values[0];

	call->state_type = resolve_aggregate_transtype(function,
												   form->aggtranstype,
												   &actual, 1);
	get_typlenbyval(call->state_type, &call->state_len, &call->state_byval);
	call->result_type = enforce_generic_type_consistency(&actual, &declared, 1,
														 proc->prorettype,
														 false);
}

/*
 * Finds the functions of the state type, to write states into snapshots, and
 * its initial value.
 */
static void
prepare_state_type(EsFold *fold, EsAggregateCall *call, Datum init,
				   bool isnull)
{
	Oid			function;
	bool		is_varlena;

	getTypeInputInfo(call->state_type, &function, &call->input_param);
	fmgr_info_cxt(function, &call->input, fold->context);
	getTypeOutputInfo(call->state_type, &function, &is_varlena);
	fmgr_info_cxt(function, &call->output, fold->context);

	call->init_isnull = isnull;
	if (!isnull)
		call->init = InputFunctionCall(&call->input, TextDatumGetCString(init),
									   call->input_param, -1);
	if (isnull && call->transition.fn_strict &&
		!IsBinaryCoercible(es_event_type_oid(&fold->store), call->state_type))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("aggregate %s needs to have compatible input type and transition type",
						format_procedure(fold->entry->aggregate.evolve))));
}

/*
 * Makes what tells the functions that they are called by an aggregate.
 */
static void
make_fake_state(EsFold *fold, EsAggregateCall *call)
{
	int			i;

	call->fake = makeNode(AggState);
	for (i = 0; i < 2; i++)
	{
		ExprContext *econtext = makeNode(ExprContext);

		econtext->ecxt_per_query_memory = fold->context;
		econtext->ecxt_per_tuple_memory = fold->contexts[i];
		if (i == 0)
			call->fake->curaggcontext = econtext;
		else
			call->fake->tmpcontext = econtext;
	}
}

/*
 * Makes an aggregate function ready to run; the caller has changed over to the
 * owner.
 */
static void
prepare_aggregate(EsFold *fold)
{
	Oid			function = fold->entry->aggregate.evolve;
	Oid			event_type = es_event_type_oid(&fold->store);
	HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(function));
	HeapTuple	proc_tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	EsAggregateCall *call = palloc0(sizeof(EsAggregateCall));
	Form_pg_aggregate form;
	Form_pg_proc proc;
	Expr	   *expr;
	Datum		init;
	bool		isnull;

	if (!HeapTupleIsValid(tuple) || !HeapTupleIsValid(proc_tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", function);
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	proc = (Form_pg_proc) GETSTRUCT(proc_tuple);
	resolve_types(call, function, form, proc, event_type);

	build_aggregate_transfn_expr(&event_type, 1, 0, false, call->state_type,
								 InvalidOid, form->aggtransfn, InvalidOid,
								 &expr, NULL);
	prepare_part(fold, &call->transition, form->aggtransfn, proc->proowner,
				 expr);
	if (OidIsValid(form->aggfinalfn))
	{
		call->final_nargs = form->aggfinalextra ? 2 : 1;
		build_aggregate_finalfn_expr(&event_type, call->final_nargs,
									 call->state_type, call->result_type,
									 InvalidOid, form->aggfinalfn, &expr);
		prepare_part(fold, &call->final, form->aggfinalfn, proc->proowner,
					 expr);
	}
	fmgr_info_cxt(F_TO_JSONB, &call->to_jsonb, fold->context);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID,
											 list_make1(make_param(1, call->result_type)),
											 InvalidOid, InvalidOid,
											 COERCE_EXPLICIT_CALL),
					   &call->to_jsonb);

	init = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval,
						   &isnull);
	prepare_state_type(fold, call, init, isnull);
	make_fake_state(fold, call);
	fold->call = call;
	fold->needs_event = true;
	ReleaseSysCache(tuple);
	ReleaseSysCache(proc_tuple);
}

void
es_prepare_evolve(EsFold *fold)
{
	EsAggregateEntry *entry = fold->entry;
	bool		is_aggregate = entry->aggregate.is_sql_aggregate;
	MemoryContext previous = MemoryContextSwitchTo(fold->context);
	EsUserCode	saved;

	/* the settings matter where names are looked up and values are read */
	es_user_code_enter(&saved, entry->aggregate.owner,
					   is_aggregate || entry->plan == NULL ?
					   entry->aggregate.settings : NIL);
	if (!may_execute_compat(entry->aggregate.evolve, entry->aggregate.owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s",
						format_procedure(entry->aggregate.evolve)),
				 errdetail("Role \"%s\", the owner of aggregate \"%s\", must be allowed to execute it.",
						   entry->owner_name, entry->aggregate.name)));
	es_check_evolve(&fold->store, entry->aggregate.evolve,
					!entry->aggregate.initial_isnull);
	if (is_aggregate)
		prepare_aggregate(fold);
	else
	{
		if (entry->plan == NULL)
			plan_function(fold);
		prepare_function(fold);
	}
	es_user_code_leave(&saved);
	MemoryContextSwitchTo(previous);
}
