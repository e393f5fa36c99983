\set after (:after + 1000) % :events
SELECT position, stream_id, version, event_type, schema_version, data, metadata, event_id, recorded_at, tenant_id FROM plain_log WHERE position > :after ORDER BY position LIMIT 1000;
