/*-------------------------------------------------------------------------
 *
 * uuid.h
 *	  UUIDs of version 7 (RFC 9562), time-ordered.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CORE_UUID_H
#define ES_CORE_UUID_H

#include "utils/uuid.h"

/*
 * Fills *uuid with a new UUID of version 7.
 *
 * Those of one backend are strictly ascending, also when the clock stands
 * still or steps back.  Raises internal_error when there is no randomness.
 */
extern void es_uuid_v7_generate(pg_uuid_t *uuid);

#endif							/* ES_CORE_UUID_H */
