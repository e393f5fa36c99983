/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  To which part of a projection a stream belongs.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Which events a checkpoint stands for depends on this function.  So it is
 *	  not one of PostgreSQL's hash functions, whose results depend on the
 *	  machine's byte order and may change with a major version: a dump is to
 *	  be restored anywhere.
 *
 *	  It is FNV-1a of 64 bits, whose bits are then mixed as MurmurHash3 does:
 *	  FNV alone is weak in the lower bits of short strings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "core/compat.h"
#include "core/partition.h"

PG_FUNCTION_INFO_V1(es_stream_partition);

int
es_stream_partition_of(const char *bytes, int length, int partitions)
{
	uint64		hash = UINT64CONST(0xcbf29ce484222325);
	int			i;

	if (partitions == 1)
		return 0;

	for (i = 0; i < length; i++)
	{
		hash ^= (unsigned char) bytes[i];
		hash *= UINT64CONST(0x100000001b3);
	}
	hash ^= hash >> 33;
	hash *= UINT64CONST(0xff51afd7ed558ccd);
	hash ^= hash >> 33;
	hash *= UINT64CONST(0xc4ceb9fe1a85ec53);
	hash ^= hash >> 33;
	return (int) (hash % (uint64) partitions);
}

/*
 * es_stream_partition(stream_id text, partitions integer) RETURNS integer
 */
Datum
es_stream_partition(PG_FUNCTION_ARGS)
{
	text	   *stream_id = PG_GETARG_TEXT_PP(0);
	int32		partitions = PG_GETARG_INT32(1);

	if (partitions < 1 || partitions > ES_MAX_PARTITIONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of partitions must be from 1 to %d, not %d",
						ES_MAX_PARTITIONS, partitions)));

	PG_RETURN_INT32(es_stream_partition_of(VARDATA_ANY(stream_id),
										   VARSIZE_ANY_EXHDR(stream_id),
										   partitions));
}
