/*-------------------------------------------------------------------------
 *
 * rebuild.h
 *	  New contents for tables that are in use.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A table gets its new contents as with REFRESH MATERIALIZED VIEW: they are
 *	  written to a heap of their own, which takes the place of the old one when
 *	  the transaction commits.  The table itself stays: its OID, indexes,
 *	  privileges, and whatever depends on it.
 *
 *	  Rows are written as frozen, so that a transaction whose snapshot is older
 *	  than the swap finds a whole table, too, and not an empty one.
 *
 *	  heap.c       heaps: making, filling, swapping
 *	  build.c      fills the heaps of a view
 *	  rebuild.c    es_rebuild
 *	  replay.c     es_rebuild of projections that are not views
 *	  alter_view.c es_alter_view
 *	  verify.c     es_verify
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_PROJECTION_REBUILD_H
#define ES_PROJECTION_REBUILD_H

#include "nodes/pg_list.h"

#include "projection/projection.h"

/*
 * A table and its new heap.
 */
typedef struct EsNewHeap
{
	Oid			relid;
	Oid			heap;
	AttrNumber *columns;		/* of the table, for the columns of the query
								 * from `first` on */
	int			ncolumns;
	int			first;
} EsNewHeap;

/* ---------- heap.c ---------- */

/*
 * Locks a table against changes of its definition, and makes an empty heap
 * like its own.
 *
 * columns are names (char *): what will be written.  Raises 55000 when the
 * table has not these columns and no others, 42501 when it does not belong to
 * the projection's owner, 42P01 when it is not there.
 */
extern EsNewHeap *es_heap_make(const EsProjection *projection, Oid relid,
							   List *columns);

/*
 * Runs a SELECT, with parallel workers where the planner sees fit, and writes
 * what it returns to one or several heaps: each has the columns of the query
 * from its `first` on.  Returns the number of rows.
 *
 * Needs SPI, and is to be run as the projection's owner.  CHECK and NOT NULL
 * constraints of the tables are looked at.
 */
extern uint64 es_heap_fill(const char *sql, int nargs, Oid *types,
						   Datum *values, List *heaps);

/*
 * Gives the tables (list of EsNewHeap *) their new heaps, and builds their
 * indexes.  Needs ACCESS EXCLUSIVE locks.
 */
extern void es_heap_swap(List *heaps);

/*
 * Makes sure, after that, that foreign keys from and to the tables hold.  To be
 * run as the projection's owner.
 *
 * Raises 23503 when they do not, and 42501 when he may not look.
 */
extern void es_heap_check_foreign_keys(List *heaps);

/*
 * Takes the locks of a projection's tasks and ACCESS EXCLUSIVE on relations
 * (list of OIDs), to the end of the transaction; for an inline one, locks out
 * appends before that and waits until all events have their positions.
 *
 * While it waits for readers, new readers wait behind it: it gives all locks
 * back after some time, and tries again later.
 */
extern void es_heap_lock(const EsStore *store, EsProjection *projection,
						 List *relids);

/* ---------- build.c ---------- */

/*
 * Writes what the query of a view says, over the events behind `after` and up
 * to `upto`, to new heaps for its tables; to be swapped by the caller.
 *
 * workers: how many parallel workers there may be; -1: as the settings say.
 * Sets *events to the number of events.
 */
extern List *es_view_build(const EsStore *store, EsProjection *projection,
						   int64 after, int64 upto, int workers,
						   int64 *events);


/*
 * The same as es_view_source, without dead letters that are to stay such.
 */
extern char *es_rebuild_source(const EsStore *store,
							   const EsProjection *projection);

/* The positions of its dead letters, a list of int64 *. */
extern List *es_rebuild_dead_letters(const EsStore *store,
									 const EsProjection *projection);

/*
 * Tells how far the projection has come, in the log every few seconds and in
 * es_projections, while its events behind `after` and up to `upto` are read;
 * until the end call, which must be made after an error, too.
 */
extern void es_progress_begin(const EsProjection *projection, int64 after,
							  int64 upto);
extern void es_progress_end(void);

/* ---------- rebuild.c ---------- */

/*
 * Sets the checkpoints of all partitions to a position, and forgets failures.
 */
extern void es_rebuild_checkpoints(const EsStore *store,
								   const EsProjection *projection,
								   int64 position, int64 events);

/*
 * Works off what came after the position that the checkpoints are set to;
 * returns the number of events.
 */
extern int64 es_rebuild_catch_up(const EsStore *store,
								 EsProjection *projection);

/* Last position of the log, as it is now. */
extern int64 es_rebuild_head(const EsStore *store);

/* ---------- replay.c ---------- */

/*
 * Runs a projection's statements or handlers over the log, up to `head`, and
 * writes what they make of it to new heaps for its tables (list of
 * EsNewHeap *), to be swapped by the caller; sets *events to the number of
 * events.
 *
 * Raises 55000 when the projection does not know its tables, when its SQL gets
 * at the real ones, and when it appends.
 */
extern List *es_replay(const EsStore *store, EsProjection *projection,
					   int64 head, int64 *events);

#endif							/* ES_PROJECTION_REBUILD_H */
