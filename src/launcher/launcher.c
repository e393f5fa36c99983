/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The launcher: one process of the server that starts a sequencer in each
 *	  database with a store.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The launcher is connected to no database, so that it is in nobody's way,
 *	  and cannot see where the extension is installed.  It starts a sequencer
 *	  in each database that it has not looked at yet; that one looks, and ends
 *	  as "not needed" where there is nothing to do.  The launcher remembers
 *	  this in its own memory, frees the slot, and comes back when a session of
 *	  that database asks for it, which CREATE EXTENSION does.
 *
 *	  It works in rounds.  A round reads pg_database, looks at the sequencers
 *	  that have ended since the last one, and starts those that are missing.
 *	  It is woken for a round by requests, by sequencers that end, by sessions
 *	  that release a database, and by the time at which something is to be
 *	  tried again.
 *
 *	  A sequencer is registered with BGW_NEVER_RESTART: when it comes back is
 *	  decided here, and after a crash of the server by a new launcher, which
 *	  knows nothing.
 *
 *	  Projection workers come after the sequencers: pool.c.
 *
 *	  What is in the way of everybody (a setting) is logged once, until it has
 *	  been seen to be gone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "core/guc.h"
#include "core/names.h"
#include "launcher/launcher.h"
#include "launcher/pool.h"
#include "worker/tasks.h"
#include "worker/worker.h"

/* The postmaster starts a launcher that has ended again after this time. */
#define RESTART_SECONDS			5

/* A sequencer that ran for so long has not failed at its start. */
#define FINE_RUN_MS				5000

/* Between the end of a sequencer and the next: after a fine run, else from
 * FIRST_RETRY_MS on twice as long each time, up to LAST_RETRY_MS. */
#define QUICK_RETRY_MS			100
#define FIRST_RETRY_MS			1000
#define LAST_RETRY_MS			60000

/* When there was no worker process to be had */
#define NO_WORKER_RETRY_MS		5000

/* The same when projection workers are about to leave */
#define MAKE_ROOM_MS			100

/* Requests without a slot are looked at so often. */
#define LOST_REQUEST_MS			1000

/*
 * So many sequencers at a time may be on their way to their work, or out of a
 * database without a store, so that looking at many databases leaves worker
 * processes for others.  One that
 * takes longer than SETTLE_MS (somebody locks its database) counts no more.
 */
#define MAX_UNSETTLED			4
#define SETTLE_MS				5000

/*
 * What the launcher knows of a database.
 */
typedef struct Database
{
	Oid			oid;			/* key of the hash table */
	NameData	name;
	bool		exists;			/* seen in this round */
	bool		connectable;
	bool		no_store;		/* a sequencer was there and found none */
	BackgroundWorkerHandle *handle; /* of the one started, NULL if none;
									 * allocated with the hash table */
	TimestampTz registered_at;
	uint64		batches;		/* of its slot, when it was started */
	EsPool		pool;			/* its projection workers */
} Database;

/*
 * The launcher's memory, and what came up in this round.
 */
static struct
{
	HTAB	   *databases;
	TimestampTz now;			/* of this round */
	TimestampTz wake_at;		/* when the next one is due */
	int			unsettled;		/* see MAX_UNSETTLED */
	int			without_worker; /* databases that lack a worker process */
	int			without_slot;	/* databases that lack a slot */
	bool		deferred;		/* some wait for unsettled ones */

	TimestampTz no_worker_until;	/* there was none to be had */
	TimestampTz no_pool_worker_until;	/* the same for projections */
	int			pool_missing;	/* projection workers without a process */
	int			pool_without;	/* databases that have none therefore */
	TimestampTz lost_request_at;	/* last time that one was looked at */
	bool		told_of_workers;	/* it has been logged already */
	bool		told_of_slots;
} launcher;

PGDLLEXPORT void es_launcher_main(Datum main_arg);

/*
 * Makes the next round come at that time at the latest.
 */
