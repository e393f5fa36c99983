/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  The streams that a transaction appends to: their locks and their heads.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A stream is locked by a heavyweight lock on the hash of its name, in a
 *	  class of advisory locks of our own.  Two streams with one hash wait for
 *	  each other, which is harmless.  Whoever holds the lock may trust the
 *	  head he read: a committing transaction leaves the proc array, and its
 *	  events become visible, before it releases its locks.
 *
 *	  Beyond event_store.max_stream_locks streams a transaction locks the table
 *	  against all other writers.  Two that did so at the same time would
 *	  deadlock, as each holds the lock of a writer: the one that comes second
 *	  goes on with locks on single streams, up to twice that number.  Then it
 *	  has to wait all the same, and take the risk, lest the lock table
 *	  overflow.
 *
 *	  Locks belong to the (sub)transaction, never to the portal that happens
 *	  to run: a FETCH that fails takes the locks of its whole cursor along,
 *	  also those of rows that stay.
 *
 *	  The set of a transaction's streams serves three ends: a stream's second
 *	  append needs neither lock nor look-up; the first append of a command is
 *	  visible to the second of the same command; and we know how many locks we
 *	  hold, to turn to a lock on the table before the lock table overflows.
 *
 *	  Entries form a stack, ordered by the subtransaction that locked them:
 *	  an aborting subtransaction, which loses its locks, pops its entries.
 *	  Heads that it advanced in entries of outer levels are on a second stack;
 *	  they are simply forgotten and looked up again when needed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/guc.h"
#include "core/locks.h"
#include "log/log.h"

/* How many more streams a transaction locks until it asks for that again */
#define TABLE_LOCK_INTERVAL	64

/* A hash table that grew beyond this is not kept for the next transaction. */
#define KEEP_TABLE_SIZE		1024

typedef struct StreamSlot
{
	uint64		slot;
	EsStream   *stream;
	char		status;
} StreamSlot;

#define SH_PREFIX		stream_table
#define SH_ELEMENT_TYPE StreamSlot
#define SH_KEY_TYPE		uint64
#define SH_KEY			slot
#define SH_HASH_KEY(tb, key) ((uint32) ((key) ^ ((key) >> 32)))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE		static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

typedef struct AdvancedHead
{
	int			level;			/* nesting level that advanced the head */
	EsStream   *stream;
} AdvancedHead;

/*
 * Where streams ended when this process last appended to them, by hash.
 *
 * Wrong ones do no harm, so that nothing is ever invalidated: an event that was
 * rolled back, other processes' appends and streams with the same place all
 * make a hint too high or too low, and es_events_read_head() is right all the
 * same.
 */
#define N_HINTS		8192

typedef struct HeadHint
{
	uint32		tag;			/* upper half of the hash */
	uint32		head;
	EsLeaf		leaf;			/* of the primary key */
} HeadHint;

static HeadHint *hints = NULL;

/*
 * All streams that the transaction has touched.  The arrays and the table live
 * in TopMemoryContext from first use on, the entries in stream_context, which
 * is reset at the end of each transaction.
 */
static MemoryContext stream_context = NULL;
static stream_table_hash *table = NULL;
static EsStream **stack = NULL;
static int	stack_used = 0;
static int	stack_size = 0;
static AdvancedHead *advanced = NULL;
static int	advanced_used = 0;
static int	advanced_size = 0;

/* Nesting level that locked es_events as a whole; 0: none */
static int	escalated_level = 0;

/* The table that the known heads were read from */
static Oid	heads_of = InvalidOid;

/* Is there anything to clean up at the end of the transaction? */
static bool used = false;

/*
 * Finds the entry of a stream.
 *
 * If there is none, returns NULL and sets *slot to the key that it is to get
 * in the table: the hash, or what follows it if streams with the same hash
 * came first.  Those leave after it, so that the walk never ends too early.
 */
static EsStream *
find_stream(const EsStreamKey *key, uint64 *slot)
{
	*slot = key->hash;
	if (table == NULL || table->members == 0)
		return NULL;

	for (;;)
	{
		StreamSlot *found = stream_table_lookup(table, *slot);

		if (found == NULL)
			return NULL;
		if (es_stream_key_equal(&found->stream->key, key))
			return found->stream;
		(*slot)++;
	}
}

/*
 * Makes an array of the size wanted or larger, in TopMemoryContext.
 */
static void *
enlarge(void *array, int *size, Size element)
{
	*size = Max(64, *size * 2);
	if (array == NULL)
		return MemoryContextAllocHuge(TopMemoryContext, *size * element);
	return repalloc_huge(array, *size * element);
}

/*
 * Adds an entry for a stream that this transaction now holds locked.
 */
