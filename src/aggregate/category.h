/*-------------------------------------------------------------------------
 *
 * category.h
 *	  Scans of the streams of a category.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_AGGREGATE_CATEGORY_H
#define ES_AGGREGATE_CATEGORY_H

#include "catalog/events.h"

/*
 * A scan of the events of a category, stream by stream, version by version.
 */
typedef struct EsCategoryScan
{
	EsEventScan scan;
	ScanKeyData keys[3];		/* tenant, from stream, to stream */
	MemoryContext context;		/* of the last two keys */
	const char *category;
	bool		in_range;		/* past the stream that has no hyphen */

	/* the current stream */
	EsStreamKey key;
	char		tenant[256];
	char		stream[513];
} EsCategoryScan;

/*
 * Begins a scan of the streams of a tenant's category, of those after
 * `after`, if it is not NULL.  To be ended; after an error PostgreSQL cleans
 * up.
 */
extern void es_category_begin(EsCategoryScan *scan, Relation events,
							  const EsStore *store, Snapshot snapshot,
							  const char *tenant, const char *category,
							  const char *after);

/*
 * Returns the next row, NULL at the end.  Sets *begins to whether it belongs to
 * another stream than scan->key; es_category_take_stream() then takes that
 * over.
 */
extern TupleTableSlot *es_category_next(EsCategoryScan *scan, bool *begins);
extern void es_category_take_stream(EsCategoryScan *scan, TupleTableSlot *slot);

/* Leaves the rest of the current stream out. */
extern void es_category_skip(EsCategoryScan *scan);

extern void es_category_end(EsCategoryScan *scan);

/*
 * Finds the first tenant after the one given (NULL: of all); returns NULL if
 * there is none, else a string in the current memory context.
 */
extern char *es_category_next_tenant(Relation events, const EsStore *store,
									 Snapshot snapshot, const char *after);

#endif							/* ES_AGGREGATE_CATEGORY_H */
