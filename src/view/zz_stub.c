#include "postgres.h"
#include "view/view.h"
EsView *es_view_analyze(const EsStore *s, const char *q){ereport(ERROR,(errmsg("stub")));}
List *es_view_create_sql(const EsView *v,const char *t,const char *s){return NIL;}
char *es_view_fill_sql(const EsView *v,const char *t,const char *s,const char *x){return NULL;}
char *es_view_merge_sql(const EsView *v,const char *t,const char *s,const char *x){return NULL;}
char *es_view_relation_name(Oid r){return NULL;}
