/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  The sequencer's face of the output plugin, as plugin.c sees it.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_DECODE_READER_H
#define ES_DECODE_READER_H

/*
 * Is there a sink, see es_decode_set_sink?
 */
extern bool es_reader_has_sink(void);

#endif							/* ES_DECODE_READER_H */
