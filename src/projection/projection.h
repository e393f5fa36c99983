/*-------------------------------------------------------------------------
 *
 * projection.h
 *	  Projections: what the log does to the user's tables.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The parts, from the definition to the rows:
 *
 *	  registry.c   es_projection_definitions, as structs; changes to it
 *	  create.c     es_create_view, es_create_projection
 *	  alter.c      pause, resume, rename, drop, change
 *	  batch.c      the next events of the log, as a relation called es_log
 *	  apply.c      runs a projection's SQL over a batch, as its owner
 *	  statement.c, views.c, handler.c, refresh.c
 *	               the four kinds of projections
 *	  checkpoint.c es_checkpoints
 *	  task.c       one batch: claim, apply, checkpoint
 *	  failure.c, dead_letter.c
 *	               what becomes of a batch that fails
 *	  inline.c     projections in the appending transaction
 *	  mode.c       from async to inline and back
 *	  rebuild.c, verify.c
 *	  pool.c       the workers
 *	  report.c     what there is to say of failures and builds
 *	  wait.c       sessions that wait for a projection
 *
 *	  Words: a projection is split into partitions, most have one; a partition
 *	  of a projection is a task.  A task's checkpoint is the position up to
 *	  which all its events are applied.
 *
 *	  What makes it exact: a batch and its checkpoint are written in one
 *	  transaction, and whoever does that holds the task's lock to the end of
 *	  it (es_task_lock).
 *
 *	  Order of locks: the extension (es_catalog_lock_store), the task, the
 *	  tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_PROJECTION_PROJECTION_H
#define ES_PROJECTION_PROJECTION_H

#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/tuplestore.h"

#include "catalog/catalog.h"
#include "types/types.h"
#include "view/view.h"

typedef enum EsProjectionKind
{
	ES_PROJECTION_VIEW,
	ES_PROJECTION_STATEMENT,
	ES_PROJECTION_HANDLERS,
	ES_PROJECTION_REFRESH
} EsProjectionKind;

/*
 * Which events a projection takes; NIL: no restriction.  Lists of char *.
 */
typedef struct EsEventFilter
{
	List	   *categories;
	List	   *event_types;
	List	   *tenants;
} EsEventFilter;

/*
 * What is done with the events of a type.
 */
typedef struct EsHandlerText
{
	char	   *event_type;
	char	   *text;			/* a statement, or the name of a function */
} EsHandlerText;

/*
 * A row of es_projection_definitions.
 */
typedef struct EsProjection
{
	uint64		serial;			/* another one each time the row has changed */
	int32		id;
	char	   *name;
	char	   *owner;
	EsProjectionKind kind;
	char	   *query;			/* view */
	List	   *statements;		/* statement: of char * */
	List	   *handlers;		/* handlers: of EsHandlerText * */
	Oid			relation;		/* view, refresh */
	Oid			state_table;	/* view; InvalidOid if it needs none */
	List	   *tables;			/* OIDs */
	int64		refresh_every;	/* refresh: microseconds */
	bool		concurrently;
	bool		is_inline;
	bool		paused;
	int64		after_position; /* it takes the events behind it */
	bool		skip;			/* policy: set events aside that fail */
	int			max_retries;	/* -1: the setting */
	int			batch_size;		/* 0: the setting */
	int			partitions;
	EsEventFilter filter;
	List	   *settings;		/* of char *: name=value */

	/*
	 * What the functions of its kind have prepared; NULL at first.  Belongs
	 * to the struct, goes with its memory context; plans are to be freed by
	 * the callback.
	 */
	void	   *prepared;
	void		(*free_prepared) (void *prepared);
	MemoryContext context;		/* holds all of this */
} EsProjection;

/* Columns of es_log that stand before those of es_events */
#define ES_LOG_OWN_COLUMNS	2

/* Columns of es_event */
#define ES_EVENT_COLUMNS	10

/*
 * Some events in position order, as the relation es_log.
 *
 * They are as they are stored, one row each, so that a batch can be cut
 * between any two of them, and one that cannot be upcast fails where the
 * projection's own SQL would: in es_apply, which upcasts them.
 */
