/*-------------------------------------------------------------------------
 *
 * log_fdw_exec.c
 *	  The relation behind es_log: running its scans.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A row consists of pointers into the page of es_events, which the slot of
 *	  the scan below keeps pinned: nothing is copied.  Only columns that the
 *	  query uses are taken from it.
 *
 *	  es_events and es_commits are read with the snapshot of the query, like
 *	  any table of it.
 *
 *	  An event may be read as another one, or as several (room types).  To know
 *	  how many there are takes upcasting it, whatever columns are used.  An
 *	  event that conditions leave out is not upcast, as far as they are about
 *	  what upcasting does not change: it may be one that cannot be upcast.  That
 *	  is what stands beside the type and the data; and the type of those events
 *	  that keep it.
 *
 *	  In a parallel plan each process takes pieces of the range and scans them,
 *	  one after the other.  Without workers, as when a cursor fetches, there is
 *	  no shared memory, and the scan is a plain one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/ruleutils.h"

#include "catalog/events.h"
#include "core/compat.h"
#include "ledger/find.h"
#include "ledger/ledger.h"
#include "ledger/log_fdw.h"
#include "ledger/log_share.h"
#include "ledger/logscan.h"
#include "ledger/rows.h"
#include "types/types.h"

/*
 * A scan of es_log_events, ForeignScanState.fdw_state.
 */
typedef struct LogState
{
	EsStore		store;
	Relation	events;
	Relation	commits;
	EsLogMode	mode;
	int			wanted;
	List	   *kinds;			/* of the conditions: EsLogCondition */
	List	   *exprs;			/* ExprStates of their values */
	List	   *types;			/* types of the values */
	int			nneeded;		/* columns of es_events that are used */
	TupleTableSlot *slot;		/* the row to return */
	MemoryContext context;		/* of one run of the scan */
	EsLogShare *share;			/* of a parallel scan, else NULL */
	EsUpcaster *upcaster;		/* NULL: events are read as they are stored */
	ExprState  *filter;			/* what an event must fulfil to be upcast */
	ExprState  *type_filter;	/* what one that keeps its type must, too */

	/* one run */
	bool		started;
	bool		empty;			/* no row can fulfil the conditions */
	int64		from;			/* positions */
	int64		to;
	text	   *tenant;			/* NULL: any */
	text	   *stream;			/* NULL: any */
	EsLogScan  *log;			/* along the ledger */
	EsTxFinder *finder;			/* by the stream */
	text	   *tenant_now;		/* tenant whose stream is being read */
	bool		in_stream;
	EsEventScan events_scan;

	/* what the current event is read as */
	EsPiece    *pieces;
	int			npieces;
	int			nreturned;		/* of them */
} LogState;

/*
 * Refuses to read where row security would leave rows out: the scan reads the
 * table directly, and would not.
 */
static void
check_row_security(const EsStore *store)
{
	if (check_enable_rls(store->events, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the log cannot be read under row-level security"),
				 errdetail("Policies of the table \"es_events\" apply to role \"%s\", and the log does not know them.",
						   GetUserNameFromId(GetUserId(), false)),
				 errhint("Read streams instead, or let the role call a SECURITY DEFINER function that returns what it may see.")));
}

/*
 * Returns how many columns of es_events, from the first on, the scan needs.
 */
static int
count_needed(const ForeignScan *plan)
{
	Bitmapset  *used = NULL;
	int			attno = -1;
	int			needed = 0;

	pull_varattnos((Node *) plan->scan.plan.targetlist,
				   plan->scan.scanrelid, &used);
	pull_varattnos((Node *) plan->scan.plan.qual, plan->scan.scanrelid, &used);
	pull_varattnos((Node *) plan->fdw_recheck_quals, plan->scan.scanrelid,
				   &used);
	while ((attno = bms_next_member(used, attno)) >= 0)
	{
		int			column = attno + FirstLowInvalidHeapAttributeNumber;

		if (column == 0)
			return Natts_es_events;
		if (column != Anum_es_log_events_piece)
			needed = Max(needed, column - Anum_es_log_events_committed_at);
	}
	return Min(needed, Natts_es_events);
}

