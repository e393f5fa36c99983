/*-------------------------------------------------------------------------
 *
 * slot.c
 *	  The sequencer's replication slot.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The slot is disposable: whatever is wrong with it, a new one is made,
 *	  and what it does not deliver is taken from es_events (heal.c).  Its name
 *	  is never used twice, so that a slot that somebody has dropped and made
 *	  again is not taken for the one whose progress is known.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogutils.h"
#include "miscadmin.h"
#include "replication/logical.h"
#include "replication/slot.h"
#include "replication/snapbuild.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "core/error.h"
#include "core/names.h"
#include "sequencer/sequencer.h"

#define SLOT_NAME_PREFIX	"event_store_%u_"

void
es_slot_check_requirements(void)
{
	if (wal_level < WAL_LEVEL_LOGICAL)
		ereport(ERROR,
				(errcode(ES_ERRCODE_LOG_UNAVAILABLE),
				 errmsg("the global log is not available"),
				 errdetail("It is read from the WAL, and \"wal_level\" is \"%s\".",
						   GetConfigOption("wal_level", false, false)),
				 errhint("Set \"wal_level\" to \"logical\" and restart the server.")));
	if (max_replication_slots == 0)
		ereport(ERROR,
				(errcode(ES_ERRCODE_LOG_UNAVAILABLE),
				 errmsg("the global log is not available"),
				 errdetail("It is read through a replication slot, and \"max_replication_slots\" is 0."),
				 errhint("Set \"max_replication_slots\" to at least 1 for each database with an event store, and restart the server.")));
}

bool
es_slot_acquire(const char *name, const char **why)
{
	ReplicationSlot *slot = SearchNamedReplicationSlot(name, true);

	if (slot == NULL)
	{
		*why = "it does not exist";
		return false;
	}
	if (slot->data.database != MyDatabaseId ||
		strcmp(NameStr(slot->data.plugin), ES_EXTENSION_NAME) != 0)
	{
		*why = "it belongs to another database or plugin";
		return false;
	}
	if (slot_is_invalid_compat(slot))
	{
		*why = "it has lost the WAL that it needs";
		return false;
	}

	/*
	 * Nobody else sequences, or is on the way out.  But others who may read
	 * the WAL could use it.
	 */
	if (slot->active_pid != 0)
		ereport(LOG,
				(errmsg("sequencer of database %u waits until process %d releases replication slot \"%s\"",
						MyDatabaseId, (int) slot->active_pid, name)));
	acquire_slot_compat(name, false);
	return true;
}

/*
 * Waits until the snapshot of every transaction sees what ours sees.
 *
 * Ours comes from the WAL, in which a transaction is committed before it is so
 * for the others.
 */
static void
wait_for_visibility(void)
{
	Snapshot	ours = GetTransactionSnapshot();
	Snapshot	now = GetLatestSnapshot();
	TransactionId *running = palloc(now->xcnt * sizeof(TransactionId) + 1);
	int			nrunning = 0;
	uint32		i;

	for (i = 0; i < now->xcnt; i++)
	{
		if (!XidInMVCCSnapshot(now->xip[i], ours) &&
			TransactionIdPrecedes(now->xip[i], ours->xmax))
			running[nrunning++] = now->xip[i];
	}
	for (i = 0; i < (uint32) nrunning; i++)
		XactLockTableWait(running[i], NULL, NULL, XLTW_None);
}

void
es_slot_create(NameData *name, XLogRecPtr *start_lsn)
{
	LogicalDecodingContext *decoder;
	Snapshot	snapshot;

	snprintf(NameStr(*name), NAMEDATALEN, SLOT_NAME_PREFIX "%llx", MyDatabaseId,
			 (unsigned long long) GetCurrentTimestamp());

	StartTransactionCommand();
	XactIsoLevel = XACT_REPEATABLE_READ;
	create_logical_slot_compat(NameStr(*name), RS_EPHEMERAL);
	decoder = CreateInitDecodingContext(ES_EXTENSION_NAME, NIL, true,
										InvalidXLogRecPtr,
										XL_ROUTINE(.page_read = read_local_xlog_page,
												   .segment_open = wal_segment_open,
												   .segment_close = wal_segment_close),
										NULL, NULL, NULL);
	DecodingContextFindStartpoint(decoder);

	InvalidateCatalogSnapshot();
	snapshot = SnapBuildInitialSnapshot(decoder->snapshot_builder);
	RestoreTransactionSnapshot(snapshot, MyProc);
	*start_lsn = MyReplicationSlot->data.confirmed_flush;
	FreeDecodingContext(decoder);
	wait_for_visibility();
}

void
es_slot_keep(void)
{
	ReplicationSlotPersist();
}

void
es_slot_drop_others(const char *keep)
{
	char		prefix[NAMEDATALEN];
	NameData   *names = palloc(max_replication_slots * sizeof(NameData));
	int			n = 0;
	int			i;

	snprintf(prefix, sizeof(prefix), SLOT_NAME_PREFIX, MyDatabaseId);
	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (i = 0; i < max_replication_slots; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];

		if (slot->in_use && slot->active_pid == 0 &&
			slot->data.database == MyDatabaseId &&
			strcmp(NameStr(slot->data.plugin), ES_EXTENSION_NAME) == 0 &&
			strncmp(NameStr(slot->data.name), prefix, strlen(prefix)) == 0 &&
			(keep == NULL || strcmp(NameStr(slot->data.name), keep) != 0))
			names[n++] = slot->data.name;
	}
	LWLockRelease(ReplicationSlotControlLock);

	for (i = 0; i < n; i++)
	{
		ereport(LOG,
				(errmsg("dropping replication slot \"%s\", which belongs to no event store",
						NameStr(names[i]))));
		ReplicationSlotDrop(NameStr(names[i]), true);
	}
	pfree(names);
}
