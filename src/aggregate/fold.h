/*-------------------------------------------------------------------------
 *
 * fold.h
 *	  What the parts of the room share.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_AGGREGATE_FOLD_H
#define ES_AGGREGATE_FOLD_H

#include "fmgr.h"
#include "nodes/execnodes.h"
#include "utils/jsonb.h"

#include "aggregate/aggregate.h"
#include "core/user_code.h"
#include "types/types.h"

/* ---------- registry.c ---------- */

/*
 * An aggregate, and what only this room needs to know.
 */
typedef struct EsAggregateEntry
{
	EsAggregate aggregate;		/* must be first */
	char	   *evolve_name;	/* as in the table */
	char	   *decide_name;	/* NULL: none */
	char	   *owner_name;
	uint64		generation;		/* when it was read */
	bool		resolved;		/* are OIDs and definition filled in? */
	Expr	   *plan;			/* of evolve, see prepare.c; NULL: not yet */
	bool		needs_event;	/* does it use the event as a whole? */
	bool		reusable;		/* may a fold that runs it outlive the statement? */
	struct EsFold *idle;		/* one that waits for its next use, in the
								 * aggregate's context; NULL: none */
} EsAggregateEntry;

/*
 * Counts what may have changed aggregates, functions or roles: what was begun
 * at another number may be stale.
 */
extern uint64 es_aggregate_generation(void);

/*
 * Returns the number of this process's transaction, for who keeps something
 * that must not outlive it.
 */
extern uint64 es_aggregate_transaction(void);

/*
 * Finds an aggregate by its name, broken or not; NULL if there is none.
 */
extern const EsAggregate *es_aggregate_lookup(const EsStore *store,
											  const char *name);

/* Raises 42501 unless the user owns the aggregate. */
extern void es_aggregate_check_owner(const EsAggregate *aggregate);

/*
 * Raises the error for an aggregate that cannot run: 42883 for a function
 * that is not there, 42704 for an owner.
 */
extern void es_aggregate_check_usable(const EsAggregate *aggregate);

/*
 * Tells all sessions at the end of the transaction that states they keep may
 * be wrong.
 */
extern void es_aggregate_invalidate(const EsStore *store);

/*
 * Makes changes of a composite type, by the OID of its relation, changes of
 * the aggregates.
 */
extern void es_aggregate_watch(Oid relid);

/* Returns the OID of es_aggregates. */
extern Oid	es_aggregate_table(const EsStore *store);

/* ---------- check.c ---------- */

/*
 * Raise 42883, 42P13 and the like unless the function can be the evolve or the
 * decide of an aggregate.  has_initial says whether there is an initial state.
 */
extern void es_check_evolve(const EsStore *store, Oid function,
							bool has_initial);
extern void es_check_decide(Oid function);

/* Returns the type es_event, and the array of it. */
extern Oid	es_event_type_oid(const EsStore *store);

/* ---------- fingerprint.c ---------- */

/*
 * Computes the fingerprint of an aggregate whose functions are known.
 */
extern void es_aggregate_fingerprint(const EsStore *store,
									 const EsAggregateEntry *entry,
									 pg_uuid_t *result);

/* ---------- prepare.c ---------- */

/*
 * An aggregate function, ready to be called as the executor would.
 */
typedef struct EsAggregateCall
{
	Oid			state_type;
	int16		state_len;
	bool		state_byval;
	Oid			result_type;
	Datum		init;
	bool		init_isnull;
	FmgrInfo	transition;
	FmgrInfo	final;			/* fn_oid InvalidOid: none */
	int			final_nargs;
	FmgrInfo	to_jsonb;		/* of the result */
	FmgrInfo	input;			/* of the state type */
	Oid			input_param;
	FmgrInfo	output;
	AggState   *fake;			/* says that an aggregate is running */
} EsAggregateCall;

/*
 * A fold, ready to run.
 *
 * The state lives in contexts[current].  An evolve function runs in the other
 * one, which becomes current if the result is new.  An aggregate's state stays
 * in contexts[0].
 */