/*
 * What a condition is about.
 */
typedef enum Subject
{
	ABOUT_EVENT,				/* the same for all that it is read as */
	ABOUT_TYPE,					/* and the type */
	ABOUT_OTHER
} Subject;

static Subject
get_subject(Node *condition, Index rti)
{
	Bitmapset  *used = NULL;
	Subject		subject = ABOUT_EVENT;
	int			attno = -1;

	if (contain_volatile_functions(condition) || contain_subplans(condition))
		return ABOUT_OTHER;
	pull_varattnos(condition, rti, &used);
	while ((attno = bms_next_member(used, attno)) >= 0)
	{
		int			column = attno + FirstLowInvalidHeapAttributeNumber;

		if (column == Anum_es_log_events_event_type)
			subject = ABOUT_TYPE;
		else if (column == 0 || es_log_column_is_upcast(column))
			return ABOUT_OTHER;
	}
	return subject;
}

/*
 * Gets ready to upcast events, if any are to be.
 */
static void
begin_upcasting(ForeignScanState *node, LogState *state)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	List	   *conditions[] = {NIL, NIL, NIL};
	ListCell   *lc;

	state->upcaster = es_upcaster_begin(&state->store);
	if (state->upcaster == NULL || !lthird_int(linitial(plan->fdw_private)))
		return;
	foreach(lc, plan->scan.plan.qual)
	{
		Subject		subject = get_subject(lfirst(lc), plan->scan.scanrelid);

		conditions[subject] = lappend(conditions[subject], lfirst(lc));
	}
	state->filter = ExecInitQual(conditions[ABOUT_EVENT], (PlanState *) node);
	state->type_filter = ExecInitQual(conditions[ABOUT_TYPE], (PlanState *) node);
}

void
es_log_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EState	   *estate = node->ss.ps.state;
	TupleDesc	desc = RelationGetDescr(node->ss.ss_currentRelation);
	LogState   *state;
	ListCell   *lc;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	state = palloc0(sizeof(LogState));
	es_log_check_table(RelationGetRelid(node->ss.ss_currentRelation),
					   &state->store);
	state->events = es_catalog_open_events(AccessShareLock, &state->store);
	state->commits = es_ledger_open(&state->store, AccessShareLock);
	check_row_security(&state->store);

	state->mode = linitial_int(linitial(plan->fdw_private));
	state->wanted = lsecond_int(linitial(plan->fdw_private));
	state->kinds = lsecond(plan->fdw_private);
	state->exprs = ExecInitExprList(plan->fdw_exprs, (PlanState *) node);
	foreach(lc, plan->fdw_exprs)
		state->types = lappend_oid(state->types, exprType(lfirst(lc)));

	state->nneeded = count_needed(plan);
	state->slot = ExecInitExtraTupleSlot(estate, desc, &TTSOpsVirtual);
	memset(state->slot->tts_values, 0, desc->natts * sizeof(Datum));
	memset(state->slot->tts_isnull, true, desc->natts * sizeof(bool));
	state->slot->tts_isnull[Anum_es_log_events_position - 1] = false;
	state->slot->tts_isnull[Anum_es_log_events_committed_at - 1] = false;
	state->slot->tts_isnull[Anum_es_log_events_piece - 1] = false;
	begin_upcasting(node, state);
	state->context = AllocSetContextCreate(CurrentMemoryContext,
										   "event_store log scan",
										   ALLOCSET_DEFAULT_SIZES);
	node->fdw_state = state;
}

/*
 * Narrows the positions by a condition.
 */
static void
apply_position(LogState *state, EsLogCondition kind, int64 value)
{
	switch (kind)
	{
		case ES_LOG_POSITION_LT:
			if (value == PG_INT64_MIN)
				state->empty = true;
			else
				state->to = Min(state->to, value - 1);
			break;
		case ES_LOG_POSITION_LE:
			state->to = Min(state->to, value);
			break;
		case ES_LOG_POSITION_EQ:
			state->from = Max(state->from, value);
			state->to = Min(state->to, value);
			break;
		case ES_LOG_POSITION_GE:
			state->from = Max(state->from, value);
			break;
		case ES_LOG_POSITION_GT:
			if (value == PG_INT64_MAX)
				state->empty = true;
			else
				state->from = Max(state->from, value + 1);
			break;
		default:
			elog(ERROR, "unexpected condition %d", (int) kind);
	}
}

