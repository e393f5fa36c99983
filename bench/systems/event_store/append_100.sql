\set stream random(1, :streams)
SELECT es_append_batch('order-' || :stream, :types, :datas, :metadatas);
