/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  The ledger in SQL: positions, its rows, and what keeps users from
 *	  changing it.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/pg_lsn.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "catalog/events.h"
#include "core/compat.h"
#include "core/error.h"
#include "ledger/ledger.h"
#include "ledger/rows.h"

PG_FUNCTION_INFO_V1(es_check_read_all);
PG_FUNCTION_INFO_V1(es_check_read_category);
PG_FUNCTION_INFO_V1(es_commit_entries);
PG_FUNCTION_INFO_V1(es_commit_problem);
PG_FUNCTION_INFO_V1(es_commits_before_insert);
PG_FUNCTION_INFO_V1(es_commits_immutable);
PG_FUNCTION_INFO_V1(es_head_position);
PG_FUNCTION_INFO_V1(es_pack_entries);
PG_FUNCTION_INFO_V1(es_position);

/*
 * SQL: es_head_position() returns bigint
 *
 * Reads with the snapshot of the query; the right to execute it is the
 * privilege.
 */
Datum
es_head_position(PG_FUNCTION_ARGS)
{
	EsStore		store;

	es_catalog_get_store(&store);
	PG_RETURN_INT64(es_ledger_head(&store, GetActiveSnapshot()));
}

/*
 * Finds an event of a stream; returns false if there is none.
 */
static bool
find_event(Relation events, const EsStore *store, const EsStreamKey *key,
		   int64 version, int64 *tx, int32 *ordinal)
{
	EsEventScan scan;
	ScanKeyData keys[3];
	TupleTableSlot *slot;

	es_events_stream_keys(keys, key);
	ScanKeyInit(&keys[2], Anum_es_events_version, BTEqualStrategyNumber,
				F_INT8EQ, Int64GetDatum(version));
	es_events_begin_scan(&scan, events, store->indexes[ES_INDEX_PKEY],
						 GetActiveSnapshot(), keys, 3);
	slot = es_events_next(&scan, ForwardScanDirection);
	if (slot != NULL)
	{
		bool		isnull;

		*tx = DatumGetInt64(slot_getattr(slot, Anum_es_events_tx, &isnull));
		*ordinal = DatumGetInt32(slot_getattr(slot, Anum_es_events_ordinal,
											  &isnull));
	}
	es_events_end_scan(&scan);
	return slot != NULL;
}

/*
 * SQL: es_position(stream_id text, version bigint) returns bigint
 *
 * Reads with the snapshot of the query; the right to execute it is the
 * privilege.
 */
Datum
es_position(PG_FUNCTION_ARGS)
{
	EsStore		store;
	EsStreamKey key;
	EsCommit	commit;
	Relation	events;
	text	   *stream;
	int64		tx;
	int64		first_position;
	int32		ordinal;
	bool		found;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("stream id must not be null")));
	stream = PG_GETARG_TEXT_PP(0);
	es_stream_key_make_own(&key, VARDATA_ANY(stream), VARSIZE_ANY_EXHDR(stream));
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();

	events = es_catalog_open_events(AccessShareLock, &store);
	found = find_event(events, &store, &key, PG_GETARG_INT64(1), &tx, &ordinal) &&
		es_ledger_find(&store, GetActiveSnapshot(), tx, &first_position, &commit);
	relation_close(events, AccessShareLock);
	if (!found)
		PG_RETURN_NULL();
	if (ordinal >= commit.nevents)
		es_ledger_raise_damage(first_position,
							   psprintf("Transaction %lld has %d events in the ledger, and one with ordinal %d in the table \"es_events\".",
										(long long) tx, commit.nevents, ordinal));
	PG_RETURN_INT64(first_position + ordinal);
}

/*
 * SQL: es_commit_entries(first_position bigint, entries bytea) returns table
 *		(first_position bigint, tx bigint, events integer,
 *		 committed_at timestamptz)
 */
Datum
es_commit_entries(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		position = PG_GETARG_INT64(0);
	bytea	   *packed = PG_GETARG_BYTEA_PP(1);
	EsEntry    *entries = palloc(ES_MAX_ENTRIES * sizeof(EsEntry));
	int			nentries = 0;
	const char *problem;
	int			i;

	problem = es_entries_unpack(VARDATA_ANY(packed),
								VARSIZE_ANY_EXHDR(packed), entries, &nentries);
	if (problem != NULL)
		es_ledger_raise_damage(position, problem);

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; i < nentries; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = Int64GetDatum(position);
		values[1] = Int64GetDatum(entries[i].tx);
		values[2] = Int32GetDatum(entries[i].nevents);
		values[3] = TimestampTzGetDatum(entries[i].committed_at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		position += entries[i].nevents;
	}
	return (Datum) 0;
}

