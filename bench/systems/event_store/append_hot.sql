SELECT es_append('hot-1', :type, :data, :metadata);