/*
 * Are two texts of the same bytes?
 */
static inline bool
same_text(const text *a, const text *b)
{
	Size		size = VARSIZE_ANY_EXHDR(a);

	return size == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), size) == 0;
}

/*
 * Asks for a text; another one than asked for before leaves no row.
 */
static void
apply_text(LogState *state, text **wanted, Datum value)
{
	text	   *asked = DatumGetTextPCopy(value);

	if (*wanted != NULL && !same_text(*wanted, asked))
		state->empty = true;
	*wanted = asked;
}

/*
 * Evaluates the conditions.
 */
static void
apply_conditions(ForeignScanState *node, LogState *state)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	ListCell   *kind;
	ListCell   *expr;
	ListCell   *type;

	state->empty = false;
	state->from = 1;
	state->to = PG_INT64_MAX;
	state->tenant = NULL;
	state->stream = NULL;
	forthree(kind, state->kinds, expr, state->exprs, type, state->types)
	{
		bool		isnull;
		Datum		value = ExecEvalExprSwitchContext(lfirst(expr), econtext,
													  &isnull);

		if (isnull)
			state->empty = true;
		else if (lfirst_int(kind) == ES_LOG_TENANT_IS)
			apply_text(state, &state->tenant, value);
		else if (lfirst_int(kind) == ES_LOG_STREAM_IS)
			apply_text(state, &state->stream, value);
		else
			apply_position(state, lfirst_int(kind),
						   lfirst_oid(type) == INT8OID ? DatumGetInt64(value) :
						   lfirst_oid(type) == INT4OID ? DatumGetInt32(value) :
						   DatumGetInt16(value));
	}
	if (state->from > state->to)
		state->empty = true;
}

/*
 * Begins to scan a range of positions along the ledger.
 */
static void
begin_log(LogState *state, Snapshot snapshot, int64 from, int64 to,
		  int64 wanted)
{
	state->log = es_log_scan_begin(state->events, state->commits,
								   &state->store, snapshot,
								   state->mode == ES_LOG_FORWARD ?
								   ForwardScanDirection :
								   BackwardScanDirection,
								   from, to, wanted);
}

/*
 * Goes to the next piece of a shared range; returns false if there is none.
 */
static bool
next_piece(LogState *state, Snapshot snapshot)
{
	int64		first;
	int64		last;

	if (state->log != NULL)
		es_log_scan_end(state->log);
	state->log = NULL;
	if (!es_log_share_take(state->share, state->from, state->to, &first, &last))
		return false;
	begin_log(state, snapshot, first, last, last - first + 1);
	return true;
}

/*
 * Begins a run of the scan.
 */
static void
start(ForeignScanState *node, LogState *state)
{
	Snapshot	snapshot = node->ss.ps.state->es_snapshot;

	state->started = true;
	apply_conditions(node, state);
	if (state->empty)
		return;

	if (state->share != NULL)
	{
		state->to = Min(state->to, es_ledger_head(&state->store, snapshot));
		state->empty = !next_piece(state, snapshot);
	}
	else if (state->mode == ES_LOG_FORWARD || state->mode == ES_LOG_BACKWARD)
		begin_log(state, snapshot, state->from, state->to, state->wanted);
	else
	{
		state->finder = es_tx_finder_begin(state->commits, &state->store,
										   snapshot);
		state->tenant_now = NULL;
	}
}

/*
 * Ends a run of the scan.
 */
static void
stop(LogState *state)
{
	if (state->log != NULL)
		es_log_scan_end(state->log);
	state->log = NULL;
	if (state->in_stream)
		es_events_end_scan(&state->events_scan);
	state->in_stream = false;
	if (state->finder != NULL)
		es_tx_finder_end(state->finder);
	state->finder = NULL;
	state->started = false;
	state->npieces = state->nreturned = 0;
	ExecClearTuple(state->slot);
	MemoryContextReset(state->context);
}

