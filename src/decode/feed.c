/*-------------------------------------------------------------------------
 *
 * feed.c
 *	  The public face of the output plugin: a feed of events in commit order,
 *	  one JSON object an event.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Only insertions into es_events are events.  Updates, deletions and
 *	  truncations of it cannot happen unless somebody has switched its
 *	  triggers off; they have no place in a log, and are passed over.
 *
 *	  Transactions come whole, at their commit: neither streamed while they
 *	  are in progress nor at their PREPARE.  A slot that is made with
 *	  two_phase gets prepared transactions at COMMIT PREPARED.
 *
 *	  Events are upcast as the registry of event types said when they were
 *	  written; a hook does it, for this room knows no other (room types).
 *
 *	  A transaction without events for the consumer leaves no trace but a
 *	  report of progress, so that the consumer's place in the WAL moves on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "replication/logical.h"
#include "utils/memutils.h"

#include "core/compat.h"
#include "core/names.h"
#include "decode/decode.h"
#include "decode/feed_json.h"
#include "decode/feed_options.h"
#include "decode/feed_table.h"

/* So many changes pass before the receiver hears that we are alive */
#define CHANGES_PER_REPORT	100

/*
 * What a decoding context keeps; lives in its memory context.
 */
typedef struct Feed
{
	EsFeedOptions options;
	bool		escape;			/* is the encoding one that JSON is not in? */
	MemoryContext context;		/* for one change */
	EsFeedTransaction txn;		/* that is being decoded */
	int			unreported;		/* changes since the last report of progress */
} Feed;

EsFeedUpcast es_feed_upcast_hook = NULL;

/* Appends an object to the output */
typedef void (*ObjectWriter) (StringInfo out, const Feed *feed,
							  const void *arg);

/*
 * Makes the part of CloudEvents sources that names the database, as it is
 * called now: no historic snapshot is in place yet.
 *
 * A walsender is in no transaction here.  Names of databases have no encoding
 * that one could rely on; their bytes are taken as they are.
 */
static const char *
make_source(void)
{
	MemoryContext context = CurrentMemoryContext;
	bool		in_transaction = IsTransactionState();
	StringInfoData source;
	char	   *database;

	initStringInfo(&source);
	appendStringInfo(&source, "/%s/", ES_EXTENSION_NAME);

	if (!in_transaction)
		StartTransactionCommand();
	database = get_database_name(MyDatabaseId);
	MemoryContextSwitchTo(context);
	if (database != NULL)
		es_feed_append_uri(&source, database, strlen(database));
	if (!in_transaction)
		CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return source.data;
}

/*
 * Starts a decoding context.  For the one that makes a slot there is nothing
 * to prepare: it has no options and sees no changes.
 */
static void
startup(LogicalDecodingContext *ctx, OutputPluginOptions *options,
		bool is_init)
{
	MemoryContext old;
	Feed	   *feed;

	options->output_type = OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
	options->receive_rewrites = false;
	ctx->streaming = false;
	ctx->twophase = false;
	if (is_init)
		return;

	old = MemoryContextSwitchTo(ctx->context);
	feed = palloc0(sizeof(Feed));
	es_feed_parse_options(ctx->output_plugin_options, &feed->options);
	feed->escape = GetDatabaseEncoding() != PG_UTF8 &&
		GetDatabaseEncoding() != PG_SQL_ASCII;
	feed->context = AllocSetContextCreate(ctx->context,
										  "event_store feed change",
										  ALLOCSET_DEFAULT_SIZES);
	feed->txn.source = make_source();
	es_feed_table_start(ctx->context);
	ctx->output_plugin_private = feed;
	MemoryContextSwitchTo(old);
}

/*
 * Writes one object as one message.
 */
static void
write_object(LogicalDecodingContext *ctx, ObjectWriter append,
			 const void *arg)
{
	Feed	   *feed = ctx->output_plugin_private;
	MemoryContext old = MemoryContextSwitchTo(feed->context);

	OutputPluginPrepareWrite(ctx, true);
	if (feed->escape)
	{
		StringInfoData object;

		initStringInfo(&object);
		append(&object, feed, arg);
		es_feed_append_ascii(ctx->out, object.data, object.len);
	}
	else
		append(ctx->out, feed, arg);
	OutputPluginWrite(ctx, true);

	MemoryContextSwitchTo(old);
	MemoryContextReset(feed->context);
}

static void
append_begin(StringInfo out, const Feed *feed, const void *arg)
{
	es_feed_append_begin(out, feed->options.format, &feed->txn);
}

static void
append_commit(StringInfo out, const Feed *feed, const void *arg)
{
	es_feed_append_commit(out, feed->options.format, &feed->txn);
}

static void
append_event(StringInfo out, const Feed *feed, const void *arg)
{
	es_feed_append_event(out, feed->options.format, &feed->txn, arg);
}

static void
begin_transaction(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	Feed	   *feed = ctx->output_plugin_private;

	feed->txn.xid = txn->xid;
	feed->txn.end_lsn = txn->end_lsn;
	feed->txn.committed_at = txn->xact_time.commit_time;
	feed->txn.nevents = 0;
}

/*
 * Takes the columns of an event out of its tuple; those of a table may stand
 * in any order.
 */
static void
read_event(HeapTuple tuple, TupleDesc desc, const EsFeedTable *table,
		   EsFeedEvent *event)
{
	int			i;

	for (i = 0; i < ES_FEED_NCOLUMNS; i++)
		event->values[i] = heap_getattr(tuple, table->attnums[i], desc,
										&event->nulls[i]);
}

