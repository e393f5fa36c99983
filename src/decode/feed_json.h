/*-------------------------------------------------------------------------
 *
 * feed_json.h
 *	  Objects of the feed as JSON.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Objects are in the encoding of the database.  Where that is not UTF-8,
 *	  the writer of the feed passes them through es_feed_append_ascii.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_DECODE_FEED_JSON_H
#define ES_DECODE_FEED_JSON_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

#include "decode/feed_options.h"
#include "decode/feed_table.h"

/*
 * What is the same for all events of a transaction.
 */
typedef struct EsFeedTransaction
{
	const char *source;			/* prefix of CloudEvents sources */
	TransactionId xid;
	XLogRecPtr	end_lsn;		/* behind the commit record */
	TimestampTz committed_at;
	int64		nevents;		/* written to the feed so far */
} EsFeedTransaction;

/*
 * A row of es_events, by EsFeedColumn, or what it is read as.
 */
typedef struct EsFeedEvent
{
	Datum		values[ES_FEED_NCOLUMNS];
	bool		nulls[ES_FEED_NCOLUMNS];
	int			piece;			/* number among several; 0: there is but one */
} EsFeedEvent;

/* Appends the object of an event. */
extern void es_feed_append_event(StringInfo out, EsFeedFormat format,
								 const EsFeedTransaction *txn,
								 const EsFeedEvent *event);

/* Appends the objects that stand before and behind those of a transaction. */
extern void es_feed_append_begin(StringInfo out, EsFeedFormat format,
								 const EsFeedTransaction *txn);
extern void es_feed_append_commit(StringInfo out, EsFeedFormat format,
								  const EsFeedTransaction *txn);

/*
 * Appends len bytes, of UTF-8 as a rule, as a segment of the path of a URI.
 */
extern void es_feed_append_uri(StringInfo out, const char *bytes, int len);

/*
 * Appends JSON in the encoding of the database, with every character beyond
 * ASCII written as \u and its number.
 */
extern void es_feed_append_ascii(StringInfo out, const char *json, int len);

#endif							/* ES_DECODE_FEED_JSON_H */
