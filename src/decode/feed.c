#include "postgres.h"

#include "decode/decode.h"

void
es_feed_set_callbacks(OutputPluginCallbacks *callbacks)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the feed is not there yet")));
}
