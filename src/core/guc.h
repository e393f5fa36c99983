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

#endif							/* ES_CORE_GUC_H */
