-- psql variables: state.
SELECT count(es_save_snapshot('order-' || s, v, :'state'::jsonb))
FROM generate_series(1, 10) AS v, generate_series(1, 10000) AS s
\g /dev/null

VACUUM ANALYZE es_snapshots;
