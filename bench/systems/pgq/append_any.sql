\set stream random(1, :streams)
SELECT pgq.insert_event('bench', :type, :data, 'order-' || :stream, :metadata, NULL, NULL);