static void
wake_at(TimestampTz when)
{
	if (when < launcher.wake_at)
		launcher.wake_at = when;
}

static void
forget_launcher(int code, Datum arg)
{
	es_worker_set_launcher(-1);
}

/*
 * Reads pg_database into the hash table.
 */
static void
read_databases(void)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database row = (Form_pg_database) GETSTRUCT(tuple);
		Database   *database;
		bool		found;

		database = hash_search(launcher.databases, &row->oid, HASH_ENTER,
							   &found);
		if (!found)
		{
			database->no_store = false;
			database->handle = NULL;
			database->pool.started = NIL;
		}
		database->name = row->datname;
		database->exists = true;
		database->connectable = row->datallowconn &&
			!database_is_invalid_compat(row);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
}

/*
 * Brings the hash table up to date, and frees the slots of databases that are
 * gone.
 *
 * Slots are listed first: one that appears later may belong to a database that
 * the scan did not see yet.
 */
static void
refresh_databases(void)
{
	int			nslots = es_worker_nslots();
	Oid		   *with_slot = palloc(nslots * sizeof(Oid));
	HASH_SEQ_STATUS status;
	Database   *database;
	int			i;

	LWLockAcquire(es_worker_lock(), LW_SHARED);
	for (i = 0; i < nslots; i++)
		with_slot[i] = es_worker_slot(i)->database_oid;
	LWLockRelease(es_worker_lock());

	hash_seq_init(&status, launcher.databases);
	while ((database = hash_seq_search(&status)) != NULL)
		database->exists = false;

	read_databases();

	hash_seq_init(&status, launcher.databases);
	while ((database = hash_seq_search(&status)) != NULL)
	{
		if (database->exists)
			continue;
		if (database->handle != NULL)
			pfree(database->handle);
		es_pool_forget(&database->pool);
		(void) hash_search(launcher.databases, &database->oid, HASH_REMOVE,
						   NULL);
	}
	for (i = 0; i < nslots; i++)
	{
		if (OidIsValid(with_slot[i]) &&
			hash_search(launcher.databases, &with_slot[i], HASH_FIND,
						NULL) == NULL)
			es_worker_free(with_slot[i], true);
	}
	pfree(with_slot);
}

/*
 * Decides when a sequencer that has failed is started again.  Needs the lock.
 *
 * A run that got work done, or that lasted, ends the row of failures before
 * it.  So does one that somebody terminated at its work.
 */
static void
plan_retry(const Database *database, EsWorkerSlot *slot)
{
	bool		fine = slot->batches > database->batches ||
		TimestampDifferenceExceeds(slot->started_at, slot->ended_at,
								   FINE_RUN_MS);
	bool		terminated = slot->ended_in > ES_SEQUENCER_STARTING &&
		slot->ended_in < ES_SEQUENCER_FAILED;
	int			delay;

	if (fine || terminated)
		slot->failures = 0;
	if (fine)
		delay = QUICK_RETRY_MS;
	else if (slot->failures >= 6)
		delay = LAST_RETRY_MS;
	else
		delay = Min(FIRST_RETRY_MS << slot->failures, LAST_RETRY_MS);
	slot->failures++;
	slot->retry_at = TimestampTzPlusMilliseconds(launcher.now, delay);
}

/*
 * Takes note of the end of a sequencer.
 */
static void
note_end(Database *database)
{
	EsWorkerSlot *slot = es_worker_find(database->oid, false);

	pfree(database->handle);
	database->handle = NULL;
	launcher.no_worker_until = 0;	/* its process is free */
	launcher.no_pool_worker_until = 0;
	if (slot == NULL)
		return;

	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	if (slot->database_oid != database->oid || slot->pid != 0)
		;						/* somebody else works there */
	else if (slot->state == ES_SEQUENCER_NOT_NEEDED)
		database->no_store = true;
	else if (slot->ended_on_request || slot->holders > 0)
	{
		slot->failures = 0;
		slot->retry_at = 0;
	}
	else
	{
		if (slot->started_at < database->registered_at)
		{
			/* It did not even attach. */
			slot->started_at = database->registered_at;
			slot->ended_at = launcher.now;
			slot->ended_in = ES_SEQUENCER_STARTING;
		}
		plan_retry(database, slot);
	}
	LWLockRelease(es_worker_lock());
}

