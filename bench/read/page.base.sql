\set stream random(1, 10)
\set version random(1, 9990)
SELECT NULL::bigint AS position, stream_id, version, event_type, schema_version, data, metadata, event_id, recorded_at, tenant_id FROM es_events WHERE tenant_id = '' AND stream_id = 'large-' || :stream AND version >= :version ORDER BY version LIMIT 10;
