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
#include "commands/extension.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "core/guc.h"
#include "core/locks.h"
#include "core/names.h"
#include "sequencer/sequencer.h"

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
	ereport(LOG,
			(errmsg("sequencer of database %u makes a new replication slot: %s",
					MyDatabaseId, why),
			 errdetail("Events that have no position get one from the table.")));
	es_slot_drop_others(NULL);
	es_slot_create(&seq->row.slot_name, &seq->row.start_lsn);

	/* in the transaction that began there */
	es_publish_check_flag();
	es_catalog_get_store(&seq->store);
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
 * Acquires the slot that is known; says in *why what is wrong if that cannot
 * be, or if it would not go on where the ledger ends.
 */
static bool
resume(EsSequencer *seq, bool known, const char **why)
{
	if (!known)
	{
		*why = "this store has had none on this server";
		return false;
	}
	if (!es_slot_acquire(NameStr(seq->row.slot_name), why))
		return false;

	seq->resume_lsn = seq->tail.first_position >= seq->row.since_position ?
		seq->tail.end_lsn : seq->row.start_lsn;
	if (XLogRecPtrIsInvalid(seq->resume_lsn) ||
		seq->resume_lsn < seq->row.start_lsn ||
		seq->resume_lsn > GetFlushRecPtr(NULL) ||
		seq->row.start_lsn > GetFlushRecPtr(NULL) ||
		seq->row.since_position < 1 ||
		seq->row.since_position > seq->tail.head + 1)
	{
		*why = "what the store knows of the old one does not fit the ledger and the WAL";
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
	if (!OidIsValid(get_extension_oid(ES_EXTENSION_NAME, true)))
	{
		CommitTransactionCommand();
		return false;
	}
	es_slot_check_requirements();
	become_sequencer();
	CommitTransactionCommand();

	StartTransactionCommand();
	es_catalog_get_store(&seq->store);
	known = es_state_read(&seq->store, &seq->row);
	read_tail(seq);
	CommitTransactionCommand();

	if (!resume(seq, known, &why))
	{
		heal(seq, why);
		if (!resume(seq, true, &why))
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
		pg_atomic_write_u64(&slot->head, (uint64) seq->tail.head);
		ConditionVariableBroadcast(&slot->changed);
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

void
es_sequencer_confirm(EsSequencer *seq)
{
	XLogRecPtr	lsn;

	/*
	 * Copies without positions must be met again after a crash, and rows of
	 * the ledger may be lost in one.
	 */
	if (seq->min_copied_tx != 0 || seq->written_lsn > GetFlushRecPtr(NULL))
		return;

	lsn = es_wal_queue_length(seq->wal) > 0 ? seq->resume_lsn :
		es_wal_position(seq->wal);
	if (lsn > seq->confirmed_lsn)
	{
		es_wal_confirm(seq->wal, lsn);
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