/*
 * Looks at the sequencer that was started in a database: has it ended, or is
 * it still on its way to its work, or out?
 */
static void
look_at_started(Database *database)
{
	EsWorkerSlot *slot;
	pid_t		pid;

	if (GetBackgroundWorkerPid(database->handle, &pid) == BGWH_STOPPED)
	{
		note_end(database);
		return;
	}

	slot = es_worker_find(database->oid, false);
	if (slot == NULL)
		return;
	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	if (slot->batches > database->batches)
		slot->failures = 0;
	if (slot->pid == 0 && slot->ended_at >= database->registered_at)
		launcher.unsettled++;	/* the postmaster will tell of its end */
	else if ((slot->pid == 0 || slot->state == ES_SEQUENCER_STARTING ||
			  slot->state == ES_SEQUENCER_NOT_NEEDED) &&
			 !TimestampDifferenceExceeds(database->registered_at, launcher.now,
										 SETTLE_MS))
	{
		launcher.unsettled++;
		wake_at(TimestampTzPlusMilliseconds(database->registered_at,
											SETTLE_MS + 1));
	}
	LWLockRelease(es_worker_lock());
}

/*
 * Shows in a slot that a setting of the server forbids its sequencer.
 */
static void
set_unavailable(EsWorkerSlot *slot, int sqlstate, const char *text)
{
	(void) es_worker_note_error(slot, sqlstate, text);
	es_worker_set_state(slot, ES_SEQUENCER_UNAVAILABLE);
}

/*
 * Is it time to start a sequencer in a database that has a slot?
 */
static bool
is_due(Database *database, EsWorkerSlot *slot)
{
	EsRequest	requested = pg_atomic_read_u32(&slot->requested);
	TimestampTz retry_at;
	bool		is_free;

	if (requested == ES_REQUEST_NONE && database->no_store)
	{
		es_worker_free(database->oid, false);
		return false;
	}

	LWLockAcquire(es_worker_lock(), LW_SHARED);
	is_free = slot->database_oid == database->oid && slot->pid == 0 &&
		slot->holders == 0;
	retry_at = slot->retry_at;
	LWLockRelease(es_worker_lock());

	if (!is_free || !es_guc_sequencer)
		return false;
	if (requested == ES_REQUEST_AT_ONCE || retry_at <= launcher.now)
		return true;
	wake_at(retry_at);
	return false;
}

void
es_launcher_describe_worker(BackgroundWorker *worker, Oid database_oid,
							const char *name, const char *function,
							const char *kind)
{
	int			length;

	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker->bgw_library_name, ES_EXTENSION_NAME, BGW_MAXLEN);
	strlcpy(worker->bgw_function_name, function, BGW_MAXLEN);
	snprintf(worker->bgw_type, BGW_MAXLEN, "event_store %s", kind);
	worker->bgw_main_arg = ObjectIdGetDatum(database_oid);
	worker->bgw_notify_pid = MyProcPid;

	/* A name that is cut must not end within a character. */
	length = snprintf(worker->bgw_name, BGW_MAXLEN,
					  "event_store %s for database %s", kind, name);
	if (length >= BGW_MAXLEN)
	{
		length = BGW_MAXLEN - 1;
		while (IS_HIGHBIT_SET(worker->bgw_name[length - 1]))
			worker->bgw_name[--length] = '\0';
	}
}

/*
 * Starts a sequencer.  Returns false if there is no worker process to be had.
 */
