/*-------------------------------------------------------------------------
 *
 * uuid.c
 *	  UUIDs of version 7 (RFC 9562), time-ordered.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  PostgreSQL has a uuidv7() of its own only from 18 on, and calling it
 *	  through fmgr for each event of a batch would cost more than making one.
 *	  Ids that ascend in time keep the inserts of the index on event_id at its
 *	  right end, where they are cheapest and leave full pages.
 *
 *	  Layout: 48 bits milliseconds, 4 bits version, 12 bits fraction of the
 *	  millisecond (method 3 of RFC 9562, section 6.2), 2 bits variant, 62
 *	  random bits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "fmgr.h"

#include "core/uuid.h"

#define NS_PER_S			INT64CONST(1000000000)
#define NS_PER_MS			INT64CONST(1000000)

/* Two ids differ in their time part when they are this far apart. */
#define MIN_STEP_NS			(NS_PER_MS / 4096 + 1)

#define RANDOM_PER_UUID		8
#define RANDOM_POOL_SIZE	(64 * RANDOM_PER_UUID)

/*
 * Random bytes fetched ahead: a call of the generator costs as much for 512
 * bytes as for 8.  Filled at first use, thus never inherited from the
 * postmaster by fork.
 */
static uint8 random_pool[RANDOM_POOL_SIZE];
static int	random_used = RANDOM_POOL_SIZE;

/* Time of the last id, in ns since 1970 */
static int64 last_ns = 0;

PG_FUNCTION_INFO_V1(es_uuid_v7);

/*
 * Takes bytes out of the pool, each only once.
 */
static void
take_random(uint8 *out)
{
	if (random_used == RANDOM_POOL_SIZE)
	{
		if (!pg_strong_random(random_pool, RANDOM_POOL_SIZE))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random values")));
		random_used = 0;
	}
	memcpy(out, random_pool + random_used, RANDOM_PER_UUID);
	memset(random_pool + random_used, 0, RANDOM_PER_UUID);
	random_used += RANDOM_PER_UUID;
}

/*
 * Returns the time in ns since 1970, later than at any call before.
 */
static int64
ascending_time(void)
{
	struct timespec ts;
	int64		ns;

	clock_gettime(CLOCK_REALTIME, &ts);
	ns = ts.tv_sec * NS_PER_S + ts.tv_nsec;
	if (ns < last_ns + MIN_STEP_NS)
		ns = last_ns + MIN_STEP_NS;
	last_ns = ns;
	return ns;
}

void
es_uuid_v7_generate(pg_uuid_t *uuid)
{
	int64		ns = ascending_time();
	uint64		ms = ns / NS_PER_MS;
	uint32		fraction = (uint32) (((ns % NS_PER_MS) * 4096) / NS_PER_MS);
	int			i;

	take_random(&uuid->data[8]);

	for (i = 0; i < 6; i++)
		uuid->data[i] = (uint8) (ms >> (40 - 8 * i));
	uuid->data[6] = 0x70 | (uint8) (fraction >> 8);
	uuid->data[7] = (uint8) fraction;
	uuid->data[8] = 0x80 | (uuid->data[8] & 0x3f);
}

/*
 * SQL: es_uuid_v7() returns uuid
 */
Datum
es_uuid_v7(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *uuid = palloc(sizeof(pg_uuid_t));

	es_uuid_v7_generate(uuid);
	PG_RETURN_UUID_P(uuid);
}
