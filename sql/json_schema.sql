-- json_schema: what the validator says; that it says the right thing about
-- every case of the official suite is test/t/040_json_schema_suite.pl.
\set SHOW_CONTEXT never
\set VERBOSITY default

-- ---------------------------------------------------------------------------
-- Every keyword: path, rule and message.
-- ---------------------------------------------------------------------------
CREATE TEMP TABLE cases (id int GENERATED ALWAYS AS IDENTITY, schema jsonb, data jsonb);
INSERT INTO cases (schema, data) VALUES
  ('{"type": "integer"}', '"a"'), ('{"type": "integer"}', '1.5'), ('{"type": ["string", "null"]}', '1'),
  ('{"type": ["string", "null", "object"]}', '[]'), ('{"type": "number"}', 'true'),
  ('{"enum": ["a", 1, null, {"b": [1]}]}', '"c"'), ('{"enum": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}', '11'), ('{"enum": []}', '1'),
  ('{"const": {"a": 1}}', '{"a": 2}'), ('{"const": 1}', '1.0'), ('{"const": "a", "enum": ["b"]}', '"a"'),
  ('{"minimum": 1}', '-3'), ('{"exclusiveMinimum": 1}', '1'), ('{"maximum": 1.5}', '1.50000000000000000001'),
  ('{"exclusiveMaximum": 1}', '1.0'), ('{"multipleOf": 0.01}', '1.005'), ('{"multipleOf": 3}', '7'),
  ('{"minLength": 3}', '"äö"'), ('{"maxLength": 1}', '"äö"'), ('{"maxLength": 2}', '"äö"'), ('{"pattern": "^[a-z]+$"}', '"Abc"'),
  ('{"pattern": "^(a|b)$"}', '"c"'),
  ('{"minItems": 1}', '[]'), ('{"maxItems": 1}', '[1, 2]'), ('{"uniqueItems": true}', '[1, {"a": 1, "b": 2}, 3, {"b": 2.0, "a": 1}]'),
  ('{"prefixItems": [{"type": "string"}], "items": false}', '[1, 2, 3]'), ('{"items": {"type": "integer"}}', '[1, "a", 2, "b"]'),
  ('{"contains": {"type": "string"}}', '[1, 2]'), ('{"contains": {"type": "string"}, "minContains": 2, "maxContains": 3}', '["a", 1]'),
  ('{"contains": {"type": "string"}, "maxContains": 1}', '["a", "b"]'), ('{"unevaluatedItems": false, "prefixItems": [true]}', '[1, 2]'),
  ('{"required": ["b", "a"]}', '{"a": 1}'), ('{"properties": {"a": {"properties": {"b/c~d": {"type": "string"}}}}}', '{"a": {"b/c~d": 1}}'),
  ('{"patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": false}', '{"x-a": 1, "y": 2}'),
  ('{"propertyNames": {"maxLength": 2}}', '{"abc": 1, "d": 2}'), ('{"minProperties": 2}', '{"a": 1}'), ('{"maxProperties": 1}', '{"a": 1, "b": 2}'),
  ('{"dependentRequired": {"card": ["address", "name"]}}', '{"card": 1, "name": 2}'),
  ('{"dependentSchemas": {"card": {"required": ["address"]}}}', '{"card": 1}'),
  ('{"allOf": [{"properties": {"a": true}}], "unevaluatedProperties": false}', '{"a": 1, "b": 2}'),
  ('{"allOf": [{"minimum": 3}, {"maximum": 1}]}', '2'), ('{"anyOf": [{"type": "string"}, {"minimum": 3}]}', '2'),
  ('{"anyOf": [{"const": 1}, {"const": 2}, {"const": 3}, {"const": 4}, {"const": 5}]}', '6'),
  ('{"oneOf": [{"properties": {"a": {"type": "string"}}}, false]}', '{"a": 1}'), ('{"oneOf": [{"minimum": 1}, {"minimum": 2}, {"minimum": 9}]}', '3'),
  ('{"not": {"type": "string"}}', '"a"'), ('{"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 2}}', '"a"'),
  ('{"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 2}}', '1'),
  ('{"$ref": "#/$defs/positive", "$defs": {"positive": {"exclusiveMinimum": 0}}}', '0'),
  ('{"properties": {"tree": {"$ref": "#/$defs/node"}}, "$defs": {"node": {"properties": {"children": {"items": {"$ref": "#/$defs/node"}}, "value": {"type": "integer"}}}}}',
   '{"tree": {"children": [{"value": 1}, {"children": [{"value": "x"}]}]}}'),
  ('{"$defs": {"a": {"$id": "https://example.com/a", "$anchor": "text", "type": "string"}}, "$ref": "https://example.com/a#text"}', '1'),
  ('{"$ref": "https://json-schema.org/draft/2020-12/schema"}', '{"minLength": -1, "properties": {"a": {"type": "text"}}}'),
  ('false', '{}'), ('true', '{}'), ('{"format": "email", "contentEncoding": "base64", "title": 1, "unknown": {"type": 7}}', '"x"');