/*
 * Goes to the next tenant, whose stream is to be read; returns false if there
 * is none.
 */
static bool
next_tenant(LogState *state, Snapshot snapshot)
{
	EsEventScan scan;
	ScanKeyData key;
	TupleTableSlot *slot;
	bool		isnull;

	if (state->tenant != NULL)
	{
		if (state->tenant_now != NULL)
			return false;
		state->tenant_now = state->tenant;
		return true;
	}

	if (state->tenant_now != NULL)
		ScanKeyEntryInitialize(&key, 0, Anum_es_events_tenant_id,
							   BTGreaterStrategyNumber, InvalidOid,
							   C_COLLATION_OID, F_TEXT_GT,
							   PointerGetDatum(state->tenant_now));
	es_events_begin_scan(&scan, state->events,
						 state->store.indexes[ES_INDEX_PKEY], snapshot, &key,
						 state->tenant_now != NULL ? 1 : 0);
	slot = es_events_next(&scan, ForwardScanDirection);
	if (slot != NULL)
		state->tenant_now =
			DatumGetTextPCopy(slot_getattr(slot, Anum_es_events_tenant_id,
										   &isnull));
	es_events_end_scan(&scan);
	return slot != NULL;
}

/*
 * Begins to read the stream of the current tenant.
 */
static void
begin_stream(LogState *state, Snapshot snapshot)
{
	ScanKeyData keys[2];

	ScanKeyEntryInitialize(&keys[0], 0, Anum_es_events_tenant_id,
						   BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
						   F_TEXTEQ, PointerGetDatum(state->tenant_now));
	ScanKeyEntryInitialize(&keys[1], 0, Anum_es_events_stream_id,
						   BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
						   F_TEXTEQ, PointerGetDatum(state->stream));
	es_events_begin_scan(&state->events_scan, state->events,
						 state->store.indexes[ES_INDEX_PKEY], snapshot, keys,
						 2);
	state->in_stream = true;
}

/*
 * Looks the position of an event up; returns false if it has none, or none that
 * is asked for.
 */
static bool
find_position(LogState *state, TupleTableSlot *slot, int64 *position,
			  TimestampTz *committed_at)
{
	bool		isnull;
	int64		tx = DatumGetInt64(slot_getattr(slot, Anum_es_events_tx, &isnull));
	int32		ordinal = DatumGetInt32(slot_getattr(slot, Anum_es_events_ordinal,
													 &isnull));
	const EsEntry *entry;
	int64		first;

	entry = es_tx_finder_find(state->finder, tx, &first);
	if (entry == NULL)
		return false;
	if (ordinal < 0 || ordinal >= entry->nevents)
		es_ledger_raise_damage(first,
							   psprintf("Transaction %lld has %d events in the ledger, and one with ordinal %d in the table \"es_events\".",
										(long long) tx, entry->nevents, ordinal));
	*position = first + ordinal;
	*committed_at = entry->committed_at;
	return *position >= state->from && *position <= state->to;
}

/*
 * Returns the next event of the stream, or NULL at the end.
 */
static TupleTableSlot *
next_of_stream(LogState *state, Snapshot snapshot, int64 *position,
			   TimestampTz *committed_at)
{
	ScanDirection direction = state->mode == ES_LOG_STREAM ?
		ForwardScanDirection : BackwardScanDirection;

	for (;;)
	{
		TupleTableSlot *slot;

		if (!state->in_stream)
		{
			if (!next_tenant(state, snapshot))
				return NULL;
			begin_stream(state, snapshot);
		}
		slot = es_events_next(&state->events_scan, direction);
		if (slot == NULL)
		{
			es_events_end_scan(&state->events_scan);
			state->in_stream = false;
		}
		else if (find_position(state, slot, position, committed_at))
			return slot;
	}
}

/*
 * Does the row belong to the tenant and stream that are asked for?
 */
