/*-------------------------------------------------------------------------
 *
 * command.h
 *	  Commands: what is decided about the state of a stream.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  execute.c      es_execute: lock, load, decide, append, answer
 *	  decide.c       calls what the user has written
 *	  answer.c       what has been appended, as JSON
 *	  command_id.c   the ids of a command's events; has it been executed?
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_COMMAND_COMMAND_H
#define ES_COMMAND_COMMAND_H

#include "utils/jsonb.h"
#include "utils/relcache.h"
#include "utils/uuid.h"

#include "aggregate/aggregate.h"
#include "catalog/catalog.h"
#include "catalog/events.h"

/* ---------- decide.c ---------- */

/* Registers the invalidation callback.  Once, from _PG_init. */
extern void es_command_init(void);

/*
 * Calls an aggregate's decide function with a state and a command (jsonb), as
 * the aggregate's owner; it cannot write.
 *
 * Returns what it has decided as a JSON array of events, in the current memory
 * context; NULL if nothing.  Errors that it raises reach the caller as they
 * are.
 */
extern Jsonb *es_decide(const EsAggregate *aggregate, Datum state,
						bool state_isnull, Datum command);

/* ---------- answer.c ---------- */

/*
 * Events being collected for the answer.
 */
typedef struct EsAnswer EsAnswer;

/* Begins an answer without events, in the current memory context. */
extern EsAnswer *es_answer_begin(void);

/* Adds the event of a row; an EsFoldEach whose arg is the EsAnswer. */
extern void es_answer_add(EsFold *fold, TupleTableSlot *stored, Datum event,
						  const EsState *state, void *arg);

/* Returns the events as a JSON array. */
extern Jsonb *es_answer_end(EsAnswer *answer);

/* ---------- command_id.c ---------- */

/*
 * Makes the id of the first event that a command appends to a stream: the same
 * whenever and wherever it is asked for.
 */
extern void es_command_first_id(pg_uuid_t *id, const EsStreamKey *key,
								const pg_uuid_t *command_id);

/* Makes the id of a further one: n is 2 for the second. */
extern void es_command_nth_id(pg_uuid_t *id, const pg_uuid_t *first, int n);

/*
 * Looks for the events of a command in its stream, which is locked.
 *
 * Returns the version of the first, 0 if there are none, and sets *last to
 * that of the last.
 */
extern int64 es_command_find(Relation events, const EsStore *store,
							 const EsStreamKey *key,
							 const pg_uuid_t *first_id, int64 *last);

#endif							/* ES_COMMAND_COMMAND_H */
