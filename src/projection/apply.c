/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  Runs a projection's SQL over a batch, as the projection's owner.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  What a user has written is run by a process with the rights of a
 *	  superuser, or by a session that only wanted to append.  It must not get
 *	  at their rights: it runs as the projection's owner, in a
 *	  security-restricted operation (no SET ROLE, no temporary tables, no
 *	  deferred triggers, which would fire when the identity is gone), with the
 *	  settings of the day when the projection was made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

#include "core/compat.h"
#include "core/guc.h"
#include "core/user_code.h"
#include "log/log.h"
#include "projection/projection.h"

void
es_run_as(const EsStore *store, const EsProjection *projection, EsRunAs *saved)
{
	Oid			owner = get_role_oid(projection->owner, true);
	Oid			log = get_relname_relid("es_log", store->namespace_oid);

	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\", the owner of projection \"%s\", does not exist",
						projection->owner, projection->name),
				 errhint("Give the projection another owner with es_alter_projection(name, owner => ...).")));
	if (pg_class_aclcheck(log, owner, ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for the event log"),
				 errdetail("Role \"%s\", the owner of projection \"%s\", must be allowed to read all events.",
						   projection->owner, projection->name),
				 errhint("Grant it with es_grant('%s', 'reader').",
						 projection->owner)));

	/* Batches are read without the policies of the table. */
	if (check_enable_rls(store->events, owner, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the log cannot be read under row-level security"),
				 errdetail("Policies of the table \"es_events\" apply to role \"%s\", the owner of projection \"%s\".",
						   projection->owner, projection->name),
				 errhint("Let a role own the projection that may see all events.")));

	saved->guc_level = NewGUCNestLevel();
	GetUserIdAndSecContext(&saved->userid, &saved->sec_context);
	es_user_code_apply_settings(projection->settings);
	SetUserIdAndSecContext(owner,
						   saved->sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
}

void
es_run_as_end(const EsRunAs *saved)
{
	/* not as at a commit: what the SQL has SET goes, too */
	AtEOXact_GUC(false, saved->guc_level);
	SetUserIdAndSecContext(saved->userid, saved->sec_context);
}

static const EsKindRoutine *
get_routine(const EsProjection *projection)
{
	switch (projection->kind)
	{
		case ES_PROJECTION_VIEW:
			return &es_view_routine;
		case ES_PROJECTION_STATEMENT:
			return &es_statement_routine;
		case ES_PROJECTION_HANDLERS:
			return &es_handler_routine;
		case ES_PROJECTION_REFRESH:
			return &es_refresh_routine;
	}
	pg_unreachable();
}

/*
 * Names the projection in the context of an error.
 */
static void
add_context(void *arg)
{
	errcontext("projection \"%s\"", ((EsProjection *) arg)->name);
}

/* Is a projection's SQL running? */
static int	depth = 0;

void
es_apply_refuse_nested(const char *function)
{
	if (depth > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot be called by a projection", function)));
}

/*
 * Runs or checks a projection.  It is pinned: its own SQL may change it.
 */
static void
run(const EsStore *store, EsProjection *projection, EsBatch *batch, bool check)
{
	ErrorContextCallback callback;
	EsRunAs		saved;
	const EsCause *cause;

	callback.callback = add_context;
	callback.arg = projection;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	es_projection_pin(projection);
	es_run_as(store, projection, &saved);
	SPI_connect();
	depth++;

	/* What a session has set is for its own events, and inline for theirs. */
	if (batch == NULL || !batch->is_inline)
		es_guc_clear_metadata();
	cause = es_append_set_cause(NULL);
	PG_TRY();
	{
		if (check)
			get_routine(projection)->check(store, projection);
		else
			get_routine(projection)->run(store, projection, batch);
	}
	PG_FINALLY();
	{
		depth--;
		(void) es_append_set_cause(cause);
	}
	PG_END_TRY();
	SPI_finish();
	es_run_as_end(&saved);
	es_projection_unpin(projection);

	error_context_stack = callback.previous;
}

void
es_apply(const EsStore *store, EsProjection *projection, EsBatch *batch)
{
	ErrorContextCallback callback;
	EsBatch		upcast;

	if (!batch->to_upcast)
	{
		run(store, projection, batch, false);
		return;
	}

	callback.callback = add_context;
	callback.arg = projection;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	es_batch_upcast(store, projection, batch, &upcast);
	error_context_stack = callback.previous;

	if (upcast.nevents > 0)
		run(store, projection, &upcast, false);
	tuplestore_end(upcast.events);
}

void
es_apply_check(const EsStore *store, EsProjection *projection)
{
	run(store, projection, NULL, true);
}
