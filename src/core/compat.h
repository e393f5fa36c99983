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
#include "catalog/pg_database.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "storage/proc.h"
#include "utils/wait_event.h"
#include "utils/acl.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 170000
#include "storage/procnumber.h"
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
 * The same for databases.
 */
static inline bool
database_ownercheck_compat(Oid database_oid, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database_oid, roleid);
#else
	return pg_database_ownercheck(database_oid, roleid);
#endif
}

/*
 * PostgreSQL 16, and minor releases of 15, mark what an interrupted DROP
 * DATABASE has left behind.
 */
static inline bool
database_is_invalid_compat(const FormData_pg_database *database)
{
	return database->datconnlimit == -2;
}

/*
 * PostgreSQL 17 numbers processes from 0 in a variable of its own.
 */
static inline int
my_proc_number_compat(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}

/*
 * PostgreSQL 17 lets extensions name what they wait for.  The caller keeps
 * the result: a name is to be registered once in a process.
 */
static inline uint32
wait_event_extension_new_compat(const char *name)
{
#if PG_VERSION_NUM >= 170000
	return WaitEventExtensionNew(name);
#else
	(void) name;
	return PG_WAIT_EXTENSION;
#endif
}

#endif							/* ES_CORE_COMPAT_H */