SELECT id, p.* FROM cases, es_json_schema_problems(schema, data) p ORDER BY id, path, rule, message;
-- The short question has the same answer.
SELECT count(*) AS cases, count(*) FILTER (WHERE es_json_schema_is_valid(schema, data)) AS valid,
       count(*) FILTER (WHERE es_json_schema_is_valid(schema, data) = EXISTS (SELECT FROM es_json_schema_problems(schema, data))) AS contradictions
  FROM cases;
-- At most 100 problems, and long values are cut.
SELECT count(*), max(path) FROM es_json_schema_problems('{"items": {"type": "string"}}', (SELECT jsonb_agg(n) FROM generate_series(1, 1000) n));
SELECT message FROM es_json_schema_problems('{"maxLength": 1, "const": "x"}', to_jsonb(repeat('ä', 1000)));
SELECT message FROM es_json_schema_problems('{"const": "x"}', (SELECT jsonb_agg(n) FROM generate_series(1, 1000) n));
-- NULL is NULL.
SELECT es_json_schema_is_valid(NULL, '1'), es_json_schema_is_valid('true', NULL), es_json_schema_is_valid('true', '1', NULL);

-- The numbers are exact, and the same schema twice, or another one, makes no difference.
SELECT v, es_json_schema_is_valid(s::jsonb, v::jsonb), s
  FROM (VALUES ('{"multipleOf": 0.1}'), ('{"multipleOf": 1e-100}'), ('{"type": "integer"}'), ('{"maximum": 9007199254740993}')) s(s),
       (VALUES ('0.3'), ('1e400'), ('9007199254740992'), ('9007199254740994'), ('1.000'), ('-0')) v(v)
 ORDER BY s, v;

-- ---------------------------------------------------------------------------
-- Documents.
-- ---------------------------------------------------------------------------
SELECT p.* FROM es_json_schema_problems('{"properties": {"price": {"$ref": "https://example.com/shop/money.json"}}}', '{"price": {"amount": "12"}}',
  '{"https://example.com/shop/money.json": {"required": ["currency"], "properties": {"amount": {"$ref": "number.json#/$defs/amount"}}},
    "https://example.com/shop/number.json": {"$defs": {"amount": {"type": "number"}}}}') p ORDER BY rule;
SELECT es_json_schema_is_valid('true', '1', '[]');
-- A document nobody asks for is not looked at.
SELECT es_json_schema_is_valid('true', '1', '{"https://example.com/bad": {"type": 7}}');
SELECT es_json_schema_is_valid('{"$ref": "https://example.com/bad"}', '1', '{"https://example.com/bad": {"type": 7}}');

-- ---------------------------------------------------------------------------
-- What is no schema.
-- ---------------------------------------------------------------------------
CREATE FUNCTION pg_temp.refusal(schema jsonb, data jsonb DEFAULT '1') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
  hint   text;