/*
 * Says what is wrong with a row of es_commits, NULL if nothing is.
 */
static const char *
find_row_problem(int64 first_position, int64 last_position, Datum tx_range,
				 bytea *entries)
{
	TypeCacheEntry *range_type = lookup_type_cache(INT8RANGEOID,
												   TYPECACHE_RANGE_INFO);
	EsLedgerRow *row = palloc(sizeof(EsLedgerRow));
	const char *problem;
	RangeBound	lower;
	RangeBound	upper;
	bool		empty;

	problem = es_ledger_row_fill(row, first_position, last_position,
								 InvalidXLogRecPtr, VARDATA_ANY(entries),
								 VARSIZE_ANY_EXHDR(entries));
	if (problem != NULL)
		return problem;

	range_deserialize(range_type, DatumGetRangeTypeP(tx_range), &lower, &upper,
					  &empty);
	if (empty || lower.infinite || upper.infinite ||
		!lower.inclusive || upper.inclusive ||
		DatumGetInt64(lower.val) != row->min_tx ||
		DatumGetInt64(upper.val) != row->max_tx + 1)
		return psprintf("Its entries have transactions %lld to %lld, which is not its tx_range.",
						(long long) row->min_tx, (long long) row->max_tx);
	return NULL;
}

/*
 * SQL: es_commit_problem(first_position bigint, last_position bigint,
 *		tx_range int8range, entries bytea) returns text
 */
Datum
es_commit_problem(PG_FUNCTION_ARGS)
{
	const char *problem = "A column is null.";

	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1) && !PG_ARGISNULL(2) &&
		!PG_ARGISNULL(3))
		problem = find_row_problem(PG_GETARG_INT64(0), PG_GETARG_INT64(1),
								   PG_GETARG_DATUM(2), PG_GETARG_BYTEA_PP(3));
	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}

/*
 * Makes sure that the function was called as the trigger it was made for.
 */
static TriggerData *
get_trigger_data(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function can only be called as the trigger it was made for")));
	return (TriggerData *) fcinfo->context;
}

/*
 * SQL: trigger BEFORE INSERT ON es_commits FOR EACH ROW
 *
 * Rows come from a dump as a rule: a damaged one must not get in.  Where their
 * transactions ended in the WAL of another server means nothing here, and the
 * sequencer must not go on from there.
 */
Datum
es_commits_before_insert(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = get_trigger_data(fcinfo);
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	Datum		values[Natts_es_commits];
	bool		nulls[Natts_es_commits];
	const char *problem = "A column is null.";
	bool		any_null = false;
	EsStore		store;
	int			i;

	es_catalog_get_store(&store);
	if (!TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		RelationGetRelid(trigdata->tg_relation) != store.commits)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function can only be called as the trigger it was made for")));
	relation_close(es_ledger_open(&store, NoLock), NoLock);

	for (i = 0; i < Natts_es_commits; i++)
	{
		bool		isnull;

		values[i] = heap_getattr(trigdata->tg_trigtuple, i + 1, desc, &isnull);
		any_null |= isnull;
	}
	if (!any_null)
		problem = find_row_problem(DatumGetInt64(values[Anum_es_commits_first_position - 1]),
								   DatumGetInt64(values[Anum_es_commits_last_position - 1]),
								   values[Anum_es_commits_tx_range - 1],
								   DatumGetByteaPP(values[Anum_es_commits_entries - 1]));
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("row does not fit into the ledger of positions"),
				 errdetail("%s", problem),
				 errhint("Rows of the table \"es_commits\" are written by the sequencer, or restored from a dump as they are.")));

	values[Anum_es_commits_end_lsn - 1] = LSNGetDatum(InvalidXLogRecPtr);
	memset(nulls, false, sizeof(nulls));
	return PointerGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * SQL: triggers BEFORE UPDATE OR DELETE OR TRUNCATE ON es_commits, for each
 * statement, and BEFORE UPDATE OR DELETE for each row, which also subscriptions
 * fire
 */
Datum
es_commits_immutable(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = get_trigger_data(fcinfo);
	const char *command;

	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		command = "UPDATE";
	else if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		command = "DELETE";
	else
		command = "TRUNCATE";

	ereport(ERROR,
			(errcode(ES_ERRCODE_EVENTS_IMMUTABLE),
			 errmsg("positions of events are immutable"),
			 errdetail("%s of table \"%s\" is not possible.", command,
					   RelationGetRelationName(trigdata->tg_relation))));
	return PointerGetDatum(NULL);	/* keep the compiler quiet */
}

