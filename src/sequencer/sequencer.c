/*-------------------------------------------------------------------------
 *
 * sequencer.c
 *	  Opening the log for sequencing, catching up with the WAL, and letting go
 *	  of it.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/guc.h"
#include "core/locks.h"
#include "core/names.h"
#include "sequencer/sequencer.h"

/*
 * While nobody appends, how far the WAL is worked off is written down after so
 * much of it, or so much time (in milliseconds); not for a few records, of
 * which our own are some.
 */
#define PROGRESS_WAL			(16 * 1024 * 1024)
#define PROGRESS_INTERVAL_MS	10000
#define IDLE_WAL				(8 * 1024)

/*
 * Makes this process the one sequencer of the database.
 */
static void
become_sequencer(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, ES_LOCK_SEQUENCER);
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
}

/*
 * Reads where the ledger ends.
 */
static void
read_tail(EsSequencer *seq)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	es_ledger_read_tail(&seq->store, GetActiveSnapshot(), &seq->tail);
	PopActiveSnapshot();
}

/*
 * Makes a new slot, and gives positions to everything that it will not
 * deliver.
 */
static void
heal(EsSequencer *seq, const char *why)
{
	int64		events;
	int64		old_healed_tx = seq->row.healed_tx;

	es_worker_set_state(seq->slot, ES_SEQUENCER_HEALING);

	/* Where that has failed before, the failure is in the log. */
	ereport(seq->slot == NULL || seq->slot->failures == 0 ? LOG : DEBUG1,
			(errmsg("sequencer of database %u makes a new replication slot: %s",
					MyDatabaseId, why),
			 errdetail("Events that have no position get one from the table.")));
	es_slot_drop_others(NULL);
	es_slot_create(&seq->row.slot_name, &seq->row.start_lsn);

	/* in the transaction that began there */
	es_publish_check_flag();
	if (!es_catalog_lock_store(&seq->store))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("event store was dropped while its sequencer was at work")));
	read_tail(seq);
	seq->row.healed_tx = old_healed_tx;
	PushActiveSnapshot(GetTransactionSnapshot());
	events = es_heal(&seq->store, &seq->tail, 1, PG_INT64_MAX - 1,
					 InvalidXLogRecPtr, &seq->row.healed_tx);
	PopActiveSnapshot();
	seq->row.since_position = seq->tail.head + 1;
	es_state_write(&seq->store, &seq->row);
	ForceSyncCommit();
	CommitTransactionCommand();
	es_slot_keep();

	/*
	 * The new slot keeps back all dead rows of the server until it is released
	 * for the first time.
	 */
	ReplicationSlotRelease();
	seq->events += events;
	if (seq->slot != NULL)
	{
		LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
		seq->slot->heals++;
		seq->slot->events += events;
		LWLockRelease(es_worker_lock());
	}
	ereport(LOG,
			(errmsg("sequencer of database %u reads from %X/%X through replication slot \"%s\"",
					MyDatabaseId, LSN_FORMAT_ARGS(seq->row.start_lsn),
					NameStr(seq->row.slot_name)),
			 errdetail("%lld events got their positions from the table; the head is %lld.",
					   (long long) events, (long long) seq->tail.head)));
}

/*
 * Finds out up to where commits are in the ledger.
 */
static bool
set_resume_lsn(EsSequencer *seq)
{
	seq->resume_lsn = seq->row.start_lsn;
	if (seq->tail.head >= seq->row.since_position)
	{
		if (XLogRecPtrIsInvalid(seq->tail.end_lsn))
			return false;
		seq->resume_lsn = Max(seq->resume_lsn, seq->tail.end_lsn);
	}
	return !XLogRecPtrIsInvalid(seq->resume_lsn);
}

/*
 * Says whether state, ledger, WAL and slot agree.
 *
 * The slot may lag behind the ledger, since it is saved lazily, but not behind
 * the state, which is written together with it.  It may not be ahead: then
 * somebody else has moved it, or has made one of its name.  An older row of
 * the ledger may not be ahead of where the slot began.
 */
static bool
state_fits(const EsSequencer *seq)
{
	XLogRecPtr	confirmed = MyReplicationSlot->data.confirmed_flush;

	return seq->resume_lsn <= GetFlushRecPtr(NULL) &&
		seq->row.start_lsn <= confirmed && confirmed <= seq->resume_lsn &&
		seq->row.since_position >= 1 &&
		seq->row.since_position <= seq->tail.head + 1 &&
		(seq->tail.head >= seq->row.since_position ||
		 seq->tail.end_lsn <= seq->row.start_lsn);
}

/*
 * Acquires the slot that is known; says in *why what is wrong if that cannot
 * be, or if it would not go on where the ledger ends.
 */
