/*-------------------------------------------------------------------------
 *
 * sequencer.h
 *	  The sequencer: from committed appends in the WAL to positions.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The parts, from the WAL to the ledger:
 *
 *	  slot.c       the replication slot: made, found, dropped
 *	  wal.c        "the next committed appends, in commit order"; the only
 *	               part that knows where they come from
 *	  state.c      es_sequencer_state: which slot, since when
 *	  heal.c       positions for committed events that no WAL tells of
 *	  publish.c    from commits to rows of es_commits, one batch at a time
 *	  sequencer.c  opening, catching up, confirming
 *	  main.c       the worker: setup, loop, exit
 *	  manual.c     es_sequence(): the same by hand
 *	  wait.c       sessions that wait for the sequencer
 *
 *	  What makes it exact:
 *
 *	  1. A batch is one transaction, and its newest row of es_commits tells
 *	     how far the WAL has been worked off (end_lsn).  After a crash commits
 *	     up to there are skipped.  No other progress is stored.
 *
 *	  2. The slot is told to forget WAL only when the rows made from it are
 *	     safely on disk.
 *
 *	  3. A commit record is in the WAL before its transaction is visible.
 *	     Only the commits before the first one that a fresh snapshot still
 *	     shows as running get positions; so whoever sees a position sees its
 *	     event.
 *
 *	  4. Ledger rows may be lost in a crash, because synchronous_commit is off
 *	     for them; reading the same WAL again gives the same positions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_SEQUENCER_SEQUENCER_H
#define ES_SEQUENCER_SEQUENCER_H

#include "catalog/catalog.h"
#include "decode/decode.h"
#include "ledger/ledger.h"
#include "worker/worker.h"

/* ---------- wal.c ---------- */

typedef struct EsWal EsWal;

/*
 * Begins to read through the replication slot that this process has acquired,
 * for the store with the key given.
 *
 * Needs a transaction: a decoding context made outside of one would hide this
 * process from the snapshots of others, and its rows would be taken for those
 * of an aborted transaction.  What is returned lives until es_wal_close().
 */
extern EsWal *es_wal_open(const pg_uuid_t *key);

/*
 * Reads on, until the end of the flushed WAL or until so many commits or bytes
 * of WAL were read; not in a transaction.
 *
 * Returns true at the end of the WAL.  The commits found are added to the
 * queue.  Raises an error when the WAL cannot be read.
 */
extern bool es_wal_read(EsWal *wal, int max_commits, Size max_bytes);

/*
 * The queue: commits in commit order, not yet taken off.
 */
extern int	es_wal_queue_length(const EsWal *wal);
extern const EsDecodedCommit *es_wal_peek(const EsWal *wal, int number);
extern void es_wal_take(EsWal *wal, int count);

/*
 * All WAL before this was read.  The second is the end of the last complete
 * record before it.
 */
extern XLogRecPtr es_wal_position(const EsWal *wal);
extern XLogRecPtr es_wal_end(const EsWal *wal);

/*
 * Tells the server that WAL before lsn is not needed any more.  It remembers
 * that over a crash only if durably is given, or after a checkpoint.
 */
extern void es_wal_confirm(EsWal *wal, XLogRecPtr lsn, bool durably);

extern void es_wal_close(EsWal *wal);

/* ---------- slot.c ---------- */

/*
 * Raises the error PE007 that says why this server can have no global log, if
 * so: wal_level, max_replication_slots.
 */
extern void es_slot_check_requirements(void);

/*
 * Acquires the slot; returns false when there is none of that name that this
 * database could read on with, and says in *why what is wrong.  Waits while
 * another process has it.
 */
extern bool es_slot_acquire(const char *name, const char **why);

/*
 * Makes and acquires a new slot, and begins a REPEATABLE READ transaction that
 * sees exactly the transactions that the slot will not deliver.
 *
 * Not in a transaction.  Waits for all transactions that were running when it
 * began, prepared ones too.  The slot goes away with this process until
 * es_slot_keep().
 */
extern void es_slot_create(NameData *name, XLogRecPtr *start_lsn);
extern void es_slot_keep(void);

/*
 * Drops the slots of the sequencer of this database except the one given
 * (NULL: all of them).  One that another process uses stays.
 */
extern void es_slot_drop_others(const char *keep);

/* ---------- state.c ---------- */

/*
 * A row of es_sequencer_state, without its key.
 */
typedef struct EsSequencerRow
{
	NameData	slot_name;
	XLogRecPtr	start_lsn;		/* all commits up to here are dealt with */
	int64		since_position; /* the slot has given the positions from here on */
	int64		healed_tx;
} EsSequencerRow;

