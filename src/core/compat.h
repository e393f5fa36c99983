/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between the supported PostgreSQL versions.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  This is the only file that may mention PG_VERSION_NUM.  Every shim is
 *	  an inline function with the newest signature and the suffix _compat;
 *	  no name of PostgreSQL's own is ever redefined.  Include it after
 *	  postgres.h and the header that declares the wrapped function.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CORE_COMPAT_H
#define ES_CORE_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "event_store needs PostgreSQL 15 or later"
#endif

#include "access/genam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "utils/acl.h"
#include "utils/rangetypes.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#else
#include "commands/explain.h"
#endif

/*
 * PostgreSQL 18 replaced the attribute behind a declaration by one before it.
 */
#if PG_VERSION_NUM >= 180000
#define ES_NORETURN pg_noreturn
#else
#define ES_NORETURN pg_attribute_noreturn()
#endif

/*
 * PostgreSQL 16 added onlySummarizing (HOT updates with BRIN indexes).
 */
static inline List *
exec_insert_index_tuples_compat(ResultRelInfo *rri, TupleTableSlot *slot,
								EState *estate)
{
#if PG_VERSION_NUM >= 160000
	return ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL,
								 false);
#else
	return ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL);
#endif
}

/*
 * PostgreSQL 18 added the instrumentation argument (number of index searches
 * in EXPLAIN ANALYZE).
 */
static inline IndexScanDesc
index_beginscan_compat(Relation heap, Relation index, Snapshot snapshot,
					   int nkeys, int norderbys)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(heap, index, snapshot, NULL, nkeys, norderbys);
#else
	return index_beginscan(heap, index, snapshot, nkeys, norderbys);
#endif
}

/*
 * PostgreSQL 16 replaced the ownership checks per kind by one function.
 */
static inline bool
relation_ownercheck_compat(Oid relid, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relid, roleid);
#else
	return pg_class_ownercheck(relid, roleid);
#endif
}

/*
 * PostgreSQL 16 replaced the privilege checks per kind by one function.
 */
static inline bool
may_execute_compat(Oid funcid, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ProcedureRelationId, funcid, roleid,
						   ACL_EXECUTE) == ACLCHECK_OK;
#else
	return pg_proc_aclcheck(funcid, roleid, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

/*
 * PostgreSQL 16 added the node for soft errors.
 */
static inline RangeType *
make_range_compat(TypeCacheEntry *typcache, RangeBound *lower,
				  RangeBound *upper, bool empty)
{
#if PG_VERSION_NUM >= 160000
	return make_range(typcache, lower, upper, empty, NULL);
#else
	return make_range(typcache, lower, upper, empty);
#endif
}

/*
 * PostgreSQL 16 dropped the relations that make the expression null.
 */
static inline List *
build_expression_pathkey_compat(PlannerInfo *root, Expr *expr, Oid opno,
								Relids rel, bool create_it)
{
#if PG_VERSION_NUM >= 160000
	return build_expression_pathkey(root, expr, opno, rel, create_it);
#else
	return build_expression_pathkey(root, expr, NULL, opno, rel, create_it);
#endif
}

/*
 * PostgreSQL 17 added fdw_restrictinfo, 18 the number of disabled nodes (which
 * is 0 here).
 */
static inline ForeignPath *
create_foreignscan_path_compat(PlannerInfo *root, RelOptInfo *rel,
							   PathTarget *target, double rows,
							   Cost startup_cost, Cost total_cost,
							   List *pathkeys, Relids required_outer,
							   Path *fdw_outerpath, List *fdw_restrictinfo,
							   List *fdw_private)
{
#if PG_VERSION_NUM >= 180000
	return create_foreignscan_path(root, rel, target, rows, 0, startup_cost,
								   total_cost, pathkeys, required_outer,
								   fdw_outerpath, fdw_restrictinfo,
								   fdw_private);
#elif PG_VERSION_NUM >= 170000
	return create_foreignscan_path(root, rel, target, rows, startup_cost,
								   total_cost, pathkeys, required_outer,
								   fdw_outerpath, fdw_restrictinfo,
								   fdw_private);
#else
	return create_foreignscan_path(root, rel, target, rows, startup_cost,
								   total_cost, pathkeys, required_outer,
								   fdw_outerpath, fdw_private);
#endif
}

#endif							/* ES_CORE_COMPAT_H */
