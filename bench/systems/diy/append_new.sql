\set stream random(100000000000000000, 999999999999999999)
SELECT diy_append('order-' || :stream, :type, :data, :metadata);
