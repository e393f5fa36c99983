-- json: es_append_json, the events of a JSON array.
\set SHOW_CONTEXT never

SELECT es_append_json('json-1', '[{"type": "Created", "data": {"n": 1}}]');
SELECT es_append_json('json-1', '[
  {"type": "Renamed", "data": {"n": 2}, "metadata": {"user_id": "u1"}, "schema_version": 2,
   "id": "cccccccc-0000-4000-8000-000000000002"},
  {"schema_version": 3.0, "id": "CCCCCCCC-0000-4000-8000-000000000003", "data": [3, {"a": []}], "metadata": {},
   "type": "Closed"}
]', 1);
SELECT es_append_json(expected_version => -1, events => '[{"type": "D", "data": 4}, {"type": "E", "data": 5}]', stream_id => 'json-1');
SELECT version, event_type, schema_version, data, metadata,
       CASE WHEN event_id::text LIKE 'cccc%' THEN event_id END AS event_id
  FROM es_read_stream('json-1');

-- Data of every kind, equal to what es_append stores.
SELECT es_append_json('json-data', '[{"type": "T", "data": null}, {"type": "T", "data": true}, {"type": "T", "data": -0.10},
  {"type": "T", "data": "text"}, {"type": "T", "data": ""}, {"type": "T", "data": []}, {"type": "T", "data": {}},
  {"type": "T", "data": [1, [2, {"a": null}]]}, {"type": "T", "data": {"type": {"data": {"id": "x"}}}},
  {"type": "T", "data": 123456789012345678901234567890.123456789012345678901234567890}]');
SELECT count(es_append('json-single', 'T', d::jsonb))
  FROM (VALUES ('null'), ('true'), ('-0.10'), ('"text"'), ('""'), ('[]'), ('{}'), ('[1, [2, {"a": null}]]'),
               ('{"type": {"data": {"id": "x"}}}'),
               ('123456789012345678901234567890.123456789012345678901234567890')) v(d);
SELECT a.version, jsonb_typeof(a.data), a.data = b.data AND a.data::text = b.data::text AS same, left(a.data::text, 40) AS data
  FROM es_read_stream('json-data') a JOIN es_read_stream('json-single') b USING (version) ORDER BY version;

-- null for what may be left out is as good as leaving it out.
SELECT es_append_json('json-null', '[{"type": "T", "data": 1, "metadata": null, "schema_version": null}]');
SELECT version, schema_version, data, metadata FROM es_read_stream('json-null');

-- Expected version, and the empty batch.
SELECT es_append_json('json-none', '[{"type": "T", "data": 1}]', -1);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append_json('json-none', '[{"type": "T", "data": 1}]', 3);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append_json('json-new', '[{"type": "T", "data": 1}, {"type": "T", "data": 2}]', 0);
SELECT es_append_json('json-new', '[{"type": "T", "data": 1}, {"type": "T", "data": 2}]', 0);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append_json('json-new', '[{"type": "T", "data": 3}]', 2);
SELECT es_append_json('json-new', '[]'), es_append_json('json-new', '[]', 3), es_append_json('json-none', '[]', 0);
SELECT es_append_json('json-new', '[]', 2);
\echo :LAST_ERROR_SQLSTATE
SELECT es_stream_version('json-new'), es_stream_version('json-none');

-- Many events, and large ones.
SELECT es_append_json('json-large', jsonb_agg(jsonb_build_object('type', 'T' || n, 'data', jsonb_build_object('n', n, 'text', repeat('x', n * 10))) ORDER BY n))
  FROM generate_series(1, 600) n;
SELECT count(*), bool_and(event_type = 'T' || version AND data = jsonb_build_object('n', version, 'text', repeat('x', version::int * 10))) AS same
  FROM es_read_stream('json-large');

-- Names are those of JSON strings, escapes and all.
SELECT es_append_json('json-names', '[{"type": "\u00c4 \"quoted\" \\", "data": 1}]');
SELECT event_type FROM es_read_stream('json-names');

