/*-------------------------------------------------------------------------
 *
 * log_fdw.c
 *	  The relation behind es_log: a foreign table whose scans are planned here.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  es_log is es_events with the position of each event, and the ledger is
 *	  packed.  A function that unpacks it would fill a tuplestore before the
 *	  first row, and a join with it would be sorted: only a scan node of its own
 *	  can tell the planner that the rows come in order of position, begin and
 *	  end at the positions that WHERE names, and stop at a LIMIT.  A foreign
 *	  table is PostgreSQL's way to have one.
 *
 *	  The scan takes care of conditions that compare position with something
 *	  that does not change during the scan, and of tenant_id and stream_id
 *	  being equal to such a thing.  All others are PostgreSQL's.
 *
 *	  A scan along the ledger can be shared by parallel workers, which take
 *	  pieces of the range of positions.  Their rows come in no order.
 *
 *	  Events are upcast: a plan is made anew when event types change, which
 *	  invalidates es_events.
 *
 *	  Privileges are those on the foreign table, which nobody can make another
 *	  one of (es_log_check_table).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "foreign/fdwapi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "core/compat.h"
#include "ledger/ledger.h"
#include "ledger/log_fdw.h"
#include "types/types.h"

PG_FUNCTION_INFO_V1(es_log_handler);
PG_FUNCTION_INFO_V1(es_log_validator);

/* Distinct values that are assumed where nothing is known */
#define DEFAULT_STREAMS		200.0
#define DEFAULT_TENANTS		1.0

/* Events that a reader of the log is expected to find behind its position */
#define EVENTS_OF_PAGE		100.0

static const Oid column_types[Natts_es_log_events] = {
	INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, INT8OID, UUIDOID, TEXTOID,
	INT4OID, JSONBOID, JSONBOID, TIMESTAMPTZOID, INT8OID, INT4OID, INT8OID
};

/*
 * What is planned with, RelOptInfo.fdw_private.
 */
typedef struct LogPlan
{
	EsStore		store;
	double		events;			/* in es_events */
	double		pages;
	double		streams;		/* how many there are */
	double		tenants;
	List	   *conditions;		/* RestrictInfos that the scan takes care of */
	List	   *others;			/* RestrictInfos that it does not */
	bool		has_stream;		/* is there a condition on stream_id? */
	bool		has_tenant;
	double		position_share; /* of events that position lets through */
} LogPlan;

void
es_log_check_table(Oid relid, EsStore *store)
{
	Relation	rel;
	TupleDesc	desc;
	int			i;

	es_catalog_get_store(store);
	if (relid != get_relname_relid("es_log_events", store->namespace_oid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("foreign table \"%s\" is not the log of the event store",
						get_rel_name(relid)),
				 errdetail("The foreign-data wrapper \"event_store_log\" serves no table but the extension's own."),
				 errhint("Use the view \"es_log\".")));

	/* The planner and the executor hold a lock. */
	rel = relation_open(relid, NoLock);
	desc = RelationGetDescr(rel);
	for (i = 0; i < Natts_es_log_events; i++)
	{
		if (i >= desc->natts || TupleDescAttr(desc, i)->attisdropped ||
			TupleDescAttr(desc, i)->atttypid != column_types[i])
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("event store is damaged"),
					 errdetail("Columns of the foreign table \"es_log_events\" were changed.")));
	}
	relation_close(rel, NoLock);
}

/*
 * Returns how many distinct values a column of es_events has, as ANALYZE saw it.
 */
static double
count_distinct(const LogPlan *plan, AttrNumber column, double unknown)
{
	HeapTuple	tuple = SearchSysCache3(STATRELATTINH,
										ObjectIdGetDatum(plan->store.events),
										Int16GetDatum(column),
										BoolGetDatum(false));
	double		result = unknown;

	if (HeapTupleIsValid(tuple))
	{
		result = ((Form_pg_statistic) GETSTRUCT(tuple))->stadistinct;
		if (result < 0)
			result = -result * plan->events;
		else if (result == 0)
			result = unknown;
		ReleaseSysCache(tuple);
	}
	return Max(Min(result, plan->events), 1);
}

/*
 * Is the operator, with the column on its left, one that the scan knows?
 * Returns the kind of condition, or 0.
 */
static int
classify_operator(Oid opno, Oid collation, const Var *var)
{
	int			strategy;
	Oid			left;
	Oid			right;

	switch (var->varattno)
	{
		case Anum_es_log_events_position:
			if (!op_in_opfamily(opno, INTEGER_BTREE_FAM_OID))
				return 0;
			get_op_opfamily_properties(opno, INTEGER_BTREE_FAM_OID, false,
									   &strategy, &left, &right);
			return left == INT8OID &&
				(right == INT8OID || right == INT4OID || right == INT2OID) ?
				strategy : 0;
		case Anum_es_log_events_tenant_id:
		case Anum_es_log_events_stream_id:
			if (opno != TextEqualOperator || !OidIsValid(collation) ||
				!get_collation_isdeterministic(collation))
				return 0;
			return var->varattno == Anum_es_log_events_tenant_id ?
				ES_LOG_TENANT_IS : ES_LOG_STREAM_IS;
		default:
			return 0;
	}
}

