#include "postgres.h"
#include "types/registry.h"
void es_type_check_init(void){}
void es_type_free_schema(EsTypeVersion *version){}
void es_types_check(const EsStore *store, const EsCheckedEvent *event){}
