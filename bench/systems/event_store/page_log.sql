\set after random(0, :events - 1000)
SELECT * FROM es_read_all(:after, 1000);