/*
 * Reads the row for this server, database and store; returns false when there
 * is none that makes sense.  Needs a transaction.
 */
extern bool es_state_read(const EsStore *store, EsSequencerRow *row);

/* Writes it. */
extern void es_state_write(const EsStore *store, const EsSequencerRow *row);

/* ---------- heal.c ---------- */

/*
 * Gives positions to the transactions that the transaction's snapshot sees, whose tx
 * lies in the range, and that the ledger lacks, in an order in which no stream
 * runs backwards.
 *
 * Needs a transaction with an active snapshot.  Moves *tail, sets *max_tx to
 * the greatest tx among them (unchanged if there are none) and returns the
 * number of events.
 */
extern int64 es_heal(const EsStore *store, EsLedgerTail *tail, int64 min_tx,
					 int64 max_tx, XLogRecPtr end_lsn, int64 *greatest_tx);

/* ---------- publish.c ---------- */

/*
 * A sequencer at work.
 */
typedef struct EsSequencer
{
	EsWorkerSlot *slot;			/* NULL without shared memory */
	EsStore		store;
	EsSequencerRow row;
	EsWal	   *wal;
	EsLedgerTail tail;
	XLogRecPtr	resume_lsn;		/* commits up to here are in the ledger */
	XLogRecPtr	written_lsn;	/* where the commit of the last batch ends */
	XLogRecPtr	confirmed_lsn;	/* what the slot was told last */
	TimestampTz state_written_at;
	int64		min_copied_tx;	/* copies that may lack positions; 0: none */
	int64		max_copied_tx;
	XLogRecPtr	copied_lsn;		/* where the commit of the first of them ends */
	TimestampTz copied_at;		/* when it was met */
	XLogRecPtr	noted_lsn;		/* copies of commits up to here are in there */
	int64		events;			/* sequenced by this process */
	uint64		batches;		/* written by it */
	int			last_batch;		/* number of commits in the last one */
	MemoryContext batch_context;	/* reset after each batch */
} EsSequencer;

/*
 * Gives positions to the commits of the queue that are visible, in one
 * transaction.
 *
 * Not in a transaction.  Returns true when commits are left over because
 * their transactions still run.
 */
extern bool es_publish(EsSequencer *seq);

/*
 * Gives positions to copied events, unless those who copy are not ready yet.
 * With force they are not asked.
 */
extern void es_publish_copies(EsSequencer *seq, bool force);

/*
 * Raises an error if what this process writes would be lost.  To be called
 * before each writing transaction writes.
 */
extern void es_publish_check_flag(void);

/*
 * Begins and ends a transaction that writes.
 */
extern void es_publish_begin(EsSequencer *seq);
extern void es_publish_commit(EsSequencer *seq);

/* Tells waiting sessions how far the log is. */
extern void es_publish_progress(EsSequencer *seq);

/* ---------- sequencer.c ---------- */

/*
 * Finds the store and the slot of this database, heals if need be, and makes
 * *seq ready to read.  Returns false when there is no store.
 *
 * Not in a transaction.  Takes the lock that makes this process the only
 * sequencer of the database, to its end, and waits for it.
 */
extern bool es_sequencer_open(EsSequencer *seq, EsWorkerSlot *slot);

/*
 * What is left to do after a step.
 */
typedef enum EsStepResult
{
	ES_STEP_DONE,				/* everything in the flushed WAL is worked off */
	ES_STEP_MORE,				/* there is more WAL to read */
	ES_STEP_LEFT_OVER			/* commits wait until they are visible */
} EsStepResult;

/*
 * Reads WAL for one batch and publishes it.
 */
extern EsStepResult es_sequencer_step(EsSequencer *seq);

/*
 * Lets the slot forget the WAL that is worked off, as far as the ledger is on
 * disk.  Where the ledger does not tell how far that is, because nobody has
 * appended, the state is written first, at most so often as is worth it; with
 * now, in any case.  Not in a transaction.
 */
extern void es_sequencer_confirm(EsSequencer *seq, bool now);

/*
 * Drops the slots of a store that is not there any more.  The slot that this
 * process has acquired is released before.
 */
extern void es_sequencer_clean_up(void);

/* ---------- main.c ---------- */

/*
 * Makes a new background process ready to be a sequencer: signals, the
 * connection, settings that must be so.
 */
extern void es_sequencer_start_process(Oid database_oid);

/* Main functions of the worker, and of the helper of es_sequence() */
extern PGDLLEXPORT void es_sequencer_main(Datum main_arg);
extern PGDLLEXPORT void es_sequencer_once_main(Datum main_arg);

#endif							/* ES_SEQUENCER_SEQUENCER_H */
