\set stream random(1, 10)
SELECT position, stream_id, version, event_type, schema_version, (data || '{"quantity": 1}') || '{"channel": "web"}' AS data, metadata, event_id, recorded_at, tenant_id FROM es_read_stream('large-' || :stream, raw => true);
