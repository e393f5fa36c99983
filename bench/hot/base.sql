SELECT bare_append('order-1', :type, :data, :metadata);
