/*-------------------------------------------------------------------------
 *
 * log.h
 *	  The event log: appending to streams and reading their versions.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The way of an append:
 *
 *	  append_args.c   arguments of one call  -> EsAppend
 *	  metadata.c      metadata that they need not state
 *	  stream.c        lock on the stream, its head
 *	  idempotency.c   is this a retry?
 *	  append.c        is the expected version right? who decides
 *	  xact.c          tx and ordinals of the transaction
 *	  insert.c        rows into es_events
 *
 *	  trigger.c goes the same way for plain INSERT and COPY.
 *
 *	  Order of locks: es_events (ROW EXCLUSIVE), then streams one by one in
 *	  the order in which the transaction first touches them; in place of more
 *	  than event_store.max_stream_locks of them es_events as a whole (SHARE
 *	  ROW EXCLUSIVE).  All are heavyweight locks, held to the end of the
 *	  transaction, with PostgreSQL's deadlock detection.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_LOG_LOG_H
#define ES_LOG_LOG_H

#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"
#include "utils/uuid.h"

#include "catalog/catalog.h"
#include "catalog/events.h"
#include "core/compat.h"

/* Values of an expected version that are no version */
#define ES_VERSION_ANY			PG_INT64_MIN	/* SQL: NULL */
#define ES_VERSION_EXISTS		(-1)
#define ES_VERSION_NO_STREAM	0

/*
 * A stream that this transaction has touched, and thereby locked.
 *
 * Lives to the end of the transaction, or of the subtransaction that touched
 * it first.
 */
typedef struct EsStream
{
	EsStreamKey key;			/* points behind this struct */
	uint64		slot;			/* its key in the hash table */
	int			lock_level;		/* nesting level that holds the lock */
	int			change_level;	/* deepest level known to have moved the head */
	bool		head_known;		/* are the next three right? */
	bool		moved;			/* head is newer than the transaction's snapshot */
	int64		head;			/* newest version, 0 if none */
	TimestampTz head_at;		/* its recorded_at */
	EsLeaf		leaf;			/* of the primary key, where it ends */
	bool		mark_known;		/* is the next one right? */
	EsEventMark mark;			/* which row it is */
} EsStream;

/*
 * An event about to be stored.  Pointers are the caller's.
 */
typedef struct EsNewEvent
{
	pg_uuid_t	id;
	Datum		type;			/* text */
	Datum		data;			/* jsonb */
	Datum		metadata;		/* jsonb */
	int32		schema_version;
} EsNewEvent;

/*
 * One call of an append function.
 */
typedef struct EsAppend
{
	EsStreamKey key;
	Datum		stream_id;		/* text */
	int64		expected;		/* a version or ES_VERSION_... */
	bool		has_ids;		/* the ids are the caller's */
	int			nevents;
	EsNewEvent *events;
	struct EsAppended *appended;	/* to be filled in; NULL: not wanted */
} EsAppend;

/*
 * An event's place in its transaction.
 */
typedef struct EsPlace
{
	int64		tx;
	int32		ordinal;
} EsPlace;

/*
 * What the rows of a call have that the call itself does not say.
 */
typedef struct EsAppended
{
	bool		known;			/* are they as the call says?  else nothing of
								 * what follows is filled in */
	Datum		tenant_id;		/* text */
	int64		first;			/* version of the first */
	TimestampTz recorded_at;
	EsPlace		place;			/* of the first */
	EsEventMark mark;			/* of the last */
} EsAppended;

/* ---------- xact.c ---------- */

/* Registers the transaction callbacks.  Once, from _PG_init. */
extern void es_xact_init(void);

/*
 * While it is set, appends of this process raise 55000: what reads events
 * again must not append anything again.  Whoever sets it takes it back, after
 * an error too.
 */
extern bool es_xact_replaying;

/*
 * Gives the next n ordinals of this transaction; returns the place of the
 * first of them.
 *
 * The first call of a transaction takes its tx from the store's sequence.  The
 * ordinals of a subtransaction that rolls back are given out again.  With
 * stored = false the caller promises that the rows will be there at the end
 * of its statement; es_xact_unverified() tells which to check then.  Raises
 * 54000 when the transaction has no ordinals left, and 55000 when the
 * sequence is not the one of its earlier appends.
 */
