#include "postgres.h"
#include "jsonschema/schema.h"
List *
es_json_schema_breaks(Jsonb *reader, Jsonb *writer, int max)
{
	return NIL;
}
