SELECT es_append('order-1', :type, :data, :metadata);
