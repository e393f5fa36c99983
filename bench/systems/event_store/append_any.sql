\set stream random(1, :streams)
SELECT es_append('order-' || :stream, :type, :data, :metadata);
