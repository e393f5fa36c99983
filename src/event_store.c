/*-------------------------------------------------------------------------
 *
 * event_store.c
 *	  The library: its magic block and its start.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "aggregate/aggregate.h"
#include "catalog/catalog.h"
#include "command/command.h"
#include "core/guc.h"
#include "launcher/launcher.h"
#include "log/log.h"
#include "projection/projection.h"
#include "types/types.h"
#include "worker/worker.h"

#ifdef PG_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = "event_store", .version = ES_VERSION);
#else
PG_MODULE_MAGIC;
#endif

void		_PG_init(void);

/*
 * Starts the library in this process; works preloaded and loaded late.
 */
void
_PG_init(void)
{
	es_guc_init();
	es_catalog_init();
	es_types_init();
	es_xact_init();
	es_aggregate_init();
	es_inline_init();
	es_command_init();
	es_worker_init();
	es_launcher_init();
	es_hooks_init();
}