static bool
resume(EsSequencer *seq, bool known, bool is_new, const char **why)
{
	if (!known)
	{
		*why = "this store has had none on this server";
		return false;
	}
	if (!es_slot_acquire(NameStr(seq->row.slot_name), why))
		return false;

	if (!set_resume_lsn(seq) ||
		(!is_new && !state_fits(seq)))
	{
		*why = "what the store knows of the old one does not fit the ledger, the WAL or the slot";
		ReplicationSlotRelease();
		return false;
	}
	return true;
}

bool
es_sequencer_open(EsSequencer *seq, EsWorkerSlot *slot)
{
	const char *why = NULL;
	bool		known;

	memset(seq, 0, sizeof(*seq));
	seq->slot = slot;
	seq->batch_context = AllocSetContextCreate(TopMemoryContext,
											   "event_store sequencer batch",
											   ALLOCSET_DEFAULT_SIZES);
	StartTransactionCommand();
	if (!es_catalog_lock_store(&seq->store))
	{
		CommitTransactionCommand();
		return false;
	}
	es_slot_check_requirements();
	CommitTransactionCommand();

	/* may wait for another process, which must not wait for us */
	StartTransactionCommand();
	become_sequencer();
	CommitTransactionCommand();

	StartTransactionCommand();
	if (!es_catalog_lock_store(&seq->store))
	{
		CommitTransactionCommand();
		return false;
	}
	known = es_state_read(&seq->store, &seq->row);
	read_tail(seq);
	CommitTransactionCommand();

	if (!resume(seq, known, false, &why))
	{
		heal(seq, why);
		if (!resume(seq, true, true, &why))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("could not use the new replication slot \"%s\": %s",
							NameStr(seq->row.slot_name), why)));
	}
	es_slot_drop_others(NameStr(seq->row.slot_name));

	/* A process for one round: PostgreSQL's lines about it would be noise. */
	if (slot == NULL && log_min_messages < WARNING)
		SetConfigOption("log_min_messages", "warning", PGC_SUSET,
						PGC_S_OVERRIDE);

	StartTransactionCommand();
	seq->wal = es_wal_open(&seq->store.key);
	CommitTransactionCommand();

	if (slot != NULL)
	{
		LWLockAcquire(es_worker_lock(), LW_EXCLUSIVE);
		slot->slot_name = seq->row.slot_name;
		LWLockRelease(es_worker_lock());
		es_worker_set_store(slot, es_catalog_store_id(&seq->store),
							(uint64) seq->tail.head);
	}
	return true;
}

/*
 * Does a session wait for the positions of copies?
 */
static bool
copies_are_wanted(const EsSequencer *seq)
{
	return seq->slot == NULL ||
		pg_atomic_read_u64(&seq->slot->wanted_lsn) >= seq->copied_lsn;
}

EsStepResult
es_sequencer_step(EsSequencer *seq)
{
	bool		at_end;

	at_end = es_wal_read(seq->wal, es_guc_sequencer_batch_transactions,
						 (Size) es_guc_sequencer_batch_wal * 1024);
	if (es_publish(seq))
		return ES_STEP_LEFT_OVER;
	if (!at_end)
		return ES_STEP_MORE;
	if (seq->min_copied_tx != 0)
		es_publish_copies(seq, copies_are_wanted(seq));
	return ES_STEP_DONE;
}

/*
 * Writes to the state how far the WAL is worked off, durably, if that is worth
 * a commit; returns whether it has.
 */
static bool
write_progress(EsSequencer *seq, XLogRecPtr lsn, bool now)
{
	TimestampTz time = GetCurrentTimestamp();

	if (!now && lsn - seq->row.start_lsn < PROGRESS_WAL &&
		!TimestampDifferenceExceeds(seq->state_written_at, time,
									PROGRESS_INTERVAL_MS))
		return false;

	es_publish_begin(seq);
	seq->row.start_lsn = lsn;
	es_state_write(&seq->store, &seq->row);
	ForceSyncCommit();
	es_publish_commit(seq);
	seq->state_written_at = time;
	seq->resume_lsn = lsn;
	return true;
}

void
es_sequencer_confirm(EsSequencer *seq, bool now)
{
	XLogRecPtr	lsn = es_wal_end(seq->wal);
	bool		written = false;

	/*
	 * Copies without positions must be met again after a crash, and rows of
	 * the ledger may be lost in one.
	 */
	if (seq->min_copied_tx != 0 || seq->written_lsn > GetFlushRecPtr(NULL))
		return;

	/* A process that was told to end would not get through a transaction. */
	if (!ProcDiePending && es_wal_queue_length(seq->wal) == 0 &&
		lsn > seq->resume_lsn + IDLE_WAL)
		written = write_progress(seq, lsn, now);
	if (!written)
		lsn = seq->resume_lsn;
	if (lsn > seq->confirmed_lsn && lsn <= es_wal_end(seq->wal))
	{
		es_wal_confirm(seq->wal, lsn, written);
		seq->confirmed_lsn = lsn;
	}
}

void
es_sequencer_clean_up(void)
{
	if (MyReplicationSlot != NULL)
		ReplicationSlotRelease();
	es_slot_drop_others(NULL);
}
