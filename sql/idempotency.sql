-- idempotency: appends that are repeated with the same event ids.
\set SHOW_CONTEXT never

-- Event n of these tests has this id, this type and this data.
CREATE FUNCTION pg_temp.id(n int) RETURNS uuid LANGUAGE sql IMMUTABLE
RETURN ('dddddddd-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid;
CREATE FUNCTION pg_temp.append(stream_id text, events int[], expected bigint DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
  SELECT es_append_batch(stream_id, array_agg('E' || n ORDER BY o), array_agg(jsonb_build_object('n', n) ORDER BY o),
                         expected_version => expected, event_ids => array_agg(pg_temp.id(n) ORDER BY o))
    FROM unnest(events) WITH ORDINALITY e(n, o)
$$;
CREATE FUNCTION pg_temp.outcome(stream_id text, events int[], expected bigint DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN pg_temp.append(stream_id, events, expected);
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;
CREATE FUNCTION pg_temp.events(stream_id text) RETURNS text LANGUAGE sql
RETURN (SELECT string_agg(substr(event_type, 2), ' ' ORDER BY version) FROM es_read_stream(stream_id));

-- A call that succeeded gets its answer again, and nothing is appended.
SELECT es_append('idem-1', 'E1', '{"n": 1}', NULL, 0, pg_temp.id(1));
SELECT es_append('idem-1', 'E1', '{"n": 1}', NULL, 0, pg_temp.id(1));
SELECT es_append('idem-1', 'E1', '{"n": 1}', NULL, NULL, pg_temp.id(1));
SELECT es_append('idem-1', 'E1', '{"n": 1}', NULL, -1, pg_temp.id(1));
SELECT es_append('idem-1', 'E2', '{"n": 2}', NULL, 1, pg_temp.id(2));
SELECT es_append('idem-1', 'E3', '{"n": 3}', NULL, 2);
SELECT es_append('idem-1', 'E1', '{"n": 1}', NULL, 0, pg_temp.id(1)),
       es_append('idem-1', 'E2', '{"n": 2}', NULL, 1, pg_temp.id(2)),
       es_append('idem-1', 'E2', '{"n": 2}', NULL, NULL, pg_temp.id(2));
SELECT pg_temp.events('idem-1');

-- Without an id of its own an event is a new one.
SELECT es_append('idem-none', 'E1', '{"n": 1}'), es_append('idem-none', 'E1', '{"n": 1}');

-- The sequences of the client tests of KurrentDB.  There a stream without
-- events is at -1, here at 0, so that its "event 3 at 2" is 3@3 here; braces
-- are one batch.  What it answers with "not idempotent", and appends again, is
-- an error here: an id is an event.
CREATE TEMP TABLE sequences (id int, name text, batches jsonb, wanted text[], events text);
INSERT INTO sequences VALUES
  (1, '0@0 1@1 2@2 3@3 4@4 5@5, 0@0', '[[[0],0],[[1],1],[[2],2],[[3],3],[[4],4],[[5],5],[[0],0]]', '{1,2,3,4,5,6,1}', '0 1 2 3 4 5'),
  (2, '0@0 1@1 2@2 3@3 4@4 5@5, 0@any', '[[[0],0],[[1],1],[[2],2],[[3],3],[[4],4],[[5],5],[[0],null]]', '{1,2,3,4,5,6,1}', '0 1 2 3 4 5'),
  (3, '0@0 1@1 2@2 3@3 4@4 5@5, 0@6', '[[[0],0],[[1],1],[[2],2],[[3],3],[[4],4],[[5],5],[[0],6]]', '{1,2,3,4,5,6,PE002}', '0 1 2 3 4 5'),
  (4, '0@0 1@1 2@2 3@3 4@4 5@5, 0@7', '[[[0],0],[[1],1],[[2],2],[[3],3],[[4],4],[[5],5],[[0],7]]', '{1,2,3,4,5,6,PE001}', '0 1 2 3 4 5'),
  (5, '0@0 1@1 2@2 3@3 4@4 5@5, 0@5', '[[[0],0],[[1],1],[[2],2],[[3],3],[[4],4],[[5],5],[[0],5]]', '{1,2,3,4,5,6,PE001}', '0 1 2 3 4 5'),
  (6, '0@0, 0@1', '[[[0],0],[[0],1]]', '{1,PE002}', '0'),
  (7, '0@0, 0@any', '[[[0],0],[[0],null]]', '{1,1}', '0'),
  (8, '0@0, 0@0', '[[[0],0],[[0],0]]', '{1,1}', '0'),
  (9, '0@0 1@1 2@2, 1@any 1@any', '[[[0],0],[[1],1],[[2],2],[[1],null],[[1],null]]', '{1,2,3,2,2}', '0 1 2'),
  (10, '{0 1}@0, {0}@0', '[[[0,1],0],[[0],0]]', '{2,1}', '0 1'),
  (11, '{0 1}@0, {0}@any', '[[[0,1],0],[[0],null]]', '{2,1}', '0 1'),
  (12, '{0 1}@0, {1}@1', '[[[0,1],0],[[1],1]]', '{2,2}', '0 1'),
  (13, '{0 1}@0, {1}@any', '[[[0,1],0],[[1],null]]', '{2,2}', '0 1'),
  (14, '{0 1}@0, {0 1 2}@0', '[[[0,1],0],[[0,1,2],0]]', '{2,PE002}', '0 1');
CREATE TEMP TABLE outcomes (sequence int, step int, outcome text);
DO $$
DECLARE
  s record;
BEGIN
  FOR s IN SELECT id, o, b FROM sequences, jsonb_array_elements(batches) WITH ORDINALITY e(b, o) ORDER BY id, o LOOP
    INSERT INTO outcomes VALUES (s.id, s.o,
      pg_temp.outcome('idem-sequence-' || s.id, ARRAY(SELECT jsonb_array_elements_text(s.b->0)::int), (s.b->>1)::bigint));
  END LOOP;
END $$;
SELECT s.id, s.name, o.outcomes, o.outcomes = s.wanted AS as_wanted,
       pg_temp.events('idem-sequence-' || s.id) = s.events AS stream_as_wanted
  FROM sequences s
  JOIN (SELECT sequence, array_agg(outcome ORDER BY step) AS outcomes FROM outcomes GROUP BY sequence) o ON o.sequence = s.id
 ORDER BY s.id;

-- Retries of every kind against a stream with the events 1 2 3 4 5.
SELECT pg_temp.append('idem-five', '{1,2,3,4,5}', 0);
SELECT why, events, expected, pg_temp.outcome('idem-five', events, expected) AS outcome
  FROM (VALUES ('all again', '{1,2,3,4,5}'::int[], 0), ('all again', '{1,2,3,4,5}', NULL), ('all again', '{1,2,3,4,5}', -1),
               ('a part from the start', '{1,2}', 0), ('a part from the start', '{1,2}', NULL),
               ('a part in the middle', '{3,4}', 2), ('a part in the middle', '{3,4}', NULL), ('a part in the middle', '{3,4}', -1),
               ('the end', '{4,5}', 3), ('the end', '{5}', 4), ('the end', '{4,5}', NULL),
               ('not behind that version', '{3,4}', 1), ('not behind that version', '{3,4}', 3), ('not behind that version', '{1}', 4),
               ('the stream is not so long', '{1,2,3,4,5}', 7), ('the stream is not so long', '{6}', 6),
               ('that version is the head', '{1,2,3,4,5}', 5), ('that version is the head', '{6,3}', 5), ('that version is the head', '{5}', 5),
               ('out of order', '{2,1}', 0), ('out of order', '{2,1}', NULL), ('out of order', '{5,4,3,2,1}', NULL),
               ('with a gap', '{1,3}', 0), ('with a gap', '{1,3}', NULL), ('with a gap', '{2,4,5}', 1),
               ('old then new', '{5,6}', 4), ('old then new', '{5,6}', NULL), ('old then new', '{5,6}', -1), ('old then new', '{1,6}', 0),
               ('new then old', '{6,1}', NULL), ('new then old', '{6,5}', 4), ('new then old', '{6,1}', 0), ('new then old', '{6,5}', -1),
               ('old, new, old', '{1,6,2}', 0), ('old, new, old', '{1,6,2}', NULL),
               ('new', '{6,7}', 4), ('new', '{6,7}', 0),
               ('one id twice', '{6,6}', 5), ('one id twice', '{6,7,6}', NULL), ('one id twice', '{1,1}', 0), ('one id twice', '{1,1}', NULL)
       ) v(why, events, expected);
SELECT pg_temp.events('idem-five');
-- And really new ones, at the end.
SELECT pg_temp.outcome('idem-five', '{6,7}', 5), pg_temp.outcome('idem-five', '{6,7}', 5), pg_temp.outcome('idem-five', '{8}', -1);
SELECT pg_temp.events('idem-five');

-- The greatest versions there can be are no way around.
SELECT pg_temp.outcome('idem-five', '{1}', 9223372036854775807), pg_temp.outcome('idem-five', '{1,2}', 9223372036854775806),
       pg_temp.outcome('idem-five', '{1}', -2), pg_temp.outcome('idem-five', '{1}', -9223372036854775808);
SELECT pg_temp.events('idem-five');

-- The messages.
SELECT pg_temp.append('idem-five', '{1,2,9}', 0);
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.append('idem-five', '{9,1}', 8);
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.append('idem-five', '{2,1}');
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.append('idem-five', '{9,10,9}');
\echo :LAST_ERROR_SQLSTATE

-- The same event: type, schema version and data, whatever their spelling;
-- metadata may differ, a retry has a trace of its own.
SELECT es_append('idem-same', 'E1', '{"a": 1.0, "b": [1, {"c": null}]}', '{"trace": 1}', 0, pg_temp.id(1), 2);
SELECT es_append('idem-same', 'E1', '{"b": [1, {"c": null}], "a": 1.00}', '{"trace": 2}', 0, pg_temp.id(1), 2);
SELECT metadata FROM es_read_stream('idem-same');
SELECT es_append('idem-same', 'E2', '{"a": 1.0, "b": [1, {"c": null}]}', NULL, 0, pg_temp.id(1), 2);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append('idem-same', 'E1', '{"a": 1.0, "b": [1, {"c": 0}]}', NULL, 0, pg_temp.id(1), 2);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append('idem-same', 'E1', '{"a": 1.0, "b": [1, {"c": null}]}', NULL, 0, pg_temp.id(1));
\echo :LAST_ERROR_SQLSTATE
SELECT es_append('idem-same', 'E1', 'null', NULL, NULL, pg_temp.id(1), 2);
\echo :LAST_ERROR_SQLSTATE
SELECT es_append_batch('idem-same', '{E1,E2}', '{1,2}', NULL, NULL, ARRAY[pg_temp.id(2), pg_temp.id(3)]);
SELECT es_append_batch('idem-same', '{E1,E2}', '{1,3}', NULL, NULL, ARRAY[pg_temp.id(2), pg_temp.id(3)]);
\echo :LAST_ERROR_SQLSTATE
SELECT version, event_type, schema_version, data FROM es_read_stream('idem-same');

-- Large data is compared too.
SELECT es_append('idem-large', 'E1', jsonb_build_object('text', repeat('long', 50000)), event_id => pg_temp.id(1));
SELECT es_append('idem-large', 'E1', jsonb_build_object('text', repeat('long', 50000)), event_id => pg_temp.id(1));
SELECT es_append('idem-large', 'E1', jsonb_build_object('text', repeat('long', 50000) || '!'), event_id => pg_temp.id(1));
\echo :LAST_ERROR_SQLSTATE

-- Whoever appended it, and how: one by one, as a batch, as JSON, by INSERT.
SELECT es_append_json('idem-how', '[{"type": "E1", "data": {"n": 1}, "id": "dddddddd-0000-4000-8000-000000000001"}]');
INSERT INTO es_events (stream_id, event_type, data, event_id) VALUES ('idem-how', 'E2', '{"n": 2}', pg_temp.id(2));
SELECT es_append('idem-how', 'E3', '{"n": 3}', event_id => pg_temp.id(3));
SELECT pg_temp.append('idem-how', '{1,2,3}', 0), pg_temp.append('idem-how', '{2,3}'), es_append('idem-how', 'E2', '{"n": 2}', event_id => pg_temp.id(2));
SELECT es_append_json('idem-how', '[{"type": "E1", "data": {"n": 1}, "id": "dddddddd-0000-4000-8000-000000000001"},
                                    {"type": "E2", "data": {"n": 2}, "id": "dddddddd-0000-4000-8000-000000000002"}]', 0);
SELECT es_append_json('idem-how', '[{"type": "E3", "data": {"n": 3}, "id": "dddddddd-0000-4000-8000-000000000003"},
                                    {"type": "E4", "data": {"n": 4}, "id": "dddddddd-0000-4000-8000-000000000004"}]', 2);
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.events('idem-how');

-- Ids count within a stream of a tenant.
SELECT pg_temp.append('idem-a', '{1,2}', 0), pg_temp.append('idem-b', '{2,1}', 0), pg_temp.append('idem-b', '{3}', 2);
SET event_store.tenant_id = 'other';
SELECT pg_temp.append('idem-a', '{2}', 0), pg_temp.append('idem-a', '{1}', 1);
SELECT pg_temp.append('idem-a', '{2}', 0), pg_temp.append('idem-a', '{2,1}', 0);
RESET event_store.tenant_id;
SELECT pg_temp.append('idem-a', '{1,2}', 0), pg_temp.outcome('idem-a', '{2,1}', 0);

-- In the transaction that appended, and after a part of it was rolled back.
BEGIN;
SELECT pg_temp.append('idem-own', '{1}', 0), pg_temp.append('idem-own', '{1}', 0);
SAVEPOINT s;
SELECT pg_temp.append('idem-own', '{2,3}', 1);
SELECT pg_temp.append('idem-own', '{2,3}', 1);
ROLLBACK TO s;
SELECT pg_temp.outcome('idem-own', '{2,3}', 3);
SELECT pg_temp.append('idem-own', '{3,2}', 1);
COMMIT;
SELECT pg_temp.events('idem-own');
SELECT * FROM regress.places('idem-own');
-- A transaction that only repeats appends nothing.
BEGIN;
SELECT pg_temp.append('idem-own', '{1,3,2}', 0);
SELECT pg_temp.append('idem-own', '{4}', 3);
COMMIT;
SELECT * FROM regress.places('idem-own');

SELECT * FROM es_check();
