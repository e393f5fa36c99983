\set stream random(1, 10)
SELECT NULL::bigint AS position, stream_id, version, event_type, schema_version, data, metadata, event_id, recorded_at, tenant_id FROM bare_events WHERE tenant_id = '' AND stream_id = 'large-' || :stream ORDER BY version;