static bool
start_sequencer(Database *database, EsWorkerSlot *slot)
{
	BackgroundWorker worker;
	MemoryContext previous;
	uint32		requested = pg_atomic_read_u32(&slot->requested);
	bool		started;

	/*
	 * From now on a request is for the next one: this one may look before the
	 * session that asks has committed.
	 */
	pg_atomic_write_u32(&slot->requested, ES_REQUEST_NONE);
	es_launcher_describe_worker(&worker, database->oid, NameStr(database->name),
								"es_sequencer_main", "sequencer");
	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	slot->ended_on_request = false;
	database->batches = slot->batches;
	LWLockRelease(es_worker_lock());

	previous = MemoryContextSwitchTo(TopMemoryContext);
	started = RegisterDynamicBackgroundWorker(&worker, &database->handle);
	MemoryContextSwitchTo(previous);
	if (!started)
	{
		database->handle = NULL;
		pg_atomic_write_u32(&slot->requested,
							Max(requested, ES_REQUEST_SOON));
		return false;
	}
	database->no_store = false;
	database->registered_at = launcher.now;
	launcher.unsettled++;
	wake_at(TimestampTzPlusMilliseconds(launcher.now, SETTLE_MS + 1));
	return true;
}

/*
 * Looks which projection workers have ended.
 */
static void
look_at_pools(void)
{
	HASH_SEQ_STATUS status;
	Database   *database;

	hash_seq_init(&status, launcher.databases);
	while ((database = hash_seq_search(&status)) != NULL)
	{
		if (es_pool_look(&database->pool, database->oid, launcher.now))
			launcher.no_worker_until = launcher.no_pool_worker_until = 0;
	}
}

/*
 * Gets a worker process from a database that has several for its projections.
 * Returns true if one will be free soon.
 */
static bool
make_room(void)
{
	HASH_SEQ_STATUS status;
	Database   *database;
	bool		moving = false;

	hash_seq_init(&status, launcher.databases);
	while ((database = hash_seq_search(&status)) != NULL)
		moving = moving || es_pool_is_moving(&database->pool, database->oid);
	if (!moving && !es_pool_make_room())
		return false;
	wake_at(TimestampTzPlusMilliseconds(launcher.now, MAKE_ROOM_MS));
	return true;
}

/*
 * Starts a sequencer in a database, unless it has one, needs none, or must
 * wait.
 */
static void
look_after(Database *database)
{
	EsWorkerSlot *slot;

	if (database->handle != NULL)
		return;
	slot = es_worker_find(database->oid, false);
	if (!database->connectable)
	{
		/* A session may have held it; a store there keeps its slot. */
		if (slot != NULL && slot->state == ES_SEQUENCER_UNKNOWN)
			es_worker_free(database->oid, false);
		return;
	}
	if (slot == NULL && (database->no_store || !es_guc_sequencer))
		return;
	if (launcher.unsettled >= MAX_UNSETTLED)
	{
		launcher.deferred = true;
		return;
	}
	if (slot == NULL)
		slot = es_worker_find(database->oid, true);
	if (slot == NULL)
	{
		if (launcher.unsettled > 0)
			launcher.deferred = true;
		else
			launcher.without_slot++;
		return;
	}
	if (!is_due(database, slot))
		return;

	if (launcher.no_worker_until <= launcher.now &&
		start_sequencer(database, slot))
		return;
	if (launcher.unsettled > 0 || make_room())
	{
		launcher.deferred = true;
		return;
	}
	if (launcher.no_worker_until <= launcher.now)
		launcher.no_worker_until =
			TimestampTzPlusMilliseconds(launcher.now, NO_WORKER_RETRY_MS);
	wake_at(launcher.no_worker_until);
	launcher.without_worker++;
	set_unavailable(slot, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
					"no worker process: \"max_worker_processes\" is too small");
}

/*
 * Logs, once, that sequencers lack something that a setting limits.
 */
