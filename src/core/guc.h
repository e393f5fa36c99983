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
