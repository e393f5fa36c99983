\set stream random(1, 10000)
SELECT es_append('order-' || :stream, 'Known', :data, :metadata);
