/*-------------------------------------------------------------------------
 *
 * xact.c
 *	  What an appending transaction has to remember: its tx and ordinals.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  tx is taken from the sequence at the first append of the transaction and
 *	  kept to its end, also when the subtransaction that took it rolls back.
 *	  Ordinals must have no holes: a subtransaction that rolls back gives its
 *	  ordinals back.  To that end the first append of each subtransaction
 *	  saves the ordinal that it starts with on a stack; a subtransaction that
 *	  appends nothing costs nothing.
 *
 *	  Just before the commit, or PREPARE TRANSACTION, a logical message tells
 *	  the sequencer what the transaction has appended; after the commit the
 *	  sequencer is woken.
 *
 *	  PREPARE TRANSACTION ends the transaction as far as this file is
 *	  concerned: the prepared one can append no more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "storage/lock.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "core/compat.h"
#include "core/locks.h"
#include "decode/wire.h"
#include "log/log.h"
#include "worker/worker.h"

bool		es_xact_replaying = false;

typedef struct SavedOrdinal
{
	int			level;			/* nesting level of the subtransaction */
	int32		ordinal;		/* next ordinal when it began to append */
	int32		projected;		/* projected_ordinal at that time */
} SavedOrdinal;

static int64 current_tx = 0;	/* 0: no append yet */
static Oid	tx_sequence = InvalidOid;	/* where it came from */
static int32 next_ordinal = 0;
static int32 verified_ordinal = 0;	/* all before it are known to be stored */
static int32 projected_ordinal = 0; /* the hook has dealt with all before it */

/* Greatest tx among the events copied, 0 if none, and whose it must not be */
static int64 copied_tx = 0;
static Oid	copied_sequence = InvalidOid;

/* For the sequencer: the store's key, the tx copied, and has it been told? */
static pg_uuid_t store_key;
static int64 min_told_copy = 0;
static int64 max_told_copy = 0;
static bool told = false;

/* Levels ascend.  Allocated once and kept, in TopMemoryContext. */
static SavedOrdinal *saved = NULL;
static int	saved_used = 0;
static int	saved_size = 0;

/*
 * Saves the ordinals before the first append of this nesting level.
 */
static void
save_ordinal(void)
{
	int			level = GetCurrentTransactionNestLevel();

	if (level == 1 ||
		(saved_used > 0 && saved[saved_used - 1].level >= level))
		return;

	if (saved_used == saved_size)
	{
		int			size = Max(16, saved_size * 2);

		if (saved == NULL)
			saved = MemoryContextAlloc(TopMemoryContext,
									   size * sizeof(SavedOrdinal));
		else
			saved = repalloc(saved, size * sizeof(SavedOrdinal));
		saved_size = size;
	}
	saved[saved_used].level = level;
	saved[saved_used].ordinal = next_ordinal;
	saved[saved_used].projected = projected_ordinal;
	saved_used++;
}

/*
 * Returns the last number that a sequence gave out, 0 if none; with wanted >
 * 0, moves it to that number if it is behind.
 *
 * As the owner of the sequence: whoever may copy events need not own it.
 */
static int64
advance_sequence(Oid sequence, int64 wanted)
{
	LOCAL_FCINFO(fcinfo, 1);
	Relation	rel;
	Oid			save_userid;
	int			save_sec_context;
	Datum		value;
	int64		last;

	rel = try_relation_open(sequence, AccessShareLock);
	if (rel == NULL)
		return 0;				/* dropped since */
	GetUserIdAndSecContext(&save_userid, &save_sec_context);
	SetUserIdAndSecContext(rel->rd_rel->relowner,
						   save_sec_context | SECURITY_LOCAL_USERID_CHANGE);

	/* NULL until the first nextval() */
	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = ObjectIdGetDatum(sequence);
	fcinfo->args[0].isnull = false;
	value = pg_sequence_last_value(fcinfo);
	last = fcinfo->isnull ? 0 : DatumGetInt64(value);
	if (last < wanted)
		DirectFunctionCall2(setval_oid, ObjectIdGetDatum(sequence),
							Int64GetDatum(wanted));

	SetUserIdAndSecContext(save_userid, save_sec_context);
	relation_close(rel, AccessShareLock);
	return last;
}

bool
es_xact_is_ahead(Oid sequence, int64 tx)
{
	/* A sequence does not go back: what was given out stays given out. */
	static Oid	known_sequence = InvalidOid;
	static int64 known_last = 0;

	if (sequence == known_sequence && tx <= known_last)
		return false;
	known_sequence = sequence;
	known_last = advance_sequence(sequence, 0);
	return tx > known_last;
}

void
es_xact_settle_copies(void)
{
	int64		wanted = copied_tx;

	copied_tx = 0;
	if (wanted > 0)
		(void) advance_sequence(copied_sequence, wanted);
}

void
es_xact_note_copy(Oid sequence, int64 tx)
{
	if (copied_sequence != sequence)
		es_xact_settle_copies();
	copied_sequence = sequence;
	copied_tx = Max(copied_tx, tx);
}

/*
 * Makes sure that the transaction has a tx of the store's sequence.
 */
