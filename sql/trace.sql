-- trace: the flow of events over all streams, as a tree.
\set SHOW_CONTEXT never

-- Events with ids that can be read: number n of a flow.
CREATE FUNCTION pg_temp.id(n int) RETURNS uuid LANGUAGE sql RETURN format('00000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid;
CREATE FUNCTION pg_temp.put(n int, cause text, stream text, type text, correlation text DEFAULT 'trace-flow') RETURNS bigint LANGUAGE sql
RETURN es_append(stream, type, to_jsonb(n), jsonb_strip_nulls(jsonb_build_object('correlation_id', correlation, 'causation_id', cause)), event_id => pg_temp.id(n));
CREATE VIEW pg_temp.flow AS SELECT depth, tree, version, data, right(event_id::text, 2) AS id, right(caused_by::text, 2) AS cause FROM es_trace('trace-flow');

SELECT es_trace('trace-flow');
SELECT es_trace(NULL);
SELECT es_trace('');

-- A command's event, what it causes, and what that causes; another root.
SELECT pg_temp.put(1, 'the command', 'traceorder-7', 'OrderPlaced');
SELECT * FROM pg_temp.flow;
SELECT pg_temp.put(2, pg_temp.id(1)::text, 'tracepayment-7', 'PaymentRequested');
SELECT pg_temp.put(3, pg_temp.id(1)::text, 'tracestock-7', 'StockReserved');
SELECT pg_temp.put(4, pg_temp.id(2)::text, 'tracepayment-7', 'PaymentAuthorised');
SELECT pg_temp.put(5, pg_temp.id(4)::text, 'traceorder-7', 'OrderPaid');
SELECT pg_temp.put(6, NULL, 'tracemail-1', 'MailSent');
SELECT pg_temp.put(7, upper(pg_temp.id(1)::text), 'traceorder-7', 'OrderConfirmed');
SELECT pg_temp.put(8, pg_temp.id(3)::text, 'tracestock-7', 'StockShort');
SELECT pg_temp.put(9, pg_temp.id(4)::text, 'traceorder-7', 'OrderPacked');
SELECT pg_temp.put(10, pg_temp.id(7)::text, 'traceorder-7', 'OrderClosed');
SELECT * FROM pg_temp.flow;
SELECT stream_id, event_type, metadata->>'causation_id' AS causation_id, recorded_at <= now() AS recorded_before
  FROM es_trace('trace-flow') WHERE depth = 0;

-- Others are not in it: another flow, none, another tenant.
SELECT pg_temp.put(11, pg_temp.id(1)::text, 'traceorder-8', 'Elsewhere', 'trace-other');
SELECT pg_temp.put(12, pg_temp.id(1)::text, 'traceorder-8', 'Nowhere', NULL);
SET event_store.tenant_id = 'trace';
SELECT pg_temp.put(13, pg_temp.id(1)::text, 'traceorder-7', 'OfAnother');
SELECT tree FROM es_trace('trace-flow');
RESET event_store.tenant_id;
SELECT count(*) FROM es_trace('trace-flow');

-- Causes that are none: itself, one another, one that comes later.
SELECT pg_temp.put(21, pg_temp.id(21)::text, 'tracecycle-1', 'Itself', 'trace-cycle');
SELECT pg_temp.put(22, pg_temp.id(23)::text, 'tracecycle-1', 'OneAnother', 'trace-cycle');
SELECT pg_temp.put(23, pg_temp.id(22)::text, 'tracecycle-2', 'OneAnother', 'trace-cycle');
SELECT es_append('tracecycle-3', 'Odd', '24', '{"correlation_id": "trace-cycle", "causation_id": {"a": 1}}'),
       es_append('tracecycle-3', 'Odd', '25', '{"correlation_id": "trace-cycle", "causation_id": null}'),
       es_append('tracecycle-3', 'Odd', '26', '{"correlation_id": "trace-cycle", "causation_id": "ä"}');
SELECT tree, data FROM es_trace('trace-cycle');

-- The id of an event that has no correlation id stands for the flow that it
-- began; a setting and es_cause() make such flows.
SELECT pg_temp.put(31, NULL, 'traceroot-1', 'Root', NULL);
SELECT es_append('traceroot-2', 'Child', '1', es_cause(metadata, event_id)) FROM es_read_stream('traceroot-1');
SELECT es_append('traceroot-3', 'Grandchild', '1', es_cause(metadata, event_id)) FROM es_read_stream('traceroot-2');
SELECT tree FROM es_trace(pg_temp.id(31)::text);
SELECT tree FROM es_trace(pg_temp.id(32)::text);
-- One that has its own id for a correlation id is there once.
SELECT pg_temp.put(33, NULL, 'traceroot-4', 'Own', pg_temp.id(33)::text);
SELECT tree FROM es_trace(pg_temp.id(33)::text);

-- The same event id in two streams: the first is the cause.
SELECT pg_temp.put(41, NULL, 'tracetwice-1', 'First', 'trace-twice'), pg_temp.put(41, NULL, 'tracetwice-2', 'Second', 'trace-twice'),
       pg_temp.put(42, pg_temp.id(41)::text, 'tracetwice-3', 'Effect', 'trace-twice');
SELECT tree FROM es_trace('trace-twice');

-- Events are read as all readers see them.
SELECT es_register_event_type('TraceOld', 1), es_register_event_type('TraceNew', 1), es_register_event_type('TraceSplit', 2, upcaster => 'data'), es_register_event_type('TraceOld', 2,
  upcaster => $$ ARRAY[es_upcast_to('TraceNew', 1, data || '{"new": true}'), es_upcast_to('TraceSplit', 2, data)] $$);
SELECT pg_temp.put(51, NULL, 'traceold-1', 'TraceRoot', 'trace-old');
SELECT es_append('traceold-2', 'TraceOld', '{"a": 1}', es_cause('{"correlation_id": "trace-old"}', pg_temp.id(51)), event_id => pg_temp.id(52)), pg_temp.put(53, pg_temp.id(52)::text, 'traceold-3', 'Effect', 'trace-old');
SELECT tree, version, data FROM es_trace('trace-old');
DELETE FROM es_event_types WHERE event_type LIKE 'Trace%';

-- Many, and deep ones; in one statement each.
SELECT count(es_append('tracedeep-' || i % 7, 'Deep', to_jsonb(i), jsonb_build_object('correlation_id', 'trace-deep', 'causation_id', pg_temp.id(1000 + i - 1)), event_id => pg_temp.id(1000 + i)))
  FROM generate_series(1, 300) i;
SELECT count(*), count(DISTINCT event_id), max(depth), max(length(tree)) FROM es_trace('trace-deep');
SELECT count(es_append('tracewide-' || i % 7, 'Wide', to_jsonb(i), jsonb_build_object('correlation_id', 'trace-wide', 'causation_id', pg_temp.id(2000 + i / 10)), event_id => pg_temp.id(2000 + i)))
  FROM generate_series(1, 5000) i;
SELECT count(*), count(DISTINCT event_id), max(depth), count(*) FILTER (WHERE tree LIKE '%└─ %') AS last_children FROM es_trace('trace-wide');

-- The index that makes it quick, if one wants it.
CREATE INDEX regress_trace ON es_events (tenant_id, (metadata ->> 'correlation_id'));
ANALYZE es_events;
BEGIN;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM es_trace('trace-flow');
SELECT pg_stat_get_xact_numscans('regress_trace'::regclass) > 0 AS index_used;
ROLLBACK;
DROP INDEX regress_trace;

-- Where the encoding has no such characters.
SELECT current_database() AS old_database \gset
CREATE DATABASE regress_es_trace TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C';
\c regress_es_trace
CREATE EXTENSION event_store;
SET event_store.correlation_id = 'latin';
SELECT es_append('a-1', 'Root', '{}', event_id => '00000000-0000-4000-8000-000000000001');
SET event_store.causation_id = '00000000-0000-4000-8000-000000000001';
SELECT es_append('a-2', 'Child', '{}', event_id => '00000000-0000-4000-8000-000000000002'), es_append('a-1', 'Child', '{}');
SET event_store.causation_id = '00000000-0000-4000-8000-000000000002';
SELECT es_append('a-2', 'Grandchild', '{}');
SELECT tree FROM es_trace('latin');
\c :old_database
DROP DATABASE regress_es_trace;
