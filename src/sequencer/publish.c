/*-------------------------------------------------------------------------
 *
 * publish.c
 *	  From commits to rows of es_commits.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/guc.h"
#include "core/locks.h"
#include "core/names.h"
#include "sequencer/sequencer.h"

/* Every so many batches the sequencer looks back at them: pages are pruned while
 * there is room for a tenth left on them, which is some eight rows. */
#define LOOK_BACK_EVERY		4

void
es_publish_check_flag(void)
{
	/*
	 * With this flag set, other sessions leave us out of their snapshots, take
	 * our rows for those of an aborted transaction, and say so in the row, for
	 * ever.
	 */
	if ((MyProc->statusFlags & PROC_IN_LOGICAL_DECODING) != 0)
		elog(ERROR, "sequencer is about to write while it is marked as decoding");
}

void
es_publish_begin(EsSequencer *seq)
{
	EsStore		store;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	es_publish_check_flag();
	if (!es_catalog_lock_store(&store) ||
		memcmp(&store.key, &seq->store.key, sizeof(store.key)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("event store was dropped while its sequencer was at work")));
	seq->store = store;
	es_worker_relax_commit();
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
es_publish_commit(EsSequencer *seq)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	seq->written_lsn = XactLastCommitEnd;
	MemoryContextReset(seq->batch_context);
	pgstat_report_stat(false);
}

void
es_publish_progress(EsSequencer *seq)
{
	EsWorkerSlot *slot = seq->slot;
	XLogRecPtr	lsn = es_wal_position(seq->wal);
	bool		moved;

	if (slot == NULL)
		return;
	if (es_wal_queue_length(seq->wal) > 0)
		lsn = es_wal_peek(seq->wal, 0)->end_lsn - 1;
	if (seq->min_copied_tx != 0)
		lsn = Min(lsn, seq->copied_lsn - 1);

	moved = pg_atomic_read_u64(&slot->head) != (uint64) seq->tail.head;
	if (!moved &&
		pg_atomic_read_u64(&slot->sequenced_lsn) == lsn)
		return;
	pg_atomic_write_u64(&slot->head, (uint64) seq->tail.head);
	pg_atomic_write_u64(&slot->sequenced_lsn, lsn);
	if (moved)
		es_worker_tell_of_head(slot);
	else
		ConditionVariableBroadcast(&slot->changed);
}

/*
 * Returns how many commits at the beginning of the queue can be published:
 * those before the first one whose transaction still runs for others.
 */
static int
count_publishable(EsSequencer *seq, Snapshot snapshot)
{
	int			n = es_wal_queue_length(seq->wal);
	int			i;

	for (i = 0; i < n; i++)
	{
		if (XidInMVCCSnapshot(es_wal_peek(seq->wal, i)->xid, snapshot))
			break;
	}
	return i;
}

/*
 * Was the transaction given its positions by healing?
 */
static bool
already_sequenced(const EsSequencer *seq, const EsDecodedCommit *commit)
{
	if (commit->end_lsn <= seq->resume_lsn)
		return true;
	return commit->message.tx <= seq->row.healed_tx &&
		es_ledger_find(&seq->store, GetActiveSnapshot(), commit->message.tx,
					   NULL, NULL);
}

/*
 * Tells listeners of the new head.
 */
static void
notify(const EsSequencer *seq)
{
	char		payload[32];

	if (!es_guc_notify)
		return;
	snprintf(payload, sizeof(payload), "%lld", (long long) seq->tail.head);
	Async_Notify(ES_EXTENSION_NAME, payload);
}

/*
 * Notes that a batch was written, for es_sequencer.
 */
static void
count_batch(EsSequencer *seq, int64 events)
{
	EsWorkerSlot *slot = seq->slot;

	seq->events += events;
	if (slot == NULL)
		return;
	LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
	slot->batches++;
	slot->events += events;
	slot->last_batch_at = GetCurrentTimestamp();
	LWLockRelease(es_worker_lock());
}

/*
 * Notes that events were copied that may lack positions, once.
 */
static void
note_copies(EsSequencer *seq, const EsDecodedCommit *commit)
{
	if (commit->message.max_copied_tx == 0 ||
		commit->end_lsn <= seq->noted_lsn)
		return;

	seq->noted_lsn = commit->end_lsn;
	if (seq->min_copied_tx == 0)
	{
		seq->min_copied_tx = commit->message.min_copied_tx;
		seq->copied_lsn = commit->end_lsn;
		seq->copied_at = GetCurrentTimestamp();
	}
	seq->min_copied_tx = Min(seq->min_copied_tx, commit->message.min_copied_tx);
	seq->max_copied_tx = Max(seq->max_copied_tx, commit->message.max_copied_tx);
}

/*
 * Takes the commits of the queue that can be published together, at most n,
 * into an array; returns their number and sets *taken to how many of the queue
 * are dealt with by that.
 *
 * Copies end a batch: what was copied must have positions before what came
 * after it.
 */
