/*-------------------------------------------------------------------------
 *
 * log_fdw.h
 *	  The relation behind es_log: what its planner tells its executor.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_LEDGER_LOG_FDW_H
#define ES_LEDGER_LOG_FDW_H

#include "access/parallel.h"
#include "foreign/fdwapi.h"
#include "storage/shm_toc.h"

#include "catalog/catalog.h"

/* Columns of es_log_events: two, those of es_events, and one */
#define Natts_es_log_events				(2 + Natts_es_events + 1)
#define Anum_es_log_events_position		1
#define Anum_es_log_events_committed_at	2
#define Anum_es_log_events_tenant_id	(2 + Anum_es_events_tenant_id)
#define Anum_es_log_events_stream_id	(2 + Anum_es_events_stream_id)
#define Anum_es_log_events_version		(2 + Anum_es_events_version)
#define Anum_es_log_events_event_type	(2 + Anum_es_events_event_type)
#define Anum_es_log_events_schema_version	(2 + Anum_es_events_schema_version)
#define Anum_es_log_events_data			(2 + Anum_es_events_data)
#define Anum_es_log_events_metadata		(2 + Anum_es_events_metadata)
#define Anum_es_log_events_piece		Natts_es_log_events

/*
 * How the events are found.
 */
typedef enum EsLogMode
{
	ES_LOG_FORWARD,				/* along the ledger, by position */
	ES_LOG_BACKWARD,
	ES_LOG_STREAM,				/* by the primary key of es_events; a stream */
	ES_LOG_STREAM_BACKWARD
} EsLogMode;

/*
 * What a condition that the scan takes care of compares with its value.
 *
 * ForeignScan.fdw_private is a list of two: the integers mode, number of
 * events wanted (0 if that is not known) and whether other conditions may be
 * evaluated in any order; and the kinds of the conditions.
 * ForeignScan.fdw_exprs has the expressions that give the values, in the same
 * order; fdw_recheck_quals the whole conditions.
 */
typedef enum EsLogCondition
{
	ES_LOG_POSITION_LT = 1,		/* as the B-tree's strategies */
	ES_LOG_POSITION_LE,
	ES_LOG_POSITION_EQ,
	ES_LOG_POSITION_GE,
	ES_LOG_POSITION_GT,
	ES_LOG_TENANT_IS,
	ES_LOG_STREAM_IS
} EsLogCondition;

/*
 * Does upcasting change the column, or tell how many rows there are of an
 * event?
 */
static inline bool
es_log_column_is_upcast(int column)
{
	return column == Anum_es_log_events_event_type ||
		column == Anum_es_log_events_schema_version ||
		column == Anum_es_log_events_data ||
		column == Anum_es_log_events_piece;
}

/*
 * Makes sure that the foreign table is the extension's own es_log_events, and
 * that its columns are as we made them; fills *store.
 *
 * Raises 42809 for another table, 55000 for changed columns.
 */
extern void es_log_check_table(Oid relid, EsStore *store);

/* The executor's part: to fill the table of functions with. */
extern void es_log_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *es_log_iterate(ForeignScanState *node);
extern void es_log_rescan(ForeignScanState *node);
extern void es_log_end(ForeignScanState *node);
extern void es_log_explain(ForeignScanState *node, struct ExplainState *es);
extern Size es_log_estimate_dsm(ForeignScanState *node, ParallelContext *pcxt);
extern void es_log_initialize_dsm(ForeignScanState *node,
								  ParallelContext *pcxt, void *coordinate);
extern void es_log_reinitialize_dsm(ForeignScanState *node,
									ParallelContext *pcxt, void *coordinate);
extern void es_log_initialize_worker(ForeignScanState *node, shm_toc *toc,
									 void *coordinate);
extern void es_log_shutdown(ForeignScanState *node);

#endif							/* ES_LEDGER_LOG_FDW_H */
