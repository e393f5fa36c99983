-- The first message of a stream has position 0: the expected version of a new one is -1.
\set n :n + 1
\set stream (:slice * 100 + :client_id) * 1000 + :n % 1000
\set version :n / 1000 - 1
SELECT write_message(gen_random_uuid()::varchar, 'exact-' || :stream, :type, :data, :metadata, :version);
