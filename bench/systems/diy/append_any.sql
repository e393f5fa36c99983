\set stream random(1, :streams)
SELECT diy_append('order-' || :stream, :type, :data, :metadata);
