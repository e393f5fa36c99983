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
#include "replication/reorderbuffer.h"
#include "utils/acl.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
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
 * PostgreSQL 17 made the tuples of decoded changes plain heap tuples.
 */
static inline HeapTuple
change_new_tuple_compat(ReorderBufferChange *change)
{
#if PG_VERSION_NUM >= 170000
	return change->data.tp.newtuple;
#else
	return change->data.tp.newtuple == NULL ? NULL :
		&change->data.tp.newtuple->tuple;
#endif
}

#endif							/* ES_CORE_COMPAT_H */