static void
take_tx(const EsStore *store)
{
	Oid			sequence = store->tx_sequence;

	if (current_tx != 0 && tx_sequence == sequence)
		return;

	if (next_ordinal > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot append to a store that was created anew in a transaction that appended to another"),
				 errhint("Commit first.")));
	es_xact_settle_copies();
	current_tx = nextval_internal(sequence, false);
	tx_sequence = sequence;
	store_key = store->key;
}

/*
 * Leaves the message for the sequencer in the WAL, if there is anything to
 * tell.  A later message of the transaction replaces it.
 */
static void
tell_sequencer(void)
{
	EsWireMessage message;
	char		buffer[ES_WIRE_SIZE];

	if ((next_ordinal == 0 && max_told_copy == 0) || !XLogLogicalInfoActive())
		return;

	message.tx = next_ordinal > 0 ? current_tx : 0;
	message.nevents = next_ordinal;
	message.min_copied_tx = min_told_copy;
	message.max_copied_tx = max_told_copy;
	es_wire_encode(&message, &store_key, buffer);
	log_logical_message_compat(ES_WIRE_PREFIX, buffer, sizeof(buffer), true);
	told = true;
	es_worker_prepare_request(ES_REQUEST_SOON);
}

/*
 * Lets the sequencer know, until this session ends, that more copies may come:
 * a dump is restored in several transactions.  Those of a subscription are
 * complete.
 */
static void
become_copier(void)
{
	LOCKTAG		tag;

	if (IsLogicalWorker())
		return;
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, ES_LOCK_COPIERS);
	if (!lock_held_by_me_compat(&tag, ShareLock))
		(void) LockAcquire(&tag, ShareLock, true, false);
}

void
es_xact_tell_copy(const EsStore *store, int64 tx)
{
	if (max_told_copy == 0)
	{
		become_copier();
		store_key = store->key;
		min_told_copy = tx;
	}
	min_told_copy = Min(min_told_copy, tx);
	max_told_copy = Max(max_told_copy, tx);
}

EsPlace
es_xact_take_places(const EsStore *store, int n, bool stored)
{
	EsPlace		place;

	if (es_xact_replaying)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("events cannot be appended while a projection is rebuilt"),
				 errdetail("It reads events again that it has seen, and would append again what it has appended."),
				 errhint("Give what appends a projection of its own, which is never rebuilt.")));
	take_tx(store);
	if (next_ordinal > PG_INT32_MAX - n)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many events in one transaction"),
				 errdetail("A transaction can append %d events.", PG_INT32_MAX)));

	save_ordinal();
	place.tx = current_tx;
	place.ordinal = next_ordinal;
	if (stored && verified_ordinal == next_ordinal)
		verified_ordinal += n;
	next_ordinal += n;

	/* Another extension appends while the transaction commits. */
	if (told)
		tell_sequencer();
	return place;
}

bool
es_xact_unverified(int64 *tx, int32 *from, int32 *to)
{
	*tx = current_tx;
	*from = verified_ordinal;
	*to = next_ordinal;
	return verified_ordinal < next_ordinal;
}

void
es_xact_set_verified(void)
{
	verified_ordinal = next_ordinal;
}

bool
es_xact_unprojected(int64 *tx, int32 *from, int32 *to)
{
	*tx = current_tx;
	*from = projected_ordinal;
	*to = next_ordinal;
	return projected_ordinal < next_ordinal;
}

void
es_xact_set_projected(int32 ordinal)
{
	save_ordinal();
	projected_ordinal = ordinal;
}

bool
es_xact_has_written(void)
{
	return next_ordinal > 0 || max_told_copy > 0;
}

/*
 * Finishes what is left to do before a commit, and forgets everything at the
 * end of a transaction.  Only the former may fail.
 */
static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			es_xact_settle_copies();
			tell_sequencer();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			if (told && event == XACT_EVENT_COMMIT)
			{
				es_worker_appended(XactLastCommitEnd);
				es_worker_send_request();
			}
			else if (told)
				es_worker_cancel_request();
			told = false;
			min_told_copy = 0;
			max_told_copy = 0;
			current_tx = 0;
			copied_tx = 0;
			next_ordinal = 0;
			verified_ordinal = 0;
			projected_ordinal = 0;
			saved_used = 0;
			es_stream_at_end();
			break;
		default:
			break;
	}
}

/*
 * Gives the ordinals of an aborted subtransaction back, or those of a
 * committed one to its parent.  May not fail.
 */
static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (saved_used > 0 && saved[saved_used - 1].level >= level)
		{
			saved_used--;
			next_ordinal = saved[saved_used].ordinal;
			projected_ordinal = saved[saved_used].projected;
		}
		verified_ordinal = Min(verified_ordinal, next_ordinal);
		es_stream_at_subabort(level);

		/* Copies that went with the lock on the table need no more. */
		if (!es_stream_all_locked())
			copied_tx = 0;
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		SavedOrdinal *top = saved_used > 0 ? &saved[saved_used - 1] : NULL;

		if (top != NULL && top->level >= level)
		{
			bool		parent_has_one = saved_used > 1 &&
				saved[saved_used - 2].level >= level - 1;

			if (parent_has_one || level == 2)
				saved_used--;
			else
				top->level = level - 1;
		}
		es_stream_at_subcommit(level);
	}
}

void
es_xact_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
