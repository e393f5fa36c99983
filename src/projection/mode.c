#include "postgres.h"

#include "projection/projection.h"

void
es_mode_set_inline(const EsStore *store, EsProjection *projection)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("inline projections are not there yet")));
}

void
es_mode_set_async(const EsStore *store, EsProjection *projection)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("inline projections are not there yet")));
}
