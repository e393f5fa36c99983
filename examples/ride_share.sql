-- Ride sharing: a summary by region, ratings of drivers, and an incentive
-- ledger with payouts.
--
-- The first two are views: sums, counts and averages that merge. The ledger is
-- a projection with handlers: its rows are written one by one, in the order of
-- the log, and a payout appends events of its own.

CREATE SCHEMA ride_share;
SET search_path = ride_share, public;

-- Rides are split by stream into two parts that two workers can keep at once.
SELECT es_create_view('trip_summary_by_region', $$
    SELECT data->>'region' AS region,
           count(*) FILTER (WHERE event_type = 'RideRequested') AS requested,
           count(*) FILTER (WHERE event_type = 'RideCompleted') AS completed,
           count(*) FILTER (WHERE event_type = 'RideCancelled') AS cancelled,
           sum((data->>'fare')::numeric) AS revenue,
           round(avg((data->>'km')::numeric), 1) AS average_km,
           max((data->>'fare')::numeric) AS highest_fare
    FROM es_log WHERE es_category(stream_id) = 'ride' AND data ? 'region'
    GROUP BY data->>'region'
$$, categories => '{ride}', partitions => 2);

SELECT es_create_view('driver_ratings_rollup', $$
    SELECT data->>'driver' AS driver,
           count(*) AS ratings,
           round(avg((data->>'stars')::integer), 2) AS average,
           es_count_if((data->>'stars')::integer = 5) AS five_stars,
           min((data->>'stars')::integer) AS worst,
           es_last(data->>'comment') AS last_comment
    FROM es_log WHERE event_type = 'RideRated'
    GROUP BY data->>'driver'
$$, event_types => '{RideRated}');

-- The ledger: a bonus for each ride at night, one for every third ride, and
-- the payouts. The balance of a driver is the sum of his rows.
CREATE TABLE incentive_ledger (
    position bigint  NOT NULL,      -- of the event that it is for
    driver   text    NOT NULL,
    reason   text    NOT NULL,
    amount   numeric NOT NULL,
    PRIMARY KEY (position, driver, reason)
);
CREATE TABLE driver_rides (driver text PRIMARY KEY, rides integer NOT NULL);

-- A payout empties the accounts, and tells each driver's stream.
CREATE FUNCTION pay_out(event es_event) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    due record;
BEGIN
    FOR due IN
        SELECT driver, sum(amount) AS amount FROM incentive_ledger
        GROUP BY driver HAVING sum(amount) > 0 ORDER BY driver
    LOOP
        INSERT INTO incentive_ledger VALUES (event.position, due.driver, 'payout', -due.amount);
        PERFORM es_append('driver-' || due.driver, 'IncentivePaid',
                          jsonb_build_object('amount', due.amount, 'payout', event.stream_id));
    END LOOP;
END $$;

SELECT es_create_projection('driver_incentives', handlers => jsonb_build_object(
    'RideCompleted', jsonb_build_array(
        $$ INSERT INTO incentive_ledger SELECT position, data->>'driver', 'night', 2.00
           WHERE (data->>'hour')::integer >= 22 $$,
        $$ INSERT INTO driver_rides AS r VALUES (event.data->>'driver', 1)
           ON CONFLICT (driver) DO UPDATE SET rides = r.rides + 1 $$,
        $$ INSERT INTO incentive_ledger SELECT position, data->>'driver', 'every third ride', 5.00
           WHERE (SELECT rides % 3 = 0 FROM driver_rides WHERE driver = event.data->>'driver') $$),
    'PayoutDue', 'ride_share.pay_out'));

-- A night and a day. Each ride is a stream.
SELECT es_append_json('ride-' || n, jsonb_build_array(
           jsonb_build_object('type', 'RideRequested', 'data', jsonb_build_object('region', region)),
           jsonb_build_object('type', 'RideCompleted', 'data', jsonb_build_object(
               'region', region, 'driver', driver, 'hour', hour, 'km', km, 'fare', fare)),
           jsonb_build_object('type', 'RideRated', 'data', jsonb_strip_nulls(jsonb_build_object(
               'driver', driver, 'stars', stars, 'comment', comment)))))
FROM (VALUES (1, 'harbour', 'Li',  23, 4.2,  11.50, 5, 'smooth'),
             (2, 'harbour', 'Sam', 23, 7.0,  16.00, 4, NULL),
             (3, 'airport', 'Li',  9,  18.4, 31.50, 5, NULL),
             (4, 'airport', 'Li',  11, 17.0, 29.00, 3, 'late'),
             (5, 'harbour', 'Sam', 12, 2.5,  8.00,  5, 'great car'))
     AS ride(n, region, driver, hour, km, fare, stars, comment)
ORDER BY n;
SELECT es_append_json('ride-6', '[{"type": "RideRequested", "data": {"region": "airport"}},
                                  {"type": "RideCancelled", "data": {"region": "airport"}}]');

-- Payday, and one more ride.
SELECT es_append('payroll-2026-03', 'PayoutDue', '{}');
SELECT es_append('ride-7', 'RideCompleted', '{"region": "harbour", "driver": "Sam", "hour": 22, "km": 3.1, "fare": 9.00}');

-- A retry of the payout by an anxious clerk pays what is due since, once.
SELECT es_append('payroll-2026-03', 'PayoutDue', '{}');
SELECT es_wait(timeout => '30 s');

SELECT * FROM trip_summary_by_region ORDER BY region;
SELECT * FROM driver_ratings_rollup ORDER BY driver;
SELECT driver, reason, amount FROM incentive_ledger ORDER BY position, driver, reason;
SELECT driver, sum(amount) AS balance FROM incentive_ledger GROUP BY driver ORDER BY driver;
SELECT stream_id, version, data->>'amount' AS paid, data->>'payout' AS payout FROM es_events
WHERE event_type = 'IncentivePaid' ORDER BY stream_id, version;

-- A new definition is a rebuild: the old table serves until the new one is there.
SELECT es_alter_view('trip_summary_by_region', $$
    SELECT data->>'region' AS region,
           es_count_if(event_type = 'RideCompleted') AS completed,
           sum((data->>'fare')::numeric) / nullif(sum((data->>'km')::numeric), 0) AS fare_per_km
    FROM es_log WHERE es_category(stream_id) = 'ride' AND data ? 'region'
    GROUP BY data->>'region'
$$);
SELECT region, completed, round(fare_per_km, 2) AS fare_per_km FROM trip_summary_by_region ORDER BY region;

SELECT * FROM es_verify('trip_summary_by_region');
SELECT * FROM es_verify('driver_ratings_rollup');
