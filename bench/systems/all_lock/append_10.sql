\set stream random(1, :streams)
SELECT all_append('order-' || :stream, :types10, :datas10, :metadatas10);
