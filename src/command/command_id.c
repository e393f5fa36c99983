/*-------------------------------------------------------------------------
 *
 * command_id.c
 *	  The ids of a command's events; has it been executed?
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The ids of the events that a command with an id appends are computed from
 *	  it, so that they tell that it has been executed.  They also depend on
 *	  the stream: a command that is sent to two streams must not give events
 *	  of the same ids, by which readers know what they have seen.
 *
 *	  An id begins as the command's does (that is the time, in versions 1, 6
 *	  and 7 of UUIDs), so that ids ascend when those of commands do; the rest
 *	  are the first bits of a hash, to which the number of the event is added.
 *	  It is of version 8 of RFC 9562, for what is made in ways of one's own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "port/pg_bswap.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

#include "command/command.h"

/* Bytes that are taken from the command's id */
#define SAME_BYTES		6

/*
 * Adds bytes, and how many they are, to the hash.
 */
static bool
hash_name(pg_cryptohash_ctx *hash, const char *name, int len)
{
	uint32		length = pg_hton32((uint32) len);

	return pg_cryptohash_update(hash, (const uint8 *) &length,
								sizeof(length)) >= 0 &&
		pg_cryptohash_update(hash, (const uint8 *) name, len) >= 0;
}

void
es_command_first_id(pg_uuid_t *id, const EsStreamKey *key,
					const pg_uuid_t *command_id)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (hash == NULL || pg_cryptohash_init(hash) < 0 ||
		!hash_name(hash, key->tenant, key->tenant_len) ||
		!hash_name(hash, key->stream, key->stream_len) ||
		pg_cryptohash_update(hash, command_id->data, UUID_LEN) < 0 ||
		pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute the hash of a command's id");
	pg_cryptohash_free(hash);

	memcpy(id->data, command_id->data, SAME_BYTES);
	memcpy(id->data + SAME_BYTES, digest, UUID_LEN - SAME_BYTES);
	id->data[6] = (id->data[6] & 0x0f) | 0x80;
	id->data[8] = (id->data[8] & 0x3f) | 0x80;
}

void
es_command_nth_id(pg_uuid_t *id, const pg_uuid_t *first, int n)
{
	uint64		last;

	/* The upper two bits of these eight bytes say that it is a UUID. */
	memcpy(&last, first->data + 8, sizeof(last));
	last = pg_ntoh64(last);
	last = (last & UINT64CONST(0xc000000000000000)) |
		((last + (n - 1)) & UINT64CONST(0x3fffffffffffffff));
	last = pg_hton64(last);
	memcpy(id->data, first->data, 8);
	memcpy(id->data + 8, &last, sizeof(last));
}

int64
es_command_find(Relation events, const EsStore *store, const EsStreamKey *key,
				const pg_uuid_t *first_id, int64 *last)
{
	int64		first = es_events_find_id(events, store, key, first_id);
	EsEventScan scan;
	ScanKeyData keys[3];
	TupleTableSlot *slot;
	int			n = 1;

	if (first == 0)
		return 0;

	es_events_stream_keys(keys, key);
	ScanKeyInit(&keys[2], Anum_es_events_version, BTGreaterStrategyNumber,
				F_INT8GT, Int64GetDatum(first));
	es_events_begin_scan(&scan, events, store->indexes[ES_INDEX_PKEY],
						 SnapshotSelf, keys, lengthof(keys));
	while ((slot = es_events_next(&scan, ForwardScanDirection)) != NULL)
	{
		pg_uuid_t	wanted;
		bool		isnull;
		Datum		id = slot_getattr(slot, Anum_es_events_event_id, &isnull);

		es_command_nth_id(&wanted, first_id, n + 1);
		if (memcmp(DatumGetUUIDP(id), &wanted, UUID_LEN) != 0)
			break;
		n++;
	}
	es_events_end_scan(&scan);
	*last = first + n - 1;
	return first;
}
