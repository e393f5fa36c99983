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

/* event_store.tenant_id; never NULL */
extern char *es_guc_tenant_id;

/* event_store.max_stream_locks */
extern int	es_guc_max_stream_locks;

/*
 * Defines the settings and reserves their prefix.
 *
 * To be called once, from _PG_init; works with and without preload.
 */
extern void es_guc_init(void);

#endif							/* ES_CORE_GUC_H */
