\set stream random(1, 10)
SELECT order_fold(type, data) FROM (SELECT type, data FROM diy_events WHERE stream = 'large-' || :stream ORDER BY version) AS e;
