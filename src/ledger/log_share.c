/*-------------------------------------------------------------------------
 *
 * log_share.c
 *	  A range of positions that several processes read together.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Positions have no holes, so that pieces of the same length are the same
 *	  work, more or less.  Beginning to read a piece costs two descents of the
 *	  ledger's index.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ledger/log_share.h"

/* Events of a piece */
#define MIN_PIECE		4096
#define MAX_PIECE		65536

/* The share of what is left that is taken at once */
#define PIECES			32

void
es_log_share_init(EsLogShare *share)
{
	pg_atomic_init_u64(&share->taken, 0);
}

void
es_log_share_reset(EsLogShare *share)
{
	pg_atomic_write_u64(&share->taken, 0);
}

bool
es_log_share_take(EsLogShare *share, int64 from, int64 to, int64 *first,
				  int64 *last)
{
	uint64		size = from <= to ? (uint64) (to - from) + 1 : 0;
	uint64		taken = pg_atomic_read_u64(&share->taken);
	uint64		piece;

	do
	{
		if (taken >= size)
			return false;
		piece = Min(Max((size - taken) / PIECES, MIN_PIECE), MAX_PIECE);
		piece = Min(piece, size - taken);
	} while (!pg_atomic_compare_exchange_u64(&share->taken, &taken,
											 taken + piece));
	*first = from + (int64) taken;
	*last = *first + (int64) piece - 1;
	return true;
}
