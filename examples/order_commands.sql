-- An order's write side: commands, decisions, state, and a new version of an event.
--
-- A command says what somebody wants: create, authorise payment, ship, cancel.
-- `decide` looks at the state of the order and answers with events, or refuses.
-- `evolve` says what an event makes of the state. es_execute does it all in one
-- round trip: state, decision, append. Nobody can come in between.

CREATE SCHEMA order_commands;
SET search_path = order_commands, public;

-- What may be appended: types, with what their data look like. What is no
-- registered type is refused from here on, in this session.
SELECT es_register_event_type('OrderCreated', description => 'Somebody has ordered something',
    json_schema => '{"type": "object", "required": ["customer", "sku", "price"],
                     "properties": {"customer": {"type": "string", "minLength": 1},
                                    "sku": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$"},
                                    "price": {"type": "number", "exclusiveMinimum": 0}}}');
SELECT es_register_event_type('PaymentAuthorised', description => 'The bank has agreed to pay',
    json_schema => '{"required": ["amount"], "properties": {"amount": {"type": "number"}}}',
    check_expression => $$ (data->>'amount')::numeric > 0 $$);
SELECT es_register_event_type('OrderShipped', description => 'The parcel has left the house');
SELECT es_register_event_type('OrderCancelled', description => 'Nothing comes of the order');
SET event_store.strict_types = on;

-- State and decisions: ordinary functions, without a table in sight.
CREATE FUNCTION evolve(state jsonb, event es_event) RETURNS jsonb LANGUAGE sql IMMUTABLE RETURN
    CASE event.event_type
        WHEN 'OrderCreated' THEN event.data || '{"status": "created"}'
        WHEN 'PaymentAuthorised' THEN state || '{"status": "paid"}'
        WHEN 'OrderShipped' THEN state || jsonb_build_object('status', 'shipped', 'parcel', event.data->'parcel')
        WHEN 'OrderCancelled' THEN state || '{"status": "cancelled"}'
        ELSE state
    END;

CREATE FUNCTION decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    status text := state->>'status';
    total numeric := (state->>'price')::numeric * coalesce((state->>'quantity')::int, 1);
BEGIN
    CASE command->>'command'
    WHEN 'create' THEN
        IF status IS NOT NULL THEN
            RAISE EXCEPTION 'the order exists already' USING DETAIL = format('It is %s.', status);
        END IF;
        RETURN jsonb_build_object('type', 'OrderCreated', 'data', command - 'command' - 'schema_version',
                                  'schema_version', coalesce(command->'schema_version', '1'));
    WHEN 'authorise payment' THEN
        IF status IS DISTINCT FROM 'created' THEN
            RAISE EXCEPTION 'there is nothing to pay for';
        ELSIF (command->>'amount')::numeric < total THEN
            RAISE EXCEPTION 'not enough' USING DETAIL = format('The order costs %s.', total), ERRCODE = 'check_violation';
        END IF;
        RETURN jsonb_build_object('type', 'PaymentAuthorised', 'data', command - 'command');
    WHEN 'ship' THEN
        IF status IS DISTINCT FROM 'paid' THEN
            RAISE EXCEPTION 'only what is paid is shipped' USING DETAIL = format('The order is %s.', coalesce(status, 'not there'));
        END IF;
        RETURN jsonb_build_object('type', 'OrderShipped', 'data', command - 'command');
    WHEN 'cancel' THEN
        IF status = 'shipped' THEN
            RAISE EXCEPTION 'it is too late to cancel: the order is shipped';
        ELSIF status IS NULL OR status = 'cancelled' THEN
            RETURN NULL;        -- nothing to be done, and that is no error
        END IF;
        RETURN jsonb_build_object('type', 'OrderCancelled', 'data', command - 'command');
    END CASE;
END $$;

SELECT es_create_aggregate('order', 'shop_order', 'evolve', initial_state => '{}', decide => 'decide');

-- Commands. What `decide` raises reaches the caller as it is.
SELECT version, state FROM es_execute('shop_order-1001',
    '{"command": "create", "customer": "Ana", "sku": "BK-1", "price": 12.50}');
