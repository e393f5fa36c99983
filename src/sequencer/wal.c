/*-------------------------------------------------------------------------
 *
 * wal.c
 *	  The next committed appends, in commit order.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  One decoding context lives as long as the sequencer: a new one would
 *	  read all WAL since the slot's restart_lsn again, which moves only every
 *	  few seconds.
 *
 *	  The WAL is read without waiting: at its end the sequencer goes to sleep
 *	  on its latch.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
#include "miscadmin.h"
#include "replication/decode.h"
#include "replication/logical.h"
#include "replication/slot.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "sequencer/sequencer.h"

struct EsWal
{
	MemoryContext context;
	LogicalDecodingContext *decoder;
	ReadLocalXLogPageNoWaitPrivate *page_reader;
	XLogRecPtr	position;

	/* The queue is queue[first] to before queue[last]. */
	EsDecodedCommit *queue;
	int			first;
	int			last;
	int			size;
};

/*
 * The sink: adds a commit to the queue.
 */
static void
take_commit(const EsDecodedCommit *commit, void *arg)
{
	EsWal	   *wal = arg;

	if (wal->last == wal->size)
	{
		wal->size *= 2;
		wal->queue = repalloc_huge(wal->queue,
								   wal->size * sizeof(EsDecodedCommit));
	}
	wal->queue[wal->last++] = *commit;
}

EsWal *
es_wal_open(const pg_uuid_t *key)
{
	MemoryContext context;
	MemoryContext old_context;
	EsWal	   *wal;

	Assert(IsTransactionState());
	context = AllocSetContextCreate(TopMemoryContext,
									"event_store sequencer WAL",
									ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(context);
	wal = palloc0(sizeof(EsWal));
	wal->context = context;
	wal->size = 1024;
	wal->queue = palloc(wal->size * sizeof(EsDecodedCommit));

	es_decode_set_sink(take_commit, wal, key);
	wal->decoder =
		CreateDecodingContext(InvalidXLogRecPtr, NIL, false,
							  XL_ROUTINE(.page_read = read_local_xlog_page_no_wait,
										 .segment_open = wal_segment_open,
										 .segment_close = wal_segment_close),
							  NULL, NULL, NULL);

	/*
	 * read_local_xlog_page_no_wait writes to private_data, which the decoding
	 * context has pointed at itself.
	 */
	wal->page_reader = palloc0(sizeof(ReadLocalXLogPageNoWaitPrivate));
	wal->decoder->reader->private_data = wal->page_reader;
	XLogBeginRead(wal->decoder->reader, MyReplicationSlot->data.restart_lsn);
	wal->position = MyReplicationSlot->data.restart_lsn;
	MemoryContextSwitchTo(old_context);
	return wal;
}

/*
 * Reads one record; returns false at the end of the WAL.
 */
static bool
read_record(EsWal *wal)
{
	XLogReaderState *reader = wal->decoder->reader;
	char	   *message = NULL;

	wal->page_reader->end_of_wal = false;
	if (XLogReadRecord(reader, &message) != NULL)
		return true;

	if (!wal->page_reader->end_of_wal)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read WAL behind %X/%X",
						LSN_FORMAT_ARGS(reader->EndRecPtr)),
				 message != NULL ? errdetail_internal("%s", message) : 0));

	/* The reader goes on from there when it is asked again. */
	return false;
}

bool
es_wal_read(EsWal *wal, int max_commits, Size max_bytes)
{
	MemoryContext old_context = CurrentMemoryContext;
	LogicalDecodingContext *decoder = wal->decoder;
	XLogRecPtr	begin = decoder->reader->EndRecPtr;
	XLogRecPtr	flushed = GetFlushRecPtr(NULL);
	bool		at_end = false;

	Assert(!IsTransactionState());
	while (es_wal_queue_length(wal) < max_commits &&
		   decoder->reader->EndRecPtr - begin < max_bytes)
	{
		CHECK_FOR_INTERRUPTS();
		if (!read_record(wal))
		{
			at_end = true;
			break;
		}
		LogicalDecodingProcessRecord(decoder, decoder->reader);

		/* Decoding a transaction ends in TopMemoryContext. */
		MemoryContextSwitchTo(old_context);
	}
	MemoryContextSwitchTo(old_context);

	/*
	 * At the end the part of a record may be flushed that is not complete:
	 * everything that is complete was read.
	 */
	wal->position = decoder->reader->EndRecPtr;
	if (at_end)
		wal->position = Max(wal->position, flushed);

	/*
	 * While a transaction that changed the catalogs was decoded, open
	 * relations may have been reloaded as they were then.
	 */
	if (es_decode_saw_catalog_changes())
		InvalidateSystemCaches();
	return at_end;
}

int
es_wal_queue_length(const EsWal *wal)
{
	return wal->last - wal->first;
}

const EsDecodedCommit *
es_wal_peek(const EsWal *wal, int number)
{
	return &wal->queue[wal->first + number];
}

void
es_wal_take(EsWal *wal, int count)
{
	wal->first += count;
	if (wal->first == wal->last)
		wal->first = wal->last = 0;
	else if (wal->first > wal->size / 2)
	{
		memmove(wal->queue, &wal->queue[wal->first],
				(wal->last - wal->first) * sizeof(EsDecodedCommit));
		wal->last -= wal->first;
		wal->first = 0;
	}
}

XLogRecPtr
es_wal_position(const EsWal *wal)
{
	return wal->position;
}

XLogRecPtr
es_wal_end(const EsWal *wal)
{
	return wal->decoder->reader->EndRecPtr;
}

void
es_wal_confirm(EsWal *wal, XLogRecPtr lsn, bool durably)
{
	/*
	 * No further than behind a complete record: what begins before the place
	 * confirmed is never delivered again.
	 */
	Assert(lsn <= es_wal_end(wal));
	LogicalConfirmReceivedLocation(lsn);
	if (durably)
	{
		ReplicationSlotMarkDirty();
		ReplicationSlotSave();
	}
}

void
es_wal_close(EsWal *wal)
{
	FreeDecodingContext(wal->decoder);
	es_decode_set_sink(NULL, NULL, NULL);
	MemoryContextDelete(wal->context);
}