-- What is no array of objects is refused.
\pset tuples_only on
\pset format unaligned
SELECT regress.error_of(format('SELECT es_append_json(%L, %L)', 'json-bad', events))
  FROM (VALUES ('null'), ('1'), ('"text"'), ('{}'), ('{"type": "T", "data": 1}')) v(events);
SELECT regress.error_of(format('SELECT es_append_json(%L, %L)', 'json-bad', events))
  FROM (VALUES ('[1]'), ('["T"]'), ('[null]'), ('[[]]'), ('[[{"type": "T", "data": 1}]]'),
               ('[{"type": "T", "data": 1}, "T"]')) v(events);

-- Events that lack something, or have what nobody knows: refused by name.
SELECT regress.error_of(format('SELECT es_append_json(%L, %L)', 'json-bad', events))
  FROM (VALUES ('[{}]'), ('[{"data": 1}]'), ('[{"type": "T"}]'),
               ('[{"type": "T", "data": 1}, {"type": "T", "data": 2}, {"type": "T"}]'),
               ('[{"type": "T", "data": 1, "version": 1}]'),
               ('[{"type": "T", "data": 1}, {"Type": "T", "data": 1}]'),
               ('[{"type": "T", "data": 1, "meta": {}}]'),
               ('[{"type": "T", "data": 1, "": 0}]'),
               ('[{"type": "T", "data": 1, "typex": 0}]'),
               ('[{"type": "T", "data": 1, "é %s \" x": 0}]')) v(events);

-- Values of the wrong kind.
SELECT regress.error_of(format('SELECT es_append_json(%L, %L)', 'json-bad', events))
  FROM (VALUES ('[{"type": 1, "data": 1}]'), ('[{"type": null, "data": 1}]'), ('[{"type": ["T"], "data": 1}]'),
               ('[{"type": "", "data": 1}]'), ('[{"type": "a\nb", "data": 1}]'),
               ('[{"type": "' || repeat('t', 256) || '", "data": 1}]'),
               ('[{"type": "T", "data": 1, "metadata": []}]'), ('[{"type": "T", "data": 1, "metadata": "m"}]'),
               ('[{"type": "T", "data": 1, "schema_version": "1"}]'), ('[{"type": "T", "data": 1, "schema_version": 1.5}]'),
               ('[{"type": "T", "data": 1, "schema_version": 0}]'), ('[{"type": "T", "data": 1, "schema_version": -1}]'),
               ('[{"type": "T", "data": 1, "schema_version": 3000000000}]'), ('[{"type": "T", "data": 1, "schema_version": {}}]')) v(events);

-- Ids: none or all of them, each an UUID.
SELECT regress.error_of(format('SELECT es_append_json(%L, %L)', 'json-bad', events))
  FROM (VALUES ('[{"type": "T", "data": 1, "id": 1}]'), ('[{"type": "T", "data": 1, "id": "no uuid"}]'),
               ('[{"type": "T", "data": 1, "id": ""}]'),
               ('[{"type": "T", "data": 1, "id": "cccccccc-0000-4000-8000-00000000000a"}, {"type": "T", "data": 2}]'),
               ('[{"type": "T", "data": 1}, {"type": "T", "data": 2, "id": "cccccccc-0000-4000-8000-00000000000a"}]')) v(events);
-- null for an id: not like leaving it out, where others have one.
SELECT regress.error_of($$SELECT es_append_json('json-bad', '[{"type": "T", "data": 1, "id": "cccccccc-0000-4000-8000-00000000000a"}, {"type": "T", "data": 2, "id": null}]')$$);
\pset tuples_only off
\pset format aligned
SELECT es_stream_version('json-bad');

-- Of a key that comes twice jsonb keeps the last.
SELECT es_append_json('json-twice', '[{"type": "A", "type": "B", "data": 1, "data": 2}]');
SELECT event_type, data FROM es_read_stream('json-twice');

SELECT * FROM es_check();
