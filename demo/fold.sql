-- A package is in the state that its newest status event says.
CREATE VIEW demo.installed_now AS
SELECT DISTINCT ON (e.stream_id)
       substr(e.stream_id, length('package-') + 1) AS package,
       e.data->>'version' AS version, e.data->>'status' AS status, e.data->>'at' AS since
FROM es_events e
WHERE e.stream_id LIKE 'package-%' AND e.event_type = 'StatusChanged'
ORDER BY e.stream_id, e.version DESC;

-- So many packages are in each state.
SELECT status, count(*) FROM demo.installed_now GROUP BY status ORDER BY count(*) DESC;

-- The package with the longest history, its last events first.
SELECT stream_id AS longest FROM es_events WHERE stream_id LIKE 'package-%'
GROUP BY stream_id ORDER BY count(*) DESC, stream_id LIMIT 1 \gset
SELECT stream_id, version, data->>'at' AS at, event_type, data->>'status' AS status, data->>'version' AS package_version
FROM es_read_stream(:'longest', max_count => 6, backwards => true);
