/*-------------------------------------------------------------------------
 *
 * pool.h
 *	  The launcher's part in projection workers.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_LAUNCHER_POOL_H
#define ES_LAUNCHER_POOL_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "postmaster/bgworker.h"

/*
 * The projection workers that the launcher has started in a database.
 */
typedef struct EsPool
{
	List	   *started;		/* opaque; in TopMemoryContext */
} EsPool;

/* Lets go of what is remembered of a database that is gone. */
extern void es_pool_forget(EsPool *pool);

/*
 * Looks which workers have ended.  Returns true if one has, so that its process
 * is free.
 */
extern bool es_pool_look(EsPool *pool, Oid database_oid, TimestampTz now);

/*
 * Returns how many workers the database lacks now, and sets *running to how
 * many it has.  Lowers *wake_at to when that may change by itself.
 */
extern int	es_pool_lacks(const EsPool *pool, Oid database_oid,
						  TimestampTz now, TimestampTz *wake_at,
						  int *running);

/* Starts one; returns false when there is no worker process to be had. */
extern bool es_pool_start(EsPool *pool, Oid database_oid, const char *name,
						  TimestampTz now);

/* Is one on its way in, or out with its process not free yet? */
extern bool es_pool_is_moving(const EsPool *pool, Oid database_oid);

/*
 * Makes a worker leave in the database that has most of them, so that somebody
 * who needs it more has its process soon.  Returns false when none has more
 * than one.
 */
extern bool es_pool_make_room(void);

/*
 * Notes for those who wait that a database has no worker for lack of a process.
 */
extern void es_pool_set_starved(Oid database_oid);

/*
 * Logs, once, that so many workers could not be started, and in how many
 * databases there is none.
 */
extern void es_pool_tell_of_shortage(int missing, int databases);

#endif							/* ES_LAUNCHER_POOL_H */
