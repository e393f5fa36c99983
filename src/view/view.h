/*-------------------------------------------------------------------------
 *
 * view.h
 *	  From a SELECT over es_log to the SQL that keeps its result in a table.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The log only grows, so the result over the whole log is the result over
 *	  its beginning, merged with the result over what came later.  A query is
 *	  taken only if that is exact: see analyze.c.
 *
 *	  The parts:
 *
 *	  analyze.c    is the query one that can be merged? what are its columns,
 *	               keys and aggregates
 *	  aggregate.c  how each aggregate is merged
 *	  generate.c   the SQL statements
 *
 *	  This room knows nothing of workers, checkpoints and tables of the
 *	  registry: text goes in, text comes out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_VIEW_VIEW_H
#define ES_VIEW_VIEW_H

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"

#include "catalog/catalog.h"

/*
 * What a query makes of the events.
 */
typedef enum EsViewShape
{
	ES_VIEW_PLAIN,				/* rows for each event, no aggregates */
	ES_VIEW_GROUPED,			/* one row for each key */
	ES_VIEW_SINGLE				/* aggregates without GROUP BY: one row */
} EsViewShape;

/*
 * A column of the view's table.
 */
typedef struct EsViewColumn
{
	char	   *name;
	Oid			type;
	int32		typmod;
	Oid			collation;
	bool		is_key;			/* a GROUP BY expression */
	bool		not_null;		/* can never be NULL */
} EsViewColumn;

/*
 * An analyzed query.  Lives in the memory context that was current then.
 */
typedef struct EsView
{
	EsViewShape shape;
	List	   *columns;		/* of EsViewColumn */
	bool		needs_state;	/* aggregates that are no columns go into a table
								 * of their own */
	bool		uses_position;	/* mentions position, committed_at, tx or
								 * ordinal, which an inline view does not have */
	bool		order_dependent;	/* has aggregates like es_last, which must
									 * meet the events of a group in order */
	bool		keyed_by_stream;	/* stream_id is among the keys */
	void	   *private;		/* of this room */
} EsView;

/*
 * Analyzes a query, in the current search_path and with the rights of the
 * current user.
 *
 * Needs a transaction with an active snapshot.  Raises 0A000 for a query that
 * cannot be merged exactly, naming the construct, the reason and what to use
 * instead; and what the parser raises.
 */
extern EsView *es_view_analyze(const EsStore *store, const char *query);

/*
 * The functions below return SQL with all names qualified, for a view whose
 * table is `table` and whose state table is `state` (NULL unless needs_state);
 * both are quoted and qualified names.
 *
 * source is what the SELECT reads as es_log: a SELECT that returns the columns
 * of the view es_log and may have parameters, or NULL: then something called
 * es_log must be in scope when the statement is run (an ephemeral named
 * relation, see projection/batch.c).
 */

/* List of statements (char *) that make the tables, empty, with their keys. */
extern List *es_view_create_sql(const EsView *view, const char *table,
								const char *state);

/* One statement that fills the empty tables. */
extern char *es_view_fill_sql(const EsView *view, const char *table,
							  const char *state, const char *source);

/*
 * The SELECT of that: it returns the columns of the table in their order, and
 * then those of the state table, if there is one, in theirs.
 */
extern char *es_view_rows_sql(const EsView *view, const char *source);

/*
 * One statement that merges the events of source into the tables.
 *
 * Rows are touched in the order of the keys, so that two that merge at the
 * same time do not deadlock within one batch.
 */
extern char *es_view_merge_sql(const EsView *view, const char *table,
							   const char *state, const char *source);

/*
 * One SELECT (difference text, expected jsonb, actual jsonb) that lists how
 * the table differs from the query over source: 'missing', 'unexpected', or
 * 'different' where the key is the same.
 */
extern char *es_view_verify_sql(const EsView *view, const char *table,
								const char *source);

/*
 * Do two views have the same columns (names, types, collations) and keys, so
 * that the table of one can hold the rows of the other?
 */
extern bool es_view_same_columns(const EsView *one, const EsView *other);

/* Quoted and qualified name of a relation; raises 42P01 if it is not there. */
extern char *es_view_relation_name(Oid relid);

#endif							/* ES_VIEW_VIEW_H */
