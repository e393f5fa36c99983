/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  What the workers and the sessions share: a slot of shared memory for
 *	  each database with a sequencer.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Shared memory is there only when the library is preloaded; without it
 *	  es_worker_is_preloaded() is false, functions that only tell do nothing,
 *	  and es_worker_find() returns NULL.
 *
 *	  Fields of a slot are protected by the lock es_worker_lock(), but for the
 *	  atomic ones.  The lock is held for moments, never while waiting, and
 *	  nothing is locked inside of it.
 *
 *	  The protocol of waking: an appender, after its commit, first raises
 *	  append_lsn, then looks at `waiting`.  The sequencer first sets `waiting`,
 *	  then looks at append_lsn, then sleeps.  Whichever comes second sees the
 *	  other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_WORKER_WORKER_H
#define ES_WORKER_WORKER_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"

#define ES_MAX_ERROR_TEXT	512

/*
 * What the sequencer of a database does.
 */
typedef enum EsSequencerState
{
	ES_SEQUENCER_UNKNOWN,		/* nobody has looked yet */
	ES_SEQUENCER_STARTING,		/* registered, or connecting */
	ES_SEQUENCER_HEALING,		/* makes a slot, sequences what has no position */
	ES_SEQUENCER_READING,		/* reads WAL, writes the ledger */
	ES_SEQUENCER_WAITING,		/* has nothing to do */
	ES_SEQUENCER_FAILED,		/* ended with an error; will be tried again */
	ES_SEQUENCER_UNAVAILABLE,	/* a setting forbids it; will be tried again */
	ES_SEQUENCER_STOPPED,		/* ended on request */
	ES_SEQUENCER_NOT_NEEDED		/* there is no store in the database */
} EsSequencerState;

/*
 * How much a sequencer is wanted.
 */
typedef enum EsRequest
{
	ES_REQUEST_NONE,
	ES_REQUEST_SOON,			/* when retry_at is over */
	ES_REQUEST_AT_ONCE			/* the extension has come or gone */
} EsRequest;

/*
 * The sequencer of one database.
 */
typedef struct EsWorkerSlot
{
	/* Under the lock */
	Oid			database_oid;	/* InvalidOid: the slot is free */
	EsSequencerState state;
	int			pid;			/* of the attached sequencer, 0 when there is none */
	int			procno;			/* its place in the proc array, -1 for none */
	int			holders;		/* sessions that need the database for
								 * themselves */
	bool		stop_requested; /* the sequencer shall leave */
	bool		ended_on_request;	/* the last one left because it was told */
	EsSequencerState ended_in;	/* what it did when it ended */
	TimestampTz started_at;
	TimestampTz ended_at;
	NameData	slot_name;		/* replication slot, empty when there is none */
	uint64		batches;		/* since the server was started */
	uint64		events;
	uint64		heals;
	TimestampTz last_batch_at;
	int			failures;		/* in a row */
	TimestampTz retry_at;		/* when the launcher tries again */
	TimestampTz error_at;		/* 0 when there was no error */
	int			error_code;		/* SQLSTATE, packed */
	char		error_text[ES_MAX_ERROR_TEXT];

	/*
	 * The projection workers, under the lock too.  How many there are tell
	 * their own places (tasks.h).
	 */
	int			ntasks;			/* or ES_UNKNOWN_TASKS, ES_UNCOUNTED_TASKS */
	uint64		pool_batches;	/* of projections, since the server was started */
	TimestampTz pool_attached_at;	/* when one came last */
	bool		pool_starved;	/* it has none, for lack of a worker process */
	int			pool_failures;	/* of workers, in a row */
	TimestampTz pool_retry_at;	/* when the launcher starts them again */
	TimestampTz pool_error_at;	/* 0 when there was no error */
	int			pool_error_code;
	char		pool_error_text[ES_MAX_ERROR_TEXT];

	/* Atomic */
	pg_atomic_uint32 tasks_generation;	/* another one when projections have
										 * changed */
	pg_atomic_uint32 requested; /* a session wants a sequencer: EsRequest */
	pg_atomic_uint32 pins;		/* sessions about to request one */
	pg_atomic_uint32 waiting;	/* the sequencer sleeps until it is woken */
	pg_atomic_uint64 append_lsn;	/* where the newest commit of an append ends */
	pg_atomic_uint64 wanted_lsn;	/* how far sessions wait for it */
	pg_atomic_uint64 sequenced_lsn; /* all commits up to here have positions */
	pg_atomic_uint64 head;		/* last position */
	pg_atomic_uint64 store;		/* the store that these two are about, 0: none */

	/* Broadcast when one of the atomics, pid or state has changed */
	ConditionVariable changed;

	/* Broadcast when the position of a task, or what projections there are, has
	 * changed, or a projection worker has left */
	ConditionVariable applied;
} EsWorkerSlot;

/*
 * Reserves shared memory.  To be called once, from _PG_init; does nothing
 * unless the library is being preloaded.
 */
extern void es_worker_init(void);

/* Was the library preloaded? */
extern bool es_worker_is_preloaded(void);

/* The lock of all slots; the caller has made sure that it is preloaded. */
extern LWLock *es_worker_lock(void);

/* Number of slots, and the slot with a number; only when preloaded */
extern int	es_worker_nslots(void);
extern EsWorkerSlot *es_worker_slot(int number);

/*
 * Returns the slot of a database, NULL when it has none or the library is not
 * preloaded; with create, takes a free one, and returns NULL only when all
 * are taken.  Takes the lock.
 *
 * A slot stays with its database until the launcher frees it, which it does
 * only when the database is gone or has no store: look at database_oid again
 * where it matters.
 */
