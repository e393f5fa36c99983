/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The launcher of sequencers, and the hooks that keep sequencers out of
 *	  everybody's way.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_LAUNCHER_LAUNCHER_H
#define ES_LAUNCHER_LAUNCHER_H

#include "postmaster/bgworker.h"

/*
 * Registers the launcher with the postmaster.  To be called once, from
 * _PG_init, after es_worker_init; does nothing unless the library is being
 * preloaded.
 */
extern void es_launcher_init(void);

/* Installs the hooks, under the same conditions. */
extern void es_hooks_init(void);

/*
 * Fills in what the postmaster must know of a worker of a database: kind is
 * what it is, "sequencer".
 */
extern void es_launcher_describe_worker(BackgroundWorker *worker,
										Oid database_oid, const char *name,
										const char *function,
										const char *kind);

#endif							/* ES_LAUNCHER_LAUNCHER_H */
