/*-------------------------------------------------------------------------
 *
 * fingerprint.c
 *	  What the meaning of a state depends on, as a number.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  A snapshot is used only by a fold with the same fingerprint.  It is made
 *	  of texts, not of OIDs, so that it is the same after a restore: the
 *	  definition of evolve, or of the functions that an aggregate function
 *	  consists of, the initial state, the settings, the upcasters.  What evolve
 *	  calls is not looked at.
 *
 *	  SHA-256, and not MD5, which libraries that follow FIPS refuse.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "aggregate/fold.h"

/*
 * Appends a part with its length, so that no two lists of parts look the same.
 */
static void
add_part(StringInfo buf, const char *part)
{
	if (part == NULL)
		appendStringInfoString(buf, "-;");
	else
		appendStringInfo(buf, "%d:%s;", (int) strlen(part), part);
}

/*
 * Appends the name and the definition of a function.
 */
static void
add_function(StringInfo buf, Oid function)
{
	if (!OidIsValid(function))
	{
		add_part(buf, NULL);
		return;
	}
	add_part(buf, format_procedure_qualified(function));
	add_part(buf, TextDatumGetCString(OidFunctionCall1(F_PG_GET_FUNCTIONDEF,
														ObjectIdGetDatum(function))));
}

static void add_type(StringInfo buf, Oid type);

/*
 * Appends the columns of a composite type, which may change: states that are
 * kept have them as they were.
 */
static void
add_columns(StringInfo buf, Oid type)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(type, -1);
	int			i;

	es_aggregate_watch(get_typ_typrelid(type));
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		add_part(buf, NameStr(att->attname));
		add_type(buf, att->atttypid);
	}
	ReleaseTupleDesc(desc);
}

/*
 * Appends a type, and what it is made of.
 */
static void
add_type(StringInfo buf, Oid type)
{
	check_stack_depth();
	add_part(buf, format_type_be_qualified(type));
	switch (get_typtype(type))
	{
		case TYPTYPE_COMPOSITE:
			add_columns(buf, type);
			break;
		case TYPTYPE_DOMAIN:
			add_type(buf, getBaseType(type));
			break;
		case TYPTYPE_RANGE:
			add_type(buf, get_range_subtype(type));
			break;
		case TYPTYPE_MULTIRANGE:
			add_type(buf, get_multirange_range(type));
			break;
		default:
			if (OidIsValid(get_element_type(type)))
				add_type(buf, get_element_type(type));
			break;
	}
}

/*
 * Appends what an aggregate function consists of.
 */
static void
add_aggregate(StringInfo buf, Oid function)
{
	HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(function));
	Form_pg_aggregate form;
	Datum		init;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", function);
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	add_part(buf, format_procedure_qualified(function));
	add_function(buf, form->aggtransfn);
	add_function(buf, form->aggfinalfn);
	add_type(buf, form->aggtranstype);
	init = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval,
						   &isnull);
	add_part(buf, isnull ? NULL : TextDatumGetCString(init));
	ReleaseSysCache(tuple);
}

/*
 * Hashes the text.
 */
static void
hash_text(const StringInfo buf, pg_uuid_t *result)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (hash == NULL ||
		pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, (const uint8 *) buf->data, buf->len) < 0 ||
		pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute a fingerprint: %s",
			 pg_cryptohash_error(hash));
	pg_cryptohash_free(hash);
	memcpy(result->data, digest, UUID_LEN);
}

void
es_aggregate_fingerprint(const EsStore *store, const EsAggregateEntry *entry,
						 pg_uuid_t *result)
{
	const EsAggregate *aggregate = &entry->aggregate;
	StringInfoData buf;
	ListCell   *lc;
	int			guc_level = NewGUCNestLevel();

	/* what a body is written as must not depend on the session */
	es_user_code_apply_settings(aggregate->settings);
	(void) set_config_option("quote_all_identifiers", "off", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);

	/* names are written with or without schema according to it */
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);

	initStringInfo(&buf);
	add_part(&buf, "event_store aggregate 1");
	if (aggregate->is_sql_aggregate)
		add_aggregate(&buf, aggregate->evolve);
	else
		add_function(&buf, aggregate->evolve);
	add_part(&buf, aggregate->initial_isnull ? NULL :
			 JsonbToCString(NULL, &DatumGetJsonbP(aggregate->initial_state)->root,
							0));
	foreach(lc, aggregate->settings)
		add_part(&buf, lfirst(lc));
	add_part(&buf, psprintf("%llu", (unsigned long long)
							 es_types_upcast_fingerprint(store)));
	AtEOXact_GUC(false, guc_level);

	hash_text(&buf, result);
	pfree(buf.data);
}
