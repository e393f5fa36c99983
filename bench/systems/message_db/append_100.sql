-- 100 calls in one transaction, as its clients write a batch; one statement saves them 100 round trips.
\set stream random(1, :streams)
SELECT max(write_message(gen_random_uuid()::varchar, 'order-' || :stream, m.type, m.data, m.metadata))
	FROM unnest(:types::varchar[], :datas::jsonb[], :metadatas::jsonb[]) AS m(type, data, metadata);
