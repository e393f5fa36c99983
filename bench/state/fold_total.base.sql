\set stream random(1, 10)
SELECT fold_total(e ORDER BY (e).version) FROM (SELECT ROW(NULL::bigint, stream_id, version, event_type, schema_version, data, metadata, event_id, recorded_at, tenant_id)::es_event AS e FROM es_events WHERE tenant_id = '' AND stream_id = 'large-' || :stream) s;
