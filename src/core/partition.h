/*-------------------------------------------------------------------------
 *
 * partition.h
 *	  Which part of a split log a stream belongs to.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CORE_PARTITION_H
#define ES_CORE_PARTITION_H

#define ES_MAX_PARTITIONS	64

/*
 * Returns the number of the partition, from 0 to partitions - 1, that a stream
 * belongs to.
 *
 * Depends on the bytes of the id alone, so that all servers agree, and must
 * never change: checkpoints rely on it.
 */
extern int	es_stream_partition_of(const char *stream_id, int length,
								   int partitions);

#endif							/* ES_CORE_PARTITION_H */
