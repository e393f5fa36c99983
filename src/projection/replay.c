#include "postgres.h"
#include "projection/rebuild.h"
int64 es_replay(const EsStore *store, EsProjection *projection) { elog(ERROR, "later"); }
int64 es_replay_refresh(const EsStore *store, EsProjection *projection) { elog(ERROR, "later"); }
