/*-------------------------------------------------------------------------
 *
 * tasks.h
 *	  What the projection workers, the launcher and the sessions share: a
 *	  place for each task, for each worker, and for each build.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A task is a partition of a projection.  All of this lies in shared memory
 *	  beside the slots of worker.h, under the same lock, and is there under the
 *	  same condition: es_worker_is_preloaded().
 *
 *	  Nothing here is the truth about a task: that is es_checkpoints.  A place
 *	  says how far a worker has got that has committed; a position of -1 says
 *	  that nobody knows, and that it is worth a look.
 *
 *	  Who changes a task behind the workers' backs (its checkpoint, or that it
 *	  rests) calls es_tasks_changed: positions are unknown then, and a worker
 *	  that is just about to publish one publishes nothing, because the
 *	  generation is another.
 *
 *	  The protocol of waking: who has news for workers writes it, then looks
 *	  who is asleep.  A worker says that it is asleep, then looks for news,
 *	  then sleeps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_WORKER_TASKS_H
#define ES_WORKER_TASKS_H

#include "datatype/timestamp.h"
#include "port/atomics.h"

#include "worker/worker.h"

#define ES_UNKNOWN_POSITION		(-1)

/* The number of tasks of a database: nobody has looked, or counted */
#define ES_UNKNOWN_TASKS		(-1)
#define ES_UNCOUNTED_TASKS		(-2)

/*
 * Events and the time in which they were applied, for the rate: this while,
 * and the one before it.
 */
typedef struct EsTaskRate
{
	TimestampTz since;			/* when this while began, 0: never */
	int64		events;
	int64		previous_events;
	int64		previous_time;	/* microseconds */
} EsTaskRate;

/*
 * The place of a task.  All of it is under the lock.
 */
typedef struct EsTaskSlot
{
	Oid			database_oid;	/* InvalidOid: the place is free */
	int32		projection_id;
	int			partition;
	uint32		generation;		/* another one when position was forgotten */
	int			pid;			/* of the worker that works on it, 0 for none */
	int			served_by;		/* pid of the worker that was the last to do so */
	int64		position;		/* up to which it is applied */
	int64		events;			/* since the place was taken */
	int64		batches;
	TimestampTz last_batch_at;	/* 0: none yet */
	EsTaskRate	rate;
	TimestampTz retry_at;		/* not before; DT_NOEND: when something
								 * changes */
	int			failures;		/* in a row: steps that came to nothing */
	uint32		error_hash;		/* of the error logged last, 0 for none */
} EsTaskSlot;

/*
 * The place of a projection worker.
 */
typedef struct EsPoolWorker
{
	/* Under the lock; the first may be read without it, as a hint */
	Oid			database_oid;	/* InvalidOid: the place is free */
	int			pid;
	int			procno;			/* its place in the proc array */
	int			number;			/* among the workers of the database, from 0;
								 * the numbers may have holes */
	bool		stop_requested; /* it shall leave */
	TimestampTz busy_since;		/* works on a task; 0: on none */

	/* Atomic */
	pg_atomic_uint32 sleeping;
} EsPoolWorker;

/*
 * A build or rebuild in progress, by a session.
 */
typedef struct EsBuild
{
	Oid			database_oid;	/* InvalidOid: the place is free */
	int32		projection_id;
	int			pid;
	int64		done;			/* events */
	int64		total;
} EsBuild;

/* What a step of a task came to */
typedef struct EsTaskNews
{
	int64		position;
	int64		events;			/* applied */
	bool		applied;		/* a batch was worked off */
	bool		failed;			/* count it among the failures in a row */
	TimestampTz retry_at;		/* 0: at once */
} EsTaskNews;

/* ---------- memory ---------- */

/* For worker.c: how much memory is needed, and making it ready. */
extern Size es_tasks_shared_size(void);
extern void es_tasks_start_shared(void);

/* Registers callbacks.  To be called once, from _PG_init, when preloaded. */
extern void es_tasks_init(void);

/* Number of places, and the place with a number */
extern int	es_tasks_nslots(void);
extern EsTaskSlot *es_tasks_slot(int number);
extern int	es_tasks_nworkers(void);
extern EsPoolWorker *es_tasks_worker(int number);
extern int	es_tasks_nbuilds(void);
extern EsBuild *es_tasks_build(int number);

/* ---------- tasks ---------- */

/*
 * Gives the tasks of a database their places: keys are the first three fields
 * of EsTaskSlot.  Those that are not among them lose theirs.  Fills places[i],
 * NULL when there is none free.  Returns how many have none.
 */
extern int	es_tasks_sync(Oid database_oid, const int32 *projection_ids,
						  const int *partitions, int ntasks,
						  EsTaskSlot **places);

/* Forgets all about the tasks of a database that is gone. */
extern void es_tasks_forget(Oid database_oid);

/*
 * Makes an own place ready, for a task that has none in shared memory.
 */
extern void es_tasks_init_place(EsTaskSlot *place, int32 projection_id,
								int partition);

/*
 * Takes a task, unless somebody has it, or it is not the caller's any more.
 */
extern bool es_tasks_claim(EsTaskSlot *place, int32 projection_id,
						   int partition, uint32 *generation);

/*
 * Gives it back, with what came of it (NULL: nothing is known), and wakes who
 * waits for it.
 */
extern void es_tasks_publish(EsTaskSlot *place, uint32 generation,
							 const EsTaskNews *news);

/*
 * Notes which error was logged of a task; returns false if it was that one
 * already.
 */
extern bool es_tasks_note_error(EsTaskSlot *place, uint32 error_hash);

/* Events per second, lately.  Of a copy of the place. */
extern double es_tasks_rate(const EsTaskSlot *place, TimestampTz now);

/*
 * Says, when this transaction commits, that the projections of this database
 * have changed, or how far they are: workers look again, the launcher and
 * those who wait for a projection, too.  Without preload does nothing.
 *
 * The second does so at once, for what has committed already; with new_store the
 * sequencer, which looks anew, will say whether there are projections.
 */
extern void es_tasks_changed(void);
extern void es_tasks_changed_now(Oid database_oid, bool new_store);

/* Has this transaction changed projections? */
extern bool es_tasks_change_is_pending(void);

/*
 * Shows how far a build by this session has got, until the end of its
 * transaction.
 */
extern void es_tasks_show_build(int32 projection_id, int64 done, int64 total);

/* ---------- workers ---------- */

/*
 * Makes this process a projection worker of a database, until it exits.  To be
 * called before it connects.  Returns NULL when somebody needs the database for
 * himself, or there is no place.
 */
extern EsPoolWorker *es_tasks_attach(EsWorkerSlot *slot, Oid database_oid);

/* Number of the projection workers of a database.  Needs the lock. */
extern int	es_tasks_count_workers(Oid database_oid);

/* Wakes the sleeping projection workers of a database.  Takes no lock. */
extern void es_tasks_wake(Oid database_oid);

/* Wakes one, if it sleeps. */
extern void es_tasks_wake_worker(EsPoolWorker *worker);

/*
 * Tells the projection workers of a database to leave, with force by a signal.
 * Returns true when there are none.  Needs the lock.
 */
extern bool es_tasks_tell_to_leave(Oid database_oid, bool force);

/* Tells one of them to leave: the one with the greatest number. */
extern void es_tasks_dismiss_one(Oid database_oid);

#endif							/* ES_WORKER_TASKS_H */
