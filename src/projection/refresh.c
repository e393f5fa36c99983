#include "postgres.h"

#include "projection/projection.h"

static void
check(const EsStore *store, EsProjection *projection)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("this kind of projection is not there yet")));
}

static void
run(const EsStore *store, EsProjection *projection, EsBatch *batch)
{
	check(store, projection);
}

const EsKindRoutine es_refresh_routine = {
	.check = check,
	.run = run
};
