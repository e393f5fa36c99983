-- \x3a is a colon: pgbench would take it for a variable, in strings too.
-- The client makes the message ids, as text; here the server does, in about a microsecond each.
SELECT success FROM emt_append_to_stream(ARRAY[gen_random_uuid()::text], ARRAY[:data::jsonb], ARRAY[:metadata::jsonb],
	'{1}', ARRAY[:type::text], '{E}', 'hot-1', 'hot', NULL, E'emt\x3adefault');
