/*-------------------------------------------------------------------------
 *
 * diff.h
 *	  What changed between two JSON values.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_AGGREGATE_DIFF_H
#define ES_AGGREGATE_DIFF_H

#include "utils/jsonb.h"

/*
 * Returns what makes one value of another: an array of operations as in RFC
 * 6902 (add, remove, replace), with the old value where there was one.  NULL is
 * no value at all.  In the current memory context.
 */
extern Jsonb *es_json_diff_make(Jsonb *before, Jsonb *after);

#endif							/* ES_AGGREGATE_DIFF_H */