typedef struct EsBatch
{
	int64		after;			/* events behind this position ... */
	int64		upto;			/* ... up to this one are in it, or did not match */
	int			partition;		/* whose events they are */
	int64		nevents;		/* that match, or may match when upcast */
	bool		is_inline;		/* of this transaction: positions and times of
								 * commit are not known yet; in their place are
								 * ascending numbers and the current time */
	TupleDesc	tupdesc;
	Tuplestorestate *events;	/* rows of es_log; NULL: the range as such, for
								 * views, which read the log itself, and for
								 * refreshes, which read nothing */
	EsUpcaster *upcaster;		/* tells which are to be upcast; NULL: none */
	MemoryContext upcaster_context; /* that it lives in */
	bool		to_upcast;		/* is one of them? */
} EsBatch;

/* ---------- registry.c ---------- */

/*
 * Returns all projections of this database, in the order of their ids: a list
 * of EsProjection *.
 *
 * Needs a transaction.  Sees what is committed, and changes of this
 * transaction.  The list and the structs stay good until the next call of a
 * function of this file, which gives back the same pointers for what has not
 * changed; whoever keeps one over such a call calls es_projection_pin first.
 */
extern List *es_registry_list(const EsStore *store);

/*
 * Is there an inline projection?  Costs nothing as long as nothing has changed;
 * otherwise like es_registry_list.
 */
extern bool es_registry_has_inline(const EsStore *store);

/* Has something changed since es_registry_list() was called last?  Cheap. */
extern bool es_registry_is_stale(void);

/*
 * Returns a projection by its name or id.  Raises 42704 for a name that is not
 * there, unless missing_ok; an id that is not there gives NULL.
 */
extern EsProjection *es_registry_find(const EsStore *store, const char *name,
									  bool missing_ok);
extern EsProjection *es_registry_find_id(const EsStore *store, int32 id);

/*
 * The same for a SELECT that is to see what the active snapshot sees.
 */
extern uint64 es_registry_query(const EsStore *store, const char *sql,
								int nargs, Oid *types, Datum *values,
								const char *nulls);

/*
 * Makes a copy with other settings, to be run in this process only: nothing
 * of it is prepared.  It lives as long as its memory context.
 */
extern EsProjection *es_projection_copy(const EsProjection *projection,
										List *settings);

/* Keeps a projection's struct until it is unpinned. */
extern void es_projection_pin(EsProjection *projection);
extern void es_projection_unpin(EsProjection *projection);

/*
 * Raises 42501 unless the current user may do to the projection what its owner
 * may.
 */
extern void es_projection_check_owner(const EsProjection *projection);

/*
 * Runs a statement on the registry's tables, with the rights of the
 * extension's owner; %s in it stands for the qualified schema (any number of
 * times).  Returns SPI_processed; with SPI connected by the caller, the
 * result is in SPI_tuptable.
 */
extern uint64 es_registry_execute(const EsStore *store, const char *sql,
								  int nargs, Oid *types, Datum *values,
								  const char *nulls);

/* ---------- args.c ---------- */

/* Raises 22023: an argument is not as it must be. */
extern void es_arg_raise(const char *name, const char *problem,
						 const char *hint);

/* Returns a projection's name; raises an error if it cannot be one. */
extern char *es_arg_projection_name(FunctionCallInfo fcinfo, int argument);

/*
 * These return false, or NULL, for NULL, and raise 22023 for a value that
 * cannot be: an array of texts with NULLs, a number out of range, a word that
 * is neither of two.
 */
extern bool es_arg_texts(FunctionCallInfo fcinfo, int argument,
						 const char *name, bool may_be_empty, Datum *value);
extern bool es_arg_number(FunctionCallInfo fcinfo, int argument,
						  const char *name, int32 minimum, int32 maximum,
						  Datum *value);
extern const char *es_arg_word(FunctionCallInfo fcinfo, int argument,
							   const char *name, const char *first,
							   const char *second);

/* Name of the state table that goes with a view's table */
extern char *es_view_state_name(const char *table);

/*
 * Returns false while a session that restores a dump has put projections into
 * the registry: the tables that they write may not be there yet.  Otherwise
 * none can begin to before this transaction ends.
 */
extern bool es_registry_is_complete(void);

/* ---------- checkpoint.c ---------- */

typedef struct EsCheckpoint
{
	int64		position;
	int64		events;			/* applied so far */
	int64		batches;
	TimestampTz applied_at;		/* 0: never */
} EsCheckpoint;

/*
 * Reads the newest checkpoint of a task; returns false when there is none.
 * Needs an active snapshot.
 */
extern bool es_checkpoint_read(const EsStore *store, int32 projection_id,
							   int partition, EsCheckpoint *checkpoint);

/*
 * Writes a checkpoint.  The task's lock must be held.
 */
extern void es_checkpoint_write(const EsStore *store, int32 projection_id,
								int partition, const EsCheckpoint *checkpoint);

