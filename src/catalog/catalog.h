/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  Where the store's tables are, and what their columns are called in C.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CATALOG_CATALOG_H
#define ES_CATALOG_CATALOG_H

#include "access/attnum.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"
#include "utils/uuid.h"

/* Columns of es_events */
#define Natts_es_events					11
#define Anum_es_events_tenant_id		1
#define Anum_es_events_stream_id		2
#define Anum_es_events_version			3
#define Anum_es_events_event_id			4
#define Anum_es_events_event_type		5
#define Anum_es_events_schema_version	6
#define Anum_es_events_data				7
#define Anum_es_events_metadata			8
#define Anum_es_events_recorded_at		9
#define Anum_es_events_tx				10
#define Anum_es_events_ordinal			11

/* Columns of es_snapshots */
#define Natts_es_snapshots				7
#define Anum_es_snapshots_tenant_id		1
#define Anum_es_snapshots_stream_id		2
#define Anum_es_snapshots_version		3
#define Anum_es_snapshots_aggregate		4
#define Anum_es_snapshots_state			5
#define Anum_es_snapshots_created_at	6
#define Anum_es_snapshots_definition	7

/* Columns of es_commits */
#define Natts_es_commits				5
#define Anum_es_commits_first_position	1
#define Anum_es_commits_last_position	2
#define Anum_es_commits_tx_range		3
#define Anum_es_commits_end_lsn			4
#define Anum_es_commits_entries			5

/* Columns of es_sequencer_state */
#define Natts_es_sequencer_state		8
#define Anum_es_sequencer_state_system_identifier	1
#define Anum_es_sequencer_state_database_oid	2
#define Anum_es_sequencer_state_store_oid		3
#define Anum_es_sequencer_state_slot_name		4
#define Anum_es_sequencer_state_start_lsn		5
#define Anum_es_sequencer_state_since_position	6
#define Anum_es_sequencer_state_healed_tx		7
#define Anum_es_sequencer_state_healed_at		8

/*
 * Indexes of es_events
 */
typedef enum EsIndexNumber
{
	ES_INDEX_PKEY,				/* (tenant_id, stream_id, version) */
	ES_INDEX_TX_ORDINAL,		/* (tx, ordinal) */
	ES_INDEX_EVENT_ID			/* (event_id) */
} EsIndexNumber;

#define ES_N_INDEXES	(ES_INDEX_EVENT_ID + 1)

/*
 * What is known of an index of es_events; es_catalog_get_store makes sure
 * that it is so.
 */
typedef struct EsEventIndex
{
	const char *name;
	bool		unique;
	int			nkeys;
	AttrNumber	keys[3];
	const char *hint;			/* how to get it back */
} EsEventIndex;

extern const EsEventIndex es_event_indexes[ES_N_INDEXES];

/*
 * The store of this database.
 */
typedef struct EsStore
{
	Oid			extension;		/* event_store in pg_extension */
	Oid			namespace_oid;	/* schema of the extension */
	Oid			owner;			/* of the extension */
	Oid			events;			/* es_events */
	Oid			indexes[ES_N_INDEXES];	/* see EsIndexNumber */
	Oid			tx_sequence;	/* es_tx_seq */
	Oid			snapshots;		/* es_snapshots */
	Oid			commits;		/* es_commits */
	Oid			commits_pkey;	/* (first_position) */
	Oid			commits_tx_range;	/* GiST (tx_range) */
	Oid			sequencer_state;	/* es_sequencer_state */
	Oid			sequencer_state_pkey;
	pg_uuid_t	key;			/* marks the store's messages in the WAL */

	/*
	 * May rows be put into es_events without the executor?  Not when the user
	 * added triggers, constraints or columns, which only the executor knows
	 * how to honour.
	 */
	bool		direct_insert;

	/* Has es_events no other indexes than those in the array? */
	bool		only_our_indexes;

	/* Is there our BEFORE INSERT trigger, and enabled? */
	bool		before_trigger;

	/*
	 * Name of a row-level BEFORE INSERT trigger that fires after our own, or
	 * empty.  Such a trigger could drop a row that has its version already.
	 */
	NameData	late_trigger;
} EsStore;

/*
 * Registers the invalidation callback.  To be called once, from _PG_init.
 */
extern void es_catalog_init(void);

/*
 * Fills *store with where the store's objects are in this database.
 *
 * Needs a transaction.  The answer is cached until one of the objects
 * changes.  Raises 55000 when the extension is not installed here, does not
 * fit this library, or lacks one of its objects.
 */
extern void es_catalog_get_store(EsStore *store);

/*
 * Returns a number that stands for the store, never 0: part of its key.
 */
extern uint64 es_catalog_store_id(const EsStore *store);

/*
 * Locks the extension against DROP EXTENSION and ALTER EXTENSION until the end
 * of the transaction, and fills *store; returns false when it is not there.
 *
 * For workers, which use several tables: DROP EXTENSION takes this lock first,
 * so that the two cannot wait for each other.  To be called before any other
 * lock is taken.  Raises like es_catalog_get_store otherwise.
 */
extern bool es_catalog_lock_store(EsStore *store);

/*
 * Is there a projection?  For who need not know more.  Needs a transaction in
 * which es_catalog_lock_store was called.
 */
extern bool es_catalog_has_projections(const EsStore *store);

/*
 * Opens es_events with the lock given and fills *store.
 *
 * The lock comes first and the look-up is repeated when it waited for a
 * change, so that *store is what holds under the lock.  The caller closes the
 * relation.  Raises like es_catalog_get_store.
 */
extern Relation es_catalog_open_events(LOCKMODE lockmode, EsStore *store);

#endif							/* ES_CATALOG_CATALOG_H */
