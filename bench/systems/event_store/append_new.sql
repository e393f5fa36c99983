\set stream random(100000000000000000, 999999999999999999)
SELECT es_append('order-' || :stream, :type, :data, :metadata);
