-- A log of :events events in transactions of :size, and the same events in a
-- plain table with their positions in a column. Transactions were open for about
-- as long as those of 8 writers: the order of commits is not that of tx, and
-- heaps and indexes are filled in order of tx.
-- psql variables: events, size, data, metadata.
SELECT setseed(0.5);
CREATE TEMP TABLE transactions AS
SELECT tx, row_number() OVER (ORDER BY tx + random() * 8) AS n
FROM generate_series(1, :events / :size) AS tx;

CREATE TEMP TABLE facts AS
SELECT tx, (n - 1) * :size + ordinal + 1 AS position, ordinal, es_uuid_v7() AS event_id
FROM transactions, generate_series(0, :size - 1) AS ordinal
ORDER BY tx, ordinal;

-- Versions follow positions, as they do in a store; a transaction has one stream.
CREATE TEMP TABLE streams AS
SELECT tx, 'order-' || n % 10000 AS stream_id, (n / 10000) * :size AS versions
FROM transactions;
ANALYZE facts, streams;

INSERT INTO es_events (stream_id, version, event_id, event_type, schema_version, data, metadata, recorded_at, tx, ordinal)
SELECT stream_id, versions + ordinal + 1, event_id, 'OrderPlaced', 1, :'data'::jsonb, :'metadata'::jsonb, now(), tx, ordinal
FROM facts JOIN streams USING (tx)
ORDER BY tx, ordinal;

INSERT INTO es_commits
SELECT min(first), max(first) + :size - 1, int8range(min(tx), max(tx), '[]'), '0/0',
       es_pack_entries(array_agg(tx ORDER BY first), array_agg(:size::int ORDER BY first),
                       array_agg('2026-01-01 00:00+00'::timestamptz + n * interval '1 ms' ORDER BY first))
FROM (SELECT *, (n - 1) * :size + 1 AS first FROM transactions) AS t
GROUP BY n / 300;

CREATE TABLE plain_log (LIKE es_events);
ALTER TABLE plain_log ADD position bigint NOT NULL;
INSERT INTO plain_log
SELECT e.*, f.position
FROM es_events AS e JOIN facts AS f USING (tx, ordinal)
ORDER BY f.position;
CREATE UNIQUE INDEX ON plain_log (position);

VACUUM (FREEZE, ANALYZE) es_events, es_commits, plain_log;
