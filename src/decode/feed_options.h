/*-------------------------------------------------------------------------
 *
 * feed_options.h
 *	  What a consumer of the feed may ask for.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_DECODE_FEED_OPTIONS_H
#define ES_DECODE_FEED_OPTIONS_H

#include "nodes/pg_list.h"

typedef enum EsFeedFormat
{
	ES_FEED_JSON,
	ES_FEED_CLOUDEVENTS
} EsFeedFormat;

/*
 * A set of names, sorted by their bytes.
 */
typedef struct EsNameSet
{
	bool		given;			/* false: no restriction */
	int			nnames;
	char	  **names;
} EsNameSet;

typedef struct EsFeedOptions
{
	EsFeedFormat format;
	EsNameSet	categories;
	EsNameSet	event_types;
	EsNameSet	tenants;
	bool		transactions;	/* objects around those of a transaction? */
	bool		upcast;			/* events as what they are read as? */
} EsFeedOptions;

/*
 * Reads the options of a decoding context, a list of DefElem.
 *
 * Looks into no catalog: it may run outside of a transaction.  The names are
 * allocated in the current memory context.  Raises 22023 for options and
 * values that are not known, and for an option that is given twice.
 */
extern void es_feed_parse_options(List *given, EsFeedOptions *options);

/*
 * Is the name of len bytes at data in the set, or the set not given?
 */
extern bool es_feed_name_passes(const EsNameSet *set, const char *data,
								int len);

#endif							/* ES_DECODE_FEED_OPTIONS_H */
