-- What a consumer does for each batch, in one transaction; the ticks of the fixture are 1,000 events
-- apart. Each client is a consumer of its own, put to a random tick first.
\set n :n + 1
\if :n = 0
SELECT min(tick_id) AS oldest, max(tick_id) AS newest
	FROM (SELECT tick_id, lead(tick_event_seq) OVER (ORDER BY tick_id) - tick_event_seq AS events FROM pgq.tick) AS ticks
	WHERE events = 1000 \gset
\endif
\set tick random(:oldest, :newest)
BEGIN;
SELECT pgq.register_consumer_at('bench', 'reader-' || :client_id, :tick);
SELECT pgq.next_batch('bench', 'reader-' || :client_id) AS batch \gset
SELECT * FROM pgq.get_batch_events(:batch);
SELECT pgq.finish_batch(:batch);
END;
