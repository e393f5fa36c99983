-- A package is in the state that its newest status event says: a read model is one
-- SELECT over the log. It becomes a table, filled from the log as it is now.
SELECT es_create_view('demo.installed_packages', $$
    SELECT substr(stream_id, length('package-') + 1) AS package,
           es_last(data)->>'status' AS status,
           es_last(data)->>'version' AS version,
           es_last(data)->>'at' AS since,
           max(position) AS position
    FROM es_log WHERE stream_id LIKE 'package-%' AND event_type = 'StatusChanged'
    GROUP BY 1
$$);

-- So many packages are in each state.
SELECT status, count(*) FROM demo.installed_packages GROUP BY status ORDER BY count(*) DESC;

-- The package with the longest history, its last events first.
SELECT stream_id AS longest FROM es_events WHERE stream_id LIKE 'package-%'
GROUP BY stream_id ORDER BY count(*) DESC, stream_id LIMIT 1 \gset
SELECT stream_id, version, data->>'at' AS at, event_type, data->>'status' AS status, data->>'version' AS package_version
FROM es_read_stream(:'longest', max_count => 6, backwards => true);