static void
tell_of_shortages(void)
{
	if (launcher.without_worker > 0 && !launcher.told_of_workers)
	{
		launcher.told_of_workers = true;
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg_plural("no worker process for the sequencer of %d database",
							   "no worker processes for the sequencers of %d databases",
							   launcher.without_worker,
							   launcher.without_worker),
				 errdetail("Events there get no position until there is one."),
				 errhint("Set \"max_worker_processes\" to %d or more (it is %d) and restart the server.",
						 max_worker_processes + launcher.without_worker,
						 max_worker_processes)));
	}
	else if (launcher.without_worker == 0 && !launcher.deferred)
		launcher.told_of_workers = false;

	if (launcher.without_slot > 0 && !launcher.told_of_slots)
	{
		launcher.told_of_slots = true;
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg_plural("no room in shared memory for the sequencer of %d database",
							   "no room in shared memory for the sequencers of %d databases",
							   launcher.without_slot,
							   launcher.without_slot),
				 errdetail("Events there, if there is a store, get no position until there is room."),
				 errhint("Set \"event_store.max_databases\" to %d or more (it is %d) and restart the server.",
						 es_guc_max_databases + launcher.without_slot,
						 es_guc_max_databases)));
	}
	else if (launcher.without_slot == 0 && !launcher.deferred)
		launcher.told_of_slots = false;
}

/*
 * Starts projection workers in a database, at most so many as are to run there.
 */
static void
start_projection_workers(Database *database, int most)
{
	int			running;
	int			lacking;

	if (!database->connectable)
		return;
	lacking = es_pool_lacks(&database->pool, database->oid, launcher.now,
							&launcher.wake_at, &running);
	while (lacking > 0 && running < most)
	{
		if (launcher.no_pool_worker_until > launcher.now ||
			!es_pool_start(&database->pool, database->oid,
						   NameStr(database->name), launcher.now))
			break;
		running++;
		lacking--;
	}
	if (lacking == 0 || running >= most)
		return;

	/* Sequencers that look around, or workers that leave, make room soon. */
	if (launcher.unsettled > 0 || (running == 0 && make_room()))
		return;
	if (launcher.no_pool_worker_until <= launcher.now)
		launcher.no_pool_worker_until =
			TimestampTzPlusMilliseconds(launcher.now, NO_WORKER_RETRY_MS);
	wake_at(launcher.no_pool_worker_until);
	launcher.pool_missing += lacking;
	if (running == 0)
	{
		launcher.pool_without++;
		es_pool_set_starved(database->oid);
	}
}

/*
 * Starts the projection workers that are missing: one in each database comes
 * before several in one.
 */
static void
start_projections(void)
{
	HASH_SEQ_STATUS status;
	Database   *database;

	launcher.pool_missing = launcher.pool_without = 0;
	hash_seq_init(&status, launcher.databases);
	while ((database = hash_seq_search(&status)) != NULL)
		start_projection_workers(database, 1);
	hash_seq_init(&status, launcher.databases);
	while ((database = hash_seq_search(&status)) != NULL)
		start_projection_workers(database, es_guc_max_projection_workers);
	if (launcher.unsettled == 0)
		es_pool_tell_of_shortage(launcher.pool_missing, launcher.pool_without);
}

/*
 * Looks at all databases again when a session found no free slot for its
 * request: it could not say which it is.
 */
static void
take_lost_requests(void)
{
	HASH_SEQ_STATUS status;
	Database   *database;

	if (!TimestampDifferenceExceeds(launcher.lost_request_at, launcher.now,
									LOST_REQUEST_MS))
	{
		wake_at(TimestampTzPlusMilliseconds(launcher.lost_request_at,
											LOST_REQUEST_MS + 1));
		return;
	}
	if (!es_worker_take_lost_request())
		return;
	launcher.lost_request_at = launcher.now;
	hash_seq_init(&status, launcher.databases);
	while ((database = hash_seq_search(&status)) != NULL)
		database->no_store = false;
}

