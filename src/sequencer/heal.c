/*-------------------------------------------------------------------------
 *
 * heal.c
 *	  Positions for committed events that no WAL tells of.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  es_events does not say in which order its transactions have committed;
 *	  their numbers do not either: a transaction takes its number at its first
 *	  append, and may append to a stream after a later number has committed
 *	  to it.  What the streams say is binding, though: who appended version 8
 *	  committed after who appended version 7.  The order here is that of the
 *	  numbers, except where a stream contradicts: then the transaction with
 *	  the earlier version goes first, together with everything that must go
 *	  before it.
 *
 *	  Contradictions are few.  They are found by one pass over the events in
 *	  the order of the streams; what must go before a transaction that is
 *	  drawn forward is asked for when that happens.
 *
 *	  Locks make cycles impossible (each of the two would have waited for the
 *	  other).  In copies that somebody has made up there might be one: it is
 *	  broken where it is met, and logged.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "sequencer/sequencer.h"

#define FETCH_COUNT		10000
#define APPEND_COUNT	1000

typedef enum Mark
{
	MARK_NEW,
	MARK_ON_STACK,
	MARK_DONE
} Mark;

/*
 * A transaction without positions.
 */
typedef struct Orphan
{
	int64		tx;
	TimestampTz recorded_at;	/* of its newest event */
	int32		nevents;
	int8		mark;
} Orphan;

/*
 * The transaction that must go after, though its number is less.
 */
typedef struct Contradiction
{
	int			after;			/* both are places in the array of orphans */
	int			before;
} Contradiction;

typedef struct Healing
{
	const EsStore *store;
	EsLedgerTail *tail;
	XLogRecPtr	end_lsn;
	const char *schema;

	Orphan	   *orphans;		/* in the order of tx */
	int			norphans;
	int			orphans_size;
	Contradiction *contradictions;	/* in the order of `after` */
	int			ncontradictions;
	int			contradictions_size;
	SPIPlanPtr	predecessors;	/* see push_predecessors */

	int		   *stack;
	int			stack_used;
	int			stack_size;

	EsCommit	commits[APPEND_COUNT];
	int			ncommits;
} Healing;

/*
 * Returns a bigint, or a timestamptz as TimestampTz, from SPI_tuptable.
 */
static int64
get_int64(int row, int column)
{
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[row],
									   SPI_tuptable->tupdesc, column,
									   &isnull));
}

/*
 * Runs a query over the range of tx, and hands each row of its result to a
 * function that takes it from SPI_tuptable.
 */
static void
for_each_row(Healing *healing, const char *query, int64 min_tx, int64 max_tx,
			 void (*take) (Healing *healing, int row))
{
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		args[2];
	SPIPlanPtr	plan;
	Portal		portal;
	uint64		i;

	args[0] = Int64GetDatum(min_tx);
	args[1] = Int64GetDatum(max_tx);
	plan = SPI_prepare(query, 2, types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	portal = SPI_cursor_open(NULL, plan, args, NULL, true);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, FETCH_COUNT);
		if (SPI_processed == 0)
			break;
		for (i = 0; i < SPI_processed; i++)
			take(healing, (int) i);
		SPI_freetuptable(SPI_tuptable);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_cursor_close(portal);
	SPI_freeplan(plan);
}

static void
take_orphan(Healing *healing, int row)
{
	Orphan	   *orphan;

	if (healing->norphans == healing->orphans_size)
	{
		healing->orphans_size *= 2;
		healing->orphans = repalloc_huge(healing->orphans,
										 healing->orphans_size * sizeof(Orphan));
	}
	orphan = &healing->orphans[healing->norphans++];
	orphan->tx = get_int64(row, 1);
	orphan->nevents = (int32) get_int64(row, 2);
	orphan->recorded_at = (TimestampTz) get_int64(row, 3);
	orphan->mark = MARK_NEW;
}

/*
 * Returns the place of a transaction among the orphans, -1 if it is none.
 */
