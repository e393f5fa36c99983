/*-------------------------------------------------------------------------
 *
 * log_share.h
 *	  A range of positions that several processes read together.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_LEDGER_LOG_SHARE_H
#define ES_LEDGER_LOG_SHARE_H

#include "port/atomics.h"

/*
 * In shared memory: how many events of the range are taken.  Each process
 * knows by itself where the range begins and ends, and all of them the same.
 */
typedef struct EsLogShare
{
	pg_atomic_uint64 taken;
} EsLogShare;

/* Nothing is taken yet. */
extern void es_log_share_init(EsLogShare *share);
extern void es_log_share_reset(EsLogShare *share);

/*
 * Takes the next piece of the range from..to; returns false when all of it is
 * taken.  Pieces come in order, large ones first, so that at the end nobody
 * waits long for the others.
 */
extern bool es_log_share_take(EsLogShare *share, int64 from, int64 to,
							  int64 *first, int64 *last);

#endif							/* ES_LEDGER_LOG_SHARE_H */