BEGIN
  RETURN es_json_schema_is_valid(schema, data);
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n', SQLSTATE || ' ' || SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
SELECT es_json_schema_is_valid('{"properties": {"a/b": {"type": "strin"}}}', '1');
\pset format unaligned
\pset tuples_only on
SELECT schema::text || E'\n' || pg_temp.refusal(schema) FROM (VALUES
  (1, '7'::jsonb), (2, '[]'), (3, '{"type": []}'), (4, '{"type": "int"}'), (5, '{"type": ["string", 1]}'), (6, '{"enum": "a"}'),
  (7, '{"minimum": "1"}'), (8, '{"multipleOf": 0}'), (9, '{"multipleOf": -1}'), (10, '{"minLength": -1}'), (11, '{"minLength": 1.5}'),
  (12, '{"maxItems": "1"}'), (13, '{"pattern": 1}'), (14, '{"pattern": "("}'), (15, '{"uniqueItems": 1}'), (16, '{"items": [{}]}'),
  (17, '{"items": 1}'), (18, '{"prefixItems": []}'), (19, '{"allOf": {}}'), (20, '{"anyOf": []}'), (21, '{"oneOf": [1]}'), (22, '{"not": null}'),
  (23, '{"properties": []}'), (24, '{"properties": {"a": {"items": {"then": "x"}}}}'), (25, '{"patternProperties": {"[": {}}}'), (26, '{"required": "a"}'),
  (27, '{"required": [1]}'), (28, '{"dependentRequired": {"a": "b"}}'), (29, '{"dependentSchemas": {"a": 1}}'), (30, '{"$defs": {"a": 1}}'),
  (31, '{"$ref": 1}'), (32, '{"$ref": "#/$defs/none"}'), (33, '{"$ref": "#none"}'), (34, '{"$ref": "https://example.com/other.json"}'),
  (35, '{"$dynamicRef": "other.json#x"}'), (36, '{"$schema": "http://json-schema.org/draft-07/schema#"}'), (37, '{"$schema": 1}'), (38, '{"$id": "#a"}'),
  (39, '{"$id": 1}'), (40, '{"$anchor": "1a"}'), (41, '{"$anchor": "a", "items": {"$anchor": "a"}}'),
  (42, '{"$defs": {"a": {"$id": "x"}, "b": {"$id": "x"}}}'), (43, '{"format": 1}'), (44, '{"if": true, "then": 1}'),
  -- Endless references.
  (50, '{"$ref": "#"}'), (51, '{"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}}'),
  (52, '{"dependentSchemas": {"a": {"$ref": "#"}}}'), (53, '{"$dynamicAnchor": "a", "$dynamicRef": "#a"}'), (54, '{"items": {"$ref": "#"}}'),
  -- Patterns that cannot be had.
  (60, '{"pattern": "\\p{Script=Greek}"}'), (61, '{"pattern": "(?i)a"}'), (62, '{"pattern": "a**"}'), (63, '{"pattern": "\\Z"}'), (64, '{"pattern": "[b-a]"}'),
  (65, '{"pattern": "\\1(a)"}'), (66, '{"pattern": "a{3,2}"}'), (67, '{"pattern": "a)"}'), (68, '{"pattern": "\\0"}'), (69, '{"pattern": "a\\"}'),
  (70, '{"pattern": "((a{1,200}){1,200}){1,200}"}'), (71, '{"pattern": "(a|b){70000}"}'), (72, '{"pattern": "(a)(?=a)\\1"}'), (73, '{"pattern": "\\k<a>"}'),
  (74, '{"pattern": "^(a)?\\1b$"}'), (75, '{"pattern": "^(?:(a)|b)\\1$"}'), (76, '{"pattern": "(a)|\\1"}')) v(n, schema)
 ORDER BY n;
SELECT pg_temp.refusal(jsonb_build_object('pattern', repeat('a', 5000)));
SELECT pg_temp.refusal(jsonb_build_object('pattern', repeat('(', 300) || repeat(')', 300)));
SELECT pg_temp.refusal((SELECT jsonb_build_object('properties', jsonb_object_agg(n, '{"minimum": 1}'::jsonb)) FROM generate_series(1, 100001) n));
SELECT pg_temp.refusal(jsonb_build_object('title', repeat('a', 17000000)));
\pset tuples_only off
\pset format aligned

