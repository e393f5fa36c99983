\set after random(0, :events - 1000)
SELECT position, stream_id, version, event_type, schema_version, data, metadata, event_id FROM es_read_all(:after, 1000);
