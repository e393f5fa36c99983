/*-------------------------------------------------------------------------
 *
 * task.c
 *	  One batch of a task: claim, apply, checkpoint.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The batch runs in a subtransaction.  Whatever its SQL raises is rolled
 *	  back with all it did, and the transaction goes on to note the failure.
 *
 *	  Events that the projection does not take still move it on.  The table is
 *	  told of that only now and then; until then this process remembers how far
 *	  it has looked.  Another one would look at the same events again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/guc.h"
#include "core/locks.h"
#include "ledger/ledger.h"
#include "projection/projection.h"

/* So many events that do not match are worth a checkpoint. */
#define CHECKPOINT_AFTER	10000

/* Whether a restore has ended is looked at so often. */
#define RESTORE_NAP_MS		500

/* A view that is farther behind than a batch takes up to so many batches of
 * the log at once. */
#define CATCH_UP_BATCHES	25

/*
 * How far this process has looked for events of a task behind its checkpoint.
 */
typedef struct Looked
{
	struct
	{
		int32		projection_id;
		int32		partition;
	}			key;
	uint64		serial;			/* of the projection's struct */
	int64		checkpoint;		/* when it began to look */
	int64		upto;
} Looked;

static HTAB *looked = NULL;

static Looked *
get_looked(const EsProjection *projection, int partition)
{
	Looked		key;
	Looked	   *entry;
	bool		found;

	if (looked == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(key.key);
		ctl.entrysize = sizeof(Looked);
		ctl.hcxt = TopMemoryContext;
		looked = hash_create("event_store projection tasks", 32, &ctl,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	memset(&key, 0, sizeof(key));
	key.key.projection_id = projection->id;
	key.key.partition = partition;
	entry = hash_search(looked, &key.key, HASH_ENTER, &found);
	if (!found || entry->serial != projection->serial)
	{
		entry->serial = projection->serial;
		entry->checkpoint = -1;
		entry->upto = -1;
	}
	return entry;
}

bool
es_task_lock(int32 projection_id, int partition, bool wait)
{
	LOCKTAG		tag;

	/* An old snapshot would show an old checkpoint. */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a projection cannot be run or changed in a transaction with isolation level repeatable read or serializable"),
				 errhint("Use isolation level read committed.")));

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) projection_id,
						 (uint32) partition, ES_LOCK_PROJECTION);
	if (LockAcquire(&tag, ExclusiveLock, false, !wait) == LOCKACQUIRE_NOT_AVAIL)
		return false;

	/* What was changed under the lock before must be seen now. */
	AcceptInvalidationMessages();
	return true;
}

void
es_task_lock_all(const EsProjection *projection)
{
	int32		id = projection->id;
	int			partitions = projection->partitions;
	int			i;

	for (i = 0; i < partitions; i++)
		(void) es_task_lock(id, i, true);
}

int64
es_task_head(const EsStore *store)
{
	int64		head;

	PushActiveSnapshot(GetTransactionSnapshot());
	head = es_ledger_head(store, GetActiveSnapshot());
	PopActiveSnapshot();
	return head;
}

int64
es_task_batch_size(const EsProjection *projection)
{
	return projection->batch_size > 0 ? projection->batch_size :
		es_guc_projection_batch_size;
}

/*
 * Makes a batch that is a range of the log, without reading it.
 */
static EsBatch *
make_range(int partition, int64 after, int64 upto)
{
	EsBatch    *batch = palloc0(sizeof(EsBatch));

	batch->partition = partition;
	batch->after = after;
	batch->upto = upto;
	batch->nevents = upto - after;
	return batch;
}

/*
 * Makes the next batch: of events, or of a range of the log for a view that is
 * far behind.
 */
static EsBatch *
next_batch(const EsStore *store, EsProjection *projection, int partition,
		   int64 after, int64 head)
{
	int64		size = es_task_batch_size(projection);
	bool		takes_all = projection->partitions == 1 &&
		projection->filter.categories == NIL &&
		projection->filter.event_types == NIL &&
		projection->filter.tenants == NIL;
	EsBatch    *batch;

	if (takes_all && projection->kind == ES_PROJECTION_REFRESH)
		return make_range(partition, after, head);
	if (takes_all && projection->kind == ES_PROJECTION_VIEW &&
		head - after > size)
		return make_range(partition, after,
						  Min(head, after + size * CATCH_UP_BATCHES));

	batch = es_batch_read(store, projection, partition, after, head, size);
	if (batch->nevents > 0 && projection->kind == ES_PROJECTION_REFRESH)
		batch->upto = head;		/* one refresh is for all of them */
	return batch;
}

ErrorData *
es_task_try(const EsStore *store, EsProjection *projection, EsBatch *batch)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		es_apply(store, projection, batch);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_END_TRY();

	/* Who calls by hand and cancels does not mean the projection. */
	if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED &&
		MyBackendType != B_BG_WORKER)
		ReThrowError(error);
	return error;
}

/*
 * Moves the checkpoint to a position, behind events that are dealt with.
 */
static void
advance(const EsStore *store, const EsProjection *projection, int partition,
		int64 upto, int64 events, EsCheckpoint *checkpoint)
{
	/* It may have dropped itself. */
	if (es_registry_find_id(store, projection->id) == NULL)
		return;
	checkpoint->position = upto;
	checkpoint->events += events;
	checkpoint->batches++;
	checkpoint->applied_at = GetCurrentTimestamp();
	es_checkpoint_write(store, projection->id, partition, checkpoint);
	get_looked(projection, partition)->checkpoint = -1;
}

/*
 * Moves behind events that the projection does not take.
 */
