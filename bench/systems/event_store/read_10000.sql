\set stream random(1, 10)
SELECT stream_id, version, event_type, schema_version, data, metadata, event_id FROM es_read_stream('large-' || :stream);
