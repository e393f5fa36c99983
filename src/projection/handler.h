/*-------------------------------------------------------------------------
 *
 * handler.h
 *	  What handler.c and its helpers share: handlers of events, prepared.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  handler.c        dispatches the events of a batch
 *	  handler_parse.c  makes plans of the texts
 *	  handler_run.c    runs them
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_PROJECTION_HANDLER_H
#define ES_PROJECTION_HANDLER_H

#include "executor/spi.h"
#include "nodes/params.h"
#include "utils/snapshot.h"

#include "projection/projection.h"

/* What an event is called as a whole */
#define ES_EVENT_NAME	"event"

/*
 * The names that a handler's SQL may use: columns of es_log are the parameters
 * from 1 on, the event as a whole comes behind them.
 *
 * Is an argument of the parser; lives as long as the plans.
 */
typedef struct EsHandlerNames
{
	TupleDesc	columns;		/* of es_log */
	Oid			event_type;		/* es_event */
	int			whole;			/* number of the parameter that is all of it */
	bool		uses_whole;
	bool		uses_position;	/* or the time of commit */
} EsHandlerNames;

/*
 * A statement of a handler.
 */
typedef struct EsHandlerStatement
{
	int			number;			/* among all of the projection */
	SPIPlanPtr	plan;
	Oid			function;		/* if the handler is but the name of one */
	bool		hostile;		/* may do what is not known in advance: define
								 * objects, change settings */
} EsHandlerStatement;

/*
 * What to do for a type of event.
 */
typedef struct EsHandler
{
	const char *event_type;		/* NULL: all that have none of their own */
	int			length;
	bool		hostile;		/* one of its statements is */
	List	   *statements;		/* of EsHandlerStatement * */
} EsHandler;

/* ---------- handler_parse.c ---------- */

/*
 * Prepares the text of a handler: appends its statements, which are numbered
 * from *number on and live in a memory context.  Needs SPI.
 */
extern void es_handler_prepare(MemoryContext context, EsHandler *handler,
							   EsHandlerNames *names, const char *text,
							   int *number);

/* ---------- handler_run.c ---------- */

typedef struct EsHandlerRun EsHandlerRun;

/*
 * Begins to run statements of handlers, of which there are so many; and ends
 * it.  Needs SPI.  What is held is given back at the end of the subtransaction
 * after an error.
 */
extern EsHandlerRun *es_handler_run_begin(int nstatements,
										  ParamListInfo params);
extern void es_handler_run_end(EsHandlerRun *run);

/*
 * Runs a statement with the current values of the parameters.  It sees what
 * those before it have done.
 */
extern void es_handler_run_statement(EsHandlerRun *run,
									 const EsHandlerStatement *statement);

#endif							/* ES_PROJECTION_HANDLER_H */
