/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  The settings of event_store.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/guc.h"

#include "core/guc.h"
#include "core/names.h"

static char *tenant_id = NULL;
int			es_guc_max_stream_locks = 512;

/*
 * Accepts a tenant id that es_events could store.
 *
 * A check hook must not raise; it also runs where nobody wants the value
 * (ALTER ROLE ... SET), so that it may look at nothing but the string.
 */
static bool
check_tenant_id(char **newval, void **extra, GucSource source)
{
	const char *problem = es_name_problem(*newval, strlen(*newval),
										  ES_MAX_TENANT_ID);

	if (problem == NULL)
		return true;

	GUC_check_errdetail("The tenant id %s.", problem);
	return false;
}

void
es_guc_init(void)
{
	/*
	 * event_store.tenant_id: the tenant whose streams every function of this
	 * session appends to and reads.  The empty string is the tenant of a
	 * store that has no tenants.
	 *
	 * It selects; it does not protect: whoever may set it can be any tenant.
	 */
	DefineCustomStringVariable("event_store.tenant_id",
							   "Tenant whose streams the functions of this session append to and read.",
							   "The empty string is the tenant of a store without tenants.",
							   &tenant_id,
							   "",
							   PGC_USERSET,
							   0,
							   check_tenant_id, NULL, NULL);

	/*
	 * event_store.max_stream_locks: how many streams one transaction locks
	 * one by one.  From there on it locks es_events as a whole, because the
	 * shared lock table has max_locks_per_transaction entries a connection
	 * and an exhausted one fails innocent sessions.
	 *
	 * Too small: bulk loads stop other writers early.  Too big: "out of
	 * shared memory" in any session.
	 */
	DefineCustomIntVariable("event_store.max_stream_locks",
							"Number of streams that one transaction locks one by one.",
							"A transaction that appends to more streams locks es_events against other writers.",
							&es_guc_max_stream_locks,
							512,
							1, 1000000,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);

	MarkGUCPrefixReserved("event_store");
}

const char *
es_guc_get_tenant(void)
{
	if (tenant_id[0] != '\0')
		(void) pg_verifymbstr(tenant_id, strlen(tenant_id), false);
	return tenant_id;
}
