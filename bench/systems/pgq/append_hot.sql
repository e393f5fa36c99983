SELECT pgq.insert_event('bench', :type, :data, 'hot-1', :metadata, NULL, NULL);
