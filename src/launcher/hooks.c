/*-------------------------------------------------------------------------
 *
 * hooks.c
 *	  Keeps sequencers out of the way of those who work on databases, and
 *	  tells them and the launcher what sessions have done.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  DROP DATABASE, CREATE DATABASE (for its template), ALTER DATABASE ...
 *	  RENAME and ... SET TABLESPACE refuse to work on a database that somebody
 *	  is connected to.  The user does not see our workers as somebody: such a
 *	  command first makes the sequencer leave.  The database is held until the
 *	  end of the transaction, because the command's locks are, too.
 *
 *	  Only a role that the command would let do it makes a sequencer leave:
 *	  otherwise anybody could stop it by commands that fail.
 *
 *	  Others are told of a commit when its locks have been released: at
 *	  XACT_EVENT_COMMIT the invalidation messages are yet to be sent, and a
 *	  sequencer woken by then may look into its caches, find the extension
 *	  still there, and go back to sleep.  Telling may not fail: it sets flags
 *	  in shared memory and latches.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/dependency.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "core/compat.h"
#include "core/names.h"
#include "launcher/launcher.h"
#include "worker/tasks.h"
#include "worker/worker.h"

static ProcessUtility_hook_type previous_utility_hook = NULL;
static object_access_hook_type previous_access_hook = NULL;

/*
 * What this transaction has done that others must know once it is committed.
 * A subtransaction that rolls back takes nothing away: at worst somebody
 * looks for nothing.
 */
static struct
{
	bool		extension_created;	/* some extension, perhaps ours */
	bool		extension_dropped;	/* ours */
	bool		database_created;
	bool		request_prepared;
	bool		committed;		/* about to be told */
} done;

/*
 * May the user create databases?
 */
static bool
may_create_databases(void)
{
	HeapTuple	tuple;
	bool		result;

	if (superuser())
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Returns a database if it belongs to the user, InvalidOid if not, or if there
 * is none of that name.
 */
static Oid
owned_database(const char *name)
{
	Oid			oid = get_database_oid(name, true);

	if (!OidIsValid(oid) || !database_ownercheck_compat(oid, GetUserId()))
		return InvalidOid;
	return oid;
}

/*
 * Returns the database that CREATE DATABASE would copy, InvalidOid if the user
 * may not do that.
 */
static Oid
template_database(const CreatedbStmt *statement)
{
	const char *name = "template1";
	HeapTuple	tuple;
	bool		is_template = false;
	Oid			oid;
	ListCell   *cell;

	if (!may_create_databases())
		return InvalidOid;
	foreach(cell, statement->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			name = defGetString(option);
	}
	oid = get_database_oid(name, true);
	if (!OidIsValid(oid))
		return InvalidOid;
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(oid));
	if (HeapTupleIsValid(tuple))
	{
		is_template = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	if (!is_template && !database_ownercheck_compat(oid, GetUserId()))
		return InvalidOid;
	return oid;
}

/*
 * Does ALTER DATABASE move the database to another tablespace?
 */
static bool
sets_tablespace(const AlterDatabaseStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "tablespace") == 0)
			return true;
	}
	return false;
}

/*
 * Returns the database that a command needs for itself, InvalidOid for none.
 *
 * A command that works on the database of this very session will be refused,
 * unless it only copies it.
 *
 * Not inlined: the compiler would see its variables clobbered by longjmp.
 */
static pg_noinline Oid
database_to_hold(Node *statement)
{
	Oid			oid = InvalidOid;

	if (RecoveryInProgress())
		return InvalidOid;		/* there are no sequencers */

	switch (nodeTag(statement))
	{
		case T_CreatedbStmt:
			return template_database((CreatedbStmt *) statement);

		case T_DropdbStmt:
			oid = owned_database(((DropdbStmt *) statement)->dbname);
			break;

		case T_AlterDatabaseStmt:
			if (sets_tablespace((AlterDatabaseStmt *) statement))
				oid = owned_database(((AlterDatabaseStmt *) statement)->dbname);
			break;

		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE &&
				may_create_databases())
				oid = owned_database(((RenameStmt *) statement)->subname);
			break;

		default:
			break;
	}
	return oid == MyDatabaseId ? InvalidOid : oid;
}

/*
 * Makes a committed prepared transaction known: it may have appended, changed
 * projections, or created or dropped the extension.  Nothing of that is known here.
 */