static inline bool
is_asked_for(const LogState *state, TupleTableSlot *slot)
{
	bool		isnull;

	if (state->stream != NULL &&
		!same_text(state->stream,
				   DatumGetTextPP(slot_getattr(slot, Anum_es_events_stream_id, &isnull))))
		return false;
	return state->tenant == NULL ||
		same_text(state->tenant,
				  DatumGetTextPP(slot_getattr(slot, Anum_es_events_tenant_id, &isnull)));
}

/*
 * Returns the next event that fulfils the conditions, or NULL at the end.
 */
static TupleTableSlot *
next_event(LogState *state, Snapshot snapshot, int64 *position,
		   TimestampTz *committed_at)
{
	TupleTableSlot *slot;

	if (state->empty)
		return NULL;
	if (state->log == NULL)
		return next_of_stream(state, snapshot, position, committed_at);
	for (;;)
	{
		slot = es_log_scan_next(state->log, position, committed_at);
		if (slot != NULL)
		{
			if (is_asked_for(state, slot))
				return slot;
		}
		else if (state->share == NULL || !next_piece(state, snapshot))
		{
			state->empty = true;
			return NULL;
		}
	}
}

/*
 * Puts the first columns of an event into the row.
 */
static void
copy_columns(LogState *state, TupleTableSlot *event, int ncolumns)
{
	if (ncolumns == 0)
		return;
	slot_getsomeattrs(event, ncolumns);
	memcpy(state->slot->tts_values + Anum_es_log_events_committed_at,
		   event->tts_values, ncolumns * sizeof(Datum));
	memcpy(state->slot->tts_isnull + Anum_es_log_events_committed_at,
		   event->tts_isnull, ncolumns * sizeof(bool));
}

/*
 * Upcasts the event in the row, if it is to be; returns false if nobody wants
 * to see what becomes of it.
 */
static bool
upcast(ForeignScanState *node, LogState *state, TupleTableSlot *event)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	TupleTableSlot *slot = state->slot;
	EsPiece		stored;
	EsEventName name;
	text	   *stream;

#define COLUMN(name) (slot->tts_values[Anum_es_log_events_##name - 1])
	copy_columns(state, event, Max(state->nneeded, Anum_es_events_schema_version));
	if (!es_upcaster_wants(state->upcaster, COLUMN(event_type),
						   DatumGetInt32(COLUMN(schema_version))))
		return true;
	if (state->filter != NULL || state->type_filter != NULL)
	{
		econtext->ecxt_scantuple = ExecStoreVirtualTuple(slot);
		if (!ExecQual(state->filter, econtext) ||
			(state->type_filter != NULL &&
			 es_upcaster_keeps_type(state->upcaster, COLUMN(event_type),
									DatumGetInt32(COLUMN(schema_version))) &&
			 !ExecQual(state->type_filter, econtext)))
			return false;
		ExecClearTuple(slot);
	}

	copy_columns(state, event, Max(state->nneeded, Anum_es_events_metadata));
	stored.event_type = COLUMN(event_type);
	stored.schema_version = DatumGetInt32(COLUMN(schema_version));
	stored.data = COLUMN(data);
	stream = DatumGetTextPP(COLUMN(stream_id));
	name.stream = VARDATA_ANY(stream);
	name.stream_len = VARSIZE_ANY_EXHDR(stream);
	name.version = DatumGetInt64(COLUMN(version));
	name.position = DatumGetInt64(COLUMN(position));
	state->pieces = es_upcaster_apply(state->upcaster, &stored, COLUMN(metadata),
									  &name, &state->npieces);
	state->nreturned = 0;
	return true;
#undef COLUMN
}

/*
 * Returns the row, of the event or of the next one that it is read as.
 */
static TupleTableSlot *
return_row(LogState *state)
{
	Datum	   *values = state->slot->tts_values;
	int			number = 0;

	if (state->npieces > 0)
	{
		const EsPiece *piece;

		number = state->mode == ES_LOG_FORWARD || state->mode == ES_LOG_STREAM ?
			state->nreturned : state->npieces - state->nreturned - 1;
		state->nreturned++;
		piece = &state->pieces[number];
		values[Anum_es_log_events_event_type - 1] = piece->event_type;
		values[Anum_es_log_events_schema_version - 1] =
			Int32GetDatum(piece->schema_version);
		values[Anum_es_log_events_data - 1] = piece->data;
	}
	values[Anum_es_log_events_piece - 1] = Int64GetDatum(number + 1);
	return ExecStoreVirtualTuple(state->slot);
}

