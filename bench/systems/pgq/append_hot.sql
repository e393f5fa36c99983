SELECT pgq.insert_event('bench', :type, :data, 'hot-' || :slice, :metadata, NULL, NULL);