static EsStream *
add_stream(const EsStreamKey *key, uint64 slot)
{
	EsStream   *stream;
	StreamSlot *element;
	char	   *names;
	bool		found;

	if (stream_context == NULL)
		stream_context = AllocSetContextCreate(TopMemoryContext,
											   "event_store log transaction",
											   ALLOCSET_SMALL_SIZES);
	if (table == NULL)
		table = stream_table_create(TopMemoryContext, 48, NULL);
	if (stack_used == stack_size)
		stack = enlarge(stack, &stack_size, sizeof(EsStream *));

	stream = MemoryContextAlloc(stream_context, sizeof(EsStream) +
								key->tenant_len + key->stream_len);
	names = (char *) (stream + 1);
	memcpy(names, key->tenant, key->tenant_len);
	memcpy(names + key->tenant_len, key->stream, key->stream_len);
	stream->key = *key;
	stream->key.tenant = names;
	stream->key.stream = names + key->tenant_len;
	stream->slot = slot;
	stream->lock_level = GetCurrentTransactionNestLevel();
	stream->change_level = 0;
	stream->head_known = false;
	stream->mark_known = false;
	stream->moved = false;
	stream->head = 0;
	stream->head_at = 0;
	memset(&stream->leaf, 0, sizeof(EsLeaf));

	used = true;
	element = stream_table_insert(table, slot, &found);
	Assert(!found);
	element->stream = stream;
	stack[stack_used++] = stream;
	return stream;
}

/*
 * Takes an advisory lock of ours; returns whether it is held now.
 */
static bool
lock_advisory(uint32 high, uint32 low, uint16 class, bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, high, low, class);
	return LockAcquire(&tag, ExclusiveLock, false, !wait) !=
		LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Locks the table against all other writers, if that is due and no other
 * transaction is at it.  Returns whether it is locked.
 */
static bool
lock_table_if_due(Relation events)
{
	int			excess = stack_used - es_guc_max_stream_locks;
	bool		must = excess >= es_guc_max_stream_locks;

	if (escalated_level > 0)
		return true;
	if (excess < 0 || (excess % TABLE_LOCK_INTERVAL != 0 && !must) ||
		!lock_advisory(RelationGetRelid(events), 0, ES_LOCK_TABLE, must))
		return false;

	LockRelationOid(RelationGetRelid(events), ShareRowExclusiveLock);
	escalated_level = GetCurrentTransactionNestLevel();
	return true;
}

/*
 * Locks a stream, or all.
 */
static void
lock_stream(Relation events, const EsStreamKey *key)
{
	ResourceOwner owner = CurrentResourceOwner;

	/* After an error the end of the (sub)transaction sets it anew. */
	CurrentResourceOwner = CurTransactionResourceOwner;

	/* for us as well as for those who lock the table as a whole */
	LockRelationOid(RelationGetRelid(events), RowExclusiveLock);
	if (!lock_table_if_due(events))
		(void) lock_advisory((uint32) (key->hash >> 32), (uint32) key->hash,
							 ES_LOCK_STREAM, true);
	CurrentResourceOwner = owner;
}

bool
es_stream_all_locked(void)
{
	return escalated_level > 0;
}

void
es_stream_lock_all(Relation events)
{
	ResourceOwner owner = CurrentResourceOwner;

	if (escalated_level > 0)
		return;

	CurrentResourceOwner = CurTransactionResourceOwner;
	LockRelationOid(RelationGetRelid(events), ShareRowExclusiveLock);
	CurrentResourceOwner = owner;
	escalated_level = GetCurrentTransactionNestLevel();
}

void
es_stream_forget_head(const EsStreamKey *key)
{
	uint64		slot;
	EsStream   *stream = find_stream(key, &slot);

	if (stream != NULL)
		stream->head_known = false;
}

/*
 * Forgets all heads when es_events is not the table that they were read from:
 * the extension was dropped and created again by this transaction.
 */
static void
check_same_table(Relation events)
{
	int			i;

	if (heads_of == RelationGetRelid(events))
		return;
	for (i = 0; i < stack_used; i++)
		stack[i]->head_known = false;
	heads_of = RelationGetRelid(events);
}

/*
 * Returns what this process last saw of a stream, or one with the same hash;
 * NULL if it does not know.
 */
static const HeadHint *
get_hint(const EsStreamKey *key)
{
	const HeadHint *hint;

	if (hints == NULL)
		return NULL;
	hint = &hints[key->hash % N_HINTS];
	return hint->tag == (uint32) (key->hash >> 32) ? hint : NULL;
}

/*
 * Remembers the head of a stream for get_hint().
 */
