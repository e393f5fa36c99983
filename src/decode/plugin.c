/*-------------------------------------------------------------------------
 *
 * plugin.c
 *	  The entry of the output plugin "event_store".
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "decode/decode.h"

#include "decode/reader.h"

PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);

/*
 * Fills in the callbacks of a new decoding context.
 */
void
_PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
	if (es_reader_has_sink())
		es_reader_set_callbacks(callbacks);
	else
		es_feed_set_callbacks(callbacks);
}