/*
 * A round where sequencers can work.
 */
static void
start_missing(void)
{
	HASH_SEQ_STATUS status;
	Database   *database;

	take_lost_requests();
	look_at_pools();
	hash_seq_init(&status, launcher.databases);
	while ((database = hash_seq_search(&status)) != NULL)
	{
		if (database->handle != NULL)
			look_at_started(database);
	}
	hash_seq_init(&status, launcher.databases);
	while ((database = hash_seq_search(&status)) != NULL)
		look_after(database);
	tell_of_shortages();
	start_projections();
}

/*
 * A round where they cannot, because the WAL lacks what they read: lets those
 * know who have asked for one.
 */
static void
refuse_requests(void)
{
	int			i;

	for (i = 0; i < es_worker_nslots(); i++)
	{
		EsWorkerSlot *slot = es_worker_slot(i);

		if (pg_atomic_read_u32(&slot->requested) != ES_REQUEST_NONE &&
			slot->state != ES_SEQUENCER_UNAVAILABLE)
			set_unavailable(slot, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							"\"wal_level\" is not \"logical\"");
	}
}

/*
 * Does one round, and returns how many milliseconds to sleep after it.
 */
static long
run_round(void)
{
	launcher.now = GetCurrentTimestamp();
	launcher.wake_at = TimestampTzPlusMilliseconds(launcher.now,
												   es_guc_launcher_nap_time);
	launcher.unsettled = 0;
	launcher.without_worker = 0;
	launcher.without_slot = 0;
	launcher.deferred = false;

	refresh_databases();
	if (XLogLogicalInfoActive())
		start_missing();
	else
		refuse_requests();
	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
										   launcher.wake_at);
}

/*
 * Takes over changed settings.  One of them may have been in the way of a
 * sequencer, so nobody waits any longer for another try.
 */
static void
reload(void)
{
	int			i;

	ProcessConfigFile(PGC_SIGHUP);
	es_worker_set_enabled(es_guc_sequencer, es_guc_projections);
	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	for (i = 0; i < es_worker_nslots(); i++)
	{
		es_worker_slot(i)->retry_at = 0;
		es_worker_slot(i)->pool_retry_at = 0;
	}
	LWLockRelease(es_worker_lock());
}

/*
 * Makes the launcher's memory and says who it is.
 */
static void
set_up(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(Database);
	ctl.hcxt = TopMemoryContext;
	launcher.databases = hash_create("event_store launcher databases", 64,
									 &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	on_shmem_exit(forget_launcher, (Datum) 0);
	es_worker_set_launcher(my_proc_number_compat());
	es_worker_set_enabled(es_guc_sequencer, es_guc_projections);

	if (!XLogLogicalInfoActive())
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("event_store starts no sequencers"),
				 errdetail("They read the WAL, and \"wal_level\" is \"%s\". Events get no positions in the global log.",
						   GetConfigOption("wal_level", false, false)),
				 errhint("Set \"wal_level\" to \"logical\" and restart the server.")));
}

/*
 * The launcher's main function.  Never returns.
 */
void
es_launcher_main(Datum main_arg)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	set_up();

	for (;;)
	{
		long		nap;

		/* At the end of the server this is no news for the log. */
		if (ProcDiePending)
			proc_exit(1);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			reload();
		}

		SetCurrentStatementStartTimestamp();
		pgstat_report_activity(STATE_RUNNING, NULL);
		nap = run_round();
		pgstat_report_stat(true);
		pgstat_report_activity(STATE_IDLE, NULL);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 nap, es_worker_wait_event(ES_WAIT_LAUNCHER_MAIN));
		ResetLatch(MyLatch);
	}
}

void
es_launcher_init(void)
{
	BackgroundWorker worker;

	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_SECONDS;
	strlcpy(worker.bgw_library_name, ES_EXTENSION_NAME, BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "es_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "event_store launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "event_store launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}
