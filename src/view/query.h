/*-------------------------------------------------------------------------
 *
 * query.h
 *	  What the files of this room know of a view's query.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  parse.c      text to Query, with es_log as an ephemeral named relation
 *	  check.c      what a query may not have
 *	  order.c      the order of rows, made visible
 *	  analyze.c    columns, keys, and what must be kept to merge
 *	  aggregate.c  the rules of the aggregates
 *	  generate.c   the SQL that writes
 *	  verify.c     the SQL that compares
 *
 *	  Words: a *state* is a value that is kept for a group and can be merged
 *	  with that of a batch; an aggregate has one state (most are their own) or
 *	  two (avg: sum and count).  A *leaf* is what a column's expression is
 *	  computed from: a key, an aggregate, or a value that is carried over from
 *	  the newest batch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_VIEW_QUERY_H
#define ES_VIEW_QUERY_H

#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

#include "view/view.h"

#define ES_LOG_NAME			"es_log"

/* Columns of es_log that are needed by number */
#define ES_LOG_POSITION		1
#define ES_LOG_COMMITTED_AT	2
#define ES_LOG_STREAM_ID	4
#define ES_LOG_TX			12
#define ES_LOG_ORDINAL		13
#define ES_LOG_PIECE		14

/*
 * From the query to es_log: the relation of its FROM that is es_log or, below
 * subqueries that pass its rows on, has it.
 */
typedef struct EsLogLevel
{
	Query	   *query;
	int			rtindex;
} EsLogLevel;

/*
 * A parsed query.
 */
typedef struct EsParsed
{
	const char *text;
	Query	   *query;
	List	   *levels;			/* of EsLogLevel *, the query itself first */
} EsParsed;

/*
 * A value that can be merged.
 */
typedef struct EsViewState
{
	char	   *name;			/* its column in the state table */
	Expr	   *expr;			/* an aggregate, or what is carried */
	const char *merge;			/* how: SQL with $o (old), $n (new) and $d
								 * (delimiter); NULL: the new value counts */
	char	   *delimiter;		/* SQL of a string_agg's delimiter */
	bool		not_null;
} EsViewState;

/*
 * An aggregate of the query.
 */
typedef struct EsViewAggregate
{
	Aggref	   *aggref;
	int			nstates;
	EsViewState *states[2];
	const char *final;			/* SQL with $1, $2 (states); NULL: $1 */
	bool		ordered;		/* must meet the events in order */
} EsViewAggregate;

/*
 * Where a column's value comes from.
 */
typedef enum EsViewSource
{
	ES_SOURCE_KEY,
	ES_SOURCE_STATE,			/* an aggregate that is its own state */
	ES_SOURCE_CARRIED,			/* no aggregate in it: the new value counts */
	ES_SOURCE_FIXED,			/* depends on the keys only */
	ES_SOURCE_DERIVED			/* computed from aggregates */
} EsViewSource;

/*
 * EsView.private
 */
typedef struct EsViewQuery
{
	Query	   *query;			/* reads a CTE called es_log */
	List	   *levels;			/* of EsLogLevel * */
	EsViewSource *sources;		/* for each column */
	List	   *keys;			/* of TargetEntry *: those of the query */
	List	   *key_columns;	/* their columns, from 0: integers */
	List	   *aggregates;		/* of EsViewAggregate * */
	List	   *carried;		/* of EsViewState *: leaves that are carried */
	List	   *states;			/* of EsViewState * */
	List	   *derived;		/* of TargetEntry *: if there is a state table,
								 * the columns, over a relation of the leaves
								 * (keys, aggregates, carried) */
} EsViewQuery;

/* ---------- parse.c ---------- */

/*
 * Error context callback: makes places in the query be shown in the query
 * (arg), not in the statement that the client has sent.
 */
extern void es_view_error_callback(void *arg);

/*
 * Parses the text; es_log is the relation of the batch in it.  Refuses what is
 * not one SELECT.  *parsed gets query and text only.
 */
extern void es_view_parse(const EsStore *store, const char *text,
						  EsParsed *parsed);

/* ---------- check.c ---------- */

/*
 * Raises 0A000: `what` cannot be used in a view's query.  node is where it
 * stands, or NULL.
 */
extern void es_view_refuse(Node *node, const char *what, const char *detail,
						   const char *hint);

/*
 * Refuses whatever cannot be merged, except for aggregates; fills in
 * parsed->levels.
 */
extern void es_view_check(const EsStore *store, EsParsed *parsed);

/*
 * Returns the column of es_log that an expression of the query is, if it is
 * one and nothing else; or 0.
 */
extern AttrNumber es_view_log_column(const EsParsed *parsed, Node *expr);

/* Does the query use a column whose value an inline view does not know? */
extern bool es_view_uses_position(const EsStore *store,
								  const EsParsed *parsed);

/* ---------- order.c ---------- */

/*
 * Returns what rows of the query are to be ordered by so that they are in the
 * order of the log: a list of Var *, es_log's position first, then the number
 * of the piece where there are upcasters, then the numbers of the rows that
 * functions in FROM return for an event.
 *
 * Adds columns to subqueries, and WITH ORDINALITY to functions, where that is
 * needed.  Raises 0A000 where it cannot be done; aggregate is for the message.
 */
extern List *es_view_order(const EsStore *store, EsParsed *parsed,
						   Aggref *aggregate);

/*
 * Raises 0A000 for an aggregate of rows that es_view_order has no number for.
 */
extern void es_view_check_order(const EsParsed *parsed, Aggref *aggregate);

/* ---------- aggregate.c ---------- */

/*
 * Returns how an aggregate is merged; its states have neither a name nor a
 * column yet.  Raises 0A000 for one that cannot be merged.
 */
extern EsViewAggregate *es_view_aggregate(const EsStore *store,
										  const EsParsed *parsed,
										  Aggref *aggref);

/* Must the aggregate meet its rows in order? Raises nothing. */
extern bool es_view_aggregate_is_ordered(const EsStore *store,
										 Aggref *aggref);

/* Is it es_first or es_last? */
extern bool es_view_aggregate_is_ours(const EsStore *store, Aggref *aggref,
									  const char *name);

/*
 * Changes an ordered aggregate such that it meets its rows in the order of the
 * log.  order is what es_view_order returned.
 */
extern void es_view_order_aggregate(const EsStore *store, Aggref *aggref,
									List *order);

/* ---------- generate.c ---------- */

/* The query itself, with all names qualified. */
extern char *es_view_query_sql(const EsView *view);

#endif							/* ES_VIEW_QUERY_H */