static int
collect(EsSequencer *seq, int n, EsCommit *commits, int *taken)
{
	int			ncommits = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		const EsDecodedCommit *decoded = es_wal_peek(seq->wal, i);
		EsCommit   *commit = &commits[ncommits];

		note_copies(seq, decoded);
		if (decoded->message.tx == 0 || already_sequenced(seq, decoded))
			continue;
		if (seq->min_copied_tx != 0)
			break;
		commit->tx = decoded->message.tx;
		commit->nevents = decoded->message.nevents;
		commit->committed_at = decoded->committed_at;
		commit->end_lsn = decoded->end_lsn;
		ncommits++;
	}
	*taken = i;
	return ncommits;
}

/*
 * Reads the newest rows of the ledger.
 *
 * What matters is that they are met: rows that were put together are pruned
 * from their pages then, and their index entries marked, so that the next ones
 * find room there without a vacuum.
 */
static void
look_back(EsSequencer *seq)
{
	EsLedgerTail tail;

	es_ledger_read_tail(&seq->store, GetActiveSnapshot(), &tail);
}

/*
 * Writes one batch; returns how many commits of the queue are left of the n
 * that can be published.
 */
static int
publish_batch(EsSequencer *seq, int n)
{
	MemoryContext old_context = MemoryContextSwitchTo(seq->batch_context);
	EsCommit   *commits = palloc(n * sizeof(EsCommit));
	int64		old_head = seq->tail.head;
	XLogRecPtr	last_lsn;
	int			taken;
	int			ncommits;

	if (++seq->batches % LOOK_BACK_EVERY == 0)
		look_back(seq);
	ncommits = collect(seq, n, commits, &taken);
	last_lsn = taken > 0 ? es_wal_peek(seq->wal, taken - 1)->end_lsn : 0;
	if (ncommits > 0)
	{
		es_ledger_append(&seq->store, &seq->tail, commits, ncommits);
		(void) es_ledger_tidy(&seq->store, &seq->tail);
		notify(seq);
	}
	MemoryContextSwitchTo(old_context);
	es_publish_commit(seq);

	es_wal_take(seq->wal, taken);
	seq->resume_lsn = Max(seq->resume_lsn, last_lsn);
	seq->last_batch = ncommits;
	if (ncommits > 0)
		count_batch(seq, seq->tail.head - old_head);
	return n - taken;
}

bool
es_publish(EsSequencer *seq)
{
	int			n = 0;

	if (es_wal_queue_length(seq->wal) > 0)
	{
		es_publish_begin(seq);
		n = count_publishable(seq, GetActiveSnapshot());
		for (;;)
		{
			if (n == 0)
			{
				es_publish_commit(seq);
				break;
			}
			n = publish_batch(seq, n);
			if (n == 0)
				break;
			es_publish_copies(seq, true);
			es_publish_begin(seq);
		}
	}
	es_publish_progress(seq);
	return es_wal_queue_length(seq->wal) > 0;
}

/*
 * Does a session that has copied events still live?
 */
static bool
copiers_are_left(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, ES_LOCK_COPIERS);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, ExclusiveLock, false);
	return false;
}

/*
 * Is it time to give positions to the copies?
 *
 * A dump brings the ledger along, a subscription may: it must not be forestalled.
 */
static bool
copies_are_ripe(const EsSequencer *seq)
{
	return TimestampDifferenceExceeds(seq->copied_at, GetCurrentTimestamp(),
									  es_guc_sequencer_nap_time) &&
		!copiers_are_left();
}

/*
 * Reads the tail of the ledger, to which somebody may have restored rows.  Then
 * notes that the slot goes on behind them.
 */
static void
adopt_restored_ledger(EsSequencer *seq)
{
	int64		old_head = seq->tail.head;

	es_ledger_read_tail(&seq->store, GetActiveSnapshot(), &seq->tail);
	if (seq->tail.head == old_head)
		return;
	seq->row.since_position = seq->tail.head + 1;
	seq->row.start_lsn = seq->resume_lsn;
	es_state_write(&seq->store, &seq->row);
}

void
es_publish_copies(EsSequencer *seq, bool force)
{
	int64		events;
	int64		greatest = 0;

	if (seq->min_copied_tx == 0)
		return;

	es_publish_begin(seq);
	if (!force && !copies_are_ripe(seq))
	{
		es_publish_commit(seq);
		return;
	}

	/* Whoever restores the ledger at this moment finishes first. */
	LockRelationOid(seq->store.commits, ShareRowExclusiveLock);
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
	adopt_restored_ledger(seq);

	events = es_heal(&seq->store, &seq->tail, seq->min_copied_tx,
					 seq->max_copied_tx, seq->resume_lsn, &greatest);
	if (greatest > seq->row.healed_tx)
	{
		seq->row.healed_tx = greatest;
		es_state_write(&seq->store, &seq->row);
	}
	if (events > 0)
	{
		/* Made again after a crash, they might get another order. */
		ForceSyncCommit();
		notify(seq);
	}
	es_publish_commit(seq);
	seq->min_copied_tx = seq->max_copied_tx = 0;
	if (events > 0)
		count_batch(seq, events);
	es_publish_progress(seq);
}
