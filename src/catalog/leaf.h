/*-------------------------------------------------------------------------
 *
 * leaf.h
 *	  Leaf pages of our B-trees: the newest entries of a stream, and runs of
 *	  new entries.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CATALOG_LEAF_H
#define ES_CATALOG_LEAF_H

#include "access/itup.h"
#include "storage/block.h"
#include "storage/buf.h"
#include "storage/itemptr.h"
#include "utils/relcache.h"

/*
 * Where a leaf page was seen last.  Never needs to be right: what is found
 * there is looked at before it is used.  All zeros: nowhere.
 */
typedef struct EsLeaf
{
	BlockNumber block;
	Buffer		buffer;			/* that held it; InvalidBuffer: nowhere */
} EsLeaf;

/* The newest entries of a stream that a look-up fetches at most */
#define ES_LEAF_ENTRIES		8

typedef struct EsLeafEntries
{
	Buffer		buffer;			/* the leaf, pinned */
	bool		all;			/* has the stream no others? */
	int			n;
	ItemPointerData tids[ES_LEAF_ENTRIES];	/* newest first */
} EsLeafEntries;

/*
 * Finds the newest entries of a stream in the primary key of events.
 *
 * Both relations are open and locked; *leaf is where the entries may be, and
 * tells afterwards where they are.  Returns false where only an index scan
 * knows.  Otherwise the leaf is pinned, which keeps the rows of the entries
 * from being replaced by others (see nbtree's README), and the caller has to
 * give the pin back with ReleaseBuffer().
 */
extern bool es_leaf_find_newest(Relation events, Relation index,
								const char *tenant, int tenant_len,
								const char *stream, int stream_len,
								EsLeaf *leaf, EsLeafEntries *entries);

/*
 * Puts as many of the tuples, from the first on, into a leaf of an index of
 * events as is possible without splitting it, and without doubt about a unique
 * key; returns their number.
 *
 * With 0 the caller has to go by index_insert() with the first of them.  *leaf
 * is where they may belong, and tells afterwards where they are.
 */
extern int	es_leaf_insert(Relation events, Relation index, EsLeaf *leaf,
						   IndexTuple *tuples, int n);

#endif							/* ES_CATALOG_LEAF_H */
