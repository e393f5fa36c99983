-- \x3a is a colon: pgbench would take it for a variable, in strings too.
-- The client makes the message ids, as text; here the server does, in about a microsecond each.
-- After a conflict with another writer of the stream its caller tries again; three attempts are enough for
-- as many streams as there are.
\set stream random(1, :streams)
SELECT success FROM emt_append_to_stream(ARRAY[gen_random_uuid()::text], ARRAY[:data::jsonb], ARRAY[:metadata::jsonb],
	'{1}', ARRAY[:type::text], '{E}', 'order-' || :stream, 'order', NULL, E'emt\x3adefault') \gset
\if not :success
SELECT success FROM emt_append_to_stream(ARRAY[gen_random_uuid()::text], ARRAY[:data::jsonb], ARRAY[:metadata::jsonb],
	'{1}', ARRAY[:type::text], '{E}', 'order-' || :stream, 'order', NULL, E'emt\x3adefault') \gset
\if not :success
SELECT success FROM emt_append_to_stream(ARRAY[gen_random_uuid()::text], ARRAY[:data::jsonb], ARRAY[:metadata::jsonb],
	'{1}', ARRAY[:type::text], '{E}', 'order-' || :stream, 'order', NULL, E'emt\x3adefault');
\endif
\endif
