/*-------------------------------------------------------------------------
 *
 * wait.h
 *	  Sessions that wait for the sequencer.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_SEQUENCER_WAIT_H
#define ES_SEQUENCER_WAIT_H

#include "datatype/timestamp.h"
#include "fmgr.h"

#include "catalog/catalog.h"
#include "worker/worker.h"

/*
 * Returns the time at which a wait must end, from an argument of type interval:
 * DT_NOEND for NULL.  Raises 22023 when it is negative.
 */
extern TimestampTz es_wait_get_deadline(FunctionCallInfo fcinfo, int argument);

/*
 * Returns the slot of this database; raises PE007 when no sequencer can be
 * expected here, and 25006 on a standby.
 */
extern EsWorkerSlot *es_wait_get_slot(void);

/*
 * Waits until everything that was committed before the call has its position;
 * returns false at the deadline (DT_NOEND for none).
 *
 * Can be cancelled.  Raises PE007 when waiting is in vain.
 */
extern bool es_wait_until_sequenced(EsWorkerSlot *slot, const EsStore *store,
									TimestampTz deadline);

#endif							/* ES_SEQUENCER_WAIT_H */
