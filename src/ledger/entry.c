/*-------------------------------------------------------------------------
 *
 * entry.c
 *	  The packed format of es_commits.entries.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "ledger/entry.h"

#define FORMAT			1

/* Bytes that a number, an entry and what stands before the entries can take */
#define MAX_NUMBER		10
#define MAX_ENTRY		(MAX_NUMBER + 5 + MAX_NUMBER)
#define MAX_HEAD		3

/*
 * Packed bytes being read.
 */
typedef struct Cursor
{
	const unsigned char *next;
	const unsigned char *end;
} Cursor;

static inline uint64
zigzag(int64 value)
{
	return ((uint64) value << 1) ^ (value < 0 ? PG_UINT64_MAX : 0);
}

static inline int64
unzigzag(uint64 value)
{
	return (int64) ((value >> 1) ^ ((value & 1) ? PG_UINT64_MAX : 0));
}

/*
 * Writes a number; returns where the next one goes.
 */
static inline unsigned char *
put_number(unsigned char *to, uint64 value)
{
	while (value >= 0x80)
	{
		*to++ = (unsigned char) (value | 0x80);
		value >>= 7;
	}
	*to++ = (unsigned char) value;
	return to;
}

/*
 * Reads a number; returns false if there is none.
 */
static inline bool
get_number(Cursor *cursor, uint64 *value)
{
	uint64		result = 0;
	int			shift;

	for (shift = 0; shift < 64 && cursor->next < cursor->end; shift += 7)
	{
		uint64		byte = *cursor->next++;

		if (shift == 63 && byte > 1)
			return false;
		result |= (byte & 0x7F) << shift;
		if (byte < 0x80)
		{
			*value = result;
			return true;
		}
	}
	return false;
}

void
es_packer_reset(EsPacker *packer)
{
	packer->nentries = 0;
	packer->nevents = 0;
	packer->size = 0;
	memset(&packer->last, 0, sizeof(packer->last));
}

bool
es_packer_add(EsPacker *packer, const EsEntry *entry)
{
	unsigned char *to = packer->data + packer->size;
	int64		min_tx = entry->tx;
	int64		max_tx = entry->tx;

	if (packer->nentries > 0)
	{
		min_tx = Min(min_tx, packer->min_tx);
		max_tx = Max(max_tx, packer->max_tx);
		if (packer->nentries >= ES_MAX_ENTRIES ||
			packer->size > ES_MAX_ENTRIES_SIZE - MAX_HEAD - MAX_ENTRY ||
			max_tx - min_tx >= ES_MAX_TX_WIDTH)
			return false;
	}

	/* Differences may wrap around, in both directions alike. */
	to = put_number(to, zigzag((int64) ((uint64) entry->tx -
										(uint64) packer->last.tx)));
	to = put_number(to, (uint64) entry->nevents);
	to = put_number(to, zigzag((int64) ((uint64) entry->committed_at -
										(uint64) packer->last.committed_at)));

	packer->size = to - packer->data;
	packer->nentries++;
	packer->nevents += entry->nevents;
	packer->min_tx = min_tx;
	packer->max_tx = max_tx;
	packer->last = *entry;
	return true;
}

bytea *
es_packer_finish(const EsPacker *packer)
{
	bytea	   *result = palloc(VARHDRSZ + MAX_HEAD + packer->size);
	unsigned char *to = (unsigned char *) VARDATA(result);

	*to++ = FORMAT;
	to = put_number(to, (uint64) packer->nentries);
	memcpy(to, packer->data, packer->size);
	to += packer->size;
	SET_VARSIZE(result, (char *) to - (char *) result);
	return result;
}

/*
 * Reads one entry; returns what is wrong with it, or NULL.
 */
static inline const char *
get_entry(Cursor *cursor, const EsEntry *previous, EsEntry *entry)
{
	uint64		tx;
	uint64		nevents;
	uint64		committed_at;

	if (!get_number(cursor, &tx) || !get_number(cursor, &nevents) ||
		!get_number(cursor, &committed_at))
		return "Its entries are cut off.";
	if (nevents < 1 || nevents > PG_INT32_MAX)
		return "An entry has no possible number of events.";

	entry->tx = (int64) ((uint64) previous->tx + (uint64) unzigzag(tx));
	entry->nevents = (int32) nevents;
	entry->committed_at = (TimestampTz) ((uint64) previous->committed_at +
										 (uint64) unzigzag(committed_at));
	if (entry->tx < 1 || entry->tx == PG_INT64_MAX)
		return "An entry has no possible number of a transaction.";
	if (!IS_VALID_TIMESTAMP(entry->committed_at))
		return "An entry has no possible time of commit.";
	return NULL;
}

const char *
es_entries_unpack(const char *data, Size size, EsEntry *entries,
				  int *nentries)
{
	static const EsEntry zero = {0};
	const EsEntry *previous = &zero;
	const char *problem;
	Cursor		cursor;
	uint64		n;
	uint64		i;

	cursor.next = (const unsigned char *) data;
	cursor.end = cursor.next + size;

	if (size == 0)
		return "It has no entries.";
	if (*cursor.next != FORMAT)
		return psprintf("Its entries have format %d, which this version of event_store does not know.",
						*cursor.next);
	cursor.next++;
	if (!get_number(&cursor, &n) || n < 1 || n > ES_MAX_ENTRIES)
		return "It has no possible number of entries.";

	for (i = 0; i < n; i++)
	{
		problem = get_entry(&cursor, previous, &entries[i]);
		if (problem != NULL)
			return problem;
		previous = &entries[i];
	}
	if (cursor.next != cursor.end)
		return "Bytes follow its last entry.";
	*nentries = (int) n;
	return NULL;
}
