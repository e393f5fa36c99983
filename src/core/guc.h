/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  The settings of event_store.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CORE_GUC_H
#define ES_CORE_GUC_H

/* event_store.max_stream_locks */
extern int	es_guc_max_stream_locks;

/* event_store.max_databases */
extern int	es_guc_max_databases;

/* event_store.sequencer */
extern bool es_guc_sequencer;

/* event_store.sequencer_linger, in milliseconds */
extern int	es_guc_sequencer_linger;

/* event_store.sequencer_nap_time, in milliseconds */
extern int	es_guc_sequencer_nap_time;

/* event_store.sequencer_batch_transactions */
extern int	es_guc_sequencer_batch_transactions;

/* event_store.sequencer_batch_wal, in kilobytes */
extern int	es_guc_sequencer_batch_wal;

/* event_store.launcher_nap_time, in milliseconds */
extern int	es_guc_launcher_nap_time;

/* event_store.notify */
extern bool es_guc_notify;

/* event_store.projections */
extern bool es_guc_projections;

/* event_store.max_projection_workers */
extern int	es_guc_max_projection_workers;

/* event_store.max_projections: tasks */
extern int	es_guc_max_projections;

/* event_store.projection_batch_size */
extern int	es_guc_projection_batch_size;

/* event_store.projection_max_retries */
extern int	es_guc_projection_max_retries;

/* event_store.projection_retry_time, in milliseconds */
extern int	es_guc_projection_retry_time;

/* event_store.state_cache_size, in kilobytes */
extern int	es_guc_state_cache_size;

/* event_store.strict_types */
typedef enum EsStrictTypes
{
	ES_STRICT_TYPES_OFF,		/* what nobody has registered may be appended */
	ES_STRICT_TYPES_WARN,
	ES_STRICT_TYPES_ON
} EsStrictTypes;

extern int	es_guc_strict_types;

/*
 * Keys of an event's metadata that have a setting of their name:
 * event_store.correlation_id and so on.
 */
typedef enum EsMetadataKey
{
	ES_METADATA_CORRELATION_ID,
	ES_METADATA_CAUSATION_ID,
	ES_METADATA_USER_ID,
	ES_METADATA_TRACEPARENT
} EsMetadataKey;

#define ES_N_METADATA_KEYS	(ES_METADATA_TRACEPARENT + 1)

/*
 * Has one of those settings changed?  Set here, taken back by who has looked at
 * them.
 */
extern bool es_guc_metadata_changed;

/*
 * Defines the settings and reserves their prefix.
 *
 * To be called once, from _PG_init; works with and without preload.
 */
extern void es_guc_init(void);

/*
 * Returns event_store.tenant_id, never NULL, good until the setting changes.
 *
 * Raises 22021 when its bytes are no text in the encoding of the database:
 * settings may come from files and start packets, which nobody verifies.
 */
extern const char *es_guc_get_tenant(void);

/* The same for what goes into the metadata of events; empty: nothing. */
extern const char *es_guc_get_metadata(EsMetadataKey key);

/*
 * Makes all of those empty until the GUC level of the caller ends.
 */
extern void es_guc_clear_metadata(void);

#endif							/* ES_CORE_GUC_H */
