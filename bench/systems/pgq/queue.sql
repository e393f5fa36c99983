-- The queue and its settings: a tick whenever the ticker comes by and something is new. The tables
-- are not rotated while it is measured, as pgqd's maintenance would every two hours.
SET client_min_messages = warning;
CREATE EXTENSION pgq;
SELECT pgq.create_queue('bench');
SELECT pgq.set_queue_config('bench', 'ticker_max_count', '1');
SELECT pgq.set_queue_config('bench', 'ticker_max_lag', '1 millisecond');
SELECT pgq.ticker('bench');
SELECT pgq.register_consumer('bench', 'bench');
