/*-------------------------------------------------------------------------
 *
 * parse.c
 *	  From the text of a view to its Query.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  es_log is an ephemeral named relation, as the transition tables of a
 *	  trigger are: these come before tables and views of that name in any
 *	  schema.  So what the query means does not depend on the search_path, and
 *	  the same text can be run over a batch.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parser/analyze.h"
#include "parser/parser.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/typcache.h"

#include "view/query.h"

void
es_view_error_callback(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

/*
 * Returns the one SELECT that the text consists of.
 */
static RawStmt *
parse_raw(const char *text)
{
	List	   *statements = raw_parser(text, RAW_PARSE_DEFAULT);
	RawStmt    *raw;

	if (list_length(statements) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a view is empty"),
				 errhint("Give one SELECT over es_log.")));
	if (list_length(statements) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a view consists of several statements"),
				 errdetail("A view is one SELECT over es_log."),
				 errhint("Use es_create_projection() to run several statements for each batch.")));

	raw = linitial_node(RawStmt, statements);
	if (!IsA(raw->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a view is not a SELECT"),
				 errdetail("A view is one SELECT over es_log."),
				 errhint("Use es_create_projection() to run other statements for each batch.")));
	if (((SelectStmt *) raw->stmt)->intoClause != NULL)
		es_view_refuse(NULL, "SELECT INTO",
					   "A view has a table of its own.",
					   "Leave INTO out.");

	/* Ephemeral relations cannot be locked, and so it would be ignored. */
	if (((SelectStmt *) raw->stmt)->lockingClause != NIL)
		es_view_refuse(NULL, "FOR UPDATE or FOR SHARE",
					   "Reading for a view locks no rows.",
					   "Leave it out.");
	return raw;
}

/*
 * Analyzes a statement in whose scope es_log is the batch.
 */
static Query *
analyze_raw(const EsStore *store, RawStmt *raw, const char *text)
{
	Oid			relid = get_relname_relid(ES_LOG_NAME, store->namespace_oid);
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));
	QueryEnvironment *env = create_queryEnv();

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("view \"%s\" of the extension is missing", ES_LOG_NAME)));

	enr->md.name = pstrdup(ES_LOG_NAME);
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = lookup_rowtype_tupdesc_copy(get_rel_type_id(relid), -1);
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = 1000;
	register_ENR(env, enr);

	return parse_analyze_fixedparams(raw, text, NULL, 0, env);
}

void
es_view_parse(const EsStore *store, const char *text, EsParsed *parsed)
{
	parsed->text = text;
	parsed->query = analyze_raw(store, parse_raw(text), text);
	es_view_check(store, parsed);
}
