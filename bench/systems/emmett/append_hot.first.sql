-- The hot stream, if it is not there yet: clients that make it at the same time would meet an error.
SELECT success FROM emt_append_to_stream(ARRAY[gen_random_uuid()::text], ARRAY[:'data'::jsonb], ARRAY[:'metadata'::jsonb],
	'{1}', ARRAY['OrderPlaced'], '{E}', 'hot-1', 'hot', 0, 'emt:default')
	WHERE NOT EXISTS (SELECT FROM emt_streams WHERE stream_id = 'hot-1');
