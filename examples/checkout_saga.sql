-- A checkout saga: order, payment, inventory, and the way back.
--
--   OrderPlaced ──► PaymentRequested ──► PaymentTaken ──► StockRequested ──► StockReserved ──► OrderConfirmed
--                          │                                   │
--                          ▼                                   ▼
--                   PaymentDeclined ──► OrderCancelled    StockRefused ──► StockReleased, PaymentRefunded, OrderCancelled
--
-- Three projections with handlers, one for each part. A handler is SQL, or a
-- function of the event, that runs for each event of its type in the order of
-- the log. It may append: the events that it appends, the rows that it writes
-- and the projection's checkpoint are one transaction. So each step is done
-- exactly once, whatever crashes in between.

CREATE SCHEMA checkout;
SET search_path = checkout, public;

CREATE TABLE card (customer text PRIMARY KEY, credit numeric NOT NULL CHECK (credit >= 0));
CREATE TABLE stock (sku text PRIMARY KEY, free integer NOT NULL CHECK (free >= 0));
INSERT INTO card VALUES ('Ana', 100), ('Bo', 100), ('Cy', 10);
INSERT INTO stock VALUES ('lamp', 5), ('sofa', 0), ('vase', 5);

-- Payment: takes the money if there is enough, and gives it back when asked.
CREATE FUNCTION take_payment(event es_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE card SET credit = credit - (event.data->>'amount')::numeric
    WHERE customer = event.data->>'customer' AND credit >= (event.data->>'amount')::numeric;
    PERFORM es_append(event.stream_id, CASE WHEN FOUND THEN 'PaymentTaken' ELSE 'PaymentDeclined' END, event.data);
END $$;

SELECT es_create_projection('payment', handlers => jsonb_build_object(
    'PaymentRequested', 'checkout.take_payment',
    'PaymentRefunded', $$ UPDATE card SET credit = credit + (data->>'amount')::numeric WHERE customer = data->>'customer' $$),
    categories => '{purchase}');

-- Inventory: one answer for each line.
CREATE FUNCTION reserve_stock(event es_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE stock SET free = free - (event.data->>'quantity')::integer
    WHERE sku = event.data->>'sku' AND free >= (event.data->>'quantity')::integer;
    PERFORM es_append(event.stream_id, CASE WHEN FOUND THEN 'StockReserved' ELSE 'StockRefused' END, event.data);
END $$;

SELECT es_create_projection('inventory', handlers => jsonb_build_object(
    'StockRequested', 'checkout.reserve_stock',
    'StockReleased', $$ UPDATE stock SET free = free + (data->>'quantity')::integer WHERE sku = data->>'sku' $$),
    categories => '{purchase}');

-- The process manager: what follows from what. When the last line of a purchase
-- is answered, it is confirmed; or, if one was refused, the way back is taken:
-- the money, and each line that had been reserved.
CREATE FUNCTION stock_answered(event es_event) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    asked integer;
    reserved integer;
    refused text;
BEGIN
    SELECT count(*) FILTER (WHERE event_type = 'StockRequested'),
           count(*) FILTER (WHERE event_type = 'StockReserved'),
           string_agg(data->>'sku', ', ') FILTER (WHERE event_type = 'StockRefused')
    INTO asked, reserved, refused
    FROM es_read_stream(event.stream_id, max_count => event.version);

    IF reserved = asked THEN
        PERFORM es_append(event.stream_id, 'OrderConfirmed', '{}');
    ELSIF reserved + cardinality(string_to_array(refused, ', ')) = asked THEN
        PERFORM es_append(event.stream_id, 'StockReleased', data)
        FROM es_read_stream(event.stream_id, max_count => event.version) WHERE event_type = 'StockReserved';
        PERFORM es_append(event.stream_id, 'PaymentRefunded', data)
        FROM es_read_stream(event.stream_id, max_count => event.version) WHERE event_type = 'PaymentTaken';
        PERFORM es_append(event.stream_id, 'OrderCancelled', jsonb_build_object('reason', 'no ' || refused));
    END IF;
END $$;

SELECT es_create_projection('checkout', handlers => jsonb_build_object(
    'OrderPlaced', $$ SELECT es_append(stream_id, 'PaymentRequested',
                          jsonb_build_object('customer', data->>'customer', 'amount', data->'amount')) $$,
    'PaymentTaken', $$ SELECT es_append(stream_id, 'StockRequested', line)
                       FROM es_read_stream(event.stream_id) AS placed, jsonb_array_elements(placed.data->'lines') AS line
                       WHERE placed.event_type = 'OrderPlaced' $$,
    'PaymentDeclined', $$ SELECT es_append(stream_id, 'OrderCancelled', '{"reason": "card declined"}') $$,
    'StockReserved', 'checkout.stock_answered',
    'StockRefused', 'checkout.stock_answered'),
    categories => '{purchase}');

-- A read model beside it: where does each purchase stand?
SELECT es_create_view('purchase', $$
    SELECT stream_id AS purchase, es_first(data->>'customer') AS customer,
           es_last(event_type) FILTER (WHERE event_type LIKE 'Order%') AS state,
           es_last(data->>'reason') AS reason
    FROM es_log WHERE es_category(stream_id) = 'purchase'
    GROUP BY stream_id
$$, categories => '{purchase}');

-- One that goes well, one with a line that cannot be had, one that cannot be paid.
SELECT es_append('purchase-1', 'OrderPlaced', '{"customer": "Ana", "amount": 60,
    "lines": [{"sku": "lamp", "quantity": 2}, {"sku": "vase", "quantity": 1}]}');
SELECT es_append('purchase-2', 'OrderPlaced', '{"customer": "Bo", "amount": 90,
    "lines": [{"sku": "vase", "quantity": 1}, {"sku": "sofa", "quantity": 1}]}');
SELECT es_append('purchase-3', 'OrderPlaced', '{"customer": "Cy", "amount": 30,
    "lines": [{"sku": "lamp", "quantity": 1}]}');

-- Each step is a transaction of its own, behind the one that it follows from:
-- waiting once waits for one step. Wait until all have come to an end.
DO $$
BEGIN
    FOR step IN 1 .. 100 LOOP
        PERFORM es_wait(timeout => '30 s');
        EXIT WHEN 3 = (SELECT count(*) FROM purchase WHERE state IN ('OrderConfirmed', 'OrderCancelled'));
    END LOOP;
    PERFORM es_wait(timeout => '30 s');
END $$;

SELECT * FROM purchase ORDER BY purchase;
SELECT version, event_type, data->>'sku' AS sku FROM es_read_stream('purchase-2');

-- The money and the stock are what they were before, less the purchase that went through.
SELECT * FROM card ORDER BY customer;
SELECT * FROM stock ORDER BY sku;

-- Nothing was done twice, nothing is under way.
SELECT event_type, count(*) FROM es_log WHERE es_category(stream_id) = 'purchase' GROUP BY event_type ORDER BY event_type;
SELECT name, kind, lag_events, dead_letters, last_error FROM es_projections
WHERE name IN ('payment', 'inventory', 'checkout') ORDER BY name;
