/*-------------------------------------------------------------------------
 *
 * names.h
 *	  Names that users give: their limits and how they are checked.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The limits (bytes) make sure that an entry of the primary key of
 *	  es_events, (tenant_id, stream_id, version), fits into a B-tree page
 *	  three times over, as PostgreSQL demands (about 2,700 bytes), whatever
 *	  compression does, and with room to spare for keys of other tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CORE_NAMES_H
#define ES_CORE_NAMES_H

#define ES_EXTENSION_NAME	"event_store"

#define ES_MAX_STREAM_ID	512
#define ES_MAX_TENANT_ID	255
#define ES_MAX_EVENT_TYPE	255
#define ES_MAX_AGGREGATE	255
#define ES_MAX_METADATA		255		/* a setting that goes into metadata */

/*
 * Says what is wrong with a name of len bytes at data: NULL when nothing is.
 *
 * Looks at length and control characters; an empty name is no problem here.
 * The result completes a sentence ("is longer than 255 bytes") and is a
 * constant or a static buffer, good until the next call.  Raises nothing, so
 * that check hooks can use it.
 */
extern const char *es_name_problem(const char *data, int len, int max_len);

/*
 * Raises an error unless the text is a name of 1 to max_len bytes without
 * control characters.
 *
 * kind is what the message calls it ("stream id").  Raises 22023 for an empty
 * name or one with control characters and 22001 for one too long.
 */
extern void es_name_check(const char *kind, const char *data, int len,
						  int max_len);

/* The same, but an empty name will do. */
extern void es_name_check_maybe_empty(const char *kind, const char *data,
									  int len, int max_len);

#endif							/* ES_CORE_NAMES_H */
