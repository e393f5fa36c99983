/*-------------------------------------------------------------------------
 *
 * feed_table.h
 *	  Which tables hold events, as the feed sees them.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_DECODE_FEED_TABLE_H
#define ES_DECODE_FEED_TABLE_H

#include "access/attnum.h"
#include "utils/rel.h"

/*
 * The columns that the feed shows.
 */
typedef enum EsFeedColumn
{
	ES_FEED_TENANT_ID,
	ES_FEED_STREAM_ID,
	ES_FEED_VERSION,
	ES_FEED_EVENT_ID,
	ES_FEED_EVENT_TYPE,
	ES_FEED_SCHEMA_VERSION,
	ES_FEED_DATA,
	ES_FEED_METADATA,
	ES_FEED_RECORDED_AT,
	ES_FEED_TX,
	ES_FEED_ORDINAL
} EsFeedColumn;

#define ES_FEED_NCOLUMNS	(ES_FEED_ORDINAL + 1)

/*
 * A table that holds events: where its columns are.  A partition may have
 * them in another order than es_events.
 */
typedef struct EsFeedTable
{
	AttrNumber	attnums[ES_FEED_NCOLUMNS];
	Oid			schema;			/* of the extension */
} EsFeedTable;

/*
 * Begins to remember tables, for a decoding context whose memory context this
 * is.  What was remembered for another one is forgotten.
 */
extern void es_feed_table_start(MemoryContext context);

/*
 * Returns the table if it holds events, and NULL if it is of no interest.
 *
 * To be called in a change callback: under the historic snapshot that fits the
 * change.  The result is good until the next call.
 */
extern const EsFeedTable *es_feed_table_find(Relation relation);

#endif							/* ES_DECODE_FEED_TABLE_H */