/*
 * Takes off what changes the type or collation of a value but not its bytes.
 */
static Node *
strip_relabel(Node *node)
{
	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/*
 * Is the node a column of the relation?
 */
static bool
is_column(const RelOptInfo *rel, const Node *node)
{
	return IsA(node, Var) && ((const Var *) node)->varno == (int) rel->relid &&
		((const Var *) node)->varlevelsup == 0;
}

/*
 * Looks whether the scan can take care of a condition; returns its kind and
 * the expression that gives the value, or 0.
 */
static int
classify(const RelOptInfo *rel, const Expr *clause, Expr **value)
{
	const OpExpr *op = (const OpExpr *) clause;
	Node	   *left;
	Node	   *right;
	Oid			opno;

	if (!IsA(clause, OpExpr) || list_length(op->args) != 2)
		return 0;

	opno = op->opno;
	left = strip_relabel(linitial(op->args));
	right = lsecond(op->args);
	if (!is_column(rel, left))
	{
		opno = get_commutator(opno);
		left = strip_relabel(lsecond(op->args));
		right = linitial(op->args);
	}
	if (!OidIsValid(opno) || !is_column(rel, left) ||
		contain_var_clause(right) || contain_volatile_functions(right))
		return 0;

	*value = (Expr *) right;
	return classify_operator(opno, op->inputcollid, (Var *) left);
}

/*
 * Is the value the bound that es_read_all() and es_read_category() begin at?
 */
static bool
is_start_of_page(int kind, const Node *value)
{
	return kind == ES_LOG_POSITION_GT && IsA(value, CoalesceExpr);
}

/*
 * The share of the log that the conditions on position leave: known where the
 * bounds are constants, and guessed where they are not.
 *
 * A reader that goes on from a position that the planner does not know gets a
 * few events.  That guess must not be dearer than the plan for a known
 * position: PostgreSQL would plan each page of a prepared reader anew, for the
 * same plan.
 */
static double
estimate_share(PlannerInfo *root, RelOptInfo *rel, LogPlan *plan)
{
	double		head = Max(plan->events, 1);
	double		low = 0;
	double		high = head;
	double		share = 1.0;
	ListCell   *lc;

	foreach(lc, plan->conditions)
	{
		Expr	   *value;
		int			kind = classify(rel, lfirst_node(RestrictInfo, lc)->clause,
									&value);
		Node	   *estimated = estimate_expression_value(root, (Node *) value);
		double		bound;

		if (kind > ES_LOG_POSITION_GT)
			continue;
		if (!IsA(estimated, Const))
		{
			if (is_start_of_page(kind, estimated))
				share = Min(share, EVENTS_OF_PAGE / head);
			else
				share *= kind == ES_LOG_POSITION_EQ ? 1.0 / head : DEFAULT_INEQ_SEL;
			continue;
		}
		if (((Const *) estimated)->constisnull)
			return 0.0;
		bound = exprType(estimated) == INT8OID ?
			(double) DatumGetInt64(((Const *) estimated)->constvalue) :
			exprType(estimated) == INT4OID ?
			(double) DatumGetInt32(((Const *) estimated)->constvalue) :
			(double) DatumGetInt16(((Const *) estimated)->constvalue);
		if (kind >= ES_LOG_POSITION_EQ)
			low = Max(low, kind == ES_LOG_POSITION_GT ? bound : bound - 1);
		if (kind <= ES_LOG_POSITION_EQ)
			high = Min(high, kind == ES_LOG_POSITION_LT ? bound - 1 : bound);
	}
	return share * Max(high - low, 0) / head;
}

/*
 * GetForeignRelSize: collects the conditions and estimates the rows.
 */
static void
log_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	LogPlan    *plan = palloc0(sizeof(LogPlan));
	Relation	events;
	BlockNumber pages;
	double		allvisfrac;
	double		rows;
	ListCell   *lc;

	es_log_check_table(relid, &plan->store);
	root->glob->relationOids = lappend_oid(root->glob->relationOids,
										   plan->store.events);
	events = es_catalog_open_events(AccessShareLock, &plan->store);
	estimate_rel_size(events, NULL, &pages, &plan->events, &allvisfrac);
	relation_close(events, NoLock);
	plan->pages = pages;
	plan->events = Max(plan->events, 1);
	plan->streams = count_distinct(plan, Anum_es_events_stream_id,
								   DEFAULT_STREAMS);
	plan->tenants = count_distinct(plan, Anum_es_events_tenant_id,
								   DEFAULT_TENANTS);
	rel->fdw_private = plan;

	foreach(lc, rel->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		Expr	   *value;
		int			kind = rinfo->pseudoconstant ? 0 :
			classify(rel, rinfo->clause, &value);

		if (kind == 0)
		{
			plan->others = lappend(plan->others, rinfo);
			continue;
		}
		plan->conditions = lappend(plan->conditions, rinfo);
		plan->has_stream |= (kind == ES_LOG_STREAM_IS);
		plan->has_tenant |= (kind == ES_LOG_TENANT_IS);
	}

	plan->position_share = estimate_share(root, rel, plan);
	rows = plan->events * plan->position_share;
	if (plan->has_stream)
		rows /= plan->streams;
	else if (plan->has_tenant)
		rows /= plan->tenants;
	rows *= clauselist_selectivity(root, plan->others, 0, JOIN_INNER, NULL);
	rel->rows = clamp_row_est(rows);
	rel->tuples = plan->events;
}

