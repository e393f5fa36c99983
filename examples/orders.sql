-- Orders with lines: one event, several rows.
--
-- An order is a stream. Its OrderPlaced carries the lines as a JSON array, and
-- three read models are made of the same events: one row for each order, one
-- row for each line of it, and the revenue of each product and day. Each is
-- one SELECT over es_log. It becomes a table, is filled from the whole log and
-- then kept by merging what is appended.

CREATE SCHEMA orders;
SET search_path = orders, public;

-- An ordinary table of ours, for the names of products.
CREATE TABLE product (sku text PRIMARY KEY, name text NOT NULL);
INSERT INTO product VALUES ('BK-1', 'Book'), ('PN-7', 'Pen'), ('MG-3', 'Mug');

-- The head of an order: a state machine in one SELECT. es_last is the newest
-- value that is not NULL. `categories` (and `event_types` below) say the same as
-- WHERE, and spare the worker the events of others.
SELECT es_create_view('order_head', $$
    SELECT stream_id AS order_id,
           es_first(data->>'customer') AS customer,
           es_last(CASE event_type WHEN 'OrderPlaced' THEN 'open'
                                   WHEN 'OrderShipped' THEN 'shipped'
                                   WHEN 'OrderCancelled' THEN 'cancelled' END) AS status,
           count(*) AS events
    FROM es_log WHERE es_category(stream_id) = 'order'
    GROUP BY stream_id
$$, categories => '{order}');

-- Two orders.
SELECT es_append('order-1', 'OrderPlaced', '{"customer": "Ana", "day": "2026-03-01",
    "lines": [{"sku": "BK-1", "quantity": 2, "price": 12.50}, {"sku": "PN-7", "quantity": 10, "price": 0.80}]}');
SELECT es_append('order-2', 'OrderPlaced', '{"customer": "Bo", "day": "2026-03-01",
    "lines": [{"sku": "BK-1", "quantity": 1, "price": 12.50}, {"sku": "MG-3", "quantity": 1, "price": 9.00}]}');

-- The lines: a SELECT without aggregates gives rows for each event. The view
-- is made when there are events already: it begins with them.
SELECT es_create_view('order_line', $$
    SELECT stream_id AS order_id, line.sku, line.quantity, line.price,
           line.quantity * line.price AS amount
    FROM es_log, jsonb_to_recordset(data->'lines') AS line(sku text, quantity integer, price numeric)
    WHERE es_category(stream_id) = 'order' AND event_type = 'OrderPlaced'
$$, event_types => '{OrderPlaced}');

-- The revenue, net of what came back. The product's name is looked up when the
-- event is processed: what is changed in `product` later changes nothing here.
SELECT es_create_view('revenue', $$
    SELECT (data->>'day')::date AS day, product.name AS product,
           sum(line.quantity) FILTER (WHERE event_type = 'OrderPlaced') AS sold,
           sum(line.quantity) FILTER (WHERE event_type = 'LinesReturned') AS returned,
           sum(CASE event_type WHEN 'OrderPlaced' THEN 1 ELSE -1 END * line.quantity * line.price) AS revenue
    FROM es_log
    CROSS JOIN LATERAL jsonb_to_recordset(data->'lines') AS line(sku text, quantity integer, price numeric)
    JOIN product ON product.sku = line.sku
    WHERE es_category(stream_id) = 'order' AND event_type IN ('OrderPlaced', 'LinesReturned')
    GROUP BY 1, 2
$$, categories => '{order}', event_types => '{OrderPlaced, LinesReturned}');

-- Life goes on.
SELECT es_append('order-1', 'OrderShipped', '{}');
SELECT es_append('order-2', 'OrderCancelled', '{"reason": "changed my mind"}');
SELECT es_append('order-1', 'LinesReturned', '{"day": "2026-03-04",
    "lines": [{"sku": "PN-7", "quantity": 4, "price": 0.80}]}');
SELECT es_append('order-3', 'OrderPlaced', '{"customer": "Ana", "day": "2026-03-04",
    "lines": [{"sku": "PN-7", "quantity": 5, "price": 0.80}, {"sku": "MG-3", "quantity": 3, "price": 8.50}]}');

-- Read your own writes: true once everything committed before the call is in.
SELECT es_wait('order_head'), es_wait('order_line'), es_wait('revenue');

SELECT * FROM order_head ORDER BY order_id;
SELECT * FROM order_line ORDER BY order_id, sku;
SELECT * FROM revenue ORDER BY day, product;

-- They are tables: index them, join them.
CREATE INDEX ON order_line (sku);
SELECT customer, sum(amount) AS spent FROM order_head JOIN order_line USING (order_id)
WHERE status <> 'cancelled' GROUP BY customer ORDER BY customer;

-- Each is what its SELECT says of the whole log: no rows here.
SELECT * FROM es_verify('order_head');
SELECT * FROM es_verify('order_line');
SELECT * FROM es_verify('revenue');
