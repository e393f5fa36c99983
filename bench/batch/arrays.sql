-- The arrays of one batch in a table, uncompressed: fetching them costs little.
-- psql variables: data, metadata.
CREATE TABLE batch_arrays (types text[], datas jsonb[], metadatas jsonb[]);
ALTER TABLE batch_arrays
	ALTER types SET STORAGE EXTERNAL,
	ALTER datas SET STORAGE EXTERNAL,
	ALTER metadatas SET STORAGE EXTERNAL;
INSERT INTO batch_arrays
SELECT array_agg('OrderPlaced'::text), array_agg(:'data'::jsonb), array_agg(:'metadata'::jsonb)
FROM generate_series(1, 100);
VACUUM ANALYZE batch_arrays;