static void
after_commit_prepared(void)
{
	EsWorkerSlot *slot = es_worker_find(MyDatabaseId, false);

	es_worker_appended(GetFlushRecPtr(NULL));
	if (slot != NULL)
		es_tasks_changed_now(MyDatabaseId, false);
	if (OidIsValid(get_extension_oid(ES_EXTENSION_NAME, true)))
		done.extension_created = slot == NULL || slot->pid == 0;
	else
		done.extension_dropped = slot != NULL;
}

static void
call_next(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
		  ProcessUtilityContext context, ParamListInfo params,
		  QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	if (previous_utility_hook)
		previous_utility_hook(pstmt, queryString, readOnlyTree, context,
							  params, queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context,
								params, queryEnv, dest, qc);
}

/*
 * Runs a command with the database that it needs held.
 *
 * After an error the database is released at once: the transaction may go on
 * for long, when only a subtransaction has failed.
 */
static void
process_utility(PlannedStmt *pstmt, const char *queryString,
				bool readOnlyTree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *queryEnv,
				DestReceiver *dest, QueryCompletion *qc)
{
	NodeTag		tag = nodeTag(pstmt->utilityStmt);
	Oid			database;

	if (tag == T_TransactionStmt)
	{
		TransactionStmt *statement = (TransactionStmt *) pstmt->utilityStmt;
		bool		commits_prepared = statement->kind == TRANS_STMT_COMMIT_PREPARED;

		call_next(pstmt, queryString, readOnlyTree, context, params, queryEnv,
				  dest, qc);
		if (commits_prepared)
			after_commit_prepared();
		return;
	}

	database = database_to_hold(pstmt->utilityStmt);
	if (!OidIsValid(database))
	{
		call_next(pstmt, queryString, readOnlyTree, context, params, queryEnv,
				  dest, qc);
		return;
	}

	PG_TRY();
	{
		es_worker_hold(database);
		call_next(pstmt, queryString, readOnlyTree, context, params, queryEnv,
				  dest, qc);
	}
	PG_CATCH();
	{
		es_worker_release(database);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (tag == T_CreatedbStmt)
		done.database_created = true;
}

/*
 * Notes that our extension is being dropped, or that one is being created: its
 * row cannot be seen yet.
 */
static void
object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId,
			  void *arg)
{
	if (previous_access_hook)
		previous_access_hook(access, classId, objectId, subId, arg);
	if (classId != ExtensionRelationId)
		return;

	if (access == OAT_POST_CREATE)
		done.extension_created = true;
	else if (access == OAT_DROP &&
			 objectId == get_extension_oid(ES_EXTENSION_NAME, true))
		done.extension_dropped = true;
}

/*
 * Makes sure that the launcher can be told of our extension after the commit.
 */
static void
before_commit(void)
{
	if (!done.extension_dropped &&
		!(done.extension_created &&
		  OidIsValid(get_extension_oid(ES_EXTENSION_NAME, true))))
		return;
	es_worker_prepare_request(ES_REQUEST_AT_ONCE);
	done.request_prepared = true;
}

/*
 * Decides, or forgets, what is to be told when the locks are released.
 */
static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			before_commit();
			break;
		case XACT_EVENT_COMMIT:
			done.committed = true;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			if (done.request_prepared)
				es_worker_cancel_request();
			memset(&done, 0, sizeof(done));
			break;
		default:
			break;
	}
}

/*
 * At the end of a transaction, lets go of the databases that it held, and tells
 * the launcher and the sequencer what has been committed.  May not fail.
 *
 * Called once for each resource owner of the transaction.
 */
static void
after_release(ResourceReleasePhase phase, bool isCommit, bool isTopLevel,
			  void *arg)
{
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !isTopLevel)
		return;
	es_worker_release_all();
	if (!done.committed)
		return;
	if (done.request_prepared)
	{
		/* In this order: a sequencer that is woken finds the question. */
		es_tasks_changed_now(MyDatabaseId, true);
		es_worker_send_request_at_once();
	}
	if (done.database_created)
		es_worker_wake_launcher();
	memset(&done, 0, sizeof(done));
}

void
es_hooks_init(void)
{
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	previous_access_hook = object_access_hook;
	object_access_hook = object_access;
	RegisterXactCallback(xact_callback, NULL);
	RegisterResourceReleaseCallback(after_release, NULL);
}