/* Deletes all checkpoints of a projection. */
extern void es_checkpoint_delete(const EsStore *store, int32 projection_id);

/* ---------- batch.c ---------- */

/*
 * Reads the next events behind a position, up to a position and up to a number
 * of matching events (and a multiple of it of others).
 *
 * Only those of the task's partition, and that pass the projection's filter.
 * Needs a transaction with an active snapshot, which must see `upto`.
 * The batch lives in the current memory context; end it with es_batch_end.
 */
extern EsBatch *es_batch_read(const EsStore *store,
							  const EsProjection *projection, int partition,
							  int64 after, int64 upto, int64 max_events);

/*
 * Begins a batch that the caller fills, and adds rows to it: of es_log, or an
 * event as it stands in es_events.  The latter returns false when the
 * projection does not take it.
 */
extern EsBatch *es_batch_begin(const EsStore *store);
extern void es_batch_add(EsBatch *batch, TupleTableSlot *row);
extern bool es_batch_add_event(EsBatch *batch, const EsProjection *projection,
							   int partition, TupleTableSlot *event,
							   int64 position, TimestampTz committed_at);

/*
 * Makes a part of a batch, the rows first to before last, counted from 0.
 * after and upto are set so that the parts put together are the batch.
 */
extern EsBatch *es_batch_slice(EsBatch *batch, int64 first, int64 last);

/*
 * Fills *upcast with the batch as the projection takes it: events upcast, those
 * left out whose types it does not take.  Raises errors of upcasters.
 * nevents is the number of rows; end it with tuplestore_end.
 */
extern void es_batch_upcast(const EsStore *store,
							const EsProjection *projection, EsBatch *batch,
							EsBatch *upcast);

extern void es_batch_end(EsBatch *batch);

/* Row type of es_log; lives as long as this process does not forget it. */
extern TupleDesc es_batch_tupdesc(const EsStore *store);

/*
 * Makes the batch visible as es_log to statements of the current SPI
 * connection, until SPI_finish.  NULL: an empty one, to prepare statements
 * with.
 */
extern void es_batch_register(const EsStore *store, EsBatch *batch);

/* ---------- apply.c ---------- */

/*
 * What is needed to leave the identity of a projection.
 */
typedef struct EsRunAs
{
	Oid			userid;
	int			sec_context;
	int			guc_level;
} EsRunAs;

/*
 * Becomes the projection's owner, with its settings (search_path, TimeZone,
 * ...) in a security-restricted operation; and back.  After an error
 * PostgreSQL goes back by itself at the end of the (sub)transaction.
 *
 * Raises 42704 when the owner is not there any more, and 42501 when he may not
 * read the log.
 */
extern void es_run_as(const EsStore *store, const EsProjection *projection,
					  EsRunAs *saved);
extern void es_run_as_end(const EsRunAs *saved);

/*
 * Runs the projection over a batch: as its owner, with its settings, all
 * triggers fired.  Needs a transaction; raises what the SQL raises.
 */
extern void es_apply(const EsStore *store, EsProjection *projection,
					 EsBatch *batch);

/*
 * Prepares the projection's SQL as its owner without running it: raises what
 * is wrong with it, missing rights too.  For those who create and change.
 */
extern void es_apply_check(const EsStore *store, EsProjection *projection);

/*
 * Raises an error when a projection's SQL calls a function that runs
 * projections.
 */
extern void es_apply_refuse_nested(const char *function);

/*
 * Called for each kind by es_apply, as the owner and with SPI connected.  check
 * prepares and checks, run runs; both keep what they prepare in
 * projection->prepared.
 */
typedef struct EsKindRoutine
{
	void		(*check) (const EsStore *store, EsProjection *projection);
	void		(*run) (const EsStore *store, EsProjection *projection,
						EsBatch *batch);
} EsKindRoutine;

extern const EsKindRoutine es_statement_routine;
extern const EsKindRoutine es_view_routine;
extern const EsKindRoutine es_handler_routine;
extern const EsKindRoutine es_refresh_routine;

/* ---------- refresh.c ---------- */

/*
 * Returns from when on a projection may run: what refreshes a materialized view
 * rests between two refreshes.
 */
extern TimestampTz es_refresh_due(const EsProjection *projection,
								  const EsCheckpoint *checkpoint);

/* ---------- statement.c ---------- */

/*
 * Prepares a statement for good; the caller keeps the plan and frees it with
 * SPI_freeplan.
 */
