-- \x3a is a colon: pgbench would take it for a variable, in strings too.
-- The client makes the message ids, as text; here the server does, in about a microsecond each.
\set n :n + 1
\set stream (:slice * 100 + :client_id) * 1000 + :n % 1000
\set version :n / 1000
SELECT success FROM emt_append_to_stream(ARRAY[gen_random_uuid()::text], ARRAY[:data::jsonb], ARRAY[:metadata::jsonb],
	'{1}', ARRAY[:type::text], '{E}', 'exact-' || :stream, 'exact', :version, E'emt\x3adefault');
