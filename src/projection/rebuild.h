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
 *	  than the swap finds all of them: a prepared statement that has waited for
 *	  the lock would see an empty table otherwise.  For the same reason nothing
 *	  may be done to them any more before the commit: the new contents are made
 *	  in stand-ins, up to the end of the log, and copied then.
 *
 *	  heap.c       heaps: making, filling, swapping
 *	  build.c      fills the heaps of a view from the log
 *	  shadow.c     stand-ins, in which the new contents are made
 *	  rebuild.c    es_rebuild
 *	  alter_view.c es_alter_view
 *	  verify.c     es_verify
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_PROJECTION_REBUILD_H
#define ES_PROJECTION_REBUILD_H

#include "fmgr.h"
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
								 * from `first` on; NULL when it is filled */
	int			ncolumns;
	int			first;
} EsNewHeap;

/* ---------- heap.c ---------- */

/*
 * Locks a table against changes of its definition, and makes sure that it is
 * one, and may be changed.
 *
 * Raises 42501 when it does not belong to the projection's owner, 42P01 when
 * it is not there.
 */
extern void es_heap_lock(const EsProjection *projection, Oid relid);

/*
 * The same, and makes sure that it can get a new heap.
 *
 * columns are names (char *): what will be written.  Raises 55000 when the
 * table has not these columns and no others.
 */
extern void es_heap_check(const EsProjection *projection, Oid relid,
						  List *columns);

/* The same, and makes the heap, empty. */
extern EsNewHeap *es_heap_make(const EsProjection *projection, Oid relid,
							   List *columns);

/*
 * Runs a SELECT, with parallel workers where the planner sees fit and no CHECK
 * constraint keeps it from it, and writes what it returns to one or several heaps: each has the columns of the query
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
 * Sets how many parallel workers a query may have, for this GUC level; -1: as
 * the settings say.
 */
extern void es_rebuild_set_workers(int workers);

/*
 * Tells how far the projection has come, in the log every few seconds and in
 * es_projections, while its events behind `after` and up to `upto` are read;
 * until the end call, which must be made after an error, too.
 */
extern void es_progress_begin(const EsProjection *projection, int64 after,
							  int64 upto);
extern void es_progress_end(void);

/* Names of a table's columns, but virtual ones, as they are (char *). */
extern List *es_rebuild_columns(Oid relid);

/* ---------- shadow.c ---------- */

/*
 * A table that gets new contents, and the stand-in that they are made in.
 */
typedef struct EsShadow
{
	Oid			relid;			/* may be the stand-in: then it is new */
	Oid			shadow;
	char	   *real_name;		/* qualified names */
	char	   *name;
	List	   *columns;		/* char * */
	Oid			filenode;		/* of the real table, and how often it was used */
	int64		uses;			/* in this transaction, at the beginning */
} EsShadow;

/*
 * A rebuild that is going on.
 */
typedef struct EsRebuild
{
	const EsStore *store;
	EsProjection *projection;	/* as it was at the beginning, pinned */
	EsProjection *copy;			/* the same over the stand-ins */
	int			workers;		/* parallel ones; -1: as the settings say */
	char	   *schema;			/* where these are */
	Oid			schema_oid;
	List	   *shadows;		/* of EsShadow * */
	List	   *locked;			/* tables that are in use: OIDs */
	List	   *heaps;			/* of EsNewHeap *: filled, to be swapped */
	int64		position;		/* that the stand-ins are at */
	List	   *dead_letters;	/* up to there, that they are without: int64 *;
								 * if it skips */
	int64		events;
	bool		locking;		/* is it asking for locks of its own? */
} EsRebuild;

/* Begins a rebuild, and makes a schema for the stand-ins. */
extern void es_shadow_begin(EsRebuild *rebuild, const EsStore *store,
							EsProjection *projection, int workers);

/*
 * Makes the stand-ins of a view, as its query, or another one, demands.
 * rebuild->copy has the query.  To be called as the owner.
 */
extern void es_shadow_make_view(EsRebuild *rebuild, const EsView *view);

/* Adds a table to those that get new contents. */
extern void es_shadow_add(EsRebuild *rebuild, Oid relid, Oid shadow,
						  List *columns);

/*
 * Makes stand-ins for the tables of a projection of another kind.
 *
 * Raises 55000 when it was not told its tables.
 */
extern void es_shadow_make_tables(EsRebuild *rebuild);

/* Fills the stand-ins of a view from the log, to where it ends now. */
extern void es_shadow_fill(EsRebuild *rebuild);

/*
 * Runs the projection with the stand-ins up to a position.
 *
 * Raises 55000 when it appends.
 */
extern void es_shadow_advance(EsRebuild *rebuild, int64 upto);

/*
 * Copies the stand-ins to new heaps of the tables, rebuild->heaps.
 *
 * Raises 55000 when the projection's SQL has got at a real table.
 */
extern void es_shadow_copy(EsRebuild *rebuild);

/* Drops the schema with all that is still in it. */
extern void es_shadow_end(EsRebuild *rebuild);

/* ---------- rebuild.c ---------- */

/*
 * Begins a function whose first argument is the name of a projection: locks
 * the store, and returns the projection, pinned.  what is the function's name.
 *
 * Raises 25006, 42704, 42501; 25001 when this transaction would not see what
 * others commit, and 55000 when it has appended and the projection is inline.
 */
extern EsProjection *es_rebuild_begin(FunctionCallInfo fcinfo,
									  const char *what, EsStore *store);

/*
 * Lets the stand-ins catch up with the log, locks out the projection's workers
 * and all users of rebuild->locked, and copies the stand-ins: what is in
 * rebuild->heaps then can be swapped.  All locks are held to the end of the
 * transaction.
 */
extern void es_rebuild_catch_up(EsRebuild *rebuild);

/*
 * After the swap: sets the checkpoints, forgets failures, checks foreign keys
 * and drops the stand-ins.  The projection is as it is now.
 */
extern void es_rebuild_finish(EsRebuild *rebuild, EsProjection *projection);

#endif							/* ES_PROJECTION_REBUILD_H */
