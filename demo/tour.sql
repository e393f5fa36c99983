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

-- A state is folded from the events by a function, a command decided by another.
CREATE FUNCTION trip_evolve(state jsonb, event es_event) RETURNS jsonb IMMUTABLE RETURN
    state || event.data || jsonb_build_object('last', event.event_type);
CREATE FUNCTION trip_decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF state ? 'paid' THEN
        RAISE EXCEPTION 'the trip is paid already' USING DETAIL = format('%s paid %s.', state->>'rider', state->>'paid');
    END IF;
    RETURN jsonb_build_object('type', CASE WHEN state = '{}' THEN 'TripRequested' ELSE 'TripCancelled' END, 'data', command);
END $$;
SELECT es_create_aggregate('trip', 'trip', 'trip_evolve', initial_state => '{}', decide => 'trip_decide');
SELECT version, state FROM es_execute('trip-1043', '{"rider": "Bo"}');
SELECT es_execute('trip-1042', '{"by": "Ana"}');
SELECT es_state('trip-1042', at_version => 2);

-- An event's type can have a schema, and versions: old events are read as new ones.
SELECT es_register_event_type('TripPaid', json_schema => '{"required": ["paid"], "properties": {"paid": {"type": "number", "minimum": 0}}}');
SELECT es_append('trip-1043', 'TripPaid', '{"paid": -5}');
SELECT es_register_event_type('TripPaid', upcaster => $$ data || '{"currency": "EUR"}' $$) AS version;
SELECT version, schema_version, data FROM es_read_stream('trip-1042', from_version => 5);

-- And all of it is a table.
SELECT version, event_type, data->>'km' AS km FROM es_events
WHERE stream_id = 'trip-1042' AND data ? 'km';
