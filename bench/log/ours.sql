\set after (:after + 1000) % :events
SELECT * FROM es_read_all(:after, 1000);
