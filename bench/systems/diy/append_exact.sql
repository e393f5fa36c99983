\set n :n + 1
\set stream (:slice * 100 + :client_id) * 1000 + :n % 1000
\set version :n / 1000
SELECT diy_append('exact-' || :stream, :type, :data, :metadata, :version);
