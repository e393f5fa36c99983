-- It has no function for its whole log: the table, which its documentation describes. Unlike a
-- category, it can show a position before a smaller one has been committed.
\set n :n + 1
\if :n = 0
SELECT greatest(max(global_position) - 1000, 1) AS newest FROM messages \gset
\endif
\set after random(0, :newest)
SELECT id, stream_name, type, position, global_position, data, metadata
	FROM messages WHERE global_position > :after ORDER BY global_position LIMIT 1000;