static void
pass(const EsStore *store, const EsProjection *projection, int partition,
	 int64 upto, EsCheckpoint *checkpoint)
{
	Looked	   *entry = get_looked(projection, partition);

	if (upto - checkpoint->position >= CHECKPOINT_AFTER)
		advance(store, projection, partition, upto, 0, checkpoint);
	else
	{
		entry->checkpoint = checkpoint->position;
		entry->upto = upto;
	}
}

/*
 * Applies a batch and moves the checkpoint, as far as it goes.
 */
static EsTaskResult
apply(const EsStore *store, EsProjection *projection, EsBatch **batch,
	  EsCheckpoint *checkpoint, EsTaskProgress *progress)
{
	int			partition = (*batch)->partition;
	ErrorData  *error = es_task_try(store, projection, *batch);
	EsFailureOutcome outcome = ES_FAILURE_OVERCOME;
	EsFailureResult result;

	result.upto = (*batch)->upto;
	result.events = (*batch)->nevents;
	if (error != NULL)
	{
		outcome = es_failure_handle(store, projection, batch, error, &result);
		progress->retry_at = result.retry_at;
	}
	if (outcome == ES_FAILURE_NOTED)
		return ES_TASK_FAILED;
	if (outcome == ES_FAILURE_OVERCOME)
		es_failure_clear(store, projection->id, partition);
	advance(store, projection, partition, result.upto, result.events,
			checkpoint);
	progress->position = result.upto;
	progress->events = result.events;
	return outcome == ES_FAILURE_MOVED ? ES_TASK_FAILED : ES_TASK_APPLIED;
}

/*
 * Works off a batch; the task's lock is held, and the projection is to run.
 */
static EsTaskResult
work(const EsStore *store, EsProjection *projection, int partition,
	 EsTaskProgress *progress)
{
	EsCheckpoint checkpoint;
	Looked	   *entry;
	EsBatch    *batch;
	EsTaskResult result = ES_TASK_APPLIED;
	int64		after;

	if (!es_checkpoint_read(store, projection->id, partition, &checkpoint))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("projection \"%s\" has no checkpoint for partition %d",
						projection->name, partition),
				 errhint("Rebuild it with es_rebuild.")));
	entry = get_looked(projection, partition);
	after = checkpoint.position;
	if (entry->checkpoint == after)
		after = Max(after, entry->upto);

	progress->head = es_ledger_head(store, GetActiveSnapshot());
	progress->position = after;
	if (progress->head <= after)
		return ES_TASK_IDLE;

	progress->retry_at = es_refresh_due(projection, &checkpoint);
	if (progress->retry_at > GetCurrentTimestamp())
		return ES_TASK_RESTING;
	progress->retry_at = DT_NOEND;

	batch = next_batch(store, projection, partition, after, progress->head);
	if (batch->nevents > 0)
		result = apply(store, projection, &batch, &checkpoint, progress);
	else
	{
		progress->position = batch->upto;
		pass(store, projection, partition, batch->upto, &checkpoint);
	}
	es_batch_end(batch);
	return result;
}

/*
 * Claims a task and works off a batch, in a memory context of the caller's.
 */
static EsTaskResult
step(const EsStore *store, int32 projection_id, int partition,
	 EsTaskProgress *progress)
{
	EsProjection *projection;
	EsTaskResult result;

	if (!es_task_lock(projection_id, partition, false))
		return ES_TASK_BUSY;
	projection = es_registry_find_id(store, projection_id);
	if (projection == NULL || projection->paused || projection->is_inline ||
		partition >= projection->partitions)
		return ES_TASK_RESTING;
	if (!es_registry_is_complete())
	{
		progress->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														 RESTORE_NAP_MS);
		return ES_TASK_RESTING;
	}

	es_projection_pin(projection);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (es_failure_is_resting(store, projection_id, partition,
							  &progress->retry_at))
		result = ES_TASK_RESTING;
	else
		result = work(store, projection, partition, progress);
	PopActiveSnapshot();
	es_projection_unpin(projection);
	return result;
}

EsTaskResult
es_task_step(const EsStore *store, int32 projection_id, int partition,
			 EsTaskProgress *progress)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_store projection batch",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext previous = MemoryContextSwitchTo(context);
	EsTaskResult result;

	memset(progress, 0, sizeof(*progress));
	progress->retry_at = DT_NOEND;
	result = step(store, projection_id, partition, progress);
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(context);
	return result;
}

int64
es_task_catch_up(const EsStore *store, EsProjection *projection, int partition,
				 int64 upto)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_store catching up",
												  ALLOCSET_DEFAULT_SIZES);
	int64		events = 0;
	EsCheckpoint checkpoint;

	es_projection_pin(projection);
	while (es_checkpoint_read(store, projection->id, partition, &checkpoint) &&
		   checkpoint.position < upto)
	{
		MemoryContext previous = MemoryContextSwitchTo(context);
		EsBatch    *batch;

		CHECK_FOR_INTERRUPTS();
		PushActiveSnapshot(GetTransactionSnapshot());
		batch = next_batch(store, projection, partition, checkpoint.position,
						   upto);
		if (batch->nevents > 0)
			es_apply(store, projection, batch);
		checkpoint.position = batch->upto;
		checkpoint.events += batch->nevents;
		checkpoint.batches++;
		checkpoint.applied_at = GetCurrentTimestamp();
		es_checkpoint_write(store, projection->id, partition, &checkpoint);
		events += batch->nevents;
		es_batch_end(batch);
		PopActiveSnapshot();
		MemoryContextSwitchTo(previous);
		MemoryContextReset(context);
	}
	es_projection_unpin(projection);
	MemoryContextDelete(context);
	return events;
}
