/*-------------------------------------------------------------------------
 *
 * moment.h
 *	  Moments at which somebody wants to know a state.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_AGGREGATE_MOMENT_H
#define ES_AGGREGATE_MOMENT_H

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/snapshot.h"

#include "aggregate/aggregate.h"
#include "ledger/find.h"

typedef enum EsMomentKind
{
	ES_MOMENT_NOW,
	ES_MOMENT_VERSION,
	ES_MOMENT_TIME,
	ES_MOMENT_POSITION
} EsMomentKind;

typedef struct EsMoment
{
	EsMomentKind kind;
	int64		number;			/* a version or position */
	TimestampTz time;

	/* while it is open */
	Relation	commits;
	EsTxFinder *finder;
} EsMoment;

/*
 * Fills *moment from the arguments at_version, as_of and at_position, of
 * which one at most is not NULL (else 22023); the numbers tell which they are,
 * -1 for one that the function does not have.  Raises 22023 for a negative
 * version or position.
 */
extern void es_moment_get(EsMoment *moment, FunctionCallInfo fcinfo,
						  int at_version, int as_of, int at_position);

/*
 * Opens and closes what it takes to compare events with a position; after an
 * error PostgreSQL cleans up.
 */
extern void es_moment_open(EsMoment *moment, const EsStore *store,
						   Snapshot snapshot);
extern void es_moment_close(EsMoment *moment);

/* Had this event, a row of es_events, happened at the moment? */
extern bool es_moment_counts(EsMoment *moment, TupleTableSlot *slot);

/*
 * Returns the version of the newest event of the stream that counts at the
 * moment: PG_INT64_MAX for now, 0 if there is none.
 */
extern int64 es_moment_find(EsMoment *moment, Relation events,
							const EsStore *store, const EsStreamKey *key,
							Snapshot snapshot);

/* ---------- state.c ---------- */

/*
 * Raises 42501 unless the user may read events, and 0A000 if row security
 * would hide some from him.
 */
extern void es_state_check_may_read(const EsStore *store);

#endif							/* ES_AGGREGATE_MOMENT_H */
