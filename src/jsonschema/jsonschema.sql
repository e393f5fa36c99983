-- JSON Schema, draft 2020-12.

CREATE FUNCTION es_json_schema_is_valid(
  schema    jsonb,
  data      jsonb,
  documents jsonb DEFAULT '{}'
) RETURNS boolean
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_json_schema_is_valid';
COMMENT ON FUNCTION es_json_schema_is_valid(jsonb, jsonb, jsonb) IS
  'do data fit a JSON Schema of draft 2020-12? documents: other schemas that it may refer to, by URI';

CREATE FUNCTION es_json_schema_problems(
  schema    jsonb,
  data      jsonb,
  documents jsonb DEFAULT '{}'
) RETURNS TABLE (path text, rule text, message text)
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 5
AS 'MODULE_PATHNAME', 'es_json_schema_problems';
COMMENT ON FUNCTION es_json_schema_problems(jsonb, jsonb, jsonb) IS
  'where and why data do not fit a JSON Schema of draft 2020-12: at most 100 problems, none if they fit';

CREATE FUNCTION es_json_schema_breaks(
  reader jsonb,
  writer jsonb
) RETURNS SETOF text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 5
AS 'MODULE_PATHNAME', 'es_json_schema_list_breaks';
COMMENT ON FUNCTION es_json_schema_breaks(jsonb, jsonb) IS
  'what data that are valid by one JSON Schema (writer) might be refused for by another one (reader): at most 100 lines, none if nothing';
