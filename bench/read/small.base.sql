\set stream random(1, 10000)
SELECT NULL::bigint AS position, stream_id, version, event_type, schema_version, data, metadata, event_id, recorded_at, tenant_id FROM es_events WHERE tenant_id = '' AND stream_id = 'order-' || :stream ORDER BY version;
