SELECT diy_append('hot-1', :type, :data, :metadata);
