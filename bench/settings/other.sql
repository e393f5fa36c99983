-- A large transaction that is none of the store's business.
-- psql variables: rows, data, metadata.
INSERT INTO other SELECT coalesce((SELECT max(id) FROM other), 0) + i, :'data'::jsonb, :'metadata'::jsonb
FROM generate_series(1, :rows) AS i;
