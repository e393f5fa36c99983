/*-------------------------------------------------------------------------
 *
 * category.c
 *	  Scans of the streams of a category.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The streams of the category "order" are the one that is called so, and
 *	  those from "order-" to before "order.", which is the next character; what
 *	  lies between the two, like "order+x", is of other categories.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"

#include "aggregate/category.h"
#include "core/names.h"

StaticAssertDecl(ES_MAX_TENANT_ID < 256 && ES_MAX_STREAM_ID < 513,
				 "buffers of EsCategoryScan are too small");

static void
set_key(ScanKey key, AttrNumber column, StrategyNumber strategy,
		RegProcedure function, const char *value)
{
	ScanKeyEntryInitialize(key, 0, column, strategy, InvalidOid,
						   C_COLLATION_OID, function,
						   CStringGetTextDatum(value));
}

/*
 * Sets the keys for the range of streams with a hyphen, after the one given if
 * it is not NULL.
 */
static void
set_range(EsCategoryScan *scan, const char *after)
{
	MemoryContext previous;
	char	   *first;

	MemoryContextReset(scan->context);
	previous = MemoryContextSwitchTo(scan->context);
	first = psprintf("%s-", scan->category);
	if (after != NULL && strcmp(after, first) >= 0)
		set_key(&scan->keys[1], Anum_es_events_stream_id,
				BTGreaterStrategyNumber, F_TEXT_GT, after);
	else
		set_key(&scan->keys[1], Anum_es_events_stream_id,
				BTGreaterEqualStrategyNumber, F_TEXT_GE, first);
	set_key(&scan->keys[2], Anum_es_events_stream_id, BTLessStrategyNumber,
			F_TEXT_LT, psprintf("%s.", scan->category));
	MemoryContextSwitchTo(previous);
	scan->in_range = true;
}

static void
rescan(EsCategoryScan *scan)
{
	index_rescan(scan->scan.scan, scan->keys, 3, NULL, 0);
}

void
es_category_begin(EsCategoryScan *scan, Relation events, const EsStore *store,
				  Snapshot snapshot, const char *tenant, const char *category,
				  const char *after)
{
	memset(scan, 0, sizeof(*scan));
	scan->context = AllocSetContextCreate(CurrentMemoryContext,
										  "event_store category scan",
										  ALLOCSET_SMALL_SIZES);
	scan->category = category;
	set_key(&scan->keys[0], Anum_es_events_tenant_id, BTEqualStrategyNumber,
			F_TEXTEQ, tenant);
	if (after != NULL && strcmp(after, category) >= 0)
		set_range(scan, after);
	else
	{
		set_key(&scan->keys[1], Anum_es_events_stream_id,
				BTGreaterEqualStrategyNumber, F_TEXT_GE, category);
		set_key(&scan->keys[2], Anum_es_events_stream_id,
				BTLessEqualStrategyNumber, F_TEXT_LE, category);
	}
	es_events_begin_scan(&scan->scan, events, store->indexes[ES_INDEX_PKEY],
						 snapshot, scan->keys, 3);
}

void
es_category_take_stream(EsCategoryScan *scan, TupleTableSlot *slot)
{
	bool		isnull;
	text	   *tenant = DatumGetTextPP(slot_getattr(slot, Anum_es_events_tenant_id,
													 &isnull));
	text	   *stream = DatumGetTextPP(slot_getattr(slot, Anum_es_events_stream_id,
													 &isnull));

	text_to_cstring_buffer(tenant, scan->tenant, sizeof(scan->tenant));
	text_to_cstring_buffer(stream, scan->stream, sizeof(scan->stream));
	es_stream_key_make(&scan->key, scan->tenant, strlen(scan->tenant),
					   scan->stream, strlen(scan->stream));
}

TupleTableSlot *
es_category_next(EsCategoryScan *scan, bool *begins)
{
	TupleTableSlot *slot = es_events_next(&scan->scan, ForwardScanDirection);

	if (slot == NULL && !scan->in_range)
	{
		set_range(scan, NULL);
		rescan(scan);
		slot = es_events_next(&scan->scan, ForwardScanDirection);
	}
	if (slot == NULL)
		return NULL;
	*begins = scan->key.stream == NULL ||
		!es_events_row_in_stream(slot, &scan->key);
	return slot;
}

void
es_category_skip(EsCategoryScan *scan)
{
	set_range(scan, scan->stream);
	rescan(scan);
}

void
es_category_end(EsCategoryScan *scan)
{
	es_events_end_scan(&scan->scan);
	MemoryContextDelete(scan->context);
}

char *
es_category_next_tenant(Relation events, const EsStore *store,
						Snapshot snapshot, const char *after)
{
	EsEventScan scan;
	ScanKeyData key;
	TupleTableSlot *slot;
	char	   *tenant = NULL;

	set_key(&key, Anum_es_events_tenant_id,
			after == NULL ? BTGreaterEqualStrategyNumber : BTGreaterStrategyNumber,
			after == NULL ? F_TEXT_GE : F_TEXT_GT, after == NULL ? "" : after);
	es_events_begin_scan(&scan, events, store->indexes[ES_INDEX_PKEY],
						 snapshot, &key, 1);
	slot = es_events_next(&scan, ForwardScanDirection);
	if (slot != NULL)
	{
		bool		isnull;

		tenant = TextDatumGetCString(slot_getattr(slot,
												  Anum_es_events_tenant_id,
												  &isnull));
	}
	es_events_end_scan(&scan);
	return tenant;
}
