\set stream random(1, 10000)
SELECT es_append_batch('order-' || :stream, :ours_types, :datas);
