\set stream random(100000000000000000, 999999999999999999)
SELECT pgq.insert_event('bench', :type, :data, 'order-' || :stream, :metadata, NULL, NULL);