TupleTableSlot *
es_log_iterate(ForeignScanState *node)
{
	LogState   *state = node->fdw_state;
	TupleTableSlot *slot = state->slot;

	ExecClearTuple(slot);
	if (state->nreturned < state->npieces)
		return return_row(state);
	for (;;)
	{
		TupleTableSlot *event;
		MemoryContext old_context;
		int64		position = 0;
		TimestampTz committed_at = 0;

		/* What scans allocate must live longer than a row. */
		old_context = MemoryContextSwitchTo(state->context);
		if (!state->started)
			start(node, state);
		event = next_event(state, node->ss.ps.state->es_snapshot, &position,
						   &committed_at);
		MemoryContextSwitchTo(old_context);
		state->npieces = state->nreturned = 0;
		if (event == NULL)
			return NULL;

		slot->tts_values[Anum_es_log_events_position - 1] = Int64GetDatum(position);
		slot->tts_values[Anum_es_log_events_committed_at - 1] =
			TimestampTzGetDatum(committed_at);
		if (state->upcaster == NULL)
			copy_columns(state, event, state->nneeded);
		else if (!upcast(node, state, event))
		{
			CHECK_FOR_INTERRUPTS();
			ExecClearTuple(slot);
			ResetExprContext(node->ss.ps.ps_ExprContext);
			continue;
		}
		return return_row(state);
	}
}

void
es_log_rescan(ForeignScanState *node)
{
	LogState   *state = node->fdw_state;

	if (state != NULL)
		stop(state);
}

Size
es_log_estimate_dsm(ForeignScanState *node, ParallelContext *pcxt)
{
	return sizeof(EsLogShare);
}

void
es_log_initialize_dsm(ForeignScanState *node, ParallelContext *pcxt,
					  void *coordinate)
{
	LogState   *state = node->fdw_state;

	state->share = coordinate;
	es_log_share_init(state->share);
}

void
es_log_reinitialize_dsm(ForeignScanState *node, ParallelContext *pcxt,
						void *coordinate)
{
	es_log_share_reset(coordinate);
}

void
es_log_initialize_worker(ForeignScanState *node, shm_toc *toc,
						 void *coordinate)
{
	LogState   *state = node->fdw_state;

	state->share = coordinate;
}

/*
 * ShutdownForeignScan: the shared memory goes away.  What remains to be scanned
 * is not asked for; a rescan gets new shared memory, or is a plain one.
 */
void
es_log_shutdown(ForeignScanState *node)
{
	LogState   *state = node->fdw_state;

	if (state == NULL || state->share == NULL)
		return;
	state->share = NULL;
	state->empty = true;
	state->started = true;
}

void
es_log_end(ForeignScanState *node)
{
	LogState   *state = node->fdw_state;

	if (state == NULL)
		return;
	stop(state);
	table_close(state->commits, NoLock);
	relation_close(state->events, NoLock);
}

void
es_log_explain(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EsLogMode	mode = linitial_int(linitial(plan->fdw_private));
	EsStore		store;
	List	   *context;

	ExplainPropertyText("Log Scan",
						plan->scan.plan.parallel_aware ? "pieces by position" :
						mode == ES_LOG_FORWARD ? "forward by position" :
						mode == ES_LOG_BACKWARD ? "backward by position" :
						mode == ES_LOG_STREAM ? "forward by stream" :
						"backward by stream", es);
	es_catalog_get_store(&store);
	if (es_types_have_upcasters(&store))
		ExplainPropertyBool("Log Upcast", true, es);
	if (plan->fdw_recheck_quals == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt,
									   node->ss.ps.plan, NIL);
	ExplainPropertyText("Log Cond",
						deparse_expression((Node *) make_ands_explicit(plan->fdw_recheck_quals),
										   context,
										   list_length(es->rtable) > 1 || es->verbose,
										   false), es);
}
