\set stream random(1, 10000)
SELECT tenant_id, stream_id, version, aggregate, state, created_at FROM es_snapshots WHERE tenant_id = '' AND stream_id = 'order-' || :stream ORDER BY version DESC LIMIT 1;