/*
 * Does a name pass the filter?  Of categories, what stands before the first
 * hyphen is compared.
 */
static bool
passes(const EsNameSet *set, const EsFeedEvent *event, EsFeedColumn column,
	   bool category)
{
	text	   *name;
	const char *data;
	const char *hyphen;
	int			len;

	if (!set->given)
		return true;
	if (event->nulls[column])
		return false;
	name = DatumGetTextPP(event->values[column]);
	data = VARDATA_ANY(name);
	len = VARSIZE_ANY_EXHDR(name);
	if (category && (hyphen = memchr(data, '-', len)) != NULL)
		len = hyphen - data;
	return es_feed_name_passes(set, data, len);
}

/*
 * Does the consumer want the event, whatever its type?
 */
static bool
is_wanted(const EsFeedOptions *options, const EsFeedEvent *event)
{
	return passes(&options->tenants, event, ES_FEED_TENANT_ID, false) &&
		passes(&options->categories, event, ES_FEED_STREAM_ID, true);
}

/*
 * Does the consumer want events of this type?
 */
static bool
wants_type(Datum event_type, const void *arg)
{
	const EsFeedOptions *options = arg;
	text	   *type = DatumGetTextPP(event_type);

	return es_feed_name_passes(&options->event_types, VARDATA_ANY(type),
							   VARSIZE_ANY_EXHDR(type));
}

/*
 * Writes an event, or one of those that it is read as.
 */
static void
write_event(LogicalDecodingContext *ctx, const EsFeedEvent *event)
{
	Feed	   *feed = ctx->output_plugin_private;

	if (feed->txn.nevents == 0 && feed->options.transactions)
		write_object(ctx, append_begin, NULL);
	feed->txn.nevents++;
	write_object(ctx, append_event, event);
}

/*
 * Writes what an event is read as, as far as the consumer wants it.
 */
static void
write_upcast(LogicalDecodingContext *ctx, const EsFeedTable *table,
			 EsFeedEvent *event)
{
	const Feed *feed = ctx->output_plugin_private;
	Datum	   *values = event->values;
	EsFeedPiece stored;
	EsFeedPiece *pieces = &stored;
	int			npieces = 1;
	int			i;

	stored.event_type = values[ES_FEED_EVENT_TYPE];
	stored.schema_version = DatumGetInt32(values[ES_FEED_SCHEMA_VERSION]);
	stored.data = values[ES_FEED_DATA];
	if (feed->options.upcast && es_feed_upcast_hook != NULL)
	{
		text	   *stream = DatumGetTextPP(values[ES_FEED_STREAM_ID]);
		EsFeedEventName name;

		name.stream = VARDATA_ANY(stream);
		name.stream_len = VARSIZE_ANY_EXHDR(stream);
		name.version = DatumGetInt64(values[ES_FEED_VERSION]);
		pieces = es_feed_upcast_hook(ctx->context, table->schema, &stored,
									 values[ES_FEED_METADATA], &name,
									 wants_type, &feed->options, &npieces);
	}
	for (i = 0; i < npieces; i++)
	{
		if (!wants_type(pieces[i].event_type, &feed->options))
			continue;
		values[ES_FEED_EVENT_TYPE] = pieces[i].event_type;
		values[ES_FEED_SCHEMA_VERSION] = Int32GetDatum(pieces[i].schema_version);
		values[ES_FEED_DATA] = pieces[i].data;
		event->piece = npieces > 1 ? i + 1 : 0;
		write_event(ctx, event);
	}
}

/*
 * Writes an event, if the change is one that the consumer wants.
 */
static void
take_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			Relation relation, ReorderBufferChange *change)
{
	Feed	   *feed = ctx->output_plugin_private;
	const EsFeedTable *table;
	EsFeedEvent event;
	HeapTuple	tuple;
	MemoryContext old;

	if (++feed->unreported >= CHANGES_PER_REPORT)
	{
		feed->unreported = 0;
		OutputPluginUpdateProgress(ctx, false);
	}

	if (change->action != REORDER_BUFFER_CHANGE_INSERT)
		return;
	tuple = change_new_tuple_compat(change);
	old = MemoryContextSwitchTo(feed->context);
	table = es_feed_table_find(relation);
	if (table != NULL && tuple != NULL)
	{
		read_event(tuple, RelationGetDescr(relation), table, &event);
		event.piece = 0;
		if (is_wanted(&feed->options, &event))
		{
			if (event.nulls[ES_FEED_EVENT_TYPE] ||
				event.nulls[ES_FEED_SCHEMA_VERSION] ||
				event.nulls[ES_FEED_STREAM_ID] || event.nulls[ES_FEED_DATA] ||
				event.nulls[ES_FEED_METADATA])
			{
				if (passes(&feed->options.event_types, &event,
						   ES_FEED_EVENT_TYPE, false))
					write_event(ctx, &event);
			}
			else
				write_upcast(ctx, table, &event);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(feed->context);
}

static void
commit_transaction(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				   XLogRecPtr commit_lsn)
{
	Feed	   *feed = ctx->output_plugin_private;

	feed->unreported = 0;
	OutputPluginUpdateProgress(ctx, feed->txn.nevents == 0);
	if (feed->txn.nevents > 0 && feed->options.transactions)
		write_object(ctx, append_commit, NULL);
}

void
es_feed_set_callbacks(OutputPluginCallbacks *callbacks)
{
	callbacks->startup_cb = startup;
	callbacks->begin_cb = begin_transaction;
	callbacks->change_cb = take_change;
	callbacks->commit_cb = commit_transaction;
}
