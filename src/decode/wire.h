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
 *	  The first byte is the version of the format.  A reader that meets one
 *	  that it does not know must not go on: it would lose events.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_DECODE_WIRE_H
#define ES_DECODE_WIRE_H

#define ES_WIRE_PREFIX		"event_store"
#define ES_WIRE_FORMAT		1

/*
 * What a transaction has done.
 */
typedef struct EsWireMessage
{
	Oid			store;			/* OID of es_events: a store that is dropped and
								 * created again counts from 1 again */
	int64		tx;				/* of the events appended; 0 when there are none */
	int32		nevents;
	int64		min_copied_tx;	/* range of the tx of events copied from
								 * elsewhere; 0, 0 when there are none */
	int64		max_copied_tx;
} EsWireMessage;

/* Size of a message in bytes */
#define ES_WIRE_SIZE	(1 + 4 + 8 + 4 + 8 + 8)

/*
 * Writes the message to buffer, which has ES_WIRE_SIZE bytes.
 */
extern void es_wire_encode(const EsWireMessage *message, char *buffer);

/*
 * Reads a message of size bytes.  Raises 0A000 for a format that is not known
 * and XX001 for a message that cannot be.
 */
extern void es_wire_decode(const char *buffer, Size size,
						   EsWireMessage *message);

#endif							/* ES_DECODE_WIRE_H */