-- What is nested too deeply ends with an error, or it does not, but never otherwise.
CREATE FUNCTION pg_temp.deep(kind text, levels int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  schema jsonb := '{"items": {"$ref": "#"}, "minLength": 2}';
  data   jsonb := '"x"';
BEGIN
  BEGIN
    CASE kind
      WHEN 'items' THEN schema := (repeat('{"items": ', levels) || 'true' || repeat('}', levels))::jsonb;
      WHEN 'not' THEN schema := (repeat('{"not": ', levels) || 'true' || repeat('}', levels))::jsonb;
      WHEN 'enum' THEN schema := ('{"uniqueItems": true, "enum": [' || repeat('[', levels) || repeat(']', levels) || ']}')::jsonb;
                       data := (repeat('[', levels) || repeat(']', levels))::jsonb;
      WHEN 'refs' THEN schema := jsonb_build_object('$ref', '#/$defs/1', '$defs', (SELECT jsonb_object_agg(n, jsonb_build_object('$ref', '#/$defs/' || n + 1))
                                   FROM generate_series(1, levels) n) || jsonb_build_object(levels + 1, true));
      WHEN 'data' THEN data := (repeat('[', levels) || '"x"' || repeat(']', levels))::jsonb;
    END CASE;
  EXCEPTION WHEN statement_too_complex THEN
    RETURN 'cannot be parsed';
  END;
  RETURN CASE WHEN es_json_schema_is_valid(schema, data) THEN 'valid' ELSE 'not valid' END;
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT kind, pg_temp.deep(kind, 500) AS levels_500,
       pg_temp.deep(kind, 90000) IN ('valid', 'not valid', 'cannot be parsed', '54001 stack depth limit exceeded') AS levels_90000,
       pg_temp.deep(kind, 4000) IN ('valid', 'not valid', 'cannot be parsed', '54001 stack depth limit exceeded') AS levels_4000
  FROM unnest('{items, not, enum, refs, data}'::text[]) kind;
-- Work that grows beyond all measure can be cancelled.
SET statement_timeout = '200ms';
SELECT es_json_schema_is_valid((SELECT jsonb_build_object('$ref', '#/$defs/0', '$defs', jsonb_object_agg(n, CASE WHEN n < 60 THEN
    jsonb_build_object('allOf', jsonb_build_array(jsonb_build_object('$ref', '#/$defs/' || n + 1), jsonb_build_object('$ref', '#/$defs/' || n + 1)))
    ELSE '{"minProperties": 0}' END)) FROM generate_series(0, 60) n), '{}');
SELECT es_json_schema_is_valid((SELECT jsonb_build_object('$ref', '#/$defs/0', '$defs', jsonb_object_agg(n, CASE WHEN n < 60 THEN
    jsonb_build_object('allOf', jsonb_build_array(jsonb_build_object('$ref', '#/$defs/' || n + 1), jsonb_build_object('$ref', '#/$defs/' || n + 1)))
    ELSE '{"type": "integer"}' END)) FROM generate_series(0, 60) n), '1');
RESET statement_timeout;

-- ---------------------------------------------------------------------------
-- Patterns.
-- ---------------------------------------------------------------------------
SELECT pattern, left(text, 15) AS text, es_json_schema_is_valid(jsonb_build_object('pattern', pattern), to_jsonb(text)) AS matches
  FROM (VALUES
    ('^[A-Z]{2}-\d+$', 'AB-12'), ('^[A-Z]{2}-\d+$', 'AB-'), ('^[A-Z]{2}-\d+$', 'ABC-1'), ('^[^,]{2}$', 'äö'), ('^[^,]{2}$', 'ä,'), ('b', 'abc'), ('b$', 'abc'), ('', 'x'),
    ('^a?b*$', 'abb'), ('^a?b*$', 'aab'), ('^\w+@\w+\.com$', 'me@example.com'), ('^\w+$', 'ä'), ('^\d$', '٣'), ('^\s$', E'\u3000'), ('^\S\D\W$', 'aa-'), ('^.$', E'\n'), ('^.$', 'ä'),
    ('^a{2,3}$', 'aaaa'), ('^[a-c-]+$', 'a-b'), ('^[\w-]+$', 'a-b'), ('^[]$', 'a'), ('^[^]$', E'\n'), ('^(?:ab|c)+$', 'abcab'), ('^(a)(b)\2\1$', 'abba'), ('^(?<x>.)\k<x>$', 'aa'), ('^(?<x>.)\k<x>$', 'ab'), ('^(?:(a+)-\1|b)$', 'aa-aa'), ('^((.)\2)\1$', 'aaaa'),
    ('^(?=.*\d)(?!.*x).{2,}$', 'a1'), ('^(?=.*\d)(?!.*x).{2,}$', 'x1'), ('(?<=a)b', 'ab'), ('(?<!a)b', 'ab'), ('\bfoo\b', 'a foo b'), ('\bfoo\b', 'afoo'), ('^\x41\u0042\u{43}$', 'ABC'), ('^\uD83D\uDE00$', '😀'),
    ('^\p{Lu}\p{Ll}+$', 'Äpfel'), ('^\p{Lu}\p{Ll}+$', 'äpfel'), ('^\p{Letter}\P{L}[\p{Nd}x][^\P{L}]$', 'é-٣ж'), ('^\cJ$', E'\n'), ('a|^b$', 'bb'), ('^(x{300}|y)$', repeat('x', 300)), ('^(x{300}|y)$', repeat('x', 299)),
    ('^(x{1,300}|y)$', repeat('x', 301)), ('^(ab){256,}$', repeat('ab', 1000)), ('^(ab){256,}$', repeat('ab', 255)), ('^a+?b*?$', 'aab'), ('[.]', 'a'), ('^\/\-$', '/-'), ('^\$\^\|$', '$^|')) v(pattern, text);

-- ---------------------------------------------------------------------------
-- What breaks between a reader and a writer.
-- ---------------------------------------------------------------------------
CREATE TEMP TABLE changes (id int GENERATED ALWAYS AS IDENTITY, what text, writer jsonb, reader jsonb);
INSERT INTO changes (what, writer, reader) VALUES
  ('the same', '{"properties": {"a": {"not": {"type": "string"}}}}', '{"properties": {"a": {"not": {"type": "string"}}}}'),
  ('other annotations', '{"type": "object", "title": "A"}', '{"type": "object", "title": "B", "description": "x", "format": "email"}'),
  ('an optional property more', '{"properties": {"a": {"type": "string"}}}', '{"properties": {"a": {"type": "string"}, "quantity": {"type": "integer"}}}'),
  ('a required property more', '{"properties": {"a": true}, "required": ["a"]}', '{"properties": {"a": true, "quantity": true}, "required": ["a", "quantity"]}'),
  ('no longer required', '{"required": ["a", "b"]}', '{"required": ["a"]}'),
  ('another type', '{"properties": {"a": {"type": "string"}}}', '{"properties": {"a": {"type": "integer"}}}'),
  ('a wider type', '{"properties": {"a": {"type": "integer"}}}', '{"properties": {"a": {"type": ["number", "null"]}}}'),
  ('a narrower type', '{"properties": {"a": {"type": ["number", "null"]}}}', '{"properties": {"a": {"type": "integer"}}}'),
  ('no fraction', '{"type": "number"}', '{"type": "integer"}'), ('a type now', '{}', '{"type": "object"}'),
  ('a value less', '{"properties": {"status": {"enum": ["new", "paid", "shipped"]}}}', '{"properties": {"status": {"enum": ["new", "paid"]}}}'),
  ('a value more', '{"enum": ["new"]}', '{"enum": ["new", "paid"]}'), ('values now', '{"type": "string"}', '{"enum": ["new", "paid"]}'),
  ('values become a rule', '{"enum": ["new", "paid"]}', '{"type": "string", "minLength": 4}'), ('another constant', '{"const": 1}', '{"const": 2}'),
  ('bounds', '{"minimum": 1, "maximum": 10}', '{"minimum": 2, "maximum": 9}'), ('wider bounds', '{"minimum": 1, "maximum": 10}', '{"minimum": 0, "exclusiveMaximum": 11}'),
  ('exclusive', '{"minimum": 1}', '{"exclusiveMinimum": 1}'), ('not exclusive', '{"exclusiveMinimum": 1}', '{"minimum": 1}'), ('a bound for other types', '{"type": "string"}', '{"minimum": 1}'),
  ('multiples', '{"multipleOf": 10}', '{"multipleOf": 5}'), ('other multiples', '{"multipleOf": 5}', '{"multipleOf": 10}'), ('integers', '{"type": "integer"}', '{"multipleOf": 0.5}'),
  ('lengths', '{"minLength": 1, "maxLength": 10}', '{"minLength": 2, "maxLength": 9}'), ('lengths now', '{}', '{"minLength": 0, "maxItems": 3, "minProperties": 1}'),
  ('a pattern now', '{"type": "string"}', '{"pattern": "^a"}'), ('another pattern', '{"pattern": "^ab"}', '{"pattern": "^a"}'), ('the same pattern', '{"pattern": "^a"}', '{"pattern": "^a", "type": ["string", "number", "object", "array", "boolean", "null"]}'),
  ('closed', '{"properties": {"a": true}}', '{"properties": {"a": true}, "additionalProperties": false}'),
  ('closed before', '{"properties": {"a": true, "b": true}, "additionalProperties": false}', '{"properties": {"a": true}, "additionalProperties": false}'),
  ('opened', '{"properties": {"a": true}, "additionalProperties": false}', '{"properties": {"a": true, "b": {"type": "string"}}}'),
  ('anything before', '{"additionalProperties": true}', '{"properties": {"b": {"type": "string"}}}'),
  ('others', '{"additionalProperties": {"type": "string"}}', '{"additionalProperties": {"type": "integer"}}'),
  ('patterns of names', '{"patternProperties": {"^x-": {"type": "string"}}}', '{"patternProperties": {"^x-": {"type": "integer"}}}'),
  ('a pattern for a name', '{"properties": {"x-a": {"type": "string"}, "b": {"type": "string"}}}', '{"patternProperties": {"^x-": {"type": "integer"}}}'),
  ('unevaluated', '{"allOf": [{"properties": {"a": true}}], "properties": {"b": true}, "unevaluatedProperties": false}', '{"allOf": [{"properties": {"a": true}}], "unevaluatedProperties": false}'),
  ('dependent', '{"dependentRequired": {"a": ["b"]}}', '{"dependentRequired": {"a": ["b", "c"]}}'),
  ('items', '{"items": {"type": "string"}}', '{"items": {"type": "integer"}}'), ('items now', '{"type": "array"}', '{"items": {"type": "integer"}}'),
  ('prefix', '{"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false}', '{"prefixItems": [{"type": "string"}], "items": {"type": "string"}}'),
  ('no further items', '{"maxItems": 1, "items": {"type": "string"}}', '{"prefixItems": [{"type": "string"}], "items": false}'), ('unique', '{}', '{"uniqueItems": true}'),
  ('contains', '{"contains": {"const": 1}}', '{"contains": {"const": 1}, "minContains": 2}'),
  ('an alternative more', '{"anyOf": [{"type": "string"}]}', '{"anyOf": [{"type": "integer"}, {"type": "string"}]}'),
  ('an alternative less', '{"anyOf": [{"type": "string"}, {"type": "integer"}]}', '{"anyOf": [{"type": "string"}, {"type": "null"}]}'),
  ('an alternative that fits', '{"type": "string"}', '{"anyOf": [{"type": "integer"}, {"type": "string"}]}'),
  ('one of', '{"oneOf": [{"type": "string"}]}', '{"oneOf": [{"type": "integer"}, {"type": "string"}]}'), ('not', '{}', '{"properties": {"a": true}, "not": {"required": ["b"]}}'),
  ('if', '{"if": {"const": 1}, "then": true}', '{"if": {"const": 1}, "then": false}'), ('names', '{}', '{"propertyNames": {"maxLength": 3}}'),
  ('never', '{"properties": {"a": true}}', '{"properties": {"a": false}}'), ('never before', '{"properties": {"a": false}}', '{"properties": {"a": {"type": "string"}}}'),
  ('references', '{"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "string"}}}', '{"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "integer"}}}'),
  ('a reference to the same', '{"properties": {"a": {"type": "string", "minLength": 1}}}', '{"properties": {"a": {"$ref": "#/$defs/y"}}, "$defs": {"y": {"type": "string"}}}'),
  ('recursion', '{"properties": {"children": {"items": {"$ref": "#"}}, "v": {"type": "string"}}}', '{"properties": {"children": {"items": {"$ref": "#"}}, "v": {"type": "integer"}}}'),
  ('embedded', '{"properties": {"a": {"$ref": "b"}}, "$defs": {"b": {"$id": "b", "type": "string"}}}', '{"properties": {"a": {"$ref": "b"}}, "$defs": {"b": {"$id": "b", "type": "string", "minLength": 1}}}'),
  ('all of', '{"allOf": [{"required": ["a"]}, {"required": ["b"]}]}', '{"required": ["a", "b"]}'), ('all of now', '{"required": ["a"]}', '{"allOf": [{"required": ["a"]}, {"required": ["b"]}]}'),
  ('names in alternatives', '{"anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": true}}], "unevaluatedProperties": false}', '{"properties": {"a": {"type": "integer"}}, "additionalProperties": false}'),
  ('names elsewhere', '{"$ref": "b", "$defs": {"b": {"$id": "b", "properties": {"a": {"type": "string"}}}}}', '{"properties": {"a": {"type": "integer"}}, "patternProperties": {"^b": {"type": "integer"}}}'),
  ('required, some alternatives', '{"required": ["a"], "anyOf": [{"properties": {"a": {"type": "string"}}}, {}]}', '{"properties": {"a": {"type": "string"}}}'),
  ('required by an alternative', '{"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}', '{"properties": {"a": {"type": "string"}}}'),
  ('open in spite of it', '{"additionalProperties": true, "unevaluatedProperties": false}', '{"unevaluatedProperties": false}'),
  ('required, and anything', '{"required": ["a"]}', '{"properties": {"a": {"type": "string"}}, "patternProperties": {"^a": {"maxLength": 3}}}'),
  ('required, alternatives', '{"required": ["a"], "anyOf": [{"properties": {"a": {"type": "string"}}}]}', '{"properties": {"a": {"type": "string"}}}'),
  ('several', '{"properties": {"a": {"properties": {"b": {"type": "string"}}}}}', '{"properties": {"a": {"required": ["c"], "properties": {"b": {"type": "null"}}}}, "required": ["a"]}');
SELECT what, b FROM changes LEFT JOIN es_json_schema_breaks(reader, writer) b ON true ORDER BY id, b COLLATE "C";
-- Parts that are referred to from several places multiply.
WITH s AS (SELECT jsonb_build_object('$ref', '#/$defs/0', '$defs', jsonb_object_agg(n, CASE WHEN n < 60 THEN
    jsonb_build_object('properties', jsonb_build_object('a', jsonb_build_object('$ref', '#/$defs/' || n + 1), 'b', jsonb_build_object('$ref', '#/$defs/' || n + 1)))
    ELSE '{"type": "integer"}' END)) AS s FROM generate_series(0, 60) n)
SELECT right(b, 90) AS b FROM s, es_json_schema_breaks(s || '{"minimum": 0}', s || '{"minimum": 1}') b;
-- No schema breaks with itself, or with true and false where these cannot.
SELECT count(*) FROM changes, unnest(ARRAY[reader, writer]) s, es_json_schema_breaks(s, s);
SELECT count(*) FROM changes, unnest(ARRAY[reader, writer]) s, es_json_schema_breaks('true', s);
SELECT count(*) FROM changes, unnest(ARRAY[reader, writer]) s, es_json_schema_breaks(s, 'false');
SELECT es_json_schema_breaks('{"type": 1}', 'true');
SELECT es_json_schema_breaks('true', '{"type": 1}');
SELECT count(*) FROM es_json_schema_breaks((SELECT jsonb_build_object('required', jsonb_agg(n::text)) FROM generate_series(1, 1000) n), 'true');

-- What fits a writer but not a reader has been announced: each value of the cases
-- above against each pair of schemas. The writers say that they add properties at
-- will; where they say nothing they are taken not to.
SELECT w.id AS writer, r.id AS reader, d.data
  FROM (SELECT id, '{"additionalProperties": true}' || writer AS schema FROM changes UNION ALL SELECT -id, '{"additionalProperties": true}' || reader FROM changes) w,
       (SELECT id, reader AS schema FROM changes UNION ALL SELECT -id, writer FROM changes) r,
       LATERAL (SELECT data FROM (SELECT DISTINCT data FROM cases WHERE data::text NOT LIKE '%{%{%') c
                 WHERE es_json_schema_is_valid(w.schema, data) AND NOT es_json_schema_is_valid(r.schema, data) LIMIT 1) d
 WHERE NOT EXISTS (SELECT FROM es_json_schema_breaks(r.schema, w.schema));
