-- One Markdown line per relation. psql variables: events.
SELECT format('| %s | %s |', name, round(size::numeric / :events, 1))
FROM (
	SELECT t.n, 0 AS i, t.name::text || ' (table)' AS name, pg_table_size(t.name) AS size
	FROM (VALUES (1, 'es_events'::regclass), (2, 'diy_events')) AS t (n, name)
	UNION ALL
	SELECT t.n, i.indexrelid::bigint, i.indexrelid::regclass::text, pg_relation_size(i.indexrelid)
	FROM (VALUES (1, 'es_events'::regclass), (2, 'diy_events')) AS t (n, name)
	JOIN pg_index AS i ON i.indrelid = t.name
) AS r
ORDER BY n, i;
