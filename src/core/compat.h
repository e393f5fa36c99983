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
#include "access/nbtree.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "replication/message.h"
#include "replication/reorderbuffer.h"
#include "replication/slot.h"
#include "storage/bufmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/wait_event.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/rangetypes.h"
#include "utils/rel.h"
#include "utils/regproc.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 170000
#include "storage/procnumber.h"
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
 * PostgreSQL 18 has generated columns that are computed when they are read.
 */
static inline bool
is_virtual_column_compat(Form_pg_attribute attribute)
{
#if PG_VERSION_NUM >= 180000
	return attribute->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL;
#else
	return false;
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
 * PostgreSQL 17 can flush the message at once, which a transactional one does
 * not need.
 */
static inline XLogRecPtr
log_logical_message_compat(const char *prefix, const char *message, Size size,
						   bool transactional)
{
#if PG_VERSION_NUM >= 170000
	return LogLogicalMessage(prefix, message, size, transactional, false);
#else
	return LogLogicalMessage(prefix, message, size, transactional);
#endif
}

/*
 * PostgreSQL 17 can also ask for stronger locks.
 */
static inline bool
lock_held_by_me_compat(const LOCKTAG *tag, LOCKMODE mode)
{
#if PG_VERSION_NUM >= 170000
	return LockHeldByMe(tag, mode, false);
#else
	return LockHeldByMe(tag, mode);
#endif
}

/*
 * PostgreSQL 16 notes why a slot was invalidated; before, an invalidated one
 * has lost the place where it would restart.
 */
static inline bool
slot_is_invalid_compat(ReplicationSlot *slot)
{
#if PG_VERSION_NUM >= 160000
	return slot->data.invalidated != RS_INVAL_NONE;
#else
	return XLogRecPtrIsInvalid(slot->data.restart_lsn) &&
		!XLogRecPtrIsInvalid(slot->data.invalidated_at);
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
 * PostgreSQL 17 added failover and synced.
 */
static inline void
create_logical_slot_compat(const char *name, ReplicationSlotPersistency persistency)
{
#if PG_VERSION_NUM >= 170000
	ReplicationSlotCreate(name, true, persistency, false, false, false);
#else
	ReplicationSlotCreate(name, true, persistency, false);
#endif
}

/*
 * PostgreSQL 18 can raise an error for an invalidated slot.
 */
static inline void
acquire_slot_compat(const char *name, bool nowait)
{
#if PG_VERSION_NUM >= 180000
	ReplicationSlotAcquire(name, nowait, true);
#else
	ReplicationSlotAcquire(name, nowait);
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

/*
 * PostgreSQL 16 added the constructors of SQL/JSON: is it JSON_ARRAYAGG or
 * JSON_OBJECTAGG?
 */
static inline bool
is_json_aggregate_compat(Node *node)
{
#if PG_VERSION_NUM >= 160000
	return IsA(node, JsonConstructorExpr) &&
		(((JsonConstructorExpr *) node)->type == JSCTOR_JSON_ARRAYAGG ||
		 ((JsonConstructorExpr *) node)->type == JSCTOR_JSON_OBJECTAGG);
#else
	(void) node;
	return false;
#endif
}

/*
 * PostgreSQL 16 added the node for soft errors.
 */
static inline List *
string_to_qualified_name_list_compat(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return stringToQualifiedNameList(name, NULL);
#else
	return stringToQualifiedNameList(name);
#endif
}

/*
 * PostgreSQL 18 puts the GROUP BY expressions into a relation of their own,
 * the last one, and lets the select list refer to its columns.  Puts them back
 * into the select list, as ruleutils.c does.
 */
static inline void
flatten_group_compat(Query *query)
{
#if PG_VERSION_NUM >= 180000
	if (query->hasGroupRTE)
	{
		query->targetList = (List *)
			flatten_group_exprs(NULL, query, (Node *) query->targetList);
		query->havingQual = flatten_group_exprs(NULL, query, query->havingQual);
		if (llast_node(RangeTblEntry, query->rtable)->rtekind == RTE_GROUP)
			query->rtable = list_delete_last(query->rtable);
		query->hasGroupRTE = false;
	}
#else
	(void) query;
#endif
}

/*
 * PostgreSQL 16 moved the permissions that a query needs out of its range
 * table.
 */
static inline void
check_query_permissions_compat(Query *query)
{
#if PG_VERSION_NUM >= 160000
	(void) ExecCheckPermissions(query->rtable, query->rteperminfos, true);
#else
	(void) ExecCheckRTPerms(query->rtable, true);
#endif
}

/*
 * PostgreSQL 16 asks for the SET option of a membership.
 */
static inline void
check_can_set_role_compat(Oid member, Oid role)
{
#if PG_VERSION_NUM >= 160000
	check_can_set_role(member, role);
#else
	check_is_member_of_role(member, role);
#endif
}

/*
 * PostgreSQL 18 dropped execute_once, which only a query that runs in parallel
 * had needed.
 */
static inline void
executor_run_compat(QueryDesc *query, ScanDirection direction, uint64 count)
{
#if PG_VERSION_NUM >= 180000
	ExecutorRun(query, direction, count);
#else
	ExecutorRun(query, direction, count, false);
#endif
}

/*
 * PostgreSQL 16 also wants to know the heap, and 17 dropped the snapshot.
 */
static inline BTStack
bt_search_compat(Relation rel, Relation heaprel, BTScanInsert key,
				 Buffer *buffer, int access)
{
#if PG_VERSION_NUM >= 170000
	return _bt_search(rel, heaprel, key, buffer, access);
#elif PG_VERSION_NUM >= 160000
	return _bt_search(rel, heaprel, key, buffer, access, NULL);
#else
	return _bt_search(rel, key, buffer, access, NULL);
#endif
}

/*
 * PostgreSQL 16 renamed the file of a relation.
 */
static inline bool
read_recent_buffer_compat(Relation rel, BlockNumber block, Buffer buffer)
{
#if PG_VERSION_NUM >= 160000
	return ReadRecentBuffer(rel->rd_locator, MAIN_FORKNUM, block, buffer);
#else
	return ReadRecentBuffer(rel->rd_node, MAIN_FORKNUM, block, buffer);
#endif
}

/*
 * Is the data of a generic WAL record a sequence of offset, length and bytes?
 * It is since there are any; new versions have to be looked at.
 */
static inline bool
generic_delta_known_compat(void)
{
#if PG_VERSION_NUM < 190000
	return true;
#else
	return false;
#endif
}

/*
 * Returns a setting of PostgreSQL's own by its exact name, NULL if there is
 * none.  PostgreSQL 16 gave its own search for that to everybody.
 */
static inline struct config_generic *
find_setting_compat(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return find_option(name, false, true, DEBUG1);
#else
	struct config_generic **settings = get_guc_variables();
	int			n = GetNumConfigOptions();
	int			i;

	for (i = 0; i < n; i++)
	{
		if (strcmp(settings[i]->name, name) == 0)
			return settings[i];
	}
	return NULL;
#endif
}

#endif							/* ES_CORE_COMPAT_H */
