-- The same with a snapshot, 50 events before the end. After fold_10000.setup.sql.
SELECT es_create_aggregate('large_saved', 'large', 'order_evolve', snapshot_every => 100);
SELECT es_save_snapshot(stream, version, es_state(stream, at_version => version, aggregate => 'large'), 'large_saved')
FROM (SELECT 'large-' || i AS stream, es_stream_version('large-' || i) - 50 AS version FROM generate_series(1, 10) AS i) AS s;
