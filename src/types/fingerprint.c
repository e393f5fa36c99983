/*-------------------------------------------------------------------------
 *
 * fingerprint.c
 *	  What upcasting depends on, as a number.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Hashed are the upcasters with their settings, and the definitions of the
 *	  functions that they call directly.  Not those that these call in turn:
 *	  who changes one of them must say so, by es_rebuild_snapshots().
 *
 *	  Definitions are hashed as text, without OIDs, so that a restored database
 *	  has the same number.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "core/user_code.h"
#include "types/registry.h"

static bool
collect_function(Oid function, void *context)
{
	List	  **functions = context;

	if (function >= FirstNormalObjectId)
		*functions = list_append_unique_oid(*functions, function);
	return false;
}

static bool
collect_functions(Node *node, void *context)
{
	if (node == NULL)
		return false;
	(void) check_functions_in_node(node, collect_function, context);
	return expression_tree_walker(node, collect_functions, context);
}

static uint64
hash_text(const char *text, uint64 seed)
{
	return hash_bytes_extended((const unsigned char *) text, strlen(text) + 1,
							   seed);
}

/*
 * Adds the functions that an upcaster calls; in the order of their definitions, as
 * they stand in the expression.
 */
static uint64
hash_functions(EsTypeVersion *version, uint64 hash)
{
	List	   *functions = NIL;
	EsUserCode	saved;
	ListCell   *lc;

	/* Names are printed as the settings say; they must be the same for all. */
	es_user_code_enter(&saved, es_type_owner(version), version->row->settings);
	(void) set_config_option("quote_all_identifiers", "off", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) collect_functions((Node *) es_type_parse_upcaster(version), &functions);
	foreach(lc, functions)
	{
		Datum		definition = DirectFunctionCall1(pg_get_functiondef,
											   ObjectIdGetDatum(lfirst_oid(lc)));

		hash = hash_text(TextDatumGetCString(definition), hash);
	}
	es_user_code_leave(&saved);
	return hash;
}

/*
 * The same; an upcaster that cannot be parsed any more counts as one without
 * functions: whoever reads an event that needs it will be told.
 */
static uint64
try_hash_functions(EsTypeVersion *version, uint64 hash)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile uint64 result = hash;

	if (IsInParallelMode())
		return hash_functions(version, hash);

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		result = hash_functions(version, hash);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		int			code = geterrcode();

		MemoryContextSwitchTo(context);
		if (code == ERRCODE_QUERY_CANCELED ||
			ERRCODE_TO_CATEGORY(code) == ERRCODE_OPERATOR_INTERVENTION ||
			ERRCODE_TO_CATEGORY(code) == ERRCODE_INSUFFICIENT_RESOURCES)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return result;
}

static uint64
hash_version(EsTypeVersion *version, uint64 hash)
{
	const EsTypeDefinition *row = version->row;
	ListCell   *lc;

	hash = hash_text(row->event_type, hash);
	hash = hash_combine64(hash, (uint64) row->schema_version);
	hash = hash_text(row->upcaster, hash);
	foreach(lc, row->settings)
		hash = hash_text(lfirst(lc), hash);
	return try_hash_functions(version, hash);
}

static uint64
make_fingerprint(EsTypes *types, uint64 changes)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext,
											   "event_store upcast fingerprint",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext previous = MemoryContextSwitchTo(work);
	uint64		hash = 0;
	int			i;

	es_types_hold(types, work);
	for (i = 0; i < types->nversions; i++)
	{
		if (types->versions[i].is_upcast_to)
			hash = hash_version(&types->versions[i], hash);
	}
	MemoryContextSwitchTo(previous);
	if (hash == 0)
		hash = 1;
	types->fingerprint = hash;
	types->fingerprint_known = true;
	types->functions = changes;
	MemoryContextDelete(work);
	return hash;
}

uint64
es_types_upcast_fingerprint(const EsStore *store)
{
	EsTypes    *types = es_types_get(store);
	uint64		changes = es_type_code_changes();

	if (!types->has_upcasters)
		return 0;
	if (types->fingerprint_known && types->functions == changes)
		return types->fingerprint;
	return make_fingerprint(types, changes);
}
