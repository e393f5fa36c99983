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

#include <limits.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "core/guc.h"
#include "core/names.h"

static char *tenant_id = NULL;
static char *metadata[ES_N_METADATA_KEYS];
bool		es_guc_metadata_changed = true;
int			es_guc_max_stream_locks = 512;
int			es_guc_max_databases = 64;
bool		es_guc_sequencer = true;
int			es_guc_sequencer_linger = 1;
int			es_guc_sequencer_nap_time = 10000;
int			es_guc_sequencer_batch_transactions = 10000;
int			es_guc_sequencer_batch_wal = 65536;
int			es_guc_launcher_nap_time = 60000;
bool		es_guc_notify = true;
bool		es_guc_projections = true;
int			es_guc_max_projection_workers = 4;
int			es_guc_max_projections = 256;
int			es_guc_projection_batch_size = 10000;
int			es_guc_projection_max_retries = 5;
int			es_guc_projection_retry_time = 1000;
int			es_guc_state_cache_size = 4096;
int			es_guc_strict_types = ES_STRICT_TYPES_OFF;

static const struct config_enum_entry strict_types_words[] = {
	{"off", ES_STRICT_TYPES_OFF, false},
	{"warn", ES_STRICT_TYPES_WARN, false},
	{"on", ES_STRICT_TYPES_ON, false},
	{"false", ES_STRICT_TYPES_OFF, true},
	{"no", ES_STRICT_TYPES_OFF, true},
	{"0", ES_STRICT_TYPES_OFF, true},
	{"true", ES_STRICT_TYPES_ON, true},
	{"yes", ES_STRICT_TYPES_ON, true},
	{"1", ES_STRICT_TYPES_ON, true},
	{NULL, 0, false}
};

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

/*
 * Accepts a text for the metadata of events: short, and without control
 * characters.
 */
static bool
check_metadata(char **newval, void **extra, GucSource source)
{
	const char *problem = es_name_problem(*newval, strlen(*newval),
										  ES_MAX_METADATA);

	if (problem == NULL)
		return true;

	GUC_check_errdetail("The value %s.", problem);
	return false;
}

/*
 * Is the text what the recommendation "Trace Context" of the W3C calls a
 * traceparent: four hexadecimal numbers of 2, 32, 16 and 2 digits?  Versions to
 * come may append more.
 */
static bool
is_traceparent(const char *value)
{
	static const int fields[] = {2, 32, 16, 2};
	int			i;

	for (i = 0; i < (int) lengthof(fields); i++)
	{
		if (i > 0 && *value++ != '-')
			return false;
		if ((int) strspn(value, "0123456789abcdefABCDEF") != fields[i])
			return false;
		value += fields[i];
	}
	return *value == '\0' || *value == '-';
}

static bool
check_traceparent(char **newval, void **extra, GucSource source)
{
	if (!check_metadata(newval, extra, source))
		return false;
	if ((*newval)[0] == '\0' || is_traceparent(*newval))
		return true;

	GUC_check_errdetail("A traceparent looks like \"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\".");
	return false;
}

/*
 * Notes that the metadata of events will be others.  May not fail: it also runs
 * while a transaction is rolled back.
 */
static void
assign_metadata(const char *newval, void *extra)
{
	es_guc_metadata_changed = true;
}

/*
 * Defines the settings that new events get their metadata from: each is the
 * value of a key for all that do not state it; the empty string is none.
 */
static void
define_metadata_settings(void)
{
	DefineCustomStringVariable("event_store.correlation_id",
							   "Correlation id in the metadata of events that this session appends.",
							   "It is the same for all events of one flow, over all streams.",
							   &metadata[ES_METADATA_CORRELATION_ID],
							   "",
							   PGC_USERSET,
							   0,
							   check_metadata, assign_metadata, NULL);
	DefineCustomStringVariable("event_store.causation_id",
							   "Causation id in the metadata of events that this session appends.",
							   "It is the id of what has caused them: a command, or another event.",
							   &metadata[ES_METADATA_CAUSATION_ID],
							   "",
							   PGC_USERSET,
							   0,
							   check_metadata, assign_metadata, NULL);
	DefineCustomStringVariable("event_store.user_id",
							   "User id in the metadata of events that this session appends.",
							   NULL,
							   &metadata[ES_METADATA_USER_ID],
							   "",
							   PGC_USERSET,
							   0,
							   check_metadata, assign_metadata, NULL);
	DefineCustomStringVariable("event_store.traceparent",
							   "Trace context in the metadata of events that this session appends.",
							   "It has the form of the W3C's recommendation \"Trace Context\".",
							   &metadata[ES_METADATA_TRACEPARENT],
							   "",
							   PGC_USERSET,
							   0,
							   check_traceparent, assign_metadata, NULL);
}

