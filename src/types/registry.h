/*-------------------------------------------------------------------------
 *
 * registry.h
 *	  What the files of this room share: event types in memory.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_TYPES_REGISTRY_H
#define ES_TYPES_REGISTRY_H

#include "nodes/primnodes.h"

#include "core/expression.h"
#include "jsonschema/jsonschema.h"
#include "types/types.h"

/* Columns of es_event_types */
#define Natts_es_event_types					13
#define Anum_es_event_types_event_type			1
#define Anum_es_event_types_schema_version		2
#define Anum_es_event_types_status				3
#define Anum_es_event_types_description			4
#define Anum_es_event_types_published			5
#define Anum_es_event_types_topic				6
#define Anum_es_event_types_json_schema			7
#define Anum_es_event_types_check_expression	8
#define Anum_es_event_types_upcaster			9
#define Anum_es_event_types_compatibility		10
#define Anum_es_event_types_owner				11
#define Anum_es_event_types_settings			12
#define Anum_es_event_types_registered_at		13

#define ES_EVENT_TYPES	"es_event_types"

/*
 * An expression of a type, planned.
 */
typedef struct EsTypeCode
{
	MemoryContext context;		/* NULL: not planned yet */
	Expr	   *expr;
	Oid			result_type;
	bool		returns_set;
	bool		trusted;		/* needs no change of identity */
	uint64		functions;		/* what the counters of changes said */
	uint64		data_types;
} EsTypeCode;

typedef struct EsTypeCheck EsTypeCheck;

/*
 * A version of a type: its row, and what was made of it.
 */
typedef struct EsTypeVersion
{
	const EsTypeDefinition *row;
	struct EsTypes *types;		/* that it is one of */
	int			name_len;
	int			number;			/* in the array of versions */
	bool		is_upcast_to;	/* has an upcaster, and is no draft */
	EsTypeCode	upcaster;
	EsTypeCode	check;
	EsJsonSchema *schema;	/* NULL: none, or not compiled yet */
	EsTypeCheck *running;		/* the check, ready to run: see check.c */
} EsTypeVersion;

/*
 * The registry as it was read.  Goes when it is stale and nobody holds it.
 */
typedef struct EsTypes
{
	MemoryContext context;
	bool		is_kept;		/* by the process; others belong to who made them */
	int			holders;
	int			nversions;
	EsTypeVersion *versions;	/* by type and version */
	struct types_hash *index;
	bool		has_upcasters;
	bool		fingerprint_known;
	uint64		fingerprint;
	uint64		functions;		/* counter of changes when it was made */
} EsTypes;

/* ---------- registry.c ---------- */

/*
 * Returns the registry as it is now.  Good until the next call, unless held.
 */
extern EsTypes *es_types_get(const EsStore *store);

/*
 * Makes one of rows that somebody has read, in the current memory context.
 */
extern EsTypes *es_types_make(List *definitions);

/* Returns the settings of a row, a text[], as a list of char *. */
extern List *es_types_parse_settings(Datum value);

/*
 * Keeps it until the memory context is reset or deleted.  One that does not come
 * from es_types_get() is left to who made it.
 */
extern void es_types_hold(EsTypes *types, MemoryContext context);

/* Finds a version; NULL if nobody has registered it. */
extern EsTypeVersion *es_types_find(EsTypes *types, const char *event_type,
									int len, int32 schema_version);

/* Finds the greatest version of a type; NULL if it is not registered. */
extern EsTypeVersion *es_types_find_newest(EsTypes *types,
										   const char *event_type, int len);

/* Forgets what is in memory: this transaction has changed the table. */
extern void es_types_changed(void);

/* ---------- code.c ---------- */

/* Names that upcasters and checks may use; stream_id is for checks only. */
typedef enum EsTypeParam
{
	ES_TYPE_DATA, ES_TYPE_METADATA, ES_TYPE_EVENT_TYPE,
	ES_TYPE_SCHEMA_VERSION, ES_TYPE_STREAM_ID
} EsTypeParam;

#define ES_UPCAST_PARAMS	(ES_TYPE_SCHEMA_VERSION + 1)
#define ES_CHECK_PARAMS		(ES_TYPE_STREAM_ID + 1)

/*
 * Return an upcaster or check, parsed and planned as its owner; raise what is
 * wrong with it.  The result is to be copied before it is made ready to run.
 */
extern const EsTypeCode *es_type_upcaster(EsTypeVersion *version);
extern const EsTypeCode *es_type_check(EsTypeVersion *version);

/* Returns an upcaster as it was parsed, before functions are inlined. */
extern Expr *es_type_parse_upcaster(const EsTypeVersion *version);

/* Returns the OID of a type's owner; raises 42704 if he is gone. */
extern Oid	es_type_owner(const EsTypeVersion *version);

/* Parameters for so many of the names, all NULL, in the current context */
extern ParamListInfo es_type_make_params(int nparams);

/* Is it es_upcast_event? */
extern bool es_type_is_upcast_event(Oid type);

/* Registers callbacks that notice changed functions. */
extern void es_type_code_init(void);

/* A number that grows with each change of a function, of whatever kind */
extern uint64 es_type_code_changes(void);

/* ---------- upcast.c ---------- */

/*
 * Lets it run no upcaster but what is made of PostgreSQL's own functions; all
 * others raise 0A000.
 */
extern void es_upcaster_trust_only(EsUpcaster *upcaster);

/* ---------- feed.c ---------- */

/* Registers the hook of the output plugin, and a callback. */
extern void es_types_feed_init(void);

/* ---------- check.c ---------- */

/* Registers callbacks. */
extern void es_type_check_init(void);

/* Frees the compiled schema of a version. */
extern void es_type_free_schema(EsTypeVersion *version);

#endif							/* ES_TYPES_REGISTRY_H */
