-- Message ids come from the client, as text; the server makes them here, in about a microsecond.
\set stream random(1, :streams)
SELECT write_message(gen_random_uuid()::varchar, 'order-' || :stream, :type, :data, :metadata);
