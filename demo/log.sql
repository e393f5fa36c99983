-- Every event of every stream has one position in the log, in the order of the commits.
SELECT es_wait_for_log('1 min') AS everything_has_its_position, es_head_position();
SELECT position, stream_id, version, event_type FROM es_read_all(0, 7);

-- The log is also a view for plain SQL: the newest first, without sorting anything.
SELECT position, stream_id, event_type, committed_at FROM es_log ORDER BY position DESC LIMIT 3;

-- One event's place in it.
SELECT es_position('trip-1042', 4);

-- What the sequencer says of itself.
SELECT state, head_position, lag_events, batches FROM es_sequencer;
