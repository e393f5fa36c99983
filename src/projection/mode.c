/*-------------------------------------------------------------------------
 *
 * mode.c
 *	  From async to inline, and back.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Between the two modes lies a position: one applies all events up to it,
 *	  the other one all behind.  It is the head of the log while es_events is
 *	  locked in SHARE mode, which
 *	  - waits for all transactions that have appended, prepared ones too, so
 *	    that all of them have got positions when the sequencer has come up to
 *	    where we are;
 *	  - holds all new appends up until this transaction has ended.  Then they
 *	    get their lock, and with it PostgreSQL hands them the invalidation of
 *	    what they know of projections: LockRelationOid takes in what was sent
 *	    before the lock was given back.
 *
 *	  So an append runs the projection inline if, and only if, its events are
 *	  behind the position.
 *
 *	  While the lock is held the sequencer must be able to work.  It writes
 *	  es_commits and reads es_events, which SHARE mode lets it do.  Only a new
 *	  replication slot waits for all running transactions; then waiting raises
 *	  an error (see sequencer/wait.c).
 *
 *	  A transaction that has appended itself would wait for its own positions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/error.h"
#include "ledger/ledger.h"
#include "log/log.h"
#include "projection/projection.h"
#include "sequencer/wait.h"
#include "worker/worker.h"

static const char *const set_mode_sql =
	"UPDATE %s.es_projection_definitions SET mode = $2 WHERE id = $1";

static const char *const clear_failures_sql =
	"DELETE FROM %s.es_projection_failures WHERE projection_id = $1";

static const char *const count_sql =
	"SELECT pg_catalog.count(*) FROM %s.es_events";

/*
 * Raises an error when events have no positions, where no sequencer runs that
 * would give them any.
 */
static void
check_sequenced(const EsStore *store)
{
	int64		missing;
	int64		tx;
	int32		from;
	int32		own;
	bool		isnull;

	SPI_connect();
	(void) es_registry_execute(store, count_sql, 0, NULL, NULL, NULL);
	missing = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										  SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();

	/* The projection itself may have appended, catching up. */
	(void) es_xact_unprojected(&tx, &from, &own);
	missing -= own + es_task_head(store);
	if (missing > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("events have no position in the log"),
				 errdetail_plural("%lld event has none, and no sequencer is running.",
								  "%lld events have none, and no sequencer is running.",
								  (unsigned long) missing, (long long) missing),
				 errhint("Call es_sequence() first, in a transaction of its own.")));
}

/*
 * Returns the slot of the sequencer, NULL when none runs, or will.
 */
static EsWorkerSlot *
find_sequencer(void)
{
	EsWorkerSlot *slot;

	if (!es_worker_is_preloaded())
		return NULL;
	slot = es_wait_get_slot();
	return slot->pid != 0 || es_worker_is_enabled() ? slot : NULL;
}

void
es_mode_prepare(const EsStore *store)
{
	EsWorkerSlot *slot = find_sequencer();

	if (slot != NULL && !TransactionIdIsValid(GetTopTransactionIdIfAny()))
		(void) es_wait_until_sequenced(slot, store, DT_NOEND);
}

int64
es_mode_final_head(const EsStore *store)
{
	EsWorkerSlot *slot = find_sequencer();

	if (slot != NULL)
		(void) es_wait_until_sequenced(slot, store, DT_NOEND);
	else
		check_sequenced(store);
	return es_task_head(store);
}

void
es_mode_check_transaction(const char *what)
{
	if (es_xact_has_written())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot %s in a transaction that has appended events", what),
				 errdetail("Its events get their positions when it commits."),
				 errhint("Commit first.")));
}

void
es_mode_lock_appends(const EsStore *store)
{
	LockRelationOid(store->events, ShareLock);
}

void
es_mode_check_owner(const EsStore *store, const EsProjection *projection)
{
	Oid			owner = get_role_oid(projection->owner, false);

	if (pg_class_aclcheck(store->events, owner, ACL_INSERT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for inline projections"),
				 errdetail("An inline projection is part of everybody's appends, which fail when it fails; role \"%s\" is not an admin of the store.",
						   projection->owner),
				 errhint("Use mode async, or es_grant('%s', 'admin').",
						 projection->owner)));
}

/*
 * Raises an error for a projection that cannot be inline.
 */
static void
check_kind(const EsStore *store, const EsProjection *projection)
{
	if (projection->kind == ES_PROJECTION_REFRESH)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("projection \"%s\" cannot be inline", projection->name),
				 errdetail("It refreshes a materialized view.")));
	if (projection->partitions > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("projection \"%s\" cannot be inline", projection->name),
				 errdetail("It is split into %d partitions, which an appending transaction has none of.",
						   projection->partitions),
				 errhint("Set its partitions to 1.")));
	if (projection->kind == ES_PROJECTION_VIEW)
	{
		EsRunAs		saved;

		es_run_as(store, projection, &saved);
		es_view_check_mode(es_view_of(store, projection), projection->name, 1, true);
		es_run_as_end(&saved);
	}
}

/*
 * Writes the mode.
 */
static void
set_mode(const EsStore *store, const EsProjection *projection,
		 const char *mode)
{
	Oid			types[] = {INT4OID, TEXTOID};
	Datum		values[] = {
		Int32GetDatum(projection->id), CStringGetTextDatum(mode)
	};

	SPI_connect();
	(void) es_registry_execute(store, set_mode_sql, lengthof(types), types,
							   values, NULL);
	(void) es_registry_execute(store, clear_failures_sql, 1, types, values,
							   NULL);
	SPI_finish();
}

void
es_mode_set_inline(const EsStore *store, EsProjection *projection)
{
	if (projection->is_inline)
		return;
	es_projection_pin(projection);
	es_mode_check_transaction("change the mode of a projection");
	check_kind(store, projection);
	es_mode_check_owner(store, projection);
	es_task_lock_all(projection);

	/* What can be done before, appends need not wait for. */
	(void) es_task_catch_up(store, projection, 0, es_task_head(store));
	es_mode_lock_appends(store);
	(void) es_task_catch_up(store, projection, 0, es_mode_final_head(store));
	es_inline_take_over(store, projection);
	set_mode(store, projection, "inline");
	es_apply_check(store, es_registry_find_id(store, projection->id));
	es_projection_unpin(projection);
}

void
es_mode_set_async(const EsStore *store, EsProjection *projection)
{
	EsCheckpoint checkpoint = {0};
	int64		head;

	if (!projection->is_inline)
		return;
	es_projection_pin(projection);
	es_mode_check_transaction("change the mode of a projection");
	es_task_lock_all(projection);
	es_mode_lock_appends(store);
	head = es_mode_final_head(store);
	if (!es_checkpoint_read(store, projection->id, 0, &checkpoint) ||
		checkpoint.position < head)
	{
		checkpoint.position = head;
		checkpoint.applied_at = GetCurrentTimestamp();
		es_checkpoint_write(store, projection->id, 0, &checkpoint);
	}
	set_mode(store, projection, "async");
	es_projection_unpin(projection);
}
