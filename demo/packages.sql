-- What the importer appends is version 1 of StatusChanged. Version 2 says, too, which
-- part of a package's version is the upstream author's. Events of version 1 are read
-- as if they had always said it; what is stored stays as it is.
SELECT es_register_event_type('StatusChanged', description => 'dpkg has brought a package into a state',
    json_schema => '{"type": "object", "required": ["at", "status"],
                     "properties": {"status": {"enum": ["installed", "config-files", "half-installed", "unpacked",
                                                        "half-configured", "triggers-awaited", "triggers-pending", "not-installed"]}}}');
SELECT es_register_event_type('StatusChanged', description => 'dpkg has brought a package into a state',
    upcaster => $$ data || jsonb_build_object('upstream', regexp_replace(data->>'version', '^[0-9]+:|-[^-]*$', '', 'g')) $$);

-- A package is in the state that its newest status event says: a read model is one
-- SELECT over the log. It becomes a table, filled from the log as it is now.
SELECT es_create_view('demo.installed_packages', $$
    SELECT substr(stream_id, length('package-') + 1) AS package,
           es_last(data)->>'status' AS status,
           es_last(data)->>'version' AS version,
           es_last(data)->>'upstream' AS upstream,
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

-- The same package's state, folded from its stream: now, and after its first ten
-- events; and what the last events changed in it.
CREATE FUNCTION demo.package_evolve(state jsonb, event es_event) RETURNS jsonb IMMUTABLE RETURN
    CASE event.event_type
        WHEN 'StatusChanged' THEN state || (event.data - 'architecture')
        ELSE state || jsonb_build_object('last', event.event_type)
    END;
SELECT es_create_aggregate('package', 'package', 'demo.package_evolve', initial_state => '{}');
SELECT es_state(:'longest') AS now, es_state(:'longest', at_version => 10)->>'status' AS then;
SELECT version, event_type, change->>'path' AS changed, change->>'old' AS old, change->>'value' AS value
FROM es_history(:'longest', from_version => es_stream_version(:'longest') - 2), jsonb_array_elements(changes) AS change;