static int
find_orphan(const Healing *healing, int64 tx)
{
	int			low = 0;
	int			high = healing->norphans - 1;

	while (low <= high)
	{
		int			middle = low + (high - low) / 2;

		if (healing->orphans[middle].tx == tx)
			return middle;
		if (healing->orphans[middle].tx < tx)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return -1;
}

static void
take_contradiction(Healing *healing, int row)
{
	int			after = find_orphan(healing, get_int64(row, 1));
	int			before = find_orphan(healing, get_int64(row, 2));
	Contradiction *contradiction;

	if (after < 0 || before < 0)
		return;
	if (healing->ncontradictions == healing->contradictions_size)
	{
		healing->contradictions_size *= 2;
		healing->contradictions = repalloc_huge(healing->contradictions,
												healing->contradictions_size * sizeof(Contradiction));
	}
	contradiction = &healing->contradictions[healing->ncontradictions++];
	contradiction->after = after;
	contradiction->before = before;
}

static void
push(Healing *healing, int place)
{
	if (healing->stack_used == healing->stack_size)
	{
		healing->stack_size *= 2;
		healing->stack = repalloc_huge(healing->stack,
									   healing->stack_size * sizeof(int));
	}
	healing->stack[healing->stack_used++] = place;
}

/*
 * Pushes a transaction that must go before another one, unless that is done.
 */
static void
push_before(Healing *healing, int before, int after)
{
	Orphan	   *orphan = &healing->orphans[before];

	if (orphan->mark == MARK_NEW)
		push(healing, before);
	else if (orphan->mark == MARK_ON_STACK && before != after)
		ereport(LOG,
				(errmsg("transactions %lld and %lld of the event store each have a version that the other's follows",
						(long long) orphan->tx,
						(long long) healing->orphans[after].tx),
				 errdetail("That cannot come from appends; they keep the order of their numbers.")));
}

/*
 * Pushes all that must go before a transaction that is drawn forward: what
 * has a smaller number, too, may not have had its turn yet.
 */
static void
push_predecessors(Healing *healing, int place)
{
	Datum		arg = Int64GetDatum(healing->orphans[place].tx);
	Oid			type = INT8OID;
	SPITupleTable *table;
	uint64		n;
	uint64		i;

	if (healing->predecessors == NULL)
	{
		healing->predecessors =
			SPI_prepare(psprintf("SELECT DISTINCT p.tx FROM %s.es_events e, %s.es_events p"
								 " WHERE e.tx = $1 AND p.tenant_id = e.tenant_id"
								 " AND p.stream_id = e.stream_id AND p.version = e.version - 1"
								 " AND p.tx <> e.tx",
								 healing->schema, healing->schema), 1, &type);
		if (healing->predecessors == NULL)
			elog(ERROR, "SPI_prepare failed: %s",
				 SPI_result_code_string(SPI_result));
	}
	if (SPI_execute_plan(healing->predecessors, &arg, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for earlier versions");
	table = SPI_tuptable;
	n = SPI_processed;
	for (i = 0; i < n; i++)
	{
		int			before = find_orphan(healing, get_int64((int) i, 1));

		if (before >= 0)
			push_before(healing, before, place);
	}
	SPI_freetuptable(table);
}

/*
 * Writes the transactions that have been put in order so far.
 */
static void
flush(Healing *healing)
{
	if (healing->ncommits == 0)
		return;
	es_ledger_append(healing->store, healing->tail, healing->commits,
					 healing->ncommits);
	healing->ncommits = 0;
}

static void
emit(Healing *healing, Orphan *orphan)
{
	EsCommit   *commit = &healing->commits[healing->ncommits++];

	orphan->mark = MARK_DONE;
	commit->tx = orphan->tx;
	commit->nevents = orphan->nevents;
	commit->committed_at = orphan->recorded_at;
	commit->end_lsn = healing->end_lsn;
	if (healing->ncommits == APPEND_COUNT)
		flush(healing);
}

/*
 * Emits a transaction, after those that must go before it.  Its own
 * predecessors with smaller numbers have been emitted already; first_edge is
 * its first contradiction.
 */
static void
visit(Healing *healing, int place, int first_edge)
{
	int			edge;

	healing->orphans[place].mark = MARK_ON_STACK;
	for (edge = first_edge; edge < healing->ncontradictions &&
		 healing->contradictions[edge].after == place; edge++)
		push_before(healing, healing->contradictions[edge].before, place);

	while (healing->stack_used > 0)
	{
		int			top = healing->stack[healing->stack_used - 1];
		Orphan	   *orphan = &healing->orphans[top];

		CHECK_FOR_INTERRUPTS();
		if (orphan->mark == MARK_NEW)
		{
			orphan->mark = MARK_ON_STACK;
			push_predecessors(healing, top);
			continue;
		}
		healing->stack_used--;
		if (orphan->mark == MARK_ON_STACK)
			emit(healing, orphan);
	}
	emit(healing, &healing->orphans[place]);
}

/*
 * Finds the transactions without positions, and which of them must not go in
 * the order of their numbers.
 */
static void
find_orphans(Healing *healing, int64 min_tx, int64 max_tx)
{
	for_each_row(healing,
				 psprintf("SELECT e.tx, pg_catalog.count(*),"
						  " pg_catalog.max(e.recorded_at)"
						  " FROM %s.es_events e WHERE e.tx BETWEEN $1 AND $2 AND NOT EXISTS"
						  " (SELECT FROM %s.es_commits c, LATERAL %s.es_commit_entries(c.first_position, c.entries) k"
						  " WHERE c.tx_range && pg_catalog.int8range($1, $2, '[]') AND k.tx = e.tx)"
						  " GROUP BY e.tx ORDER BY e.tx",
						  healing->schema, healing->schema, healing->schema),
				 min_tx, max_tx, take_orphan);
	if (healing->norphans < 2)
		return;

	for_each_row(healing,
				 psprintf("SELECT DISTINCT q.tx, q.previous FROM"
						  " (SELECT e.tx, pg_catalog.lag(e.tx) OVER"
						  " (PARTITION BY e.tenant_id, e.stream_id ORDER BY e.version) AS previous"
						  " FROM %s.es_events e WHERE e.tx BETWEEN $1 AND $2) q"
						  " WHERE q.previous > q.tx ORDER BY q.tx",
						  healing->schema),
				 healing->orphans[0].tx,
				 healing->orphans[healing->norphans - 1].tx,
				 take_contradiction);
}

int64
es_heal(const EsStore *store, EsLedgerTail *tail, int64 min_tx, int64 max_tx,
		XLogRecPtr end_lsn, int64 *greatest_tx)
{
	MemoryContext context;
	MemoryContext old_context;
	Healing    *healing;
	int64		old_head = tail->head;
	int			edge = 0;
	int			i;

	SPI_connect();
	context = AllocSetContextCreate(CurrentMemoryContext,
									"event_store sequencer healing",
									ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(context);
	healing = palloc0(sizeof(Healing));
	healing->store = store;
	healing->tail = tail;
	healing->end_lsn = end_lsn;
	healing->schema = quote_identifier(get_namespace_name(store->namespace_oid));
	healing->orphans_size = healing->contradictions_size = healing->stack_size = 1024;
	healing->orphans = palloc(healing->orphans_size * sizeof(Orphan));
	healing->contradictions = palloc(healing->contradictions_size * sizeof(Contradiction));
	healing->stack = palloc(healing->stack_size * sizeof(int));

	find_orphans(healing, min_tx, max_tx);
	for (i = 0; i < healing->norphans; i++)
	{
		while (edge < healing->ncontradictions &&
			   healing->contradictions[edge].after < i)
			edge++;
		if (healing->orphans[i].mark == MARK_NEW)
			visit(healing, i, edge);
	}
	flush(healing);
	if (healing->norphans > 0)
		*greatest_tx = Max(*greatest_tx,
						   healing->orphans[healing->norphans - 1].tx);

	MemoryContextSwitchTo(old_context);
	SPI_finish();
	return tail->head - old_head;
}
