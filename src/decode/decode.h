/*-------------------------------------------------------------------------
 *
 * decode.h
 *	  The output plugin: from the WAL to committed appends, or to a feed of
 *	  events.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The plugin has two faces.  In the sequencer's own decoding context
 *	  (there is a sink) it hands over the messages of appending transactions
 *	  and drops every change of a table before it is queued (reader.c).  For
 *	  everybody else it is a feed of events as JSON (feed.c).
 *
 *	  This room runs under historic snapshots: it reads no table but
 *	  catalogs, and knows none of the other rooms but core.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_DECODE_DECODE_H
#define ES_DECODE_DECODE_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "replication/output_plugin.h"

#include "decode/wire.h"

/*
 * A transaction as the reader has seen it commit.
 */
typedef struct EsDecodedCommit
{
	TransactionId xid;			/* of the whole transaction */
	XLogRecPtr	end_lsn;		/* behind its commit record */
	TimestampTz committed_at;
	EsWireMessage message;
} EsDecodedCommit;

/*
 * Takes a committed transaction that left a message.  Called in commit order,
 * in a transaction of the decoder that will be rolled back, under a historic
 * snapshot: it may copy the commit, and nothing else.
 */
typedef void (*EsDecodeSink) (const EsDecodedCommit *commit, void *arg);

/*
 * Makes decoding contexts created from now on, in this process, the
 * sequencer's, for the store with this key.  NULL makes them feeds again.
 */
extern void es_decode_set_sink(EsDecodeSink sink, void *arg,
							   const pg_uuid_t *key);

/*
 * Did a transaction that was decoded since the last call change the catalogs?
 * Then the caches may hold what was true only then.
 */
extern bool es_decode_saw_catalog_changes(void);

/*
 * An event of the feed: as it is stored, or what it is read as.
 */
typedef struct EsFeedPiece
{
	Datum		event_type;		/* text */
	int32		schema_version;
	Datum		data;			/* jsonb */
} EsFeedPiece;

/*
 * Upcasts an event of the feed; what room types sets.
 *
 * Called under the historic snapshot of the change, with the schema of the
 * extension.  Returns what the event is read as, good until the next call, and
 * sets *npieces: 0 if nobody wants the event, for it stays of a type that
 * `wants` does not want.  name and metadata are those of the event.  session is
 * the memory context of the decoding context.
 */
typedef struct EsFeedEventName
{
	const char *stream;
	int			stream_len;
	int64		version;
} EsFeedEventName;

typedef bool (*EsFeedWantsType) (Datum event_type, const void *arg);
typedef EsFeedPiece *(*EsFeedUpcast) (MemoryContext session, Oid schema,
									  EsFeedPiece *stored, Datum metadata,
									  const EsFeedEventName *name,
									  EsFeedWantsType wants, const void *arg,
									  int *npieces);
extern EsFeedUpcast es_feed_upcast_hook;

/* The callbacks of the two faces */
extern void es_reader_set_callbacks(OutputPluginCallbacks *callbacks);
extern void es_feed_set_callbacks(OutputPluginCallbacks *callbacks);

#endif							/* ES_DECODE_DECODE_H */