extern EsPlace es_xact_take_places(const EsStore *store, int n, bool stored);

/*
 * Tells which places were given out for rows that nobody has seen stored:
 * *from to before *to, of *tx.  Returns false when there are none.
 */
extern bool es_xact_unverified(int64 *tx, int32 *from, int32 *to);

/* Notes that all places given out so far are known to be stored. */
extern void es_xact_set_verified(void);

/*
 * For es_log_after_append_hook: tells which ordinals, of *tx, it has not dealt
 * with, *from to before *to; returns false when there are none.  The other one
 * notes that it has dealt with all before `ordinal`, or is about to: if this
 * subtransaction rolls back, it has not.
 */
extern bool es_xact_unprojected(int64 *tx, int32 *from, int32 *to);
extern void es_xact_set_projected(int32 ordinal);

/* Has this transaction appended events, or copied recorded ones? */
extern bool es_xact_has_written(void);

/*
 * Is the tx, of an event to be copied, beyond what the sequence has given out?
 */
extern bool es_xact_is_ahead(Oid sequence, int64 tx);

/*
 * Notes that the transaction copied an event whose tx is beyond what the
 * sequence has given out.
 *
 * The sequence is moved behind it before anybody can take that number: before
 * this transaction takes a tx, or commits, or at es_xact_settle_copies().
 * es_events must be locked against all other writers.
 */
extern void es_xact_note_copy(Oid sequence, int64 tx);

/* Moves the sequence behind the copied events now. */
extern void es_xact_settle_copies(void);

/*
 * Notes that the transaction copied an event of this tx, so that the sequencer
 * learns of it.
 */
extern void es_xact_tell_copy(const EsStore *store, int64 tx);

/* ---------- stream.c ---------- */

/*
 * Locks a stream to the end of the transaction and returns its state.
 *
 * Waits for other transactions that appended to it.  The result has its head
 * looked up, and stays where it is as long as the subtransaction lives.
 * expected is the version that the caller states, or ES_VERSION_...; it only
 * makes the look-up quicker.
 */
extern EsStream *es_stream_lock(Relation events, const EsStore *store,
								const EsStreamKey *key, int64 expected);

/*
 * Locks es_events against all other writers to the end of the transaction, in
 * place of single streams.
 */
extern void es_stream_lock_all(Relation events);

/* Is es_events locked so? */
extern bool es_stream_all_locked(void);

/* Notes that the stream now ends with the version given. */
extern void es_stream_advance(EsStream *stream, int64 head, TimestampTz head_at);

/* Notes which row that is, for who has just written it. */
extern void es_stream_set_mark(EsStream *stream, const EsEventMark *mark);

/* Notes that nobody knows where the stream ends any more. */
extern void es_stream_forget_head(const EsStreamKey *key);

/*
 * Returns the time to record for events behind the stream's head: now, unless
 * the clock stepped back.
 */
extern TimestampTz es_stream_next_time(const EsStream *stream);

/*
 * Raises 22003 unless n versions fit behind the stream's head.
 */
extern void es_stream_check_room(const EsStream *stream, int n);

/* Forgets streams and heads of a (sub)transaction that ends; for xact.c. */
extern void es_stream_at_subabort(int level);
extern void es_stream_at_subcommit(int level);
extern void es_stream_at_end(void);

/* ---------- idempotency.c ---------- */

/*
 * Looks for the events of a call that brings its own event ids in the stream.
 *
 * Returns the version that the call returned the first time if it is a retry,
 * 0 if none of its ids is there.  Raises PE002 when it is neither.  The
 * stream must be locked, its head known.
 */
extern int64 es_find_retry(Relation events, const EsStore *store,
						   const EsStream *stream, const EsAppend *append);

/* Raises PE002 for an event id that the stream has already. */
ES_NORETURN extern void es_raise_event_id_reused(const EsStreamKey *key,
												 const pg_uuid_t *id,
												 int64 version);

/* ---------- insert.c ---------- */

/*
 * Stores the events of a call behind the stream's head.
 *
 * The stream must be locked, its head known; it is advanced.  All or nothing
 * by the transaction's own rules.  Raises 22003 when versions run out.
 */
