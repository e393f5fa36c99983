#include "postgres.h"
#include "types/types.h"

bool es_types_have_upcasters(const EsStore *store) { return false; }
EsUpcaster *es_upcaster_begin(const EsStore *store) { return NULL; }
bool es_upcaster_wants(EsUpcaster *u, Datum t, int32 v) { return false; }
EsPiece *es_upcaster_apply(EsUpcaster *upcaster, const EsPiece *stored, Datum metadata, const EsEventName *name, int *npieces) { return NULL; }
uint64 es_types_upcast_fingerprint(const EsStore *store) { return 0; }