extern SPIPlanPtr es_prepare_statement(const char *sql, int nargs, Oid *types);

/* Runs it; what it returns is thrown away. */
extern void es_run_statement(SPIPlanPtr plan, Datum *values,
							 const char *nulls);
extern void es_run_statement_params(SPIPlanPtr plan, ParamListInfo params);

/*
 * Runs one command as the current user, and throws away what it returns.  Needs
 * no SPI connection, and leaves nothing in memory.
 */
extern void es_run_command(const char *sql);

/* Raises an error unless the current user may do what the statement does. */
extern void es_check_statement(SPIPlanPtr plan);

/* ---------- views.c ---------- */

/*
 * Returns the SELECT that reads what a view's projection takes from the log:
 * behind position $1, up to position $2.
 */
extern char *es_view_source(const EsStore *store,
							const EsProjection *projection);

/*
 * Analyzes a view's query, as the current user and with the current settings:
 * call es_run_as before.
 */
extern EsView *es_view_of(const EsStore *store, const EsProjection *projection);

/*
 * Raises 0A000 for a view that cannot be split so, or cannot be inline.
 */
extern void es_view_check_mode(const EsView *view, const char *name, int partitions,
						  bool is_inline);

/* ---------- task.c ---------- */

/*
 * Takes the lock of a task to the end of the transaction: nobody else runs it.
 * Without wait returns false if somebody does.
 */
extern bool es_task_lock(int32 projection_id, int partition, bool wait);

/* The same for all tasks of a projection, in order. */
extern void es_task_lock_all(const EsProjection *projection);

/* Last position of the log, as it is now; needs no snapshot. */
extern int64 es_task_head(const EsStore *store);

/* How many events a batch of the projection may have */
extern int64 es_task_batch_size(const EsProjection *projection);

typedef enum EsTaskResult
{
	ES_TASK_IDLE,				/* there was nothing to do */
	ES_TASK_APPLIED,			/* a batch was worked off */
	ES_TASK_BUSY,				/* somebody else runs it */
	ES_TASK_FAILED,				/* the batch failed; see retry_at.  Events of it
								 * may be applied */
	ES_TASK_RESTING				/* paused, failed, waits for retry_at, inline,
								 * or gone */
} EsTaskResult;

typedef struct EsTaskProgress
{
	int64		position;		/* where it is now */
	int64		head;			/* of the log, as the step saw it */
	int64		events;			/* applied by this step */
	TimestampTz retry_at;		/* FAILED, RESTING: when to try again, or
								 * DT_NOEND */
} EsTaskProgress;

/*
 * Works off one batch of a task, in the current transaction, and moves its
 * checkpoint.  An error of the projection's SQL is caught: it is rolled back,
 * noted in es_projection_failures, and dealt with by its policy.
 *
 * Needs a transaction in which es_catalog_lock_store was called, READ
 * COMMITTED, without an active snapshot of the caller's that must see the
 * result.  The task's lock is held until the transaction ends.
 */
extern EsTaskResult es_task_step(const EsStore *store, int32 projection_id,
								 int partition, EsTaskProgress *progress);

/*
 * Applies a batch in a subtransaction.  Returns NULL, or the error, after
 * everything was rolled back; raises it when it is the cancel request of a
 * session that runs projections by hand.
 */
extern ErrorData *es_task_try(const EsStore *store, EsProjection *projection,
							  EsBatch *batch);

/*
 * Works off everything up to a position at once, in as large batches as make
 * sense, in the current transaction; raises the errors of the projection's
 * SQL.  The task's lock must be held.  Returns the number of events.
 */
extern int64 es_task_catch_up(const EsStore *store, EsProjection *projection,
							  int partition, int64 upto);

/* ---------- mode.c ---------- */

/*
 * To be called before a mode is changed and before anything is written: waits
 * for the sequencer.  One that has just been started makes a replication slot,
 * and waits itself for transactions that have written.
 */
extern void es_mode_prepare(const EsStore *store);

/*
 * Makes an async projection inline, in this transaction: locks es_events
 * against appends, waits until all events have their positions, and works
 * them off.  The caller locks the store before, and looks the projection up
 * again after: its struct is another one.
 *
 * Raises 55000 when this transaction has appended, or events have no positions
 * and no sequencer is there to give them any; 0A000 for a projection that
 * cannot be inline; 42501 when its owner may not have inline projections.
 */
extern void es_mode_set_inline(const EsStore *store, EsProjection *projection);

/* Makes an inline projection async; the same holds. */
extern void es_mode_set_async(const EsStore *store, EsProjection *projection);

