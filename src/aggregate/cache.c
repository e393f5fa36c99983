/*-------------------------------------------------------------------------
 *
 * cache.c
 *	  States that this process has seen last.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A session that sends commands to the same streams, or reads them again
 *	  and again, has their states here: it only reads the events after them.
 *	  An entry says which event its state ends with, by the event's id and the
 *	  transaction that wrote the row; load.c looks whether that is still so.
 *	  That makes the cache right under rollbacks and old snapshots.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "aggregate/fold.h"
#include "core/guc.h"

/*
 * What states are found by.  The names themselves are in the entry.
 */
typedef struct CacheKey
{
	pg_uuid_t	definition;
	uint64		store;
	uint64		stream;			/* EsStreamKey.hash */
} CacheKey;

typedef struct CacheEntry
{
	CacheKey	key;			/* must be first */
	dlist_node	node;			/* most recently used first */
	Size		size;
	char	   *names;			/* tenant and stream */
	int			tenant_len;
	int			stream_len;
	bool		byval;
	EsCached	cached;
} CacheEntry;

/* What the hash table needs beside an entry, about */
#define ENTRY_OVERHEAD	32

static struct
{
	MemoryContext context;		/* NULL: there is nothing */
	HTAB	   *table;
	dlist_head	used;
	Size		size;
	bool		stale;			/* to be emptied */
} cache;

void
es_cache_clear(void)
{
	/* it may come amid anything */
	cache.stale = true;
}

/*
 * Makes the cache, or empties it if it is stale.
 */
static void
prepare_cache(void)
{
	HASHCTL		control;

	if (cache.context != NULL && cache.stale)
	{
		MemoryContext context = cache.context;

		cache.context = NULL;
		MemoryContextDelete(context);
	}
	if (cache.context != NULL)
		return;
	cache.stale = false;
	cache.size = 0;
	dlist_init(&cache.used);
	cache.context = AllocSetContextCreate(TopMemoryContext,
										  "event_store states",
										  ALLOCSET_DEFAULT_SIZES);
	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(CacheKey);
	control.entrysize = sizeof(CacheEntry);
	control.hcxt = cache.context;
	PG_TRY();
	{
		cache.table = hash_create("event_store states", 64, &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	PG_CATCH();
	{
		cache.stale = true;
		PG_RE_THROW();
	}
	PG_END_TRY();
}

static void
make_key(CacheKey *key, const EsFold *fold, const EsStreamKey *stream)
{
	memset(key, 0, sizeof(*key));
	key->definition = fold->entry->aggregate.definition;
	key->store = es_catalog_store_id(&fold->store);
	key->stream = stream->hash;
}

/*
 * Is the entry that of the stream, and not of another one with the same hash?
 */
static bool
is_of(const CacheEntry *entry, const EsStreamKey *stream)
{
	return entry->tenant_len == stream->tenant_len &&
		entry->stream_len == stream->stream_len &&
		memcmp(entry->names, stream->tenant, stream->tenant_len) == 0 &&
		memcmp(entry->names + stream->tenant_len, stream->stream,
			   stream->stream_len) == 0;
}

/*
 * Takes an entry out, and frees it.
 */
static void
drop_entry(CacheEntry *entry)
{
	cache.size -= entry->size;
	dlist_delete(&entry->node);
	pfree(entry->names);
	if (!entry->byval)
		pfree(DatumGetPointer(entry->cached.value));
	(void) hash_search(cache.table, &entry->key, HASH_REMOVE, NULL);
}

/*
 * Frees what was not used for the longest time until so many bytes fit.
 */
static void
make_room(Size size, Size limit)
{
	while (cache.size + size > limit && !dlist_is_empty(&cache.used))
		drop_entry(dlist_tail_element(CacheEntry, node, &cache.used));
}

bool
es_cache_find(const EsFold *fold, const EsStreamKey *stream, EsCached *cached)
{
	CacheKey	key;
	CacheEntry *entry;

	if (es_guc_state_cache_size == 0 && cache.context == NULL)
		return false;
	prepare_cache();
	make_key(&key, fold, stream);
	entry = hash_search(cache.table, &key, HASH_FIND, NULL);
	if (entry == NULL || !is_of(entry, stream))
		return false;
	if (es_guc_state_cache_size == 0)
	{
		drop_entry(entry);
		return false;
	}
	dlist_move_head(&cache.used, &entry->node);
	*cached = entry->cached;
	return true;
}

void
es_cache_remove(const EsFold *fold, const EsStreamKey *stream)
{
	CacheKey	key;
	CacheEntry *entry;

	if (cache.context == NULL)
		return;
	prepare_cache();
	make_key(&key, fold, stream);
	entry = hash_search(cache.table, &key, HASH_FIND, NULL);
	if (entry != NULL)
		drop_entry(entry);
}

void
es_cache_put(const EsFold *fold, const EsStreamKey *stream,
			 const EsState *state, Size size)
{
	Size		limit = (Size) es_guc_state_cache_size * 1024;
	CacheKey	key;
	CacheEntry *entry;
	MemoryContext previous;
	Datum		value;
	char	   *names;
	bool		byval = fold->call != NULL && fold->call->state_byval;

	es_cache_remove(fold, stream);
	if (size > limit || limit == 0)
		return;
	prepare_cache();

	/* Nothing of the cache is touched before all memory is there. */
	previous = MemoryContextSwitchTo(cache.context);
	names = palloc(stream->tenant_len + stream->stream_len + 1);
	memcpy(names, stream->tenant, stream->tenant_len);
	memcpy(names + stream->tenant_len, stream->stream, stream->stream_len);
	value = datumCopy(state->value, byval,
					  fold->call != NULL ? fold->call->state_len : -1);
	MemoryContextSwitchTo(previous);

	size = sizeof(CacheEntry) + ENTRY_OVERHEAD + GetMemoryChunkSpace(names);
	if (!byval)
		size += GetMemoryChunkSpace(DatumGetPointer(value));
	make_room(size, limit);

	make_key(&key, fold, stream);
	entry = hash_search(cache.table, &key, HASH_ENTER, NULL);
	entry->size = size;
	entry->names = names;
	entry->tenant_len = stream->tenant_len;
	entry->stream_len = stream->stream_len;
	entry->byval = byval;
	entry->cached.version = state->version;
	entry->cached.snapshot_version = state->snapshot_version;
	entry->cached.mark = state->mark;
	entry->cached.value = value;
	dlist_push_head(&cache.used, &entry->node);
	cache.size += size;
}
