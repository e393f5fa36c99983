\set stream random(1, :small)
SELECT stream_id, version, event_type, schema_version, data, metadata, event_id FROM bare_events WHERE tenant_id = '' AND stream_id = 'small-' || :stream ORDER BY version;
