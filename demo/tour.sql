-- A ride is asked for, a driver found. Each event gets the next version of its stream.
SELECT es_append('trip-1042', 'TripRequested', '{"rider": "Ana", "to": "Airport"}');
SELECT es_append('trip-1042', 'DriverAssigned', '{"driver": "Li"}');

-- State the version that you decided on, and nobody else's event can slip in between.
SELECT es_append('trip-1042', 'TripStarted', '{"km": 0}', expected_version => 2);

-- The stream is the history of the trip.
SELECT version, event_type, data FROM es_read_stream('trip-1042');

-- Two of them act on version 3: the driver ends the trip, the rider cancels it.
-- The first is right, the second is told.
SELECT es_append('trip-1042', 'TripCompleted', '{"km": 18.4, "fare": 31.50}', expected_version => 3);
SELECT es_append('trip-1042', 'TripCancelled', '{"by": "Ana"}', expected_version => 3);

-- A retry is harmless: an event that has an id is appended once.
SELECT es_append('trip-1042', 'TripPaid', '{"paid": 31.50}', expected_version => 4,
                 event_id => '0197b0a5-6c1e-7d42-9f00-5a3e8c2b7d10');
SELECT es_append('trip-1042', 'TripPaid', '{"paid": 31.50}', expected_version => 4,
                 event_id => '0197b0a5-6c1e-7d42-9f00-5a3e8c2b7d10');

-- What happened cannot be changed, not even by a superuser.
UPDATE es_events SET data = '{"km": 18.4, "fare": 3.15}' WHERE event_type = 'TripCompleted';

-- State is what the events say: here the newest value of every key, kept as a snapshot.
SELECT es_save_snapshot('trip-1042', 5, (
         SELECT jsonb_object_agg(key, value ORDER BY version)
         FROM es_read_stream('trip-1042'), jsonb_each(data)));
SELECT version, state FROM es_load_snapshot('trip-1042');

-- And all of it is a table.
SELECT version, event_type, data->>'km' AS km FROM es_events
WHERE stream_id = 'trip-1042' AND data ? 'km';
