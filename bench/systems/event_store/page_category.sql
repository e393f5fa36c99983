\set after random(0, :events - 1000)
SELECT * FROM es_read_category('order', :after, 1000);
