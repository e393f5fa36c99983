-- A random place at least 1,000 messages before the newest one of order-1.
\set n :n + 1
\if :n = 0
SELECT greatest(global_position - 1000, 1) AS newest FROM get_last_stream_message('order-1') \gset
\endif
\set position random(1, :newest)
SELECT * FROM get_category_messages('order', :position, 1000);
