/*-------------------------------------------------------------------------
 *
 * moment.c
 *	  Moments at which somebody wants to know a state.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Version, time of recording and position of a stream's events all grow
 *	  together, so that a moment is a version, found by looking at a few
 *	  events.  An event without a position comes after all that have one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "aggregate/moment.h"
#include "ledger/rows.h"

/*
 * Notes what kind of moment is asked for; raises an error if it is the second.
 */
static bool
take(EsMoment *moment, FunctionCallInfo fcinfo, int argument,
	 EsMomentKind kind)
{
	if (argument < 0 || PG_ARGISNULL(argument))
		return false;
	if (moment->kind != ES_MOMENT_NOW)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("only one of at_version, as_of and at_position can be given")));
	moment->kind = kind;
	return true;
}

static void
check_number(const EsMoment *moment, const char *name)
{
	if (moment->number < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", name),
				 errdetail("It is %lld.", (long long) moment->number)));
}

void
es_moment_get(EsMoment *moment, FunctionCallInfo fcinfo, int at_version,
			  int as_of, int at_position)
{
	memset(moment, 0, sizeof(*moment));
	if (take(moment, fcinfo, at_version, ES_MOMENT_VERSION))
	{
		moment->number = PG_GETARG_INT64(at_version);
		check_number(moment, "version");
	}
	if (take(moment, fcinfo, as_of, ES_MOMENT_TIME))
		moment->time = PG_GETARG_TIMESTAMPTZ(as_of);
	if (take(moment, fcinfo, at_position, ES_MOMENT_POSITION))
	{
		moment->number = PG_GETARG_INT64(at_position);
		check_number(moment, "position");
	}
}

void
es_moment_open(EsMoment *moment, const EsStore *store, Snapshot snapshot)
{
	if (moment->kind != ES_MOMENT_POSITION)
		return;
	moment->commits = es_ledger_open(store, AccessShareLock);
	moment->finder = es_tx_finder_begin(moment->commits, store, snapshot);
}

void
es_moment_close(EsMoment *moment)
{
	if (moment->finder == NULL)
		return;
	es_tx_finder_end(moment->finder);
	relation_close(moment->commits, AccessShareLock);
	moment->finder = NULL;
}

/*
 * Does the event have a position at or before that of the moment?
 */
static bool
is_placed_by(EsMoment *moment, TupleTableSlot *slot)
{
	bool		isnull;
	int64		tx = DatumGetInt64(slot_getattr(slot, Anum_es_events_tx, &isnull));
	int32		ordinal = DatumGetInt32(slot_getattr(slot, Anum_es_events_ordinal,
													 &isnull));
	int64		first_position;

	return es_tx_finder_find(moment->finder, tx, &first_position) != NULL &&
		first_position + ordinal <= moment->number;
}

bool
es_moment_counts(EsMoment *moment, TupleTableSlot *slot)
{
	bool		isnull;

	switch (moment->kind)
	{
		case ES_MOMENT_NOW:
			return true;
		case ES_MOMENT_VERSION:
			return DatumGetInt64(slot_getattr(slot, Anum_es_events_version,
											  &isnull)) <= moment->number;
		case ES_MOMENT_TIME:
			return DatumGetTimestampTz(slot_getattr(slot,
													Anum_es_events_recorded_at,
													&isnull)) <= moment->time;
		case ES_MOMENT_POSITION:
			return is_placed_by(moment, slot);
	}
	pg_unreachable();
}

static bool
counts(TupleTableSlot *slot, void *arg)
{
	return es_moment_counts(arg, slot);
}

int64
es_moment_find(EsMoment *moment, Relation events, const EsStore *store,
			   const EsStreamKey *key, Snapshot snapshot)
{
	if (moment->kind == ES_MOMENT_NOW ||
		(moment->kind == ES_MOMENT_TIME && TIMESTAMP_IS_NOEND(moment->time)))
		return PG_INT64_MAX;
	if (moment->kind == ES_MOMENT_VERSION)
		return moment->number;
	return es_events_find_last(events, store, key, snapshot, counts, moment);
}
