\set stream random(1, :streams)
SELECT all_append('order-' || :stream, :types, :datas, :metadatas);