/*
 * Defines the settings of the sequencer.
 */
static void
define_sequencer_settings(void)
{
	/*
	 * event_store.sequencer: does the launcher run sequencers?  When it is
	 * off, events have no positions and replication slots keep WAL.
	 */
	DefineCustomBoolVariable("event_store.sequencer",
							 "Runs a sequencer in each database that has the extension.",
							 "When off, new events get no position, and the replication slot keeps WAL.",
							 &es_guc_sequencer,
							 true,
							 PGC_SIGHUP,
							 0,
							 NULL, NULL, NULL);

	/*
	 * event_store.sequencer_linger: how long the sequencer sleeps after a
	 * batch before it can be woken again; longer after a large one.  Waking it for every commit costs
	 * more than its work.
	 *
	 * Too small: less throughput of appends.  Too big: positions come late.
	 */
	DefineCustomIntVariable("event_store.sequencer_linger",
							"Time for which the sequencer collects commits after a batch.",
							NULL,
							&es_guc_sequencer_linger,
							1,
							0, 10000,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);

	/*
	 * event_store.sequencer_nap_time: how long an idle sequencer sleeps at
	 * most before it reads what WAL others have written, so that its slot can
	 * move on.  While there is much, it looks more often.
	 */
	DefineCustomIntVariable("event_store.sequencer_nap_time",
							"Longest sleep of an idle sequencer.",
							NULL,
							&es_guc_sequencer_nap_time,
							10000,
							10, 3600000,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);

	/*
	 * event_store.sequencer_batch_transactions and .sequencer_batch_wal: where
	 * a batch ends.  They bound memory, and the size of one transaction of the
	 * sequencer while it works off a backlog.
	 */
	DefineCustomIntVariable("event_store.sequencer_batch_transactions",
							"Number of appending transactions after which the sequencer ends a batch.",
							NULL,
							&es_guc_sequencer_batch_transactions,
							10000,
							1, 1000000,
							PGC_SIGHUP,
							0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("event_store.sequencer_batch_wal",
							"Amount of WAL after which the sequencer ends a batch.",
							NULL,
							&es_guc_sequencer_batch_wal,
							65536,
							64, MAX_KILOBYTES,
							PGC_SIGHUP,
							GUC_UNIT_KB,
							NULL, NULL, NULL);
}

/*
 * Defines the settings of the launcher, and what all workers share.
 */
static void
define_launcher_settings(void)
{
	/*
	 * event_store.max_databases: for how many databases there is room in
	 * shared memory.  Each database that has ever been looked at by a worker
	 * takes a place as long as it has a store.
	 *
	 * Too small: databases without a sequencer, and a line in the log.
	 */
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("event_store.max_databases",
								"Number of databases that can have a sequencer.",
								NULL,
								&es_guc_max_databases,
								64,
								1, 10000,
								PGC_POSTMASTER,
								0,
								NULL, NULL, NULL);

	/*
	 * event_store.launcher_nap_time: how long the launcher sleeps at most
	 * before it looks for databases that nobody has told it of.
	 */
	DefineCustomIntVariable("event_store.launcher_nap_time",
							"Longest sleep of the launcher.",
							NULL,
							&es_guc_launcher_nap_time,
							60000,
							100, 3600000,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);

	/* event_store.notify: does the sequencer tell listeners of new events? */
	DefineCustomBoolVariable("event_store.notify",
							 "Sends NOTIFY event_store with the new head of the log, once for each batch.",
							 NULL,
							 &es_guc_notify,
							 true,
							 PGC_SIGHUP,
							 0,
							 NULL, NULL, NULL);
}

/*
 * Defines the settings of the projections' workers.
 */
static void
define_projection_settings(void)
{
	/*
	 * event_store.projections: do workers run the projections?  When it is
	 * off, es_run_projections() does, and inline ones run anyway.
	 */
	DefineCustomBoolVariable("event_store.projections",
							 "Runs the projections of each database that has any.",
							 "When off, only es_run_projections() moves asynchronous projections.",
							 &es_guc_projections,
							 true,
							 PGC_SIGHUP,
							 0,
							 NULL, NULL, NULL);

	/*
	 * event_store.max_projection_workers: how many processes share the
	 * projections of one database; never more than there are tasks.
	 *
	 * Too small: slow projections delay others.  Too big: worker processes
	 * (max_worker_processes) and connections to the disk are taken from
	 * others.
	 */
	DefineCustomIntVariable("event_store.max_projection_workers",
							"Number of worker processes for the projections of a database.",
							NULL,
							&es_guc_max_projection_workers,
							4,
							1, 64,
							PGC_SIGHUP,
							0,
							NULL, NULL, NULL);

	/*
	 * event_store.max_projections: for how many projections there is room in
	 * shared memory, in all databases; one that is split counts as many times
	 * as it has partitions.
	 *
	 * Too small: the others work, but es_projections and es_wait must read
	 * from tables how far they are.
	 */
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("event_store.max_projections",
								"Number of projections whose progress is kept in shared memory.",
								"A projection with partitions counts once for each.",
								&es_guc_max_projections,
								256,
								1, 100000,
								PGC_POSTMASTER,
								0,
								NULL, NULL, NULL);

	/*
	 * event_store.projection_batch_size: how many events one transaction of a
	 * projection applies at most, unless the projection says otherwise.
	 *
	 * Too small: catching up takes longer.  Too big: long transactions, and
	 * more to do again after an error.
	 */
	DefineCustomIntVariable("event_store.projection_batch_size",
							"Number of events that a projection applies in one transaction, at most.",
							NULL,
							&es_guc_projection_batch_size,
							10000,
							1, 1000000,
							PGC_SIGHUP,
							0,
							NULL, NULL, NULL);

	/*
	 * event_store.projection_max_retries and .projection_retry_time: how often
	 * a batch that fails is tried again before the projection's policy
	 * decides, and how long after the first failure; then twice as long each
	 * time, at most 60 times as long.
	 */
	DefineCustomIntVariable("event_store.projection_max_retries",
							"How often a batch of a projection that fails is tried again.",
							"Then the projection stops, or skips the event, as its on_error says.",
							&es_guc_projection_max_retries,
							5,
							0, 1000000,
							PGC_SIGHUP,
							0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("event_store.projection_retry_time",
							"Time after which a batch of a projection that has failed is tried again.",
							"It doubles with each failure, up to 60 times of it.",
							&es_guc_projection_retry_time,
							1000,
							1, 3600000,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
}

/*
 * Defines the settings of aggregates.
 */
static void
define_aggregate_settings(void)
{
	/*
	 * event_store.state_cache_size: how much memory a session may use for the
	 * states of aggregates that it has seen last.  0 keeps none.
	 *
	 * Too small: a busy session folds from the snapshot again.  Too big:
	 * memory, in each session.
	 */
	DefineCustomIntVariable("event_store.state_cache_size",
							"Memory of a session for states of aggregates.",
							"A session that has a state of a stream only reads the events after it. 0 keeps none.",
							&es_guc_state_cache_size,
							4096,
							0, MAX_KILOBYTES,
							PGC_USERSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);
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

	/*
	 * event_store.strict_types: may events be appended whose type, or this
	 * version of it, is not in es_event_types?  For superusers to change, and
	 * whom they let: else it would bind nobody.
	 */
	DefineCustomEnumVariable("event_store.strict_types",
							 "Refuses events of types and schema versions that are not registered.",
							 "With \"warn\" they are appended with a warning.",
							 &es_guc_strict_types,
							 ES_STRICT_TYPES_OFF,
							 strict_types_words,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);

	define_metadata_settings();
	define_sequencer_settings();
	define_launcher_settings();
	define_projection_settings();
	define_aggregate_settings();
	MarkGUCPrefixReserved("event_store");
}

const char *
es_guc_get_tenant(void)
{
	if (tenant_id[0] != '\0')
		(void) pg_verifymbstr(tenant_id, strlen(tenant_id), false);
	return tenant_id;
}

const char *
es_guc_get_metadata(EsMetadataKey key)
{
	const char *value = metadata[key];

	if (value[0] != '\0')
		(void) pg_verifymbstr(value, strlen(value), false);
	return value;
}

void
es_guc_clear_metadata(void)
{
	static const char *const names[ES_N_METADATA_KEYS] = {
		[ES_METADATA_CORRELATION_ID] = "event_store.correlation_id",
		[ES_METADATA_CAUSATION_ID] = "event_store.causation_id",
		[ES_METADATA_USER_ID] = "event_store.user_id",
		[ES_METADATA_TRACEPARENT] = "event_store.traceparent",
	};
	int			key;

	for (key = 0; key < ES_N_METADATA_KEYS; key++)
	{
		if (metadata[key][0] != '\0')
			(void) set_config_option(names[key], "", PGC_USERSET,
									 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
									 false);
	}
}
