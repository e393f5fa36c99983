\set stream random(1, :small)
SELECT stream_id, version, event_type, schema_version, data, metadata, event_id FROM es_read_stream('small-' || :stream);
