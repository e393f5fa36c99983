\set stream random(1, :streams)
SELECT es_append_batch('order-' || :stream, :types10, :datas10, :metadatas10);
