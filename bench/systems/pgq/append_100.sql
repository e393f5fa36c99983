-- Straight into the queue's current table, as the documentation of pgq.current_event_table() allows and the
-- bulk insert of PgQ's Python client does; no table is rotated here, so nobody has to ask which it is.
-- Calls of pgq.insert_event in one statement take more than twice the time for 100 events.
\set stream random(1, :streams)
INSERT INTO pgq.event_1_0 (ev_time, ev_type, ev_data, ev_extra1, ev_extra2)
	SELECT now(), e.type, e.data, 'order-' || :stream, e.metadata
		FROM unnest(:types::text[], :datas::text[], :metadatas::text[]) AS e(type, data, metadata);