/*
 * Takes an array argument apart, which must have no NULL elements.
 */
static int
get_array(FunctionCallInfo fcinfo, int arg, Oid type, int16 typlen,
		  char typalign, bool byval, Datum **elements)
{
	bool	   *nulls;
	int			n;
	int			i;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), type, typlen, byval,
					  typalign, elements, &nulls, &n);
	for (i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("entries must not be null")));
	}
	return n;
}

/*
 * SQL: es_pack_entries(tx bigint[], events integer[],
 *		committed_at timestamptz[]) returns bytea
 *
 * Packs whatever it gets: it is there for tests and repairs.
 */
Datum
es_pack_entries(PG_FUNCTION_ARGS)
{
	EsPacker   *packer = palloc(sizeof(EsPacker));
	Datum	   *tx;
	Datum	   *nevents;
	Datum	   *committed_at;
	int			n;
	int			i;

	n = get_array(fcinfo, 0, INT8OID, sizeof(int64), TYPALIGN_DOUBLE,
				  FLOAT8PASSBYVAL, &tx);
	if (get_array(fcinfo, 1, INT4OID, sizeof(int32), TYPALIGN_INT, true,
				  &nevents) != n ||
		get_array(fcinfo, 2, TIMESTAMPTZOID, sizeof(TimestampTz),
				  TYPALIGN_DOUBLE, FLOAT8PASSBYVAL, &committed_at) != n)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arrays must be of equal length")));

	es_packer_reset(packer);
	for (i = 0; i < n; i++)
	{
		EsEntry		entry;

		entry.tx = DatumGetInt64(tx[i]);
		entry.nevents = DatumGetInt32(nevents[i]);
		entry.committed_at = DatumGetTimestampTz(committed_at[i]);
		if (!es_packer_add(packer, &entry))
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("entries do not fit into one row of the ledger"),
					 errdetail("The first %d do.", i)));
	}
	PG_RETURN_BYTEA_P(es_packer_finish(packer));
}

/*
 * Checks the arguments that reading functions of the log have in common, of
 * which the position has the number given and max_count the next one; returns
 * max_count, or NULL for no limit.
 */
static Datum
check_page(FunctionCallInfo fcinfo, int arg)
{
	int64		position = PG_ARGISNULL(arg) ? 0 : PG_GETARG_INT64(arg);

	if (position < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("position must not be negative"),
				 errdetail("It is %lld.", (long long) position),
				 errhint("The first event of the log has position 1; 0 reads from the beginning.")));
	if (PG_ARGISNULL(arg + 1))
		PG_RETURN_NULL();
	if (PG_GETARG_INT64(arg + 1) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of events must be greater than zero"),
				 errdetail("It is %lld.", (long long) PG_GETARG_INT64(arg + 1)),
				 errhint("NULL means no limit.")));
	PG_RETURN_INT64(PG_GETARG_INT64(arg + 1));
}

/*
 * Raises an error unless the argument, an array of names, is NULL or has at
 * least one element and no NULL ones.
 */
static void
check_names(FunctionCallInfo fcinfo, int arg, const char *what)
{
	ArrayType  *names;

	if (PG_ARGISNULL(arg))
		return;
	names = PG_GETARG_ARRAYTYPE_P(arg);
	if (ARR_NDIM(names) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must be a one-dimensional array", what)));
	if (ArrayGetNItems(ARR_NDIM(names), ARR_DIMS(names)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", what),
				 errhint("NULL means all of them.")));
	if (array_contains_nulls(names))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not contain nulls", what)));
}

/*
 * SQL: es_check_read_all(after_position bigint, max_count bigint,
 *		categories text[], event_types text[]) returns bigint
 *
 * For the LIMIT clause, like es_check_read.
 */
Datum
es_check_read_all(PG_FUNCTION_ARGS)
{
	check_names(fcinfo, 2, "categories");
	check_names(fcinfo, 3, "event types");
	return check_page(fcinfo, 0);
}

/*
 * SQL: es_check_read_category(category text, after_position bigint,
 *		max_count bigint) returns bigint
 */
Datum
es_check_read_category(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("category must not be null"),
				 errhint("es_read_all() reads all categories.")));
	if (VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(0)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("category must not be empty"),
				 errhint("The category of a stream is what stands before the first hyphen of its id.")));
	return check_page(fcinfo, 1);
}
