/*-------------------------------------------------------------------------
 *
 * types.h
 *	  Event types: what may be appended, and what old events are read as.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  registry.c    es_event_types as structs, kept until it changes
 *	  code.c        the expressions of a type, parsed and planned
 *	  define.c      es_register_event_type and what changes a type
 *	  check.c       is an event what its type says? for appends
 *	  upcast.c      events of old versions, as the newest
 *	  functions.c   es_upcast, es_check_event
 *	  fingerprint.c what upcasting depends on, as a number
 *
 *	  A row (event_type, n) of the registry says how version n of the type
 *	  looks, and its upcaster how an event of version n - 1 becomes one of n.
 *	  Readers see events at the newest version that is not a draft.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_TYPES_TYPES_H
#define ES_TYPES_TYPES_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

#include "catalog/catalog.h"

/* Registers callbacks.  Once, from _PG_init. */
extern void es_types_init(void);

/* ---------- registry.c ---------- */

typedef enum EsTypeStatus
{
	ES_TYPE_DRAFT, ES_TYPE_ACTIVE, ES_TYPE_DEPRECATED, ES_TYPE_RETIRED
} EsTypeStatus;

/*
 * A row of es_event_types.
 */
typedef struct EsTypeDefinition
{
	char	   *event_type;
	int32		schema_version;
	EsTypeStatus status;
	Jsonb	   *json_schema;	/* NULL: none; so are the next two */
	char	   *check_expression;
	char	   *upcaster;
	char	   *owner;
	List	   *settings;		/* of char *, name=value */
} EsTypeDefinition;

/*
 * Reads all rows of es_event_types that the snapshot shows; NULL is that of
 * catalogs, a historic one where WAL is decoded: then only what upcasting needs
 * is read.  The relation is open and locked.  Returns a list of
 * EsTypeDefinition * in the current memory context.
 */
extern List *es_types_read(Relation table, Snapshot snapshot);

/* ---------- check.c ---------- */

/*
 * What is about to be appended.  The pointers are the caller's; stream need
 * not end with a zero byte.
 */
typedef struct EsCheckedEvent
{
	const char *stream;
	int			stream_len;
	Datum		event_type;		/* text */
	int32		schema_version;
	Datum		data;			/* jsonb */
	Datum		metadata;		/* jsonb */
} EsCheckedEvent;

/*
 * Is there nothing that an append has to be checked against?  Cheap: one
 * comparison while nothing changes.
 */
extern bool es_types_nothing_to_check(const EsStore *store);

/*
 * Raises PE004 for an event that its type refuses (schema, check expression, a
 * retired version), PE005 for a type or version that nobody has registered, if
 * event_store.strict_types is on; warns if it is "warn".
 */
extern void es_types_check(const EsStore *store, const EsCheckedEvent *event);

/* ---------- upcast.c ---------- */

/*
 * What an event is read as.
 */
typedef struct EsPiece
{
	Datum		event_type;		/* text */
	int32		schema_version;
	Datum		data;			/* jsonb */
} EsPiece;

/*
 * Who is to be upcast: only for messages.  position is 0 when it is not known.
 */
typedef struct EsEventName
{
	const char *stream;
	int			stream_len;
	int64		version;
	int64		position;
} EsEventName;

typedef struct EsUpcaster EsUpcaster;

/*
 * Does any type have an upcaster?  If not, all events are read as they are
 * stored.  Cheap while nothing changes; needs a transaction.
 */
extern bool es_types_have_upcasters(const EsStore *store);

/*
 * Begins to upcast events, with the registry as it is now.
 *
 * Returns NULL when there are no upcasters.  Lives in the current memory
 * context, to the end of the query at most; what it holds is released with
 * the context.
 */
extern EsUpcaster *es_upcaster_begin(const EsStore *store);

/*
 * The same, with the rows that somebody has read: under a historic snapshot, for
 * example.  They must live as long as the upcaster.
 */
extern EsUpcaster *es_upcaster_begin_from(List *definitions);

/* Is an event of this type and version read as something else? */
extern bool es_upcaster_wants(EsUpcaster *upcaster, Datum event_type,
							  int32 schema_version);

/*
 * Is whatever becomes of such an event still of its type, however often it is
 * upcast?  Raises what is wrong with the upcasters, as they are parsed.
 */
extern bool es_upcaster_keeps_type(EsUpcaster *upcaster, Datum event_type,
								   int32 schema_version);

/*
 * Upcasts an event: returns what it is read as, one piece or several, in
 * *npieces; they live until the next call.  An event that nothing is to be done
 * with comes back as one piece with the values given.
 *
 * The upcasters run as the owners of their types.  Raises their errors with
 * the event in the context, and 22004, 22023, 54001 for what cannot be: NULL,
 * no piece, a version that does not grow, a chain that does not end.
 */
extern EsPiece *es_upcaster_apply(EsUpcaster *upcaster, const EsPiece *stored,
								  Datum metadata, const EsEventName *name,
								  int *npieces);

/*
 * Returns a number that changes whenever events may be read differently: part
 * of the fingerprint of what is folded from them.  The same in all processes,
 * and after a restore.  Never 0 unless there are no upcasters.
 */
extern uint64 es_types_upcast_fingerprint(const EsStore *store);

#endif							/* ES_TYPES_TYPES_H */