/*
 * Returns the pathkeys of rows in order of position, NIL if nobody asks for it.
 */
static List *
position_pathkeys(PlannerInfo *root, RelOptInfo *rel, bool backward)
{
	Var		   *var = makeVar(rel->relid, Anum_es_log_events_position,
							  INT8OID, -1, InvalidOid, 0);

	return build_expression_pathkey_compat(root, (Expr *) var,
										   backward ?
										   get_commutator(Int8LessOperator) :
										   Int8LessOperator,
										   rel->relids, false);
}

/*
 * Adds a path.
 */
static void
add_log_path(PlannerInfo *root, RelOptInfo *rel, EsLogMode mode,
			 List *pathkeys, Cost startup, Cost total)
{
	add_path(rel, (Path *)
			 create_foreignscan_path_compat(root, rel, NULL, rel->rows,
											startup, startup + total,
											pathkeys, rel->lateral_relids,
											NULL, NIL,
											list_make1(makeInteger(mode))));
}

/*
 * Cost of looking at the rows that are found: the conditions and the result.
 */
static Cost
row_costs(RelOptInfo *rel, const LogPlan *plan, double found)
{
	return found * (cpu_tuple_cost + cpu_operator_cost * list_length(plan->conditions) +
					rel->baserestrictcost.per_tuple) +
		rel->reltarget->cost.per_tuple * rel->rows;
}

/*
 * Adds the path along the ledger that parallel workers share.
 */
static void
add_parallel_path(PlannerInfo *root, RelOptInfo *rel, const LogPlan *plan,
				  double found, Cost startup)
{
	double		pages = plan->pages * plan->position_share;
	int			workers = compute_parallel_worker(rel, ceil(pages), -1,
												  max_parallel_workers_per_gather);
	double		divisor = workers;
	ForeignPath *path;
	Cost		run;

	if (workers <= 0)
		return;

	/* as get_parallel_divisor() of PostgreSQL: the leader is busy with them */
	if (parallel_leader_participation)
		divisor += Max(1.0 - 0.3 * workers, 0.0);
	run = seq_page_cost * pages +
		(found * 2 * cpu_index_tuple_cost + row_costs(rel, plan, found)) / divisor;
	path = create_foreignscan_path_compat(root, rel, NULL,
										  clamp_row_est(rel->rows / divisor),
										  startup, startup + run, NIL, NULL,
										  NULL, NIL,
										  list_make1(makeInteger(ES_LOG_FORWARD)));
	path->path.parallel_aware = true;
	path->path.parallel_workers = workers;
	add_partial_path(rel, &path->path);
}

/*
 * GetForeignPaths: along the ledger, in both directions, and by the stream.
 */
static void
log_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	LogPlan    *plan = rel->fdw_private;
	List	   *forward = position_pathkeys(root, rel, false);
	List	   *backward = position_pathkeys(root, rel, true);
	double		found = plan->events * plan->position_share;
	Cost		startup;
	Cost		total;

	/* finding the beginning in two indexes */
	startup = rel->baserestrictcost.startup + rel->reltarget->cost.startup +
		200 * cpu_operator_cost;
	total = found * 2 * cpu_index_tuple_cost +
		seq_page_cost * plan->pages * plan->position_share +
		row_costs(rel, plan, found);
	add_log_path(root, rel, ES_LOG_FORWARD, forward, startup, total);
	if (backward != NIL)
		add_log_path(root, rel, ES_LOG_BACKWARD, backward, startup, total);
	if (rel->consider_parallel && bms_is_empty(rel->lateral_relids))
		add_parallel_path(root, rel, plan, found, startup);

	if (plan->has_stream)
	{
		double		tenants = plan->has_tenant ? 1 : plan->tenants;

		/*
		 * Within a stream positions go up with versions; between streams of
		 * the same name of several tenants there is no order.
		 */
		found = Max(plan->events / plan->streams, 1);
		startup += tenants * 100 * cpu_operator_cost;
		total = found * (4 * cpu_index_tuple_cost + 50 * cpu_operator_cost) +
			random_page_cost * Min(found, plan->pages) +
			row_costs(rel, plan, found);
		add_log_path(root, rel, ES_LOG_STREAM,
					 plan->has_tenant ? forward : NIL, startup, total);
		if (plan->has_tenant && backward != NIL)
			add_log_path(root, rel, ES_LOG_STREAM_BACKWARD, backward, startup,
						 total);
	}
}

