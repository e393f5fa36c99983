/*-------------------------------------------------------------------------
 *
 * wire.h
 *	  The logical message that an appending transaction leaves in the WAL.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The message is transactional: decoding hands it over at the commit of
 *	  its transaction, in commit order, and never for one that aborts.  Where
 *	  a transaction has several, the last one counts.
 *
 *	  Anybody may write messages with any prefix (pg_logical_emit_message).
 *	  Ours begin with the key of the store, which only its owner can read and
 *	  which a store that is dropped and created again does not share.  Then
 *	  comes the version of the format: a reader that meets one that it does
 *	  not know must not go on, because it would lose events.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_DECODE_WIRE_H
#define ES_DECODE_WIRE_H

#include "utils/uuid.h"

#define ES_WIRE_PREFIX		"event_store"
#define ES_WIRE_FORMAT		1

/*
 * What a transaction has done.
 */
typedef struct EsWireMessage
{
	int64		tx;				/* of the events appended; 0 when there are none */
	int32		nevents;
	int64		min_copied_tx;	/* range of the tx of events copied from
								 * elsewhere; 0, 0 when there are none */
	int64		max_copied_tx;
} EsWireMessage;

/* Size of a message in bytes */
#define ES_WIRE_SIZE	(UUID_LEN + 1 + 8 + 4 + 8 + 8)

/*
 * Writes the message to buffer, which has ES_WIRE_SIZE bytes.
 */
extern void es_wire_encode(const EsWireMessage *message, const pg_uuid_t *key,
						   char *buffer);

/*
 * Reads a message of size bytes; returns false if it is not one of the store
 * with this key, or makes no sense.
 *
 * Raises 0A000 for a format that is not known.
 */
extern bool es_wire_decode(const char *buffer, Size size,
						   const pg_uuid_t *key, EsWireMessage *message);

#endif							/* ES_DECODE_WIRE_H */
