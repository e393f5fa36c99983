-- A consumer: it waits for what is behind its checkpoint, reads it, and goes on from there.
SELECT es_wait_for_position(:checkpoint + 1, '1 min') AS something_new;
SELECT position, stream_id, version, event_type FROM es_read_all(:checkpoint);