struct EsFold
{
	EsStore		store;
	EsAggregateEntry *entry;
	uint64		transaction;	/* must not outlive it */
	MemoryContext context;
	MemoryContext contexts[2];
	int			current;
	bool		untouched;		/* no event has been folded yet */
	EsUpcaster *upcaster;		/* NULL: nothing to do */
	TupleDesc	event_desc;		/* of es_event */
	bool		needs_event;
	TupleTableSlot *upcast;		/* a row of es_events with a piece in it */
	ExprState  *evolve;
	ExprContext *econtext;
	EsAggregateCall *call;		/* of an aggregate function, else NULL */

	/* what is being folded, for the context of errors */
	const EsStreamKey *key;
	int64		version;
};

/*
 * Makes evolve ready to run in the fold: fills evolve and econtext, or call.
 * Runs as the aggregate's owner.
 */
extern void es_prepare_evolve(EsFold *fold);

/* ---------- fold.c ---------- */

/* Starts over: the state before the first event. */
extern void es_fold_reset(EsFold *fold, EsState *state);

/*
 * Makes a value the state at a version; it is copied.
 */
extern void es_fold_set(EsFold *fold, EsState *state, int64 version,
						Datum value, bool isnull);

/*
 * Folds one row of es_events into the state.  To be called between
 * es_fold_enter() and es_fold_leave().
 */
extern void es_fold_row(EsFold *fold, TupleTableSlot *row, EsState *state,
						EsFoldEach each, void *arg);

/*
 * Changes over to the aggregate's owner, and names the stream in the context
 * of errors.
 */
typedef struct EsFolding
{
	EsFold	   *fold;
	const EsStreamKey *key;		/* what it folded before */
	int64		version;
	EsUserCode	user;
	ErrorContextCallback callback;
} EsFolding;

extern void es_fold_enter(EsFold *fold, const EsStreamKey *key,
						  EsFolding *folding);
extern void es_fold_leave(EsFold *fold, EsFolding *folding);

/*
 * The state as it stands in a snapshot, in the current memory context; and
 * back.  A state that is NULL cannot be in one.
 */
extern Datum es_fold_freeze(EsFold *fold, const EsState *state);
extern void es_fold_thaw(EsFold *fold, EsState *state, int64 version,
						 Datum frozen);

/* ---------- cache.c ---------- */

/*
 * A state that this process keeps.
 */
typedef struct EsCached
{
	int64		version;
	int64		snapshot_version;
	EsEventMark mark;
	Datum		value;			/* good until the cache is touched again */
} EsCached;

/* Finds the state of a stream; returns false if there is none. */
extern bool es_cache_find(const EsFold *fold, const EsStreamKey *key,
						  EsCached *cached);

/* Keeps a state, unless it is too large. */
extern void es_cache_put(const EsFold *fold, const EsStreamKey *key,
						 const EsState *state, Size size);

/* Forgets the state of a stream; all states. */
extern void es_cache_remove(const EsFold *fold, const EsStreamKey *key);
extern void es_cache_clear(void);

/* ---------- save.c ---------- */

/*
 * Finds the newest snapshot of the stream at or below the version that was
 * made by this fold; returns its version, or 0.  *state, if not NULL, gets what
 * it holds, in the current memory context.
 */
extern int64 es_snapshot_find(EsFold *fold, const EsStreamKey *key,
							  Snapshot snapshot, int64 at_most, Datum *state);

/*
 * Writes the state as a snapshot and deletes those that are not to be kept.
 * The caller has seen to it that the transaction may write.
 */
extern void es_snapshot_write(EsFold *fold, const EsStreamKey *key,
							  const EsState *state);

/* Deletes the snapshots that folds of the aggregate have saved. */
extern int64 es_snapshot_delete(const EsStore *store, const char *aggregate);

/* Saves a snapshot if it is time for one; see es_fold_keep(). */
extern void es_snapshot_save(EsFold *fold, const EsStreamKey *key,
							 EsState *state);

#endif							/* ES_AGGREGATE_FOLD_H */