extern EsWorkerSlot *es_worker_find(Oid database_oid, bool create);

/*
 * Frees the slot of a database without a sequencer, unless a session needs
 * it; with force, also when a sequencer has been requested.
 */
extern void es_worker_free(Oid database_oid, bool force);

/*
 * Says which store the sequencer of a slot works for from now on, and what its
 * last position is; 0, 0 for none.  sequenced_lsn begins at 0.
 */
extern void es_worker_set_store(EsWorkerSlot *slot, uint64 store, uint64 head);

/*
 * Tells sessions whether the launcher starts sequencers, and projection
 * workers.  A session reads the settings only between its statements.
 */
extern void es_worker_set_enabled(bool sequencers, bool projections);
extern bool es_worker_is_enabled(void);
extern bool es_worker_projections_are_enabled(void);

/* Tells who the launcher is, procno -1 for nobody; wakes the launcher. */
extern void es_worker_set_launcher(int procno);
extern void es_worker_wake_launcher(void);

/*
 * Makes this process the sequencer of a slot, until it exits.  To be called
 * before it connects to the database: then it is gone from the database, and
 * has released its replication slot, when the slot says so.
 *
 * Returns false when the database has one already, or somebody needs the
 * database for himself.
 */
extern bool es_worker_attach(EsWorkerSlot *slot);

/*
 * Sets the state of a slot and tells those who wait for it.
 *
 * A sequencer that leaves for a setting sets ES_SEQUENCER_STOPPED: otherwise
 * the launcher takes its end for a failure.
 */
extern void es_worker_set_state(EsWorkerSlot *slot, EsSequencerState state);

/*
 * What pg_stat_activity says of a process of ours that sleeps.
 */
typedef enum EsWaitEvent
{
	ES_WAIT_LAUNCHER_MAIN,
	ES_WAIT_SEQUENCER_MAIN,
	ES_WAIT_SEQUENCER_LINGER,
	ES_WAIT_FOR_LOG,
	ES_WAIT_FOR_STOP,
	ES_WAIT_PROJECTION_MAIN,
	ES_WAIT_FOR_PROJECTION
} EsWaitEvent;

#define ES_N_WAIT_EVENTS	(ES_WAIT_FOR_PROJECTION + 1)

/* Returns what WaitLatch wants to know. */
extern uint32 es_worker_wait_event(EsWaitEvent event);

/* Name of a state, as es_sequencer shows it */
extern const char *es_worker_state_name(EsSequencerState state);

/*
 * Tells projection workers, and whoever else waits for it, of the new head.
 */
extern void es_worker_tell_of_head(EsWorkerSlot *slot);

/*
 * Tells the launcher what a sequencer has seen: are there projections?
 *
 * The generation is that of the slot's tasks before the sequencer looked.  If it
 * is another one now, the answer may be out of date, and what whoever changed
 * it has said stays.  Returns false if that leaves the question open: look again.
 */
extern bool es_worker_set_projections(EsWorkerSlot *slot, uint32 generation,
									  bool there_are);

/*
 * Notes an error for es_sequencer.  Returns false if the slot had the same one
 * already: then it need not be logged again.
 */
extern bool es_worker_note_error(EsWorkerSlot *slot, int sqlstate,
								 const char *text);

/*
 * Wakes the sequencer of this database, from the callback at the end of an
 * appending transaction whose commit record ends at lsn.
 *
 * Raises nothing and takes no lock.
 */
extern void es_worker_appended(XLogRecPtr lsn);

/*
 * Asks the launcher for a sequencer of this database, if it has none.  The
 * first may take the lock; the others, after the commit, take none.
 *
 * es_worker_send_request_at_once is for when the extension has been created or
 * dropped: the launcher does not wait for retry_at, and a sequencer that is
 * there looks around.  es_worker_cancel_request takes back what was prepared;
 * forgetting it keeps a slot from being freed, no more.
 */
extern void es_worker_prepare_request(EsRequest wanted);
extern void es_worker_send_request(void);
extern void es_worker_send_request_at_once(void);
extern void es_worker_cancel_request(void);

/*
 * Did a session ask for a sequencer while all slots were taken?  Forgets it.
 */
extern bool es_worker_take_lost_request(void);

/* Wakes the sequencer of a slot, whatever it waits for. */
extern void es_worker_wake(EsWorkerSlot *slot);

/*
 * Makes the workers of a database leave, waits until they have, and keeps the
 * launcher from starting others until es_worker_release or the end of this
 * process.
 *
 * Asks first, then sends SIGTERM, and gives up after a while: the caller's
 * command then says what is in its way.  May be cancelled; what it raises
 * leaves the database held.
 */
extern void es_worker_hold(Oid database_oid);

/*
 * Lets the launcher go on with a database, or with all that this process
 * holds.  Raise nothing.
 */
extern void es_worker_release(Oid database_oid);
extern void es_worker_release_all(void);

/* ---------- process.c ---------- */

/*
 * Sets signal handlers, connects to the database, and sets what settings of
 * the database or the file must not change for a worker.
 */
extern void es_worker_connect(Oid database_oid);

/*
 * Lets the commit of this transaction not wait for the disk: what is lost in a
 * crash is made again, the same.
 *
 * Where there are synchronous standbys it waits for them as the settings say.
 */
extern void es_worker_relax_commit(void);

#endif							/* ES_WORKER_WORKER_H */
