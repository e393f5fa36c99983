/*-------------------------------------------------------------------------
 *
 * entry.h
 *	  The packed format of es_commits.entries.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  One byte with the version of the format, the number of entries, and for
 *	  each entry three numbers: how far tx is from that of the entry before,
 *	  how many events the transaction has, and how many microseconds it was
 *	  committed after the one before.  Numbers have seven bits a byte, the low
 *	  ones first, the eighth says that more follow; differences are zigzag
 *	  coded (0, -1, 1, -2 ...).  A usual entry has 4 to 6 bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_LEDGER_ENTRY_H
#define ES_LEDGER_ENTRY_H

#include "datatype/timestamp.h"

/*
 * What a row of es_commits may hold.  Its size stays below the one from which
 * values are compressed or moved to a TOAST table, and its tx_range narrow, so
 * that looking for a tx finds few rows: a transaction that was open for long,
 * and whose tx is old therefore, gets a row of its own.
 */
#define ES_MAX_ENTRIES			400
#define ES_MAX_ENTRIES_SIZE		1800
#define ES_MAX_TX_WIDTH			4096

/*
 * A transaction of the ledger.
 */
typedef struct EsEntry
{
	int64		tx;
	int32		nevents;
	TimestampTz committed_at;
} EsEntry;

/*
 * Entries being packed.
 */
typedef struct EsPacker
{
	int			nentries;
	int64		nevents;
	int64		min_tx;
	int64		max_tx;
	EsEntry		last;			/* entry packed last */
	int			size;			/* bytes of data in use */
	unsigned char data[ES_MAX_ENTRIES_SIZE];
} EsPacker;

/* Makes the packer empty. */
extern void es_packer_reset(EsPacker *packer);

/*
 * Adds an entry; returns false, and changes nothing, when the row is full or
 * its tx is too far away from the others.  An empty packer takes any.
 */
extern bool es_packer_add(EsPacker *packer, const EsEntry *entry);

/* Returns the entries in the packed format, in the current memory context. */
extern bytea *es_packer_finish(const EsPacker *packer);

/*
 * Unpacks size bytes at data to an array of ES_MAX_ENTRIES.
 *
 * Looks at everything: the bytes may be anything.  Returns NULL, or what is
 * wrong with them: a sentence that begins with a capital, allocated or
 * constant.
 */
extern const char *es_entries_unpack(const char *data, Size size,
									 EsEntry *entries, int *nentries);

#endif							/* ES_LEDGER_ENTRY_H */
