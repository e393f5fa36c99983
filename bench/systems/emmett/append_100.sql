-- \x3a is a colon: pgbench would take it for a variable, in strings too.
-- The client makes the message ids, as text. Nothing looks at them: the server makes one for all here, which costs it little.
-- After a conflict with another writer of the stream its caller tries again; three attempts are enough for
-- as many streams as there are.
\set stream random(1, :streams)
SELECT success FROM emt_append_to_stream(array_fill(gen_random_uuid()::text, '{100}'), :datas, :metadatas,
	array_fill('1'::text, '{100}'), :types, array_fill('E'::text, '{100}'), 'order-' || :stream, 'order', NULL, E'emt\x3adefault') \gset
\if not :success
SELECT success FROM emt_append_to_stream(array_fill(gen_random_uuid()::text, '{100}'), :datas, :metadatas,
	array_fill('1'::text, '{100}'), :types, array_fill('E'::text, '{100}'), 'order-' || :stream, 'order', NULL, E'emt\x3adefault') \gset
\if not :success
SELECT success FROM emt_append_to_stream(array_fill(gen_random_uuid()::text, '{100}'), :datas, :metadatas,
	array_fill('1'::text, '{100}'), :types, array_fill('E'::text, '{100}'), 'order-' || :stream, 'order', NULL, E'emt\x3adefault');
\endif
\endif
