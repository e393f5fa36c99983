\set stream random(1, 10000)
SELECT es_append('order-' || :stream, 'CheckedByFunction', :data, :metadata);
