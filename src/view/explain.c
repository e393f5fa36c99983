/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  es_explain_view: what a view is made of.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "view/view.h"

PG_FUNCTION_INFO_V1(es_explain_view);

#define TABLE_NAME	"name"
#define STATE_NAME	"name_state"

static void
put_row(ReturnSetInfo *result, const char *step, const char *statement)
{
	Datum		values[2];
	bool		nulls[2] = {false, false};

	values[0] = CStringGetTextDatum(step);
	values[1] = CStringGetTextDatum(statement);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * es_explain_view(query text) RETURNS TABLE (step text, statement text)
 *
 * Shows the statements for a view called "name", with the events in the scope
 * of a relation called es_log.
 */
Datum
es_explain_view(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	EsStore		store;
	EsView	   *view;
	const char *state;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	es_catalog_get_store(&store);
	view = es_view_analyze(&store, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	state = view->needs_state ? STATE_NAME : NULL;

	foreach(lc, es_view_create_sql(view, TABLE_NAME, state))
		put_row(result, "create", lfirst(lc));
	put_row(result, "fill", es_view_fill_sql(view, TABLE_NAME, state, NULL));
	put_row(result, "merge", es_view_merge_sql(view, TABLE_NAME, state, NULL));
	put_row(result, "verify", es_view_verify_sql(view, TABLE_NAME, NULL));
	return (Datum) 0;
}
