/*-------------------------------------------------------------------------
 *
 * partition.h
 *	  To which part of a projection a stream belongs.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CORE_PARTITION_H
#define ES_CORE_PARTITION_H

#define ES_MAX_PARTITIONS	64

/*
 * Returns the part, 0 to partitions - 1, of a stream whose id is length bytes.
 *
 * Depends on nothing else, for ever: checkpoints of the parts tell which
 * events are applied.  partitions must be from 1 to ES_MAX_PARTITIONS.
 */
extern int	es_stream_partition_of(const char *bytes, int length,
								   int partitions);

#endif							/* ES_CORE_PARTITION_H */
