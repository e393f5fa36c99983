/*-------------------------------------------------------------------------
 *
 * refresh.c
 *	  Projections that refresh a materialized view when there are new events.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A refresh computes the whole view again, whatever the events are.  So a
 *	  batch reaches to the end of the log, and the projection rests for a while
 *	  after each.
 *
 *	  The command runs outside of the security-restricted operation, in which
 *	  it could not make the temporary table that CONCURRENTLY needs.  What is
 *	  the user's, the query, PostgreSQL itself runs as the view's owner in
 *	  such an operation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "projection/projection.h"

TimestampTz
es_refresh_due(const EsProjection *projection, const EsCheckpoint *checkpoint)
{
	if (projection->kind != ES_PROJECTION_REFRESH)
		return DT_NOBEGIN;
	return checkpoint->applied_at + projection->refresh_every;
}

/*
 * Returns the view's name for SQL; raises an error when it is not there any
 * more.
 */
static char *
get_view_name(const EsProjection *projection)
{
	char	   *name = get_rel_name(projection->relation);

	if (name == NULL || get_rel_relkind(projection->relation) != RELKIND_MATVIEW)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the materialized view of projection \"%s\" does not exist",
						projection->name)));
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(projection->relation)),
									  name);
}

/*
 * Can REFRESH ... CONCURRENTLY find the rows by the index?
 */
static bool
identifies_rows(Oid index_oid)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index_oid));
	Form_pg_index index;
	bool		identifies;
	int			i;

	if (!HeapTupleIsValid(tuple))
		return false;
	index = (Form_pg_index) GETSTRUCT(tuple);
	identifies = index->indisunique && index->indimmediate &&
		index->indisvalid &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL);
	for (i = 0; i < index->indnatts; i++)
	{
		if (index->indkey.values[i] <= 0)
			identifies = false; /* an expression */
	}
	ReleaseSysCache(tuple);
	return identifies;
}

/*
 * Raises an error unless the view can be refreshed concurrently.
 */
static void
check_concurrently(Relation view, const char *name)
{
	bool		identified = false;
	ListCell   *lc;

	if (!RelationIsPopulated(view))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("materialized view %s has not been populated", name),
				 errhint("Run REFRESH MATERIALIZED VIEW %s first, or do without concurrently.",
						 name)));
	foreach(lc, RelationGetIndexList(view))
	{
		if (identifies_rows(lfirst_oid(lc)))
			identified = true;
	}
	if (!identified)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("materialized view %s cannot be refreshed concurrently",
						name),
				 errhint("Create a unique index with no WHERE clause on one or more of its columns.")));
}

static void
check_refresh(const EsStore *store, EsProjection *projection)
{
	char	   *name = get_view_name(projection);
	Relation	view = relation_open(projection->relation, AccessShareLock);

	if (!relation_ownercheck_compat(projection->relation, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_MATVIEW,
					   RelationGetRelationName(view));
	if (projection->concurrently)
		check_concurrently(view, name);
	if (projection->skip)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a projection that refreshes a materialized view cannot skip events"),
				 errhint("Leave on_error at \"stop\".")));
	relation_close(view, NoLock);
}

static void
run_refresh(const EsStore *store, EsProjection *projection, EsBatch *batch)
{
	char	   *sql = psprintf("REFRESH MATERIALIZED VIEW %s%s",
							   projection->concurrently ? "CONCURRENTLY " : "",
							   get_view_name(projection));
	Oid			userid;
	int			sec_context;

	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(userid, sec_context & ~SECURITY_RESTRICTED_OPERATION);
	es_run_command(sql);
	SetUserIdAndSecContext(userid, sec_context);
}

const EsKindRoutine es_refresh_routine = {
	.check = check_refresh,
	.run = run_refresh
};