static void
set_hint(const EsStreamKey *key, int64 head, const EsLeaf *leaf)
{
	HeadHint   *hint;

	if (hints == NULL)
		hints = MemoryContextAllocZero(TopMemoryContext,
									   N_HINTS * sizeof(HeadHint));
	hint = &hints[key->hash % N_HINTS];
	hint->tag = (uint32) (key->hash >> 32);
	hint->head = (uint32) Min(head, (int64) PG_UINT32_MAX);
	hint->leaf = *leaf;
}

EsStream *
es_stream_lock(Relation events, const EsStore *store, const EsStreamKey *key,
			   int64 expected)
{
	EsStream   *stream;
	uint64		slot;

	check_same_table(events);
	stream = find_stream(key, &slot);
	if (stream == NULL)
	{
		lock_stream(events, key);
		stream = add_stream(key, slot);
	}

	if (!stream->head_known)
	{
		const HeadHint *hint = get_hint(key);

		if (hint != NULL && !BufferIsValid(stream->leaf.buffer))
			stream->leaf = hint->leaf;

		/*
		 * SnapshotSelf: what is committed now, and what this transaction did,
		 * the running command included.  Under the lock that is the truth.
		 */
		stream->moved = false;
		stream->head = es_events_read_head(events, store, key, SnapshotSelf,
										   Max(expected, hint != NULL ? hint->head : 0),
										   &stream->leaf, &stream->head_at,
										   &stream->mark,
										   IsolationUsesXactSnapshot() ?
										   &stream->moved : NULL);
		stream->head_known = true;
		stream->mark_known = stream->head > 0;
	}
	return stream;
}

/*
 * Notes that this subtransaction changed what is known of the stream's head,
 * unless the stream is forgotten with it anyway.
 */
static void
remember_change(EsStream *stream)
{
	int			level = GetCurrentTransactionNestLevel();

	if (stream->lock_level >= level || stream->change_level >= level)
		return;

	if (advanced_used == advanced_size)
		advanced = enlarge(advanced, &advanced_size, sizeof(AdvancedHead));
	advanced[advanced_used].level = level;
	advanced[advanced_used].stream = stream;
	advanced_used++;
	stream->change_level = level;
}

void
es_stream_advance(EsStream *stream, int64 head, TimestampTz head_at)
{
	remember_change(stream);
	stream->head = head;
	stream->head_at = head_at;
	stream->mark_known = false;
	set_hint(&stream->key, head, &stream->leaf);
}

void
es_stream_set_mark(EsStream *stream, const EsEventMark *mark)
{
	stream->mark = *mark;
	stream->mark_known = true;
}

TimestampTz
es_stream_next_time(const EsStream *stream)
{
	TimestampTz now = GetCurrentTimestamp();

	return (stream->head > 0 && stream->head_at > now) ? stream->head_at : now;
}

void
es_stream_check_room(const EsStream *stream, int n)
{
	if (stream->head > PG_INT64_MAX - n)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("version of stream \"%.*s\" is out of range",
						stream->key.stream_len, stream->key.stream),
				 errdetail("The stream is at version %lld and cannot take %d more.",
						   (long long) stream->head, n)));
}

void
es_stream_at_subabort(int level)
{
	while (advanced_used > 0 && advanced[advanced_used - 1].level >= level)
	{
		EsStream   *stream = advanced[--advanced_used].stream;

		/* an outer level that moved it too may note that once more */
		stream->head_known = false;
		stream->change_level = 0;
	}

	/* Leave the memory of the entries to the end of the transaction. */
	while (stack_used > 0 && stack[stack_used - 1]->lock_level >= level)
		stream_table_delete(table, stack[--stack_used]->slot);

	if (escalated_level >= level)
		escalated_level = 0;
}

void
es_stream_at_subcommit(int level)
{
	int			i;

	for (i = advanced_used - 1; i >= 0 && advanced[i].level >= level; i--)
	{
		advanced[i].level = level - 1;
		advanced[i].stream->change_level = level - 1;
	}
	if (level == 2)
		advanced_used = 0;		/* nothing to go back to */

	for (i = stack_used - 1; i >= 0 && stack[i]->lock_level >= level; i--)
		stack[i]->lock_level = level - 1;

	if (escalated_level >= level)
		escalated_level = level - 1;
}

void
es_stream_at_end(void)
{
	advanced_used = 0;
	escalated_level = 0;
	stack_used = 0;
	if (!used)
		return;

	used = false;
	if (table->size > KEEP_TABLE_SIZE)
	{
		stream_table_destroy(table);
		table = NULL;
	}
	else
		stream_table_reset(table);
	MemoryContextReset(stream_context);
}
