/*-------------------------------------------------------------------------
 *
 * wire.c
 *	  The logical message that an appending transaction leaves in the WAL.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "decode/wire.h"

static char *
put32(char *p, uint32 value)
{
	value = pg_hton32(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

static char *
put64(char *p, uint64 value)
{
	value = pg_hton64(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

static const char *
get32(const char *p, uint32 *value)
{
	memcpy(value, p, sizeof(*value));
	*value = pg_ntoh32(*value);
	return p + sizeof(*value);
}

static const char *
get64(const char *p, int64 *value)
{
	uint64		raw;

	memcpy(&raw, p, sizeof(raw));
	*value = (int64) pg_ntoh64(raw);
	return p + sizeof(raw);
}

void
es_wire_encode(const EsWireMessage *message, const pg_uuid_t *key,
			   char *buffer)
{
	char	   *p = buffer;

	memcpy(p, key->data, UUID_LEN);
	p += UUID_LEN;
	*p++ = ES_WIRE_FORMAT;
	p = put64(p, message->tx);
	p = put32(p, message->nevents);
	p = put64(p, message->min_copied_tx);
	p = put64(p, message->max_copied_tx);
	Assert(p == buffer + ES_WIRE_SIZE);
}

/*
 * Logs that a message is not one that an append has written; returns false.
 *
 * Damaged WAL would not get this far.  Whoever could read the key, by decoding
 * the WAL, can write such a message, and must not stop the log with it.
 */
static bool
is_forged(Size size, int64 tx, int32 nevents)
{
	ereport(LOG,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("ignored a message of the event store in the WAL that makes no sense"),
			 errdetail("It has %zu bytes, and tells of %d events of tx %lld.",
					   size, nevents, (long long) tx)));
	return false;
}

bool
es_wire_decode(const char *buffer, Size size, const pg_uuid_t *key,
			   EsWireMessage *message)
{
	const char *p = buffer + UUID_LEN;
	uint32		nevents;

	if (size <= UUID_LEN || memcmp(buffer, key->data, UUID_LEN) != 0)
		return false;
	if (*p++ != ES_WIRE_FORMAT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("message of the event store in the WAL has an unknown format"),
				 errdetail("This library knows format %d.", ES_WIRE_FORMAT),
				 errhint("Install a newer version of the extension.")));
	if (size != ES_WIRE_SIZE)
		return is_forged(size, 0, 0);

	p = get64(p, &message->tx);
	p = get32(p, &nevents);
	message->nevents = (int32) nevents;
	p = get64(p, &message->min_copied_tx);
	p = get64(p, &message->max_copied_tx);
	if (message->tx < 0 || message->nevents < 0 ||
		(message->tx == 0) != (message->nevents == 0) ||
		message->min_copied_tx < 0 ||
		message->max_copied_tx < message->min_copied_tx)
		return is_forged(size, message->tx, message->nevents);
	return true;
}
