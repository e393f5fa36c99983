/*-------------------------------------------------------------------------
 *
 * locks.h
 *	  The advisory locks of event_store.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A lock's class is the last field of its tag, which pg_locks shows as
 *	  objsubid.  PostgreSQL's own advisory locks are of classes 1 and 2.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CORE_LOCKS_H
#define ES_CORE_LOCKS_H

#define ES_LOCK_STREAM		0xE5	/* 229: a stream */
#define ES_LOCK_TABLE		0xE6	/* 230: the right to lock es_events as a whole */
#define ES_LOCK_COPIERS		0xE7	/* 231: sessions that copied recorded events
									 * hold it shared, to their end */
#define ES_LOCK_SEQUENCER	0xE8	/* 232: the one sequencer of a database */
#define ES_LOCK_PROJECTION	0xE9	/* 233: a part of a projection: a batch of it, or a
									 * change to it */
#define ES_LOCK_RESTORE		0xEA	/* 234: sessions that copied definitions of
									 * projections hold it in ROW EXCLUSIVE mode,
									 * to their end; batches in SHARE mode */

#define ES_LOCK_SNAPSHOT	0xEB	/* 235: who is about to save a snapshot of a
									 * stream tries it, and never waits */

#endif							/* ES_CORE_LOCKS_H */
