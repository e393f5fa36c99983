-- \x3a is a colon: pgbench would take it for a variable, in strings too.
-- The client makes the message ids, as text; here the server does, in about a microsecond each.
\set stream random(100000000000000000, 999999999999999999)
SELECT success FROM emt_append_to_stream(ARRAY[gen_random_uuid()::text], ARRAY[:data::jsonb], ARRAY[:metadata::jsonb],
	'{1}', ARRAY[:type::text], '{E}', 'order-' || :stream, 'order', NULL, E'emt\x3adefault');