extern void es_insert_events(Relation events, const EsStore *store,
							 EsStream *stream, const EsAppend *append);

/*
 * Fills a virtual slot of es_events with the row that was stored of the event
 * with this number, from 0 on; append->appended must be known.  It points to
 * the event's data.
 */
extern void es_appended_row(const EsAppend *append, int number,
							TupleTableSlot *slot);

/* ---------- append_args.c ---------- */

/* Each fills *append from the arguments of the SQL function it is named for. */
extern void es_append_args_single(FunctionCallInfo fcinfo, EsAppend *append);
extern void es_append_args_batch(FunctionCallInfo fcinfo, EsAppend *append);
extern void es_append_args_json(FunctionCallInfo fcinfo, EsAppend *append);

/*
 * Fill the stream, from the first argument, and the expected version, from the
 * argument given, as all of them do.
 */
extern void es_append_args_stream(FunctionCallInfo fcinfo, EsAppend *append);
extern void es_append_args_expected(FunctionCallInfo fcinfo, int arg,
									EsAppend *append);

/*
 * Names the event whose *number, from 1 on, it is in the context of errors,
 * until the caller puts error_context_stack back.
 */
extern void es_push_event_context(ErrorContextCallback *callback, int *number);

/*
 * Fills events, nevents and has_ids of *append from a JSON array of events, as
 * es_append_json takes it; all else is the caller's.  defaults is the metadata
 * that completes theirs, es_metadata_default() or more.
 */
extern void es_append_args_events(const Jsonb *events, Datum defaults,
								  EsAppend *append);

/* Raises 22023 unless the schema version is 1 or greater. */
extern void es_check_schema_version(int32 schema_version);

/* ---------- metadata.c ---------- */

/*
 * An event that makes somebody append others.
 */
typedef struct EsCause
{
	pg_uuid_t	event_id;
	Datum		metadata;		/* jsonb */
} EsCause;

/*
 * From now on, what this process appends has been caused by the event (NULL: by
 * none); returns what was set before, for the caller to set again, after an
 * error too.  The event is the caller's.
 */
extern const EsCause *es_append_set_cause(const EsCause *cause);

/*
 * Returns the metadata of an event that states none: what its cause and the
 * settings say.  es_empty_metadata() if they say nothing.
 */
extern Datum es_metadata_default(void);

/*
 * The same for an event that a command with the id has caused: that is its
 * causation id, unless an event is known to be behind it.
 */
extern Datum es_metadata_default_of_command(const pg_uuid_t *command_id);

/* Returns given, with the keys of defaults that it lacks. */
extern Datum es_metadata_merge(Datum defaults, Datum given);

/* An empty object, always at the same place. */
extern Datum es_empty_metadata(void);

/* Raises 22023 unless the jsonb is an object. */
extern void es_check_metadata(Datum metadata);

/* ---------- append.c ---------- */

/*
 * Called when events were appended, in whatever way, at the end of the
 * function or statement that did it; if it raises an error, that fails.
 * events is open, and locked in ROW EXCLUSIVE mode at least.
 */
typedef void (*EsAfterAppend) (Relation events, const EsStore *store);
extern EsAfterAppend es_log_after_append_hook;

/*
 * Appends the events of a call, as es_append and its siblings do: lock, retry,
 * expected version, types, insert, inline projections.  Returns the stream's
 * new version, or that of the first time if it is a retry.
 */
extern int64 es_append_events(const EsAppend *append);

/*
 * Raises 25006 and the like for a function that writes where nothing can be
 * written.
 */
extern void es_check_may_write(const char *function);

/*
 * Raises the error for a stream that is not as the caller expects.
 *
 * A version that the caller stated is compared with what is there now; in a
 * transaction with a snapshot of its own, also the right version is wrong if
 * the transaction cannot see it.
 */
extern void es_check_expected(const EsStream *stream, int64 expected);

/*
 * Raises PE001: the stream is not at the version that the caller expected.
 */
ES_NORETURN extern void es_raise_wrong_version(const EsStream *stream,
											   int64 expected);

/* Raises 40001 when the stream moved after the transaction's snapshot. */
extern void es_check_not_moved(const EsStream *stream);

#endif							/* ES_LOG_LOG_H */