/*
 * Locks es_events against appends to the end of the transaction: nobody runs
 * an inline projection, or knows it as it was.
 */
extern void es_mode_lock_appends(const EsStore *store);

/*
 * After that, waits until all events have their positions; returns the last
 * position.  Raises 55000 when they have none and nobody gives them any.
 */
extern int64 es_mode_final_head(const EsStore *store);

/*
 * Raises an error when this transaction has appended: its events get their
 * positions when it commits only.
 */
extern void es_mode_check_transaction(const char *what);

/*
 * Raises an error unless the projection's owner may have inline projections.
 */
extern void es_mode_check_owner(const EsStore *store,
								const EsProjection *projection);

/* ---------- failure.c ---------- */

typedef enum EsFailureOutcome
{
	ES_FAILURE_NOTED,			/* in es_projection_failures; nothing is
								 * applied */
	ES_FAILURE_MOVED,			/* the same, but the events before the one that
								 * fails are applied */
	ES_FAILURE_OVERCOME			/* the batch is dealt with: applied, or events
								 * of it are dead letters */
} EsFailureOutcome;

typedef struct EsFailureResult
{
	int64		upto;			/* MOVED, OVERCOME: where the checkpoint is to be */
	int64		events;			/* applied */
	TimestampTz retry_at;		/* NOTED, MOVED: DT_NOEND is never */
	ErrorData  *error;
	int64		bad_position;	/* 0: not known */
} EsFailureResult;

/*
 * Decides what becomes of a batch that has failed, after the rollback of its
 * subtransaction.  May put another batch in the place of *batch, which begins
 * at the same position.
 */
extern EsFailureOutcome es_failure_handle(const EsStore *store,
										  EsProjection *projection,
										  EsBatch **batch, ErrorData *error,
										  EsFailureResult *result);

/*
 * Have all of these dead letters the same error, one that the events are
 * hardly the cause of?
 */
extern bool es_failure_is_common(List *dead);

/*
 * Looks whether a task waits for another try, or has failed for good.
 */
extern bool es_failure_is_resting(const EsStore *store, int32 projection_id,
								  int partition, TimestampTz *retry_at);

/* Forgets the failure of a task; cheap if there is none. */
extern void es_failure_clear(const EsStore *store, int32 projection_id,
							 int partition);

/* ---------- dead_letter.c ---------- */

/*
 * An event that fails.
 */
typedef struct EsDeadLetter
{
	int			partition;
	int64		position;
	char	   *tenant;
	char	   *stream;
	int64		version;
	char	   *event_type;
	ErrorData  *error;
} EsDeadLetter;

/* Makes one of the first event of a batch. */
extern EsDeadLetter *es_dead_letter_make(EsBatch *batch, ErrorData *error);

/* Writes a list of them; what is there already has failed once more. */
extern void es_dead_letters_write(const EsStore *store,
								  const EsProjection *projection,
								  List *letters);

/* Has the projection's newest dead letter this error, too? */
extern bool es_dead_letter_is_repeated(const EsStore *store,
									   const EsProjection *projection,
									   int code);

/* ---------- report.c ---------- */

/*
 * A row of es_projection_failures.
 */
typedef struct EsFailure
{
	int			attempts;
	bool		failed;			/* is not tried any more */
	char	   *code;			/* SQLSTATE */
	char	   *message;
	int64		first_position;
	int64		last_position;
} EsFailure;

/*
 * Reads the failure of a task; of any task of the projection with a partition
 * of -1.  Returns false if there is none.  Strings are in the current memory
 * context.
 */
extern bool es_failure_read(const EsStore *store, int32 projection_id,
							int partition, EsFailure *failure);

/*
 * Shows in es_projections how far a build or rebuild by this session is, until
 * the transaction ends, and every few seconds in the log.  To be called often;
 * first with done = 0.  Cheap, and can be called from within a scan.
 */
extern void es_task_report_progress(const EsProjection *projection, int64 done,
									int64 total);

/* ---------- inline.c ---------- */

/* Registers the hook of the appends. */
extern void es_inline_init(void);

/*
 * Runs a projection that is about to become inline over the events that this
 * transaction has appended: the projection itself did, catching up.
 */
extern void es_inline_take_over(const EsStore *store,
								EsProjection *projection);

/* ---------- pool.c ---------- */

/* Main function of a projection worker */
extern PGDLLEXPORT void es_projection_main(Datum main_arg);

#endif							/* ES_PROJECTION_PROJECTION_H */
