/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  Which part of a split log a stream belongs to.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"

#include "core/partition.h"

PG_FUNCTION_INFO_V1(es_stream_partition);

int
es_stream_partition_of(const char *stream_id, int length, int partitions)
{
	return (int) (hash_bytes_extended((const unsigned char *) stream_id,
									  length, 0) % (uint64) partitions);
}

/*
 * SQL: es_stream_partition(stream_id text, partitions integer) returns integer
 */
Datum
es_stream_partition(PG_FUNCTION_ARGS)
{
	text	   *stream_id = PG_GETARG_TEXT_PP(0);
	int32		partitions = PG_GETARG_INT32(1);

	if (partitions < 1 || partitions > ES_MAX_PARTITIONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of partitions must be between 1 and %d",
						ES_MAX_PARTITIONS),
				 errdetail("It is %d.", partitions)));
	PG_RETURN_INT32(es_stream_partition_of(VARDATA_ANY(stream_id),
										   VARSIZE_ANY_EXHDR(stream_id),
										   partitions));
}
