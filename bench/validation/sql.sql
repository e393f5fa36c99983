\set stream random(1, 10000)
SELECT es_append('order-' || :stream, 'Checked', :data, :metadata);
