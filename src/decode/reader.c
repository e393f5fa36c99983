/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  The sequencer's face of the output plugin: committed appends in commit
 *	  order, and nothing else.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  What a sequencer needs of a transaction is in one small message.  The
 *	  changes of tables are dropped before they are queued: PostgreSQL asks
 *	  filter_by_origin_cb about each record, and the current record is at
 *	  hand then.  So a bulk load into another table neither fills memory nor
 *	  spills to disk, and no relation is ever opened.
 *
 *	  Nothing here looks into a catalog, so that no cache can be filled with
 *	  what a historic snapshot shows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/rmgr.h"
#include "access/xlogreader.h"
#include "replication/logical.h"
#include "replication/reorderbuffer.h"

#include "decode/decode.h"
#include "decode/reader.h"

static EsDecodeSink sink = NULL;
static void *sink_arg = NULL;
static pg_uuid_t store_key;
static bool saw_catalog_changes = false;

/* The transaction whose commit is being decoded */
static EsWireMessage current;
static bool has_message = false;

void
es_decode_set_sink(EsDecodeSink new_sink, void *arg, const pg_uuid_t *key)
{
	sink = new_sink;
	sink_arg = arg;
	if (key != NULL)
		store_key = *key;
}

bool
es_decode_saw_catalog_changes(void)
{
	bool		result = saw_catalog_changes;

	saw_catalog_changes = false;
	return result;
}

bool
es_reader_has_sink(void)
{
	return sink != NULL;
}

/*
 * Says whether the current record is of no interest.
 *
 * Called for each change of a table, for each message and for each commit.
 * Only what the heap has written is dropped.
 */
static bool
filter_record(LogicalDecodingContext *ctx, RepOriginId origin_id)
{
	uint8		rmid = XLogRecGetRmid(ctx->reader);

	return rmid == RM_HEAP_ID || rmid == RM_HEAP2_ID;
}

static void
startup(LogicalDecodingContext *ctx, OutputPluginOptions *options,
		bool is_init)
{
	options->output_type = OUTPUT_PLUGIN_BINARY_OUTPUT;
	ctx->streaming = false;
	ctx->twophase = false;
}

static void
begin_transaction(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	has_message = false;
}

/*
 * Never called, see filter_record; PostgreSQL insists on having it.
 */
static void
take_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			Relation relation, ReorderBufferChange *change)
{
	elog(ERROR, "change of a table reached the sequencer");
}

/*
 * Keeps the message of the transaction; a later one replaces it.
 */
static void
take_message(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			 XLogRecPtr message_lsn, bool transactional, const char *prefix,
			 Size size, const char *message)
{
	if (transactional && strcmp(prefix, ES_WIRE_PREFIX) == 0 &&
		es_wire_decode(message, size, &store_key, &current))
		has_message = true;
}

static void
commit_transaction(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				   XLogRecPtr commit_lsn)
{
	EsDecodedCommit commit;

	if (rbtxn_has_catalog_changes(txn) || txn->ninvalidations > 0)
		saw_catalog_changes = true;
	if (!has_message)
		return;
	has_message = false;

	commit.xid = txn->xid;
	commit.end_lsn = txn->end_lsn;
	commit.committed_at = txn->xact_time.commit_time;
	commit.message = current;
	sink(&commit, sink_arg);
}

void
es_reader_set_callbacks(OutputPluginCallbacks *callbacks)
{
	callbacks->startup_cb = startup;
	callbacks->begin_cb = begin_transaction;
	callbacks->change_cb = take_change;
	callbacks->message_cb = take_message;
	callbacks->commit_cb = commit_transaction;
	callbacks->filter_by_origin_cb = filter_record;
}
