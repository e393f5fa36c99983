/*-------------------------------------------------------------------------
 *
 * error.h
 *	  The store's own SQLSTATEs.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The class must begin with a letter from I to Z or a digit from 5 to 9:
 *	  the SQL standard keeps the others.  A version conflict gets a code of
 *	  its own because 40001 would tell drivers to repeat the same call, which
 *	  can never succeed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CORE_ERROR_H
#define ES_CORE_ERROR_H

#include "utils/elog.h"

/* The stream is not at the version that the caller stated. */
#define ES_ERRCODE_WRONG_EXPECTED_VERSION	MAKE_SQLSTATE('P','E','0','0','1')
/* An event id of the call is already in the stream, and it is no retry. */
#define ES_ERRCODE_EVENT_ID_REUSED			MAKE_SQLSTATE('P','E','0','0','2')
/* The event's type refuses it: its JSON Schema, its check, a retired version. */
#define ES_ERRCODE_EVENT_REFUSED			MAKE_SQLSTATE('P','E','0','0','4')
/* Nobody has registered the event's type, or this version of it. */
#define ES_ERRCODE_UNKNOWN_EVENT_TYPE		MAKE_SQLSTATE('P','E','0','0','5')
/* UPDATE, DELETE or TRUNCATE of recorded events. */
#define ES_ERRCODE_EVENTS_IMMUTABLE			MAKE_SQLSTATE('P','E','0','0','6')
/* The global log is not available: wal_level, no sequencer. */
#define ES_ERRCODE_LOG_UNAVAILABLE			MAKE_SQLSTATE('P','E','0','0','7')

#endif							/* ES_CORE_ERROR_H */
