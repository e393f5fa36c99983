/*-------------------------------------------------------------------------
 *
 * user_code.h
 *	  Running what users have written: as its owner, with its settings.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  An upcaster, a check, the functions of an aggregate are called by
 *	  sessions that only wanted to read or append, perhaps a superuser's.  What
 *	  they call must not get at the caller's rights: it runs as its owner, in a
 *	  security-restricted operation, with the settings of the day when it was
 *	  defined, and it cannot write.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CORE_USER_CODE_H
#define ES_CORE_USER_CODE_H

#include "nodes/pg_list.h"

/*
 * What es_user_code_enter() has to give back.
 */
typedef struct EsUserCode
{
	Oid			userid;
	int			sec_context;
	int			guc_level;
	bool		read_only;		/* XactReadOnly */
	CommandId	command;		/* InvalidCommandId: in parallel mode */
} EsUserCode;

/*
 * Returns the settings that code defined now should run with: a text[] of
 * name=value, in the current memory context.
 */
extern Datum es_user_code_capture_settings(void);

/*
 * Sets what a list of name=value says, to the end of the GUC level; settings
 * that have the value already are left alone, which is cheaper.  Raises 22023
 * for an element that is none, or that would change who it is.
 */
extern void es_user_code_apply_settings(List *settings);

/*
 * Changes over to the owner and his settings (char *, name=value; NIL: leave
 * them), and forbids writing: INSERT and the like raise 25006.
 *
 * To be followed by es_user_code_leave(), which raises 25006, too, for code that
 * has found a way to write; after an error the end of the
 * (sub)transaction restores identity and settings, but not the prohibition:
 * whoever catches errors without ending a subtransaction must call
 * es_user_code_leave() himself.
 */
extern void es_user_code_enter(EsUserCode *saved, Oid owner, List *settings);
extern void es_user_code_leave(const EsUserCode *saved);

#endif							/* ES_CORE_USER_CODE_H */
