/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  es_verify: is a view what its query says?
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The table, the checkpoint and the log are looked at with one snapshot.  A
 *	  batch writes the table and the checkpoint in one transaction, so that
 *	  nobody needs to be locked out.
 *
 *	  A view that is inline is ahead of the log by what the sequencer has not
 *	  seen yet: if there are differences, appends are locked out for a second
 *	  look.
 *
 *	  Events that were skipped, dead letters, are left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "core/compat.h"
#include "ledger/ledger.h"
#include "projection/rebuild.h"
#include "view/view.h"

PG_FUNCTION_INFO_V1(es_verify);

static const char *const checkpoints_sql =
	"SELECT pg_catalog.max(c.position) FROM pg_catalog.generate_series(0, $2 - 1) p"
	" LEFT JOIN %s.es_checkpoints c ON c.projection_id = $1 AND c.partition = p"
	" GROUP BY p ORDER BY p";

/*
 * Returns a condition on es_log l: events that are applied, by the checkpoint
 * of each partition.  Sets *upto to the greatest of them.
 */
static char *
get_condition(const EsStore *store, const EsProjection *projection, int64 *upto)
{
	Oid			types[] = {INT4OID, INT4OID};
	Datum		values[] = {
		Int32GetDatum(projection->id), Int32GetDatum(projection->partitions)
	};
	StringInfoData sql;
	uint64		n;
	uint64		i;

	*upto = 0;
	initStringInfo(&sql);
	appendStringInfo(&sql, "CASE %s.es_stream_partition(l.stream_id, %d)",
					 quote_identifier(get_namespace_name(store->namespace_oid)),
					 projection->partitions);
	SPI_connect();
	n = es_registry_query(store, checkpoints_sql, lengthof(types), types,
						  values, NULL);
	for (i = 0; i < n; i++)
	{
		bool		isnull;
		int64		position =
			DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i],
										SPI_tuptable->tupdesc, 1, &isnull));

		if (isnull)
			position = projection->after_position;
		*upto = Max(*upto, position);
		appendStringInfo(&sql, " WHEN %d THEN l.position OPERATOR(pg_catalog.<=) '%lld'::pg_catalog.int8",
						 (int) i, (long long) position);
	}
	SPI_finish();
	appendStringInfoString(&sql, " END");
	return sql.data;
}

/*
 * Returns the source of the events that are in the table, and sets *upto to
 * its second parameter.
 */
static char *
get_source(const EsStore *store, const EsProjection *projection, int64 *upto)
{
	char	   *source = es_rebuild_source(store, projection);
	char	   *condition = get_condition(store, projection, upto);

	/* An inline view is at the end of the log, in all partitions. */
	if (projection->is_inline)
		*upto = es_ledger_head(store, GetActiveSnapshot());
	return projection->is_inline || projection->partitions == 1 ? source :
		psprintf("SELECT * FROM (%s) l WHERE %s", source, condition);
}

/*
 * Compares as the projection's owner, with the active snapshot.
 */
static void
compare(const EsStore *store, EsProjection *projection, ReturnSetInfo *result)
{
	SPIExecuteOptions options = {0};
	int64		upto;
	char	   *source = get_source(store, projection, &upto);
	Datum		values[] = {Int64GetDatum(projection->after_position), Int64GetDatum(upto)};
	EsRunAs		saved;
	char	   *sql;
	int			code;
	int			i;

	es_run_as(store, projection, &saved);
	SPI_connect();
	sql = es_view_verify_sql(es_view_of(store, projection),
							 es_view_relation_name(projection->relation),
							 source);
	options.read_only = true;
	options.dest = CreateTuplestoreDestReceiver();
	SetTuplestoreDestReceiverParams(options.dest, result->setResult,
									result->econtext->ecxt_per_query_memory,
									true, NULL, NULL);
	options.params = makeParamList(lengthof(values));
	for (i = 0; i < (int) lengthof(values); i++)
	{
		options.params->params[i].value = values[i];
		options.params->params[i].isnull = false;
		options.params->params[i].pflags = PARAM_FLAG_CONST;
		options.params->params[i].ptype = INT8OID;
	}
	code = SPI_execute_extended(sql, &options);
	if (code != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\": %s", sql,
			 SPI_result_code_string(code));
	SPI_finish();
	es_run_as_end(&saved);
}

/*
 * The same with a snapshot of its own.
 */
static void
compare_now(const EsStore *store, EsProjection *projection,
			ReturnSetInfo *result)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	compare(store, projection, result);
	PopActiveSnapshot();
}

/*
 * SQL: es_verify(name text) returns table (difference text, expected jsonb,
 * actual jsonb)
 */
Datum
es_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	EsStore		store;
	EsProjection *projection;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name must not be NULL")));
	es_catalog_get_store(&store);
	projection = es_registry_find(&store, text_to_cstring(PG_GETARG_TEXT_PP(0)),
								  false);
	es_projection_check_owner(projection);
	if (projection->kind != ES_PROJECTION_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("projection \"%s\" cannot be compared with the log",
						projection->name),
				 errdetail("It is not a view: there is no query that says what its tables have to hold."),
				 errhint("Make its contents anew with es_rebuild.")));

	InitMaterializedSRF(fcinfo, 0);
	es_projection_pin(projection);
	compare_now(&store, projection, result);
	if (projection->is_inline && tuplestore_tuple_count(result->setResult) > 0)
	{
		tuplestore_clear(result->setResult);
		es_mode_check_transaction("compare an inline projection with the log");
		es_mode_lock_appends(&store);
		(void) es_mode_final_head(&store);
		compare_now(&store, projection, result);
	}
	es_projection_unpin(projection);
	return (Datum) 0;
}
