\set stream random(1, :streams)
SELECT diy_append_batch('order-' || :stream, :types10, :datas10, :metadatas10);