/*
 * How many events will be asked for: the query's LIMIT, where nothing but this
 * relation stands between them.
 */
static int
events_wanted(PlannerInfo *root, RelOptInfo *rel, const LogPlan *plan)
{
	if (root->limit_tuples <= 0 || plan->others != NIL ||
		bms_membership(root->all_baserels) != BMS_SINGLETON ||
		root->limit_tuples > 1000000)
		return 0;
	return (int) root->limit_tuples;
}

/*
 * May conditions be evaluated in another order?  Not if one has to hide rows
 * from functions in another.
 */
static bool
are_exchangeable(List *conditions)
{
	Index		level;
	ListCell   *lc;

	if (conditions == NIL)
		return true;
	level = linitial_node(RestrictInfo, conditions)->security_level;
	foreach(lc, conditions)
	{
		if (lfirst_node(RestrictInfo, lc)->security_level != level)
			return false;
	}
	return true;
}

/*
 * GetForeignPlan
 */
static ForeignScan *
log_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *best,
		 List *tlist, List *clauses, Plan *outer_plan)
{
	LogPlan    *plan = rel->fdw_private;
	List	   *exprs = NIL;
	List	   *kinds = NIL;
	List	   *recheck = NIL;
	List	   *others = NIL;
	List	   *header;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		Expr	   *value;

		if (!list_member_ptr(plan->conditions, rinfo))
		{
			others = lappend(others, rinfo);
			continue;
		}
		kinds = lappend_int(kinds, classify(rel, rinfo->clause, &value));
		exprs = lappend(exprs, value);
		recheck = lappend(recheck, rinfo->clause);
	}

	header = list_make3_int(intVal(linitial(best->fdw_private)),
							best->path.parallel_aware ? 0 :
							events_wanted(root, rel, plan),
							are_exchangeable(others));
	return make_foreignscan(tlist, extract_actual_clauses(others, false),
							rel->relid, exprs, list_make2(header, kinds), NIL,
							recheck, outer_plan);
}

/*
 * IsForeignScanParallelSafe: it reads tables of this database as any scan does.
 * But upcasters are SQL of the users', which need not be safe.
 */
static bool
log_parallel_safe(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	EsStore		store;

	es_catalog_get_store(&store);
	return !es_types_have_upcasters(&store);
}

/*
 * IsForeignRelUpdatable: by no command.
 */
static int
log_updatable(Relation rel)
{
	return 0;
}

/*
 * SQL: es_log_handler() returns fdw_handler
 */
Datum
es_log_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = log_rel_size;
	routine->GetForeignPaths = log_paths;
	routine->GetForeignPlan = log_plan;
	routine->BeginForeignScan = es_log_begin;
	routine->IterateForeignScan = es_log_iterate;
	routine->ReScanForeignScan = es_log_rescan;
	routine->EndForeignScan = es_log_end;
	routine->ExplainForeignScan = es_log_explain;
	routine->IsForeignRelUpdatable = log_updatable;
	routine->IsForeignScanParallelSafe = log_parallel_safe;
	routine->EstimateDSMForeignScan = es_log_estimate_dsm;
	routine->InitializeDSMForeignScan = es_log_initialize_dsm;
	routine->ReInitializeDSMForeignScan = es_log_reinitialize_dsm;
	routine->InitializeWorkerForeignScan = es_log_initialize_worker;
	routine->ShutdownForeignScan = es_log_shutdown;
	PG_RETURN_POINTER(routine);
}

/*
 * SQL: es_log_validator(options text[], catalog oid) returns void
 *
 * There are no options.
 */
Datum
es_log_validator(PG_FUNCTION_ARGS)
{
	ArrayType  *options = PG_GETARG_ARRAYTYPE_P(0);

	if (ArrayGetNItems(ARR_NDIM(options), ARR_DIMS(options)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("the log of the event store has no options")));
	PG_RETURN_VOID();
}
