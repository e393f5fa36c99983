/*-------------------------------------------------------------------------
 *
 * aggregate.h
 *	  Aggregates: streams folded into states.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  registry.c   es_aggregates as structs, kept until it changes
 *	  define.c     es_create_aggregate and what changes one
 *	  check.c      may a function be the evolve or decide of an aggregate?
 *	  fingerprint.c	what the meaning of a state depends on
 *	  prepare.c    evolve, made ready to run
 *	  fold.c       events into a state
 *	  load.c       the state of a stream: cache, snapshot, events after it
 *	  save.c       snapshots, by whoever has the state in hand
 *	  cache.c      states that this process has seen last
 *	  state.c      es_state; states.c: es_states; rebuild.c: es_rebuild_snapshots
 *	  history.c    es_history; diff.c: what changed between two states
 *
 *	  A state is a value of the fold's transition type: jsonb for an evolve
 *	  function, whatever the aggregate function says otherwise.  Snapshots hold
 *	  that, as jsonb; what callers get is the final value as jsonb.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_AGGREGATE_AGGREGATE_H
#define ES_AGGREGATE_AGGREGATE_H

#include "access/transam.h"
#include "executor/tuptable.h"
#include "nodes/pg_list.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

#include "catalog/catalog.h"
#include "catalog/events.h"

/*
 * An aggregate as it is registered.  Valid until the next call of a function
 * of registry.c, unless pinned.
 */
typedef struct EsAggregate
{
	MemoryContext context;		/* what it consists of */
	char	   *name;
	char	   *category;
	Oid			evolve;
	bool		is_sql_aggregate;	/* evolve is an aggregate function */
	Datum		initial_state;	/* jsonb */
	bool		initial_isnull;
	Oid			decide;			/* InvalidOid: none */
	int			snapshot_every; /* 0: never */
	int			keep;			/* 0: all */
	Oid			owner;
	List	   *settings;		/* of char *, name=value */
	pg_uuid_t	definition;		/* fingerprint: snapshots with another are stale */
} EsAggregate;

/* ---------- registry.c ---------- */

/*
 * Finds the aggregate with the name; NULL: the one for the category of the
 * stream.  Raises 42704 if there is none, 42725 if there are several. The
 * result is good until the end of the statement, whatever changes.
 */
extern const EsAggregate *es_aggregate_find(const EsStore *store,
											const char *name,
											const EsStreamKey *stream);

/* ---------- load.c ---------- */

/*
 * Up to where a stream is to be folded; a field that says nothing is as large
 * as it can be.
 */
typedef struct EsLoadLimit
{
	int64		version;		/* PG_INT64_MAX: the newest */
} EsLoadLimit;

/*
 * A loaded state.
 */
typedef struct EsState
{
	int64		version;		/* of the stream; 0: it has no event */
	Datum		value;			/* of the fold's transition type */
	bool		isnull;
	int64		folded;			/* events read to get it */
	int64		snapshot_version;	/* of the newest snapshot known, 0: none */
	EsEventMark mark;			/* of the event at version, if folded > 0 */
} EsState;

typedef struct EsFold EsFold;

/*
 * Makes a fold of the aggregate ready to run, in the current memory context.
 * To be ended; after an error PostgreSQL cleans up.
 */
extern EsFold *es_fold_begin(const EsStore *store, const EsAggregate *aggregate);
extern void es_fold_end(EsFold *fold);

/*
 * Loads the state of a stream up to the limit: from the newest usable state (a
 * cached one, a snapshot), and the events after it, upcast, that the snapshot
 * shows.  With SnapshotSelf, the stream must be locked.
 *
 * events is es_events, open and locked.  The state lives in the fold, until
 * it is loaded or advanced again.
 */
extern void es_fold_load(EsFold *fold, Relation events, const EsStreamKey *key,
						 Snapshot snapshot, EsLoadLimit limit, EsState *state);

/*
 * Loads the state of a stream that is locked, when the caller knows how it ends:
 * its version, 0 if it has no event, and the mark of that row (NULL: not
 * known).  If this process keeps the state, nothing is read.
 */
extern void es_fold_load_newest(EsFold *fold, Relation events,
								const EsStreamKey *key, int64 head,
								const EsEventMark *mark, EsState *state);

/*
 * Folds the events after state->version, up to the limit.  each, if not NULL,
 * is called after every event (after every piece of one that was split): the row as stored, and
 * the event as it was folded, a datum of es_event.
 */
typedef void (*EsFoldEach) (EsFold *fold, TupleTableSlot *stored, Datum event,
							const EsState *state, void *arg);
extern void es_fold_advance(EsFold *fold, Relation events,
							const EsStreamKey *key, Snapshot snapshot,
							EsLoadLimit limit, EsState *state, EsFoldEach each,
							void *arg);

/*
 * The same from rows that the caller has at hand: next returns them one after
 * the other, NULL behind the last.
 */
typedef TupleTableSlot *(*EsFoldNext) (void *source);
extern void es_fold_advance_by(EsFold *fold, const EsStreamKey *key,
							   EsFoldNext next, void *source, EsState *state,
							   EsFoldEach each, void *arg);

/* Returns the final value of a state as jsonb, in the current memory context. */
extern Datum es_fold_result(EsFold *fold, const EsState *state, bool *isnull);

/*
 * Keeps the state for the next es_fold_load() of this process; and saves a
 * snapshot if it is time for one, unless that is not possible now: a read-only
 * transaction, a standby, a parallel plan, another session that is at it.
 * Never waits and never fails: what goes wrong becomes a WARNING.
 */
extern void es_fold_keep(EsFold *fold, const EsStreamKey *key,
						 const EsState *state);

/* Registers callbacks.  Once, from _PG_init. */
extern void es_aggregate_init(void);

#endif							/* ES_AGGREGATE_AGGREGATE_H */