SELECT version, state FROM es_execute('shop_order-1001', '{"command": "ship", "parcel": "P-77"}');
SELECT version, state FROM es_execute('shop_order-1001', '{"command": "authorise payment", "amount": 10}');

-- The answer was lost on its way? A command that has an id is executed once.
SELECT version, state->>'status' AS status, repeated FROM es_execute('shop_order-1001',
    '{"command": "authorise payment", "amount": 12.50}', command_id => '5f3e8b1a-0c7d-4e0e-9a51-3d2f7c6b9e10');
SELECT version, state->>'status' AS status, repeated FROM es_execute('shop_order-1001',
    '{"command": "authorise payment", "amount": 12.50}', command_id => '5f3e8b1a-0c7d-4e0e-9a51-3d2f7c6b9e10');

-- Not even by the back door does nonsense come in.
SELECT es_append('shop_order-1002', 'OrderCreated', '{"customer": "Bo", "sku": "book", "price": 9}');
SELECT es_append('shop_order-1002', 'OrderPlundered', '{}');

-- A year later an order has a quantity. Version 2 of OrderCreated says so; what
-- was appended before is read as an order of one. Nothing that is stored changes.
SELECT es_register_event_type('OrderCreated', description => 'Somebody has ordered so many of something',
    json_schema => '{"type": "object", "required": ["customer", "sku", "price", "quantity"],
                     "properties": {"customer": {"type": "string", "minLength": 1},
                                    "sku": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$"},
                                    "price": {"type": "number", "exclusiveMinimum": 0},
                                    "quantity": {"type": "integer", "minimum": 1}}}');
SELECT es_register_event_type('OrderCreated', description => 'Somebody has ordered so many of something',
    json_schema => '{"type": "object", "required": ["customer", "sku", "price", "quantity"],
                     "properties": {"customer": {"type": "string", "minLength": 1},
                                    "sku": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$"},
                                    "price": {"type": "number", "exclusiveMinimum": 0},
                                    "quantity": {"type": "integer", "minimum": 1}}}',
    upcaster => $$ data || '{"quantity": 1}' $$);
SELECT event_type, schema_version, data FROM es_read_stream('shop_order-1001', max_count => 1);
SELECT event_type, schema_version, data FROM es_read_stream('shop_order-1001', max_count => 1, raw => true);

SELECT version, state FROM es_execute('shop_order-1002',
    '{"command": "create", "schema_version": 2, "customer": "Bo", "sku": "PN-7", "price": 0.80, "quantity": 10}');

-- State now, and then; and how it came about.
SELECT es_state('shop_order-1001') AS now, es_state('shop_order-1001', at_version => 1)->>'status' AS then;
SELECT version, event_type, changes FROM es_history('shop_order-1001');
SELECT stream_id, version, state->>'status' AS status FROM es_states('shop_order');

-- It is the same fold as that of an ordinary aggregate.
CREATE AGGREGATE order_state(es_event) (SFUNC = evolve, STYPE = jsonb, INITCOND = '{}');
SELECT order_state(e ORDER BY version) = es_state('shop_order-1001') AS same FROM es_read_stream('shop_order-1001') e;

-- Who wanted that, and what followed: settings become metadata of all that is
-- appended in the transaction.
BEGIN;
SET LOCAL event_store.correlation_id = 'complaint-5';
SET LOCAL event_store.user_id = 'support:eve';
SELECT version, state->>'status' AS status FROM es_execute('shop_order-1002', '{"command": "cancel", "reason": "out of pens"}');
SELECT es_append('letter-1', 'OrderCancelled', '{"to": "Bo"}');
COMMIT;
SELECT tree, metadata->>'user_id' AS by FROM es_trace('complaint-5');

-- Read models see the upcast events, too.
SELECT es_create_view('sold', $$
    SELECT data->>'sku' AS sku, sum((data->>'quantity')::int) AS quantity
    FROM es_log WHERE event_type = 'OrderCreated' AND es_category(stream_id) = 'shop_order' GROUP BY 1 $$);
SELECT es_wait('sold');
SELECT * FROM sold ORDER BY sku;
SELECT * FROM es_verify('sold');
RESET event_store.strict_types;
